/* test_collect.c -- dsv4-quant imatrix: sums against the activations that record keeps, calls that are taken up again, bad
 * calls.
 *
 * SPDX-License-Identifier: MIT */
#include "core/file.h"
#include "formats/gguf/imatrix.h"
#include "kernels/forward/importance.h"
#include "tests/model.h"
#include "tests/set.h"
#include "verify/run/compute.h"
#include "verify/run/record.h"

#include <math.h>
#include <signal.h>
#include <sys/resource.h>

#define IDS "5,17,99,3,200,41,41,8,250,77,123,64,1,2,3,4,5,6,7,8,9,10,11,12"
#define LINES "[5,17,99,3,200,41,41,8,250]\n[77]\n[1,2,3,4,5,6,7,8,9,10,11,12]\n"

static struct text slurp(const char *name)
{
	struct path dir = dirs_path(".");
	struct text t = { 0 };
	struct err e = { 0 };
	int fd = open(dir.s, O_RDONLY | O_DIRECTORY);

	CHECK(!file_load(io_posix(), fd, name, 1 << 24, &t, &e));
	close(fd);
	return t;
}

static void spit(const char *name, const char *s)
{
	struct path dir = dirs_path(".");
	struct err e = { 0 };
	int fd = open(dir.s, O_RDONLY | O_DIRECTORY);

	CHECK(!file_replace(io_posix(), fd, name, s, strlen(s), &e));
	close(fd);
}

/* Exit status of dsv4-quant imatrix; what it says goes to the file "said". */
static int call(const char *model, const char *tokens, const char *out, const char *more)
{
	struct path said = dirs_path("said");
	char line[2600];
	int rc;

	snprintf(line, sizeof line, "%s/dsv4-quant imatrix %s --tokens %s -o %s %s >%s 2>&1",
		getenv("B") ? getenv("B") : "build/gcc-opt", model, tokens, out, more, said.s);
	rc = system(line);
	return rc < 0 ? rc : (rc >> 8) & 255;
}

static bool said(const char *word)
{
	struct text t = slurp("said");
	bool there = t.s && strstr(t.s, word);

	if (!there)
		fprintf(stderr, "said: %s\n", t.s ? t.s : "");
	text_free(&t);
	return there;
}

/* --- against what record keeps --- */

static bool near(double a, double b)
{
	return fabs(a - b) <= 1e-6 * (fabs(a) + 1e-30);
}

/* Whether the means of matrix mat are those of the rows of x that its tokens are; experts NULL: of all rows. */
static bool mean_is(const struct imatrix *m, const char *name, uint64_t mat, const float *x,
	uint32_t n, uint32_t cols, const int32_t *experts, uint32_t k)
{
	const struct imatrix_tensor *t = imatrix_find(m, name);
	float *mean = malloc(cols * sizeof *mean);
	double count, sum, tokens = 0;
	struct err e = { 0 };
	uint32_t i, j, c;
	bool good = t && t->cols == cols && !imatrix_mean(m, t, mat, mean, &count, &e), in;

	for (c = 0; good && c < cols; c++) {
		for (i = 0, sum = 0, tokens = 0; i < n; i++) {
			for (j = 0, in = !experts; !in && j < k; j++)
				in = experts[i * k + j] == (int32_t)mat;
			tokens += in;
			sum += in ? (double)x[(uint64_t)i * cols + c] *
					(double)x[(uint64_t)i * cols + c]
				  : 0;
		}
		good = tokens == count && near((double)mean[c], tokens > 0 ? sum / tokens : 1);
	}
	free(mean);
	return good;
}

static void layer_is(const struct imatrix *m, const struct record *r, uint32_t layer, uint32_t dim)
{
	static const char *const of_ffn[] = { "ffn_gate_inp", "ffn_gate_shexp", "ffn_up_shexp" };
	static const char *const of_experts[] = { "ffn_gate_exps", "ffn_up_exps" };
	static const char *const of_attn[] = { "attn_q_a", "attn_kv" };
	float *ffn = NULL, *attn = NULL;
	int32_t *experts = NULL;
	struct err e = { 0 };
	char name[64];
	uint32_t i, x;

	snprintf(name, sizeof name, "layers.%u.ffn.in", layer);
	CHECK(record_floats(r, name, (uint64_t)r->n * dim, &ffn, &e) == 1);
	snprintf(name, sizeof name, "layers.%u.attn.in", layer);
	CHECK(record_floats(r, name, (uint64_t)r->n * dim, &attn, &e) == 1);
	snprintf(name, sizeof name, "layers.%u.gate.experts", layer);
	CHECK(record_ints(r, name, (uint64_t)r->n * 3, &experts, &e) == 1);
	for (i = 0; ffn && i < 3; i++) {
		snprintf(name, sizeof name, "blk.%u.%s.weight", layer, of_ffn[i]);
		CHECK_IN(name, mean_is(m, name, 0, ffn, r->n, dim, NULL, 0));
	}
	for (i = 0; attn && i < 2; i++) {
		snprintf(name, sizeof name, "blk.%u.%s.weight", layer, of_attn[i]);
		CHECK_IN(name, mean_is(m, name, 0, attn, r->n, dim, NULL, 0));
	}
	for (i = 0; ffn && experts && i < 2; i++)
		for (x = 0; x < 8; x++) {
			snprintf(name, sizeof name, "blk.%u.%s.weight", layer, of_experts[i]);
			CHECK_IN(name, mean_is(m, name, x, ffn, r->n, dim, experts, 3));
		}
	free(ffn);
	free(attn);
	free(experts);
}

static void recorded_in(const char *arithmetic, const char *option)
{
	struct path out = dirs_path("x.gguf"), rec = dirs_path("x.rec");
	struct compute_opts o = { .io = io_posix(),
		.features = cpu_features(),
		.threads = 2,
		.tokens = IDS,
		.arithmetic = arithmetic };
	struct err e = { 0 };
	struct report rep;
	struct imatrix m;
	struct record r;
	uint32_t l;

	report_begin(&rep, "test", "record", FLASH, NULL);
	CHECK(!compute_record(&rep, FLASH, rec.s, &o, &e));
	report_free(&rep);
	CHECK(call(FLASH, IDS, out.s, option) == 0 && said("tokens an expert"));
	CHECK(!imatrix_open(&m, io_posix(), out.s, &e) && m.chunks == 1 && m.chunk_size == 24);
	CHECK(!record_open(&r, io_posix(), rec.s, 4, 1000, &e));
	for (l = 0; l < 4; l++)
		layer_is(&m, &r, l, 256);
	record_close(&r);
	imatrix_close(&m);
}

static void recorded(void)
{
	recorded_in(NULL, "");
	recorded_in("fp32", "--arithmetic fp32");
}

/* --- inside of experts: what goes into w2 follows from what w1 and w3 give (swiglu_limit of tiny-flash is 1) --- */

struct inside {
	struct importance m;
	float g[32 * 128];
	double sum[128];
};

static int see(void *ctx, const char *name, const void *v, bool whole, uint32_t n, uint32_t cols,
	int64_t token, struct err *e)
{
	struct inside *s = ctx;
	const float *u = v;
	uint32_t i;
	double g, x;

	(void)whole, (void)token, (void)e;
	if (!strcmp(name, "layers.0.ffn.shared_experts.w1"))
		memcpy(s->g, v, (size_t)n * cols * 4);
	if (strcmp(name, "layers.0.ffn.shared_experts.w3") != 0)
		return 0;
	for (i = 0; i < n * cols; i++) {
		g = fmin((double)s->g[i], 1);
		x = g / (1 + exp(-g)) * fmax(fmin((double)u[i], 1), -1);
		s->sum[i % cols] += x * x;
	}
	return 0;
}

static int take(void *ctx, const char *name, const float *x, uint64_t ld, uint32_t n, uint32_t cols,
	struct err *e)
{
	return importance_take(&((struct inside *)ctx)->m, name, x, ld, n, cols, e);
}

static void shared_experts(void)
{
	static struct inside s;
	const uint32_t ids[] = { 5, 17, 99, 3, 200, 41, 41, 8 };
	struct weights w;
	struct forward f;
	struct err e = { 0 };
	struct dev d;
	unsigned i, c, found = 0;

	CHECK(!dev_open_cpu(&d, cpu_features(), 2, &e) &&
		!weights_open(&w, io_posix(), FLASH, &d, cpu_features(), &e) &&
		!forward_open(&f, &d, &w, ids, 8, 0, 3, &e) && !forward_embed(&f, &e));
	importance_begin(&s.m, &w.c.config);
	f.tap = (struct forward_tap){ .ctx = &s, .see = see, .steps = true, .take = take };
	CHECK(!forward_layer(&f, 0, &e));
	for (i = 0; i < s.m.n; i++)
		for (c = 0; !strcmp(s.m.v[i].name, "ffn.shared_experts.w2") && c < 128;
			c++, found++)
			CHECK(fabs(s.m.v[i].sum[c] - s.sum[c]) <= 0.01 * s.sum[c]);
	CHECK(found == 128);
	importance_end(&s.m);
	forward_close(&f);
	weights_close(&w);
	d.close(&d);
}

/* --- taken up again --- */

/* Leaves out.partial as a call does that ends when all layers are done: the system lets no file have more than so many bytes,
 * which are enough for the streams and for each layer's file and too few for the file of them all. */
static void cut_short(const struct path *out, const char *tokens, size_t bytes)
{
	struct rlimit was, less;

	CHECK(!getrlimit(RLIMIT_FSIZE, &was));
	less = was;
	less.rlim_cur = bytes;
	CHECK(!setrlimit(RLIMIT_FSIZE, &less) && signal(SIGXFSZ, SIG_IGN) != SIG_ERR);
	CHECK(call(FLASH, tokens, out->s, "") != 0);
	CHECK(!setrlimit(RLIMIT_FSIZE, &was) && signal(SIGXFSZ, SIG_DFL) != SIG_ERR);
	CHECK(access(out->s, F_OK) != 0);
}

static void taken_up(void)
{
	static const struct {
		const char *what, *said;
		const char *gone[2]; /* files of the folder that are removed */
		const char *cut;     /* one that is cut */
		const char *flip;    /* one of whose bytes, the 2500th, a bit is flipped */
	} cases[] = {
		{ "all layers", "4 layers", { NULL }, NULL, NULL },
		{ "the last layer", "3 layers", { "layer-00003.gguf" }, NULL, NULL },
		{ "a cut file", "3 layers", { NULL }, "layer-00003.gguf", NULL },
		/* the streams of the layer before are there no longer: all begin anew */
		{ "a layer between", NULL, { "layer-00001.gguf" }, NULL, NULL },
		{ "a flipped sum", NULL, { NULL }, NULL, "layer-00001.gguf" },
		{ "a flipped sum of the last", "3 layers", { NULL }, NULL, "layer-00003.gguf" },
		/* streams.1 is what the last layer takes */
		{ "no streams", NULL, { "layer-00003.gguf", "streams.1" }, NULL, NULL },
		{ "cut streams", NULL, { "layer-00003.gguf" }, "streams.1", NULL },
		{ "flipped streams", NULL, { "layer-00003.gguf" }, NULL, "streams.1" },
		{ "other streams", "3 layers", { "layer-00003.gguf", "streams.0" }, NULL, NULL },
		{ "no state", NULL, { "state" }, NULL, NULL },
		{ "a flipped state", NULL, { NULL }, NULL, "state" },
		{ "a cut state", NULL, { NULL }, "state", NULL },
		{ "the first", NULL, { "layer-00000.gguf" }, NULL, NULL },
	};
	struct path out = dirs_path("y.gguf"), p = dirs_path("p.jsonl"), file;
	struct text whole, again;
	char name[64];
	uint8_t *bytes;
	size_t i, k, n;

	spit("p.jsonl", LINES);
	CHECK(call(FLASH, p.s, out.s, "-j 1") == 0);
	whole = slurp("y.gguf");
	CHECK(access(dirs_path("y.gguf.partial").s, F_OK) != 0);
	for (i = 0; i < sizeof cases / sizeof *cases; i++) {
		remove(out.s);
		cut_short(&out, p.s, whole.n - 1000);
		for (k = 0; k < 2 && cases[i].gone[k]; k++) {
			snprintf(name, sizeof name, "y.gguf.partial/%s", cases[i].gone[k]);
			file = dirs_path(name);
			CHECK_IN(cases[i].what, !remove(file.s));
		}
		if (cases[i].cut) {
			snprintf(name, sizeof name, "y.gguf.partial/%s", cases[i].cut);
			file = dirs_path(name);
			CHECK_IN(cases[i].what,
				!truncate(file.s, strcmp(cases[i].cut, "state") ? 3000 : 100));
		}
		if (cases[i].flip) {
			snprintf(name, sizeof name, "y.gguf.partial/%s", cases[i].flip);
			file = dirs_path(name);
			bytes = file_get_all(file.s, &n);
			CHECK_IN(cases[i].what, bytes && n > 100);
			bytes[n > 2500 ? 2500 : 100] ^= 4;
			file_put_all(file.s, bytes, n);
			free(bytes);
		}
		CHECK_IN(cases[i].what, call(FLASH, p.s, out.s, "") == 0);
		CHECK_IN(cases[i].what, !cases[i].said || said(cases[i].said));
		again = slurp("y.gguf");
		CHECK_IN(cases[i].what, again.n == whole.n && !memcmp(again.s, whole.s, whole.n));
		text_free(&again);
	}
	/* other tokens: nothing of what is there is taken */
	remove(out.s);
	cut_short(&out, "1,2,3,4", whole.n - 1000);
	CHECK(call(FLASH, p.s, out.s, "") == 0);
	again = slurp("y.gguf");
	CHECK(again.n == whole.n && !memcmp(again.s, whole.s, whole.n));
	text_free(&again);
	text_free(&whole);
}

static void bad_calls(void)
{
	struct path out = dirs_path("z.gguf"), p = dirs_path("bad.jsonl");

	CHECK(call(FLASH, "1,2,256", out.s, "") == 2 && said("token 2 is 256"));
	spit("bad.jsonl", "[1]\n[");
	CHECK(call(FLASH, p.s, out.s, "") == 2 && said("line 2"));
	CHECK(call(FLASH, "1,2", out.s, "--max-memory 1M") == 2);
	CHECK(call(FLASH, "1,2", out.s, "--arithmetic bf16") == 2);
	CHECK(call(p.s, "1,2", out.s, "") != 0);
	CHECK(access(out.s, F_OK) != 0 && access(dirs_path("z.gguf.partial").s, F_OK) != 0);
	CHECK(call(FLASH, "1,2", dirs_path("none/z.gguf").s, "") == 2);
	CHECK(!mkdir(out.s, 0777) && call(FLASH, "1,2", out.s, "") == 2 && said("is a folder"));
	CHECK(!rmdir(out.s) && access(dirs_path("z.gguf.partial").s, F_OK) != 0);
}

static const struct test tests[] = {
	{ "recorded", recorded },
	{ "shared_experts", shared_experts },
	{ "taken_up", taken_up },
	{ "bad_calls", bad_calls },
	{ NULL, NULL },
};
TEST_MAIN(tests)
