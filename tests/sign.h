/* sign.h -- for tests: keys made on the spot, a small folder with a manifest, and the verbs in one call.
 *
 * SPDX-License-Identifier: MIT */
#ifndef TESTS_SIGN_H
#define TESTS_SIGN_H
#include "core/cpu.h"
#include "core/hash/sha256.h"
#include "core/text.h"
#include "core/hash/xxh.h"
#include "tests/dirs.h"
#include "verify/sign/base64.h"
#include "verify/sign/bundle.h"
#include "verify/sign/minisign.h"
#include "verify/sign/sign.h"
#include "verify/sign/statement.h"

#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>

/* --- keys --- */

static inline struct path key_path(const char *name)
{
	struct path dir = dirs_path("keys"), p;

	mkdir(dir.s, 0700);
	if (snprintf(p.s, sizeof p.s, "%.300s/%.100s", dir.s, name) >= (int)sizeof p.s)
		exit(2);
	return p;
}

static inline void key_put(const char *name, const void *p, size_t n)
{
	struct path f = key_path(name);

	file_put_all(f.s, p, n);
	chmod(f.s, 0600);
}

/* NAME.pem and NAME.pub of a key that OpenSSL made; password NULL: not encrypted. */
static inline void key_make_pem(const char *name, EVP_PKEY *k, const char *password)
{
	char file[64], *p;
	BIO *b = BIO_new(BIO_s_mem());
	long n;

	PEM_write_bio_PrivateKey(b, k, password ? EVP_aes_128_cbc() : NULL, NULL, 0, NULL,
		(void *)(uintptr_t)password);
	n = BIO_get_mem_data(b, &p);
	snprintf(file, sizeof file, "%s.pem", name);
	key_put(file, p, (size_t)n);
	BIO_free(b);
	b = BIO_new(BIO_s_mem());
	PEM_write_bio_PUBKEY(b, k);
	n = BIO_get_mem_data(b, &p);
	snprintf(file, sizeof file, "%s.pub", name);
	key_put(file, p, (size_t)n);
	BIO_free(b);
	EVP_PKEY_free(k);
}

/* The file of a minisign key, by its bytes. */
static inline void key_put_minisign(const char *name, const char *comment, const void *p, size_t n)
{
	struct text t = { 0 };

	text_fmt(&t, "untrusted comment: %s\n", comment);
	base64_put(&t, p, n);
	text_str(&t, "\n");
	key_put(name, t.s, t.n);
	text_free(&t);
}

/* NAME.key and NAME.mpub, with scrypt at the weakest that libsodium takes if there is a password: N 1024,
 * r 8, p 1. */
static inline void key_make_minisign(const char *name, const char *password)
{
	uint8_t b[158] = "Ed", pub[42] = "Ed", seed[32], stream[104];
	char file[64];
	size_t n = 32;
	EVP_PKEY *k;
	int i;

	rnd_bytes(seed, sizeof seed);
	k = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, seed, 32);
	memcpy(b + 4, "B2", 2);
	rnd_bytes(b + 54, 8);
	memcpy(b + 62, seed, 32);
	if (!k || EVP_PKEY_get_raw_public_key(k, b + 94, &n) != 1)
		FAILED("an Ed25519 key");
	EVP_PKEY_free(k);
	memcpy(pub + 2, b + 54, 8);
	memcpy(pub + 10, b + 94, 32);
	if (password) {
		memcpy(b + 2, "Sc", 2);
		rnd_bytes(b + 6, 32);
		b[39] = 0x80; /* 32768 operations */
		b[48] = 0x10; /* 1 MiB */
		CHECK(EVP_PBE_scrypt(password, strlen(password), b + 6, 32, 1024, 8, 1, 64 << 20,
			      stream, sizeof stream) == 1);
		for (i = 0; i < 104; i++)
			b[54 + i] ^= stream[i];
	}
	snprintf(file, sizeof file, "%s.key", name);
	key_put_minisign(file, "minisign encrypted secret key", b, sizeof b);
	snprintf(file, sizeof file, "%s.mpub", name);
	key_put_minisign(file, "minisign public key", pub, sizeof pub);
}

/* All that the tests use, once. */
static inline void keys_make(void)
{
	if (is_file(key_path("p256.pem").s))
		return;
	key_make_pem("p256", EVP_EC_gen("P-256"), NULL);
	key_make_pem("other", EVP_EC_gen("P-256"), NULL);
	key_make_pem("p384", EVP_EC_gen("P-384"), NULL);
	key_make_pem("p521", EVP_EC_gen("P-521"), NULL);
	key_make_pem("k256", EVP_EC_gen("secp256k1"), NULL);
	key_make_pem("ed", EVP_PKEY_Q_keygen(NULL, NULL, "ED25519"), NULL);
	key_make_pem("locked", EVP_EC_gen("P-256"), "pass word");
	key_make_minisign("mini", NULL);
	key_make_minisign("mini2", NULL);
	key_make_minisign("minilocked", "pass word");
	key_put("pw", "pass word\n", 10);
	key_put("pw.wrong", "pass wort\n", 10);
	key_put("empty", "", 0);
}

/* --- folders --- */

static inline void tiny_file(struct text *manifest, const char *dir, const char *name,
	const char *text, bool last)
{
	char path[800], hex[65];
	uint8_t sha256[32];

	snprintf(path, sizeof path, "%s/%s", dir, name);
	unlink(path);
	file_put_all(path, text, strlen(text));
	if (!manifest || sha256_of(text, strlen(text), sha256, NULL))
		return;
	hex_of(sha256, 32, hex);
	text_fmt(manifest, "  {\"bytes\": %zu, \"name\": \"%s\", \"sha256\": \"%s\"}%s\n",
		strlen(text), name, hex, last ? "" : ",");
}

/* Gives the text of a manifest its digest of itself anew. */
static inline void tiny_seal(struct text *m)
{
	char *at = m->n ? strstr(m->s, ",\n \"xxh3_128\"") : NULL, hex[33];
	struct xxh_digest d;

	m->n = at ? (size_t)(at - m->s) : m->n - 3; /* without the brace at the end */
	d = xxh_of(m->s, m->n);
	hex_of(d.b, 16, hex);
	text_fmt(m, ",\n \"xxh3_128\": \"%s\"\n}\n", hex);
}

/* A new folder of three files and their manifest, as dsv4-convert would write it. */
static inline struct path tiny_new(const char *name)
{
	struct path dir = dirs_new(name);
	char path[800];
	struct text m = { 0 };

	text_str(&m, "{\n \"files\": [\n");
	tiny_file(&m, dir.s, "config.json", "{}\n", false);
	tiny_file(&m, dir.s, "model-1.safetensors", "weights, more or less\n", false);
	tiny_file(&m, dir.s, "model-2.safetensors", "weights, more or les2\n", true);
	text_str(&m,
		" ],\n \"format\": \"dsv4-manifest-1\",\n \"options\": {\"ranks\": \"1\"},\n"
		" \"plan\": \"00ff000000000000000000000000000000000000000000000000000000000000\",\n \"source\": {\n  \"bytes\": 7,\n  \"sha256\": \"verified\",\n"
		"  \"shards\": [\n   {\"bytes\": 3, \"name\": \"s.safetensors\", \"sha256\": "
		"\"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad\"}\n  ],\n"
		"  \"tensors\": 1\n },\n \"target\": \"hf\",\n \"tool\": \"test 0\"\n}\n");
	tiny_seal(&m);
	snprintf(path, sizeof path, "%s/manifest.json", dir.s);
	file_put_all(path, m.s, m.n);
	text_free(&m);
	return dir;
}

/* --- calls --- */

enum sig_verb { SIG_SIGN, SIG_CHECK, SIG_ATTEST };

struct sig_call {
	enum sig_verb verb;
	const char *dir, *key, *password, *format, *file, *source;
	bool overwrite;
};

/* What came out: the verdict, and the rule of the error or the first finding ("" for none). */
struct sig_out {
	int status; /* as the process would end */
	char rule[64], text[800];
	char rules[600]; /* of all findings, each between spaces */
	size_t findings;
};

static inline struct sig_out sig_run(const struct sig_call *c)
{
	static int (*const run[])(const struct sign_opts *, struct report *,
		struct err *) = { sign_make, sign_check, sign_attest };
	struct path key = c->key ? key_path(c->key) : (struct path){ "" };
	struct path pw = c->password ? key_path(c->password) : (struct path){ "" };
	struct sign_opts o = { .io = io_posix(),
		.dir = c->dir,
		.key = { c->key ? key.s : NULL, -1 },
		.password = { c->password ? pw.s : NULL, -1 },
		.format = c->format,
		.file = c->file,
		.source = c->source,
		.overwrite = c->overwrite,
		.threads = 2,
		.features = cpu_features() };
	struct sig_out out = { 0 };
	struct report r;
	struct err e = { 0 };
	size_t i;

	report_begin(&r, "test 0", "signature", c->dir, NULL);
	if (!run[c->verb](&o, &r, &e)) {
		report_sort(&r);
		if (r.n) {
			snprintf(out.rule, sizeof out.rule, "%s",
				r.findings[0].rule ? r.findings[0].rule : "(system)");
			snprintf(out.text, sizeof out.text, "%s", r.findings[0].cause);
		}
		out.findings = r.n;
		for (i = 0; i < r.n; i++)
			snprintf(out.rules + strlen(out.rules),
				sizeof out.rules - strlen(out.rules), " %s ",
				r.findings[i].rule ? r.findings[i].rule : "(system)");
		report_finish(&r, &e);
	} else {
		snprintf(out.rule, sizeof out.rule, "%s", e.rule ? e.rule : "(system)");
		snprintf(out.text, sizeof out.text, "%s", e.text);
		snprintf(out.rules, sizeof out.rules, " %s ", out.rule);
	}
	out.status = err_exit_code(&e);
	report_free(&r);
	return out;
}

static inline bool sig_is(const struct sig_call *c, const char *what, int status, const char *rule)
{
	struct sig_out o = sig_run(c);

	if (o.status == status && !strcmp(o.rule, rule))
		return true;
	fprintf(stderr, "%s: expected %d %s, got %d %s: %s\n", what, status, rule, o.status, o.rule,
		o.text);
	return false;
}

static inline bool sig_true(enum sig_verb verb, const char *dir, const char *key)
{
	return sig_is(&(struct sig_call){ .verb = verb, .dir = dir, .key = key, .overwrite = true },
		dir, 0, "");
}
#endif
