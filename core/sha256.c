/* SPDX-License-Identifier: MIT */
#include "core/sha256.h"

#include "core/cpu.h"

#include <openssl/evp.h>
#include <string.h>

static const uint32_t initial[8] = { 0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f,
	0x9b05688c, 0x1f83d9ab, 0x5be0cd19 }; /* FIPS 180-4, 5.3.3 */

const struct sha256_impl sha256_impls[] = {
	{ "sha-ni, 4 streams", CPU_SHA, sha256_blocks_shani },
	{ "openssl evp", 0, NULL },
	{ NULL, 0, NULL },
};

const struct sha256_impl *sha256_best(unsigned features)
{
	const struct sha256_impl *i = sha256_impls;

	while ((i->need & ~features) != 0)
		i++;
	return i;
}

int sha256_init(struct sha256 *s, const struct sha256_impl *impl, struct err *e)
{
	memset(s, 0, sizeof *s);
	s->impl = impl;
	memcpy(s->h, initial, sizeof s->h);
	if (impl->blocks)
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
		s->impl->blocks(&s->h, &block, 1, 1);
}

static void update_one(struct sha256 *s, const uint8_t *p, size_t n)
{
	fill_tail(s, &p, &n);
	if (n >= 64)
		s->impl->blocks(&s->h, &p, n / 64, 1);
	memcpy(s->tail, p + n / 64 * 64, n % 64);
	s->bytes += n;
}

/* All streams are at a block boundary. */
static void update_lockstep(struct sha256 *const *s, const void *const *data, size_t n,
	unsigned lanes)
{
	uint32_t h[SHA256_LANES][8];
	const uint8_t *p[SHA256_LANES];
	unsigned i;

	for (i = 0; i < lanes; i++) {
		memcpy(h[i], s[i]->h, sizeof h[i]);
		p[i] = data[i];
	}
	s[0]->impl->blocks(h, p, n / 64, lanes);
	for (i = 0; i < lanes; i++) {
		memcpy(s[i]->h, h[i], sizeof h[i]);
		memcpy(s[i]->tail, p[i] + n / 64 * 64, n % 64);
		s[i]->bytes += n;
	}
}

int sha256_update(struct sha256 *const *s, const void *const *data, size_t n, unsigned lanes,
	struct err *e)
{
	unsigned i, aligned = 0, group;

	for (i = 0; i < lanes; i++)
		aligned += s[i]->bytes % 64 == 0;
	for (i = 0; i < lanes; i += group) {
		group = 1;
		if (!s[i]->impl->blocks) {
			if (update_evp(s[i], data[i], n, e))
				return -1;
		} else if (aligned == lanes) {
			group = lanes - i < SHA256_LANES ? lanes - i : SHA256_LANES;
			update_lockstep(s + i, data + i, n, group);
		} else {
			update_one(s[i], data[i], n);
		}
	}
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
