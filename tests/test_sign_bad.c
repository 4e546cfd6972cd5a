/* What a signature must not be believed: bundles, envelopes, statements, manifests, folders and minisign
 * files, each wrong in one place, with the rule that names it; hostile ones quickly and in little memory;
 * and every single bit of a signature.
 *
 * Statements are changed and then signed again with the right key: what is refused there, is refused to a
 * signer who means harm.
 *
 * SPDX-License-Identifier: MIT */
#include "tests/faultio.h"
#include "tests/sign.h"

#include <sys/resource.h>
#include <sys/time.h>

/* The first from becomes to; FAILED if there is none. NULL from: to stands behind the whole. */
static void replace(struct text *t, const char *from, const char *to)
{
	struct text out = { 0 };
	const char *at = from ? strstr(t->s, from) : t->s + t->n;

	if (!at) {
		FAILED(from);
		return;
	}
	text_put(&out, t->s, (size_t)(at - t->s));
	text_str(&out, to);
	text_str(&out, at + (from ? strlen(from) : 0));
	text_free(t);
	*t = out;
}

static struct text file_text(const char *path)
{
	struct text t = { 0 };
	size_t n;
	uint8_t *p = file_get_all(path, &n);

	text_put(&t, p ? (char *)p : "", n);
	free(p);
	return t;
}

static void text_file(const char *path, const struct text *t)
{
	unlink(path);
	file_put_all(path, t->s, t->n);
}

static void ec_key(struct eckey *k, const char *name)
{
	struct path p = key_path(name);
	struct keyfile f;
	struct keyfile_at at = { p.s, -1 };
	struct err e = { 0 };

	if (keyfile_read(&f, io_posix(), &at, true, &e) || eckey_private(k, &f, NULL, &e))
		FAILED(e.text);
	keyfile_free(&f);
}

static struct path model_sig(const char *dir)
{
	struct path p;

	if (snprintf(p.s, sizeof p.s, "%.300s/" SIGN_BUNDLE, dir) >= (int)sizeof p.s)
		exit(2);
	return p;
}

static bool check_is(const char *dir, const char *key, const char *name, const char *rule)
{
	struct sig_call c = { .verb = SIG_CHECK, .dir = dir, .key = key };
	struct sig_out o = sig_run(&c);

	char word[80];

	snprintf(word, sizeof word, " %s ", rule);
	if (o.status != 0 && strstr(o.rules, word))
		return true;
	fprintf(stderr, "%s: expected %s, got %d%s: %s\n", name, rule, o.status, o.rules, o.text);
	return false;
}

struct bad {
	const char *name, *rule, *from, *to;
};

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

/* --- the folder --- */

static struct path below(const char *dir, const char *name)
{
	struct path p;

	if (snprintf(p.s, sizeof p.s, "%.300s/%.200s", dir, name) >= (int)sizeof p.s)
		exit(2);
	return p;
}

static void do_flip(const char *d)
{
	tiny_file(NULL, d, "model-1.safetensors", "weights, more or lesz\n", true);
}

static void do_cut(const char *d)
{
	CHECK(!truncate(below(d, "model-1.safetensors").s, 5));
}

static void do_longer(const char *d)
{
	CHECK(!truncate(below(d, "model-1.safetensors").s, 500));
}

static void do_empty(const char *d)
{
	CHECK(!truncate(below(d, "config.json").s, 0));
}

static void do_remove(const char *d)
{
	CHECK(!unlink(below(d, "model-1.safetensors").s));
}

static void do_rename(const char *d)
{
	CHECK(!rename(below(d, "model-1.safetensors").s, below(d, "model-3.safetensors").s));
}

static void do_case(const char *d)
{
	CHECK(!rename(below(d, "model-1.safetensors").s, below(d, "Model-1.safetensors").s));
}

static void do_swap(const char *d)
{
	struct path a = below(d, "model-1.safetensors"), b = below(d, "model-2.safetensors"),
		    c = below(d, "x");

	CHECK(!rename(a.s, c.s) && !rename(b.s, a.s) && !rename(c.s, b.s));
}

static void do_extra(const char *d)
{
	tiny_file(NULL, d, "model-0.safetensors", "x", true);
}

static void do_hidden(const char *d)
{
	tiny_file(NULL, d, ".x", "", true);
}

static void do_twin(const char *d)
{
	tiny_file(NULL, d, "CONFIG.json", "{}\n", true);
}

static void do_deep(const char *d)
{
	CHECK(!mkdir(below(d, "a").s, 0777));
	tiny_file(NULL, d, "a/x.py", "", true);
}

static void do_python(const char *d)
{
	tiny_file(NULL, d, "modeling_x.py", "import os", true);
}

static void do_link(const char *d)
{
	struct path a = below(d, "model-1.safetensors");

	CHECK(!rename(a.s, below(dirs_top.s, "linked").s));
	CHECK(!symlink("../linked", a.s));
}

static void do_folder_link(const char *d)
{
	CHECK(!symlink("..", below(d, "a").s));
}

static void do_fifo(const char *d)
{
	struct path a = below(d, "config.json");

	CHECK(!unlink(a.s) && !mkfifo(a.s, 0600));
}

/* Under a name that signatures have. */
static void do_sig_fifo(const char *d)
{
	CHECK(!mkfifo(below(d, "attestation.json").s, 0600));
}

static void do_sig_folder(const char *d)
{
	CHECK(!mkdir(below(d, "attestation.json").s, 0777));
	tiny_file(NULL, d, "attestation.json/x.py", "", true);
}

static void do_sig_link(const char *d)
{
	CHECK(!symlink("config.json", below(d, "attestation.json").s));
}

static void do_folder(const char *d)
{
	struct path a = below(d, "config.json");

	CHECK(!unlink(a.s) && !mkdir(a.s, 0777));
}

static void do_manifest(const char *d)
{
	struct path a = below(d, "manifest.json");
	struct text t = file_text(a.s);

	replace(&t, "\"target\": \"hf\"", "\"target\": \"hg\"");
	text_file(a.s, &t);
	text_free(&t);
}

static void do_lineage(const char *d)
{
	struct path a = below(d, "manifest.json");
	struct text t = file_text(a.s);

	replace(&t, "ba7816bf", "ba7816b0");
	text_file(a.s, &t);
	text_free(&t);
}

static void do_no_manifest(const char *d)
{
	CHECK(!unlink(below(d, "manifest.json").s));
}

static void do_no_signature(const char *d)
{
	CHECK(!unlink(below(d, SIGN_BUNDLE).s) && !unlink(below(d, SIGN_MINISIGN).s));
}

static void do_name(const char *d)
{
	tiny_file(NULL, d, "a\nb", "", true);
}

static void do_latin1(const char *d)
{
	tiny_file(NULL, d, "caf\xe9", "", true);
}

static void do_nest(const char *d)
{
	struct path p = below(d, "n");
	int i;

	for (i = 0; i < 10; i++) {
		CHECK(!mkdir(p.s, 0777));
		strcat(p.s, "/n");
	}
}

static void do_signature_link(const char *d)
{
	do_no_signature(d);
	CHECK(!symlink("config.json", below(d, SIGN_BUNDLE).s) &&
		!symlink("config.json", below(d, SIGN_MINISIGN).s));
}

/* rule_mini NULL: the same. */
static const struct {
	const char *name, *rule, *rule_mini;
	void (*act)(const char *dir);
} folders[] = {
	{ "a letter", "sig.changed", NULL, do_flip },
	{ "shorter", "sig.changed", NULL, do_cut },
	{ "longer", "sig.changed", NULL, do_longer },
	{ "empty", "sig.changed", NULL, do_empty },
	{ "removed", "sig.gone", NULL, do_remove },
	{ "renamed", "sig.gone", NULL, do_rename },
	{ "in capitals", "sig.extra", NULL, do_case },
	{ "swapped", "sig.changed", NULL, do_swap },
	{ "one more", "sig.extra", NULL, do_extra },
	{ "a twin", "sig.case-twin", NULL, do_twin },
	{ "one more below", "sig.extra", NULL, do_deep },
	{ "code", "sig.extra", NULL, do_python },
	{ "a link", "file.symlink", NULL, do_link },
	{ "a link to a folder", "file.symlink", NULL, do_folder_link },
	{ "a FIFO", "file.not-regular", NULL, do_fifo },
	{ "a folder", "sig.gone", NULL, do_folder },
	{ "a FIFO that is called a signature", "file.not-regular", NULL, do_sig_fifo },
	{ "a folder that is called a signature", "sig.extra", NULL, do_sig_folder },
	{ "a link that is called a signature", "file.symlink", NULL, do_sig_link },
	{ "the manifest", "sig.changed", "sig.wrong", do_manifest },
	{ "the digest of a source", "sig.changed", "sig.wrong", do_lineage },
	{ "no manifest", "sig.gone", "(system)", do_no_manifest },
	{ "no signature", "sig.missing", NULL, do_no_signature },
	{ "the signature is a link", "file.symlink", NULL, do_signature_link },
	{ "a newline in a name", "sig.name", NULL, do_name },
	{ "a name that is not UTF-8", "sig.name", NULL, do_latin1 },
	{ "nested", "sig.tree", NULL, do_nest },
};

static void bad_folders(void)
{
	size_t i;

	keys_make();
	for (i = 0; i < sizeof folders / sizeof *folders; i++) {
		struct path d = tiny_new("folders");

		CHECK(sig_true(SIG_SIGN, d.s, "p256.pem") && sig_true(SIG_SIGN, d.s, "mini.key"));
		folders[i].act(d.s);
		CHECK_IN(folders[i].name,
			check_is(d.s, "p256.pub", folders[i].name, folders[i].rule));
		CHECK_IN(folders[i].name,
			check_is(d.s, "mini.mpub", folders[i].name,
				folders[i].rule_mini ? folders[i].rule_mini : folders[i].rule));
	}
}

/* A file that no engine reads: Model Signing covers all files, the manifest those of the model. */
static void hidden_file(void)
{
	struct path d = tiny_new("hidden");
	struct sig_call c = { .verb = SIG_CHECK, .dir = d.s, .key = "p256.pub" };

	keys_make();
	CHECK(sig_true(SIG_SIGN, d.s, "p256.pem") && sig_true(SIG_SIGN, d.s, "mini.key"));
	do_hidden(d.s);
	CHECK(sig_is(&c, "hidden", 1, "sig.extra"));
	c.key = "mini.mpub";
	CHECK(sig_is(&c, "hidden", 0, "sig.ignored"));
}

/* git's files are left out, and said to be. */
static void git_files(void)
{
	struct path d = tiny_new("git");
	struct sig_call c = { .verb = SIG_CHECK, .dir = d.s, .key = "p256.pub" };

	keys_make();
	CHECK(sig_true(SIG_SIGN, d.s, "p256.pem") && sig_true(SIG_SIGN, d.s, "mini.key"));
	tiny_file(NULL, d.s, ".gitattributes", "x", true);
	CHECK(sig_is(&c, "git", 0, "sig.ignored"));
	c.key = "mini.mpub";
	CHECK(sig_is(&c, "git", 0, "sig.ignored"));
}

/* What sign refuses to put its name under. */
static void bad_to_sign(void)
{
	struct path d = tiny_new("tosign");
	struct sig_call ec = { .dir = d.s, .key = "p256.pem" },
			ed = { .dir = d.s, .key = "mini.key" };

	keys_make();
	do_flip(d.s);
	CHECK(sig_is(&ec, "changed", 1, "sig.changed") && sig_is(&ed, "changed", 1, "sig.changed"));
	do_remove(d.s);
	CHECK(sig_is(&ec, "gone", 1, "sig.gone") && sig_is(&ed, "gone", 1, "sig.gone"));
	d = tiny_new("tosign");
	do_extra(d.s);
	CHECK(sig_is(&ec, "extra", 0, "") && sig_is(&ed, "extra", 1, "sig.extra"));
	tiny_file(NULL, d.s, ".dsv4-plan", "x\n", true);
	unlink(below(d.s, SIGN_BUNDLE).s);
	CHECK(sig_is(&ec, "unfinished", 1, "sig.unfinished"));
	d = dirs_new("tosign");
	CHECK(sig_is(&ec, "nothing", 1, "sig.uncovered"));
	d = tiny_new("tosign");
	{
		struct text t = file_text(below(d.s, "manifest.json").s);
		char *at = strstr(t.s, "\"sha256\": \"");

		memset(at + 10, ' ', 66);
		memcpy(at + 10, "null", 4);
		tiny_seal(&t);
		text_file(below(d.s, "manifest.json").s, &t);
		text_free(&t);
	}
	CHECK(sig_is(&ec, "no digest", 0, "") && sig_is(&ed, "no digest", 1, "sig.uncovered"));
	CHECK(!is_file(below(d.s, SIGN_MINISIGN).s));
}

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

/* --- what is opened --- */

struct watch {
	const char *given[3]; /* what the user named */
	unsigned opened, strange;
};

static void watch_open(struct faultio *f, enum io_op op, const char *name)
{
	struct watch *w = f->ctx;
	int i;

	if (op != IO_OPEN && op != IO_LSTAT && op != IO_READLINK)
		return;
	w->opened++;
	for (i = 0; i < 3; i++)
		if (w->given[i] && !strcmp(name, w->given[i]))
			return;
	if (strchr(name, '/') || !strcmp(name, "..")) {
		w->strange++;
		fprintf(stderr, "opens %s\n", name);
	}
}

/* Every file is opened through the table, name by name below the folder: never by a path, whatever signed
 * statements and manifests say. */
static void opens_nothing_else(void)
{
	struct path d = tiny_new("statements"), pub = key_path("p256.pub"),
		    mini = key_path("mini.mpub");
	struct text good, manifest, t;
	struct faultio io;
	struct watch w = { .given = { d.s, pub.s, mini.s } };
	struct minisign_secret mk;
	struct eckey k;
	size_t i;

	keys_make();
	ec_key(&k, "p256.pem");
	mini_keys(&mk);
	CHECK(sig_true(SIG_SIGN, d.s, "p256.pem"));
	good = statement_of(model_sig(d.s).s);
	manifest = file_text(below(d.s, "manifest.json").s);
	faultio_make(&io);
	io.hook = watch_open;
	io.ctx = &w;
	for (i = 0;
		i < sizeof statements / sizeof *statements + sizeof manifests / sizeof *manifests;
		i++) {
		bool s = i < sizeof statements / sizeof *statements;
		const struct bad *b =
			s ? &statements[i] : &manifests[i - sizeof statements / sizeof *statements];
		struct sign_opts o = { .io = &io.io,
			.dir = d.s,
			.key = { s ? pub.s : mini.s, -1 },
			.password.fd = -1,
			.threads = 1 };
		struct report r;
		struct err e = { 0 };

		if (!b->to || b->to[0] == '@')
			continue;
		t = (struct text){ 0 };
		text_put(&t, s ? good.s : manifest.s, s ? good.n : manifest.n);
		replace(&t, b->from, b->to);
		if (s)
			put_signed(model_sig(d.s).s, &t, &k);
		else
			spoil(&t, b), put_minisigned(d.s, &t, &mk);
		report_begin(&r, "test 0", "signature", d.s, NULL);
		(void)sign_check(&o, &r, &e);
		report_free(&r);
		text_free(&t);
	}
	CHECK(w.opened > 400 && !w.strange && !io.n_open);
	text_free(&good);
	text_free(&manifest);
	eckey_free(&k);
}

/* --- faults --- */

/* Each call of the system fails once: never "true" where it is not known, never half a signature. */
static void faults(void)
{
	static const char *const keys[][2] = { { "p256.pem", "p256.pub" },
		{ "mini.key", "mini.mpub" } };
	static const enum sig_verb verbs[] = { SIG_SIGN, SIG_CHECK };
	size_t i, v, n;

	keys_make();
	for (i = 0; i < 2; i++)
		for (v = 0; v < 2; v++)
			for (n = 1; n < 500; n++) {
				struct path d = tiny_new("faults");
				struct path key = key_path(keys[i][v]);
				struct path sig = below(d.s, i ? SIGN_MINISIGN : SIGN_BUNDLE);
				struct faultio io;
				struct report r;
				struct err e = { 0 };
				struct sign_opts o = { .io = &io.io,
					.dir = d.s,
					.key = { key.s, -1 },
					.password.fd = -1,
					.threads = 1 };

				if (verbs[v] == SIG_CHECK)
					CHECK(sig_true(SIG_SIGN, d.s, keys[i][0]));
				faultio_make(&io);
				io.at = n;
				io.error = EIO;
				report_begin(&r, "test 0", "sign", d.s, NULL);
				if (!(verbs[v] == SIG_SIGN ? sign_make : sign_check)(&o, &r, &e))
					report_finish(&r, &e);
				report_free(&r);
				CHECK(!io.early && !io.strange);
				CHECK(!io.n_open || io.failed[IO_CLOSE]);
				if (!io.failed[IO_ANY])
					break; /* all were tried */
				/* a failed close of what was only read hides nothing, and blocks that
				 * cannot be set aside are not needed */
				if (err_exit_code(&e) == 1)
					fprintf(stderr, "n=%zu %s %s\n", n, e.rule ? e.rule : "",
						e.text);
				CHECK(err_exit_code(&e) != 1);
				if (e.kind == ERR_NONE)
					CHECK(sig_true(SIG_CHECK, d.s, keys[i][1]));
				else if (verbs[v] == SIG_SIGN)
					CHECK(!is_file(sig.s));
			}
}

/* Each call fails once while a new signature is made over an old one: one of them is there, and it holds. */
static void old_one_kept(void)
{
	static const char *const keys[][2] = { { "p256.pem", "p256.pub" },
		{ "mini.key", "mini.mpub" } };
	struct path d;
	size_t i, n, failed = 0;

	keys_make();
	for (i = 0; i < 2; i++) {
		struct path key = key_path(keys[i][0]);
		struct sign_opts o = { .dir = d.s,
			.key = { key.s, -1 },
			.password.fd = -1,
			.overwrite = true,
			.threads = 1 };

		d = tiny_new("over");
		CHECK(sig_true(SIG_SIGN, d.s, keys[i][0]));
		for (n = 1; n < 500; n++) {
			struct faultio io;
			struct report r;
			struct err e = { 0 };

			faultio_make(&io);
			io.at = n;
			io.op = IO_ANY;
			io.error = EIO;
			o.io = &io.io;
			report_begin(&r, "test 0", "sign", d.s, NULL);
			if (!sign_make(&o, &r, &e))
				report_finish(&r, &e);
			report_free(&r);
			failed += e.kind != ERR_NONE;
			/* true; a temporary file that could not be removed is only told of */
			CHECK(sig_run(&(struct sig_call){
					      .verb = SIG_CHECK, .dir = d.s, .key = keys[i][1] })
					.status == 0);
			if (!io.failed[IO_ANY])
				break; /* all were tried */
		}
	}
	CHECK(failed > 20);
}

/* --- every bit --- */

static void public_key(struct eckey *k, const char *name)
{
	struct path p = key_path(name);
	struct keyfile f;
	struct keyfile_at at = { p.s, -1 };
	struct err e = { 0 };

	if (keyfile_read(&f, io_posix(), &at, false, &e) || eckey_public(k, &f, &e))
		FAILED(e.text);
	keyfile_free(&f);
}

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

/* How many there are, so that the number in the documents can be looked up. */
static void seventy(void)
{
	CHECK(sizeof bundles / sizeof *bundles + sizeof statements / sizeof *statements +
			2 * (sizeof folders / sizeof *folders) +
			sizeof minisigs / sizeof *minisigs + sizeof manifests / sizeof *manifests >=
		190);
}

static const struct test tests[] = { { "bad_bundles", bad_bundles },
	{ "bad_statements", bad_statements }, { "good_statements", good_statements },
	{ "bad_folders", bad_folders }, { "hidden file", hidden_file }, { "git_files", git_files },
	{ "bad_to_sign", bad_to_sign }, { "bad_minisigs", bad_minisigs },
	{ "bad_manifests", bad_manifests }, { "opens_nothing_else", opens_nothing_else },
	{ "faults", faults }, { "old_one_kept", old_one_kept },
	{ "every_bit_of_a_bundle", every_bit_of_a_bundle },
	{ "every_bit_of_a_minisig", every_bit_of_a_minisig },
	{ "hostile_bundles", hostile_bundles }, { "hostile_statements", hostile_statements },
	{ "number_of_cases", seventy }, { NULL, NULL } };
TEST_MAIN(tests)
