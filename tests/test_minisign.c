/* test_minisign.c -- what a file of minisign must not be believed: each wrong in one place, with the rule that names it, and
 * every single bit; and manifests that lie, signed with the right key.
 *
 * SPDX-License-Identifier: MIT */
#include "tests/signed.h"

/* --- minisign's file --- */

static const struct bad minisigs[] = {
	{ "empty", "sig.form", "untrusted comment: ", "" },
	{ "no second comment", "sig.form", "\ntrusted comment: ", "\nuntrusted comment: " },
	{ "a line more", "sig.form", NULL, "x\n" },
	{ "an empty line more", "sig.form", NULL, "\n" },
	{ "the trusted comment", "sig.comment", "target:hf", "target:hg" },
	{ "the trusted comment longer", "sig.comment", "target:hf", "target:hf " },
	{ "the trusted comment with CR", "sig.comment", "plan:00ff", "plan:00ff\r" },
	{ "old form", "sig.legacy", "\nRUR", "\nRWR" },
	{ "another kind", "sig.form", "\nRUR", "\nRUV" },
	{ "another key id", "sig.other-key", "\nRUR", NULL },
	{ "base64 with a space", "sig.base64", "\nRU", "\n RU" },
	{ "base64 with CR", "sig.base64", "\ntrusted", "\r\ntrusted" },
};

static void bad_minisigs(void)
{
	struct path d = tiny_new("minisigs"), f = below(d.s, SIGN_MINISIGN);
	struct text good, t;
	size_t i, line;
	char from[8], to[8];

	keys_make();
	CHECK(sig_true(SIG_SIGN, d.s, "mini.key"));
	good = file_text(f.s);
	for (i = 0; i < sizeof minisigs / sizeof *minisigs; i++) {
		const struct bad *b = &minisigs[i];

		t = (struct text){ 0 };
		text_put(&t, good.s, good.n);
		line = strcspn(t.s, "\n") + 1;
		if (b->from && !strcmp(b->from, "\nRUR")) { /* the fourth character is the key's */
			snprintf(from, sizeof from, "\n%.4s", t.s + line);
			snprintf(to, sizeof to, "%s", from);
			if (!b->to) {
				to[4] = from[4] == 'A' ? 'B' : 'A';
			} else {
				to[2] = b->to[2];
				if (b->to[3] == 'V')
					to[1] = 'S';
			}
			replace(&t, from, to);
		} else {
			replace(&t, b->from, b->to);
		}
		text_file(f.s, &t);
		CHECK_IN(b->name, check_is(d.s, "mini.mpub", b->name, b->rule));
		text_free(&t);
	}
	text_file(f.s, &good);
	CHECK(sig_true(SIG_CHECK, d.s, "mini.mpub"));
	CHECK(check_is(d.s, "mini2.mpub", "another key", "sig.other-key"));
	for (i = 0; i + 1 < good.n; i += 3) {
		t = good;
		t.n = i;
		text_file(f.s, &t);
		CHECK(check_is(d.s, "mini.mpub", "cut",
			i > good.n - 89 ? "sig.base64" : "sig.form"));
	}
	text_free(&good);
}

/* --- manifests, signed with the right key --- */

static const struct bad manifests[] = {
	{ "no JSON", "sig.uncovered", "{\n \"files\"", "\"files\"" },
	{ "another format", "sig.uncovered", "dsv4-manifest-1", "tiles-1" },
	{ "a version that is not known", "sig.uncovered", "dsv4-manifest-1", "dsv4-manifest-2" },
	{ "a path up", "set.form", "\"config.json\"", "\"../config.json\"" },
	{ "a path down", "set.form", "\"config.json\"", "\"a/config.json\"" },
	{ "an absolute path", "set.form", "\"config.json\"", "\"/etc/passwd\"" },
	{ "two dots", "set.form", "\"config.json\"", "\"..\"" },
	{ "no name", "set.form", "\"config.json\"", "\"\"" },
	{ "a NUL", "set.form", "\"config.json\"", "\"config.json\\u0000\"" },
	{ "a newline", "set.form", "\"config.json\"", "\"config\\n.json\"" },
	{ "a file twice", "set.form", "\"model-1.safetensors\"", "\"model-2.safetensors\"" },
	{ "itself", "sig.name-twice", "\"model-1.safetensors\"", "\"manifest.json\"" },
	{ "a twin", "set.form", "\"config.json\"", "\"Model-2.safetensors\"" },
	{ "a file less", "sig.gone", "\"config.json\"", "\"konfig.json\"" },
	{ "another size", "sig.changed", "{\"bytes\": 3,", "{\"bytes\": 4," },
	{ "a size beyond all files", "json.range", "{\"bytes\": 3,",
		"{\"bytes\": 99999999999999999999," },
	{ "a negative size", "json.number", "{\"bytes\": 3,", "{\"bytes\": -3," },
	{ "another digest", "sig.changed", "@digest", NULL },
	{ "a digest cut", "set.form", "\"sha256\": \"", "\"sha256\": \"0\", \"x\": \"" },
	{ "no digest", "sig.uncovered", "@no-digest", NULL },
	{ "another seal", "set.manifest", "@seal", NULL },
	{ "no seal", "check.unsealed", "@no-seal", NULL },
	{ "a member more", "set.form", "\"plan\"", "\"x\": 1, \"plan\"" },
	{ "something behind it", "set.manifest", "@behind", NULL },
	{ "a sidecar up", "set.form", "{\"bytes\": 3,",
		"{\"sidecar\": {\"name\": \"../x\"}, \"bytes\": 3," },
	{ "a sidecar that is not there", "sig.gone", "{\"bytes\": 3,",
		"{\"sidecar\": {\"bytes\": 1, \"name\": \"config.json.manifest.json\", \"sha256\": \"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad\"}, \"bytes\": 3," },
	{ "a folder up", "set.form", "\"plan\"", "\"restore\": {\"name\": \"../x\"}, \"plan\"" },
	{ "an absolute folder", "set.form", "\"plan\"",
		"\"restore\": {\"name\": \"/etc\"}, \"plan\"" },
	{ "a folder that is not there", "sig.gone", "\"plan\"",
		"\"restore\": {\"bytes\": 1, \"name\": \"source\", \"sha256\": \"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad\"}, \"plan\"" },
	{ "a shard up", "set.form", "\"s.safetensors\"", "\"../s.safetensors\"" },
	{ "a shard twice", "set.form", "\"shards\": [",
		"\"shards\": [{\"bytes\": 3, \"name\": \"s.safetensors\", \"sha256\": \"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad\"}, " },
	{ "a plan too long", "json.long", "\"plan\": \"", "\"plan\": \"00" },
	{ "nested", "json.depth", "\"ranks\": \"1\"", "\"a\": [[[[[[[[[[]]]]]]]]]]" },
};

static void mini_keys(struct minisign_secret *k)
{
	struct path secret = key_path("mini.key");
	struct keyfile f;
	struct err e = { 0 };

	if (keyfile_read(&f, io_posix(), &(struct keyfile_at){ secret.s, -1 }, true, &e) ||
		minisign_secret(k, &f, NULL, &e))
		FAILED(e.text);
	keyfile_free(&f);
}

static void put_minisigned(const char *dir, const struct text *manifest,
	const struct minisign_secret *k)
{
	struct text t = { 0 };
	struct err e = { 0 };

	text_file(below(dir, "manifest.json").s, manifest);
	if (minisign_sign(&t, k, manifest->s, manifest->n, "x", &e))
		FAILED(e.text);
	text_file(below(dir, SIGN_MINISIGN).s, &t);
	text_free(&t);
}

/* What cannot be said by an exchange, and a seal that fits unless it is the seal that is spoiled. */
static void spoil(struct text *t, const struct bad *b)
{
	char *digest = strstr(t->s, "\"sha256\": \""), *seal;

	if (!strcmp(b->from, "@digest"))
		digest[11] = digest[11] == '0' ? '1' : '0';
	if (!strcmp(b->from, "@no-digest")) {
		memset(digest + 10, ' ', 66);
		memcpy(digest + 10, "null", 4);
	}
	if (!strcmp(b->from, "@behind"))
		text_str(t, "x");
	else if (t->n > 3 && strstr(t->s, ",\n \"xxh3_128\""))
		tiny_seal(t);
	seal = strstr(t->s, ",\n \"xxh3_128\"");
	if (!strcmp(b->from, "@seal"))
		seal[20] = seal[20] == '0' ? '1' : '0';
	if (!strcmp(b->from, "@no-seal")) {
		t->n = (size_t)(seal - t->s);
		text_str(t, "\n}\n");
	}
}

static void bad_manifests(void)
{
	struct path d = tiny_new("manifests");
	struct text good, t;
	struct minisign_secret k;
	size_t i;

	keys_make();
	mini_keys(&k);
	good = file_text(below(d.s, "manifest.json").s);
	for (i = 0; i < sizeof manifests / sizeof *manifests; i++) {
		const struct bad *b = &manifests[i];

		t = (struct text){ 0 };
		text_put(&t, good.s, good.n);
		if (b->to)
			replace(&t, b->from, b->to);
		spoil(&t, b);
		put_minisigned(d.s, &t, &k);
		CHECK_IN(b->name, check_is(d.s, "mini.mpub", b->name, b->rule));
		text_free(&t);
	}
	put_minisigned(d.s, &good, &k);
	CHECK(sig_true(SIG_CHECK, d.s, "mini.mpub"));
	text_free(&good);
}

static void every_bit_of_a_minisig(void)
{
	static const char text[] = "what is signed";
	struct path secret, public;
	struct keyfile f;
	struct minisign_secret k;
	struct minisign_public pub;
	struct text t = { 0 };
	struct err e = { 0 };
	char comment[MINISIGN_COMMENT + 1];
	size_t bit, first;
	bool ok;

	keys_make();
	secret = key_path("mini.key");
	public = key_path("mini.mpub");
	CHECK(!keyfile_read(&f, io_posix(), &(struct keyfile_at){ secret.s, -1 }, true, &e) &&
		!minisign_secret(&k, &f, NULL, &e));
	keyfile_free(&f);
	CHECK(!keyfile_read(&f, io_posix(), &(struct keyfile_at){ public.s, -1 }, false, &e) &&
		!minisign_public(&pub, &f, &e));
	keyfile_free(&f);
	CHECK(!minisign_sign(&t, &k, text, sizeof text, "a comment", &e));
	first = strcspn(t.s, "\n");
	for (bit = 0; bit < 8 * t.n; bit++) {
		t.s[bit / 8] ^= (char)(1 << bit % 8);
		memset(&e, 0, sizeof e);
		ok = !minisign_verify(&pub, &t, text, sizeof text, comment, &e);
		CHECK(ok || (e.kind != ERR_NONE && e.rule));
		/* only the comment that nobody signed, and the last newline */
		CHECK(!ok || bit / 8 < first || bit / 8 == t.n - 1);
		CHECK(!ok || !strcmp(comment, "a comment"));
		t.s[bit / 8] ^= (char)(1 << bit % 8);
	}
	text_free(&t);
	minisign_secret_free(&k);
}

/* What a signed manifest names leads to no file elsewhere. */
static void opens_nothing_else(void)
{
	struct path d = tiny_new("watched"), pub = key_path("mini.mpub");
	struct text good, t;
	struct watch w = { 0 };
	struct minisign_secret k;
	size_t i;

	keys_make();
	mini_keys(&k);
	good = file_text(below(d.s, "manifest.json").s);
	for (i = 0; i < sizeof manifests / sizeof *manifests; i++) {
		const struct bad *b = &manifests[i];

		if (!b->to || b->to[0] == '@')
			continue;
		t = (struct text){ 0 };
		text_put(&t, good.s, good.n);
		replace(&t, b->from, b->to);
		spoil(&t, b);
		put_minisigned(d.s, &t, &k);
		check_watched(&w, d.s, pub.s);
		text_free(&t);
	}
	CHECK(w.opened > 200 && !w.strange);
	text_free(&good);
}

/* How many there are: docs/signing.md has the sum of the three programs. */
static void number_of_cases(void)
{
	CHECK(sizeof minisigs / sizeof *minisigs + sizeof manifests / sizeof *manifests >= 45);
}

static const struct test tests[] = {
	{ "bad_minisigs", bad_minisigs },
	{ "bad_manifests", bad_manifests },
	{ "every_bit_of_a_minisig", every_bit_of_a_minisig },
	{ "opens_nothing_else", opens_nothing_else },
	{ "number_of_cases", number_of_cases },
	{ NULL, NULL },
};
TEST_MAIN(tests)
