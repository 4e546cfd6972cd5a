/* ranks.h -- model0-mpN.safetensors .. of target official, read as one checkpoint: each tensor joined from the
 * ranks as the official converter shared it (formats/model/model.h says how).
 *
 * The folder has no config.json: what the tensors are is said by the source that it is compared with. Types may
 * differ from the source's where the converter changes them (wo_a in BF16, experts in FP8).
 *
 * SPDX-License-Identifier: MIT */
#ifndef FORMATS_MODEL_RANKS_H
#define FORMATS_MODEL_RANKS_H
#include "formats/model/checkpoint.h"
#include "formats/model/model.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { RANKS_MAX = 256 };

struct rank_file {
	int fd;             /* owns */
	struct st_header h; /* sorted by name */
	char name[48];
};
struct ranks {
	const struct io *io;
	const struct inventory *inv; /* borrows */
	const struct ckpt *c;
	struct rank_file *v; /* owns */
	uint32_t n;
	struct ckpt_payload payload;
	struct arena arena;
};

/* Is there one? */
bool ranks_there(const struct io *io, const char *path);
/* Makes *c (zeroed) of the files: its tensors and payload, and nothing else of it. inv is the source's. */
int ranks_open(struct ranks *r, struct ckpt *c, const struct io *io, const char *path,
	const struct inventory *inv, struct err *e);
void ranks_close(struct ranks *r, struct ckpt *c);

#ifdef __cplusplus
}
#endif
#endif
