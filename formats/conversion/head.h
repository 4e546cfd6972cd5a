/* head.h -- the few members of a manifest.json that say what it is, for those who only ask what a folder
 * holds.
 *
 * Nothing else of the document is read, and nothing of it is to be believed beyond the answer to "what is
 * this": who acts on what a manifest lists reads it with manifest.h.
 *
 * SPDX-License-Identifier: MIT */
#ifndef FORMATS_CONVERSION_HEAD_H
#define FORMATS_CONVERSION_HEAD_H
#include "core/err.h"
#include "core/io.h"
#include "core/text.h"
#include "formats/conversion/seal.h"

#ifdef __cplusplus
extern "C" {
#endif

enum head_form {
	HEAD_ABSENT,  /* there is no manifest.json */
	HEAD_FOREIGN, /* there is one, and it does not say that it is one of ours */
	HEAD_FOLDER,  /* FORMAT_MANIFEST: a folder with weights, or the source/ of a conversion */
	HEAD_SET      /* FORMAT_SET: a folder with the folders of a set */
};

struct head {
	enum head_form form;
	enum seal seal; /* of ours alone */
	/* "" where the document does not say it, or says it in another form than ours. */
	char target[64];  /* --target of the conversion; "source" of a folder source/ */
	char plan[65];    /* hash of the plan, in hex */
	char restore[96]; /* the folder that restore needs; of FORMAT_MANIFEST */
	bool part;        /* options.layers: it was made of some layers only */
};

/* Reads manifest.json in the open folder dir. Returns -1 where it cannot be told what it is: something that
 * is not a regular file has its name, it is larger than MANIFEST_CAP, or it cannot be read. At most that
 * much memory is used, and freed again. */
int head_read(struct head *h, const struct io *io, int dir, struct err *e);
/* Reads the hash of the plan, in hex, that a manifest or a sidecar says it is of, up to that member, and at most
 * MANIFEST_CAP bytes; "" where there is no such file or member, or no JSON up to it. Returns -1 where that
 * cannot be found out. */
int head_plan(const struct io *io, int dir, const char *name, char plan[65], struct err *e);
/* The same as head_read of a document in memory, which is there. */
void head_of(struct head *h, const struct text *t);

#ifdef __cplusplus
}
#endif
#endif
