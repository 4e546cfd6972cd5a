/* SPDX-License-Identifier: MIT */
#include "formats/model/model_id.h"

#include "core/hash/sha256.h"
#include "core/hash/xxh.h"

/* First bytes of a tensor that are looked at, a page: training changes weights everywhere in a matrix. Flash has 34,000 experts' matrices, so
 * that 140 MB are read of its 160 GB. */
enum { TAKEN = 4096 };

/* Appends the line of tensor i. reader: of a->ckpt->payload; NULL where there is none. */
static int put_tensor(struct text *t, const struct audit *a, void *reader, uint32_t i,
	struct err *e)
{
	const struct tensor *x = &a->ckpt->tensors[i];
	const struct want *w = a->want[i];
	uint64_t bytes = x->end - x->begin;
	uint8_t first[TAKEN], rank;
	struct xxh_digest d;
	char hex[33];

	text_fmt(t, "%s %s", x->name, dtypes[x->dtype].name);
	for (rank = 0; rank < x->rank; rank++)
		text_fmt(t, " %llu", (unsigned long long)x->dim[rank]);
	if (w && !w->scale) {
		bytes = bytes < TAKEN ? bytes : TAKEN;
		if (reader ? a->ckpt->payload->read(reader, i, 0, first, (size_t)bytes, e)
			   : ckpt_read(a->ckpt, x, 0, first, (size_t)bytes, e))
			return -1;
		d = xxh_of(first, (size_t)bytes);
		hex_of(d.b, sizeof d.b, hex);
		text_fmt(t, " %s", hex);
	}
	text_str(t, "\n");
	return 0;
}

int model_id(const struct audit *a, char id[65], struct err *e)
{
	const struct ckpt_payload *p = a->ckpt->payload;
	void *reader = p ? p->open(p->ctx) : NULL;
	struct text t = { 0 };
	uint8_t sha[32];
	uint32_t i;
	int rc = reader || !p ? 0 : err_nomem(e);

	for (i = 0; !rc && i < a->ckpt->n; i++)
		rc = put_tensor(&t, a, reader, i, e);
	if (reader)
		p->close(reader);
	if (!rc && t.failed)
		rc = err_nomem(e);
	rc = rc ? rc : sha256_of(t.s, t.n, sha, e);
	if (!rc)
		hex_of(sha, sizeof sha, id);
	text_free(&t);
	return rc;
}
