/* test_graft.c -- dsv4-quant --experts-from: experts of every form are FP4 again, those of other models and rounded ones are
 * refused, and nothing is written then.
 *
 * SPDX-License-Identifier: MIT */
#include "tests/ck.h"
#include "tests/shell.h"

#include <stdarg.h>

#define W2 "layers.1.ffn.experts.3.w2"

static struct path out, form, dir;

static void fresh(void)
{
	out = dirs_path("out");
	dirs_remove(out.s);
}

/* A form of FLASH, made once. */
static const char *form_of(const char *name)
{
	form = dirs_path(name);
	if (!is_file(form.s))
		CHECK_IN(name,
			ends(0, NULL, "dsv4-quant", "run -q " FLASH " -o %s --to %s %s", form.s,
				name, strcmp(name, "nvfp4") ? "" : "--input-scale 0.5"));
	return form.s;
}

/* FLASH with experts that are nothing. */
static const char *hollow(void)
{
	struct ck *c;
	struct ck_tensor *t;
	size_t i;

	dir = dirs_path("hollow");
	if (is_file(dir.s))
		return dir.s;
	c = ck_load(FLASH);
	for (i = 0; (t = ck_next(c, &i, ".ffn.experts.", NULL));)
		memset(t->p, 0, t->n);
	dir = ck_write(c, "hollow");
	ck_free(c);
	return dir.s;
}

/* The form with something changed, and without the manifest that says otherwise: as another program writes it. */
static const char *changed(const char *name, void (*change)(struct ck *c))
{
	static struct path p;
	struct ck *c = ck_load(form_of(name));

	change(c);
	dirs_remove(dirs_path("changed").s);
	p = ck_write(c, "changed");
	CHECK(!unlink(model_file(p.s, MAN_NAME).s));
	ck_free(c);
	return p.s;
}

/* Forms that have the scales of 32 columns give the bytes of the source, others its values. */
static void regained(void)
{
	static const char *const bytes[] = { "nvfp4", "mxfp8", "ct-mxfp4", "ct-mxfp8",
		"ct-nvfp4a16", "mlx" };
	static const char *const values[] = { "bf16", "fp8" };
	size_t i;

	for (i = 0; i < sizeof bytes / sizeof *bytes; i++) {
		fresh();
		CHECK_IN(bytes[i],
			ends(0, NULL, "dsv4-quant", "run -q %s -o %s --to mlx --experts-from %s",
				hollow(), out.s, form_of(bytes[i])));
		CHECK_IN(bytes[i], ends(0, NULL, "dsv4-verify", "check -q %s", out.s));
		CHECK_IN(bytes[i], ends(0, NULL, "dsv4-verify", "compare -q " FLASH " %s", out.s));
	}
	for (i = 0; i < sizeof values / sizeof *values; i++) {
		fresh();
		CHECK_IN(values[i],
			ends(0, NULL, "dsv4-quant", "run -q %s -o %s --to mlx --experts-from %s",
				hollow(), out.s, form_of(values[i])));
		CHECK_IN(values[i],
			ends(0, "bit-equal", "dsv4-verify", "logits " FLASH " %s --tokens 5,17,99",
				out.s));
	}
}

/* To any name; an export is both at once, and what it says of its own format does not stay. */
static void onwards(void)
{
	static const char *const names[] = { "nvfp4 --input-scale 0.5", "bf16", "mxfp8",
		"mlx --stack", "gguf", "fp8" };
	struct path back = dirs_path("back");
	size_t i;
	char hash[2][80];

	for (i = 0; i < sizeof names / sizeof *names; i++) {
		fresh();
		CHECK_IN(names[i],
			ends(0, NULL, "dsv4-quant", "run -q %s -o %s --to %s --experts-from %s",
				hollow(), out.s, names[i], form_of("ct-mxfp4")));
		CHECK_IN(names[i], ends(0, NULL, "dsv4-verify", "check -q %s", out.s));
		CHECK_IN(names[i], ends(0, NULL, "dsv4-verify", "compare -q " FLASH " %s", out.s));
	}
	CHECK(ends(2, "set.not-kept", "dsv4-quant", "restore -q %s -o %s", out.s, back.s));
	CHECK(!is_file(back.s));
	fresh();
	CHECK(ends(0, NULL, "dsv4-quant", "run -q %s -o %s --to mlx --experts-from %s",
		form_of("nvfp4"), out.s, form_of("nvfp4")));
	CHECK(holds(model_file(out.s, MAN_NAME).s, "\"experts_from\": \"nvfp4, ") &&
		holds(model_file(out.s, MAN_NAME).s, " blocks exact, "));
	CHECK(!holds(model_file(out.s, "config.json").s, "NVFP4") &&
		!holds(model_file(out.s, "config.json").s, "modelopt") &&
		holds(model_file(out.s, "config.json").s, "\"ue8m0\""));
	CHECK(ends(0, NULL, "dsv4-verify", "doctor %s --for mlx", out.s));
	CHECK(ends(0, "bit-equal", "dsv4-verify", "logits " FLASH " %s --tokens 5,17,99", out.s));
	/* The plan is another one, and that of a call is always the same. */
	for (i = 0; i < 2; i++) {
		CHECK(ends(0, NULL, "dsv4-quant", "plan %s -o %s --to bf16 %s %s", hollow(), back.s,
			i ? "--experts-from" : "", i ? form_of("nvfp4") : ""));
		digest_file(out_file.s, hash[i]);
	}
	CHECK(strcmp(hash[0], hash[1]) != 0);
}

/* The same in this process. */
static bool breaks(const char *from, const char *rule, const char *word)
{
	struct job_opts o = set_opts("bf16", 1, false);

	fresh();
	o.plan.share = (struct share){ 0 };
	o.plan.experimental = false;
	o.of_source = true;
	o.experts_from = from;
	return set_refuses(hollow(), out.s, &o, rule, word) && !is_file(out.s);
}

static bool refused(const char *from, const char *what)
{
	fresh();
	return ends(1, what, "dsv4-quant", "run -q %s -o %s --to bf16 --experts-from %s", hollow(),
		       out.s, from) &&
		!is_file(out.s);
}

static void one_byte(struct ck *c)
{
	ck_get(c, "layers.2.attn.wq_b.scale")->p[3] ^= 1;
}

static void one_norm(struct ck *c)
{
	ck_get(c, "norm.weight")->p[8] ^= 1;
}

static void no_scale(struct ck *c)
{
	ck_get(c, W2 ".weight_scale")->gone = true;
}

static void short_scale(struct ck *c)
{
	struct ck_tensor *t = ck_get(c, W2 ".weight_scale");

	ck_retype(t, "F8_E4M3", t->dim[0], t->dim[1] / 2, t->n / 2);
}

/* All others are of another type, and held to nothing. */
static void experts_alone(struct ck *c)
{
	static const char *const types[][2] = { { "BF16", "F16" }, { "F32", "I32" },
		{ "I64", "U64" }, { "F8_E4M3", "I8" }, { "F8_E8M0", "I8" } };
	struct ck_tensor *t;
	size_t i, k;

	for (i = 0; (t = ck_next(c, &i, NULL, NULL));)
		for (k = 0; !strstr(t->name, ".ffn.experts.") && k < 5; k++)
			if (!strcmp(t->type, types[k][0])) {
				snprintf(t->type, sizeof t->type, "%s", types[k][1]);
				break;
			}
}

static void another_ratio(struct ck *c)
{
	json_t *a = json_object_get(c->config, "compress_ratios");

	json_array_set_new(a, 1, json_integer(json_integer_value(json_array_get(a, 1)) ? 0 : 128));
	c->new_config = true;
}

static void of_another_model(void)
{
	struct path pro = dirs_path("pro");
	struct ck *c;
	struct path lossy = dirs_path("lossy"), spread;

	CHECK(refused(changed("nvfp4", one_byte),
		"tensor layers.2.attn.wq_b.scale has other bytes"));
	CHECK(refused(changed("bf16", one_norm), "tensor norm.weight has other bytes"));
	CHECK(breaks(changed("bf16", one_norm), "plan.experts-from", "norm.weight"));
	CHECK(refused(changed("nvfp4", no_scale), "it has no matrix " W2));
	CHECK(refused(changed("nvfp4", short_scale), "it has no matrix " W2));
	CHECK(refused(changed("nvfp4", another_ratio), "compress_ratios"));
	CHECK(refused(changed("nvfp4", experts_alone), "no tensor besides the experts"));
	CHECK(ends(0, NULL, "dsv4-quant", "run -q " PRO " -o %s --to mxfp8", pro.s));
	CHECK(refused(pro.s, "it is another model"));
	fresh();
	CHECK(ends(2, NULL, "dsv4-quant", "run -q %s -o %s --to bf16 --experts-from /nonexistent",
		      hollow(), out.s) &&
		!is_file(out.s));
	/* One that says of itself that it was rounded. */
	c = ck_load(FLASH);
	ck_get(c, W2 ".scale")->p[0] = 20;
	memset(ck_get(c, W2 ".weight")->p, 0x11, 16);
	spread = ck_write(c, "spread");
	ck_free(c);
	CHECK(ends(0, NULL, "dsv4-quant", "run -q %s -o %s --to nvfp4 --input-scale 1 --lossy",
		spread.s, lossy.s));
	CHECK(refused(lossy.s, "blocks were rounded (--lossy)"));
}

static void off_grid(struct ck *c)
{
	struct ck_tensor *t = ck_get(c, W2 ".weight_scale");

	t->p[5 * t->dim[1] + 2] |=
		1; /* of row 5, columns 32 to 47: a scale that is no power of two */
	memset(ck_get(c, W2 ".weight")->p + 5 * ck_get(c, W2 ".weight")->dim[1] + 16, 0x22, 16);
}

static void not_a_number(struct ck *c)
{
	ck_get(c, W2 ".weight_scale")->p[7] = 0x7f;
}

static void inexact(void)
{
	const char *from = changed("nvfp4", off_grid);

	CHECK(breaks(from, "data.experts-inexact", W2 ".weight, row 5, column 32"));
	CHECK(refused(from, W2 ".weight, row 5, column 32"));
	fresh();
	CHECK(ends(0, NULL, "dsv4-quant", "run -q %s -o %s --to mlx --lossy --experts-from %s",
		hollow(), out.s, from));
	CHECK(ends(2, "say --experts-from DIR", "dsv4-verify", "compare " FLASH " %s", out.s));
	CHECK(!holds(model_file(out.s, MAN_NAME).s, "\"experts_from\": \"nvfp4, 0 "));
	CHECK(refused(changed("nvfp4", not_a_number), "data.not-finite"));
}

/* What is read is not replaced. */
static void nested(void)
{
	struct path copy = dirs_path("copy");

	dirs_remove(copy.s);
	CHECK(ends(0, NULL, "dsv4-quant", "run -q " FLASH " -o %s --to mxfp8", copy.s));
	CHECK(ends(2, "out.nested", "dsv4-quant",
		"run -q %s -o %s --to mlx --overwrite --experts-from %s", hollow(), copy.s,
		copy.s));
	CHECK(is_file(model_file(copy.s, MAN_NAME).s));
}

static void flip(const char *dir_at, const char *file, long from_end)
{
	struct path p = model_file(dir_at, file);
	FILE *f = fopen(p.s, "r+b");
	int b;

	CHECK(f && !fseek(f, from_end, SEEK_END));
	b = fgetc(f);
	CHECK(b != EOF && !fseek(f, from_end, SEEK_END) && fputc(b ^ 1, f) != EOF && !fclose(f));
}

/* A copy of a form in which a byte of a tensor is another; form is it afterwards. */
static void damaged(const char *name, const char *tensor)
{
	struct path copy = dirs_path("damaged"), shard;
	struct ck *c = ck_load(form_of(name));
	char line[1100];
	const char *at;
	uint64_t head;
	long from = -1;
	uint8_t *p;
	size_t n;

	dirs_remove(copy.s);
	snprintf(line, sizeof line, "cp -r %s %s", form.s, copy.s);
	CHECK(!system(line));
	form = copy;
	shard = model_file(form.s, c->shard[ck_get(c, tensor)->shard]);
	p = file_get_all(shard.s, &n);
	memcpy(&head, p, sizeof head);
	at = memmem(p, 8 + head, tensor, strlen(tensor));
	at = at ? strstr(at, "\"data_offsets\":[") : NULL;
	CHECK(at && sscanf(at, "\"data_offsets\":[%ld", &from) == 1);
	p[8 + head + (uint64_t)from] ^= 1;
	file_put_all(shard.s, p, n);
	free(p);
	ck_free(c);
}

/* What is taken of a conversion of ours is as its sidecars say: experts, the rest of DIR, scales of activations. */
static void held(void)
{
	static const char *const experts[][2] = { { "mxfp8", ".weight" },
		{ "mxfp8", ".weight_scale" }, { "nvfp4", ".weight_scale" },
		{ "nvfp4", ".weight_scale_2" }, { "bf16", ".weight" } };
	char tensor[64];
	size_t i;

	for (i = 0; i < sizeof experts / sizeof *experts; i++) {
		snprintf(tensor, sizeof tensor, W2 "%s", experts[i][1]);
		damaged(experts[i][0], tensor);
		CHECK(ends(1, NULL, "dsv4-verify", "check -q %s", form.s));
		CHECK_IN(tensor, breaks(form.s, "set.digest", tensor));
		CHECK_IN(tensor, refused(form.s, "set.digest"));
	}
	/* DIR and FORM are one export, so that comparing both tells nothing. */
	damaged("nvfp4", "layers.1.ffn_norm.weight");
	fresh();
	CHECK(ends(1, "set.digest", "dsv4-quant", "run -q %s -o %s --to mlx --experts-from %s",
		      form.s, out.s, form.s) &&
		!is_file(out.s));
	damaged("nvfp4", W2 ".input_scale");
	fresh();
	CHECK(ends(1, "set.digest", "dsv4-quant",
		      "run -q " FLASH " -o %s --to nvfp4 --input-scale %s", out.s, form.s) &&
		!is_file(out.s));
	CHECK(ends(0, NULL, "dsv4-quant", "run -q " FLASH " -o %s --to nvfp4 --input-scale %s",
		out.s, form_of("nvfp4")));
	/* A sidecar that was edited. */
	damaged("mxfp8", W2 ".weight");
	flip(form.s, "model-00001-of-00007.safetensors.manifest.json", -20);
	CHECK(refused(form.s, "set.manifest"));
}

/* compare knows both folders: it is true with the one that was used, false with another, and undecided without it. What
 * is not of an expert is false without it, too. */
static void compared(void)
{
	static const char *const names[] = { "mlx", "nvfp4 --input-scale 0.5", "gguf", "fp8",
		"bf16", "mlx --stack" };
	struct path copy = dirs_path("plain");
	size_t i;

	for (i = 0; i < sizeof names / sizeof *names; i++) {
		fresh();
		CHECK_IN(names[i],
			ends(0, NULL, "dsv4-quant", "run -q %s -o %s --to %s --experts-from %s",
				hollow(), out.s, names[i], form_of("bf16")));
		CHECK_IN(names[i],
			ends(0, "compare: true", "dsv4-verify",
				"compare -q %s %s --experts-from %s", hollow(), out.s,
				form_of("bf16")));
		CHECK_IN(names[i],
			ends(2, "say --experts-from DIR", "dsv4-verify", "compare %s %s", hollow(),
				out.s));
		CHECK_IN(names[i],
			ends(1, "experts_from", "dsv4-verify", "compare %s %s --experts-from %s",
				hollow(), out.s, form_of("nvfp4")));
	}
	CHECK(ends(1, "plan.experts-from: --experts-from " PRO, "dsv4-verify",
		"compare %s %s --experts-from " PRO, hollow(), out.s));
	fresh();
	CHECK(ends(0, NULL, "dsv4-quant", "run -q %s -o %s --to bf16 --experts-from %s", hollow(),
		out.s, form_of("nvfp4")));
	flip(out.s, "model-00007-of-00007.safetensors", -2);
	CHECK(ends(1, "compare.bytes", "dsv4-verify", "compare %s %s", hollow(), out.s));
	dirs_remove(copy.s);
	CHECK(ends(0, NULL, "dsv4-quant", "run -q " FLASH " -o %s --to mlx", copy.s));
	CHECK(ends(2, "does not say", "dsv4-verify", "compare " FLASH " %s --experts-from %s",
		copy.s, form_of("nvfp4")));
}

/* Drafts that one of the folders has not: experts of DIR's drafts are taken from DIR. */
static void without_drafts(void)
{
	struct path form_dropped = dirs_path("dropped");

	dirs_remove(form_dropped.s);
	CHECK(ends(0, NULL, "dsv4-quant", "run -q " FLASH " -o %s --to mxfp8 --drafts drop",
		form_dropped.s));
	fresh();
	CHECK(ends(0, NULL, "dsv4-quant", "run -q " FLASH " -o %s --to mlx --experts-from %s",
		out.s, form_dropped.s));
	CHECK(ends(0, "true", "dsv4-verify", "compare -q " FLASH " %s --experts-from %s", out.s,
		form_dropped.s));
	fresh();
	CHECK(ends(0, NULL, "dsv4-quant",
		"run -q %s -o %s --to mlx --drafts drop --experts-from %s", hollow(), out.s,
		form_dropped.s));
	CHECK(ends(0, "true", "dsv4-verify", "compare -q %s %s --experts-from %s", hollow(), out.s,
		form_dropped.s));
	CHECK(ends(0, "bit-equal", "dsv4-verify", "logits " FLASH " %s --tokens 5,17,99", out.s));
}

static const struct test tests[] = { { "graft: regained", regained },
	{ "graft: compared", compared }, { "graft: without drafts", without_drafts },
	{ "graft: onwards", onwards }, { "graft: of another model", of_another_model },
	{ "graft: held", held }, { "graft: inexact", inexact }, { "graft: nested", nested },
	{ 0 } };
TEST_MAIN(tests)
