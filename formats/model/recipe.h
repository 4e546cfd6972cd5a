/* recipe.h -- what dsv4-quant can make: what a row of recipes.h says.
 *
 * A row says in which number formats the matrices come out, in which container, with which small files beside them,
 * who loads that and how it was checked. Everything that plans, recognises, compares or reads such a conversion asks
 * this table; how values get from one number format into another is in quant.
 *
 * SPDX-License-Identifier: MIT */
#ifndef FORMATS_MODEL_RECIPE_H
#define FORMATS_MODEL_RECIPE_H
#include "formats/model/config.h"
#include "formats/model/drafts.h"
#include "formats/model/family.h"
#include "formats/model/role.h"

#ifdef __cplusplus
extern "C" {
#endif

enum container {
	CONTAINER_SHARDS, /* safetensors files and an index, as a checkpoint has them */
	CONTAINER_GGUF,   /* GGUF files: the model, its drafts, each maybe in parts */
	CONTAINER_COUNT
};

/* What a conversion is, for those who write its small files. */
struct recipe_made {
	const struct recipe *recipe;
	const struct config_doc *doc; /* borrows; config.json of the source */
	const struct config *config;  /* borrows; what that says */
	struct model_forms forms;     /* of the output */
	enum drafts drafts;
};

/* A small file that is made. put appends its text to out, which is empty, and returns 0, or -1 with an error. */
struct recipe_small {
	const char *name; /* NULL ends a list */
	int (*put)(struct text *out, const struct recipe_made *m, struct err *e);
};

struct recipe {
	const char *name; /* NULL ends the table */
	const char *what;
	struct model_forms forms; /* of the output */
	struct model_forms
		e8m0; /* the same with --scale-dtype e8m0; CODEC_NONE: there is no choice */
	enum container container;
	const char *
		input; /* how the names of the scales of activations of the experts end; NULL: there are none */
	bool native; /* its tensors have the names and types of a checkpoint of this model, and it is read as one */
	bool mix; /* a recipe file of that name says the types of tensors (mix.h): values are rounded */
	bool rounds; /* values are rounded: whoever asks for the name asks for that */
	bool stacked; /* routed experts of a block are one tensor for each of w1, w2 and w3, as MLX has them (mlx.h) */
	enum family_need need; /* what a family must have for it */
	const struct recipe_small *smalls;
	const char *loaders; /* who loads it */
	const char *checked; /* how that was found out */
};
#ifdef __cplusplus
}
#endif
#endif
