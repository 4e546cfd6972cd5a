/* SPDX-License-Identifier: MIT */
#include "core/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

__attribute__((format(printf, 5, 0))) static int report(struct err *e, enum err_kind kind,
	const char *rule, uint64_t pos, const char *fmt, va_list ap)
{
	if (!e || e->kind != ERR_NONE)
		return -1;
	e->kind = kind;
	e->rule = rule;
	e->pos = pos;
	e->blame = kind == ERR_USAGE ? BLAME_CALL : BLAME_NOBODY;
	vsnprintf(e->text, sizeof e->text, fmt, ap);
	return -1;
}

int err_set(struct err *e, enum err_kind kind, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	report(e, kind, NULL, ERR_NOPOS, fmt, ap);
	va_end(ap);
	return -1;
}

int err_sys(struct err *e, const char *fmt, ...)
{
	const char *why = strerror(errno);
	size_t n;
	va_list ap;

	if (!e || e->kind != ERR_NONE)
		return -1;
	va_start(ap, fmt);
	report(e, ERR_SYSTEM, NULL, ERR_NOPOS, fmt, ap);
	va_end(ap);
	n = strlen(e->text);
	snprintf(e->text + n, sizeof e->text - n, ": %s", why);
	return -1;
}

int err_nomem(struct err *e)
{
	return err_set(e, ERR_SYSTEM, "out of memory");
}

int err_rule(struct err *e, enum rule_id rule, uint64_t pos, const char *fmt, ...)
{
	const struct rule *broken;
	va_list ap;

	if (!e || e->kind != ERR_NONE)
		return -1;
	broken = rule_broken(rule);
	va_start(ap, fmt);
	report(e, broken->kind, broken->id, pos, fmt, ap);
	va_end(ap);
	return -1;
}

int err_move(struct err *e, struct err *from)
{
	if (from->kind == ERR_NONE)
		return 0;
	if (e && e->kind == ERR_NONE)
		*e = *from;
	memset(from, 0, sizeof *from);
	return -1;
}

int err_of_call(struct err *e, const char *option)
{
	struct err was;

	if (!e || (e->kind != ERR_DATA && e->kind != ERR_MISMATCH))
		return -1;
	was = *e;
	memset(e, 0, sizeof *e);
	return err_set(e, ERR_USAGE, "%s: %s%s%s%s", option, was.text, was.rule ? " (" : "",
		was.rule ? was.rule : "", was.rule ? ")" : "");
}

int err_blame(struct err *e, enum err_blame who)
{
	if (e && e->kind != ERR_NONE && e->blame == BLAME_NOBODY)
		e->blame = who;
	return -1;
}

int err_at(struct err *e, const char *fmt, ...)
{
	char place[320], old[sizeof e->text];
	size_t n, room;
	va_list ap;

	if (!e || e->kind == ERR_NONE)
		return -1;
	va_start(ap, fmt);
	vsnprintf(place, sizeof place, fmt, ap);
	va_end(ap);
	memcpy(old, e->text, sizeof old);
	n = (size_t)snprintf(e->text, sizeof e->text, "%s: ", place);
	room = sizeof e->text - n - 1; /* a long report loses its end */
	memcpy(e->text + n, old, strnlen(old, room));
	e->text[n + strnlen(old, room)] = 0;
	return -1;
}

int err_exit_code(const struct err *e)
{
	static const int code[] = { [ERR_NONE] = 0,
		[ERR_DATA] = 1,
		[ERR_MISMATCH] = 1,
		[ERR_UNSUPPORTED] = 2,
		[ERR_USAGE] = 2,
		[ERR_SYSTEM] = 2,
		[ERR_AGAIN] = 75 };

	return code[e->kind];
}
