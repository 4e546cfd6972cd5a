/* SPDX-License-Identifier: MIT */
#include "formats/version_text.h"

#include "core/cpu.h"
#include "core/hash/sha256.h"
#include "core/version.h"
#include "formats/format_id.h"
#include "formats/json/jwrite.h"

#include <jansson.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <string.h>
#include <xxhash.h>

static const struct {
	unsigned feature;
	const char *name;
} features[] = { { CPU_SHA, "SHA-NI" }, { CPU_AVX2, "AVX2" }, { CPU_FMA, "FMA" },
	{ CPU_AVX512, "AVX-512" } };
enum { FEATURES = sizeof features / sizeof *features };

/* "1+ streams sha-ni, 9+ streams avx-512 x16" */
static void put_sha256(struct text *t, const struct sha256_kit *kit)
{
	unsigned n;

	for (n = 1; n <= SHA256_LANES; n++)
		if (n == 1 || kit->way[n] != kit->way[n - 1])
			text_fmt(t, "%s%u+ streams %s", n > 1 ? ", " : "", n,
				kit->way[n] ? kit->way[n]->name : "openssl");
}

static void put_json(struct text *out, const char *tool, const struct version_way *ways,
	const char *sha256)
{
	char xxhash[16];
	struct jwrite o;
	unsigned f = cpu_features(), i;

	snprintf(xxhash, sizeof xxhash, "%u", XXH_versionNumber());
	jwrite_begin(&o, out, 2);
	jwrite_open(&o, NULL, '{');
	jwrite_str(&o, "compiler", __VERSION__);
	jwrite_str(&o, "format", FORMAT_VERSION_JSON);
	jwrite_open(&o, "libraries", '{');
	jwrite_str(&o, "jansson", jansson_version_str());
	jwrite_str(&o, "openssl", OpenSSL_version(OPENSSL_VERSION));
	jwrite_str(&o, "xxhash", xxhash);
	jwrite_close(&o, '}');
	jwrite_open(&o, "processor", '[');
	for (i = 0; i < FEATURES; i++)
		if (f & features[i].feature)
			jwrite_str(&o, NULL, features[i].name);
	jwrite_close(&o, ']');
	jwrite_u64(&o, "processors", cpu_count());
	jwrite_str(&o, "tool", tool);
	jwrite_str(&o, "version", DSV4_VERSION);
	jwrite_open(&o, "ways", '{');
	for (; ways && ways->thing; ways++)
		jwrite_str(&o, ways->thing, ways->way);
	jwrite_str(&o, "SHA-256", sha256);
	jwrite_close(&o, '}');
	jwrite_close(&o, '}');
}

static void put_text(struct text *out, const char *tool, const struct version_way *ways,
	const char *sha256)
{
	unsigned f = cpu_features(), i;

	text_fmt(out, "%s %s\ncompiler: %s\n", tool, DSV4_VERSION, __VERSION__);
	text_fmt(out, "libraries: %s, jansson %s, xxHash %u\nprocessor:",
		OpenSSL_version(OPENSSL_VERSION), jansson_version_str(), XXH_versionNumber());
	for (i = 0; i < FEATURES; i++)
		if (f & features[i].feature)
			text_fmt(out, " %s", features[i].name);
	text_fmt(out, "%s\nprocessors that it may use: %u\nSHA-256: %s\n",
		f ? "" : " no fast paths", cpu_count(), sha256);
	for (; ways && ways->thing; ways++)
		text_fmt(out, "%s: %s\n", ways->thing, ways->way);
}

void version_put(struct text *out, const char *tool, const struct version_way *ways, bool json)
{
	struct sha256_kit kit;
	struct text sha256 = { 0 };

	sha256_kit_best(&kit, cpu_features());
	put_sha256(&sha256, &kit);
	if (sha256.failed)
		out->failed = true;
	else
		(json ? put_json : put_text)(out, tool, ways, sha256.s);
	text_free(&sha256);
}
