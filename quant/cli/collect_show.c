/* collect_show.c -- what an importance file has, and how many tokens each expert saw.
 *
 * SPDX-License-Identifier: MIT */
#include "core/mem.h"
#include "formats/format_id.h"
#include "formats/gguf/imatrix.h"
#include "formats/json/jwrite.h"
#include "quant/cli/collect.h"

#include <stdlib.h>

/* Tokens of the experts of a matrix. */
struct seen {
	uint64_t none;           /* experts that no token went to */
	double least, most, sum; /* tokens of those that some did */
};

static int look(const struct imatrix *m, const struct imatrix_tensor *t, struct seen *s,
	struct err *e)
{
	uint64_t i;
	double n;

	*s = (struct seen){ 0 };
	for (i = 0; i < t->mats; i++) {
		if (imatrix_count(m, t, i, &n, e))
			return -1;
		s->none += n == 0;
		s->sum += n;
		s->least = n > 0 && (!(s->least > 0) || n < s->least) ? n : s->least;
		s->most = n > s->most ? n : s->most;
	}
	return 0;
}

static void put_json(struct jwrite *o, const struct imatrix_tensor *t, const struct seen *s)
{
	jwrite_open(o, NULL, '{');
	jwrite_str(o, "name", t->name);
	jwrite_u64(o, "columns", t->cols);
	jwrite_u64(o, "matrices", t->mats);
	jwrite_u64(o, "unseen", s->none);
	jwrite_f64(o, "tokens", s->sum);
	jwrite_f64(o, "least", s->least);
	jwrite_f64(o, "most", s->most);
	jwrite_close(o, '}');
}

static void put_text(struct text *out, const struct imatrix_tensor *t, const struct seen *s)
{
	text_fmt(out, "%-40s %6llu", text_quote(t->name).s, (unsigned long long)t->cols);
	if (t->mats == 1)
		text_fmt(out, "        %10.0f tokens\n", s->sum);
	else
		text_fmt(out, " x %-5llu %.0f to %.0f tokens an expert, %llu saw none\n",
			(unsigned long long)t->mats, s->least, s->most,
			(unsigned long long)s->none);
}

/* What becomes of experts that saw nothing, and of matrices that are not in the file. */
static void closing(struct text *out, uint64_t unseen)
{
	if (unseen)
		text_fmt(out,
			"%llu matrices of experts saw no token: every column of theirs counts alike, as "
			"without importance. More or other text reaches them.\n",
			(unsigned long long)unseen);
	text_str(out, "Not in the file, and so counted alike: the embedding, the head, drafts.\n");
}

int collect_show(const struct io *io, const char *path, bool json, struct text *out, struct err *e)
{
	struct imatrix m;
	struct jwrite o;
	struct seen s;
	uint64_t unseen = 0;
	size_t i;
	int rc = 0;

	if (imatrix_open(&m, io, path, e))
		return -1;
	jwrite_begin(&o, out, 2);
	if (json) {
		jwrite_open(&o, NULL, '{');
		jwrite_str(&o, "format", FORMAT_IMATRIX_JSON);
		jwrite_str(&o, "datasets", m.datasets);
		jwrite_u64(&o, "chunks", m.chunks);
		jwrite_u64(&o, "chunk_size", m.chunk_size);
		jwrite_open(&o, "matrices", '[');
	}
	for (i = 0; !rc && i < m.n; i++) {
		rc = look(&m, &m.v[i], &s, e);
		unseen += s.none;
		if (json)
			put_json(&o, &m.v[i], &s);
		else
			put_text(out, &m.v[i], &s);
	}
	if (json) {
		jwrite_close(&o, ']');
		jwrite_u64(&o, "unseen", unseen);
		jwrite_close(&o, '}');
	} else {
		closing(out, unseen);
	}
	imatrix_close(&m);
	return rc;
}
