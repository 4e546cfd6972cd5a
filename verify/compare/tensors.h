/* tensors.h -- all tensors of a folder, whatever it is: a checkpoint, a converted folder, a set. Sorted, with
 * digests where a sidecar has them.
 *
 * In a checkpoint a name is a key. In other folders the same name occurs in several files, and the key has
 * the file or the folder in front of it: "rank-0-of-2/embed.weight", "model0-mp2.safetensors/embed.weight".
 *
 * The keys of a GGUF are listed beside its tensors, as bytes: "key deepseek4.block_count (type 4.0)".
 *
 * SPDX-License-Identifier: MIT */
#ifndef VERIFY_COMPARE_TENSORS_H
#define VERIFY_COMPARE_TENSORS_H
#include "formats/model/checkpoint.h"
#include "verify/report/report.h"

#ifdef __cplusplus
extern "C" {
#endif

struct tensors_file {
	int fd; /* owns, unless it is the checkpoint's */
	const char *path;
};

struct tensors_entry {
	const char *key, *name; /* name is the end of key */
	const uint64_t *dim;
	uint64_t at, bytes; /* in the file */
	uint32_t file;
	uint8_t dtype, rank;
	uint32_t ggml; /* of a block of a GGUF, whose dtype is U8: its type; else 0 */
	bool has_xxh;
	struct xxh_digest xxh;
};

struct tensors {
	const struct io *io;
	struct tensors_entry *v; /* owns; sorted by key, none twice */
	size_t n, cap;
	struct tensors_file *files; /* owns */
	size_t n_files, files_cap;
	struct ckpt ckpt; /* io NULL: it is none */
	struct arena arena;
};

struct tensors_opts {
	const struct io *io;
	uint64_t header_cap;
	bool follow_links; /* as in ckpt_opts */
};

/* What is wrong with the folder goes to the report. -1 where nothing can be said. */
int tensors_open(struct tensors *t, const char *path, const struct tensors_opts *o,
	struct report *r, struct err *e);
void tensors_close(struct tensors *t);
/* Bytes off..off+n of an entry. */
int tensors_read(const struct tensors *t, const struct tensors_entry *v, uint64_t off, void *dst,
	size_t n, struct err *e);

#ifdef __cplusplus
}
#endif
#endif
