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
#define CALL_JOB \
	{ "job", 0, "JOB", CLI_TEXT, 0, 0, CALL_AT(job_dir), "make this job folder, for several processes: run JOB --task i/N, then finalize JOB" }, \
	{ "tasks", 0, "N", CLI_NUMBER, 1, 65536, CALL_AT(tasks), "with --job: how many processes share the work" }, \
	{ "lease", 0, "SECONDS", CLI_NUMBER, 1, 1u << 20, CALL_AT(lease), "with --job: a task whose heart has not beaten for so long is taken for dead (120)" }
#define CALL_TASK \
	{ "task", 0, "i/N", CLI_TEXT, 0, 0, CALL_AT(task), "of a job: which task this is, i from 0 (as the scheduler's environment says)" }, \
	{ "steal", 0, NULL, CLI_FLAG, 0, 0, CALL_AT(steal), "of a job: then make files of other tasks that nobody is at" }, \
	{ "launcher", 0, "torchrun", CLI_CHOICE, 0, 0, CALL_AT(launcher), "of a job: also believe RANK and WORLD_SIZE" }
#define CALL_FOLLOW \
	{ "follow", 0, NULL, CLI_FLAG, 0, 0, CALL_AT(follow), "DIR is being downloaded: convert each shard as soon as it is whole and has its published SHA-256 (--source-sha256, or a hub's cache)" }, \
	{ "follow-timeout", 0, "SECONDS", CLI_NUMBER, 0, 1u << 30, CALL_AT(follow_timeout), "with --follow: give up, with 75, when nothing in DIR has changed for so long (3600)" }
#define CALL_FULL { "full", 0, NULL, CLI_FLAG, 0, 0, CALL_AT(full), "read every file once more and hold it to the digest of its receipt" }
#define CALL_THREADS { "threads", 'j', "N", CLI_THREADS, 0, 1024, CALL_AT(threads), "threads (0: as many as processors that it may use, the default)" }
#define CALL_MACHINE \
	CALL_THREADS, \
	{ "max-memory", 0, "BYTES", CLI_SIZE, 1, UINT64_MAX, CALL_AT(job.max_memory), "never hold more than this (1G)" }
/* Verbs of jobs, with table_opts, final_opts and run_finalize of the tool. */
#define CALL_JOB_VERBS \
	{ "status", "JOB", "how far the tasks of a job are; reads files only", \
		"JOB is a job folder of plan --job. A task is running, ended, gone (its process is none of\n" \
		"this machine any more), or not begun.\n", \
		table_opts, 1, 1, task_call_status }, \
	{ "finalize", "JOB", "the end of a job: hold every file to its receipt, write the manifests", \
		"What it leaves has the bytes that one process would have written. It exits with 75 as long\n" \
		"as receipts are missing, and may be called again.\n", \
		final_opts, 1, 1, run_finalize }
#define CALL_RUN \
	{ "no-sha256", 0, NULL, CLI_FLAG, 0, 0, CALL_AT(no_sha256), "digest outputs with XXH3 alone" }, \
	{ "overwrite", 0, NULL, CLI_FLAG, 0, 0, CALL_AT(overwrite), "replace the conversion that OUT holds: what its manifests name is removed, other files are refused" }, \
	CALL_MACHINE
#define CALL_SOURCE \
	{ "assume-experts", 0, "fp4|fp8", CLI_CHOICE, 0, 0, CALL_AT(assume), "what the experts are where config.json does not say it" }, \
	{ "hf-cache", 0, NULL, CLI_FLAG, 0, 0, CALL_AT(hf_cache), "does nothing: links of a hub cache are always taken" }, \
	{ "follow-links", 0, NULL, CLI_FLAG, 0, 0, CALL_AT(job.ckpt.follow_links), "follow links that lead to files elsewhere" }, \
	CALL_HEADER, \
	CALL_JSON
/* What struct cli_tool has beside a name and help, with cmds, defaults, version, examples, files, see_also and word of the tool. */
#define CALL_TOOL \
	.cmds = cmds, .opts_size = sizeof(struct call), .defaults = defaults, .version = version, \
	.exit_text = call_exit_text, .examples = examples, .files = files, .see_also = see_also, .word = word, \
	.failed = call_failed
/* clang-format on */

#endif
