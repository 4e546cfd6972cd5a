/* SPDX-License-Identifier: MIT */
#include "core/cli/value.h"

#include "core/mem.h"
#include "core/near.h"
#include "core/text.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

/* Reads the digits at *s, of which there must be one, and moves *s behind them. */
static bool digits(const char **s, uint64_t *v)
{
	const char *p = *s;

	for (*v = 0; *p >= '0' && *p <= '9'; p++)
		if (!mem_mul(*v, 10, v) || !mem_add(*v, (uint64_t)(*p - '0'), v))
			return false;
	if (p == *s)
		return false;
	*s = p;
	return true;
}

int cli_number(const char *s, uint64_t min, uint64_t max, uint64_t *v, struct err *e)
{
	const char *p = s;
	uint64_t n;

	if (!digits(&p, &n) || *p || n < min || n > max)
		return err_set(e, ERR_USAGE, "\"%s\" is not a number from %llu to %llu",
			text_quote(s).s, (unsigned long long)min, (unsigned long long)max);
	*v = n;
	return 0;
}

/* The bytes of a unit: "", "B", "M", "MiB" (2^20), "MB" (10^6) and so on. 0: it is none. */
static uint64_t unit_of(const char *s)
{
	static const char letters[] = "kmgtp";
	const char *at;
	uint64_t unit = 1;
	int i;

	if (!*s || !strcasecmp(s, "b"))
		return 1;
	at = strchr(letters, *s | 0x20);
	if (!at || (s[1] && strcasecmp(s + 1, "b") != 0 && strcasecmp(s + 1, "ib") != 0))
		return 0;
	for (i = 0; i <= at - letters; i++)
		unit *= s[1] && !s[2] ? 1000 : 1024;
	return unit;
}

int cli_size(const char *s, uint64_t min, uint64_t max, uint64_t *v, struct err *e)
{
	const char *p = s;
	uint64_t n, unit;

	if (digits(&p, &n) && (unit = unit_of(p)) && mem_mul(n, unit, &n) && n >= min && n <= max) {
		*v = n;
		return 0;
	}
	return err_set(e, ERR_USAGE,
		"\"%s\" is not a size from %llu to %llu bytes (such as 128M, 128MiB or 2GB)",
		text_quote(s).s, (unsigned long long)min, (unsigned long long)max);
}

int cli_choice(const struct cli_opt *o, const char *s, const char **v, struct err *e)
{
	char words[256], *word, *rest = words;
	struct near near = { .typed = s };

	snprintf(words, sizeof words, "%s", o->arg);
	while ((word = strsep(&rest, "|"))) {
		if (!strcmp(word, s)) {
			*v = s;
			return 0;
		}
		near_try(&near, word);
	}
	return err_set(e, ERR_USAGE, "\"%s\" is none of %s%s%s%s", text_quote(s).s, o->arg,
		near.word ? ". Did you mean " : "", near.word ? near.word : "",
		near.word ? "?" : "");
}

int cli_set(const struct cli_opt *o, const char *value, void *opts, struct err *e)
{
	char *at = (char *)opts + o->at;
	uint64_t n = 0;
	const char *s = value;
	bool yes = true;

	switch (o->kind) {
	case CLI_FLAG:
		memcpy(at, &yes, sizeof yes);
		return 0;
	case CLI_TEXT:
		memcpy(at, &s, sizeof s);
		return 0;
	case CLI_CHOICE:
		if (cli_choice(o, value, &s, e))
			return -1;
		memcpy(at, &s, sizeof s);
		return 0;
	case CLI_NUMBER:
		if (cli_number(value, o->min, o->max, &n, e))
			return -1;
		break;
	case CLI_THREADS:
		if (cli_number(value, 0, o->max, &n, e))
			return -1;
		break;
	case CLI_SIZE:
		if (cli_size(value, o->min, o->max, &n, e))
			return -1;
		break;
	}
	memcpy(at, &n, sizeof n);
	return 0;
}
