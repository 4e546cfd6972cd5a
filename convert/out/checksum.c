/* SPDX-License-Identifier: MIT */
#include "convert/out/checksum.h"

#include "convert/plan/shard_config.h"
#include "core/file.h"
#include "formats/conversion/presharded.h"
#include "formats/conversion/vllm_form.h"

#include <stdlib.h>
#include <string.h>

static void list(const struct plan_file *f, struct presharded_tensor *v)
{
	const struct tensor *t;
	size_t i;

	for (i = 0; i < f->n; i++) {
		t = &f->steps[i].out;
		v[i] = (struct presharded_tensor){ .name = t->name,
			.dtype = t->dtype,
			.rank = t->rank,
			.dim = t->dim,
			.at = f->header_bytes + t->begin,
			.bytes = t->end - t->begin };
	}
}

bool checksum_is_mark(const struct plan *p, const struct plan_small *s)
{
	return !strcmp(p->opts.target, SGLANG_TARGET) && !strcmp(s->name, SGLANG_READY);
}

int checksum_unmark(const struct plan *p, const struct outdir *d, struct err *e)
{
	return strcmp(p->opts.target, SGLANG_TARGET) != 0
		? 0
		: file_remove(d->io, d->fd, SGLANG_READY, e);
}

int checksum_put(struct text *out, const struct plan *p, const struct outdir *d, struct err *e)
{
	struct presharded_file *files = calloc(p->n_files + 1, sizeof *files);
	struct presharded_tensor *v;
	size_t i, n = 0, steps = 0;
	long rank;
	int rc;

	for (i = 0; i < p->n_files; i++)
		steps += p->files[i].n;
	v = calloc(steps + 1, sizeof *v);
	steps = 0;
	for (i = 0; files && v && i < p->n_files; i++) {
		rank = vllm_rank_of(p->files[i].name);
		if (rank < 0)
			continue;
		list(&p->files[i], v + steps);
		files[n++] = (struct presharded_file){ p->files[i].name, (uint64_t)rank, v + steps,
			p->files[i].n };
		steps += p->files[i].n;
	}
	rc = files && v ? presharded_put(out, d->io, d->fd, p->opts.shard_config->text,
				  p->opts.share.ranks, files, n, e)
			: err_nomem(e);
	free(files);
	free(v);
	return rc;
}
