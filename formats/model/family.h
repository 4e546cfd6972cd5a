/* family.h -- the models that these tools know, a row each: how config.json is recognised and read, and which tensors
 * there are.
 *
 * To add a family, add a row in family.c and a file such as v4.c with its tables and its config_read, which may take rows of
 * decoder.h and vision.h. Everything else works on the roles of the row.
 *
 * SPDX-License-Identifier: MIT */
#ifndef FORMATS_MODEL_FAMILY_H
#define FORMATS_MODEL_FAMILY_H
#include "formats/model/config.h"
#include "formats/model/role.h"

#ifdef __cplusplus
extern "C" {
#endif

/* What somebody may want of a model, besides its tensors as they are. */
enum family_need {
	NEED_OFFICIAL,   /* rank files as the model's own converter writes them */
	NEED_VLLM,       /* parameters as vLLM names and shares them */
	NEED_SGLANG,     /* parameters as SGLang holds them */
	NEED_ENGINE,     /* a layout of the experts for an engine */
	NEED_CAST,       /* experts as FP8 */
	NEED_GGUF,       /* names of tensors and keys in GGUF */
	NEED_EXPERTS,    /* experts in another number format, and the rest as it is */
	NEED_RECIPE,     /* all quantized matrices in another number format */
	NEED_COMPRESSED, /* the same as compressed-tensors has them */
	NEED_MLX,        /* the published bytes, packed, in MLX */
	NEED_MLX_NAMES,  /* the same by MLX's own names */
	NEED_SLICE,      /* a part that is a model */
	NEED_DOCTOR,     /* what values and fields can be */
	NEED_FORWARD,    /* the arithmetic, to the rounding */
	NEED_TOKENS,     /* how conversations are written */
	NEEDS
};

/* A need that is not met, since nothing public says how: nobody guesses. */
struct family_gap {
	enum family_need need;
	bool vision;      /* a gap only of models that see images */
	const char *what; /* the need in words, as the beginning of a sentence */
	const char *why;  /* what is not known; NULL ends a table */
};

/* No table of roles is longer (tests/test_family.c), so that what is counted by role has room. */
enum { FAMILY_ROLES_MAX = 256 };

/* Where config.json says a field of the table: the member key of the object in. */
struct config_place {
	const char *in; /* a member at the top; NULL: the file itself */
	const char *key;
};

struct family {
	const char *name; /* model_type of config.json */
	const char *what;
	const char *
		architecture; /* in "architectures" of config.json, by which some engines choose the model's code */
	enum codec dense; /* of dense weights with E8M0 scales: types do not tell its blocks */
	/* Whether a config.json of that model_type is of this family; NULL: every one is. */
	bool (*recognise)(const struct config_doc *d);
	/* Sets *c, which is zeroed but for its family, from d->o. Returns 0, or -1 with a rule; then the caller frees what is in *c. */
	int (*config_read)(struct config *c, const struct config_doc *d, struct err *e);
	/* Sets *flat, which the caller frees, to what d->o says with the keys of fields, at the top; -1 where it contradicts
	 * itself. NULL: d->o is that. */
	int (*flatten)(struct json_t **flat, const struct config_doc *d, struct err *e);
	/* Where d->o says key, a key of fields or another that V4 has at the top, or would have to. NULL: at the top. */
	struct config_place (*place)(const struct config_doc *d, const char *key);
	/* What the table of fields, or V4, calls a key that d->o may say in another spelling: key itself where it is none. NULL: there is one
	 * spelling. */
	const char *(*canonical)(const char *key);
	const struct config_field *fields; /* [n_fields] what shapes are formulas of */
	unsigned n_fields;
	const struct role *roles; /* [n_roles] */
	unsigned n_roles;
	const struct family_gap *gaps; /* NULL: there is none */
	/* Engines whose code was read to have the family, as doctor --for calls them; ends with NULL. NULL: not told apart. */
	const char *const *read_by;
};
extern const struct family family_v41; /* DeepSeek-V4.1: Flash */
extern const struct family family_v4;  /* DeepSeek-V4: Flash, Pro, -Base, with MTP or DSpark */

/* All of them; ends with NULL. */
extern const struct family *const families[];

/* Returns whether a family has models of that model_type. */
bool family_knows(const char *model_type);
/* Returns whether one has, and meets the need whatever the model has (gaps of vision aside). */
bool family_type_meets(const char *model_type, enum family_need need);

/* The family of d by its model_type, or the first of all where it names none that is known. */
const struct family *family_of(const struct config_doc *d);

/* What d->o, which must not be NULL, says, with the keys of its family's fields at the top; the caller frees it. NULL without
 * memory. A file that contradicts itself is returned as it is. */
struct json_t *config_flat(const struct config_doc *d);
/* What FP8 is in models of f: the codec of its dense weights, whose blocks experts in FP8 have, too. NULL: V4's. */
static inline enum codec family_fp8(const struct family *f)
{
	return f ? f->dense : CODEC_FP8;
}

/* The codec of the matrix of that name in a model of f, by the types of its codes and scales: codec_of_types, where it is not
 * the family that says the blocks. */
enum codec family_codec(const struct family *f, const char *weight, unsigned code, unsigned scale);

/* Gives key the value, which is JSON (NULL: takes it out), wherever the config.json in *t says it in a spelling of f: at the top, in
 * text_config, and what experts are in quantization_config too. Returns -1 with *t edited in part. */
int config_set_again(struct text *t, const struct family *f, const char *key, const char *value,
	struct err *e);
/* Gives a field of the config.json in *t, which d was read from, another value, which is JSON, where its family has it, and wherever
 * the file says it again. key: as in the family's fields. Returns -1 with *t as it was or edited in part. */
int config_set(struct text *t, const struct config_doc *d, const char *key, const char *value,
	struct err *e);

/* Appends config.json with expert_dtype, where its family has it, set to what experts in codec form are called: that one value is
 * replaced (or the member put first where there is none), every other byte stays. */
int config_put(struct text *out, const struct config_doc *d, enum codec form, struct err *e);

/* Takes the fields of config.json by the family that recognises it. On failure *c is zeroed: rule config.model-type
 * where no family does. */
int config_read(struct config *c, const struct config_doc *d, struct err *e);
/* The shapes that d describes, which has an object, whatever it says of quantization and experts: it may be of a form that is
 * no checkpoint's. */
int config_read_shapes(struct config *c, const struct config_doc *d, struct err *e);
/* The same as config_read with families to choose from. */
int config_read_as(struct config *c, const struct config_doc *d, const struct family *const *from,
	struct err *e);

/* The role of a tensor of the family by its name alone. scale: the name ends in ".scale", and the role is that of its
 * weight. NULL: no model of the family has such a tensor. */
const struct role *family_role(const struct family *f, const char *name, bool scale);

/* The field of c that formulas of its family call so (n bytes); NULL if there is none. */
const uint64_t *family_field(const struct config *c, const char *name, size_t n);

/* 0 where the family of c meets the need; an error (rule family.gap) that says what is not known where it does not. */
int family_meets(const struct config *c, enum family_need need, struct err *e);

#ifdef __cplusplus
}
#endif
#endif
