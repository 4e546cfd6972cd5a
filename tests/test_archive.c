/* test_archive.c -- folders as archives: packed, unpacked; damage, tables and lists that lie, calls to the system that
 * fail.
 *
 * SPDX-License-Identifier: MIT */
#include "convert/pack/layout.h"
#include "core/file.h"
#include "core/hash/sha256.h"
#include "core/hash/xxh.h"
#include "formats/archive/listing.h"
#include "formats/archive/seek.h"
#include "tests/faultio.h"
#include "tests/fuzz/mutate.h"
#include "tests/fuzz/seek_check.h"
#include "tests/pack.h"
#include "tests/sanitized.h"

#include <glob.h>
#include <xxhash.h>
#include <zstd.h>

#define GOLDEN "tests/golden/tiny-flash"
#define SHARD "model-00002-of-00007.safetensors"

/* Any number of threads, twice into one folder, and back. */
static void there_and_back(void)
{
	struct path in = pack_folder(), a = dirs_gone("a"), b = dirs_gone("b"),
		    back = dirs_gone("back");

	CHECK(makes(pack_run, in.s, a.s, 1));
	CHECK(done.files == 13 && !done.kept && done.packed < done.bytes);
	CHECK(makes(pack_run, in.s, b.s, 3));
	CHECK(same(a.s, b.s));
	CHECK(makes(pack_run, in.s, b.s, 2));
	CHECK(done.kept == done.files);
	CHECK(same(a.s, b.s));
	CHECK(makes(unpack_run, a.s, back.s, 3));
	CHECK(same(in.s, back.s));
	CHECK(makes(unpack_run, a.s, back.s, 1));
	CHECK(done.kept == 13);
	CHECK(same(in.s, back.s));
}

/* zstd restores every file, and what it was not told of the seek table it does not need. */
static void stock_zstd(void)
{
	struct path in = pack_folder(), a = dirs_gone("stock");
	char line[2000];

	if (system("command -v zstd >/dev/null 2>&1"))
		SKIP("no zstd here");
	CHECK(makes(pack_run, in.s, a.s, 2));
	snprintf(line, sizeof line,
		"cd %s && rm " LISTING_NAME " && zstd -q -d -r --rm . >&2 && diff -r . %s >&2", a.s,
		in.s);
	CHECK(!system(line));
}

/* Frames of a safetensors file begin and end where tensors do. */
static void frames_of_tensors(void)
{
	struct path a = dirs_gone("frames");
	struct err e = { 0 };
	struct seek s;
	struct stat st;
	uint64_t header;
	size_t n, i;
	uint8_t *plain;
	int dir, fd;

	CHECK(makes(pack_run, GOLDEN, a.s, 2));
	plain = file_get_all(GOLDEN "/" SHARD, &n);
	memcpy(&header, plain, 8);
	CHECK(!file_open_dir(io_posix(), a.s, &dir, &e));
	CHECK(!file_open(io_posix(), dir, SHARD FILTER_ZST, &fd, &st, &e));
	CHECK(!seek_read(&s, io_posix(), fd, (uint64_t)st.st_size, &e));
	CHECK(s.n > 20 && s.v[0].bytes == 8 + header && s.bytes == n);
	for (i = 1; i < s.n; i++) {
		char word[60];
		unsigned long long end = s.v[i].from + s.v[i].bytes - 8 - header;

		/* the header has its end as that of a tensor, and every end is one: no frame has bytes of two */
		snprintf(word, sizeof word, ",%llu]", end);
		CHECK_IN(word, memmem(plain, 8 + header, word, strlen(word)));
	}
	CHECK(seek_find(&s, 0) == 0 && seek_find(&s, n - 1) == s.n - 1);
	CHECK(seek_find(&s, s.v[5].from) == 5 && seek_find(&s, s.v[5].from - 1) == 4);
	seek_free(&s);
	free(plain);
	close(fd);
	close(dir);
}

/* What random bytes become is larger by little, and zstd has them back. */
static void raw(void)
{
	static uint8_t p[1 << 20], back[1 << 20];
	static const size_t sizes[] = { 1, 2, 99, 255, 256, 131072, 131073, sizeof p };
	uint8_t *dst = malloc(frame_bound(sizeof p));
	struct frame_coder c = { 0 };
	uint32_t packed;
	size_t i;

	for (i = 0; i < sizeof p; i++)
		p[i] = (uint8_t)rnd64();
	for (i = 0; i < sizeof sizes / sizeof *sizes; i++) {
		CHECK(!frame_pack(&c, p, sizes[i], dst, &packed, NULL));
		CHECK(packed <= sizes[i] + 9 + 3 * (sizes[i] / 131072 + 1));
		CHECK(ZSTD_decompress(back, sizes[i], dst, packed) == sizes[i]);
		CHECK(!memcmp(p, back, sizes[i]));
	}
	frame_coder_free(&c);
	free(dst);
}

/* A flipped byte anywhere in a frame: file, frame and tensor are named, and nothing gets the file's name. */
static void damage(void)
{
	struct path a = dirs_gone("damage"), back = dirs_gone("damage-back"),
		    file = below(a.s, SHARD FILTER_ZST);
	size_t n, i;
	uint8_t *z;
	struct err e;

	CHECK(makes(pack_run, GOLDEN, a.s, 2));
	z = file_get_all(file.s, &n);
	for (i = 0; i < 20; i++) {
		size_t at = i ? rnd((uint32_t)n - 4000) : 100;

		z[at] ^= 16;
		file_put_all(file.s, z, n);
		z[at] ^= 16;
		CHECK(go_on(io_posix(), unpack_run, a.s, back.s, 2, &e));
		CHECK_IN(e.text, e.rule && !strcmp(e.rule, "archive.frame"));
		CHECK_IN(e.text, strstr(e.text, SHARD) && strstr(e.text, ": frame "));
		CHECK_IN(e.text,
			strstr(e.text, i ? ": tensor layers." : ": the header: ") ||
				strstr(e.text, ": the header: "));
		CHECK(!is_file(below(back.s, SHARD).s));
		CHECK(is_file(below(back.s, "config.json").s));
	}
	file_put_all(file.s, z, n);
	CHECK(makes(unpack_run, a.s, back.s, 2));
	CHECK(same(GOLDEN, back.s));
	free(z);
}

/* Reads the table of a file of these bytes. */
static int table(const uint8_t *p, size_t n, struct seek *s, int *fd, struct err *e)
{
	struct path a = dirs_path("table");

	file_put_all(a.s, p, n);
	*fd = open(a.s, O_RDONLY);
	memset(e, 0, sizeof *e);
	if (!seek_read(s, io_posix(), *fd, n, e))
		return 0;
	CHECK(!s->v && !s->n && !s->bytes);
	return -1;
}

/* Every bit of a table and of its frame changed, and every length cut off: refused, or what is restored is as it was. */
static void tables(void)
{
	uint8_t p[600], *out = malloc(FRAME_MOST), *room = malloc(frame_bound(FRAME_MOST));
	struct frame_coder c = { 0 };
	struct text t = { 0 }, gap = { 0 };
	struct seek_frame f = { .bytes = sizeof p };
	struct err e = { 0 };
	struct seek s;
	size_t i, bit;
	int fd;

	memset(p, 'a', sizeof p);
	p[7] = 'b';
	f.sum = frame_sum(p, sizeof p);
	CHECK(!frame_pack(&c, p, sizeof p, room, &f.packed, &e));
	text_put(&t, room, f.packed);
	seek_put(&t, &f, 1);
	for (i = 0; i < t.n; i++) {
		CHECK(table((const uint8_t *)t.s, i, &s, &fd, &e) &&
			!strcmp(e.rule, "archive.table"));
		close(fd);
	}
	/* bytes that no frame has */
	text_put(&gap, "x", 1);
	text_put(&gap, t.s, t.n);
	CHECK(table((const uint8_t *)gap.s, gap.n, &s, &fd, &e) &&
		!strcmp(e.rule, "archive.table"));
	close(fd);
	for (i = 0; i < 8 * t.n; i++) {
		bit = i % 8;
		t.s[i / 8] = (char)(t.s[i / 8] ^ 1 << bit);
		if (!table((const uint8_t *)t.s, t.n, &s, &fd, &e)) {
			if (!seek_load(&s, 0, io_posix(), fd, &c, room, out, &e))
				CHECK(s.v[0].bytes == sizeof p && !memcmp(out, p, sizeof p));
			else
				CHECK(!strcmp(e.rule, "archive.frame"));
			seek_free(&s);
		}
		close(fd);
		t.s[i / 8] = (char)(t.s[i / 8] ^ 1 << bit);
	}
	frame_coder_free(&c);
	text_free(&t);
	text_free(&gap);
	free(out);
	free(room);
}

/* A file with one frame of any bytes, whose table says that it restores n bytes. */
static int load_frame(const void *frame, size_t packed, uint32_t n, const void *sum_of, size_t k,
	struct err *e)
{
	uint8_t *out = malloc(FRAME_MOST), *room = malloc(frame_bound(FRAME_MOST));
	struct seek_frame f = { .packed = (uint32_t)packed, .bytes = n };
	struct frame_coder c = { 0 };
	struct text t = { 0 };
	struct seek s;
	int fd, rc;

	f.sum = (uint32_t)XXH64(sum_of, k, 0);
	text_put(&t, frame, packed);
	seek_put(&t, &f, 1);
	rc = table((const uint8_t *)t.s, t.n, &s, &fd, e);
	if (!rc) {
		rc = seek_load(&s, 0, io_posix(), fd, &c, room, out, e);
		seek_free(&s);
	}
	close(fd);
	frame_coder_free(&c);
	text_free(&t);
	free(out);
	free(room);
	return rc;
}

/* Frames that zstd would decode, or try to, and that no archive has: sizes that lie, bombs, dictionaries, windows,
 * several frames, skippable ones, none at all. */
static void hostile_frames(void)
{
	static uint8_t zeros[64 << 20];
	size_t cap = ZSTD_compressBound(sizeof zeros), n, k;
	uint8_t *z = malloc(cap);
	ZSTD_CCtx *c = ZSTD_createCCtx();
	struct err e;

	n = ZSTD_compress(z, cap, zeros, 1000, 1);
	CHECK(!load_frame(z, n, 1000, zeros, 1000, &e));
	/* it says 1000 and the table another length */
	CHECK(load_frame(z, n, 999, zeros, 999, &e) && !strcmp(e.rule, "archive.frame"));
	CHECK(load_frame(z, n, 1001, zeros, 1001, &e) && !strcmp(e.rule, "archive.frame"));
	CHECK(load_frame(z, n, FRAME_MOST, zeros, FRAME_MOST, &e));
	CHECK(load_frame(z, n, FRAME_MOST + 1, zeros, FRAME_MOST + 1, &e) &&
		!strcmp(e.rule, "archive.table"));
	CHECK(load_frame(z, n, 0, zeros, 0, &e) && !strcmp(e.rule, "archive.table"));
	/* cut off, and with bytes behind it */
	CHECK(load_frame(z, n - 1, 1000, zeros, 1000, &e) && !strcmp(e.rule, "archive.frame"));
	z[n] = 0;
	CHECK(load_frame(z, n + 1, 1000, zeros, 1000, &e) && !strcmp(e.rule, "archive.frame"));
	/* a skippable frame behind it, which zstd would pass over */
	memcpy(z + n, "\x50\x2A\x4D\x18\0\0\0\0", 8);
	CHECK(load_frame(z, n + 8, 1000, zeros, 1000, &e) && !strcmp(e.rule, "archive.frame"));
	/* a bomb: 64 MiB in some thousand bytes, by a table that says 4 MiB */
	k = ZSTD_compress(z, cap, zeros, sizeof zeros, 1);
	CHECK(k < 16 << 10 && load_frame(z, k, FRAME_MOST, zeros, FRAME_MOST, &e));
	/* two frames that have the right length together */
	n = ZSTD_compress(z, cap, zeros, 500, 1);
	n += ZSTD_compress(z + n, cap - n, zeros, 500, 1);
	CHECK(load_frame(z, n, 1000, zeros, 1000, &e) && !strcmp(e.rule, "archive.frame"));
	/* no content size */
	ZSTD_CCtx_setParameter(c, ZSTD_c_contentSizeFlag, 0);
	n = ZSTD_compress2(c, z, cap, zeros, 1000);
	CHECK(load_frame(z, n, 1000, zeros, 1000, &e) && !strcmp(e.rule, "archive.frame"));
	/* of a dictionary: the descriptor says so, four bytes name it */
	n = ZSTD_compress(z, cap, zeros, 1000, 1);
	memmove(z + 9, z + 5, n - 5);
	z[4] |= 3;
	memset(z + 5, 1, 4);
	CHECK(load_frame(z, n + 4, 1000, zeros, 1000, &e) && !strcmp(e.rule, "archive.frame"));
	/* a skippable frame, and bytes that are no frame */
	memcpy(z, "\x50\x2A\x4D\x18\x04\0\0\0abcd", 12);
	CHECK(load_frame(z, 12, 12, zeros, 12, &e) && !strcmp(e.rule, "archive.frame"));
	memset(z, 0xB5, 100);
	CHECK(load_frame(z, 100, 100, zeros, 100, &e) && !strcmp(e.rule, "archive.frame"));
	ZSTD_freeCCtx(c);
	free(z);
}

/* A table of so many frames as the file has room for, which is nothing but zeros, or of one too many. */
static void hostile_tables(void)
{
	struct path a = dirs_path("sparse");
	struct text t = { 0 };
	struct err e = { 0 };
	struct seek s;
	uint32_t counts[] = { 0xFFFFFFFF, SEEK_MOST + 1, SEEK_MOST, 1 }, head[2];
	size_t i;
	int fd = open(a.s, O_RDWR | O_CREAT | O_TRUNC, 0666);

	for (i = 0; i < sizeof counts / sizeof *counts; i++) {
		uint64_t size = (uint64_t)1 << 40, at = 17 + (uint64_t)counts[i] * 12;
		uint8_t foot[9] = { (uint8_t)counts[i], (uint8_t)(counts[i] >> 8),
			(uint8_t)(counts[i] >> 16), (uint8_t)(counts[i] >> 24), 0x80, 0xB1, 0xEA,
			0x92, 0x8F };

		CHECK(!ftruncate(fd, 0) && !ftruncate(fd, (off_t)size));
		head[0] = 0x184D2A5E;
		head[1] = counts[i] * 12 + 9;
		CHECK(pwrite(fd, head, 8, (off_t)(size - at)) == 8);
		CHECK(pwrite(fd, foot, 9, (off_t)(size - 9)) == 9);
		memset(&e, 0, sizeof e);
		CHECK(seek_read(&s, io_posix(), fd, size, &e));
		CHECK_IN(e.text, e.rule && !strcmp(e.rule, "archive.table"));
	}
	close(fd);
	unlink(a.s);
	text_free(&t);
}

/* What the fuzzer checks, of its corpus and of random damage to it. */
static void damaged_at_random(void)
{
	struct dice d = { check_seed };
	size_t n, i, k;
	const char *bad;
	uint8_t *p;
	glob_t g;

	CHECK(!glob("tests/fuzz/corpus-seek/*", 0, NULL, &g) && g.gl_pathc >= 8);
	for (i = 0; i < g.gl_pathc; i++) {
		p = file_get_all(g.gl_pathv[i], &n);
		bad = seek_check_input(p, n);
		CHECK_IN(g.gl_pathv[i], !bad);
		free(p);
		for (k = 0; k < (SANITIZED ? 40 : 200); k++) {
			p = file_get_all(g.gl_pathv[i], &n);
			n = mutate_bytes(&d, &p, n);
			if (k % 3 == 0)
				n = mutate_bytes(&d, &p, n);
			bad = seek_check_input(p, n);
			CHECK_IN(bad ? bad : "", !bad);
			free(p);
		}
	}
	globfree(&g);
}

/* --- lists --- */

/* clang-format off */
static const struct {
	const char *was, *is, *rule, *word;
} list_cases[] = {
	{ "\"config.json\"", "\"../config.json\"", "archive.list", "no path below" },
	{ "\"config.json\"", "\"/config.json\"", "archive.list", "no path below" },
	{ "\"config.json\"", "\"a//config.json\"", "archive.list", "no path below" },
	{ "\"config.json\"", "\".\"", "archive.list", "no path below" },
	{ "\"config.json\"", "\"\"", "archive.list", "no path below" },
	{ "\"config.json\"", "\"a\\n\"", "archive.list", "no path below" },
	{ "\"config.json\"", "\"a/b/c/d/e/f/g/h/i/j\"", "archive.list", "no path below" },
	{ "\"config.json\"", "\"a\\u0000\"", "archive.list", "NUL" },
	{ "\"config.json\"", "\"there/config.json\"", "archive.list", "stands behind" },
	{ "\"config.json\"", "\"model-00001-of-00007.safetensors\"", "archive.list", "stands behind" },
	{ "\"config.json\"", "\"a/config.json\"", "archive.list", "is not listed" },
	{ "\"folders\": []", "\"folders\": [\"config.json\"]", "archive.list", "a file and a folder" },
	{ "\"folders\": []", "\"folders\": [\"b\", \"a\"]", "archive.list", "stands behind" },
	{ "\"folders\": []", "\"folders\": [\"b/c\"]", "archive.list", "is not listed" },
	{ "\"folders\": []", "\"folders\": [\"..\"]", "archive.list", "no path below" },
	{ "\"folders\": []", "\"folders\": [1]", "archive.list", "" },
	{ "\"folders\": []", "\"folders\": {}", "archive.list", "" },
	{ "\"format\": \"dsv4-archive-1\"", "\"format\": \"dsv4-archive-2\"", "archive.list", "its filters do not agree" },
	{ "\"format\": \"dsv4-archive-1\"", "\"format\": \"dsv4-archive-3\"", "archive.list", "dsv4-archive-3" },
	{ "\"bytes\": 1602", "\"bytes\": 1602, \"filter\": \"none\"", "archive.list", "its filters do not agree" },
	{ "\"bytes\": 1602", "\"bytes\": 1602, \"filter\": \"e8m0\"", "archive.list", "its filters do not agree" },
	{ "\"bytes\": 1602", "\"bytes\": 1602, \"filter\": \"e5m0\"", "archive.list", "e5m0" },
	{ "\"level\": 1", "\"levels\": 1", "archive.list", "does not belong" },
	{ "\"level\": 1", "\"level\": -1", "archive.list", "" },
	{ "\"bytes\": 1602", "\"bytes\": 1603", "archive.table", "1603" },
	{ "\"bytes\": 1602", "\"bytes\": 9007199254740992", "archive.list", "" },
	{ "\"bytes\": 1602, \"name\": \"config.json\", \"sha256\": \"1b", "\"bytes\": 1602, \"name\": \"config.json\", \"sha256\": \"1c", "archive.sha256", "config.json" },
	{ "\"name\": \"config.json\"", "\"name\": \"config.yaml\"", "archive.other", "config.yaml.zst is not there" },
};
/* clang-format on */

static void lists(void)
{
	struct path a = dirs_gone("listed"), work, back;
	size_t i, n;
	uint8_t *p;

	CHECK(makes(pack_run, GOLDEN, a.s, 2));
	for (i = 0; i < sizeof list_cases / sizeof *list_cases; i++) {
		work = dirs_copy("list-case", a.s);
		pack_put_list(work.s, list_cases[i].was, list_cases[i].is);
		back = dirs_gone("list-back");
		CHECK_IN(list_cases[i].is,
			refuses(unpack_run, work.s, back.s, list_cases[i].rule,
				list_cases[i].word));
		CHECK_IN(list_cases[i].is, !is_file(below(back.s, "config.json").s));
	}
	/* any byte of the list changed, or its end cut off */
	p = file_get_all(below(a.s, LISTING_NAME).s, &n);
	for (i = 0; i < n; i += 37) {
		p[i] ^= 1;
		file_put_all(below(work.s, LISTING_NAME).s, p, n);
		p[i] ^= 1;
		CHECK(refuses(unpack_run, work.s, dirs_gone("list-back").s, "archive.list", ""));
		file_put_all(below(work.s, LISTING_NAME).s, p, i);
		CHECK(refuses(unpack_run, work.s, dirs_gone("list-back").s, "archive.list", ""));
	}
	free(p);
}

/* The same pack again keeps the files, and no list that says something else of them. */
static void other_lists(void)
{
	static const struct {
		const char *was, *is;
	} cases[] = {
		{ "\"inference/empty\"", "\"inference/emptz\"" },
		{ "\"bytes\": 1602", "\"bytes\": 1603" },
		{ "\"archive\": {\"bytes\": ", "\"archive\": {\"bytes\": 1" },
		{ "\"sha256\": \"1b", "\"sha256\": \"1c" },
	};
	struct path in = pack_folder(), a = dirs_gone("other-list"), work;
	char was[80], is[80], name[1200], *hit;
	uint8_t *p;
	size_t i, n;

	CHECK(makes(pack_run, in.s, a.s, 2));
	for (i = 0; i < sizeof cases / sizeof *cases; i++) {
		work = dirs_copy("list-case", a.s);
		pack_put_list(work.s, cases[i].was, cases[i].is);
		CHECK_IN(cases[i].is,
			refuses(pack_run, in.s, work.s, "archive.other", "says something else"));
	}
	/* the digest of the first file of the archive, which depends on the version of libzstd */
	p = file_get_all(below(a.s, LISTING_NAME).s, &n);
	hit = p ? memmem(p, n, "\"sha256\": \"", 11) : NULL;
	CHECK(hit);
	if (hit) {
		snprintf(was, sizeof was, "%.75s", hit);
		snprintf(is, sizeof is, "%.11s%064d", was, 0);
		work = dirs_copy("list-case", a.s);
		pack_put_list(work.s, was, is);
		CHECK(refuses(pack_run, in.s, work.s, "archive.other", "says something else"));
		/* unpack holds what is restored, and not that digest (docs/archive.md) */
		CHECK(makes(unpack_run, work.s, dirs_gone("back").s, 2));
		/* As it says: the file is removed, made again, and the list is as it was. That is how a file that was
		 * lost is made again by another version of libzstd. */
		CHECK(refuses(pack_run, in.s, work.s, "archive.other", "remove"));
		snprintf(name, sizeof name, "rm '%s'/config.json.zst", work.s);
		CHECK(!system(name));
		CHECK(makes(pack_run, in.s, work.s, 2) && same(a.s, work.s));
	}
	free(p);
	pack_put_list(a.s, "\"tool\": \"test 0\"", "\"tool\": \"test 1\"");
	CHECK(makes(pack_run, in.s, a.s, 2));
}

/* Folders that hold something else, files that are there and are other ones, half an archive. */
static void refused(void)
{
	struct path a = dirs_gone("refused"), b = dirs_new("foreign"), in = pack_folder(),
		    back = dirs_gone("none");
	uint8_t *p;
	size_t n;

	CHECK(makes(pack_run, in.s, a.s, 2));
	/* of another source */
	CHECK(refuses(pack_run, GOLDEN, a.s, "archive.other", "inference"));
	file_put_all(below(in.s, "config.json").s, "{}", 2);
	CHECK(refuses(pack_run, in.s, a.s, "archive.other", "config.json"));
	p = file_get_all(GOLDEN "/config.json", &n);
	p[n / 2] ^= 1;
	file_put_all(below(in.s, "config.json").s, p, n);
	CHECK(refuses(pack_run, in.s, a.s, "archive.other", "config.json"));
	free(p);
	/* neither a folder of others nor an archive is packed into, or packed */
	file_put_all(below(b.s, "letter.txt").s, "x", 1);
	CHECK(refuses(pack_run, GOLDEN, b.s, "archive.other", "letter.txt"));
	CHECK(refuses(pack_run, a.s, dirs_gone("twice").s, "archive.other", "packed already"));
	CHECK(refuses(pack_run, dirs_new("nothing").s, dirs_gone("twice").s, "archive.other",
		"is empty"));
	CHECK(refuses(pack_run, a.s, a.s, NULL, "the folder that is read"));
	CHECK(refuses(pack_run, in.s, below(in.s, "inference/sub").s, NULL, "lies in the folder"));
	CHECK(!is_file(below(in.s, "inference/sub").s));
	CHECK(refuses(unpack_run, GOLDEN, back.s, "archive.unfinished", "no archive"));
	/* half an archive */
	file_put_all(below(a.s, "plain.json").s, "{}", 2);
	CHECK(refuses(unpack_run, a.s, back.s, "archive.other", "plain.json is there"));
	unlink(below(a.s, "plain.json").s);
	CHECK(!rename(below(a.s, "config.json.zst").s, below(a.s, "config.json").s));
	CHECK(refuses(unpack_run, a.s, back.s, "archive.other", "config.json.zst is not there"));
	CHECK(!rename(below(a.s, "config.json").s, below(a.s, "config.json.zst").s));
	CHECK(makes(unpack_run, a.s, back.s, 2));
	/* what is there already, and is not the same */
	file_put_all(below(back.s, "inference/.hidden").s, "i", 1);
	CHECK(refuses(unpack_run, a.s, back.s, "archive.other", "hidden"));
	file_put_all(below(back.s, "inference/.hidden").s, "hh", 2);
	CHECK(refuses(unpack_run, a.s, back.s, "archive.other", "hidden"));
	unlink(below(a.s, LISTING_NAME).s);
	CHECK(refuses(unpack_run, a.s, back.s, "archive.unfinished", "did not end"));
	/* links, and what is no file */
	CHECK(!symlink("config.json", below(in.s, "link").s));
	CHECK(refuses(pack_run, in.s, dirs_gone("twice").s, "file.symlink", "link"));
	unlink(below(in.s, "link").s);
	CHECK(!mkfifo(below(in.s, "fifo").s, 0666));
	CHECK(refuses(pack_run, in.s, dirs_gone("twice").s, "file.not-regular", "fifo"));
}

/* A snapshot of the hub's cache is packed as what it holds, and held to the names of its blobs. */
static void snapshot(void)
{
	struct path p = dirs_new("hub"), back = dirs_gone("hub-back");
	char line[3000];

	snprintf(line, sizeof line,
		"cd %s && mkdir -p blobs snapshots/r/sub && printf abc >f && "
		"h=$(sha256sum <f | cut -d' ' -f1) && mv f blobs/$h && "
		"ln -s ../../blobs/$h snapshots/r/x.bin && ln -s ../../../blobs/$h snapshots/r/sub/y.bin",
		p.s);
	CHECK(!system(line));
	CHECK(makes(pack_run, below(p.s, "snapshots/r").s, below(p.s, "packed").s, 2));
	CHECK(makes(unpack_run, below(p.s, "packed").s, back.s, 2));
	CHECK(same_files(below(back.s, "sub/y.bin").s, below(back.s, "x.bin").s));
	snprintf(line, sizeof line, "cd %s/blobs && for f in *; do printf abd >$f; done", p.s);
	CHECK(!system(line));
	CHECK(refuses(pack_run, below(p.s, "snapshots/r").s, dirs_gone("hub-2").s, "source.blob",
		"blob"));
}

/* --- calls to the system that fail --- */

/* Whether every file under a final name of the folder restores what it should: no list without all files. */
static void check_what_is_there(const char *what, const char *want, const char *out, bool back)
{
	char line[2600];

	snprintf(line, sizeof line,
		"cd %s && find . -type f ! -name '.*.part' | while read -r f; do cmp -s $f %s/$f || exit 1; done",
		out, want);
	CHECK_IN(what, !system(line));
	if (!back && is_file(below(out, LISTING_NAME).s)) {
		snprintf(line, sizeof line, "diff -r -x '.*.part' %s %s >/dev/null", out, want);
		CHECK_IN(what, !system(line));
	}
}

/* The n-th call fails, or it and all behind it, as when the process is killed; what lies under a final name is whole, and the
 * same call again ends as one that was never disturbed. */
static void fail_at(way_fn *way, const char *from, const char *want, uint64_t at, bool forever)
{
	struct path out = dirs_gone("faulty");
	struct faultio f;
	char what[80];
	struct err e;
	int rc;

	faultio_make(&f);
	f.op = IO_ANY;
	f.at = at;
	f.forever = forever;
	f.error = EIO;
	snprintf(what, sizeof what, "%s, call %llu%s",
		way == pack_run             ? "pack"
			: way == unpack_run ? "unpack"
					    : "layout",
		(unsigned long long)at, forever ? " and all behind it" : "");
	rc = go_on(&f.io, way, from, out.s, 1, &e);
	CHECK_IN(what, !f.early && !f.again);
	if (rc)
		CHECK_IN(what, err_exit_code(&e) == 2);
	if (is_file(out.s))
		check_what_is_there(what, want, out.s, way == unpack_run);
	if (way != layout_run || !is_file(below(out.s, "index.json").s))
		CHECK_IN(what, makes(way, from, out.s, 2)); /* a finished layout is not touched */
	CHECK_IN(what, same(out.s, want));
}

static void faults(void)
{
	struct path in = dirs_new("small"), a = dirs_gone("small-packed"),
		    back = dirs_gone("small-back"), lay = dirs_gone("small-layout");
	struct faultio f;
	uint64_t n, i, step = getenv("EVERY") ? 1 : SANITIZED ? 11 : 3;
	struct err e;

	file_put_all(below(in.s, "a").s, "aaaa", 4);
	CHECK(!mkdir(below(in.s, "d").s, 0777));
	file_put_all(below(in.s, "d/b").s, "bb", 2);
	CHECK(makes(pack_run, in.s, a.s, 1));
	faultio_make(&f);
	CHECK(!go_on(&f.io, pack_run, in.s, dirs_gone("faulty").s, 1, &e));
	n = f.calls[IO_ANY];
	CHECK(n > 30 && !f.early && !f.loose && !f.strange);
	for (i = 1 + rnd((uint32_t)step); i <= n; i += step) {
		fail_at(pack_run, in.s, a.s, i, false);
		fail_at(pack_run, in.s, a.s, i, true);
	}
	CHECK(makes(layout_run, in.s, lay.s, 1));
	faultio_make(&f);
	CHECK(!go_on(&f.io, layout_run, in.s, dirs_gone("faulty").s, 1, &e));
	CHECK(!f.early && !f.loose && !f.strange);
	n = f.calls[IO_ANY];
	for (i = 1 + rnd((uint32_t)step); i <= n; i += step)
		fail_at(layout_run, in.s, lay.s, i, false);
	faultio_make(&f);
	CHECK(!go_on(&f.io, unpack_run, a.s, back.s, 1, &e));
	n = f.calls[IO_ANY];
	CHECK(n > 30 && !f.early && !f.loose && !f.strange);
	for (i = 1 + rnd((uint32_t)step); i <= n; i += step) {
		fail_at(unpack_run, a.s, in.s, i, false);
		fail_at(unpack_run, a.s, in.s, i, true);
	}
}

/* Told to stop, it says that the same call goes on. */
static void stop(void)
{
	static volatile sig_atomic_t now = 1;
	struct path out = dirs_gone("stopped");
	struct pack_opts o = { .io = io_posix(),
		.dir = GOLDEN,
		.out = out.s,
		.tool = "test 0",
		.threads = 2,
		.stop = &now };
	struct err e = { 0 };

	CHECK(pack_run(&done, &o, &e) && e.kind == ERR_SYSTEM);
	CHECK_IN(e.text, strstr(e.text, "goes on"));
	CHECK(makes(pack_run, GOLDEN, out.s, 2));
}

static const struct test tests[] = {
	{ "there_and_back", there_and_back },
	{ "stock_zstd", stock_zstd },
	{ "frames_of_tensors", frames_of_tensors },
	{ "raw", raw },
	{ "damage", damage },
	{ "tables", tables },
	{ "hostile_frames", hostile_frames },
	{ "hostile_tables", hostile_tables },
	{ "damaged_at_random", damaged_at_random },
	{ "lists", lists },
	{ "other_lists", other_lists },
	{ "refused", refused },
	{ "snapshot", snapshot },
	{ "faults", faults },
	{ "stop", stop },
	{ NULL, NULL },
};
TEST_MAIN(tests)
