/* test_derive.c -- the quick ways of compare are the plain ones: layouts gathered by lists of moves, and
 * every unit of every kind of conversion.
 *
 * SPDX-License-Identifier: MIT */
#include "core/file.h"
#include "formats/layout/engine.h"
#include "tests/poke.h"
#include "tests/sanitized.h"
#include "tests/verify.h"
#include "formats/model/recipes.h"
#include "formats/model/vllm_name.h"
#include "verify/compare/derive.h"
#include "verify/compare/walk.h"

/* --- layouts --- */

/* Random rows packed by tile_pack and gathered are the same bytes; false where it is left to tile_pack. */
static bool same_layout(struct gather *g, const struct tile *t, struct tile_dim d)
{
	uint64_t bytes = tile_bytes(t, d), in = ((uint64_t)d.cols * t->bits + 7) / 8, s, take;
	struct tile_grid grid = tile_grid(t, d);
	uint8_t *src = guarded(in * d.rows), *got, *want;
	const uint8_t **row = malloc(d.rows * sizeof *row);
	uint64_t i;

	for (i = 0; i < in * d.rows; i++)
		src[i] = (uint8_t)rnd64();
	for (i = 0; i < d.rows; i++)
		row[i] = src + i * in;
	CHECK_IN(t->name, !gather_make(g, t, d));
	if (g->usable) {
		got = guarded(bytes);
		want = guarded(bytes);
		memset(got, 0x55, bytes);
		memset(want, 0xaa, bytes);
		for (s = 0; s < grid.n; s += take) {
			take = t->by_cols ? grid.n : grid.across;
			tile_pack(t, d, row + (t->by_cols ? 0 : s / grid.across * grid.rows), s,
				take, want + s * grid.bytes);
		}
		gather_run(g, row, got);
		CHECK_IN(t->name, same_bytes(t->name, got, want, bytes));
	}
	free(row);
	return g->usable;
}

/* Every layout at several sizes; one gather for all, which is made anew for each. */
static void gather_is_tile_pack(void)
{
	struct gather g = { .tile = NULL };
	const struct tile *t;
	unsigned k, used, n = 0;
	struct tile_dim d;

	for (t = tiles; t < tiles + n_tiles; t++) {
		for (used = 0, k = 0; k < 6; k++) {
			d.rows = t->row_unit * (1 + rnd(300 / t->row_unit ? 300 / t->row_unit : 1));
			d.cols = t->col_unit * (1 + rnd(200 / t->col_unit ? 200 / t->col_unit : 1));
			d.cols += t->bits == 4 && d.cols % 2;
			used += same_layout(&g, t, d);
		}
		n += used > 0;
	}
	printf("     %u of %u layouts are gathered\n", n, n_tiles);
	gather_free(&g);
}

/* What engines get of Flash and Pro is gathered: none of it is left to the slow way. */
static void gather_takes_engines(void)
{
	static const uint32_t size[][2] = { { 4096, 4096 }, { 4096, 2048 }, { 6144, 7168 },
		{ 7168, 3072 } }; /* rows, columns of w13 and w2 */
	struct gather g = { .tile = NULL };
	struct engine_fit fit;
	const struct engine *e;
	char why[256];
	unsigned i, scale;

	for (e = engines; e < engines + n_engines; e++)
		for (i = 0; i < 4; i++)
			for (scale = 0; scale < 2; scale++) {
				if (!engine_fit(e, i % 2 ? ENGINE_W2 : ENGINE_W13, scale,
					    size[i][0], size[i][1], &fit, why, sizeof why)) {
					CHECK_IN(e->name, strlen(why) > 0);
					continue;
				}
				CHECK_IN(fit.tile->name,
					!gather_make(&g, fit.tile, fit.dim) && g.usable);
			}
	gather_free(&g);
}

/* --- units --- */

struct units {
	struct ckpt source;
	struct derive_maker quick, plain;
	unsigned seen[OP_COUNT]; /* units of each transform */
	uint64_t step;           /* one tensor of so many is looked at; 0: each */
};

/* Rounding once more the plain way takes long: of names that round, some tensors; EVERY=1: all. Codes, scales and shapes
 * follow one another, so the step has no divisor in common with two and three. */
static uint64_t step_of(const struct recipe *r)
{
	return r->rounds ? every(5) : 1;
}

static int compare_file(void *ctx, const struct walk_file *f, struct err *e)
{
	struct units *u = ctx;
	struct derive d;
	uint8_t *got, *want;
	uint64_t unit, n;
	size_t i;

	for (i = 0; f->s && i < f->s->n; i += u->step ? (size_t)u->step : 1) {
		CHECK_IN(f->s->tensors[i].name,
			!derive_open(&d, &(struct derive_from){ .c = &u->source }, f->s,
				&f->s->tensors[i], f->d->m, e));
		for (unit = 0; unit < d.units; unit++) {
			n = derive_unit_bytes(&d, unit);
			got = malloc(n);
			want = malloc(n);
			memset(got, 0x55, n);
			memset(want, 0xaa, n);
			CHECK(!derive_unit(&u->quick, &d, unit, got, e) &&
				!derive_unit_plain(&u->plain, &d, unit, want, e));
			CHECK_IN(f->s->tensors[i].name,
				same_bytes(f->s->tensors[i].name, got, want, n));
			u->seen[d.t->op]++;
			free(got);
			free(want);
		}
		CHECK_IN(f->s->tensors[i].name,
			!memcmp(&u->quick.blocks, &u->plain.blocks, sizeof u->quick.blocks) &&
				u->quick.n_lost == u->plain.n_lost);
		CHECK_IN(f->s->tensors[i].name,
			!u->quick.n_lost ||
				!memcmp(u->quick.lost, u->plain.lost,
					u->quick.n_lost * sizeof *u->quick.lost));
		u->quick.n_lost = u->plain.n_lost = 0;
	}
	return 0;
}

/* Calls file for each file of the conversion out, with u and its source open. */
static void walk_units(struct units *u, const char *source, const char *out,
	int (*file)(void *ctx, const struct walk_file *f, struct err *e))
{
	struct ckpt_opts co = { .header_cap = 0 };
	struct report r;
	struct walk w = { .io = io_posix(), .r = &r, .file = file, .ctx = u };
	struct findings f = { 0 };
	struct err e = { 0 };
	int dir;

	report_begin(&r, "test 0", "compare", source, out);
	CHECK(!ckpt_open(&u->source, io_posix(), source, &co, &f, &e));
	CHECK(!file_open_dir(io_posix(), out, &dir, &e));
	CHECK_IN(out, !walk_run(&w, dir, &e) && !r.n);
	close(dir);
	finding_free(&f);
	ckpt_close(&u->source);
	report_free(&r);
}

static void compare_units(struct units *u, const char *source, const char *out)
{
	walk_units(u, source, out, compare_file);
}

/* Makes of it whatever there is a way to, and compares the units; what a model is refused for has tests of its own. */
static void all_formats(struct units *u, const char *source, bool lossy, unsigned least)
{
	struct path d = dirs_path("formed");
	const struct recipe *r;
	struct job_opts o;
	struct err e;
	unsigned n = 0;

	for (r = recipes; r->name; r++) {
		if (r->mix || r->need == NEED_MLX_NAMES) /* test_mixes: rows of 256; of V4.1 */
			continue;
		o = set_opts(r->name, 1, false);
		o.plan.share = (struct share){ 0 };
		o.plan.lossy = lossy;
		o.input_scale = r->input ? "0.5" : NULL;
		dirs_remove(d.s);
		memset(&e, 0, sizeof e);
		if (set_execute(source, d.s, &o, &e))
			continue;
		u->step = step_of(r);
		compare_units(u, source, d.s);
		n++;
	}
	u->step = 1;
	CHECK_IN(source, n >= least);
}

/* Scales of an expert all over what they may be, so that blocks are rescued and rounded; signs of zeros dropped; scales
 * in F32 that are no powers of two. */
static void far_scales(struct units *u)
{
	struct path model = model_copy(FLASH, "far"), base = dirs_path("small-base"),
		    d = dirs_path("formed");
	struct job_opts o = set_opts("nvfp4", 1, false);
	static const float odd[2] = { 1.5f, -0x1p-100f };
	uint8_t scales[512];
	char args[700];
	size_t i;

	for (i = 0; i < sizeof scales; i++)
		scales[i] = (uint8_t)(rnd(2) ? 132 : rnd(3) ? 100 + rnd(51) : 150);
	poke(model.s, "layers.0.ffn.experts.", ".w1.scale", 0, scales, sizeof scales);
	all_formats(u, model.s, true, 8);
	o.plan.share = (struct share){ 0 };
	o.plan.lossy = true;
	o.input_scale = "1";
	for (i = 0; i < 4; i++) { /* with the sign of zeros and without, one after the other */
		o.plan.drop_signs = i % 2;
		dirs_remove(d.s);
		CHECK(set_makes(i < 2 ? FLASH : model.s, d.s, &o));
		compare_units(u, i < 2 ? FLASH : model.s, d.s);
	}
	snprintf(args, sizeof args, "%s --config tests/configs/small-base.json", base.s);
	dirs_remove(base.s);
	CHECK(!model_tool("mkmodel", args));
	all_formats(u, base.s, false, 3);
	poke(base.s, "layers.", ".wq_a.scale", 0, odd, sizeof odd);
	all_formats(u, base.s, true, 2);
}

/* Tables of Engram as records. */
static void of_tables(struct units *u)
{
	struct path model = dirs_path("v41"), d = dirs_path("records");
	struct job_opts o = set_opts("hf", 1, false);
	const struct rowrec *r;
	char args[700];

	snprintf(args, sizeof args, "%s --config tests/configs/small-v41.json", model.s);
	CHECK(!model_tool("mkmodel", args));
	o.plan.share = (struct share){ 0 };
	o.plan.engram = ENGRAM_SEPARATE;
	for (r = rowrecs; r < rowrecs + n_rowrecs; r++) {
		o.plan.record = r;
		dirs_remove(d.s);
		CHECK(set_makes(model.s, d.s, &o));
		compare_units(u, model.s, d.s);
	}
	o = set_opts("slice", 1, false);
	o.plan.share = (struct share){ 0 };
	o.plan.engram_vocab = 10;
	dirs_remove(d.s);
	CHECK(set_makes(model.s, d.s, &o));
	compare_units(u, model.s, d.s);
}

/* Every transform of every kind of output, of models with E8M0 and F32 scales, with threads and without. */
static void quick_is_plain(void)
{
	struct path d = dirs_path("out"), base = dirs_path("base");
	struct units u = { .seen = { 0 } };
	struct model_job j = model_job("official", 2);
	const struct engine *g;
	const struct recipe *r;
	struct job_opts o;
	struct err e;
	char args[700];
	unsigned op;

	CHECK(convert(&j, FLASH, d.s));
	compare_units(&u, FLASH, d.s);
	j.plan.experts = CODEC_FP8;
	dirs_remove(d.s);
	CHECK(convert(&j, FLASH, d.s));
	compare_units(&u, FLASH, d.s);
	snprintf(args, sizeof args, "%s --config tests/configs/small-base.json", base.s);
	CHECK(!model_tool("mkmodel", args));
	dirs_remove(d.s);
	j = model_job("official", 2);
	CHECK(convert(&j, base.s, d.s));
	compare_units(&u, base.s, d.s);
	o = set_opts("hf", 1, false);
	o.plan.share = (struct share){ 0 };
	o.plan.experts = CODEC_FP8;
	dirs_remove(d.s);
	CHECK(set_makes(FLASH, d.s, &o));
	compare_units(&u, FLASH, d.s);
	o = set_opts("slice", 1, false);
	o.plan.share = (struct share){ 0 };
	o.plan.layers = "0,2-3";
	o.plan.keep = 4;
	dirs_remove(d.s);
	CHECK(set_makes(FLASH, d.s, &o));
	compare_units(&u, FLASH, d.s);
	for (r = recipes; r->name; r++) {
		if (r->mix || r->need == NEED_MLX_NAMES) /* test_mixes: rows of 256; of V4.1 */
			continue;
		o = set_opts(r->name, 1, false);
		o.plan.share = (struct share){ 0 };
		o.input_scale = r->input ? "0.5" : NULL;
		dirs_remove(d.s);
		CHECK(set_makes(FLASH, d.s, &o));
		u.step = step_of(r);
		compare_units(&u, FLASH, d.s);
	}
	u.step = 1;
	for (g = engines; g < engines + n_engines; g++) {
		o = set_opts(g->name, 2, false);
		dirs_remove(d.s);
		if (!set_execute(FLASH, d.s, &o, &e))
			compare_units(&u, FLASH, d.s);
	}
	of_tables(&u);
	o = set_opts(VLLM_TARGET, 1, true);
	dirs_remove(d.s);
	CHECK(set_makes(FLASH, d.s, &o));
	compare_units(&u, FLASH, d.s);
	o = set_opts("sglang-presharded", 1, false);
	o.shard_config = "tests/vectors/sglang_tiny-flash-1-ep.json";
	dirs_remove(d.s);
	CHECK(set_makes(FLASH, d.s, &o));
	compare_units(&u, FLASH, d.s);
	for (op = 0; op < OP_COUNT; op++)
		CHECK_IN(ops[op].name, u.seen[op] > 0);
	far_scales(&u);
	CHECK(u.quick.blocks.lossy && u.quick.blocks.rescued &&
		u.quick.blocks.n > u.quick.blocks.lossy + u.quick.blocks.rescued);
	derive_free(&u.quick);
	derive_free(&u.plain);
}

/* Counts the tensors that nothing can be made of, which is said by both ways. */
static int refuse_file(void *ctx, const struct walk_file *f, struct err *e)
{
	struct units *u = ctx;
	struct err a, b;
	struct derive d;
	uint8_t *out;
	size_t i;

	for (i = 0; f->s && i < f->s->n; i++) {
		if (strncmp(f->s->tensors[i].name, "layers.0.ffn.experts.", 21) != 0)
			continue;
		memset(&a, 0, sizeof a);
		memset(&b, 0, sizeof b);
		CHECK(!derive_open(&d, &(struct derive_from){ .c = &u->source }, f->s,
			&f->s->tensors[i], f->d->m, e));
		out = malloc(derive_unit_bytes(&d, 0));
		u->seen[0] += derive_unit(&u->quick, &d, 0, out, &a) != 0;
		u->seen[1] += derive_unit_plain(&u->plain, &d, 0, out, &b) != 0;
		CHECK_IN(a.text, !a.text[0] || strstr(a.text, "row 0: the source has a value"));
		free(out);
	}
	return 0;
}

/* Of a row with NaN no bytes are made that a forger could have put there. */
static void no_bytes_of_nan(void)
{
	struct path model = model_copy(FLASH, "nan"), d = dirs_path("of.nan");
	struct job_opts o = set_opts("w4a16", 1, false);
	struct units u = { .seen = { 0 } };
	const uint8_t nan = 255;

	o.plan.share = (struct share){ 0 };
	CHECK(set_makes(FLASH, d.s, &o));
	poke(model.s, "layers.0.ffn.experts.0.w1", ".scale", 0, &nan, 1);
	walk_units(&u, model.s, d.s, refuse_file);
	CHECK(u.seen[0] == 2 && u.seen[1] == 2); /* codes and scales; the shape stays */
	derive_free(&u.quick);
	derive_free(&u.plain);
}

static const struct test tests[] = { { "gather_is_tile_pack", gather_is_tile_pack },
	{ "gather_takes_engines", gather_takes_engines }, { "quick_is_plain", quick_is_plain },
	{ "no_bytes_of_nan", no_bytes_of_nan }, { 0 } };
TEST_MAIN(tests)
