/* test_hash.c -- every way to compute SHA-256 equals OpenSSL's, whatever the lengths and the split;
 * XXH3-128 equals what xxhsum prints.
 *
 * SPDX-License-Identifier: MIT */
#include "core/cpu.h"
#include "core/hash/sha256.h"
#include "core/hash/xxh.h"
#include "tests/check.h"

/* FIPS 180-4 examples and the empty message. */
static void sha256_known(void)
{
	static const struct {
		const char *in, *hex;
	} row[] = { { "", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" },
		{ "abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" },
		{ "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
			"248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1" } };
	struct sha256_kit kits[2];
	struct sha256 s, *sp = &s;
	const void *p;
	uint8_t d[32];
	char hex[65];
	size_t i, k;
	struct err e = { 0 };

	sha256_kit_evp(&kits[0]);
	sha256_kit_best(&kits[1], cpu_features());
	for (i = 0; i < sizeof row / sizeof *row; i++) {
		for (k = 0; k < 2; k++) {
			p = row[i].in;
			CHECK(!sha256_init(&s, &kits[k], &e));
			CHECK(!sha256_update(&sp, &p, strlen(row[i].in), 1, &e));
			CHECK(!sha256_final(&s, d, &e));
			hex_of(d, 32, hex);
			CHECK_IN(row[i].hex, !strcmp(hex, row[i].hex));
		}
		CHECK(!sha256_of(row[i].in, strlen(row[i].in), d, &e));
		hex_of(d, 32, hex);
		CHECK(!strcmp(hex, row[i].hex));
	}
}

/* lanes streams of n bytes each, fed in pieces; each must equal EVP over the whole. */
static bool equal(const struct sha256_kit *k, unsigned lanes, size_t n, size_t skew)
{
	static uint8_t *data[SHA256_LANES];
	struct sha256 s[SHA256_LANES], *sp[SHA256_LANES];
	const void *p[SHA256_LANES];
	uint8_t got[32], want[32];
	size_t at = 0, take;
	unsigned i;
	struct err e = { 0 };
	bool ok = true;

	for (i = 0; i < lanes; i++) {
		if (!data[i])
			data[i] = guarded(70000);
		rnd_bytes(data[i] + 70000 - n, n);
		ok = ok && !sha256_init(&s[i], k, &e);
		sp[i] = &s[i];
	}
	/* One stream may begin with a few bytes alone, so that the streams are not aligned. */
	if (skew) {
		p[0] = data[0] + 70000 - n;
		skew = skew < n ? skew : n;
		ok = ok && !sha256_update(sp, p, skew, 1, &e);
	}
	while (at < n) {
		take = rnd(3) ? (size_t)(1 + rnd(300)) * 64 : 1 + rnd(5000);
		if (take > n - at)
			take = n - at;
		for (i = 0; i < lanes; i++)
			p[i] = data[i] + 70000 - n + at;
		if (skew) { /* the first stream goes its own way to the end */
			if (at == 0) {
				p[0] = data[0] + 70000 - n + skew;
				ok = ok && !sha256_update(sp, p, n - skew, 1, &e);
			}
			if (lanes > 1)
				ok = ok && !sha256_update(sp + 1, p + 1, take, lanes - 1, &e);
		} else {
			ok = ok && !sha256_update(sp, p, take, lanes, &e);
		}
		at += take;
	}
	for (i = 0; i < lanes; i++) {
		ok = ok && !sha256_final(&s[i], got, &e) &&
			!sha256_of(data[i] + 70000 - n, n, want, &e) && !memcmp(got, want, 32);
	}
	return ok;
}

static void sha256_ways_equal(void)
{
	static const size_t edge[] = { 0, 1, 55, 56, 63, 64, 65, 119, 120, 127, 128, 129, 8191,
		65536 };
	const struct sha256_way *w;
	struct sha256_kit k;
	unsigned lanes, i;
	int seen = 0;

	for (w = sha256_ways; w->name; w++) {
		if (w->need & ~cpu_features()) {
			printf("# this processor has no %s\n", w->name);
			continue;
		}
		seen++;
		sha256_kit_only(&k, w);
		for (lanes = 1; lanes <= SHA256_LANES; lanes++)
			for (i = 0; i < sizeof edge / sizeof *edge; i++)
				CHECK_IN(w->name, equal(&k, lanes, edge[i], 0));
		for (i = 0; i < 200; i++)
			CHECK_IN(w->name,
				equal(&k, 1 + rnd(SHA256_LANES), rnd(70000), rnd(2) * rnd(200)));
	}
	sha256_kit_best(&k, cpu_features());
	for (i = 0; i < 200; i++)
		CHECK(equal(&k, 1 + rnd(SHA256_LANES), rnd(70000), 0));
	sha256_kit_evp(&k);
	for (i = 0; i < 50; i++)
		CHECK(equal(&k, 1 + rnd(SHA256_LANES), rnd(70000), 0));
	if (!seen)
		SKIP("no way but EVP on this processor");
}

static void sha256_masks(void)
{
	struct sha256_kit k;
	unsigned n;

	sha256_kit_best(&k, 0);
	for (n = 0; n <= SHA256_LANES; n++)
		CHECK(!k.way[n]);
	sha256_kit_best(&k, CPU_SHA & cpu_features());
	for (n = 1; n <= SHA256_LANES; n++)
		CHECK(!k.way[n] || k.way[n]->need == CPU_SHA);
}

/* From the Python package xxhash 3 over bytes i % 251. */
static void xxh_known(void)
{
	static const struct {
		size_t n;
		const char *hex;
	} row[] = { { 0, "99aa06d3014798d86001c324468d497f" },
		{ 1, "a6cd5e9392000f6ac44bdff4074eecdb" },
		{ 251, "46e256a4fef0f775564104333ca5ceda" },
		{ 4096, "e12cd72144990fe57135ffa504f1bc71" } };
	static uint8_t data[4096];
	struct xxh *x = xxh_new();
	struct xxh_digest whole, parts;
	char hex[33];
	size_t i, k, at, take;

	CHECK(x);
	for (k = 0; k < sizeof data; k++)
		data[k] = (uint8_t)(k % 251);
	for (i = 0; i < sizeof row / sizeof *row; i++) {
		whole = xxh_of(data, row[i].n);
		hex_of(whole.b, 16, hex);
		CHECK_IN(hex, !strcmp(hex, row[i].hex));
		xxh_reset(x);
		for (at = 0; at < row[i].n; at += take) {
			take = 1 + rnd(700);
			take = take < row[i].n - at ? take : row[i].n - at;
			xxh_update(x, data + at, take);
		}
		parts = xxh_final(x);
		CHECK(!memcmp(whole.b, parts.b, 16));
	}
	xxh_free(x);
}

static const struct test tests[] = { { "sha256_known", sha256_known },
	{ "sha256_ways_equal", sha256_ways_equal }, { "sha256_masks", sha256_masks },
	{ "xxh_known", xxh_known }, { 0 } };
TEST_MAIN(tests)
