/* restore.c -- the plan of the way back: every shard of the source with its own header, its tensors in
 * their own order.
 *
 * SPDX-License-Identifier: MIT */
#include "convert/plan/target.h"
#include "core/file.h"
#include "core/text.h"

#include <stdlib.h>
#include <string.h>

/* The header as it was, byte for byte. */
static int keep_header(struct layout *l, const struct shard *s, struct plan_file *f)
{
	char *p = layout_alloc(l, (size_t)s->data_at);

	if (!p)
		return -1;
	f->raw = p;
	f->sha256 = s->sha256;
	f->header_bytes = s->data_at;
	if (file_read(l->p->ckpt->io, s->fd, p, (size_t)s->data_at, 0, l->e))
		return err_at(l->e, "%s", s->name);
	return 0;
}

static int lay_restore(struct layout *l)
{
	const struct ckpt *c = l->p->ckpt;
	long *file = malloc((c->n_shards + 1) * sizeof *file);
	bool any = false;
	struct step s;
	size_t i;
	int rc = file ? 0 : err_nomem(l->e);

	for (i = 0; !rc && i < c->n_shards; i++) {
		file[i] = -1;
		if (l->p->opts.shard && strcmp(l->p->opts.shard, c->shards[i].name) != 0)
			continue;
		any = true;
		file[i] = layout_file(l, c->shards[i].name);
		rc = file[i] < 0 ? -1 : keep_header(l, &c->shards[i], &l->p->files[file[i]]);
	}
	if (!rc && !any)
		rc = err_set(l->e, ERR_USAGE, "--shard: the source had no %s",
			text_quote(l->p->opts.shard).s);
	for (i = 0; !rc && i < c->n; i++) {
		layout_fate(l, i, file[c->tensors[i].shard] < 0 ? FATE_UNSELECTED : FATE_COPY);
		if (file[c->tensors[i].shard] < 0)
			continue;
		rc = layout_whole(l, i, &s);
		s.out = c->tensors[i]; /* whatever is asked of the experts */
		rc = rc ? rc : layout_step(l, (size_t)file[c->tensors[i].shard], &s);
	}
	free(file);
	return rc;
}

static const char *const small[] = { "config.json", "generation_config.json", CKPT_INDEX,
	"special_tokens_map.json", "tokenizer.json", "tokenizer_config.json", NULL };
const struct target restore_target = { "restore", "the shards it was made of", lay_restore, small };
