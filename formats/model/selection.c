/* SPDX-License-Identifier: MIT */
#include "formats/model/selection.h"
#include "formats/model/vision.h"

#include "core/cli/value.h"
#include "core/text.h"

#include <stdlib.h>
#include <string.h>

static int select_word(const char *who, bool *on, const struct config *c, const char *s, size_t n,
	struct err *e)
{
	char word[32], *dash;
	uint64_t from, to, i, head = c->L + 1;

	if (n == 0 || n >= sizeof word)
		return err_set(e, ERR_USAGE, "%s: \"%s\" is too long or empty", who,
			text_quote_n(s, n).s);
	memcpy(word, s, n);
	word[n] = 0;
	if (!strcmp(word, "embed")) {
		on[0] = true;
	} else if (!strcmp(word, "head")) {
		on[head] = true;
	} else if (!strcmp(word, "mtp")) {
		for (i = 0; i < c->stages; i++)
			on[head + 1 + i] = true;
	} else if (!strncmp(word, "mtp.", 4)) {
		if (!c->stages || cli_number(word + 4, 0, c->stages - 1, &i, NULL))
			return err_set(e, ERR_USAGE, "%s: there is no %s", who, text_quote(word).s);
		on[head + 1 + i] = true;
	} else {
		dash = strchr(word, '-');
		if (dash)
			*dash = 0;
		if (cli_number(word, 0, c->L - 1, &from, NULL) ||
			cli_number(dash ? dash + 1 : word, 0, c->L - 1, &to, NULL) || to < from)
			return err_set(e, ERR_USAGE,
				"%s: \"%s\" is no layer or range from 0 to %llu, nor embed, head, mtp, "
				"mtp.N",
				who, text_quote_n(s, n).s, (unsigned long long)(c->L - 1));
		for (i = from; i <= to; i++)
			on[1 + i] = true;
	}
	return 0;
}

int selection_take(const char *who, bool *on, const struct config *c, const char *list,
	struct err *e)
{
	size_t n;

	for (;; list += n + 1) {
		n = strcspn(list, ",");
		if (select_word(who, on, c, list, n, e))
			return -1;
		if (!list[n])
			return 0;
	}
}

int selection_read(bool *on, size_t places, const struct config *c, const char *list, struct err *e)
{
	if (list)
		return selection_take("--layers", on, c, list, e);
	memset(on, true, places);
	return 0;
}

/* The number in front of the next dot; SIZE_MAX where there is none below end. */
static size_t number_of(const char *s, uint64_t end)
{
	size_t n = 0, digits = strspn(s, "0123456789"), i;

	if (!digits || digits > 6 || (s[digits] && s[digits] != '.'))
		return SIZE_MAX;
	for (i = 0; i < digits; i++)
		n = 10 * n + (size_t)(s[i] - '0');
	return n < end ? n : SIZE_MAX;
}

size_t selection_place(const struct config *c, const char *name)
{
	static const char layers[] = "layers.", mtp[] = "mtp.", embed[] = "embed.";
	size_t n;

	if (!strncmp(name, layers, sizeof layers - 1)) {
		n = number_of(name + sizeof layers - 1, c->L);
		return n == SIZE_MAX ? n : 1 + n;
	}
	if (!strncmp(name, mtp, sizeof mtp - 1)) {
		n = number_of(name + sizeof mtp - 1, c->stages);
		return n == SIZE_MAX ? n : (size_t)c->L + 2 + n;
	}
	return strncmp(name, embed, sizeof embed - 1) && !vision_has(name) ? (size_t)c->L + 1 : 0;
}
