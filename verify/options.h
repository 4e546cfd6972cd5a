/* options.h -- what the command line of dsv4-verify can say: the struct that is filled, and for each verb the table of its
 * options. Of main.c alone.
 *
 * SPDX-License-Identifier: MIT */
#ifndef VERIFY_OPTIONS_H
#define VERIFY_OPTIONS_H
#include "core/cli/command.h"

#ifdef __cplusplus
extern "C" {
#endif

struct opts {
	bool strict;
	bool json, last, quick, quiet, hf_cache, follow_links;
	const char *tokens, *device, *arithmetic, *max_kl, *max_rel, *results, *what, *record,
		*rank, *source_sha256, *junit, *page;
	bool full;
	struct {
		const char *text, *chat, *effort;
		bool lines, string, bos, think, keep;
	} prompt;
	const char *imatrix, *atlas, *frontier, *experts_from, *engine, *fix_config, *fix_index;
	uint64_t threads, memory, max_memory, max_header, sample;
	struct {
		const char *key, *password, *format, *file, *source;
		uint64_t key_fd, password_fd;
		bool overwrite;
	} sig;
};
#define NO_FD UINT64_MAX

/* clang-format off */
#define AT(field) offsetof(struct opts, field)
#define OPTS_END { NULL, 0, NULL, CLI_FLAG, 0, 0, 0, NULL } /* in C++ a shorter row is a warning */
#define JSON_OPT { "json", 0, NULL, CLI_FLAG, 0, 0, AT(json), "print one JSON document" }

static const struct cli_opt table_opts[] = { JSON_OPT, OPTS_END };

static const struct cli_opt tensors_opts[] = {
	{ "rank", 0, "R", CLI_TEXT, 0, 0, AT(rank), "only the folders of this rank" },
	JSON_OPT, OPTS_END
};

/* Of verbs that end with a report. */
#define REPORT_OPTS JSON_OPT, \
	{ "junit", 0, "FILE", CLI_TEXT, 0, 0, AT(junit), "also write JUnit's XML, for CI" }, \
	{ "report", 0, "FILE.html", CLI_TEXT, 0, 0, AT(page), "also write one HTML page" }, \
	{ "quiet", 'q', NULL, CLI_FLAG, 0, 0, AT(quiet), "no progress, and of the report the verdict alone" }
/* Of verbs that read much. */
#define THREADS_OPT { "threads", 'j', "N", CLI_THREADS, 0, 256, AT(threads), "threads (0: as many as processors that it may use, the default)" }
#define HEADER_OPT { "max-header", 0, "BYTES", CLI_SIZE, 2, UINT32_MAX, AT(max_header), "take headers up to this (default 100000000)" }
#define WORK_OPTS THREADS_OPT, \
	{ "max-memory", 0, "BYTES", CLI_SIZE, 1 << 20, UINT64_MAX, AT(max_memory), "for buffers and digests (default 256M)" }, \
	HEADER_OPT
#define HF_OPT \
	{ "hf-cache", 0, NULL, CLI_FLAG, 0, 0, AT(hf_cache), "does nothing: links of a hub cache are always taken" }, \
	{ "follow-links", 0, NULL, CLI_FLAG, 0, 0, AT(follow_links), "follow links that lead to files elsewhere" }

static const struct cli_opt check_opts[] = {
	{ "quick", 0, NULL, CLI_FLAG, 0, 0, AT(quick), "sizes, headers, sidecars and some chunks of each file" },
	{ "rank", 0, "R", CLI_TEXT, 0, 0, AT(rank), "only what is of this rank" },
	{ "strict", 0, NULL, CLI_FLAG, 0, 0, AT(strict), "warnings make it false too" },
	{ "source-sha256", 0, "LIST", CLI_TEXT, 0, 0, AT(source_sha256), "published digests of what was downloaded: a list, or a folder of Git-LFS pointers" },
	HF_OPT, WORK_OPTS, REPORT_OPTS, OPTS_END
};

static const struct cli_opt compare_opts[] = {
	{ "imatrix", 0, "FILE", CLI_TEXT, 0, 0, AT(imatrix), "OUT was made with dsv4-quant --imatrix: that file" },
	{ "experts-from", 0, "DIR", CLI_TEXT, 0, 0, AT(experts_from), "OUT was made with dsv4-quant --experts-from: the folder that it took the routed experts from" },
	{ "sample", 0, "P", CLI_NUMBER, 1, 100, AT(sample), "compare about this many percent (default 100)" },
	HF_OPT, WORK_OPTS, REPORT_OPTS, OPTS_END
};

/* Of verbs that hold a secret. */
#define SECRET_OPTS \
	{ "key", 0, "FILE", CLI_TEXT, 0, 0, AT(sig.key), "secret key: PEM (P-256, P-384, P-521) or minisign's" }, \
	{ "key-fd", 0, "N", CLI_NUMBER, 0, 65535, AT(sig.key_fd), "the same from an open descriptor" }, \
	{ "password", 0, "FILE", CLI_TEXT, 0, 0, AT(sig.password), "file whose first line opens the key" }, \
	{ "password-fd", 0, "N", CLI_NUMBER, 0, 65535, AT(sig.password_fd), "the same from an open descriptor" }, \
	{ "overwrite", 0, NULL, CLI_FLAG, 0, 0, AT(sig.overwrite), "replace a file that is there" }
#define FORMAT_OPT { "format", 0, "model-signing|minisign", CLI_CHOICE, 0, 0, AT(sig.format), "default: what the key is for" }

static const struct cli_opt sign_opts[] = {
	{ "output", 'o', "FILE", CLI_TEXT, 0, 0, AT(sig.file), "default: DIR/model.sig, DIR/manifest.json.minisig" },
	FORMAT_OPT, SECRET_OPTS, THREADS_OPT, REPORT_OPTS, OPTS_END
};
static const struct cli_opt attest_opts[] = {
	{ "output", 'o', "FILE", CLI_TEXT, 0, 0, AT(sig.file), "where the statement goes" },
	{ "format", 0, "conversion|slsa", CLI_CHOICE, 0, 0, AT(sig.format), "every file and what it was made of (default), or SLSA provenance v1 of the folder as sign names it" },
	SECRET_OPTS, THREADS_OPT, REPORT_OPTS, OPTS_END
};
static const struct cli_opt signature_opts[] = {
	{ "key", 0, "FILE", CLI_TEXT, 0, 0, AT(sig.key), "public key: PEM or minisign's" },
	{ "key-fd", 0, "N", CLI_NUMBER, 0, 65535, AT(sig.key_fd), "the same from an open descriptor" },
	{ "signature", 0, "FILE", CLI_TEXT, 0, 0, AT(sig.file), "default: DIR/model.sig, DIR/manifest.json.minisig" },
	{ "source", 0, "DIR", CLI_TEXT, 0, 0, AT(sig.source), "hold this download to the digests that were signed, too" },
	FORMAT_OPT, THREADS_OPT, REPORT_OPTS, OPTS_END
};
static const struct cli_opt diff_opts[] = { HF_OPT, THREADS_OPT, HEADER_OPT, REPORT_OPTS, OPTS_END };

/* Of verbs that run the model. */
#define COMPUTE_OPTS HF_OPT, THREADS_OPT, \
	{ "device", 0, "cpu|cuda", CLI_CHOICE, 0, 0, AT(device), "where it is computed (default cpu)" }, \
	{ "arithmetic", 0, "model|fp32", CLI_CHOICE, 0, 0, AT(arithmetic), "as the official model rounds, or FP32 throughout, as other engines do (default model; replay: that of the record)" }, \
	{ "max-memory", 0, "BYTES", CLI_SIZE, 1 << 20, UINT64_MAX, AT(memory), "never hold more than this (default 8G)" }
#define TOKENS_OPT { "tokens", 't', "IDS", CLI_TEXT, 0, 0, AT(tokens), "token ids: 1,2,3, or a file of them" }

static const struct cli_opt replay_opts[] = {
	{ "max-rel", 0, "X", CLI_TEXT, 0, 0, AT(max_rel), "relative L2 that a sub-block of a foreign record may have (default 3e-3)" },
	COMPUTE_OPTS, REPORT_OPTS, OPTS_END
};
static const struct cli_opt logits_opts[] = {
	{ "tokens", 't', "IDS", CLI_TEXT, 0, 0, AT(tokens), "token ids: 1,2,3, a file of them, or a file of prompts, a JSON list of ids on each line" },
	{ "results", 0, "FILE", CLI_TEXT, 0, 0, AT(results), "keep the figures of each prompt there as it is done; the same call again goes on after them" },
	{ "last", 0, NULL, CLI_FLAG, 0, 0, AT(last), "logits of the last token only" },
	{ "max-kl", 0, "X", CLI_TEXT, 0, 0, AT(max_kl), "mean KL that a conversion which says that it loses may have" },
	COMPUTE_OPTS, REPORT_OPTS, OPTS_END
};
static const struct cli_opt record_opts[] = {
	TOKENS_OPT,
	{ "output", 'o', "REC", CLI_TEXT, 0, 0, AT(record), "the record" },
	{ "what", 0, "logits|layers|all", CLI_CHOICE, 0, 0, AT(what), "what is recorded (default all)" },
	COMPUTE_OPTS, REPORT_OPTS, OPTS_END
};

static const struct cli_opt prompt_opts[] = {
	{ "text", 0, "FILE", CLI_TEXT, 0, 0, AT(prompt.text), "the text" },
	{ "chat", 0, "FILE", CLI_TEXT, 0, 0, AT(prompt.chat), "a conversation: JSON, messages as the OpenAI API has them" },
	{ "lines", 0, NULL, CLI_FLAG, 0, 0, AT(prompt.lines), "each line is a prompt by itself: of --text a JSON string, of --chat a conversation" },
	{ "bos", 0, NULL, CLI_FLAG, 0, 0, AT(prompt.bos), "put the token that begins a sentence before the text" },
	{ "think", 0, NULL, CLI_FLAG, 0, 0, AT(prompt.think), "the answer begins with its reasoning" },
	{ "effort", 0, "low|high|max", CLI_CHOICE, 0, 0, AT(prompt.effort), "of --think (default low, which adds no words)" },
	{ "keep-reasoning", 0, NULL, CLI_FLAG, 0, 0, AT(prompt.keep), "of earlier answers too; without it as in the release" },
	{ "string", 0, NULL, CLI_FLAG, 0, 0, AT(prompt.string), "print the text that the ids would be of" },
	HF_OPT, JSON_OPT, OPTS_END
};

static const struct cli_opt atlas_opts[] = {
	{ "output", 'o', "FILE", CLI_TEXT, 0, 0, AT(atlas), "keep it there: a line of JSON for each tensor" },
	{ "imatrix", 0, "FILE", CLI_TEXT, 0, 0, AT(imatrix), "importance, as dsv4-quant imatrix writes it: how many tokens each expert saw, and errors weighed by column" },
	{ "frontier", 0, "FILE", CLI_TEXT, 0, 0, AT(frontier), "what dsv4-quant plan --budget --json wrote of this model: draw size against weighted error, and OUT's size in it" },
	HF_OPT, THREADS_OPT, HEADER_OPT, REPORT_OPTS, OPTS_END
};
static const struct cli_opt parity_opts[] = { REPORT_OPTS, OPTS_END };
static const struct cli_opt doctor_opts[] = {
	{ "for", 0, "ENGINE", CLI_TEXT, 0, 0, AT(engine), "who will load it: vllm, sglang, llama.cpp, official, official-fp8, or a target of dsv4-convert" },
	{ "full", 0, NULL, CLI_FLAG, 0, 0, AT(full), "look at all values, not at scales and samples" },
	{ "fix-config", 0, "FILE", CLI_TEXT, 0, 0, AT(fix_config), "write a corrected copy of config.json there" },
	{ "fix-index", 0, "FILE", CLI_TEXT, 0, 0, AT(fix_index), "write an index made of the shards' headers there, if the one that is there is wrong" },
	HF_OPT, THREADS_OPT,
	{ "max-header", 0, "BYTES", CLI_SIZE, 2, UINT32_MAX, AT(max_header), "take headers up to this (default 100000000)" },
	REPORT_OPTS, OPTS_END
};
/* clang-format on */

#ifdef __cplusplus
}
#endif
#endif
