/* SPDX-License-Identifier: MIT */
#include "quant/cli/score_types.h"

#include "formats/gguf/ggml_type.h"
#include "quant/lowbit.h"

#include <string.h>
#include <strings.h>

/* Says what there is. Returns -1. */
static int wrong(const char *word, size_t n, const char *what, struct err *e)
{
	const struct lowbit *t;
	struct text all = { 0 };

	for (t = lowbits; t->items; t++)
		text_fmt(&all, " %s", ggml_type_name(t->type));
	err_set(e, ERR_USAGE, "--types: \"%s\" %s; there are%s", text_quote_n(word, n).s, what,
		all.failed ? " others" : all.s);
	text_free(&all);
	return -1;
}

/* Marks the type that the word names. */
static int take(const char *word, size_t n, bool on[SCORE_TYPES], struct err *e)
{
	const char *name;
	size_t i;

	for (i = 0; lowbits[i].items; i++) {
		name = ggml_type_name(lowbits[i].type);
		if (strlen(name) != n || strncasecmp(name, word, n) != 0)
			continue;
		if (on[i])
			return wrong(word, n, "stands there twice", e);
		on[i] = true;
		return 0;
	}
	return wrong(word, n, "is no type that there is an encoder of", e);
}

int score_types_read(const char *list, uint32_t types[SCORE_TYPES], size_t *n, struct err *e)
{
	bool on[SCORE_TYPES];
	size_t i, len;

	memset(on, !list, sizeof on);
	for (; list; list = list[len] ? list + len + 1 : NULL) {
		len = strcspn(list, ",");
		if (take(list, len, on, e))
			return -1;
	}
	*n = 0;
	for (i = 0; lowbits[i].items; i++)
		if (on[i])
			types[(*n)++] = lowbits[i].type;
	return 0;
}
