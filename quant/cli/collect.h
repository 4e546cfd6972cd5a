/* collect.h -- importance of a checkpoint's matrices, collected from its own activations: one layer at a time over all
 * prompts, so that neither memory nor a kill costs more than a layer.
 *
 *	OUT.partial/streams.0, streams.1   residual streams of all tokens, before and behind the layer that runs
 *	OUT.partial/layer-00007.gguf       the sums of a layer that is done
 *	OUT                                all of them, once the last is done; the folder is then removed
 *
 * SPDX-License-Identifier: MIT */
#ifndef QUANT_CLI_COLLECT_H
#define QUANT_CLI_COLLECT_H
#include "core/err.h"
#include "core/io.h"
#include "core/text.h"

#ifdef __cplusplus
extern "C" {
#endif

/* All pointers are borrowed, and none is NULL. */
struct collect_opts {
	const struct io *io;
	const char *tokens;         /* as typed: prompts.h */
	const char *out;            /* path of the file */
	unsigned features, threads; /* bits of enum cpu_feature; 0: as many as processors */
	uint64_t max_memory;        /* bytes; 0: no limit */
	bool follow_links;          /* as in ckpt_opts */
	bool fp32;                  /* activations of FP32 arithmetic; else of the model's own */
};

/* Writes the importance of the checkpoint in folder to the file o->out, which replaces one of the same kind. A call that finds
 * layers of the same model and tokens goes on behind them; *kept says how many. Returns 0, or -1: layers that are done stay in
 * OUT.partial. */
int collect_run(const char *folder, const struct collect_opts *o, uint32_t *kept, struct err *e);

/* Appends what an importance file, by whoever wrote it, has: matrices, and how many tokens each expert saw. json: as JSON
 * (dsv4-imatrix-1). Returns 0, or -1 where it cannot be read or is none; out may have a part then. */
int collect_show(const struct io *io, const char *path, bool json, struct text *out, struct err *e);

#ifdef __cplusplus
}
#endif
#endif
