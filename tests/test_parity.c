/* test_parity.c -- an engine's state beside the conversion that it was loaded from: what is equal is called so under the
 * names and views of engines, each kind of difference is found and named, and documents that lie are refused.
 *
 * The engine is a list of what libdsv4 says of the conversion, written down as loaders/probe.py does.
 *
 * SPDX-License-Identifier: MIT */
#include "tests/lib.h"
#include "verify/parity/parity.h"

/* --- a made-up engine --- */

struct held {
	char name[200], dtype[24];
	uint64_t dim[8], stride[8], bytes;
	uint32_t rank;
	uint8_t xxh[16];
	bool gone;
};

struct engine_state {
	struct held v[600];
	size_t n;
	const char *head; /* members before tensors */
};

/* What vLLM calls a tensor of a rank: stacks by its own names, all others as they are. */
static void engine_name(const char *ours, char *to, size_t room)
{
	static const char mid[] = ".ffn.experts.";
	const char *at = strstr(ours, mid), *w = at ? at + sizeof mid - 1 : "";

	if (!strncmp(w, "w13.", 4) || !strncmp(w, "w2.", 3))
		snprintf(to, room, "model.%.*s.ffn.experts.routed_experts.%.*s_%s",
			(int)(at - ours), ours, (int)strcspn(w, "."), w,
			strstr(w, "scale") ? "weight_scale" : "weight");
	else
		snprintf(to, room, "%s", ours);
}

static struct engine_state *loaded(const char *folder, const char *head)
{
	struct engine_state *s = calloc(1, sizeof *s);
	struct dsv4 *d = opened(folder);
	const struct dsv4_tensor *t;
	size_t i;
	uint32_t k;

	for (i = 0; d && (t = dsv4_tensor(d, i)) && i < 600; i++) {
		struct held *h = &s->v[s->n++];

		engine_name(t->name, h->name, sizeof h->name);
		snprintf(h->dtype, sizeof h->dtype, "%s", t->dtype);
		h->rank = t->rank;
		for (k = 0; k < t->rank; k++) {
			h->dim[k] = t->shape[k];
			h->stride[k] = t->strides[k];
		}
		h->bytes = t->bytes;
		memcpy(h->xxh, t->xxh3_128, 16);
	}
	dsv4_close(d);
	s->head = head;
	return s;
}

static struct held *held(struct engine_state *s, const char *part)
{
	size_t i;

	for (i = 0; i < s->n; i++)
		if (strstr(s->v[i].name, part))
			return &s->v[i];
	fprintf(stderr, "no %s\n", part);
	exit(2);
}

static void put_list(struct text *t, const uint64_t *v, uint32_t n)
{
	uint32_t i;

	text_str(t, "[");
	for (i = 0; i < n; i++)
		text_fmt(t, i ? ", %llu" : "%llu", (unsigned long long)v[i]);
	text_str(t, "]");
}

static struct path write_state(const struct engine_state *s)
{
	struct path p = dirs_path("state.json");
	struct text t = { 0 };
	const char *sep = "";
	char hex[33];
	size_t i;

	text_fmt(&t, "{\"format\": \"dsv4-state-1\", %s\"tensors\": [", s->head);
	for (i = 0; i < s->n; i++) {
		const struct held *h = &s->v[i];

		if (h->gone)
			continue;
		hex_of(h->xxh, 16, hex);
		text_fmt(&t,
			"%s\n{\"name\": \"%s\", \"dtype\": \"%s\", \"bytes\": %llu, \"xxh3_128\": \"%s\", \"shape\": ",
			sep, h->name, h->dtype, (unsigned long long)h->bytes, hex);
		put_list(&t, h->dim, h->rank);
		text_str(&t, ", \"stride\": ");
		put_list(&t, h->stride, h->rank);
		text_str(&t, "}");
		sep = ",";
	}
	text_str(&t, "\n]}\n");
	file_put_all(p.s, t.s, t.n);
	text_free(&t);
	return p;
}

/* --- verdicts --- */

/* Findings of a rule, with that text in one of them; NULL: any. */
static bool finds(const struct report *r, const char *rule, const char *word)
{
	size_t i;

	for (i = 0; i < r->n; i++)
		if (r->findings[i].rule && !strcmp(r->findings[i].rule, rule) &&
			(!word || strstr(r->findings[i].cause, word)))
			return true;
	fprintf(stderr, "no %s with %s among %zu findings\n", rule, word ? word : "any text", r->n);
	for (i = 0; i < r->n && i < 5; i++)
		fprintf(stderr, "  %s: %s\n", r->findings[i].rule, r->findings[i].cause);
	return false;
}

static int judge(struct report *r, const char *out, const struct engine_state *s, struct err *e)
{
	memset(e, 0, sizeof *e);
	report_begin(r, "test", "parity", out, "state");
	return parity_run(r, out, write_state(s).s, e);
}

static bool is_true(const char *out, const struct engine_state *s)
{
	struct report r;
	struct err e;
	int rc = judge(&r, out, s, &e);
	bool good = !rc && !strcmp(report_verdict(&r), "true") && !r.errors && !r.unknown;

	if (!good)
		fprintf(stderr, "%s: %s; %s\n", out, e.text, r.n ? r.findings[0].cause : "");
	report_free(&r);
	return good;
}

static bool is_false(const char *out, const struct engine_state *s, const char *rule,
	const char *word)
{
	struct report r;
	struct err e;
	bool found = !judge(&r, out, s, &e) && finds(&r, rule, word) &&
		!strcmp(report_verdict(&r), "false");

	report_free(&r);
	return found;
}

static bool stops(const char *out, const struct engine_state *s, const char *rule, const char *word)
{
	struct report r;
	struct err e;
	int rc = judge(&r, out, s, &e);
	bool same = rc == -1 && e.rule && !strcmp(e.rule, rule) && strstr(e.text, word);

	if (!same)
		fprintf(stderr, "expected %s with %s: %s %s\n", rule, word, e.rule ? e.rule : "",
			e.text);
	report_free(&r);
	return same;
}

/* --- tests --- */

static struct path rank_of(const char *target)
{
	struct job_opts o = set_opts(target, 2, false);
	struct path out = dirs_path(target);

	if (!is_file(out.s))
		CHECK_IN(target, set_makes(FLASH, out.s, &o));
	return model_file(out.s, "rank-0-of-2");
}

/* Every engine, as it holds its tensors: transposed views and buffers of its own change nothing. */
static void equal(void)
{
	struct engine_state *s;
	struct held *h;
	struct path p;
	unsigned i;
	uint64_t x;

	for (i = 0; i < n_engines; i++) {
		p = rank_of(engines[i].name);
		s = loaded(p.s, "\"rank\": 0, \"ranks\": 2, \"engine\": \"vllm\", ");
		CHECK_IN(engines[i].name, s->n > 100 && is_true(p.s, s));
		h = held(s, "w13_weight_scale"); /* a view with the last two dimensions exchanged */
		x = h->dim[h->rank - 1];
		h->dim[h->rank - 1] = h->dim[h->rank - 2];
		h->dim[h->rank - 2] = x;
		h->stride[h->rank - 2] = 1;
		h->stride[h->rank - 1] = x;
		h = &s->v[s->n++]; /* a workspace */
		*h = (struct held){ .name = "model.layers.0.workspace",
			.dtype = "torch.complex32" };
		CHECK_IN(engines[i].name, is_true(p.s, s));
		held(s, "attn.wq_a.weight")->gone = true; /* fused by the engine */
		CHECK_IN(engines[i].name, is_true(p.s, s));
		free(s);
	}
}

/* vLLM calls codes and scales of its kernels U8, where the folder says I8 and F8_E8M0: of a stack that is no other form. */
static void types_of_a_byte(void)
{
	struct path p = rank_of("kmajor-sf128");
	struct engine_state *s = loaded(p.s, "");
	unsigned codes = 0, scales = 0;
	struct held *h = NULL;
	size_t i;

	for (i = 0; i < s->n; i++) {
		if (!strstr(s->v[i].name, "routed_experts"))
			continue;
		h = &s->v[i];
		codes += !strcmp(h->dtype, "I8");
		scales += !strcmp(h->dtype, "F8_E8M0");
		snprintf(h->dtype, sizeof h->dtype, "U8");
	}
	CHECK(h && codes && codes == scales && is_true(p.s, s));
	snprintf(h->dtype, sizeof h->dtype, "F8_E5M2");
	CHECK(is_false(p.s, s, "parity.form", "F8_E5M2"));
	snprintf(h->dtype, sizeof h->dtype, "U8");
	free(s);
}

/* What the engine's own loader cuts, converts or changes of tensors that are not laid out is said, and makes nothing false;
 * drafts are another model's. */
static void own(void)
{
	struct path p = rank_of("marlin-mxfp4");
	struct engine_state *s = loaded(p.s, "");
	struct held *h = held(s, "layers.0.attn.wq_b.weight");
	struct report r;
	struct err e;
	size_t i;

	h->dim[0] /= 2; /* the part of a rank */
	h->bytes /= 2;
	h->xxh[3] ^= 1;
	h = held(s, "layers.0.ffn.gate.tid2eid");
	snprintf(h->dtype, sizeof h->dtype, "I32");
	for (i = 0; i < s->n; i++)
		s->v[i].gone = strstr(s->v[i].name, "mtp.") != NULL;
	CHECK(is_true(p.s, s));
	held(s, "layers.1.attn.kv_norm.weight")->xxh[0] ^= 1;
	CHECK(!judge(&r, p.s, s, &e) &&
		finds(&r, "parity.own", "other bytes as layers.1.attn.kv_norm.weight") &&
		!r.errors);
	report_free(&r);
	free(s);
}

/* Of a conversion in which nothing is laid out, every tensor may be the loader's own: where none is equal, the state is of
 * another model. */
static void all_own(void)
{
	struct job_opts o = set_opts("hf", 0, false);
	struct path out = dirs_path("hf");
	struct engine_state *s;
	size_t i;

	CHECK(set_makes(FLASH, out.s, &o));
	s = loaded(out.s, "");
	CHECK(is_true(out.s, s));
	for (i = 0; i < s->n; i++)
		s->v[i].xxh[0] ^= 1;
	CHECK(is_false(out.s, s, "parity.none", "none of the"));
	for (i = 0; i < s->n; i++)
		if (s->v[i].rank) {
			s->v[i].dim[0] *= 2;
			s->v[i].bytes *= 2;
		}
	CHECK(is_false(out.s, s, "parity.none", "none of the"));
	s->v[0].xxh[0] ^= 1;
	if (s->v[0].rank) {
		s->v[0].dim[0] /= 2;
		s->v[0].bytes /= 2;
	}
	CHECK(is_true(out.s, s));
	free(s);
}

static void differences(void)
{
	struct path p = rank_of("marlin-mxfp4");
	struct engine_state *s = loaded(p.s, ""), *t = malloc(sizeof *t);
	struct held *h, *g;
	struct report r;
	struct err e;

	*t = *s;
	held(t, "layers.1.ffn.experts.routed_experts.w13_weight")->xxh[15] ^= 1;
	CHECK(is_false(p.s, t, "parity.bytes", "other bytes"));
	*t = *s;
	h = held(t, "layers.1.ffn.experts.routed_experts.w2_weight");
	g = held(t, "layers.2.ffn.experts.routed_experts.w2_weight");
	memcpy(h->xxh, g->xxh, 16);
	CHECK(is_false(p.s, t, "parity.bytes", "those of tensor layers.2.ffn.experts.w2.weight"));
	*t = *s;
	h = held(t, "w13_weight");
	snprintf(h->dtype, sizeof h->dtype, "U8");
	CHECK(is_false(p.s, t, "parity.form", "I32 [4,16,512], the engine holds U8 [4,16,512]"));
	*t = *s;
	h = held(t, "w13_weight");
	h->dim[1] *= 2;
	h->dim[2] /= 2;
	h->stride[1] /= 2;
	CHECK(is_false(p.s, t, "parity.form", "[4,32,256]"));
	*t = *s;
	h = held(t, "w13_weight"); /* rows of a bigger buffer */
	h->stride[0] *= 2;
	CHECK(is_false(p.s, t, "parity.form", "with gaps"));
	*t = *s;
	held(t, "w13_weight")->bytes--;
	CHECK(is_false(p.s, t, "parity.bytes", "another number"));
	*t = *s;
	held(t, "layers.3.ffn.experts.routed_experts.w13_weight_scale")->gone = true;
	CHECK(is_false(p.s, t, "parity.missing", "no tensor that this could be"));
	*t = *s;
	h = held(t, "attn.wkv.weight");
	snprintf(h->name, sizeof h->name, "layers.0.something.else");
	CHECK(!judge(&r, p.s, t, &e) && finds(&r, "parity.extra", "layers.0.attn.wkv.weight") &&
		!r.errors);
	report_free(&r);
	free(s);
	free(t);
}

static void others(void)
{
	struct path p = rank_of("marlin-mxfp4"), set = dirs_path("marlin-mxfp4");
	struct engine_state *s = loaded(p.s, "");
	char head[80];
	size_t i;

	s->head = "\"rank\": 1, \"ranks\": 2, ";
	CHECK(stops(p.s, s, "check.rank", "rank 1 of 2"));
	CHECK(is_false(set.s, s, "parity.bytes", NULL)); /* the other rank's experts */
	s->head = "\"rank\": 0, \"ranks\": 2, \"stage\": 0, \"stages\": 1, ";
	CHECK(is_true(set.s, s));
	s->head = "";
	CHECK(stops(set.s, s, "check.rank", "does not say of which rank"));
	s->head = "\"target\": \"trtllm-mxfp4\", ";
	CHECK(stops(p.s, s, "lib.target", "trtllm-mxfp4"));
	snprintf(head, sizeof head, "\"target\": \"marlin-mxfp4\", \"version\": \"0.33.0\", ");
	s->head = head;
	CHECK(is_true(p.s, s));
	for (i = 0; i < s->n; i++)
		snprintf(s->v[i].name, sizeof s->v[i].name, "transformer.h.%zu.weight", i);
	CHECK(is_false(p.s, s, "parity.none", "none of the"));
	CHECK(stops(FLASH, s, "kind.download", "published"));
	free(s);
}

/* Of a target with the engine's own names everything must be there. */
static void all_of_vllm(void)
{
	struct job_opts o = set_opts("vllm-sharded", 1, true);
	struct path model = dirs_path("small"), out = dirs_path("vllm");
	struct engine_state *s;
	char args[1200];

	snprintf(args, sizeof args,
		"%s --config " FLASH
		"/config.json --set hidden_size=256 --set moe_intermediate_size=256",
		model.s);
	CHECK(!model_tool("mkmodel", args));
	CHECK(set_makes(model.s, out.s, &o));
	s = loaded(out.s, "\"rank\": 0, \"ranks\": 1, ");
	CHECK(is_true(out.s, s));
	held(s, "model.layers.0.attn.fused_wqa_wkv")->gone = true;
	CHECK(is_false(out.s, s, "parity.missing", NULL));
	free(s);
}

#define TENSOR(shape, stride)                                                                                     \
	"{\"name\": \"a\", \"dtype\": \"U8\", \"bytes\": 1, \"xxh3_128\": \"00000000000000000000000000000000\", " \
	"\"shape\": " shape ", \"stride\": " stride "}"
#define DOCUMENT(members, tensors) \
	"{\"format\": \"dsv4-state-1\", " members "\"tensors\": [" tensors "]}"

static void documents(void)
{
	static const struct {
		const char *text, *rule;
	} row[] = {
		{ "", "json.cut" },
		{ "[]", "json.type" },
		{ "{}", "parity.state" },
		{ "{\"format\": \"dsv4-state-2\", \"tensors\": []}", "parity.state" },
		{ DOCUMENT("", "") "x", "json.trailing" },
		{ DOCUMENT("\"x\": 1, ", ""), "parity.state" },
		{ DOCUMENT("\"rank\": 1, \"ranks\": 1, ", ""), "parity.state" },
		{ DOCUMENT("\"rank\": 1, ", ""), "parity.state" },
		{ DOCUMENT("\"stage\": 4, \"stages\": 3, ", ""), "parity.state" },
		{ DOCUMENT("\"rank\": 4294967296, ", ""), "json.range" },
		{ DOCUMENT("\"rank\": -1, ", ""), "json.number" },
		{ DOCUMENT("", TENSOR("[1]", "[1, 1]")), "parity.state" },
		{ DOCUMENT("", TENSOR("[1,1,1,1,1,1,1,1,1]", "[1]")), "parity.state" },
		{ DOCUMENT("", TENSOR("[1]", "[1]") ", " TENSOR("[1]", "[1]")), "parity.state" },
		{ DOCUMENT("", "{\"name\": \"a\"}"), "parity.state" },
		{ DOCUMENT("", "7"), "json.type" },
	};
	struct path p = rank_of("marlin-mxfp4"), f = dirs_path("broken.json");
	struct engine_state *s = loaded(p.s, "");
	struct report r;
	struct err e;
	size_t i, n;
	uint8_t *all;

	for (i = 0; i < sizeof row / sizeof *row; i++) {
		memset(&e, 0, sizeof e);
		file_put_all(f.s, row[i].text, strlen(row[i].text));
		report_begin(&r, "test", "parity", p.s, f.s);
		CHECK_IN(row[i].text, parity_run(&r, p.s, f.s, &e) == -1);
		if (!e.rule || strcmp(e.rule, row[i].rule))
			fprintf(stderr, "%s: %s: %s\n", row[i].text, e.rule ? e.rule : "", e.text);
		CHECK_IN(row[i].text, e.rule && !strcmp(e.rule, row[i].rule));
		report_free(&r);
	}
	/* huge numbers, and a document that is cut off anywhere */
	file_put_all(f.s, "", 0);
	all = file_get_all(write_state(s).s, &n);
	for (i = 0; i + 3 < n; i += 1 + rnd(400)) {
		memset(&e, 0, sizeof e);
		file_put_all(f.s, all, i);
		report_begin(&r, "test", "parity", p.s, f.s);
		CHECK(parity_run(&r, p.s, f.s, &e) == -1 && e.kind != ERR_NONE);
		report_free(&r);
	}
	held(s, "w13_weight")->dim[0] = (1ull << 53) - 1;
	held(s, "w13_weight")->dim[1] = (1ull << 53) - 1;
	CHECK(is_false(p.s, s, "parity.form", "9007199254740991"));
	memset(&e, 0, sizeof e);
	report_begin(&r, "test", "parity", p.s, f.s);
	CHECK(parity_run(&r, p.s, p.s, &e) == -1 && e.rule && !strcmp(e.rule, "parity.state"));
	report_free(&r);
	free(all);
	free(s);
}

static void names(void)
{
	static const struct {
		const char *engine, *ours;
	} row[] = {
		{ "model.layers.3.ffn.experts.routed_experts.w13_weight",
			"layers.3.ffn.experts.w13.weight" },
		{ "model.layers.3.mlp.experts.w13_weight_scale_inv",
			"layers.3.ffn.experts.w13.scale" },
		{ "language_model.model.layers.40.ffn.experts.w2_weight_scale",
			"layers.40.ffn.experts.w2.scale" },
		{ "mtp.0.ffn.experts.w2_weight", "mtp.0.ffn.experts.w2.weight" },
		{ "model.layers.3.attn.wkv.weight", "layers.3.attn.wkv.weight" },
		{ "head.weight", "head.weight" },
	};
	char name[300];
	size_t i;
	unsigned k;
	bool met;

	for (i = 0; i < sizeof row / sizeof *row; i++) {
		met = false;
		for (k = 0; parity_name(row[i].engine, k, name, sizeof name); k++)
			met = met || !strcmp(name, row[i].ours);
		CHECK_IN(row[i].engine, met && k < 20);
	}
}

/* clang-format off */
static const struct test tests[] = {
	{ "equal", equal },
	{ "types_of_a_byte", types_of_a_byte },
	{ "own", own },
	{ "all_own", all_own },
	{ "differences", differences },
	{ "others", others },
	{ "all_of_vllm", all_of_vllm },
	{ "documents", documents },
	{ "names", names },
	{ 0 },
};
/* clang-format on */
TEST_MAIN(tests)
