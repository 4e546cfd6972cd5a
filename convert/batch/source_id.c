/* SPDX-License-Identifier: MIT */
#include "convert/batch/source_id.h"

#include "core/hash/sha256.h"
#include "core/text.h"

int source_id(const struct job *j, char id[65], struct err *e)
{
	const struct ckpt *c = &j->c;
	struct text t = { 0 };
	char hex[65];
	uint8_t sha[32];
	size_t i;
	int rc;

	for (i = 0; i < c->n_shards; i++) {
		text_fmt(&t, "%s %lld", c->shards[i].name, (long long)c->shards[i].st.st_size);
		if (j->has_expected) {
			hex_of(j->expected.sha256[i], 32, hex);
			text_fmt(&t, " %s", hex);
		} else if (
			!c->payload) { /* else it is read from a conversion, whose files have other times */
			text_fmt(&t, " %lld.%09ld", (long long)c->shards[i].st.st_mtim.tv_sec,
				c->shards[i].st.st_mtim.tv_nsec);
		}
		text_str(&t, "\n");
	}
	rc = t.failed ? err_nomem(e) : sha256_of(t.s, t.n, sha, e);
	text_free(&t);
	if (!rc)
		hex_of(sha, 32, id);
	return rc;
}
