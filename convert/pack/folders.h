/* folders.h -- the two folders of a pack or unpack: what lies in one, and that the other holds nothing else.
 *
 * SPDX-License-Identifier: MIT */
#ifndef CONVERT_PACK_FOLDERS_H
#define CONVERT_PACK_FOLDERS_H
#include "convert/pack/pack_opts.h"
#include "convert/pack/scan.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Zeroed and both -1 = none. */
struct pack_folders {
	const struct pack_opts *o; /* borrows */
	int from, to;              /* own */
	struct scan in, out;       /* own; what lies in them; out as it was before */
};

/* Opens and locks o->out, which is made, and lists both. */
int pack_folders_open(struct pack_folders *f, const struct pack_opts *o, struct err *e);
void pack_folders_close(struct pack_folders *f);
/* Removes unfinished files of o->out and refuses all others that wanted does not name (with archive.other). wanted is
 * asked for files and folders. */
int pack_folders_clean(const struct pack_folders *f,
	bool (*wanted)(const void *ctx, const char *path, bool folder), const void *ctx,
	struct err *e);

#ifdef __cplusplus
}
#endif
#endif
