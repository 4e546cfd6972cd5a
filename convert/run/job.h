/* job.h -- a source, found sound, and the conversion that is to be made of it.
 *
 * SPDX-License-Identifier: MIT */
#ifndef CONVERT_RUN_JOB_H
#define CONVERT_RUN_JOB_H
#include "convert/plan/inputs.h"
#include "convert/plan/placement.h"
#include "convert/plan/shard_config.h"
#include "convert/run/budget.h"
#include "quant/graft/graft.h"
#include "formats/conversion/joined.h"
#include "formats/folder/folder.h"
#include "formats/gguf/imatrix_digest.h"
#include "formats/model/expected.h"

#ifdef __cplusplus
extern "C" {
#endif

struct job;
/* Who wants to see a plan while what its tensors are is at hand. */
struct job_look {
	/* Called once the conversion is planned; returns 0, or -1: then job_open fails with what e says. */
	int (*with)(void *ctx, const struct job *j, const struct audit *a, struct err *e);
	void *ctx;
};

struct job_opts {
	struct ckpt_opts ckpt;
	struct plan_opts
		plan; /* but for share.placement; target NULL: that of the conversion that is read */
	enum codec assume;
	const char *placement;    /* path of a file, or NULL */
	const char *recipe;       /* path of a recipe file (mix.h), or NULL */
	const char *recipe_text;  /* what that file holds, which is then not read; NULL: read it */
	const char *imatrix;      /* path of a file of importance (imatrix.h), or NULL */
	const char *shard_config; /* path of a file, or NULL */
	const char *input_scale;  /* as inputs_read takes it, or NULL */
	const char *
		experts_from; /* folder of another form, whose experts are taken; NULL: those of dir */
	const char *source_sha256; /* published digests of the source, or NULL */
	enum use
		use; /* what dir is wanted for; USE_RESTORE, USE_RESHARD: a conversion, whose source is read */
	bool of_source; /* of a conversion that kept what its source was, that source is read */
	const struct job_look *look; /* borrows; NULL: nobody */
	unsigned features;           /* bits of enum cpu_feature, for that */
	unsigned threads;
	uint64_t max_memory;
};

struct job {
	struct ckpt c;
	struct joined joined; /* of a conversion: what c reads from */
	struct conversion conversion;
	struct placement placement;
	struct shard_config shard_config;
	struct inputs inputs;
	struct imatrix imatrix; /* open where has_imatrix */
	bool has_imatrix;
	char imatrix_sha256[65]; /* of that file */
	struct mix mix;     /* of a recipe, and of a name that is one; zeroed where there is none */
	struct graft graft; /* with experts_from: what c reads experts from */
	struct expected expected;
	bool has_expected;
	size_t unsaid; /* of a hub's cache: shards whose blobs are not named by their SHA-256; they are not verified */
	struct budget b;
};

/* Appends the lines of the recipe file that o asks for, and behind them those of a target that is a mix; nothing where there is
 * neither. */
int job_put_recipe(const struct io *io, const struct job_opts *o, struct text *t, struct err *e);

struct sumlist;
/* Holds the files of the source that are no shards, and that j reads or copies, to their digests in l, where that names them:
 * config.json, the index, tokenizer and the like. A source that is read through a conversion has none of these as they were
 * published, and is left alone. Returns 0; or -1 with source.sha256, and the name of the file in name, which else becomes "". */
int job_hold_smalls(const struct job *j, const struct sumlist *l, char name[LINK_NAME],
	struct err *e);
/* Opens the source in dir, refuses what is not sound, plans. Returns 0 and a job that the caller closes, or
 * -1 and one that is zeroed. */
int job_open(struct job *j, const struct io *io, const char *dir, const struct job_opts *o,
	struct err *e);
void job_close(struct job *j);

#ifdef __cplusplus
}
#endif
#endif
