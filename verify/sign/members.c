/* SPDX-License-Identifier: MIT */
#include "verify/sign/members.h"

#include <string.h>

int members_next(struct members *m, struct jread *j, unsigned *which, struct err *e)
{
	unsigned i;
	int more;

	while ((more = jread_key(j)) == 1) {
		for (i = 0; m->names[i]; i++)
			if (j->str.n == strlen(m->names[i]) &&
				!memcmp(j->str.s, m->names[i], j->str.n))
				break;
		if (m->names[i]) {
			if (m->seen >> i & 1)
				return err_rule(e, RULE_SIG_TWICE, j->str_pos,
					"byte %llu: %s has %s twice",
					(unsigned long long)j->str_pos, m->what, m->names[i]);
			m->seen |= 1u << i;
			*which = i;
			return 1;
		}
		if (!m->loose)
			return err_rule(e, RULE_SIG_FORM, j->str_pos,
				"byte %llu: %s has a member %s, which it must not have",
				(unsigned long long)j->str_pos, m->what,
				text_quote_n(j->str.s, j->str.n).s);
		if (jread_skip(j))
			return -1;
	}
	return more;
}

int members_need(const struct members *m, unsigned mask, struct err *e)
{
	unsigned i, gone = mask & ~m->seen;

	for (i = 0; gone >> i; i++)
		if (gone >> i & 1)
			return err_rule(e, RULE_SIG_FORM, ERR_NOPOS, "%s has no %s", m->what,
				m->names[i]);
	return 0;
}
