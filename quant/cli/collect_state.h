/* collect_state.h -- how far a call of dsv4-quant imatrix came, kept in FILE.partial so that the next one goes on: for each
 * layer that is done, in order, the digests of its file and of the streams that came out of it.
 *
 *	state      RUN newline, then for each layer FILE-DIGEST space STREAMS-DIGEST newline; XXH3-128 in hex
 *	layer-N    the sums of a layer
 *	streams.0, streams.1
 *	           what goes into even and into odd layers, in turn
 *
 * Nothing in the folder is trusted further than these digests hold.
 *
 * SPDX-License-Identifier: MIT */
#ifndef QUANT_CLI_COLLECT_STATE_H
#define QUANT_CLI_COLLECT_STATE_H
#include "core/err.h"
#include "core/hash/xxh.h"
#include "core/io.h"

#ifdef __cplusplus
extern "C" {
#endif

#define COLLECT_STATE "state"
enum { COLLECT_NAME = 32 };

struct collect_digests {
	struct xxh_digest file, streams;
};

struct collect_state {
	const struct io *io;       /* borrows, as what follows */
	int dir;                   /* FILE.partial */
	const char *run;           /* what results_run says of this call; 32 characters */
	uint32_t layers, done;     /* of the model; of these, the first so many hold */
	struct collect_digests *v; /* owns; [layers] */
};

/* Writes the name of the file of a layer. */
void collect_layer_name(char out[COLLECT_NAME], uint32_t layer);
/* Makes the state of a call by which nothing is done. Returns 0, or -1 where memory is out; then nothing is held. */
int collect_state_begin(struct collect_state *s, const struct io *io, int dir, const char *run,
	uint32_t layers, struct err *e);
/* Frees what is held. */
void collect_state_end(struct collect_state *s);
/* Sets done to the layers that a call before did and whose files hold, if the streams that the next one takes hold as well;
 * else to 0. streams are the open files, bytes what each of them has. Returns 0, or -1 where memory is out. */
int collect_state_read(struct collect_state *s, const int streams[2], uint64_t bytes,
	struct err *e);
/* Adds a layer, whose file and streams have these digests, and writes the state. Returns 0 or -1. */
int collect_state_add(struct collect_state *s, const struct collect_digests *d, struct err *e);

#ifdef __cplusplus
}
#endif
#endif
