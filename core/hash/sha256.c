/* SPDX-License-Identifier: MIT */
#include "core/hash/sha256.h"

#include "core/cpu.h"

#include <openssl/evp.h>
#include <string.h>
#include <time.h>

static const uint32_t initial[8] = { 0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f,
	0x9b05688c, 0x1f83d9ab, 0x5be0cd19 }; /* FIPS 180-4, 5.3.3 */

/* FIPS 180-4, 4.2.2: first 32 bits of the fractional parts of the cube roots of the primes. */
const uint32_t sha256_k[64] = { 0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b,
	0x59f111f1, 0x923f82a4, 0xab1c5ed5, 0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3,
	0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174, 0xe49b69c1, 0xefbe4786, 0x0fc19dc6,
	0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da, 0x983e5152, 0xa831c66d,
	0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967, 0x27b70a85,
	0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
	0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585,
	0x106aa070, 0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a,
	0x5b9cca4f, 0x682e6ff3, 0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa,
	0xa4506ceb, 0xbef9a3f7, 0xc67178f2 };

const struct sha256_way sha256_ways[] = {
	{ "sha-ni", CPU_SHA, 4, sha256_blocks_shani },
	{ "avx-512 x8", CPU_AVX512, 8, sha256_blocks_x8 },
	{ "avx-512 x16", CPU_AVX512, 16, sha256_blocks_x16 },
	{ NULL, 0, 0, NULL },
};

/* What sha256_init takes where the caller has no kit: everything through EVP. */
static const struct sha256_kit evp_kit;

void sha256_kit_evp(struct sha256_kit *k)
{
	memset(k, 0, sizeof *k);
}

void sha256_kit_only(struct sha256_kit *k, const struct sha256_way *w)
{
	unsigned n;

	for (n = 0; n <= SHA256_LANES; n++)
		k->way[n] = w;
}

/* --- is a way right? --- */

/* Messages of two blocks each with their padding, and the states after them: the examples B.2 of FIPS 180-2 and
 * "Two Block Message Sample" of NIST's examples with intermediate values. */
enum { KNOWN = 2 };
static const char *const known_text[KNOWN] = {
	"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
	"abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmnhijklmnoijklmnopjklmnopqklmnopqrlmnopqrsmnopqrst"
	"nopqrstu",
};
static const uint32_t known_state[KNOWN][8] = {
	{ 0x248d6a61, 0xd20638b8, 0xe5c02693, 0x0c3e6039, 0xa33ce459, 0x64ff2167, 0xf6ecedd4,
		0x19db06c1 },
	{ 0xcf5b16a7, 0x78af8380, 0x036ce59e, 0x7b049237, 0x0b249b11, 0xe8f07a51, 0xafac4503,
		0x7afee9d1 },
};

static void known_blocks(uint8_t block[KNOWN][128])
{
	size_t i, n, k;

	memset(block, 0, KNOWN * sizeof *block);
	for (i = 0; i < KNOWN; i++) {
		n = strlen(known_text[i]);
		memcpy(block[i], known_text[i], n);
		block[i][n] = 0x80;
		for (k = 0; k < 8;
			k++) /* the bits of the message, big-endian, end the last block */
			block[i][127 - k] = (uint8_t)((uint64_t)n * 8 >> (8 * k));
	}
}

bool sha256_way_right(const struct sha256_way *w)
{
	uint8_t block[KNOWN][128];
	uint32_t state[SHA256_LANES][8];
	const uint8_t *p[SHA256_LANES] = { 0 };
	unsigned n, odd, i;

	known_blocks(block);
	for (n = 1; n <= w->lanes; n++) {
		for (odd = 0; odd < n; odd++) { /* the stream that has the other message */
			for (i = 0; i < n; i++) {
				memcpy(state[i], initial, sizeof initial);
				p[i] = block[i == odd];
			}
			w->blocks(state, p, 2, n);
			for (i = 0; i < n; i++)
				if (memcmp(state[i], known_state[i == odd], sizeof *state) != 0)
					return false;
		}
	}
	return true;
}

/* --- which way is the fastest? --- */

/* Enough blocks that a call to the clock (some 30 ns) is less than a tenth, few enough that all ways for all numbers
 * of streams are measured within half a millisecond. The best of a few tries is not disturbed. */
enum { TRIAL = 1024, TRIES = 3 };

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* Seconds for n streams of TRIAL bytes, the best of a few tries. */
static double cost(const struct sha256_way *w, unsigned n)
{
	static const uint8_t data[TRIAL];
	uint32_t state[SHA256_LANES][8];
	const uint8_t *p[SHA256_LANES] = { 0 };
	double best = 1, t;
	unsigned i;

	for (i = 0; i < SHA256_LANES; i++) {
		memcpy(state[i], initial, sizeof initial);
		p[i] = data;
	}
	for (i = 0; i < TRIES; i++) {
		t = now();
		w->blocks(state, p, TRIAL / 64, n);
		t = now() - t;
		best = t < best ? t : best;
	}
	return best;
}

void sha256_kit_choose(struct sha256_kit *k, const struct sha256_way *ways, unsigned features)
{
	double total[SHA256_LANES + 1], alone[SHA256_LANES + 1], t;
	const struct sha256_way *w;
	unsigned n, take;

	sha256_kit_evp(k);
	for (n = 0; n <= SHA256_LANES; n++)
		total[n] = n ? 1e9 : 0; /* of n streams, in the best combination */
	for (w = ways; w->name; w++) {
		if (w->need & ~features || !sha256_way_right(w))
			continue;
		for (n = 1; n <= w->lanes; n++)
			alone[n] = cost(w, n);
		for (n = 1; n <= SHA256_LANES; n++) {
			take = n < w->lanes ? n : w->lanes;
			t = alone[take] + total[n - take];
			if (t < total[n]) {
				total[n] = t;
				k->way[n] = w;
			}
		}
	}
}

void sha256_kit_best(struct sha256_kit *k, unsigned features)
{
	sha256_kit_choose(k, sha256_ways, features);
}

/* --- streams --- */

int sha256_init(struct sha256 *s, const struct sha256_kit *kit, struct err *e)
{
	memset(s, 0, sizeof *s);
	s->kit = kit ? kit : &evp_kit;
	memcpy(s->h, initial, sizeof s->h);
	if (s->kit->way[1])
		return 0;
	s->evp = EVP_MD_CTX_new();
	if (s->evp && EVP_DigestInit_ex(s->evp, EVP_sha256(), NULL) == 1)
		return 0;
	sha256_free(s);
	return err_set(e, ERR_SYSTEM, "cannot start SHA-256");
}

static int update_evp(struct sha256 *s, const void *p, size_t n, struct err *e)
{
	s->bytes += n;
	if (EVP_DigestUpdate(s->evp, p, n) != 1)
		return err_set(e, ERR_SYSTEM, "SHA-256 failed");
	return 0;
}

/* Fills the waiting block; what is left over is at *p, *n. */
static void fill_tail(struct sha256 *s, const uint8_t **p, size_t *n)
{
	size_t have = s->bytes % 64, take = 64 - have;
	const uint8_t *block = s->tail;

	if (!have)
		return;
	if (take > *n)
		take = *n;
	memcpy(s->tail + have, *p, take);
	s->bytes += take;
	*p += take;
	*n -= take;
	if (have + take == 64)
		s->kit->way[1]->blocks(&s->h, &block, 1, 1);
}

static void update_one(struct sha256 *s, const uint8_t *p, size_t n)
{
	fill_tail(s, &p, &n);
	if (n >= 64)
		s->kit->way[1]->blocks(&s->h, &p, n / 64, 1);
	memcpy(s->tail, p + n / 64 * 64, n % 64);
	s->bytes += n;
}

/* All streams are at a block boundary. */
static void update_lockstep(struct sha256 *const *s, const void *const *data, size_t n,
	unsigned lanes, const struct sha256_way *w)
{
	uint32_t h[SHA256_LANES][8];
	const uint8_t *p[SHA256_LANES] = { 0 };
	unsigned i;

	for (i = 0; i < lanes; i++) {
		memcpy(h[i], s[i]->h, sizeof h[i]);
		p[i] = data[i];
	}
	w->blocks(h, p, n / 64, lanes);
	for (i = 0; i < lanes; i++) {
		memcpy(s[i]->h, h[i], sizeof h[i]);
		memcpy(s[i]->tail, p[i] + n / 64 * 64, n % 64);
		s[i]->bytes += n;
	}
}

int sha256_update(struct sha256 *const *s, const void *const *data, size_t n, unsigned lanes,
	struct err *e)
{
	unsigned i, aligned = 0, group, left;

	for (i = 0; i < lanes; i++)
		aligned += s[i]->bytes % 64 == 0;
	for (i = 0; i < lanes; i += group) {
		left = lanes - i;
		group = 1;
		if (!s[i]->kit->way[left]) {
			if (update_evp(s[i], data[i], n, e))
				return -1;
		} else if (aligned == lanes) {
			group = s[i]->kit->way[left]->lanes < left ? s[i]->kit->way[left]->lanes
								   : left;
			update_lockstep(s + i, data + i, n, group, s[i]->kit->way[left]);
		} else {
			update_one(s[i], data[i], n);
		}
	}
	return 0;
}

/* Digests the blocks of those pieces that have as many as the shortest of them, which advance. All are at a block boundary;
 * returns false where none has a block. */
static bool pieces_lockstep(struct sha256_piece *v, unsigned n)
{
	struct sha256 *s[SHA256_LANES];
	const void *p[SHA256_LANES];
	size_t least = SIZE_MAX;
	unsigned i, m = 0, k, group;

	for (i = 0; i < n; i++)
		if (v[i].n >= 64 && v[i].n / 64 * 64 < least)
			least = v[i].n / 64 * 64;
	for (i = 0; i < n; i++) {
		if (v[i].n < 64)
			continue;
		s[m] = v[i].s;
		p[m++] = v[i].p;
		v[i].p = (const uint8_t *)v[i].p + least;
		v[i].n -= least;
	}
	for (k = 0; k < m; k += group) {
		const struct sha256_way *w = s[k]->kit->way[m - k];

		group = w->lanes < m - k ? w->lanes : m - k;
		update_lockstep(s + k, p + k, least, group, w);
	}
	return m;
}

int sha256_pieces(const struct sha256_piece *pieces, unsigned n, struct err *e)
{
	struct sha256_piece v[SHA256_LANES];
	const uint8_t *p;
	unsigned i;

	for (i = 0; i < n; i++) {
		v[i] = pieces[i];
		if (!v[i].s->kit->way[1]) {
			if (update_evp(v[i].s, v[i].p, v[i].n, e))
				return -1;
			v[i].n = 0;
			continue;
		}
		p = v[i].p;
		fill_tail(v[i].s, &p, &v[i].n);
		v[i].p = p;
	}
	while (pieces_lockstep(v, n))
		;
	for (i = 0; i < n; i++)
		if (v[i].n)
			update_one(v[i].s, v[i].p, v[i].n);
	return 0;
}

int sha256_final(struct sha256 *s, uint8_t out[32], struct err *e)
{
	uint8_t pad[128] = { 0x80 };
	uint64_t bits = s->bytes * 8;
	size_t n = (s->bytes % 64 < 56 ? 56 : 120) - s->bytes % 64;
	unsigned i;

	if (s->evp) {
		if (EVP_DigestFinal_ex(s->evp, out, NULL) != 1) {
			sha256_free(s);
			return err_set(e, ERR_SYSTEM, "SHA-256 failed");
		}
		sha256_free(s);
		return 0;
	}
	for (i = 0; i < 8; i++)
		pad[n + i] = (uint8_t)(bits >> (56 - 8 * i));
	update_one(s, pad, n + 8);
	for (i = 0; i < 32; i++)
		out[i] = (uint8_t)(s->h[i / 4] >> (24 - 8 * (i % 4)));
	sha256_free(s);
	return 0;
}

void sha256_free(struct sha256 *s)
{
	EVP_MD_CTX_free(s->evp);
	memset(s, 0, sizeof *s);
}

int sha256_of(const void *p, size_t n, uint8_t out[32], struct err *e)
{
	if (EVP_Digest(p, n, out, NULL, EVP_sha256(), NULL) != 1)
		return err_set(e, ERR_SYSTEM, "SHA-256 failed");
	return 0;
}
