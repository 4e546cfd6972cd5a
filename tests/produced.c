/* produced.c -- notes which rules a test program produces, a test at a time.
 *
 * Test programs are linked with this file and with --wrap=rule_broken (Makefile), so that every report of a rule
 * comes by here. RULES in the environment asks for a line "rule ID" for each of them; tests/runner.c sets it.
 *
 * SPDX-License-Identifier: MIT */
#include "tests/produced.h"

#include "core/rule.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

static unsigned char
	*produced; /* [RULE_COUNT], shared with processes that a test forks; NULL: not asked for */

const struct rule *__real_rule_broken(enum rule_id id);
const struct rule *__wrap_rule_broken(enum rule_id id);

const struct rule *__wrap_rule_broken(enum rule_id id)
{
	if (produced)
		__atomic_store_n(&produced[id], 1, __ATOMIC_RELAXED);
	return __real_rule_broken(id);
}

void produced_begin(void)
{
	if (!getenv("RULES"))
		return;
	produced =
		mmap(NULL, RULE_COUNT, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (produced == MAP_FAILED) {
		perror("mmap");
		exit(2);
	}
}

bool produced_names(const char *text, const char *id)
{
	static const char in_ids[] = "abcdefghijklmnopqrstuvwxyz0123456789-.";
	const char *at;

	for (at = strstr(text, id); at; at = strstr(at + 1, id))
		if (!at[strlen(id)] || !strchr(in_ids, at[strlen(id)]))
			return true;
	return false;
}

void produced_in(const char *text)
{
	int i;

	for (i = 0; produced && i < RULE_COUNT; i++)
		if (produced_names(text, rules[i].id))
			produced[i] = 1;
}

void produced_print(void)
{
	int i;

	for (i = 0; produced && i < RULE_COUNT; i++) {
		if (produced[i])
			printf("rule %s\n", rules[i].id);
		produced[i] = 0;
	}
}
