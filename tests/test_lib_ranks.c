/* test_lib_ranks.c -- libdsv4 on files of ranks under an engine's own names: what is opened, and that every matrix of the source is
 * found in the parameter that it became, value by value.
 *
 * Which parameter that is, is held to vLLM itself by test_vllm, and to SGLang's functions by make oracle-sglang.
 *
 * SPDX-License-Identifier: MIT */
#include "formats/model/sglang_name.h"
#include "tests/lib.h"

/* Ranks of vLLM are files too, which do not say of how many; drafts are of none. */
static void vllm_sharded(void)
{
	struct dsv4_open_options o = { .size = sizeof o, .ranks = 2, .rank = 1 };
	struct job_opts j = set_opts("vllm-sharded", 2, true);
	struct path model = dirs_path("vllm-model"), out = dirs_path("vllm");
	char args[1200];
	struct dsv4 *d;
	size_t i;

	snprintf(args, sizeof args,
		"%s --config " FLASH
		"/config.json --set hidden_size=256 --set moe_intermediate_size=256",
		model.s);
	CHECK(!model_tool("mkmodel", args));
	CHECK(set_makes(model.s, out.s, &j));
	d = opened(out.s);
	CHECK(dsv4_info(d)->files == 3 && dsv4_info(d)->folders == 3 && !dsv4_folder(d, 0)->ranks &&
		dsv4_folder(d, 2)->rank == 1 && dsv4_folder(d, 2)->ranks == 2);
	dsv4_close(d);
	CHECK(!dsv4_open(&d, out.s, &o, NULL));
	CHECK(dsv4_info(d)->files == 1 && dsv4_folder(d, 0)->rank == 1 &&
		!strcmp(dsv4_file(d, 0)->name, "model-rank-1-part-0.safetensors"));
	i = dsv4_find(d, 0, "model.layers.0.ffn.experts.routed_experts.w13_weight");
	CHECK(i != DSV4_NONE && !strcmp(dsv4_tensor(d, i)->dtype, "U8"));
	dsv4_close(d);
	o.ranks = 4;
	CHECK(refuses(out.s, &o, "check.rank", "1 of 4"));
	o.ranks = 2;
	o.target = "marlin-mxfp4";
	CHECK(refuses(out.s, &o, "lib.target", "vllm-sharded"));
}

/* Ranks of SGLang, whose experts are laid out: a stack of them has the layout of its sidecar. */
static void sglang_presharded(void)
{
	struct job_opts j = set_opts("sglang-presharded", 1, false);
	struct path out = dirs_path("sglang");
	const struct dsv4_tensor *t;
	struct dsv4 *d;
	size_t i;

	j.shard_config = "tests/vectors/sglang_tiny-flash-1-ep.json";
	CHECK(set_makes(FLASH, out.s, &j));
	d = opened(out.s);
	i = dsv4_find(d, 1, "model.layers.0.mlp.experts.w13_weight");
	t = i == DSV4_NONE ? NULL : dsv4_tensor(d, i);
	CHECK(t && !strcmp(t->dtype, "I32") && t->stack &&
		!strcmp(t->stack->layout, "marlin4-a16"));
	CHECK(dsv4_find(d, 0, "layers.0.attn.wo_a.weight") != DSV4_NONE); /* kept */
	dsv4_close(d);
}

/* --- values --- */

/* A conversion for two ranks, one of which is open. */
struct held {
	const struct dsv4 *d;
	const char *target;
	const struct ckpt *source;
	unsigned rank;
	bool tp;
	unsigned compared;
};

/* The value of a source at row r and column c, in the place that its form gives it. */
static size_t place_in(enum place_form form, uint64_t cols, uint64_t r, uint64_t c, uint64_t rows)
{
	if (form != FORM_HALVES)
		return (size_t)(r * cols + c);
	return (size_t)((c >= cols / 2 ? rows * (cols / 2) : 0) + r * (cols / 2) + c % (cols / 2));
}

/* Where in its parameter a tensor of the source lies on this rank. */
struct spot {
	uint64_t k, row, src_row, src_col, rows, cols;
};

/* False where this rank has nothing of it. */
static bool find_part(const struct held *h, const struct vllm_place *at,
	const struct dsv4_values *v, uint64_t rows, uint64_t cols, struct spot *w)
{
	uint64_t n = h->source->config.E / 2;
	bool cut = at->split != SPLIT_NONE && (at->expert < 0 || h->tp);

	*w = (struct spot){ .rows = rows, .cols = cols };
	if (cut && at->split == SPLIT_ROWS && rows > 1) {
		w->rows = rows / 2;
		w->src_row = h->rank * w->rows;
	} else if (cut) {
		w->cols = cols / 2;
		w->src_col = h->rank * w->cols;
	}
	if (at->part && at->form != FORM_BF16)
		w->row = v->rows - w->rows;
	if (at->expert < 0)
		return true;
	if (!h->tp && (uint64_t)at->expert / n != h->rank)
		return false;
	w->k = h->tp ? (uint64_t)at->expert : (uint64_t)at->expert % n;
	return true;
}

/* All values of tensor t of the source that are on this rank. */
static void hold_tensor(struct held *h, const struct tensor *t)
{
	struct vllm_place at;
	struct dsv4_values v;
	struct dsv4_error e = { 0 };
	uint64_t rows, cols, r, c;
	struct spot w;
	double *want;
	float *got;
	size_t i;

	if (!rank_place_of(h->target, &at, t) || (at.part && at.form == FORM_BF16))
		return;
	i = dsv4_find(h->d, 0, at.name);
	CHECK_IN(at.name, i != DSV4_NONE);
	if (dsv4_values(h->d, i, &v, &e)) {
		CHECK_IN(at.name, false);
		fprintf(stderr, "%s\n", e.message);
		return;
	}
	want = source_values(h->source, t->name, &rows, &cols);
	if (t->rank < 2) { /* numbers in one row */
		cols = rows;
		rows = 1;
	}
	got = malloc((v.rows * v.cols + 1) * sizeof *got);
	if (find_part(h, &at, &v, rows, cols, &w)) {
		CHECK_IN(at.name, v.cols == w.cols && v.rows >= w.row + w.rows);
		CHECK_IN(at.name,
			!dsv4_decode(h->d, i, w.k, w.row, w.rows, got, v.rows * v.cols, NULL, &e));
		for (r = 0; r < w.rows; r++)
			for (c = 0; c < w.cols; c++)
				if (got[place_in(at.form, w.cols, r, c, w.rows)] !=
					(float)want[(w.src_row + r) * cols + w.src_col + c]) {
					CHECK_IN(t->name, false);
					r = w.rows - 1;
					break;
				}
		h->compared++;
	}
	free(got);
	free(want);
}

/* Of two ranks each, as o says: on both together `all` tensors of the source are found. */
static void hold_values(const char *model, const struct job_opts *o, const char *target, bool tp,
	unsigned all)
{
	struct dsv4_open_options open = { .size = sizeof open, .ranks = 2 };
	struct path out = dirs_path("ranks-out");
	struct held h = { .target = target, .tp = tp };
	struct findings f = { 0 };
	struct ckpt_opts co = { 0 };
	struct dsv4 *d;
	struct ckpt c;
	size_t i;

	dirs_remove(out.s);
	CHECK_IN(target, set_makes(model, out.s, o));
	CHECK(!ckpt_open(&c, io_posix(), model, &co, &f, NULL));
	h.source = &c;
	for (; h.rank < 2; h.rank++) {
		open.rank = h.rank;
		CHECK(!dsv4_open(&d, out.s, &open, NULL));
		h.d = d;
		for (i = 0; i < c.n; i++)
			if (c.tensors[i].dtype != DT_I64 &&
				strcmp(vllm_end_of(c.tensors[i].name), ".scale") != 0)
				hold_tensor(&h, &c.tensors[i]);
		dsv4_close(d);
	}
	CHECK_IN(target, h.compared == all);
	ckpt_close(&c);
	finding_free(&f);
}

static const char *model(const char *config, const char *more)
{
	static struct path p;
	char args[1200];

	p = dirs_path("ranks-model");
	dirs_remove(p.s);
	snprintf(args, sizeof args, "%s --config tests/configs/%s.json %s", p.s, config, more);
	CHECK(!model_tool("mkmodel", args));
	return p.s;
}

static void values_of_vllm(void)
{
	struct job_opts o = set_opts(VLLM_TARGET, 2, true);
	const char *m = model("small4", "--set head_dim=512 --seed 3");

	hold_values(m, &o, VLLM_TARGET, true, 380);
	o = set_opts(VLLM_TARGET, 2, false);
	hold_values(m, &o, VLLM_TARGET, false, 272);
	o = set_opts(VLLM_TARGET, 2, true);
	hold_values(model("small-base", "--set head_dim=512 --seed 4"), &o, VLLM_TARGET, true, 380);
}

static void values_of_sglang(void)
{
	struct job_opts o = set_opts(SGLANG_TARGET, 1, false);
	const char *m = model("small4", "--seed 3");

	o.shard_config = "tests/vectors/sglang_small4-2-tp.json";
	hold_values(m, &o, SGLANG_TARGET, true, 380);
	o.shard_config = "tests/vectors/sglang_small4-2-ep.json";
	hold_values(m, &o, SGLANG_TARGET, false, 272);
	o.shard_config = "tests/vectors/sglang_small-base-2-tp.json";
	hold_values(model("small-base", "--seed 4"), &o, SGLANG_TARGET, true, 380);
}

/* What fits no format says so: ids, and scales that are no numbers. */
static void no_values(void)
{
	static const char *const row[] = { "model.layers.0.ffn.experts.gate.tid2eid",
		"model.layers.0.attn.wq_b.weight_scale_inv",
		"model.layers.0.ffn.experts.routed_experts.w13_weight_scale" };
	struct dsv4_open_options open = { .size = sizeof open, .ranks = 1 };
	struct job_opts o = set_opts(VLLM_TARGET, 1, true);
	struct path out = dirs_path("ranks-out");
	struct dsv4_error e = { 0 };
	struct dsv4_values v;
	struct dsv4 *d;
	size_t i;

	dirs_remove(out.s);
	CHECK(set_makes(model("small4", "--set head_dim=512 --seed 3"), out.s, &o));
	CHECK(!dsv4_open(&d, out.s, &open, NULL));
	for (i = 0; i < sizeof row / sizeof *row; i++)
		CHECK_IN(row[i],
			dsv4_values(d, dsv4_find(d, 0, row[i]), &v, &e) &&
				is(&e, "lib.decode", row[i]));
	dsv4_close(d);
}

/* clang-format off */
static const struct test tests[] = {
	{ "vllm_sharded", vllm_sharded }, { "sglang_presharded", sglang_presharded },
	{ "values_of_vllm", values_of_vllm }, { "values_of_sglang", values_of_sglang },
	{ "no_values", no_values },
	{ 0 },
};
/* clang-format on */
TEST_MAIN(tests)
