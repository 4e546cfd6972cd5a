/* slice_said.h -- what a slice says of itself, held to its source: config.json is derived once more, byte for byte, and every tensor
 * comes from a block that the option layers of the manifest names, under the number that this block has in the slice.
 *
 * SPDX-License-Identifier: MIT */
#ifndef VERIFY_COMPARE_SLICE_SAID_H
#define VERIFY_COMPARE_SLICE_SAID_H
#include "formats/model/checkpoint.h"
#include "verify/compare/walk.h"

#ifdef __cplusplus
extern "C" {
#endif

struct slice_said {
	const struct io *io;
	const struct ckpt *source; /* borrows */
	const bool *on; /* borrows; blocks of the source as in selection.h, by the option layers */
	size_t places;  /* of on */
	enum codec
		experts; /* number format of the source's experts, for a config.json that does not say it; may be CODEC_NONE */
	struct report *r; /* borrows */
};

/* Holds config.json of the folder of f, whose bytes are got, to the source. How many experts stay, and by which engram_vocab_size
 * tables are cut, its manifest says in options; those of old manifests are taken from config.json. All of it is held to names and
 * shapes of the tensors. Reports
 * (compare.file) and returns false where it is another one. */
bool slice_said_config(const struct slice_said *s, const struct walk_file *f,
	const struct text *got);
/* Reports (compare.lost) each tensor of the file that comes from a block that does not stay, or has another number. */
void slice_said_tensors(const struct slice_said *s, const struct walk_file *f);

#ifdef __cplusplus
}
#endif
#endif
