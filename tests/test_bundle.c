/* test_bundle.c -- what a bundle must not be believed: bundles, envelopes and statements, each wrong in one place, with
 * the rule that names it; hostile ones quickly and in little memory; and every single bit of a bundle.
 *
 * Statements are changed and then signed again with the right key: what is refused there, is refused to a
 * signer who means harm.
 *
 * SPDX-License-Identifier: MIT */
#include "tests/signed.h"

#include <sys/resource.h>
#include <sys/time.h>

/* --- the bundle --- */

static const struct bad bundles[] = {
	{ "no JSON", "json.type", "{\"mediaType\"", "mediaType" },
	{ "an array", "json.type", "{\"mediaType\"", "[\"mediaType\"" },
	{ "a second document", "json.trailing", NULL, "{}" },
	{ "a member more", "sig.form", "{\"mediaType\"", "{\"more\":1,\"mediaType\"" },
	{ "mediaType twice", "sig.twice", "\"verificationMaterial\"",
		"\"mediaType\":\"" BUNDLE_MEDIA "\",\"verificationMaterial\"" },
	{ "mediaType twice, by an escape", "sig.twice", "\"verificationMaterial\"",
		"\"media\\u0054ype\":\"x\",\"verificationMaterial\"" },
	{ "mediaType gone", "sig.form", "\"mediaType\":\"" BUNDLE_MEDIA "\",", "" },
	{ "v0.2", "sig.media-type", "v0.3+json", "v0.3+json;version=0.2" },
	{ "v0.1", "sig.media-type", "bundle.v0.3", "bundle.v0.1" },
	{ "mediaType null", "json.type", "\"" BUNDLE_MEDIA "\"", "null" },
	{ "no material", "sig.form", "\"publicKey\"", "\"publickey\"" },
	{ "material empty", "sig.form", "\"tlogEntries\":[]},\"dsse",
		"\"tlogEntries\":[],\"x\":1},\"dsse" },
	{ "a certificate instead", "sig.material", "\"publicKey\":", "\"certificate\":" },
	{ "a certificate beside", "sig.material", "\"tlogEntries\":[]",
		"\"certificate\":{\"rawBytes\":\"MA==\"}" },
	{ "a chain beside", "sig.material", "\"tlogEntries\":[]", "\"x509CertificateChain\":{}" },
	{ "an entry of a log", "sig.material", "\"tlogEntries\":[]", "\"tlogEntries\":[{}]" },
	{ "a time stamp", "sig.material", "\"tlogEntries\":[]",
		"\"timestampVerificationData\":{}" },
	{ "two keys", "sig.twice", "\"tlogEntries\":[]", "\"publicKey\":{\"hint\":\"\"}" },
	{ "hint gone", "sig.form", "\"hint\":", "\"tnih\":" },
	{ "hint twice", "sig.twice", "\"hint\":",
		"\"hint\":\"0000000000000000000000000000000000000000000000000000000000000000\",\"hint\":" },
	{ "hint too short", "sig.form", "\"hint\":\"", "\"hint\":\"12\",\"x\":\"" },
	{ "hint too long", "json.long", "\"hint\":\"", "\"hint\":\"00" },
	{ "hint of another key", "sig.other-key", "\"hint\":\"", NULL },
	{ "no envelope", "sig.form", "\"dsseEnvelope\"", "\"messageSignature\"" },
	{ "payload gone", "sig.form", "\"payload\":", "\"pay\":" },
	{ "payload empty", "sig.base64", "\"payload\":\"", "\"payload\":\"\",\"x\":\"" },
	{ "payload null", "json.type", "\"payload\":\"", "\"payload\":null,\"x\":\"" },
	{ "payload twice", "sig.twice",
		"\"payloadType\":", "\"payload\":\"e30=\",\"payloadType\":" },
	{ "payload with white space", "sig.base64", "\"payload\":\"", "\"payload\":\" " },
	{ "payload with a newline", "sig.base64", "\"payload\":\"", "\"payload\":\"\\n" },
	{ "payload of base64url", "sig.base64", "\"payload\":\"", "\"payload\":\"-_-_" },
	{ "padding in the middle", "sig.base64", "\"payload\":\"", "\"payload\":\"ew==" },
	{ "bytes in front of the payload", "sig.wrong", "\"payload\":\"", "\"payload\":\"AAAA" },
	{ "payloadType of Sigstore", "sig.payload-type", "\"" BUNDLE_TYPE "\"",
		"\"application/json\"" },
	{ "payloadType in capitals", "sig.payload-type", "vnd.in-toto", "vnd.In-Toto" },
	{ "payloadType gone", "sig.form", "\"payloadType\":\"" BUNDLE_TYPE "\",", "" },
	{ "no signature", "sig.count", "[{\"sig\":", "[],\"x\":[{\"sig\":" },
	{ "an empty second signature", "sig.count", "\"keyid\":\"\"}", "\"keyid\":\"\"},{}" },
	{ "a bad first signature", "sig.count",
		"[{\"sig\":", "[{\"sig\":\"MAYCAQECAQE=\"},{\"sig\":" },
	{ "signatures an object", "json.type", "[{\"sig\":", "{\"sig\":" },
	{ "sig gone", "sig.form", "{\"sig\":", "{\"gis\":" },
	{ "sig twice", "sig.twice", "\"keyid\":\"\"", "\"sig\":\"MAYCAQECAQE=\"" },
	{ "sig empty", "sig.base64", "\"sig\":\"", "\"sig\":\"\",\"x\":\"" },
	{ "r and s are 1", "sig.wrong", "\"sig\":\"", "@MAYCAQECAQE=" },
	{ "r and s are 0", "sig.wrong", "\"sig\":\"", "@MAYCAQACAQA=" },
	{ "no DER", "sig.wrong", "\"sig\":\"", "@AAAA" },
	{ "sig with padding left out", "sig.base64", "\",\"keyid\"", "A\",\"keyid\"" },
	{ "a member more in the signature", "sig.form", "\"keyid\":\"\"", "\"cert\":\"\"" },
	{ "keyid a number", "json.type", "\"keyid\":\"\"", "\"keyid\":7" },
	{ "an unpaired surrogate", "json.escape", "\"keyid\":\"\"", "\"keyid\":\"\\ud800\"" },
	{ "a comment", "json.syntax", "{\"mediaType\"", "{/* */\"mediaType\"" },
	{ "a byte order mark", "json.type", "{\"mediaType\"", "\xef\xbb\xbf{\"mediaType\"" },
};

static void bad_bundles(void)
{
	struct path d = tiny_new("bundles"), f = model_sig(d.s);
	struct text good, t;
	size_t i;

	keys_make();
	CHECK(sig_true(SIG_SIGN, d.s, "p256.pem"));
	good = file_text(f.s);
	for (i = 0; i < sizeof bundles / sizeof *bundles; i++) {
		const struct bad *b = &bundles[i];

		t = (struct text){ 0 };
		text_put(&t, good.s, good.n);
		if (b->to && b->to[0] == '@') { /* another value */
			size_t n;
			char *c = strstr(t.s, b->from) + strlen(b->from);
			char whole[300];

			n = strcspn(c, "\"");
			snprintf(whole, sizeof whole, "%.*s", (int)n, c);
			replace(&t, whole, b->to + 1);
		} else if (b->to) {
			replace(&t, b->from, b->to);
		} else { /* another first digit */
			char *c = strstr(t.s, b->from) + strlen(b->from);

			*c = *c == '0' ? '1' : '0';
		}
		text_file(f.s, &t);
		CHECK_IN(b->name, check_is(d.s, "p256.pub", b->name, b->rule));
		text_free(&t);
	}
	text_file(f.s, &good);
	CHECK(sig_true(SIG_CHECK, d.s, "p256.pub"));
	CHECK(check_is(d.s, "other.pub", "another key", "sig.other-key"));
	CHECK(check_is(d.s, "p384.pub", "a key on another curve", "sig.other-key"));
	/* at every length */
	for (i = 0; i < good.n - 2; i += 1 + good.n / 300) {
		t = good;
		t.n = i;
		text_file(f.s, &t);
		CHECK(check_is(d.s, "p256.pub", "cut", "json.cut"));
	}
	text_free(&good);
}

/* --- the statement, signed with the right key --- */

static const struct bad statements[] = {
	{ "no JSON", "json.type", "{\n \"_type\"", "\"_type\"" },
	{ "Statement v0.1", "sig.statement-type", "Statement/v1", "Statement/v0.1" },
	{ "_type gone", "sig.form", "\"_type\": \"" STATEMENT_TYPE "\",", "" },
	{ "_type twice", "sig.twice", "\"subject\"", "\"_type\": \"x\", \"subject\"" },
	{ "a member more", "sig.form", "\"subject\"", "\"more\": 1, \"subject\"" },
	{ "the predicate of v0.2", "sig.predicate-type", "signature/v1.0", "Digests/v0.1" },
	{ "a predicate of v1.1", "sig.predicate-type", "signature/v1.0", "signature/v1.1" },
	{ "provenance", "sig.predicate-type", STATEMENT_SIGNING, "https://slsa.dev/provenance/v1" },
	{ "predicateType gone", "sig.form", "\"predicateType\": \"" STATEMENT_SIGNING "\",", "" },
	{ "predicateType twice", "sig.twice", "\"predicateType\"",
		"\"predicateType\": \"" STATEMENT_SIGNING "\", \"predicateType\"" },
	{ "a conversion for a folder", "sig.extra", STATEMENT_SIGNING, STATEMENT_CONVERSION },
	{ "no subject", "sig.subject", NULL, "@nobody" },
	{ "two subjects", "sig.subject", "\"subject\": [",
		"\"subject\": [{\"name\": \"x\", \"digest\": {\"sha256\": \"0000000000000000000000000000000000000000000000000000000000000000\"}}," },
	{ "subject without digest", "sig.form", "\"digest\": {", "\"name2\": {" },
	{ "subject with SHA-512", "sig.form", "{\"sha256\"", "{\"sha512\"" },
	{ "root is another", "sig.root", "\"sha256\": \"", "@root" },
	{ "root of no files", "sig.root", "\"digest\": \"", "@digest" },
	{ "files in another order", "sig.root", NULL, "@swap" },
	{ "no resources", "sig.form", "\"resources\": [", "\"resource\": [" },
	{ "resources twice", "sig.twice", "\"resources\": [",
		"\"resources\": [], \"resources\": [" },
	{ "a member more in the predicate", "sig.form", "\"resources\": [",
		"\"more\": 1, \"resources\": [" },
	{ "resource without name", "sig.form", "{\"name\": \"config.json\", ", "{" },
	{ "resource without digest", "sig.form", "\"digest\": \"", "\"tsegid\": \"" },
	{ "resource without algorithm", "sig.form", ", \"algorithm\": \"sha256\"}", "}" },
	{ "name twice in a resource", "sig.twice", "{\"name\": \"config.json\"",
		"{\"name\": \"x\", \"name\": \"config.json\"" },
	{ "digest twice in a resource", "sig.twice", "\"algorithm\": \"sha256\"",
		"\"algorithm\": \"sha256\", \"digest\": \"\"" },
	{ "digest in capitals", "sig.digest", "\"digest\": \"", "@upper" },
	{ "digest too long", "sig.digest", "\"digest\": \"", "\"digest\": \"0" },
	{ "digest too short", "sig.digest", "\"digest\": \"", "\"digest\": \"00\", \"x\": \"" },
	{ "digest a number", "json.type", "\"digest\": \"", "\"digest\": 1, \"x\": \"" },
	{ "BLAKE2b", "sig.method", "\"algorithm\": \"sha256\"", "\"algorithm\": \"blake2b\"" },
	{ "shards", "sig.method", "\"algorithm\": \"sha256\"",
		"\"algorithm\": \"sha256-sharded-1000000000\"" },
	{ "method shards", "sig.method", "\"method\": \"files\"", "\"method\": \"shards\"" },
	{ "method shards, with a size", "sig.form", "\"method\": \"files\"",
		"\"method\": \"files\", \"shard_size\": 10" },
	{ "hash_type blake3", "sig.method", "\"hash_type\": \"sha256\"",
		"\"hash_type\": \"blake3\"" },
	{ "method gone", "sig.form", "\"method\": \"files\",", "" },
	{ "hash_type gone", "sig.form", "\"hash_type\": \"sha256\",", "" },
	{ "allow_symlinks gone", "sig.form", "\"allow_symlinks\": false,", "" },
	{ "allow_symlinks", "sig.method", "\"allow_symlinks\": false", "\"allow_symlinks\": true" },
	{ "allow_symlinks a word", "sig.method", "\"allow_symlinks\": false",
		"\"allow_symlinks\": \"false\"" },
	{ "ignores a file of weights", "sig.ignore", "\"ignore_paths\": [",
		"\"ignore_paths\": [\"model-1.safetensors\"," },
	{ "ignores everything", "sig.ignore", "\"ignore_paths\": [", "\"ignore_paths\": [\".\"," },
	{ "ignores below", "sig.ignore", "\"ignore_paths\": [",
		"\"ignore_paths\": [\"a/model.sig\"," },
	{ "ignores what is outside", "sig.ignore", "\"ignore_paths\": [",
		"\"ignore_paths\": [\"../x\"," },
	{ "ignores too much", "sig.ignore", "\"ignore_paths\": [",
		"\"ignore_paths\": [\".git\",\".git\",\".git\",\".git\",\".git\",\".git\",\".git\",\".git\",\".git\",\".git\",\".git\",\".git\",\".git\",\".git\"," },
	{ "a path up", "sig.name", "\"config.json\"", "\"../config.json\"" },
	{ "a path up and down", "sig.name", "\"config.json\"", "\"a/../config.json\"" },
	{ "an absolute path", "sig.name", "\"config.json\"", "\"/etc/passwd\"" },
	{ "a dot", "sig.name", "\"config.json\"", "\".\"" },
	{ "two dots", "sig.name", "\"config.json\"", "\"..\"" },
	{ "a dot in front", "sig.name", "\"config.json\"", "\"./config.json\"" },
	{ "two slashes", "sig.name", "\"config.json\"", "\"a//config.json\"" },
	{ "a slash at the end", "sig.name", "\"config.json\"", "\"config.json/\"" },
	{ "no name", "sig.name", "\"config.json\"", "\"\"" },
	{ "a NUL", "sig.name", "\"config.json\"", "\"config.json\\u0000\"" },
	{ "a newline", "sig.name", "\"config.json\"", "\"config\\n.json\"" },
	{ "a DEL", "sig.name", "\"config.json\"", "\"config\\u007f.json\"" },
	{ "a subject that leads away", "sig.name", "\"name\": \"statements\"",
		"\"name\": \"../statements\"" },
	{ "a file twice", "sig.name-twice", "\"model-1.safetensors\"", "\"model-2.safetensors\"" },
	{ "a twin in capitals", "sig.case-twin", "\"model-1.safetensors\"",
		"\"Model-2.safetensors\"" },
	{ "a file renamed", "sig.gone", "\"config.json\"", "\"config.jsno\"" },
	{ "a name with a combining accent", "sig.extra", "\"config.json\"",
		"\"confi\\u0301g.json\"" },
	{ "something after it", "json.trailing", NULL, "x" },
};

/* Makes what the case asks for in words. */
static void change_statement(struct text *t, const struct bad *b)
{
	char *c, *d;

	if (!strcmp(b->to, "@root") || !strcmp(b->to, "@digest")) {
		c = strstr(t->s, b->from) + strlen(b->from);
		*c = *c == '0' ? '1' : '0';
	} else if (!strcmp(b->to, "@upper")) {
		for (c = strstr(t->s, b->from) + strlen(b->from); *c != '"'; c++)
			*c = *c >= 'a' && *c <= 'f' ? (char)(*c - 32) : *c;
	} else if (!strcmp(b->to, "@nobody")) {
		c = strstr(t->s, "\"subject\": [") + 12;
		memset(c, ' ', strcspn(c, "]"));
	} else if (!strcmp(b->to, "@swap")) {
		char line[300];
		size_t n;

		c = strstr(t->s, "{\"name\": \"model-1");
		d = strstr(t->s, "{\"name\": \"model-2");
		n = strcspn(c, "}");
		memcpy(line, c, n);
		memcpy(c, d, n);
		memcpy(d, line, n);
	} else {
		replace(t, b->from, b->to);
	}
}

/* The statement in a bundle that sign_make wrote. */
static struct text statement_of(const char *path)
{
	struct text t = file_text(path), p = { 0 };
	struct bundle b;
	struct err e = { 0 };

	if (bundle_read(&b, &t, &e))
		FAILED(e.text);
	else
		text_put(&p, b.payload, b.payload_n);
	bundle_free(&b);
	text_free(&t);
	return p;
}

static void put_signed(const char *path, const struct text *statement, const struct eckey *k)
{
	struct text t = { 0 };
	struct err e = { 0 };

	if (bundle_put(&t, statement, k, &e))
		FAILED(e.text);
	text_file(path, &t);
	text_free(&t);
}

static void bad_statements(void)
{
	struct path d = tiny_new("statements"), f = model_sig(d.s);
	struct text good, t;
	struct eckey k;
	size_t i;

	keys_make();
	ec_key(&k, "p256.pem");
	CHECK(sig_true(SIG_SIGN, d.s, "p256.pem"));
	good = statement_of(f.s);
	for (i = 0; i < sizeof statements / sizeof *statements; i++) {
		const struct bad *b = &statements[i];

		t = (struct text){ 0 };
		text_put(&t, good.s, good.n);
		change_statement(&t, b);
		put_signed(f.s, &t, &k);
		CHECK_IN(b->name, check_is(d.s, "p256.pub", b->name, b->rule));
		text_free(&t);
	}
	put_signed(f.s, &good, &k);
	CHECK(sig_true(SIG_CHECK, d.s, "p256.pub"));
	text_free(&good);
	eckey_free(&k);
}

/* What others may write and means the same. */
static void good_statements(void)
{
	static const struct bad same[] = {
		{ "no ignore_paths", "", "\"ignore_paths\": [", "\"ignore_paths\": [], \"x\": [" },
		{ "members beside a resource's", "", "\"algorithm\": \"sha256\"}",
			"\"algorithm\": \"sha256\", \"mediaType\": \"x\", \"annotations\": {\"a\": [1.5, null]}}" },
		{ "white space", "", "\"subject\": [", "\"subject\" :\t[\r\n" },
		{ "escapes", "", "\"config.json\"", "\"config\\u002ejson\"" },
	};
	struct path d = tiny_new("same"), f = model_sig(d.s);
	struct text good, t;
	struct eckey k;
	size_t i;

	keys_make();
	ec_key(&k, "p256.pem");
	CHECK(sig_true(SIG_SIGN, d.s, "p256.pem"));
	good = statement_of(f.s);
	for (i = 1; i < sizeof same / sizeof *same; i++) {
		t = (struct text){ 0 };
		text_put(&t, good.s, good.n);
		replace(&t, same[i].from, same[i].to);
		put_signed(f.s, &t, &k);
		CHECK_IN(same[i].name, sig_true(SIG_CHECK, d.s, "p256.pub"));
		text_free(&t);
	}
	/* keys sorted: the predicate comes before its type */
	t = (struct text){ 0 };
	text_put(&t, good.s, good.n);
	replace(&t, " \"predicateType\": \"" STATEMENT_SIGNING "\",\n", "");
	t.n -= 2;
	t.s[t.n] = 0;
	text_str(&t, ", \"predicateType\": \"" STATEMENT_SIGNING "\"}");
	put_signed(f.s, &t, &k);
	CHECK(sig_true(SIG_CHECK, d.s, "p256.pub"));
	text_free(&t);
	text_free(&good);
	eckey_free(&k);
}

/* --- every bit --- */

/* A flipped bit makes the bundle invalid, or changes nothing that was signed. */
static void every_bit_of_a_bundle(void)
{
	struct text statement = { 0 }, t = { 0 };
	struct eckey k, pub;
	struct bundle b;
	struct err e;
	size_t bit, same = 0;
	bool ok;

	keys_make();
	ec_key(&k, "p256.pem");
	public_key(&pub, "p256.pub");
	text_str(&statement, "{\"_type\": \"a statement\", \"with\": [1, 2, 3]}");
	memset(&e, 0, sizeof e);
	CHECK(!bundle_put(&t, &statement, &k, &e));
	for (bit = 0; bit < 8 * t.n; bit++) {
		t.s[bit / 8] ^= (char)(1 << bit % 8);
		memset(&e, 0, sizeof e);
		ok = !bundle_read(&b, &t, &e) && !bundle_verify(&b, &pub, &e);
		CHECK(ok || (e.kind != ERR_NONE && e.rule));
		if (ok) {
			same++;
			CHECK(b.payload_n == statement.n &&
				same_bytes("payload", b.payload, statement.s, statement.n));
		}
		bundle_free(&b);
		t.s[bit / 8] ^= (char)(1 << bit % 8);
	}
	CHECK(same < 16); /* white space behind it */
	text_free(&t);
	text_free(&statement);
	eckey_free(&k);
	eckey_free(&pub);
}

/* What a signed statement names leads to no file elsewhere. */
static void opens_nothing_else(void)
{
	struct path d = tiny_new("statements"), pub = key_path("p256.pub");
	struct text good, t;
	struct watch w = { 0 };
	struct eckey k;
	size_t i;

	keys_make();
	ec_key(&k, "p256.pem");
	CHECK(sig_true(SIG_SIGN, d.s, "p256.pem"));
	good = statement_of(model_sig(d.s).s);
	for (i = 0; i < sizeof statements / sizeof *statements; i++) {
		const struct bad *b = &statements[i];

		if (!b->to || b->to[0] == '@')
			continue;
		t = (struct text){ 0 };
		text_put(&t, good.s, good.n);
		replace(&t, b->from, b->to);
		put_signed(model_sig(d.s).s, &t, &k);
		check_watched(&w, d.s, pub.s);
		text_free(&t);
	}
	CHECK(w.opened > 200 && !w.strange);
	text_free(&good);
	eckey_free(&k);
}

/* --- hostile --- */

static double now(void)
{
	struct timeval t;

	gettimeofday(&t, NULL);
	return (double)t.tv_sec + (double)t.tv_usec / 1e6;
}

static void repeat(struct text *t, const char *s, size_t bytes)
{
	size_t n = strlen(s);

	for (; n && bytes >= n; bytes -= n)
		text_put(t, s, n);
}

/* Bundles as large as one may be, and larger: refused within a second and 256 MiB. */
static void hostile_bundles(void)
{
	enum { FULL = BUNDLE_CAP - 4096 };
	static const struct {
		const char *name, *rule, *before, *again;
		size_t bytes;
	} t[] = {
		{ "nested arrays", "json.type", "", "[", FULL },
		{ "nested arrays in a member", "json.type", "{\"mediaType\": ", "[", FULL },
		{ "nested objects", "sig.form", "", "{\"a\":", FULL },
		{ "a string without end", "json.long", "{\"", "A", FULL },
		{ "a string of escapes", "json.long", "{\"mediaType\": \"", "\\u0041", FULL },
		{ "a payload without end", "json.cut", "{\"dsseEnvelope\": {\"payload\": \"",
			"QUFB", FULL },
		{ "a huge number", "json.type", "{\"mediaType\": ", "9", FULL },
		{ "white space", "json.cut", "{", " ", FULL },
		{ "signatures", "sig.form", "{\"dsseEnvelope\": {\"signatures\": [", "{},", FULL },
		{ "NUL bytes", "json.type", "", "", 0 },
		{ "64 MiB of a string", "file.too-big", "{\"mediaType\": \"", "A", 64 << 20 },
	};
	struct path d = tiny_new("hostile"), f = model_sig(d.s);
	struct rusage u;
	double began;
	size_t i;

	keys_make();
	for (i = 0; i < sizeof t / sizeof *t; i++) {
		struct text s = { 0 };

		text_str(&s, t[i].before);
		repeat(&s, t[i].again, t[i].bytes);
		if (!*t[i].again)
			text_put(&s, (char[4096]){ 0 }, 4096);
		text_file(f.s, &s);
		text_free(&s);
		began = now();
		CHECK_IN(t[i].name,
			check_is(d.s, "p256.pub", t[i].name,
				*t[i].again ? t[i].rule : "json.syntax"));
		CHECK_IN(t[i].name, now() - began < 5);
	}
	CHECK(!getrusage(RUSAGE_SELF, &u));
	if (!getenv("ASAN_OPTIONS") && !strstr(getenv("B") ? getenv("B") : "", "san"))
		CHECK(u.ru_maxrss < 256 << 10);
}

/* The same of statements whose signer means harm. */
static void hostile_statements(void)
{
	static const struct {
		const char *name, *rule, *before, *again;
		size_t bytes;
	} t[] = {
		{ "nested", "json.depth",
			"{\"predicateType\": \"" STATEMENT_CONVERSION "\", \"predicate\": ", "[",
			8 << 20 },
		{ "a long name", "json.long",
			"{\"predicateType\": \"" STATEMENT_SIGNING
			"\", \"subject\": [{\"name\": \"",
			"A", 8 << 20 },
		{ "too many files", "sig.tree",
			"{\"predicateType\": \"" STATEMENT_SIGNING
			"\", \"subject\": [{\"name\": \"m\", \"digest\": {\"sha256\": \"0000000000000000000000000000000000000000000000000000000000000000\"}}",
			",{\"name\":\"a\",\"digest\":{\"sha256\":\"0000000000000000000000000000000000000000000000000000000000000000\"}}",
			0 },
	};
	struct path d = tiny_new("hostile2");
	struct statement st;
	struct text s;
	struct err e;
	size_t i;

	(void)d;
	for (i = 0; i < sizeof t / sizeof *t; i++) {
		s = (struct text){ 0 };
		text_str(&s, t[i].before);
		repeat(&s, t[i].again,
			t[i].bytes ? t[i].bytes : (TREE_FILES + 5) * strlen(t[i].again));
		if (!t[i].bytes) /* whole, so that it is read to where there are too many */
			text_str(&s, "]}");
		else if (*t[i].again == 'A')
			text_str(&s, "\"}]}");
		memset(&e, 0, sizeof e);
		CHECK_IN(t[i].name, statement_read(&st, s.s, s.n, NULL, &e));
		if (!e.rule || strcmp(e.rule, t[i].rule))
			fprintf(stderr, "%s: %s: %s\n", t[i].name, e.rule ? e.rule : "", e.text);
		CHECK_IN(t[i].name, e.rule && !strcmp(e.rule, t[i].rule));
		text_free(&s);
	}
}

/* How many there are: docs/signing.md has the sum of the three programs. */
static void number_of_cases(void)
{
	CHECK(sizeof bundles / sizeof *bundles + sizeof statements / sizeof *statements >= 110);
}

static const struct test tests[] = {
	{ "bad_bundles", bad_bundles },
	{ "bad_statements", bad_statements },
	{ "good_statements", good_statements },
	{ "every_bit_of_a_bundle", every_bit_of_a_bundle },
	{ "opens_nothing_else", opens_nothing_else },
	{ "hostile_bundles", hostile_bundles },
	{ "hostile_statements", hostile_statements },
	{ "number_of_cases", number_of_cases },
	{ NULL, NULL },
};
TEST_MAIN(tests)
