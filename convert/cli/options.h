/* options.h -- rows of option tables over struct call (call.h), for the tools whose verbs have them.
 *
 * SPDX-License-Identifier: MIT */
#ifndef CONVERT_CLI_OPTIONS_H
#define CONVERT_CLI_OPTIONS_H
#include "convert/cli/call.h"
#include "core/cli/command.h"

/* clang-format off */
#define CALL_AT(field) offsetof(struct call, field)
#define CALL_JSON { "json", 0, NULL, CLI_FLAG, 0, 0, CALL_AT(json), "print one JSON document" }
#define CALL_HEADER { "max-header", 0, "BYTES", CLI_SIZE, 2, 1u << 30, CALL_AT(job.ckpt.header_cap), "longest shard header to take (100000000)" }
#define CALL_OUT { "out", 'o', "OUT", CLI_TEXT, 0, 0, CALL_AT(out), "folder to write to" }
#define CALL_QUIET { "quiet", 'q', NULL, CLI_FLAG, 0, 0, CALL_AT(quiet), "no progress, no closing line" }
#define CALL_LAYERS { "layers", 0, "LIST", CLI_TEXT, 0, 0, CALL_AT(job.plan.layers), "only these: numbers, ranges, embed, head, mtp, mtp.N" }
#define CALL_LOSSY { "lossy", 0, NULL, CLI_FLAG, 0, 0, CALL_AT(job.plan.lossy), "go on where a cast is not exact; the manifest says so" }
#define CALL_SHARD { "shard", 0, "NAME", CLI_TEXT, 0, 0, CALL_AT(job.plan.shard), "only this shard of the source" }
#define CALL_SHA256 { "source-sha256", 0, "LIST", CLI_TEXT, 0, 0, CALL_AT(job.source_sha256), "published digests: a list, or a folder of Git-LFS pointers" }
#define CALL_TENSORS { "tensors", 0, NULL, CLI_FLAG, 0, 0, CALL_AT(tensors), "also the fate of every source tensor" }
#define CALL_RUN \
	{ "no-sha256", 0, NULL, CLI_FLAG, 0, 0, CALL_AT(no_sha256), "digest outputs with XXH3 alone" }, \
	{ "overwrite", 0, NULL, CLI_FLAG, 0, 0, CALL_AT(overwrite), "replace the conversion that OUT holds: what its manifests name is removed, other files are refused" }, \
	{ "threads", 'j', "N", CLI_THREADS, 0, 1024, CALL_AT(threads), "threads (0: as many as processors that it may use, the default)" }, \
	{ "max-memory", 0, "BYTES", CLI_SIZE, 1, UINT64_MAX, CALL_AT(job.max_memory), "never hold more than this (1G)" }
#define CALL_SOURCE \
	{ "assume-experts", 0, "fp4|fp8", CLI_CHOICE, 0, 0, CALL_AT(assume), "what the experts are where config.json does not say it" }, \
	{ "hf-cache", 0, NULL, CLI_FLAG, 0, 0, CALL_AT(hf_cache), "does nothing: links of a hub cache are always taken" }, \
	{ "follow-links", 0, NULL, CLI_FLAG, 0, 0, CALL_AT(job.ckpt.follow_links), "follow links that lead to files elsewhere" }, \
	CALL_HEADER, \
	CALL_JSON
/* clang-format on */

#endif
