/* Signatures there and back: both formats, every curve, keys and passwords as people have them, real
 * conversions of every form, the lineage. What must be refused is in test_bundle.c, test_minisign.c and test_sign_bad.c.
 *
 * SPDX-License-Identifier: MIT */
#include "tests/set.h"
#include "tests/sign.h"

#include <sys/wait.h>

/* RFC 4648, 10, and every text but the canonical one. */
static void base64(void)
{
	static const char *const pairs[][2] = { { "", "" }, { "f", "Zg==" }, { "fo", "Zm8=" },
		{ "foo", "Zm9v" }, { "foob", "Zm9vYg==" }, { "fooba", "Zm9vYmE=" },
		{ "foobar", "Zm9vYmFy" } };
	static const char *const bad[] = { "Zg", "Zg=", "Zg===", "Zh==", "Zm9=", "Zm8", "Zm9v\n",
		" Zm9v", "Zm 9v", "=", "====", "Z===", "Zm-v", "Zm_v", "Zg==Zg==", "Zm9vZg=a" };
	uint8_t out[64];
	size_t i, n;

	for (i = 0; i < sizeof pairs / sizeof *pairs; i++) {
		struct text t = { 0 };

		base64_put(&t, pairs[i][0], strlen(pairs[i][0]));
		CHECK_IN(pairs[i][1],
			t.n == strlen(pairs[i][1]) && !memcmp(t.s ? t.s : "", pairs[i][1], t.n));
		text_free(&t);
		CHECK_IN(pairs[i][1], base64_decode(pairs[i][1], strlen(pairs[i][1]), out, &n));
		CHECK_IN(pairs[i][1], n == strlen(pairs[i][0]) && !memcmp(out, pairs[i][0], n));
	}
	for (i = 0; i < sizeof bad / sizeof *bad; i++)
		CHECK_IN(bad[i], !base64_decode(bad[i], strlen(bad[i]), out, &n));
}

/* Everything, against OpenSSL's encoder. */
static void base64_random(void)
{
	uint8_t in[100], out[120], want[160];
	size_t i, n, m;

	for (i = 0; i < 2000; i++) {
		struct text t = { 0 };

		n = rnd(sizeof in) + 1;
		rnd_bytes(in, n);
		base64_put(&t, in, n);
		m = (size_t)EVP_EncodeBlock(want, in, (int)n);
		CHECK(t.n == m && same_bytes("base64", t.s, want, m));
		CHECK(base64_decode(t.s, t.n, out, &m) && m == n && !memcmp(in, out, n));
		text_free(&t);
	}
}

static void round_trips(void)
{
	static const char *const names[] = { "p256", "p384", "p521", "mini" };
	struct path d = tiny_new("rt");
	char secret[32], public[32];
	size_t i;

	keys_make();
	for (i = 0; i < sizeof names / sizeof *names; i++) {
		bool mini = !strcmp(names[i], "mini");

		snprintf(secret, sizeof secret, "%s.%s", names[i], mini ? "key" : "pem");
		snprintf(public, sizeof public, "%s.%s", names[i], mini ? "mpub" : "pub");
		CHECK_IN(names[i], sig_true(SIG_SIGN, d.s, secret));
		CHECK_IN(names[i], sig_true(SIG_CHECK, d.s, public));
	}
	/* both signatures are there now, and each is still true */
	CHECK(sig_true(SIG_CHECK, d.s, "p521.pub"));
	CHECK(is_file(model_file(d.s, SIGN_BUNDLE).s) && is_file(model_file(d.s, SIGN_MINISIGN).s));
}

/* minisign's are the same each time; ECDSA's are not, but what they sign is. */
static void reproducible(void)
{
	struct path d = tiny_new("again");
	size_t n, m;
	uint8_t *a, *b;

	keys_make();
	CHECK(sig_true(SIG_SIGN, d.s, "mini.key"));
	a = file_get_all(model_file(d.s, SIGN_MINISIGN).s, &n);
	CHECK(sig_true(SIG_SIGN, d.s, "mini.key"));
	b = file_get_all(model_file(d.s, SIGN_MINISIGN).s, &m);
	CHECK(a && b && n == m && same_bytes("minisig", a, b, n));
	free(a);
	free(b);
}

static void locked_keys(void)
{
	static const struct {
		const char *name, *secret, *password, *rule;
	} t[] = {
		{ "PEM", "locked.pem", "pw", "" },
		{ "minisign", "minilocked.key", "pw", "" },
		{ "PEM without password", "locked.pem", NULL, "key.password" },
		{ "minisign without password", "minilocked.key", NULL, "key.password" },
		{ "PEM, wrong password", "locked.pem", "pw.wrong", "key.password" },
		{ "minisign, wrong password", "minilocked.key", "pw.wrong", "key.password" },
		{ "PEM, empty password", "locked.pem", "empty", "key.password" },
		{ "minisign, empty password", "minilocked.key", "empty", "key.password" },
		{ "a password that is not needed", "p256.pem", "pw", "" },
	};
	struct path d = tiny_new("locked");
	size_t i;

	keys_make();
	for (i = 0; i < sizeof t / sizeof *t; i++)
		CHECK(sig_is(&(struct sig_call){ .verb = SIG_SIGN,
				     .dir = d.s,
				     .key = t[i].secret,
				     .password = t[i].password,
				     .overwrite = true },
			t[i].name, *t[i].rule ? 2 : 0, t[i].rule));
	CHECK(sig_true(SIG_CHECK, d.s, "minilocked.mpub"));
}

/* Keys that are none, or not for this. */
static void wrong_keys(void)
{
	static const struct {
		const char *name, *key, *format, *rule;
		bool check;
	} t[] = {
		{ "secp256k1", "k256.pem", NULL, "key.curve", false },
		{ "secp256k1, public", "k256.pub", NULL, "key.curve", true },
		{ "Ed25519 in PEM", "ed.pem", NULL, "key.curve", false },
		{ "a public key signs", "p256.pub", NULL, "key.form", false },
		{ "minisign's public key signs", "mini.mpub", NULL, "key.form", false },
		{ "a secret key checks", "p256.pem", NULL, "key.form", true },
		{ "minisign's secret key checks", "mini.key", NULL, "key.form", true },
		{ "PEM for minisign", "p256.pem", "minisign", "key.form", false },
		{ "minisign for model-signing", "mini.key", "model-signing", "key.form", false },
		{ "public PEM for minisign", "p256.pub", "minisign", "key.form", true },
		{ "an empty file", "empty", NULL, "key.form", false },
		{ "an empty file checks", "empty", NULL, "key.form", true },
		{ "no such file", "absent", NULL, "(system)", false },
		{ "a folder", ".", NULL, "key.form", false },
		{ "64 KiB and more", "big", NULL, "key.form", false },
		{ "half a key", "half.pem", NULL, "key.form", false },
		{ "halves that do not belong together", "mixed.key", NULL, "key.form", false },
		{ "scrypt with 1 TiB", "costly.key", NULL, "key.form", false },
	};
	struct path d = tiny_new("wrong");
	static char big[70000];
	size_t i, n;
	uint8_t *p, b[158] = "EdScB2", m[160];

	keys_make();
	memset(big, 'A', sizeof big);
	key_put("big", big, sizeof big);
	p = file_get_all(key_path("p256.pem").s, &n);
	key_put("half.pem", p, n / 2);
	free(p);
	b[38 + 6] = b[46 + 6] = 1; /* 2^48 operations and bytes */
	key_put_minisign("costly.key", "x", b, sizeof b);
	p = file_get_all(key_path("mini.key").s, &n);
	i = strcspn((char *)p, "\n") + 1;
	CHECK(base64_decode((char *)p + i, n - i - 1, m, &i) && i == sizeof b);
	m[100] ^= 1;
	key_put_minisign("mixed.key", "x", m, sizeof b);
	free(p);
	CHECK(sig_true(SIG_SIGN, d.s, "p256.pem"));
	for (i = 0; i < sizeof t / sizeof *t; i++)
		CHECK(sig_is(&(struct sig_call){ .verb = t[i].check ? SIG_CHECK : SIG_SIGN,
				     .dir = d.s,
				     .key = t[i].key,
				     .password = !strcmp(t[i].key, "costly.key") ? "pw" : NULL,
				     .format = t[i].format,
				     .overwrite = true },
			t[i].name, 2, t[i].rule));
}

static void open_keys(void)
{
	static const mode_t modes[] = { 0640, 0604, 0660, 0601, 0777 };
	struct path d = tiny_new("open"), k = key_path("p256.pem"), w = key_path("pw");
	size_t i;

	keys_make();
	for (i = 0; i < sizeof modes / sizeof *modes; i++) {
		chmod(k.s, modes[i]);
		CHECK(sig_is(&(struct sig_call){ .dir = d.s, .key = "p256.pem" }, "an open key", 2,
			"key.mode"));
		chmod(k.s, 0600);
		chmod(w.s, modes[i]);
		CHECK(sig_is(&(struct sig_call){ .dir = d.s,
				     .key = "locked.pem",
				     .password = "pw" },
			"an open password", 2, "key.mode"));
		chmod(w.s, 0600);
	}
	chmod(k.s, 0400);
	CHECK(sig_true(SIG_SIGN, d.s, "p256.pem"));
	chmod(k.s, 0600);
}

/* Of a pipe, which has no size and comes in pieces. */
static void key_from_descriptor(void)
{
	struct path d = tiny_new("fd");
	struct sign_opts o = { .io = io_posix(), .dir = d.s, .threads = 1, .password.fd = -1 };
	struct report r;
	struct err e = { 0 };
	size_t n;
	uint8_t *p;
	int fd[2];

	keys_make();
	p = file_get_all(key_path("p256.pem").s, &n);
	CHECK(!pipe(fd) && write(fd[1], p, n) == (ssize_t)n && !close(fd[1]));
	free(p);
	o.key.fd = fd[0];
	report_begin(&r, "test 0", "sign", d.s, NULL);
	CHECK(!sign_make(&o, &r, &e) && !r.n);
	close(fd[0]);
	o.key.fd = fd[0]; /* closed */
	o.overwrite = true;
	CHECK(sign_make(&o, &r, &e) && e.kind == ERR_SYSTEM);
	report_free(&r);
	CHECK(sig_true(SIG_CHECK, d.s, "p256.pub"));
}

/* Real conversions; in each, a byte of any file is noticed by both formats. */
static void conversions(void)
{
	static const struct {
		const char *target;
		uint64_t ranks;
	} t[] = { { "official", 2 }, { "hf", 1 }, { "marlin-mxfp4", 2 } };
	static const char *const victims[] = { "model1-mp2.safetensors.manifest.json",
		"source/config.json", "rank-1-of-2/model.safetensors.index.json" };
	struct path d;
	size_t i;

	keys_make();
	for (i = 0; i < sizeof t / sizeof *t; i++) {
		struct job_opts o = set_opts(t[i].target, t[i].ranks, false);
		char path[800];
		FILE *f;

		d = dirs_path(t[i].target);
		if (i < 2) {
			o.plan.share = (struct share){ 0 };
			o.plan.ranks = t[i].ranks;
		}
		CHECK_IN(t[i].target, set_makes(FLASH, d.s, &o));
		CHECK_IN(t[i].target, sig_true(SIG_SIGN, d.s, "p256.pem"));
		CHECK_IN(t[i].target, sig_true(SIG_SIGN, d.s, "mini.key"));
		CHECK_IN(t[i].target, sig_true(SIG_CHECK, d.s, "p256.pub"));
		CHECK_IN(t[i].target, sig_true(SIG_CHECK, d.s, "mini.mpub"));
		snprintf(path, sizeof path, "%s/%s", d.s, victims[i]);
		f = fopen(path, "r+b");
		CHECK_IN(victims[i], f && !fseek(f, 5, SEEK_SET) && fputc('~', f) == '~');
		CHECK_IN(victims[i], f && !fclose(f));
		CHECK(sig_is(&(struct sig_call){ .verb = SIG_CHECK, .dir = d.s, .key = "p256.pub" },
			victims[i], 1, "sig.changed"));
		CHECK(sig_is(&(struct sig_call){ .verb = SIG_CHECK,
				     .dir = d.s,
				     .key = "mini.mpub" },
			victims[i], 1, "sig.changed"));
		CHECK(sig_is(&(struct sig_call){ .dir = d.s, .key = "p256.pem", .overwrite = true },
			victims[i], 1, "sig.changed"));
	}
}

/* A manifest below the top is held to its digest before anybody reads it. */
static void manifest_below(void)
{
	struct job_opts o = set_opts("marlin-mxfp4", 2, false);
	struct path d = dirs_path("below");
	struct sig_out out;

	keys_make();
	CHECK(set_makes(FLASH, d.s, &o) && sig_true(SIG_SIGN, d.s, "mini.key"));
	tiny_file(NULL, d.s, "rank-1-of-2/manifest.json", "{\"files\": [{\"name\": \"../../x\"}]}",
		true);
	out = sig_run(&(struct sig_call){ .verb = SIG_CHECK, .dir = d.s, .key = "mini.mpub" });
	CHECK(out.status == 1 && strstr(out.rules, " sig.changed ") &&
		!strstr(out.rules, "set.form") && out.findings > 5);
}

/* What casts dropped is covered too: by the sidecar, which the manifest covers. */
static void dropped(void)
{
	struct job_opts o = set_opts("hf", 1, false);
	struct path d = dirs_path("fp8");
	char path[800];

	keys_make();
	o.plan.share = (struct share){ 0 };
	o.plan.ranks = 1;
	o.plan.experts = CODEC_FP8;
	CHECK(set_makes(FLASH, d.s, &o));
	snprintf(path, sizeof path, "%s/model-00002-of-00007.safetensors.dropped", d.s);
	CHECK(is_file(path));
	CHECK(sig_true(SIG_SIGN, d.s, "mini.key") && sig_true(SIG_CHECK, d.s, "mini.mpub"));
	CHECK(!truncate(path, 10));
	CHECK(sig_is(&(struct sig_call){ .verb = SIG_CHECK, .dir = d.s, .key = "mini.mpub" }, "cut",
		1, "sig.changed"));
	CHECK(!unlink(path));
	CHECK(sig_is(&(struct sig_call){ .verb = SIG_CHECK, .dir = d.s, .key = "mini.mpub" },
		"gone", 1, "sig.gone"));
}

/* A folder that no manifest describes: one as downloaded. */
static void without_manifest(void)
{
	struct path d = dirs_new("bare");

	keys_make();
	tiny_file(NULL, d.s, "config.json", "{}", true);
	tiny_file(NULL, d.s, "manifest.json", "[\"of another program\"]", true);
	CHECK(sig_true(SIG_SIGN, d.s, "p256.pem") && sig_true(SIG_CHECK, d.s, "p256.pub"));
	CHECK(sig_is(&(struct sig_call){ .dir = d.s, .key = "mini.key" }, "minisign", 1,
		"sig.uncovered"));
	CHECK(sig_is(&(struct sig_call){ .verb = SIG_ATTEST, .dir = d.s, .file = key_path("a").s },
		"attest", 1, "sig.uncovered"));
}

/* The statement of a conversion: signed or not, and the download it names. */
static void lineage(void)
{
	struct path d = tiny_new("line"), src = dirs_new("line-src"), s = key_path("att.sig"),
		    j = key_path("att.json");
	struct sig_call c = { .verb = SIG_CHECK, .dir = d.s, .key = "p256.pub", .source = src.s };
	json_t *v, *top;

	keys_make();
	CHECK(sig_is(&(struct sig_call){ .verb = SIG_ATTEST, .dir = d.s, .file = j.s }, "attest", 0,
		""));
	v = top = json_load_file(j.s, JSON_REJECT_DUPLICATES, NULL);
	CHECK(v && json_array_size(json_object_get(v, "subject")) == 4);
	CHECK(v &&
		!strcmp(json_string_value(json_object_get(v, "predicateType")),
			STATEMENT_CONVERSION));
	v = json_object_get(json_object_get(v, "predicate"), "options");
	CHECK(v && !strcmp(json_string_value(json_object_get(v, "ranks")), "1"));
	json_decref(top);
	CHECK(sig_is(&(struct sig_call){ .verb = SIG_ATTEST, .dir = d.s, .file = j.s }, "again", 2,
		"sig.exists"));
	CHECK(sig_is(&(struct sig_call){ .verb = SIG_ATTEST,
			     .dir = d.s,
			     .key = "p256.pem",
			     .file = s.s },
		"attest", 0, ""));
	CHECK(sig_true(SIG_SIGN, d.s, "p256.pem"));
	tiny_file(NULL, src.s, "s.safetensors", "abc", true);
	CHECK(sig_is(&c, "bundle and source", 0, ""));
	c.file = s.s;
	CHECK(sig_is(&c, "statement and source", 0, ""));
	tiny_file(NULL, src.s, "s.safetensors", "abd", true);
	CHECK(sig_is(&c, "another source", 1, "sig.source"));
	tiny_file(NULL, d.s, "config.json", "{ }", true);
	CHECK(sig_is(&c, "another file", 1, "sig.changed"));
	unlink(model_file(src.s, "s.safetensors").s);
	tiny_file(NULL, d.s, "config.json", "{}\n", true);
	CHECK(sig_is(&c, "no source", 2, "(system)"));
	tiny_file(NULL, d.s, "manifest.json", "[]", true);
	unlink(s.s);
	CHECK(sig_is(&(struct sig_call){ .dir = d.s, .key = "p256.pem", .file = s.s }, "sign", 0,
		""));
	CHECK(sig_is(&c, "no lineage", 2, "sig.no-source"));
}

static const char *text_at(const json_t *v, const char *a, const char *b)
{
	v = json_object_get(v, a);
	if (json_is_array(v))
		v = json_array_get(v, 0);
	v = json_object_get(json_object_get(v, "digest"), b);
	return json_is_string(v) ? json_string_value(v) : "";
}

/* SLSA provenance: the subject is that of the bundle of sign, the dependencies are the shards. */
static void provenance(void)
{
	struct path d = tiny_new("slsa"), j = key_path("slsa.json"), b = key_path("slsa.sig");
	json_t *v, *signed_one, *bundle, *def;
	uint8_t *raw = malloc(1 << 20);
	const char *text, *was;
	size_t n = 0;

	keys_make();
	CHECK(sig_is(&(struct sig_call){ .verb = SIG_ATTEST,
			     .dir = d.s,
			     .file = j.s,
			     .format = "slsa" },
		"slsa", 0, ""));
	CHECK(sig_is(&(struct sig_call){ .dir = d.s, .key = "p256.pem", .file = b.s }, "sign", 0,
		""));
	bundle = json_load_file(b.s, JSON_REJECT_DUPLICATES, NULL);
	text = json_string_value(json_object_get(json_object_get(bundle, "dsseEnvelope"),
		"payload"));
	CHECK(text && base64_decode(text, strlen(text), raw, &n));
	signed_one = json_loadb((char *)raw, n, 0, NULL);
	v = json_load_file(j.s, JSON_REJECT_DUPLICATES, NULL);
	CHECK(v &&
		!strcmp(json_string_value(json_object_get(v, "predicateType")),
			"https://slsa.dev/provenance/v1"));
	was = text_at(signed_one, "subject", "sha256");
	CHECK(strlen(was) == 64 && !strcmp(was, text_at(v, "subject", "sha256")));
	def = json_object_get(json_object_get(v, "predicate"), "buildDefinition");
	CHECK(json_array_size(json_object_get(def, "resolvedDependencies")) == 1);
	/* SHA-256 of "abc", as the manifest of the tiny folder has it */
	CHECK(!strcmp(text_at(def, "resolvedDependencies", "sha256"),
		"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"));
	json_decref(v);
	json_decref(bundle);
	json_decref(signed_one);
	/* signed it is no signature of the folder, and signature says so */
	unlink(b.s);
	CHECK(sig_is(&(struct sig_call){ .verb = SIG_ATTEST,
			     .dir = d.s,
			     .key = "p256.pem",
			     .file = b.s,
			     .format = "slsa" },
		"slsa, signed", 0, ""));
	CHECK(sig_is(&(struct sig_call){ .verb = SIG_CHECK,
			     .dir = d.s,
			     .key = "p256.pub",
			     .file = b.s },
		"checked", 1, "sig.predicate-type"));
	/* nothing says what it was made of */
	tiny_file(NULL, d.s, "manifest.json", "[]", true);
	unlink(j.s);
	CHECK(sig_is(&(struct sig_call){ .verb = SIG_ATTEST,
			     .dir = d.s,
			     .file = j.s,
			     .format = "slsa" },
		"no manifest", 1, "sig.uncovered"));
	free(raw);
}

/* The signature lies elsewhere, or in the folder under another name. */
static void elsewhere(void)
{
	struct path d = tiny_new("else"), out = key_path("away.sig"), in = model_file(d.s, "x.sig");
	struct sig_call s = { .dir = d.s, .key = "p256.pem", .file = out.s },
			c = { .verb = SIG_CHECK, .dir = d.s, .key = "p256.pub", .file = out.s };

	keys_make();
	CHECK(sig_is(&s, "sign away", 0, "") && sig_is(&c, "check away", 0, ""));
	CHECK(sig_is(&s, "sign again", 2, "sig.exists"));
	s.file = c.file = in.s;
	CHECK(sig_is(&s, "sign inside", 0, "") && sig_is(&c, "check inside", 0, ""));
	c.file = out.s;
	CHECK(sig_is(&c, "a stray signature", 1, "sig.extra"));
	c.file = NULL;
	CHECK(sig_is(&c, "none", 1, "sig.missing"));
}

static int status_of(const char *line)
{
	int rc = system(line);

	return WIFEXITED(rc) ? WEXITSTATUS(rc) : -1;
}

static void commands(void)
{
	struct path d = tiny_new("cmd"), k = key_path("p256.pem"), p = key_path("p256.pub");
	const char *b = getenv("B") ? getenv("B") : "build/gcc-opt";
	char line[2500];

	keys_make();
	snprintf(line, sizeof line, "%s/dsv4-verify sign %s --key-fd 3 3<%s >/dev/null", b, d.s,
		k.s);
	CHECK(status_of(line) == 0);
	snprintf(line, sizeof line, "%s/dsv4-verify signature %s --key %s --json >/dev/null", b,
		d.s, p.s);
	CHECK(status_of(line) == 0);
	snprintf(line, sizeof line, "%s/dsv4-verify signature %s 2>/dev/null", b, d.s);
	CHECK(status_of(line) == 2);
	snprintf(line, sizeof line, "%s/dsv4-verify sign %s --key %s --key-fd 3 2>/dev/null", b,
		d.s, k.s);
	CHECK(status_of(line) == 2);
	snprintf(line, sizeof line, "%s/dsv4-verify attest %s 2>/dev/null", b, d.s);
	CHECK(status_of(line) == 2);
	tiny_file(NULL, d.s, "more", "x", true);
	snprintf(line, sizeof line, "%s/dsv4-verify signature %s --key %s >%s/out 2>&1", b, d.s,
		p.s, dirs_top.s);
	CHECK(status_of(line) == 1);
	snprintf(line, sizeof line, "grep -q 'signature: true' %s/out", dirs_top.s);
	CHECK(status_of(line) == 1);
}

static const struct test tests[] = { { "base64", base64 }, { "base64_random", base64_random },
	{ "round_trips", round_trips }, { "reproducible", reproducible },
	{ "locked_keys", locked_keys }, { "wrong_keys", wrong_keys }, { "open_keys", open_keys },
	{ "key_from_descriptor", key_from_descriptor }, { "conversions", conversions },
	{ "manifest_below", manifest_below }, { "dropped", dropped },
	{ "without_manifest", without_manifest }, { "lineage", lineage },
	{ "provenance", provenance }, { "elsewhere", elsewhere }, { "sign_commands", commands },
	{ NULL, NULL } };
TEST_MAIN(tests)
