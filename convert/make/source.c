/* SPDX-License-Identifier: MIT */
#include "convert/make/source.h"

#include "core/text.h"
#include "quant/num.h"

#include <string.h>

int source_open(struct source *s, const struct ckpt *c, struct err *e)
{
	*s = (struct source){ .c = c };
	if (!c->payload)
		return 0;
	s->reader = c->payload->open(c->payload->ctx);
	return s->reader ? 0 : err_nomem(e);
}

void source_close(struct source *s)
{
	if (s->reader)
		s->c->payload->close(s->reader);
	memset(s, 0, sizeof *s);
}

uint64_t source_need(const struct ckpt *c)
{
	return c->payload ? c->payload->need(c->payload->ctx) : 0;
}

int source_read(struct source *s, uint32_t i, uint64_t off, uint8_t *dst, size_t n, struct err *e)
{
	const struct ckpt *c = s->c;

	return c->payload ? c->payload->read(s->reader, i, off, dst, n, e)
			  : ckpt_read(c, &c->tensors[i], off, dst, n, e);
}

int source_check(const struct source *s, uint32_t i, const struct xxh_digest *d, struct err *e)
{
	const struct ckpt_payload *p = s->c->payload;

	return p ? p->check(p->ctx, i, d, e) : 0;
}

int source_bad_byte(const struct source *s, uint32_t i, uint64_t off, enum rule_id rule,
	const char *what, struct err *e)
{
	const struct tensor *t = &s->c->tensors[i];
	const struct shard *sh = &s->c->shards[t->shard];
	uint64_t pos = sh->data_at + t->begin + off;

	return err_rule(e, rule, pos, "%s: tensor %s, byte %llu (byte %llu of the tensor): %s",
		sh->name, text_quote(t->name).s, (unsigned long long)pos, (unsigned long long)off,
		what);
}

int source_check_e8m0(const struct source *s, uint32_t i, const uint8_t *p, size_t n, uint64_t off,
	struct err *e)
{
	const uint8_t *nan = memchr(p, NUM_E8M0_NAN, n);

	if (!nan)
		return 0;
	return source_bad_byte(s, i, off + (uint64_t)(nan - p), RULE_DATA_SCALE_NAN,
		"scale byte 255 is NaN, expected 0 to 254", e);
}
