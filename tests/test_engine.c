/* test_engine.c -- what an engine's target makes of whole checkpoints: every byte of every folder is
 * traced back to the source through the address functions, for all engines, ranks and ways to share;
 * refusals; placements; the same bytes whatever threads and memory.
 *
 * SPDX-License-Identifier: MIT */
#include "tests/set.h"

static bool refuses(const char *from, const struct job_opts *o, const char *rule, const char *word)
{
	return set_refuses(from, dirs_path("never").s, o, rule, word) &&
		!is_file(dirs_path("never").s);
}

/* --- tracing back --- */

struct trace {
	struct ckpt src, out; /* of one rank folder; out without config */
	const struct engine *g;
	struct share h;
	uint64_t I, E;
};

static uint8_t *bytes_of(const struct ckpt *c, const struct tensor *t)
{
	uint8_t *p = malloc(t->end - t->begin + 1);
	struct err e = { 0 };

	CHECK_IN(t->name, !ckpt_read(c, t, 0, p, t->end - t->begin, &e));
	return p;
}

static uint32_t element(const uint8_t *p, uint64_t i, unsigned bits)
{
	uint32_t v = 0;

	if (bits == 4)
		return p[i / 2] >> (i % 2 * 4) & 15;
	memcpy(&v, p + i * (bits / 8), bits / 8);
	return v;
}

/* Element by element: where at and the row map say it is. */
static void trace_matrix(const struct trace *t, const char *block, enum engine_part part,
	bool scale, const uint32_t *ids, uint64_t n_ids)
{
	char name[128];
	const struct tensor *o, *s[2];
	uint32_t n, k, p, r, c, each;
	struct engine_fit fit;
	uint8_t *got, *src, *x;
	uint64_t e, cut = t->h.experts_tp ? t->h.ranks : 1, rank = t->h.experts_tp ? t->h.rank : 0;
	uint32_t w, bad = 0;

	snprintf(name, sizeof name, "%s.ffn.experts.%s.%s", block,
		part == ENGINE_W13 ? "w13" : "w2", scale ? "scale" : "weight");
	o = ckpt_find(&t->out, name);
	CHECK_IN(name, o && o->dim[0] == n_ids);
	if (!o)
		return;
	n = part == ENGINE_W13 ? (uint32_t)(2 * t->I / cut) : 256;
	k = part == ENGINE_W13 ? 256 : (uint32_t)(t->I / cut);
	CHECK_IN(name, engine_fit(t->g, part, scale, n, k, &fit, name, 0));
	CHECK_IN(name, o->end - o->begin == n_ids * fit.bytes);
	got = bytes_of(&t->out, o);
	each = n / fit.map->parts;
	for (e = 0; e < n_ids; e++) {
		x = got + e * fit.bytes;
		for (w = 0; fit.tile->untwist && w < fit.bytes; w += 4) {
			memcpy(&c, x + w, 4);
			c = fit.tile->untwist(c);
			memcpy(x + w, &c, 4);
		}
		for (p = 0; p < fit.map->parts; p++) {
			snprintf(name, sizeof name, "%s.ffn.experts.%u.w%d.%s", block, ids[e],
				part == ENGINE_W2 ? 2
					: p       ? 3
						  : 1,
				scale ? "scale" : "weight");
			s[0] = ckpt_find(&t->src, name);
			src = bytes_of(&t->src, s[0]);
			for (r = 0; r < each; r++)
				for (c = 0; c < fit.dim.cols; c++) {
					uint64_t row = part == ENGINE_W13 ? rank * each + r : r;
					uint64_t col =
						part == ENGINE_W2 ? rank * fit.dim.cols + c : c;
					uint64_t bytes = (s[0]->end - s[0]->begin) / s[0]->dim[0];

					bad += element(src, row * bytes * 8 / fit.tile->bits + col,
						       fit.tile->bits) !=
						element(x,
							fit.tile->at(fit.dim,
								fit.map->to(p, r, each), c),
							fit.tile->bits);
				}
			free(src);
		}
	}
	if (bad)
		fprintf(stderr, "%s %s: %u elements\n", t->g->name, name, bad);
	CHECK_IN(name, !bad);
	free(got);
}

/* All that is no expert: whole, or rank by rank side by side. */
static void trace_dense(const struct trace *t)
{
	const struct tensor *s, *o;
	uint8_t *a, *b;
	size_t i, n = 0;

	for (i = 0; i < t->src.n; i++) {
		s = &t->src.tensors[i];
		if (strstr(s->name, ".experts."))
			continue;
		o = ckpt_find(&t->out, s->name);
		CHECK_IN(s->name, o);
		if (!o || o->end - o->begin != s->end - s->begin)
			continue; /* a part: test_restore looks at those */
		a = bytes_of(&t->src, s);
		b = bytes_of(&t->out, o);
		CHECK_IN(s->name, !memcmp(a, b, s->end - s->begin) && s->dtype == o->dtype);
		free(a);
		free(b);
		n++;
	}
	CHECK(n > 20);
}

/* Tensors begin at multiples of 4096 where their size allows: all that are one lie in front. */
static void check_aligned(const struct ckpt *c)
{
	uint64_t last_even = 0, first_odd = UINT64_MAX;
	const struct tensor *t;
	size_t i;

	for (i = 0; i < c->n_shards; i++)
		CHECK_IN(c->shards[i].name, c->shards[i].data_at % 4096 == 0);
	for (i = 0; i < c->n; i++) {
		t = &c->tensors[i];
		if (t->shard != 1)
			continue;
		if ((t->end - t->begin) % 4096 == 0) {
			CHECK_IN(t->name, t->begin % 4096 == 0);
			last_even = t->begin > last_even ? t->begin : last_even;
		} else if (t->begin < first_odd) {
			first_odd = t->begin;
		}
	}
	CHECK(first_odd == UINT64_MAX || last_even < first_odd);
}

static void trace_rank(const char *from, const char *out, const struct engine *g, struct share h)
{
	struct trace t = { .g = g, .h = h };
	struct ckpt_opts co = { 0 };
	struct findings f = { 0 };
	struct err e = { 0 };
	struct path p = dirs_path("out");
	uint32_t ids[64], i;
	uint64_t n;
	char block[32];
	unsigned part;

	snprintf(p.s, sizeof p.s, "%.300s/rank-%d-of-%d", out, (int)h.rank, (int)h.ranks);
	CHECK_IN(p.s, !ckpt_open(&t.src, io_posix(), from, &co, &f, &e));
	CHECK_IN(p.s, !ckpt_open(&t.out, io_posix(), p.s, &co, &f, &e));
	if (f.total)
		fprintf(stderr, "%s: %s\n", p.s, f.v[0].text);
	CHECK_IN(p.s, !f.total); /* the folder is sound for any reader */
	t.I = t.src.config.I;
	t.E = t.src.config.E;
	n = h.experts_tp ? t.E : t.E / h.ranks;
	for (i = 0; i < n; i++)
		ids[i] = (uint32_t)(h.experts_tp ? i : h.rank * n + i);
	for (i = 0; i <= t.src.config.L; i++) {
		snprintf(block, sizeof block, i < t.src.config.L ? "layers.%u" : "mtp.0", i);
		for (part = 0; part < 4; part++)
			trace_matrix(&t, block, part / 2 ? ENGINE_W2 : ENGINE_W13, part % 2, ids,
				n);
	}
	trace_dense(&t);
	check_aligned(&t.out);
	ckpt_close(&t.src);
	ckpt_close(&t.out);
	finding_free(&f);
}

static void all_engines(void)
{
	static const char *const from[] = { FLASH, PRO };
	struct path out = dirs_path("out");
	const struct engine *g;
	struct job_opts o;
	struct err e;
	unsigned done = 0, k, n;
	int tp;

	for (g = engines; g < engines + n_engines; g++) {
		for (k = 0; k < 2; k++)
			for (n = 1; n <= 4; n *= 2)
				for (tp = 0; tp < 2; tp++) {
					dirs_remove(out.s);
					o = set_opts(g->name, n, tp);
					if (set_execute(from[k], out.s, &o, &e)) {
						CHECK_IN(g->name,
							e.rule && !strcmp(e.rule, "plan.split"));
						continue;
					}
					done++;
					for (o.plan.share.rank = 0; o.plan.share.rank < n;
						o.plan.share.rank++)
						trace_rank(from[k], out.s, g, o.plan.share);
				}
		CHECK_IN(g->name, is_file(model_file(out.s, "").s) || done);
	}
	printf("     %u conversions\n", done);
	CHECK(done >= 80);
}

/* Threads, memory, fast ways and pieces change nothing. */
static void same_for_all_machines(void)
{
	struct path a = dirs_path("a"), b = dirs_path("b");
	const struct engine *g;
	struct job_opts o;
	char line[1100];

	for (g = engines; g < engines + n_engines; g++) {
		o = set_opts(g->name, 2, false);
		dirs_remove(a.s);
		dirs_remove(b.s);
		CHECK(set_makes(FLASH, a.s, &o));
		o.threads = 3;
		o.max_memory = 40 << 20;
		CHECK(set_makes(FLASH, b.s, &o));
		snprintf(line, sizeof line, "diff -r %s %s", a.s, b.s);
		CHECK_IN(g->name, !system(line));
		/* again: nothing is made */
		CHECK(set_makes(FLASH, b.s, &o));
		CHECK_IN(g->name, !system(line));
	}
}

/* --- what is refused --- */

static void refused(void)
{
	struct job_opts o = set_opts("marlin-mxfp4", 3, false);
	struct path in;
	uint8_t *p;
	size_t n, i, n_side;
	char *side;

	dirs_remove(dirs_path("never").s);
	o = set_opts("flashinfer-sm100", 1, false);
	o.plan.experimental = false;
	CHECK(refuses(FLASH, &o, "plan.experimental", "never compared"));
	o = set_opts("marlin-mxfp4", 3, false);
	CHECK(refuses(FLASH, &o, "plan.split", "legal for marlin-mxfp4 are 1, 2, 4, 8"));
	o = set_opts("frag-k32", 2, true);
	CHECK(refuses(FLASH, &o, "plan.split", "legal for frag-k32 are 1"));
	o = set_opts("marlin-mxfp4", 4, true);
	CHECK(refuses(PRO, &o, "plan.split", "has 2 heads, which 4 ranks cannot share"));
	o = set_opts("marlin-mxfp4", 1, false);
	o.plan.share.stages = 9;
	CHECK(refuses(FLASH, &o, "plan.split", "there are 4 layers"));
	o = set_opts("marlin-mxfp4", 1, false);
	o.plan.experts = CODEC_FP8;
	CHECK(refuses(FLASH, &o, "plan.engine-form", "FP4 experts"));
	/* A scale of 0 is nothing to Marlin, and the smallest there is to others. */
	in = model_copy(FLASH, "in");
	p = file_get_all(model_file(in.s, "model-00003-of-00007.safetensors").s, &n);
	{
		struct ckpt c;
		struct ckpt_opts co = { 0 };
		struct findings f = { 0 };
		struct err e = { 0 };
		const struct tensor *t;

		CHECK(!ckpt_open(&c, io_posix(), in.s, &co, &f, &e));
		t = ckpt_find(&c, "layers.1.ffn.experts.5.w3.scale");
		CHECK(t && t->shard == 2);
		i = (size_t)(c.shards[2].data_at + t->begin + 77);
		ckpt_close(&c);
		finding_free(&f);
	}
	p[i] = 0;
	model_put(in.s, "model-00003-of-00007.safetensors", p, n);
	o = set_opts("marlin-mxfp4", 1, false);
	{
		struct err e;

		CHECK(set_execute(in.s, dirs_path("bad").s, &o, &e) && e.rule &&
			!strcmp(e.rule, "data.scale-range") &&
			strstr(e.text, "experts.5.w3.scale") && strstr(e.text, "byte 77"));
		o = set_opts("kmajor-sf128", 1, false);
		dirs_remove(dirs_path("good").s);
		CHECK(set_makes(in.s, dirs_path("good").s, &o));
		side = (char *)file_get_all(model_file(dirs_path("good").s,
						    "rank-0-of-1/model-00003-of-00007.safetensors"
						    ".manifest.json")
						    .s,
			&n_side);
		CHECK(memmem(side, n_side, "\"zero\": 1", 9)); /* counted, where it is no fault */
		free(side);
	}
	p[i] = 250;
	model_put(in.s, "model-00003-of-00007.safetensors", p, n);
	o = set_opts("b12x-w4a8", 1, false);
	{
		struct err e;

		dirs_remove(dirs_path("bad").s);
		CHECK(set_execute(in.s, dirs_path("bad").s, &o, &e) && e.rule &&
			!strcmp(e.rule, "data.scale-range") && strstr(e.text, "0 to 247"));
	}
	free(p);
}

/* --- stages and placements --- */

static void stages(void)
{
	struct job_opts o = set_opts("kmajor-sf128", 2, false);
	struct path out = dirs_path("out");
	char line[700];

	dirs_remove(out.s);
	o.plan.share.stages = 2;
	CHECK(set_makes(FLASH, out.s, &o));
	snprintf(line, sizeof line, "%.300s/pp-0-of-2/rank-1-of-2", out.s);
	CHECK(is_file(model_file(line, "model-00001-of-00007.safetensors").s) &&
		is_file(model_file(line, "model-00003-of-00007.safetensors").s) &&
		!is_file(model_file(line, "model-00004-of-00007.safetensors").s));
	snprintf(line, sizeof line, "%.300s/pp-1-of-2/rank-0-of-2", out.s);
	CHECK(!is_file(model_file(line, "model-00003-of-00007.safetensors").s) &&
		is_file(model_file(line, "model-00004-of-00007.safetensors").s) &&
		is_file(model_file(line, "model-00006-of-00007.safetensors").s) &&
		is_file(model_file(line, "model-00007-of-00007.safetensors").s));
}

static void placements(void)
{
	static const struct {
		const char *text, *why; /* why NULL: taken */
	} row[] = {
		{ "{\"*\": [[0,1,2,3],[4,5,6,7]]}", NULL },
		{ "{\"*\": [[7,0,2,3],[4,5,6,1,0]]}", NULL },
		{ "{\"layers.0\": [[0,1,2,3,4,5,6,7],[]], \"*\": [[0,1,2,3],[4,5,6,7]]}", NULL },
		{ "{\"layers.0\": [[0,1,2,3],[4,5,6,7]]}", "layers.1: is not in the file" },
		{ "{\"*\": [[0,1,2,3],[4,5,6]]}", "an expert has no place" },
		{ "{\"*\": [[0,1,2,3,3],[4,5,6,7]]}", "twice on one rank" },
		{ "{\"*\": [[0,1,2,3],[4,5,6,8]]}", "no expert's" },
		{ "{\"*\": [[0,1,2,3],[4,5,6,-1]]}", "no expert's" },
		{ "{\"*\": [[0,1,2,3],[4,5,6,7],[]]}", "one list for each rank" },
		{ "{\"*\": [[0,1,2,3],[4,5,6,\"7\"]]}", "no expert's" },
		{ "{\"*\": 5}", "one list for each rank" },
		{ "{\"*\": [5, 6]}", "not a list" },
		{ "[]", "not a JSON object" },
		{ "{", "not a JSON object" },
	};
	struct job_opts o = set_opts("kmajor-sf128", 2, false);
	struct path out = dirs_path("out"), file = dirs_path("place");
	struct err e;
	size_t i;
	int rc;

	o.placement = file.s;
	for (i = 0; i < sizeof row / sizeof *row; i++) {
		unlink(file.s);
		file_put_all(file.s, row[i].text, strlen(row[i].text));
		dirs_remove(out.s);
		rc = set_execute(FLASH, out.s, &o, &e);
		CHECK_IN(row[i].text, !rc == !row[i].why);
		CHECK_IN(e.text, !rc || (e.rule && !strcmp(e.rule, "plan.placement")));
		CHECK_IN(row[i].text, !rc || strstr(e.text, row[i].why));
	}
}

/* clang-format off */
static const struct test tests[] = {
	{ "engines: traced back", all_engines },
	{ "engines: same for all machines", same_for_all_machines },
	{ "engines: refused", refused },
	{ "engines: stages", stages },
	{ "engines: placements", placements },
	{ 0 },
};
/* clang-format on */
TEST_MAIN(tests)
