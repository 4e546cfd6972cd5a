/* SPDX-License-Identifier: MIT */
#include "verify/run/prompts.h"

#include "core/mem.h"
#include "formats/json/jread.h"
#include "verify/run/tokens.h"

#include <stdlib.h>
#include <string.h>

static int put(struct prompts *p, uint32_t id, struct err *e)
{
	size_t n = p->at[p->n];

	if (mem_grow(&p->ids, &p->ids_cap, n + 1, sizeof *p->ids))
		return err_nomem(e);
	p->ids[n] = id;
	p->at[p->n] = n + 1;
	return 0;
}

/* Begins the prompt after those that are there: at[n] is then where it ends so far. */
static int begin(struct prompts *p, struct err *e)
{
	if (mem_grow(&p->at, &p->at_cap, p->n + 2, sizeof *p->at))
		return err_nomem(e);
	if (!p->n)
		p->at[0] = 0;
	p->at[p->n + 1] = p->at[p->n];
	p->n++;
	return 0;
}

/* A line: a list of ids. */
static int line(struct prompts *p, const char *s, size_t n, uint32_t most, struct err *e)
{
	struct jread j;
	uint64_t id;
	int more;

	if (begin(p, e))
		return -1;
	jread_open_mem(&j, s, n, 1, e);
	more = jread_array(&j) ? -1 : 0;
	while (!more && (more = jread_item(&j)) == 1)
		more = jread_u64(&j, UINT32_MAX, &id) || put(p, (uint32_t)id, e) ||
				(prompts_tokens(p, p->n - 1) > most &&
					err_set(e, ERR_USAGE, "more than %u tokens", most))
			? -1
			: 0;
	if (!more && jread_end(&j, true))
		more = -1;
	jread_close(&j);
	if (!more && !prompts_tokens(p, p->n - 1))
		return err_set(e, ERR_USAGE, "no tokens");
	return more;
}

static int lines(struct prompts *p, const char *path, const struct text *t, uint32_t most,
	struct err *e)
{
	const char *s = t->s, *end = t->s + t->n, *nl;
	struct err bad = { 0 };
	size_t no = 1, n;

	for (; s < end; s += n + 1, no++) {
		nl = memchr(s, '\n', (size_t)(end - s));
		n = nl ? (size_t)(nl - s) : (size_t)(end - s);
		if (strspn(s, " \t\r") >= n)
			continue;
		if (line(p, s, n, most, &bad))
			return err_set(e, bad.kind == ERR_SYSTEM ? ERR_SYSTEM : ERR_USAGE,
				"%s, line %zu: %s", text_quote(path).s, no, bad.text);
	}
	return 0;
}

static int one(struct prompts *p, const struct io *io, const char *arg, uint32_t most,
	struct err *e)
{
	uint32_t n;

	if (tokens_read(io, arg, most, &p->ids, &n, e))
		return -1;
	p->at = malloc(2 * sizeof *p->at);
	if (!p->at)
		return err_nomem(e);
	p->at[0] = 0;
	p->at[1] = n;
	p->n = 1;
	return 0;
}

int prompts_read(struct prompts *p, const struct io *io, const char *arg, uint32_t most,
	struct err *e)
{
	struct text t = { 0 };
	bool json = false;
	int rc = 0;

	memset(p, 0, sizeof *p);
	if (!tokens_typed(arg)) {
		rc = tokens_load(io, arg, PROMPTS_FILE_MAX, &t, e);
		json = !rc && t.n && t.s[strspn(t.s, " \t\r\n")] == '[';
	}
	if (!rc)
		rc = json ? lines(p, arg, &t, most, e) : one(p, io, arg, most, e);
	text_free(&t);
	if (rc)
		prompts_free(p);
	return rc;
}

int prompts_fit(const struct prompts *p, uint64_t vocabulary, struct err *e)
{
	size_t i, k = 0;

	for (i = 0; p->n && i < p->at[p->n]; i++) {
		while (i >= p->at[k + 1])
			k++;
		if (p->ids[i] >= vocabulary)
			return err_set(e, ERR_USAGE,
				"prompt %zu: token %zu is %u, the vocabulary ends at %llu", k + 1,
				i - p->at[k], p->ids[i], (unsigned long long)vocabulary - 1);
	}
	return 0;
}

void prompts_free(struct prompts *p)
{
	free(p->ids);
	free(p->at);
	memset(p, 0, sizeof *p);
}
