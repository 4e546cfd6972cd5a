/* choice_show.c -- what --budget chose, for people and for programs.
 *
 * SPDX-License-Identifier: MIT */
#include "formats/gguf/ggml_type.h"
#include "formats/json/jwrite.h"
#include "quant/cli/choice.h"

#include <string.h>

enum { TABLE = 12, LISTED = 64 }; /* points of the frontier in a table, in a document */

/* Point i of so many that are spread evenly over the bytes of the frontier; the first and the last are its ends. */
static const struct allot_point *spread(const struct choice *s, size_t i, size_t of)
{
	uint64_t want =
		s->least + (uint64_t)((double)(s->most - s->least) * (double)i / (double)(of - 1));
	size_t k = 0;

	while (k + 1 < s->n_points && s->points[k + 1].bytes <= want)
		k++;
	return i + 1 == of ? &s->points[s->n_points - 1] : &s->points[k];
}

/* A row of the table. */
struct shown {
	uint64_t bytes;
	double error;
	const char *what;
};

/* Puts a row where it belongs by its bytes; behind those of as many. */
static void add_shown(struct shown *v, size_t *n, uint64_t bytes, double error, const char *what)
{
	size_t i;

	for (i = *n; i && v[i - 1].bytes > bytes; i--)
		v[i] = v[i - 1];
	v[i] = (struct shown){ bytes, error, what };
	++*n;
}

/* The frontier, the choice and the names in the order of bytes. */
static void put_table(struct text *t, const struct choice *s)
{
	struct shown v[TABLE + CHOICE_MIXES + 1];
	const struct allot_point *p, *last = NULL;
	size_t i, n = 0;

	for (i = 0; i < TABLE; i++) {
		p = spread(s, i, TABLE);
		if (p != last)
			add_shown(v, &n, p->bytes, p->error, "");
		last = p;
	}
	add_shown(v, &n, s->bytes, s->error, "<- chosen");
	for (i = 0; i < s->n_mixes; i++)
		add_shown(v, &n, s->mixes[i].bytes, s->mixes[i].error, s->mixes[i].name);
	text_fmt(t, "\n  %19s  %12s\n", "bytes", "error");
	for (i = 0; i < n; i++)
		text_fmt(t, "  %19s  %12.6g%s%s\n", text_thousands(v[i].bytes).s, v[i].error,
			*v[i].what ? "  " : "", v[i].what);
}

void choice_put_text(struct text *t, const struct choice *s, bool lines)
{
	text_fmt(t,
		"\nbudget: %s bytes of %s, error %.6g; no choice under the size has less than %.6g\n",
		text_thousands(s->bytes).s, text_thousands(s->asked).s, s->error, s->bound);
	text_str(t,
		s->kept ? "  error: of each tensor the sum of (x - y)^2 over that of x^2\n"
			: "  error: of each tensor the part of it that is wrong, by importance, times the part that its sub-block has of the residual stream\n");
	text_fmt(t, "  %zu tensors chosen, %zu fixed by --recipe", s->chosen, s->fixed);
	if (s->kept)
		text_fmt(t, ", %zu as --to says: without --imatrix only routed experts are chosen",
			s->kept);
	text_str(t, s->head.every > 1 ? "; the score is of a part of the rows (--every)\n" : "\n");
	put_table(t, s);
	if (lines)
		text_fmt(t, "\n%s", s->recipe.s);
}

static void put_point(struct jwrite *o, uint64_t bytes, double error, const char *name)
{
	jwrite_open(o, NULL, '{');
	jwrite_u64(o, "bytes", bytes);
	jwrite_f64(o, "error", error);
	if (name)
		jwrite_str(o, "name", name);
	jwrite_close(o, '}');
}

void choice_put_json(struct text *t, const struct choice *s)
{
	const struct allot_point *p, *last = NULL;
	struct jwrite o;
	size_t i;

	jwrite_begin(&o, t, 0);
	jwrite_open(&o, NULL, '{');
	jwrite_u64(&o, "asked", s->asked);
	jwrite_f64(&o, "bound", s->bound);
	jwrite_u64(&o, "bytes", s->bytes);
	jwrite_u64(&o, "chosen", s->chosen);
	jwrite_f64(&o, "error", s->error);
	jwrite_u64(&o, "every", s->head.every);
	jwrite_u64(&o, "fixed", s->fixed);
	jwrite_u64(&o, "kept", s->kept);
	jwrite_open(&o, "frontier", '[');
	for (i = 0; i < LISTED; i++) {
		p = spread(s, i, LISTED);
		if (p != last)
			put_point(&o, p->bytes, p->error, NULL);
		last = p;
	}
	jwrite_close(&o, ']');
	jwrite_open(&o, "names", '[');
	for (i = 0; i < s->n_mixes; i++)
		put_point(&o, s->mixes[i].bytes, s->mixes[i].error, s->mixes[i].name);
	jwrite_close(&o, ']');
	jwrite_str(&o, "recipe", s->recipe.s);
	jwrite_str(&o, "source", s->head.source);
	jwrite_str(&o, "weights", s->head.imatrix[0] ? "imatrix" : "one");
	jwrite_close(&o, '}');
	while (t->n && t->s[t->n - 1] == '\n')
		t->s[--t->n] = '\0';
}
