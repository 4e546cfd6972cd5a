/* plan.h -- what a conversion will write into one folder, as a value: made from headers alone, printed by
 * "plan", executed by "run". conversion.h has the list of all folders.
 *
 * A plan is a list of output files, each a list of steps in the order of its payload; a step makes
 * one output tensor from one or two source tensors. Every source tensor has a fate, and none may be
 * left without. The same checkpoint and options give the same plan anywhere, and its hash covers
 * all that decides the output bytes: threads and memory do not.
 *
 * SPDX-License-Identifier: MIT */
#ifndef CONVERT_PLAN_PLAN_H
#define CONVERT_PLAN_PLAN_H
#include "convert/plan/step.h"
#include "formats/model/audit.h"
#include "formats/model/engram.h"
#include "formats/model/gguf_name.h"
#include "formats/model/mix.h"
#include "formats/model/recipes.h"

#ifdef __cplusplus
extern "C" {
#endif

struct plan_file {
	const char *name;
	struct step *steps; /* owns; in payload order */
	size_t n, cap;
	uint64_t header_bytes, bytes; /* 8+N; whole file */
	unsigned align;               /* of the payload; 0: as of all files of the plan */
	const char *raw;            /* in the arena; the header, where it is known byte for byte */
	const struct st_meta *meta; /* in the arena; metadata of the header */
	unsigned n_meta;
	const uint8_t *sha256; /* borrows; that it must have; NULL: nobody says */
};

/* A small file beside the weights. */
enum small {
	SMALL_COPY,
	SMALL_CONFIG,
	SMALL_INDEX,
	SMALL_HEADER,
	SMALL_TEXT,
	SMALL_RECIPE,
	SMALL_CHECKSUM /* of the files that were made: who publishes them makes it */
};
struct plan_small {
	const char *name;
	enum small kind;
	uint64_t bytes;   /* SMALL_COPY, SMALL_HEADER, SMALL_TEXT; 0 for the others */
	uint32_t shard;   /* SMALL_HEADER: of this shard */
	const char *text; /* SMALL_TEXT: bytes of it, in the arena */
	const struct recipe_small *made; /* SMALL_RECIPE: how it is made */
	struct stat st;                  /* SMALL_COPY: as it was when the plan was made */
};

/* What becomes of a source tensor. */
enum fate {
	FATE_NONE, /* unexplained; a plan has none of these */
	FATE_COPY,
	FATE_REPLICATE,
	FATE_SPLIT,
	FATE_CAST,
	FATE_WIDEN,
	FATE_REFORM,
	FATE_DEQUANT,
	FATE_MERGE,
	FATE_SKIP,
	FATE_TILE,
	FATE_JOIN,
	FATE_NARROW,
	FATE_ELSEWHERE,
	FATE_DRAFT,
	FATE_ENGRAM,
	FATE_RECORD,
	FATE_UNSELECTED,
	FATE_COUNT
};
extern const struct op_row fates[FATE_COUNT];

/* Which part of a model that is spread over ranks one plan makes. Targets of engines only. */
struct placement;
struct share {
	uint64_t ranks, rank, stages, stage;
	bool experts_tp;   /* every expert is cut; else experts go whole to a rank */
	bool attention_tp; /* all but experts are split as the official converter does; else whole */
	const struct placement *placement; /* which experts go where; NULL: the same number each */
};

/* Number format of the scales of 128 x 128 blocks in a folder of target hf. */
enum scale_form {
	SCALES_UNSAID, /* F32 where experts are cast to FP8, which is what engines read there; else as they are */
	SCALES_E8M0, /* as the official converter writes them */
	SCALES_F32
};

struct inputs;
struct shard_config;
struct plan_opts {
	const char *target;     /* a row of targets */
	uint64_t ranks;         /* official: files */
	enum codec experts;     /* CODEC_NONE: as they are */
	enum scale_form scales; /* hf only */
	const char *layers;     /* NULL: all */
	const char *shard;      /* restore: only this one; NULL: all */
	uint64_t keep;          /* slice: this many experts; 0: all */
	uint64_t
		shard_size; /* hf: bytes of a shard; 0: one per layer. gguf: of a part; 0: one file.
			     * vllm-sharded: of a part of a rank; 0: as vllm.c says */
	uint64_t
		file_size; /* engines: put blocks together in files of up to so many bytes; 0: one for each */
	const struct mix *mix;         /* gguf: the types of tensors; NULL: what dense says */
	const struct imatrix *imatrix; /* with mix: importance of columns; NULL: 1 */
	const char *imatrix_sha256;    /* of that file, in hex */
	enum gguf_dense dense;         /* gguf: of matrices that are FP8 in the source */
	bool lossy;                    /* go on where a cast is not exact */
	bool sha256;                   /* digest outputs with it */
	bool experimental;             /* also engines that were only read about */
	bool drop_signs; /* recipes: minus zero becomes zero where the format has a factor */
	const struct shard_config
		*shard_config; /* sglang-presharded: what the launch says; NULL: not said */
	const struct inputs
		*inputs; /* recipes that have scales of activations: those; NULL: not said */
	const char *
		experts_from; /* what the experts were regained from, for manifests; NULL: they are of the source */
	const char *grafted;         /* digest of that, for the hash of the plan */
	const struct stat *reads[2]; /* other folders than the source that are read; NULL: none */
	enum drafts drafts;          /* recipes: what becomes of the blocks under mtp. */
	enum engram engram;          /* hf: what becomes of Engram */
	const struct rowrec
		*record; /* with ENGRAM_SEPARATE: tables as such records; NULL: as they are */
	uint64_t
		engram_vocab; /* slice: engram_vocab_size by whose primes tables are cut; 0: they stay whole */
	uint64_t engram_ranks; /* with record: ranks that share each table; 0: one */
	bool back;             /* hf: keep what restore needs: a folder source/, NAME.dropped */
	struct share share;
};

/* The plan of one folder. */
struct plan {
	const struct ckpt *ckpt; /* borrows */
	char dir[96];            /* where it lies below OUT; "" is OUT itself */
	struct plan_opts opts;
	const struct recipe *recipe; /* of dsv4-quant; NULL: the target is none of its names */
	enum codec experts;          /* of the output */
	struct model_forms forms;    /* the same as number formats; set where there is a recipe */
	bool f32_scales;             /* scales of 128 x 128 blocks become F32 where they are E8M0 */
	struct plan_file *files;     /* owns */
	size_t n_files, files_cap;
	struct plan_small *smalls; /* owns; sorted by name */
	size_t n_smalls, smalls_cap;
	uint8_t *fate; /* owns; [ckpt->n] enum fate */
	uint64_t fate_n[FATE_COUNT], fate_bytes[FATE_COUNT];
	uint64_t bytes; /* of all output files; the small ones and manifests not counted */
	unsigned align; /* of the payload, and of the tensors that can be */
	char hash[65];  /* hex SHA-256 */
	struct arena arena;
};

void plan_free(struct plan *p);
/* What the experts of the output are, in a word: as config.json says it, or the number format of a recipe. */
const char *plan_experts(const struct plan *p);

/* The first header_bytes of file f. */
int plan_header(const struct plan *p, const struct plan_file *f, struct text *out, struct err *e);
/* What a small file of kind SMALL_CONFIG or SMALL_INDEX holds. */
int plan_small_text(const struct plan *p, const struct plan_small *s, struct text *out,
	struct err *e);

enum { PLAN_ALIGN = 4096 };

#ifdef __cplusplus
}
#endif
#endif
