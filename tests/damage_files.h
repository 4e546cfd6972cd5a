/* damage_files.h -- for tests: what happens to the files of a checkpoint or a conversion, a function for each.
 *
 * SPDX-License-Identifier: MIT */
#ifndef TESTS_DAMAGE_FILES_H
#define TESTS_DAMAGE_FILES_H
#include "tests/ck.h"

static inline void cut_to(const char *dir, const char *name, unsigned percent)
{
	struct path p = model_file(dir, name);
	size_t n;
	uint8_t *b = file_get_all(p.s, &n);

	model_put(dir, name, b, n * percent / 100);
	free(b);
}

static inline void cut(const char *dir)
{
	cut_to(dir, "model-00003-of-00007.safetensors", 83);
}

static inline void cut_rank(const char *dir)
{
	cut_to(dir, "model1-mp2.safetensors", 60);
}

/* The last part of a shard reads as zeros. */
static inline void hole(const char *dir)
{
	struct path p = model_file(dir, "model-00004-of-00007.safetensors");
	size_t n;
	uint8_t *b = file_get_all(p.s, &n);

	memset(b + n - n / 4, 0, n / 4);
	model_put(dir, "model-00004-of-00007.safetensors", b, n);
	free(b);
}

static inline void shard_gone(const char *dir)
{
	unlink(model_file(dir, "model-00005-of-00007.safetensors").s);
}

static inline void most_gone(const char *dir)
{
	char name[64];
	int i;

	for (i = 3; i <= 7; i++) {
		snprintf(name, sizeof name, "model-%05d-of-00007.safetensors", i);
		unlink(model_file(dir, name).s);
	}
}

static inline void header_zeros(const char *dir)
{
	struct path p = model_file(dir, "model-00003-of-00007.safetensors");
	size_t n;
	uint8_t *b = file_get_all(p.s, &n);

	memset(b, 0, 4096);
	model_put(dir, "model-00003-of-00007.safetensors", b, n);
	free(b);
}

static inline void pointer(const char *dir)
{
	static const char t[] =
		"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 5\n";

	model_put(dir, "model-00003-of-00007.safetensors", t, strlen(t));
}

static inline void page(const char *dir)
{
	static const char t[] = "<html><body>You need access to this repository</body></html>";

	model_put(dir, "model-00003-of-00007.safetensors", t, strlen(t));
}

static inline void rank_gone(const char *dir)
{
	unlink(model_file(dir, "model1-mp2.safetensors").s);
}

static inline void rank_more(const char *dir)
{
	model_put(dir, "model3-mp4.safetensors", "x", 1);
}

/* A matrix of experts in a rank's file: payload bytes in its file, by its header. */
static inline uint8_t *laid_out(const char *dir, struct path *file, size_t *n, const char *tensor,
	uint64_t *from, uint64_t *to)
{
	uint8_t *b;
	uint64_t len = 0;
	json_t *h, *at;

	*file = model_file(dir, "rank-0-of-2/model-00003-of-00007.safetensors");
	b = file_get_all(file->s, n);
	memcpy(&len, b, 8);
	h = json_loadb((char *)b + 8, (size_t)len, 0, NULL);
	at = json_object_get(json_object_get(h, tensor), "data_offsets");
	*from = 8 + len + (uint64_t)json_integer_value(json_array_get(at, 0));
	*to = 8 + len + (uint64_t)json_integer_value(json_array_get(at, 1));
	CHECK_IN(tensor, json_array_size(at) == 2 && *to <= *n);
	json_decref(h);
	return b;
}

/* Gate and up exchanged: the rows of w1 behind those of w3, for each of the four experts. */
static inline void gate_up(const char *dir)
{
	struct path file;
	uint64_t from, to, one, i;
	size_t n;
	uint8_t *b = laid_out(dir, &file, &n, "layers.1.ffn.experts.w13.weight", &from, &to), *half;

	one = (to - from) / 4;
	half = malloc(one / 2);
	for (i = 0; i < 4; i++) {
		uint8_t *p = b + from + i * one;

		memcpy(half, p, one / 2);
		memcpy(p, p + one / 2, one / 2);
		memcpy(p + one / 2, half, one / 2);
	}
	unlink(file.s);
	file_put_all(file.s, b, n);
	free(half);
	free(b);
}

/* Rows in the order of another run. */
static inline void rows_moved(const char *dir)
{
	struct path file;
	uint64_t from, to;
	size_t n;
	uint8_t *b = laid_out(dir, &file, &n, "layers.1.ffn.experts.w2.weight", &from, &to);

	memmove(b + from, b + from + 256, (size_t)(to - from) - 256);
	unlink(file.s);
	file_put_all(file.s, b, n);
	free(b);
}

/* A part of a dense matrix that is on every rank is another one on this. */
static inline void part_wrong(const char *dir)
{
	struct path file;
	uint64_t from, to;
	size_t n;
	uint8_t *b = laid_out(dir, &file, &n, "layers.1.attn.wo_b.weight", &from, &to);

	memset(b + from, 0x11, 128);
	unlink(file.s);
	file_put_all(file.s, b, n);
	free(b);
}
#endif
