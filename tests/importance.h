/* importance.h -- for tests: a file of importance of one tensor.
 *
 * SPDX-License-Identifier: MIT */
#ifndef TESTS_IMPORTANCE_H
#define TESTS_IMPORTANCE_H
#include "core/text.h"
#include "formats/gguf/gguf_write.h"
#include "formats/gguf/imatrix.h"
#include "tests/shell.h"

/* Writes importance of one tensor of cols x mats, which grows along the columns; first is that of the first value. Returns where. */
static inline struct path importance(const char *name, uint64_t cols, uint64_t mats, float first)
{
	struct path p = dirs_path("importance.gguf");
	const struct imatrix_head head = { .dataset = "none", .chunks = 1, .chunk_size = 1 };
	struct gguf_out o = { 0 };
	struct text t = { 0 };
	uint64_t i;
	float x;

	imatrix_begin(&o, &head);
	CHECK(imatrix_put(&o, name, cols, mats));
	gguf_write_head(&o, &t);
	for (i = 0; i < cols * mats; i++) {
		x = i ? (float)(i % cols * i % cols) + 0.5f : first;
		text_put(&t, &x, sizeof x);
	}
	while (t.n % GGUF_ALIGNMENT)
		text_put(&t, "", 1);
	for (i = 0, x = 2; i < mats; i++)
		text_put(&t, &x, sizeof x);
	while (t.n % GGUF_ALIGNMENT)
		text_put(&t, "", 1);
	file_put_all(p.s, t.s, t.n);
	text_free(&t);
	gguf_out_free(&o);
	return p;
}
#endif
