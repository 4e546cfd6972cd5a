/* SPDX-License-Identifier: MIT */
#include "formats/gguf/gguf_set.h"

#include "formats/link.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char end[] = ".gguf";
enum { END = sizeof end - 1, NUMBERS = sizeof "-00001-of-00001" - 1, DIGITS = 5 };

bool gguf_named(const char *name)
{
	size_t n = strlen(name);

	return n > END && !strcmp(name + n - END, end);
}

bool gguf_part_name(char out[256], const char *stem, size_t stem_n, unsigned no, unsigned parts)
{
	int n;

	if (stem_n > 255 - NUMBERS - END)
		return false;
	if (parts == 1)
		n = snprintf(out, 256, "%.*s%s", (int)stem_n, stem, end);
	else
		n = snprintf(out, 256, "%.*s-%05u-of-%05u%s", (int)stem_n, stem, no + 1, parts,
			end);
	return n > 0 && n < 256;
}

/* Five digits at s; false where there are others. */
static bool digits(const char *s, unsigned *v)
{
	unsigned i;

	for (*v = 0, i = 0; i < DIGITS; i++) {
		if (s[i] < '0' || s[i] > '9')
			return false;
		*v = *v * 10 + (unsigned)(s[i] - '0');
	}
	return true;
}

bool gguf_part_parse(const char *name, size_t *stem_n, unsigned *no, unsigned *parts)
{
	size_t n = strlen(name);
	const char *at;

	if (!gguf_named(name) || n > 255)
		return false;
	*stem_n = n - END;
	*no = 0;
	*parts = 1;
	if (*stem_n <= NUMBERS)
		return true;
	at = name + *stem_n - NUMBERS;
	if (at[0] != '-' || !digits(at + 1, no) || memcmp(at + 1 + DIGITS, "-of-", 4) ||
		!digits(at + 1 + DIGITS + 4, parts))
		return true;
	*stem_n -= NUMBERS;
	return (*no)-- >= 1 && *no < *parts && *parts <= GGUF_PARTS_MAX;
}

int gguf_part_open(const struct io *io, int dir, const char *name, int *fd, struct stat *st,
	char blob[65], struct err *e)
{
	const struct link_dir d = { .io = io, .dir = dir, .follow = true };
	char actual[LINK_PATH];
	const char *hash = NULL;
	bool there;

	blob[0] = 0;
	if (link_open(&d, name, fd, st, &there, actual, &hash, e))
		return -1;
	if (!there)
		return err_rule(e, RULE_GGUF_PART_MISSING, ERR_NOPOS,
			"%s: this part of the model is not there", text_quote(name).s);
	if (hash)
		snprintf(blob, 65, "%.64s", hash);
	return 0;
}

static int read_part(struct gguf_set *s, struct gguf_part *p, const struct io *io, int dir,
	gguf_look *look, void *ctx, struct err *e)
{
	struct stat st;
	char blob[65];
	int fd, rc;

	if (gguf_part_open(io, dir, p->name, &fd, &st, blob, e))
		return -1;
	p->size = (uint64_t)st.st_size;
	rc = gguf_file_read(&p->file, io, fd, p->size, look, ctx, &s->arena, e);
	if (io->close(io, fd) && !rc)
		rc = err_sys(e, "closing");
	s->tensors += p->file.n;
	if (!rc && s->tensors > GGUF_TENSORS_MAX)
		rc = err_rule(e, RULE_GGUF_LIMIT, ERR_NOPOS, "the parts hold more than %u tensors",
			(unsigned)GGUF_TENSORS_MAX);
	return rc ? err_at(e, "%s", text_quote(p->name).s) : 0;
}

/* Whether a part is the one that its name says, and of the run of the first. */
static int check_part(const struct gguf_set *s, size_t i, struct err *e)
{
	const struct gguf_part *p = &s->parts[i], *first = &s->parts[0];
	struct text_quoted q = text_quote(p->name);
	const char *name = q.s;

	if (p->file.parts != s->n && (s->n > 1 || p->file.parts > 1))
		return err_rule(e, RULE_GGUF_PART_COUNT, ERR_NOPOS,
			"%s: the file says that it is of %u parts, by its name it is of %zu", name,
			p->file.parts, s->n);
	if (p->file.part != i)
		return err_rule(e, RULE_GGUF_PART_NUMBER, ERR_NOPOS,
			"%s: the file says that it is part %u (split.no counts from 0), by its name it is %zu",
			name, p->file.part, i);
	if (strcmp(p->file.run, first->file.run))
		return err_rule(e, RULE_GGUF_PART_RUN, ERR_NOPOS,
			"%s: the part comes from another run than %s", name,
			text_quote(first->name).s);
	if (s->n > 1 && p->file.all != s->tensors)
		return err_rule(e, RULE_GGUF_PART_RUN, ERR_NOPOS,
			"%s: it says that all parts hold %llu tensors, they hold %zu", name,
			(unsigned long long)p->file.all, s->tensors);
	return 0;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static int check_names(const struct gguf_set *s, struct err *e)
{
	const char **v = malloc((s->tensors + 1) * sizeof *v);
	size_t i, k, n = 0;
	int rc = 0;

	if (!v)
		return err_nomem(e);
	for (i = 0; i < s->n; i++)
		for (k = 0; k < s->parts[i].file.n; k++)
			v[n++] = s->parts[i].file.tensors[k].name;
	qsort(v, n, sizeof *v, by_name);
	for (i = 1; i < n && !rc; i++)
		if (!strcmp(v[i - 1], v[i]))
			rc = err_rule(e, RULE_GGUF_PART_RUN, ERR_NOPOS,
				"two parts hold a tensor of the name %s", text_quote(v[i]).s);
	free(v);
	return rc;
}

int gguf_set_read(struct gguf_set *s, const struct io *io, int dir, const char *name,
	gguf_look *look, void *ctx, struct err *e)
{
	unsigned no, parts;
	size_t stem, i;

	memset(s, 0, sizeof *s);
	if (!gguf_part_parse(name, &stem, &no, &parts))
		return err_rule(e, RULE_GGUF_PART_NUMBER, ERR_NOPOS,
			"%s: the name is not that of a GGUF file, or its numbers make no sense",
			text_quote(name).s);
	s->parts = calloc(parts, sizeof *s->parts);
	if (!s->parts)
		return err_nomem(e);
	s->n = parts;
	for (i = 0; i < parts; i++) {
		if (parts == 1) /* which may still be called -00001-of-00001 */
			memcpy(s->parts[i].name, name, strlen(name) + 1);
		else if (!gguf_part_name(s->parts[i].name, name, stem, (unsigned)i, parts))
			goto fail; /* cannot be: the name given has the same length */
		if (read_part(s, &s->parts[i], io, dir, i ? NULL : look, ctx, e))
			goto fail;
	}
	for (i = 0; i < parts; i++)
		if (check_part(s, i, e))
			goto fail;
	if (check_names(s, e))
		goto fail;
	return 0;
fail:
	gguf_set_free(s);
	return -1;
}

void gguf_set_free(struct gguf_set *s)
{
	size_t i;

	for (i = 0; i < s->n; i++)
		gguf_file_free(&s->parts[i].file);
	free(s->parts);
	arena_free(&s->arena);
	memset(s, 0, sizeof *s);
}
