/* gguf_edit.h -- a GGUF file written once more with one thing changed: what a converter with a fault in it would write.
 *
 * SPDX-License-Identifier: MIT */
#ifndef TESTS_GGUF_EDIT_H
#define TESTS_GGUF_EDIT_H
#include "core/file.h"
#include "formats/gguf/gguf_file.h"
#include "formats/gguf/gguf_write.h"
#include "tests/dirs.h"

#include <fcntl.h>

struct gguf_edit {
	const char *key;          /* this pair is left out, or gets value; NULL: none */
	struct gguf_value *value; /* NULL: left out; of an array count items are all fill */
	struct gguf_value fill;
	const char *tensor;  /* this tensor is left out, or called to; NULL: none */
	const char *to;      /* NULL: left out */
	const uint64_t *dim; /* of the tensor that is called to; NULL: as it is */
	const char *add;     /* a tensor of 4 F32 more; NULL: none */
};

static inline void gguf_edit_pairs(struct gguf *g, struct gguf_out *o, const struct gguf_edit *x)
{
	struct gguf_value v, item;
	uint64_t i;
	bool seen = false;
	struct text key = { 0 };

	while (gguf_pair(g, &v) == 1) {
		key.n = 0;
		text_str(&key, g->key.s); /* the reader's goes with the next item */
		if (x->key && !strcmp(key.s, x->key)) {
			seen = true;
			continue;
		}
		gguf_put_value(o, key.s, &v);
		while (v.type == GGUF_ARRAY && gguf_item(g, &item) == 1)
			gguf_put_item(o, &item);
	}
	text_free(&key);
	CHECK_IN(x->key ? x->key : "", !x->key || seen || x->value);
	if (x->key && x->value) {
		gguf_put_value(o, x->key, x->value);
		for (i = 0; x->value->type == GGUF_ARRAY && i < x->value->count; i++)
			gguf_put_item(o, &x->fill);
	}
}

/* Writes from as to. */
static inline void gguf_edit(const char *from, const char *to, const struct gguf_edit *x)
{
	static const uint8_t zeros[64];
	static const uint64_t four = 4;
	struct gguf_out o = { 0 };
	struct gguf_file f = { 0 };
	struct arena arena = { 0 };
	struct text head = { 0 };
	struct err e = { 0 };
	struct gguf g;
	uint8_t *p;
	size_t n, i;
	int fd = open(from, O_RDONLY);

	p = file_get_all(from, &n);
	CHECK(p && !gguf_file_read(&f, io_posix(), fd, n, NULL, NULL, &arena, &e));
	CHECK(!gguf_open(&g, io_posix(), fd, n, &e));
	gguf_edit_pairs(&g, &o, x);
	gguf_close(&g);
	close(fd);
	for (i = 0; i < f.n; i++) {
		const struct gguf_tensor *t = &f.tensors[i];
		bool it = x->tensor && !strcmp(t->name, x->tensor);

		if (!it || x->to)
			gguf_put_tensor(&o, it ? x->to : t->name, t->type,
				it && x->dim ? x->dim : t->dim, t->rank);
	}
	if (x->add)
		gguf_put_tensor(&o, x->add, 0, &four, 1);
	gguf_write_head(&o, &head);
	for (i = 0; i < f.n; i++) {
		const struct gguf_tensor *t = &f.tensors[i];

		if (x->tensor && !x->to && !strcmp(t->name, x->tensor))
			continue;
		text_put(&head, p + f.data_at + t->at, (size_t)t->bytes);
		text_put(&head, zeros, (size_t)(gguf_pad(t->bytes, 32) - t->bytes));
	}
	if (x->add)
		text_put(&head, zeros, 16);
	unlink(to);
	file_put_all(to, head.s, head.n);
	text_free(&head);
	gguf_out_free(&o);
	gguf_file_free(&f);
	arena_free(&arena);
	free(p);
}

#endif
