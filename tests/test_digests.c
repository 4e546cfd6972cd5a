/* test_digests.c -- what sidecars and manifest say of bytes is so; sources are held to published digests.
 *
 * SPDX-License-Identifier: MIT */
#include "formats/conversion/manifest.h"
#include "tests/model.h"

#define PRO "tests/golden/tiny-pro"
#define F3 "model-00003-of-00006.safetensors"
#define F4 "model-00004-of-00006.safetensors"

static bool hex_is(const json_t *v, const void *p, size_t n)
{
	struct xxh_digest d = xxh_of(p, n);
	char hex[33];

	hex_of(d.b, sizeof d.b, hex);
	return v && !strcmp(json_string_value(v), hex);
}

/* The bytes of a tensor of a file, by its header. */
static const uint8_t *tensor_of(const uint8_t *f, const char *name, size_t *n)
{
	unsigned long long len = 0, begin = 0, end = 0;
	char key[200];
	char *at;
	int i;

	for (i = 7; i >= 0; i--)
		len = len << 8 | f[i];
	snprintf(key, sizeof key, "\"%s\":", name);
	at = memmem(f + 8, len, key, strlen(key));
	if (!at ||
		sscanf(strstr(at, "data_offsets"), "data_offsets\":[%llu,%llu]", &begin, &end) != 2)
		return NULL;
	*n = end - begin;
	return f + 8 + len + begin;
}

/* Every digest of a sidecar: chunks, tensors, and the sources that it records. */
static size_t check_sidecar(const char *dir, const char *name)
{
	char side[128];
	json_t *o, *v, *src, *x;
	const uint8_t *p;
	uint8_t *f, *shard;
	size_t i, k, n, bytes, size, recorded = 0;

	snprintf(side, sizeof side, "%s%s", name, MAN_SIDECAR);
	o = load(dir, side);
	f = file_get_all(model_file(dir, name).s, &size);
	CHECK(json_array_size(json_object_get(o, "chunks_xxh3_128")) ==
		(size + MAN_CHUNK - 1) / MAN_CHUNK);
	json_array_foreach(json_object_get(o, "chunks_xxh3_128"), i, v)
	{
		bytes = size - i * MAN_CHUNK < MAN_CHUNK ? size - i * MAN_CHUNK : MAN_CHUNK;
		CHECK_IN(name, hex_is(v, f + i * MAN_CHUNK, bytes));
	}
	json_array_foreach(json_object_get(o, "tensors"), i, v)
	{
		p = tensor_of(f, json_string_value(json_object_get(v, "name")), &bytes);
		CHECK_IN(json_string_value(json_object_get(v, "name")),
			p && hex_is(json_object_get(v, "xxh3_128"), p, bytes));
		json_array_foreach(json_object_get(v, "sources"), k, src)
		{
			x = json_object_get(src, "xxh3_128");
			if (!x)
				continue;
			recorded++;
			shard = file_get_all(model_file(PRO,
						     json_string_value(json_object_get(src,
							     "shard")))
						     .s,
				&n);
			p = tensor_of(shard, json_string_value(json_object_get(src, "tensor")), &n);
			CHECK(p && hex_is(x, p, n));
			free(shard);
		}
	}
	free(f);
	json_decref(o);
	return recorded;
}

static void sidecar_digests(void)
{
	static const enum codec experts[] = { CODEC_MXFP4, CODEC_FP8 };
	struct path out = dirs_path("out");
	struct model_job j;
	size_t i;

	for (i = 0; i < 2; i++) {
		j = model_job("official", 2);
		j.plan.experts = experts[i];
		dirs_remove(out.s);
		CHECK(convert(&j, PRO, out.s));
		/* each source tensor is recorded once, by one of the two */
		CHECK(check_sidecar(out.s, "model0-mp2.safetensors") +
				check_sidecar(out.s, "model1-mp2.safetensors") ==
			295);
	}
}

/* A file of several chunks, the last one short. */
static void many_chunks(void)
{
	struct path m = dirs_path("m"), out = dirs_path("out");
	struct model_job j = model_job("official", 1);
	char args[700], hex[65];
	json_t *o, *v;
	uint8_t *f;
	size_t i, n, bytes;

	snprintf(args, sizeof args,
		"%s --config tests/configs/small4.json --set n_routed_experts=96", m.s);
	CHECK(!model_tool("mkmodel", args));
	dirs_remove(out.s);
	CHECK(convert(&j, m.s, out.s));
	o = load(out.s, "model0-mp1.safetensors" MAN_SIDECAR);
	f = file_get_all(model_file(out.s, "model0-mp1.safetensors").s, &n);
	CHECK(n > 2 * (size_t)MAN_CHUNK && n % MAN_CHUNK);
	CHECK(json_array_size(json_object_get(o, "chunks_xxh3_128")) == n / MAN_CHUNK + 1);
	json_array_foreach(json_object_get(o, "chunks_xxh3_128"), i, v)
	{
		bytes = n - i * MAN_CHUNK < MAN_CHUNK ? n - i * MAN_CHUNK : MAN_CHUNK;
		CHECK(hex_is(v, f + i * MAN_CHUNK, bytes));
	}
	digest_file(model_file(out.s, "model0-mp1.safetensors").s, hex);
	CHECK(!strcmp(json_string_value(json_object_get(json_object_get(o, "file"), "sha256")),
		hex));
	json_decref(o);
	free(f);
	dirs_remove(m.s);
}

/* --- the source --- */

static void put_list(const char *path, const char *dir, int skip, int spoil)
{
	FILE *f = fopen(path, "w");
	char name[64], hex[65];
	int i;

	fprintf(f, "# published digests\n\n");
	for (i = 1; i <= 6; i++) {
		if (i == skip)
			continue;
		snprintf(name, sizeof name, "model-%05d-of-00006.safetensors", i);
		digest_file(model_file(dir, name).s, hex);
		if (i == spoil)
			hex[5] = hex[5] == '0' ? '1' : '0';
		fprintf(f, "%s %c%s\n", hex, i % 2 ? ' ' : '*', name);
	}
	fprintf(f, "%064d  README.md\n", 0);
	fclose(f);
}

static void source_digests(void)
{
	static const char *const target[] = { "official", "hf" };
	struct path list = dirs_path("list.txt"), out = dirs_path("out"), lfs = dirs_new("lfs"),
		    plain = dirs_path("plain");
	struct model_job j;
	json_t *o, *s;
	char name[64], text[300], hex[65], said[16];
	struct stat st;
	size_t t;
	int i;

	for (t = 0; t < 2; t++) {
		j = model_job(target[t], 1);
		dirs_remove(plain.s);
		CHECK(convert(&j, PRO, plain.s));
		o = load(plain.s, MAN_NAME);
		CHECK(!strcmp(json_string_value(json_object_get(json_object_get(o, "source"),
				      "sha256")),
			"unverified"));
		json_decref(o);
		put_list(list.s, PRO, 0, 0);
		j.expected = list.s;
		dirs_remove(out.s);
		CHECK(convert(&j, PRO, out.s));
		CHECK(same_files(model_file(out.s, t ? F3 : "model0-mp1.safetensors").s,
			model_file(plain.s, t ? F3 : "model0-mp1.safetensors").s));
		o = load(out.s, MAN_NAME);
		s = json_object_get(o, "source");
		CHECK(!strcmp(json_string_value(json_object_get(s, "sha256")), "verified"));
		s = json_array_get(json_object_get(s, "shards"), 2);
		digest_file(PRO "/" F3, hex);
		CHECK(!strcmp(json_string_value(json_object_get(s, "sha256")), hex));
		json_decref(o);
		/* A wrong one, wherever it is: nothing stays. */
		for (i = 1; i <= 6; i++) {
			put_list(list.s, PRO, 0, i);
			dirs_remove(out.s);
			CHECK(fails_with(&j, PRO, out.s, "source.sha256"));
			CHECK(model_entries(out.s) == 0);
		}
		put_list(list.s, PRO, 3, 0);
		CHECK(fails_with(&j, PRO, out.s, "source.list"));
	}
	file_put_all(list.s, "not a digest\n", 13);
	CHECK(fails_with(&j, PRO, out.s, "source.list"));
	j.expected = dirs_path("nosuch").s;
	/* Pointers as git leaves them without lfs. */
	for (i = 1; i <= 6; i++) {
		snprintf(name, sizeof name, "model-%05d-of-00006.safetensors", i);
		digest_file(model_file(PRO, name).s, hex);
		CHECK(!stat(model_file(PRO, name).s, &st));
		snprintf(text, sizeof text,
			"version https://git-lfs.github.com/spec/v1\noid sha256:%s\nsize %lld\n",
			hex, (long long)st.st_size);
		model_put(lfs.s, name, text, strlen(text));
	}
	j.expected = lfs.s;
	dirs_remove(out.s);
	CHECK(convert(&j, PRO, out.s));
	snprintf(said, sizeof said, "size %lld", (long long)st.st_size);
	snprintf(text + (strstr(text, said) - text), 32, "size 7\n");
	model_put(lfs.s, name, text, strlen(text));
	CHECK(fails_with(&j, PRO, out.s, "source.size"));
	model_put(lfs.s, name, "{}", 2);
	CHECK(fails_with(&j, PRO, out.s, "source.list"));
}

static char renamed[64][64];
static size_t n_renamed;

/* Remembers every name that a file was given. */
static int watch_rename(const struct io *io, int dir, const char *from, const char *to)
{
	if (n_renamed < 64)
		snprintf(renamed[n_renamed++], sizeof *renamed, "%.60s", to);
	return io_posix()->rename(io, dir, from, to);
}

/* The digest of a shard is the only reader of its first byte by then: it is made the slower one. */
static ssize_t slow_start(const struct io *io, int fd, void *buf, size_t n, off_t at)
{
	if (at == 0 && n > 64)
		usleep(100000);
	return io_posix()->pread(io, fd, buf, n, at);
}

/* No file made of a false shard has its name for a moment. */
static void never_published(void)
{
	struct path list = dirs_path("list.txt"), out = dirs_path("out");
	struct model_job j = model_job("hf", 1);
	struct io io = *io_posix();
	char name[64];
	size_t k;
	int i;

	io.rename = watch_rename;
	io.pread = slow_start;
	j.io = &io;
	j.threads = 12; /* each file and each shard on its own */
	j.expected = list.s;
	for (i = 1; i <= 6; i++) {
		put_list(list.s, PRO, 0, i);
		snprintf(name, sizeof name, "model-%05d-of-00006.safetensors", i);
		dirs_remove(out.s);
		n_renamed = 0;
		CHECK(fails_with(&j, PRO, out.s, "source.sha256"));
		for (k = 0; k < n_renamed; k++)
			CHECK_IN(name, strcmp(renamed[k], name) != 0);
	}
}

/* clang-format off */
static const struct test tests[] = {
	{ "sidecar_digests", sidecar_digests },
	{ "many_chunks", many_chunks },
	{ "source_digests", source_digests },
	{ "never_published", never_published },
	{ 0 },
};
/* clang-format on */
TEST_MAIN(tests)
