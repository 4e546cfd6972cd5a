/* poke.h -- for tests: bytes of tensors of a model changed where they lie.
 *
 * SPDX-License-Identifier: MIT */
#ifndef TESTS_POKE_H
#define TESTS_POKE_H
#include "tests/check.h"
#include "tests/model.h"

/* Writes n bytes over those at `at` of each tensor whose name begins and ends so. */
static inline void poke(const char *dir, const char *begin, const char *end, uint64_t at,
	const void *b, size_t n)
{
	struct findings f = { 0 };
	struct ckpt_opts co = { 0 };
	struct ckpt c;
	struct err e = { 0 };
	size_t i, size, m, done = 0;
	uint8_t *p;

	if (ckpt_open(&c, io_posix(), dir, &co, &f, &e)) {
		FAILED(e.text);
		return;
	}
	for (i = 0; i < c.n; i++) {
		const struct tensor *t = &c.tensors[i];
		const struct shard *s = &c.shards[t->shard];

		m = strlen(t->name);
		if (strncmp(t->name, begin, strlen(begin)) || m < strlen(end) ||
			strcmp(t->name + m - strlen(end), end) || t->end - t->begin < at + n)
			continue;
		p = file_get_all(model_file(dir, s->name).s, &size);
		memcpy(p + s->data_at + t->begin + at, b, n);
		model_put(dir, s->name, p, size);
		free(p);
		done++;
	}
	CHECK_IN(end, done);
	ckpt_close(&c);
	finding_free(&f);
}
#endif
