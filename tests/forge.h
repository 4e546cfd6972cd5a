/* forge.h -- edits of a conversion whose digests and seals fit again.
 *
 * SPDX-License-Identifier: MIT */
#ifndef TESTS_FORGE_H
#define TESTS_FORGE_H
#include "tests/verify.h"

/* Exchanges text in config.json of the conversion, or in its manifest (in_manifest), and makes digests and seal fit again. */
static inline void forge(const char *dir, bool in_manifest, const char *from, const char *to)
{
	struct path file = model_file(dir, in_manifest ? MAN_NAME : "config.json");
	char old[65], now[65], was[96], is[96];
	struct stat a, b;

	digest_file(file.s, old);
	CHECK(!stat(file.s, &a));
	verify_exchange(file.s, from, to);
	if (!in_manifest) {
		digest_file(file.s, now);
		CHECK(!stat(file.s, &b));
		snprintf(was, sizeof was, "\"bytes\": %lld, \"name\": \"config.json\"",
			(long long)a.st_size);
		snprintf(is, sizeof is, "\"bytes\": %lld, \"name\": \"config.json\"",
			(long long)b.st_size);
		verify_exchange(model_file(dir, MAN_NAME).s, old, now);
		verify_exchange(model_file(dir, MAN_NAME).s, was, is);
	}
	verify_seal(dir);
}
#endif
