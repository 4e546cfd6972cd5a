/* SPDX-License-Identifier: MIT */
#include "verify/doctor/module_pattern.h"

#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	REGEX_MOST = 512, /* bytes of an expression */
	POSIX_MOST = 8 * REGEX_MOST + 8,
	/* Groups with a + behind them: the C library compiles each twice, so that those in each other cost 2^n. */
	REPEATED_MOST = 4,
	MODULE_MOST = 256 /* of a name, with what stands before it */
};

/* Appends s, for which there is room: no byte of an expression becomes more than eight. */
static void put(char *out, size_t *n, const char *s)
{
	size_t k = strlen(s);

	memcpy(out + *n, s, k);
	*n += k;
}

/* A letter behind a backslash. Returns false for what POSIX has not, or what refers back. */
static bool put_escaped(char *out, size_t *n, char c, bool set)
{
	const char one[] = { '[', c, ']', 0 };

	if (c == 'd')
		put(out, n, set ? "0-9" : "[0-9]");
	else if (c == 'w')
		put(out, n, set ? "a-zA-Z0-9_" : "[a-zA-Z0-9_]");
	else if (!set && c && strchr(".$|()[]*+?-_", c))
		put(out, n, one);
	else
		return false;
	return true;
}

/* Python's regular expression as an extended one of POSIX. Returns false where it has what POSIX has not, or counted
 * repetitions and references back, whose cost has no bound. */
static bool to_posix(const char *s, char out[POSIX_MOST])
{
	size_t n = 0;
	unsigned repeated = 0;
	bool set = false;

	if (strlen(s) > REGEX_MOST)
		return false;
	put(out, &n, "^(");
	for (; *s; s++) {
		if (*s == '\\') {
			if (!put_escaped(out, &n, *++s, set))
				return false;
		} else if (*s == '{' || (!strncmp(s, "(?", 2) && s[2] != ':')) {
			return false;
		} else if (!strncmp(s, "(?:", 3)) {
			out[n++] = '(';
			s += 2;
		} else {
			set = *s == '[' ? true : *s == ']' ? false : set;
			out[n++] = *s;
			repeated += !set && !strncmp(s, ")+", 2);
			if (repeated > REPEATED_MOST)
				return false;
			/* what is taken first is all the same to whether there is a match */
			s += !set && strchr("*+?", *s) && s[1] && strchr("?+", s[1]);
		}
	}
	put(out, &n, ")");
	out[n] = 0;
	return true;
}

/* Whether each parenthesis of an expression, of whatever length, has its mate. Without that, Python reads none. */
static bool has_mates(const char *s)
{
	size_t depth = 0;
	bool set = false;

	for (; *s; s++) {
		if (*s == '\\') {
			if (!*++s)
				return false;
		} else if (set) {
			set = *s != ']';
		} else if (*s == '[') {
			set = true;
			s += s[1] == '^';
			s += s[1] == ']'; /* stands for itself there */
		} else if (*s == '(') {
			depth++;
		} else if (*s == ')' && !depth--) {
			return false;
		}
	}
	return !set && !depth;
}

bool module_patterns_read(struct module_patterns *p, const json_t *list, bool glob)
{
	size_t n = json_array_size(list), i;
	char posix[POSIX_MOST];

	*p = (struct module_patterns){ .unknown = n > MODULE_PATTERNS };
	n = n > MODULE_PATTERNS ? MODULE_PATTERNS : n;
	p->v = calloc(n + 1, sizeof *p->v);
	if (!p->v)
		return false;
	for (i = 0; i < n; i++) {
		struct module_pattern *x = &p->v[p->n];
		const char *s = json_string_value(json_array_get(list, i));

		p->wrong = p->wrong || !s || (!glob && !strncmp(s, "re:", 3) && !has_mates(s + 3));
		if (!s || strlen(s) > REGEX_MOST) {
			p->unknown = true;
			continue;
		}
		if (!glob && !strcmp(s, "Linear")) {
			p->by_class = true;
			continue;
		}
		*x = (struct module_pattern){ .text = s,
			.is_regex = !glob && !strncmp(s, "re:", 3) };
		if (x->is_regex &&
			(!to_posix(s + 3, posix) ||
				regcomp(&x->regex, posix, REG_EXTENDED | REG_NOSUB))) {
			x->is_regex = false;
			x->unknown = p->unknown = true;
		}
		p->n++;
	}
	return true;
}

static bool one(const struct module_pattern *x, const char *module)
{
	if (x->unknown)
		return false;
	return x->is_regex ? !regexec(&x->regex, module, 0, NULL, 0) : !fnmatch(x->text, module, 0);
}

bool module_patterns_match(const struct module_patterns *p, const char *module)
{
	char full[MODULE_MOST];
	size_t i;

	snprintf(full, sizeof full, "model.%s", module);
	for (i = 0; i < p->n; i++)
		if (one(&p->v[i], module) || one(&p->v[i], full))
			return true;
	return false;
}

void module_patterns_free(struct module_patterns *p)
{
	size_t i;

	for (i = 0; i < p->n; i++)
		if (p->v[i].is_regex)
			regfree(&p->v[i].regex);
	free(p->v);
	*p = (struct module_patterns){ .n = 0 };
}
