/* SPDX-License-Identifier: MIT */
#include "convert/plan/plan_hash.h"

#include "convert/plan/shard_config.h"
#include "core/hash/xxh.h"
#include "formats/format_id.h"

static int flush(struct plan_hash *h, struct err *e)
{
	struct sha256 *s = &h->sha;
	const void *p = h->t.s;
	size_t n = h->t.n;

	if (h->t.failed)
		return err_nomem(e);
	h->t.n = 0;
	return n ? sha256_update(&s, &p, n, 1, e) : 0;
}

int plan_hash_begin(struct plan_hash *h, const struct plan *p, struct err *e)
{
	size_t i;

	*h = (struct plan_hash){ .p = p };
	sha256_kit_evp(&h->kit);
	if (sha256_init(&h->sha, &h->kit, e))
		return -1;
	text_fmt(&h->t, FORMAT_PLAN_HASH "\ntarget %s\nsha256 %d\nlossy %d\n", p->opts.target,
		p->opts.sha256, p->opts.lossy);
	if (p->opts.back)
		text_str(&h->t, "back\n");
	if (p->opts.grafted)
		text_fmt(&h->t, "experts %s\n", p->opts.grafted);
	if (p->opts.drafts != DRAFTS_SAME)
		text_fmt(&h->t, "drafts %s\n", drafts_names[p->opts.drafts]);
	if (p->opts.engram != ENGRAM_KEEP)
		text_fmt(&h->t, "engram %s\n", engram_names[p->opts.engram]);
	if (p->opts.shard_config)
		text_fmt(&h->t, "shard_config %s\n", p->opts.shard_config->text);
	if (p->opts.file_size)
		text_fmt(&h->t, "file_size %llu\n", (unsigned long long)p->opts.file_size);
	if (p->opts.imatrix)
		text_fmt(&h->t, "imatrix %s\n", p->opts.imatrix_sha256);
	if (p->opts.mix)
		text_put(&h->t, p->opts.mix->text.s, p->opts.mix->text.n);
	for (i = 0; i < p->ckpt->n_shards; i++)
		text_fmt(&h->t, "source %s %lld\n", p->ckpt->shards[i].name,
			(long long)p->ckpt->shards[i].st.st_size);
	for (i = 0; i < p->n_smalls; i++) {
		text_fmt(&h->t, "small %s\n", p->smalls[i].name);
		if (p->smalls[i].kind == SMALL_TEXT)
			text_put(&h->t, p->smalls[i].text, (size_t)p->smalls[i].bytes);
	}
	return flush(h, e);
}

static void put_step(struct text *t, const struct plan *p, const struct step *s)
{
	const struct step_tile *g = step_tile(s);
	uint64_t n[4];
	uint32_t k;

	step_numbers(s, n);
	text_fmt(t, "\n%s", ops[s->op].name);
	for (k = 0; k < 4; k++)
		text_fmt(t, " %llu", (unsigned long long)n[k]);
	if (s->op == OP_REFORM)
		text_fmt(t, " %s %s %s %d %a", codecs[s->as.reform.of->how->from].name,
			codecs[s->as.reform.of->how->to].name, op_parts[s->as.reform.part],
			s->as.reform.of->signs, (double)s->as.reform.of->input);
	if (g)
		text_fmt(t, " %s/%u %s %u %u", g->fit.tile->name, g->fit.tile->version,
			g->fit.map->name, g->e_min, g->e_max);
	for (k = 0; k < step_sources(s); k++)
		text_fmt(t, " %s", p->ckpt->tensors[step_source(s, k)].name);
}

int plan_hash_file(struct plan_hash *h, const struct plan_file *f, const struct text *header,
	struct err *e)
{
	size_t i;

	text_fmt(&h->t, "file %s %llu\n", f->name, (unsigned long long)f->bytes);
	text_put(&h->t, header->s, header->n);
	if (flush(h, e))
		return -1;
	for (i = 0; i < f->n; i++) {
		put_step(&h->t, h->p, &f->steps[i]);
		if (h->t.n > 1 << 16 && flush(h, e))
			return -1;
	}
	text_str(&h->t, "\n");
	return flush(h, e);
}

int plan_hash_end(struct plan_hash *h, int rc, char hex[65], struct err *e)
{
	uint8_t digest[32];

	text_free(&h->t);
	if (rc) {
		sha256_free(&h->sha);
		return -1;
	}
	if (sha256_final(&h->sha, digest, e))
		return -1;
	hex_of(digest, sizeof digest, hex);
	return 0;
}
