/* trap.h -- what one engine trips over in a checkpoint that is sound: a table of checks, each of one engine.
 *
 * consumer.h says what each engine takes for granted about number formats; these are the rest: numbers that a strict
 * reader of config.json wants spelled otherwise, shapes that a kernel divides by zero with, members that only one
 * engine reads. Each was seen when the engine was run (docs/engines.md) or stands in its source.
 *
 * SPDX-License-Identifier: MIT */
#ifndef VERIFY_DOCTOR_TRAP_H
#define VERIFY_DOCTOR_TRAP_H
#include "formats/model/audit.h"
#include "verify/doctor/consumer.h"
#include "verify/report/report.h"

#include <jansson.h>

#ifdef __cplusplus
extern "C" {
#endif

struct trap_view {
	const struct consumer *who;
	const struct audit *a;
	const json_t *o; /* config.json */
	struct report *r;
};

/* Adds a finding to v->r for each trap of v->who that the checkpoint has. */
void trap_judge(const struct trap_view *v);

#ifdef __cplusplus
}
#endif
#endif
