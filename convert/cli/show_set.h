/* show_set.h -- a set, and what was made of it, as text and as JSON.
 *
 * SPDX-License-Identifier: MIT */
#ifndef CONVERT_CLI_SHOW_SET_H
#define CONVERT_CLI_SHOW_SET_H
#include "convert/run/set.h"
#include "formats/json/jwrite.h"

#ifdef __cplusplus
extern "C" {
#endif

struct show_set {
	const struct set *s;
	struct budget budget;
	uint64_t limit, room;
	bool room_known;
};
void show_set_text(struct text *out, const struct show_set *s);
void show_set_json(struct text *out, const struct show_set *s);

/* Gathers results, part by part, and sums up; json or lines for sha256sum -c. */
struct show_made {
	bool json;
	struct text out;
	struct jwrite j;
	struct run_result sum; /* without sha256 */
};
void show_made_begin(struct show_made *m, const struct set *s, bool json);
void show_made_part(void *made, const struct set_part *p, const struct run_result *r);
void show_made_end(struct show_made *m);

#ifdef __cplusplus
}
#endif
#endif
