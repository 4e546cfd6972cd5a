/* kind.h -- what a path can be, as a table: a row for each kind of folder, with the verbs that take it.
 *
 *	folder.h   recognises which kind a path is, and asks here whether the verb takes it
 *	a kind     has one rule, with which every verb that does not take it refuses it
 *	a use      is an argument of a verb: compare and logits take two folders, for two purposes
 *
 * docs/kinds.md prints the table; tests/test_kinds.c runs every verb on every kind.
 *
 * SPDX-License-Identifier: MIT */
#ifndef FORMATS_FOLDER_KIND_H
#define FORMATS_FOLDER_KIND_H
#include "core/err.h"
#include "core/text.h"
#include "formats/model/family.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { KIND_MORE = 256 }; /* room for which one of a kind something is */

/* The order is that of the table. */
enum kind {
	KIND_UNKNOWN,
	KIND_FILE,
	/* checkpoints */
	KIND_DOWNLOAD,
	KIND_SNAPSHOT,
	KIND_CACHE,
	KIND_PARTIAL,
	KIND_RECLAIMED,
	/* conversions */
	KIND_HF,
	KIND_HF_SOURCE,
	KIND_QUANT,
	KIND_QUANT_GGUF,
	KIND_SLICE,
	KIND_RESTORED,
	KIND_OFFICIAL,
	KIND_VLLM,
	KIND_SGLANG,
	KIND_PART,
	KIND_SET,
	KIND_RANK,
	KIND_STAGE,
	KIND_SOURCE,
	KIND_UNFINISHED,
	KIND_BROKEN,
	KIND_BARE,
	/* what pack makes, for verbs that do not read it in place (formats/archive/archive_io.h) */
	KIND_ARCHIVE,
	KIND_ARCHIVE_PART,
	/* what others make */
	KIND_RANKS,
	KIND_PREFIXED,
	KIND_TRANSFORMERS,
	KIND_SHARDED,
	KIND_GGUF,
	KIND_MLX,
	KIND_NVFP4,
	KIND_QUARK,
	KIND_COMPRESSED,
	KIND_QUANTIZED,
	KIND_BF16,
	KIND_VISION,
	KIND_V41,
	KIND_OTHER,
	KINDS
};

/* What a folder is wanted for. */
enum use {
	USE_RUN,
	USE_PLAN,
	USE_INSPECT,
	USE_SLICE,
	USE_RESTORE,
	USE_RESHARD,
	USE_CHECK,
	USE_COMPARE_SOURCE,
	USE_COMPARE,
	USE_DIFF,
	USE_DOCTOR,
	USE_LOGITS_SOURCE,
	USE_LOGITS,
	USE_RECORD,
	USE_REPLAY,
	USE_TOKENS,
	USE_SIGN,
	USE_SIGNATURE,
	USE_SIGNATURE_SOURCE,
	USE_ATTEST,
	USE_TENSORS,
	USE_PARITY,
	USE_ATLAS_SOURCE,
	USE_ATLAS,
	USE_SCORE,
	USE_DELTA,
	USES
};

/* How much of a checkpoint folder_open reads for the use. */
enum use_reads {
	READS_NAMES,     /* no header: the verb reads files as bytes, or through manifests */
	READS_DOWNLOADS, /* the headers of what has no manifest */
	READS_ALL        /* the headers of everything that can be read as one checkpoint */
};

struct use_row {
	const char *verb;
	const char *arg; /* which argument of it, as its usage calls it */
	enum use_reads reads;
	enum family_need
		need; /* what must be known of the family besides its tensors; NEEDS: nothing */
};
extern const struct use_row use_rows[USES];

struct kind_row {
	const char *id;    /* stable: scripts may match it */
	const char *text;  /* what it is; fits behind "is" */
	const char *seen;  /* how it is recognised */
	enum rule_id rule; /* of the verbs that do not take it; RULE_COUNT: all do */
	uint32_t takes;    /* 1 << enum use */
	bool manifest;     /* it has a manifest.json of ours */
	bool checkpoint;   /* it can be read as one checkpoint */
	bool foreign;      /* such a checkpoint, but not of the model that these tools know */
};
extern const struct kind_row kind_rows[KINDS];

/* Returns whether the verb takes the kind. */
bool kind_takes(enum kind k, enum use u);
/* Reports that the thing at path is k, which the verb does not take, and what to do; returns -1. more says which
 * one of the kind it is, or is "". */
int kind_refuse(enum kind k, const char *path, const char *more, struct err *e);

/* The table, for people and as JSON (dsv4-kinds-1). */
void kind_put_text(struct text *out);
void kind_put_json(struct text *out);

#ifdef __cplusplus
}
#endif
#endif
