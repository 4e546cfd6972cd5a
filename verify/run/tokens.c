/* SPDX-License-Identifier: MIT */
#include "verify/run/tokens.h"

#include "core/file.h"
#include "core/mem.h"

#include <stdlib.h>
#include <string.h>

enum { FILE_MAX = 16 << 20 };

static int parse(const char *s, const char *what, uint32_t most, uint32_t **ids, uint32_t *n,
	struct err *e)
{
	static const char gap[] = " \t\r\n,";
	uint64_t v;
	size_t cap = 0;

	*ids = NULL;
	for (*n = 0, s += strspn(s, gap); *s; s += strspn(s, gap)) {
		for (v = 0; *s >= '0' && *s <= '9' && v <= UINT32_MAX; s++)
			v = v * 10 + (uint64_t)(*s - '0');
		if (v > UINT32_MAX || (*s && !strchr(gap, *s)))
			return err_set(e, ERR_USAGE, "%s: token %u is no number from 0 on",
				text_quote(what).s, *n);
		if (*n == most)
			return err_set(e, ERR_USAGE, "%s: more than %u tokens", text_quote(what).s,
				most);
		if (mem_grow(ids, &cap, *n + 1, sizeof **ids))
			return err_nomem(e);
		(*ids)[(*n)++] = (uint32_t)v;
	}
	return *n ? 0 : err_set(e, ERR_USAGE, "%s: no tokens", text_quote(what).s);
}

bool tokens_typed(const char *arg)
{
	return arg[strspn(arg, "0123456789,- ")] == 0;
}

int tokens_load(const struct io *io, const char *path, uint64_t most, struct text *t, struct err *e)
{
	const char *name;
	int dir, rc;

	if (file_open_above(io, path, &dir, &name, e))
		return -1;
	rc = file_load(io, dir, name, most, t, e);
	(void)io->close(io, dir); /* a folder has nothing to flush */
	if (rc)
		return err_of_call(e, text_quote(path).s);
	if (memchr(t->s, 0, t->n))
		rc = err_set(e, ERR_USAGE, "%s is no text", text_quote(path).s);
	return rc;
}

int tokens_read(const struct io *io, const char *arg, uint32_t most, uint32_t **ids, uint32_t *n,
	struct err *e)
{
	struct text t = { 0 };
	int rc;

	*ids = NULL;
	if (tokens_typed(arg)) {
		rc = parse(arg, "--tokens", most, ids, n, e);
	} else {
		rc = tokens_load(io, arg, FILE_MAX, &t, e);
		rc = rc ? rc : parse(t.s ? t.s : "", arg, most, ids, n, e);
		text_free(&t);
	}
	if (rc) {
		free(*ids);
		*ids = NULL;
	}
	return rc;
}
