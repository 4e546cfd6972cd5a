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

/* --- a way that is wrong is never taken --- */

static void (*right_blocks)(uint32_t (*)[8], const uint8_t *const *, size_t, unsigned);
static unsigned wrong_stream, wrong_of; /* which one is wrong, of how many */

static void wrong_blocks(uint32_t (*state)[8], const uint8_t *const *p, size_t nblocks, unsigned n)
{
	right_blocks(state, p, nblocks, n);
	if (n == wrong_of)
		state[wrong_stream][7] ^= 1;
}

/* Right but for two streams that are exchanged. */
static void mixed_blocks(uint32_t (*state)[8], const uint8_t *const *p, size_t nblocks, unsigned n)
{
	const uint8_t *q[SHA256_LANES];

	memcpy(q, p, n * sizeof *p);
	if (n > 2) {
		q[0] = p[2];
		q[2] = p[0];
	}
	right_blocks(state, q, nblocks, n);
}

/* It writes nothing, and so is the fastest of all. */
static void idle_blocks(uint32_t (*state)[8], const uint8_t *const *p, size_t nblocks, unsigned n)
{
	(void)state, (void)p, (void)nblocks, (void)n;
}

static void sha256_wrong_way(void)
{
	struct sha256_way ways[3] = { { "idle", 0, SHA256_LANES, idle_blocks } }, *w = ways;
	struct sha256_kit k;
	unsigned n, i;

	CHECK(!sha256_way_right(&ways[0]));
	sha256_kit_choose(&k, ways, 0);
	for (n = 0; n <= SHA256_LANES; n++)
		CHECK(!k.way[n]);
	for (n = 0; sha256_ways[n].name; n++) {
		if (sha256_ways[n].need & ~cpu_features())
			continue;
		ways[1] = sha256_ways[n];
		sha256_kit_choose(&k, ways, cpu_features());
		for (i = 1; i <= SHA256_LANES; i++)
			CHECK(k.way[i] == &ways[1]);
		right_blocks = w[1].blocks;
		w[1].blocks = wrong_blocks;
		for (wrong_of = 1; wrong_of <= w[1].lanes; wrong_of++)
			for (wrong_stream = 0; wrong_stream < wrong_of; wrong_stream++)
				CHECK_IN(w[1].name, !sha256_way_right(&w[1]));
		w[1].blocks = mixed_blocks;
		CHECK_IN(w[1].name, !sha256_way_right(&w[1]));
		w[1].blocks = right_blocks;
		CHECK_IN(w[1].name, sha256_way_right(&w[1]));
	}
}

/* Pieces of several lengths, of streams that are and are not at the end of a block. */
static void pieces_equal(const struct sha256_kit *k)
{
	static uint8_t data[SHA256_LANES][3000];
	struct sha256 s[SHA256_LANES];
	struct sha256_piece pieces[SHA256_LANES];
	size_t at[SHA256_LANES] = { 0 };
	uint8_t got[32], want[32];
	struct err e = { 0 };
	unsigned i, round;

	for (i = 0; i < SHA256_LANES; i++) {
		rnd_bytes(data[i], sizeof data[i]);
		CHECK(!sha256_init(&s[i], k, &e));
	}
	for (round = 0; round < 10; round++) {
		for (i = 0; i < SHA256_LANES; i++) {
			pieces[i] = (struct sha256_piece){ &s[i], data[i] + at[i],
				rnd(3) ? 128 : rnd(300) };
			at[i] += pieces[i].n;
		}
		CHECK(!sha256_pieces(pieces, SHA256_LANES, &e));
	}
	for (i = 0; i < SHA256_LANES; i++)
		CHECK(!sha256_final(&s[i], got, &e) && !sha256_of(data[i], at[i], want, &e) &&
			!memcmp(got, want, 32));
	CHECK(!sha256_pieces(pieces, 0, &e));
}

static void sha256_pieces_equal(void)
{
	const struct sha256_way *w;
	struct sha256_kit k;

	sha256_kit_best(&k, cpu_features());
	pieces_equal(&k);
	sha256_kit_evp(&k);
	pieces_equal(&k);
	for (w = sha256_ways; w->name; w++) {
		if (w->need & ~cpu_features())
			continue;
		sha256_kit_only(&k, w);
		pieces_equal(&k);
	}
}

/* What DSV4_CPU may be; a word that is not known leaves out everything, and is refused by the tools. */
static void cpu_masks(void)
{
	static const char *const refused[] = { "plian", "PLAIN", "avx512", "plain,avx2", " plain" };
	struct err e = { 0 };
	size_t i;

	unsetenv("DSV4_CPU");
	CHECK(!cpu_check(&e) && cpu_features() == cpu_found());
	setenv("DSV4_CPU", "", 1);
	CHECK(!cpu_check(&e) && cpu_features() == cpu_found());
	setenv("DSV4_CPU", "plain", 1);
	CHECK(!cpu_check(&e) && !cpu_features());
	setenv("DSV4_CPU", "avx2", 1);
	CHECK(!cpu_check(&e) && cpu_features() == (cpu_found() & ~(unsigned)CPU_AVX512));
	for (i = 0; i < sizeof refused / sizeof *refused; i++) {
		memset(&e, 0, sizeof e);
		setenv("DSV4_CPU", refused[i], 1);
		CHECK_IN(refused[i], cpu_check(&e) && e.kind == ERR_USAGE && !cpu_features());
		CHECK_IN(refused[i], strstr(e.text, "plain or avx2"));
	}
	unsetenv("DSV4_CPU");
	CHECK(cpu_count() >= 1);
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

/* Chunks of a file that comes in pieces of any length are those of the whole. */
static void xxh_in_chunks(void)
{
	static uint8_t data[1000];
	static const uint64_t chunk[] = { 1, 7, 64, 100, 999, 1000, 5000 };
	struct xxh_digest out[1001], want;
	struct xxh *x = xxh_new();
	uint64_t at, n, i, len;
	size_t k;

	CHECK(x);
	rnd_bytes(data, sizeof data);
	for (k = 0; x && k < sizeof chunk / sizeof *chunk; k++) {
		memset(out, 0, sizeof out);
		for (at = 0; at < sizeof data; at += n) {
			n = rnd(200);
			n = n < sizeof data - at ? n : sizeof data - at;
			xxh_chunks(x, sizeof data, chunk[k], at, data + at, (size_t)n, out);
		}
		for (i = 0; i * chunk[k] < sizeof data; i++) {
			len = sizeof data - i * chunk[k];
			len = len < chunk[k] ? len : chunk[k];
			want = xxh_of(data + i * chunk[k], (size_t)len);
			CHECK(!memcmp(&out[i], &want, sizeof want));
		}
	}
	xxh_free(x);
}

static const struct test tests[] = { { "sha256_known", sha256_known },
	{ "sha256_ways_equal", sha256_ways_equal }, { "sha256_masks", sha256_masks },
	{ "sha256_wrong_way", sha256_wrong_way }, { "sha256_pieces_equal", sha256_pieces_equal },
	{ "cpu_masks", cpu_masks }, { "xxh_known", xxh_known }, { "xxh_in_chunks", xxh_in_chunks },
	{ 0 } };
TEST_MAIN(tests)
