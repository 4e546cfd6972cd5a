/* SPDX-License-Identifier: MIT */
#include "formats/json/jmember.h"

#include "formats/json/jread.h"

#include <string.h>

/* Bytes of a member: its key begins at key, its value lies in from..to. from == to: there is none, and both are the
 * byte after the opening brace. */
struct place {
	size_t key, from, to;
};

static int find(const struct text *t, const char *name, struct place *p, struct err *e)
{
	struct jread j;
	size_t key;
	int more = -1;

	jread_open_mem(&j, t->s, t->n, JREAD_MAX_DEPTH, e);
	if (!jread_object(&j)) {
		p->key = p->from = p->to = (size_t)jread_pos(&j);
		while ((more = jread_key(&j)) == 1) {
			bool here = !strcmp(j.str.s, name);

			key = (size_t)j.str_pos;
			jread_peek(&j);
			if (here)
				*p = (struct place){ key, (size_t)jread_pos(&j), 0 };
			if (jread_skip(&j)) {
				more = -1;
				break;
			}
			if (here)
				p->to = (size_t)jread_pos(&j);
		}
	}
	jread_close(&j);
	return more;
}

/* Takes key, value and one comma out of the text: the comma behind, or the one before where none follows. */
static void widen(const struct text *t, struct place *p)
{
	static const char blank[] = " \t\r\n";
	size_t after = p->to + strspn(t->s + p->to, blank), before = p->key;

	if (t->s[after] == ',') {
		p->to = after + 1;
		while (p->key && strchr(blank, t->s[p->key - 1]))
			p->key--;
		return;
	}
	while (before && strchr(blank, t->s[before - 1]))
		before--;
	p->key = before && t->s[before - 1] == ',' ? before - 1 : p->key;
}

static int no_object(const char *key, const char *what, struct err *e)
{
	return e->kind
		? -1
		: err_rule(e, RULE_CONFIG_SYNTAX, ERR_NOPOS,
			  "the text is no JSON object: \"%s\" cannot be %s in it", key, what);
}

int jmember_get(const struct text *t, const char *key, struct text *value, bool *there,
	struct err *e)
{
	struct place p = { 0 };

	value->n = 0;
	if (find(t, key, &p, e))
		return no_object(key, "found", e);
	*there = p.from != p.to;
	text_put(value, t->s + p.from, p.to - p.from);
	return value->failed ? err_nomem(e) : 0;
}

int jmember_set(struct text *t, const char *key, const char *value, struct err *e)
{
	struct text out = { 0 };
	struct place p = { 0 };
	bool there;

	if (find(t, key, &p, e))
		return no_object(key, "set", e);
	there = p.from != p.to;
	if (!value && !there)
		return 0;
	if (!value)
		widen(t, &p);
	text_put(&out, t->s, value ? p.from : p.key);
	if (value && !there)
		text_fmt(&out, "\n  \"%s\": %s%s", key, value,
			t->s[p.to + strspn(t->s + p.to, " \t\r\n")] == '}' ? "" : ",");
	else if (value)
		text_str(&out, value);
	text_put(&out, t->s + p.to, t->n - p.to);
	if (out.failed) {
		text_free(&out);
		return err_nomem(e);
	}
	text_free(t);
	*t = out;
	return 0;
}

int jmember_set_in(struct text *t, const char *in, const char *key, const char *value,
	struct err *e)
{
	struct text sub = { 0 };
	bool there;
	int rc;

	if (!in)
		return jmember_set(t, key, value, e);
	rc = jmember_get(t, in, &sub, &there, e);
	if (!rc && !there)
		text_str(&sub, "{}");
	rc = rc ? rc : sub.failed ? err_nomem(e) : jmember_set(&sub, key, value, e);
	rc = rc ? rc : jmember_set(t, in, sub.s, e);
	text_free(&sub);
	return rc;
}
