/* config.h -- what config.json of a checkpoint says, with names as in the paper of DeepSeek-V4.
 *
 * The file is read once, into a struct config_doc: its bytes, and the JSON object that they are. Everything that
 * judges it starts from there: a family (family.h) takes the fields that the bytes on disk depend on, params.h those
 * that only the arithmetic needs, and the doctor holds both against the tensors. The bytes are written back
 * unchanged. Nothing is filled in silently: a missing field is an error.
 *
 * SPDX-License-Identifier: MIT */
#ifndef FORMATS_MODEL_CONFIG_H
#define FORMATS_MODEL_CONFIG_H
#include "core/err.h"
#include "core/io.h"
#include "core/text.h"
#include "formats/codec.h"

#include <stdbool.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What compress_ratios of V4 says of a block: how many keys become one entry. Those of RATIO_INDEXED overlap, and an indexer
 * picks among them; of RATIO_WIDE a query takes all. Source: config.json of the releases, inference/model.py. */
enum { RATIO_NONE = 0, RATIO_INDEXED = 4, RATIO_WIDE = 128 };

static inline bool ratio_known(uint64_t ratio)
{
	return ratio == RATIO_NONE || ratio == RATIO_INDEXED || ratio == RATIO_WIDE;
}

struct json_t; /* of jansson */
struct family;

/* config.json as it lies there. */
struct config_doc {
	struct text raw;  /* owns; the bytes; raw.s NULL if there are none */
	struct json_t *o; /* owns; the same as a JSON object; NULL if it is none */
};

/* Reads name (usually config.json) in dir. An error where the file cannot be read (then *d is zeroed) and where it
 * holds no JSON object (then d->raw is set, for whoever wants to look at it, and d->o is NULL). */
int config_doc_read(struct config_doc *d, const struct io *io, int dir, const char *name,
	struct err *e);
/* The same of n bytes at s, which are copied. */
int config_doc_parse(struct config_doc *d, const char *s, size_t n, struct err *e);
void config_doc_free(struct config_doc *d);

/* What the lists of a config.json say of a layer. */
struct config_layer {
	unsigned is;   /* bits of enum where (role.h) */
	uint64_t rows; /* of its Engram table; 0: it has none */
	uint32_t
		table; /* with rows: which one of the tables it is, in the order of engram_layer_ids, from 0 */
};

struct config {
	const struct family *
		family; /* whose it is (family.h); NULL: the file was not taken, nothing here is set */
	uint64_t L;     /* num_hidden_layers */
	uint64_t D;     /* hidden_size */
	uint64_t H;     /* num_attention_heads */
	uint64_t hd;    /* head_dim */
	uint64_t QL;    /* q_lora_rank */
	uint64_t G;     /* o_groups */
	uint64_t R;     /* o_lora_rank */
	uint64_t I;     /* moe_intermediate_size */
	uint64_t E;     /* n_routed_experts */
	uint64_t S;     /* n_shared_experts */
	uint64_t K;     /* num_experts_per_tok */
	uint64_t V;     /* vocab_size */
	uint64_t hc;    /* hc_mult, residual streams */
	uint64_t n_hash;  /* num_hash_layers: these route by token id */
	uint64_t IH, IHD; /* index_n_heads, index_head_dim */
	uint64_t n_mtp;   /* num_nextn_predict_layers */
	uint64_t MR;      /* dspark_markov_rank, 0 without DSpark */
	uint64_t NT;      /* entries of dspark_target_layer_ids */
	bool spark;       /* the stages under mtp. are a DSpark drafter, not MTP blocks */
	uint64_t DE;      /* dspark_n_routed_experts: those of a stage; 0: as many as a layer has */
	bool engram;      /* there are Engram tables: what follows is not 0 */
	uint64_t EG, EN, EH, EV; /* engram_max_ngram_size, _n_heads, _head_dim, _vocab_size */
	uint64_t EC;             /* what the rows of a token are together */
	uint64_t ER;             /* rows of a table: set while the shapes of its layer are made */
	struct config_layer *layer; /* [L]; NULL: compress_ratios and num_hash_layers say it */
	bool vision;                /* the model sees images: what follows is not 0 */
	uint64_t VL, VD, VI;        /* vision_n_layers, vision_dim, vision_inter_dim */
	uint64_t VP, VS;            /* vision_patch_size, vision_downsample_ratio */
	uint64_t *ratio; /* compress_ratios: L + stages entries; 0, 4 or 128, of V4.1 0 to 2 */
	uint64_t stages; /* blocks mtp.0 .. */
	enum codec
		experts; /* the first codec that expert_dtype names; CODEC_NONE: it is not said */
};

void config_free(struct config *c);

/* Routed experts of a stage of drafts: as many as a layer has, or a number of their own. */
static inline uint64_t config_stage_experts(const struct config *c)
{
	return c->stages && c->DE ? c->DE : c->E;
}
/* The most that a block has. */
static inline uint64_t config_experts_max(const struct config *c)
{
	return config_stage_experts(c) > c->E ? config_stage_experts(c) : c->E;
}

enum config_part {
	FIELD_ALL,
	FIELD_SPARK,  /* c->spark */
	FIELD_VISION, /* c->vision */
	FIELD_ENGRAM  /* c->engram */
};

/* A number in config.json that goes into a field of struct config. */
struct config_field {
	const char *key;  /* in config.json */
	const char *name; /* in shape formulas: that of the field */
	size_t at;        /* of a uint64_t in struct config */
	uint64_t min, max;
	enum config_part only; /* of whose models; others do not have the field */
};

/* Whether config.json says something of key: null, which transformers writes for what there is not, says nothing. */
bool config_says(const struct json_t *o, const char *key);
/* For families, which read a file with these. An error names rule and key. */
int config_fields(struct config *c, const struct json_t *o, const struct config_field *f,
	unsigned n, struct err *e);
/* Holds a field that shapes no tensor, which engines compute with, to min..max. *v is 0 where the file does not say it and need not
 * (must). */
int config_hold(const struct json_t *o, bool must, const char *key, uint64_t min, uint64_t max,
	uint64_t *v, struct err *e);
/* Holds what is said of a DSpark drafter to its range, and sets c->NT; nothing where !c->spark. The fields of FIELD_ALL,
 * stages and n_mtp are set. n_mtp is the number of stages, or 1, which releases have beside three of them. must: no
 * field may be missing. */
int config_spark(struct config *c, const struct json_t *o, bool must, struct err *e);
/* The same of the heads of the vision tower, where c->vision; VD is set. */
int config_vision(const struct config *c, const struct json_t *o, bool must, struct err *e);
/* Sets c->experts from expert_dtype: CODEC_NONE where o does not say it. */
int config_experts(struct config *c, const struct json_t *o, struct err *e);
/* Reports that the member key of config.json is as what says ("is missing"); returns -1. */
int config_bad(struct err *e, enum rule_id rule, const char *key, const char *what);

#ifdef __cplusplus
}
#endif
#endif
