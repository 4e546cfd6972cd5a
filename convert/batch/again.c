/* SPDX-License-Identifier: MIT */
#include "convert/batch/again.h"

#include <stdio.h>
#include <time.h>

void again_rest(double seconds, const volatile sig_atomic_t *stop)
{
	struct timespec p = { .tv_nsec = 50 * 1000 * 1000 };
	int n = (int)(seconds * 20);

	while (!(stop && *stop) && n-- > 0)
		nanosleep(&p, NULL);
}

bool again_worth(struct again *a, struct err *e)
{
	char line[sizeof e->text + 20];

	if (e->kind != ERR_SYSTEM || e->rule || ++a->failed == AGAIN_TRIES || (a->stop && *a->stop))
		return false;
	snprintf(line, sizeof line, "%s; trying again", e->text);
	if (a->note)
		a->note(line);
	*e = (struct err){ 0 };
	again_rest(0.25 * (1 << a->failed), a->stop);
	return true;
}
