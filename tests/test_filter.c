/* test_filter.c -- archives whose scales are filtered (pack --filter e8m0): the form of planes, frames of it, what stock
 * zstd says of them, lists, damage, and what may not be mixed.
 *
 * SPDX-License-Identifier: MIT */
#include "core/file.h"
#include "formats/archive/rowbase.h"
#include "formats/archive/seek.h"
#include "tests/fuzz/mutate.h"
#include "tests/fuzz/seek_check.h"
#include "tests/pack.h"
#include "tests/sanitized.h"

#include <math.h>
#include <zstd.h>

#define GOLDEN "tests/golden/tiny-flash"
#define SHARD "model-00002-of-00007.safetensors"
#define PACKED SHARD FILTER_ZST_E8M0

static const char *tools(void)
{
	return getenv("B") ? getenv("B") : "build/gcc-opt";
}

/* --- forms --- */

/* A plane comes back from its form, which is not longer than it may be; cut off, or with a byte behind it, it is none. */
static void there_and_back_form(const uint8_t *p, size_t n, uint32_t row)
{
	uint8_t *form = malloc(rowbase_bound(n) + 1), *back = malloc(n);
	struct rowbase parts;
	size_t k, i;

	rowbase_pack(p, n, row, form, &parts);
	k = parts.end[parts.n - 1];
	CHECK(parts.n && parts.n <= ROWBASE_PARTS && k <= rowbase_bound(n));
	for (i = 1; i < parts.n; i++)
		CHECK(parts.end[i - 1] < parts.end[i]);
	memset(back, 0xA5, n);
	CHECK(rowbase_unpack(form, k, back, n) && !memcmp(p, back, n));
	form[k] = 0;
	CHECK(!rowbase_unpack(form, k + 1, back, n));
	for (i = 0; i < k; i += 1 + k / 50)
		CHECK(!rowbase_unpack(form, i, back, n));
	free(form);
	free(back);
}

static void forms(void)
{
	static const size_t sizes[] = { 1, 7, 8, 63, 64, 65, 129, 1000, 4096, 70000, 600001 };
	static const uint32_t rows[] = { ROWBASE_ROW, 9, 64, 100, 128, 4096, 0xFFFFFFFF };
	static uint8_t p[600001];
	size_t i, j, k, spread;

	for (spread = 1; spread <= 256; spread *= 4)
		for (i = 0; i < sizeof sizes / sizeof *sizes; i++) {
			for (k = 0; k < sizes[i]; k++)
				p[k] = (uint8_t)((spread < 256 ? 255 - spread - k / 5000 : 0) +
					rnd((uint32_t)spread));
			for (j = 0; j < sizeof rows / sizeof *rows; j++)
				there_and_back_form(p, sizes[i], rows[j]);
		}
	/* the ends of the range, alone and together */
	memset(p, 0, 200);
	there_and_back_form(p, 200, 8);
	memset(p, 255, 100);
	there_and_back_form(p, 200, 200);
	memset(p, 255, 200);
	there_and_back_form(p, 200, 64);
}

/* Forms that lie: rows, classes, bases. None is read past its end, or written past the plane's. */
static void hostile_forms(void)
{
	uint8_t p[100], form[400], *tight, *out = malloc(sizeof p);
	struct rowbase parts;
	struct dice d = { check_seed };
	size_t k, i;

	for (i = 0; i < sizeof p; i++)
		p[i] = (uint8_t)(120 + i % 5);
	rowbase_pack(p, sizeof p, 25, form, &parts);
	k = parts.end[parts.n - 1];
	form[0]++; /* another plane's */
	CHECK(!rowbase_unpack(form, k, out, sizeof p));
	form[0]--;
	form[4] = ROWBASE_ROW - 1;
	CHECK(!rowbase_unpack(form, k, out, sizeof p));
	form[4] = 0;
	CHECK(!rowbase_unpack(form, k, out, sizeof p));
	form[4] = 24; /* five rows */
	CHECK(!rowbase_unpack(form, k, out, sizeof p));
	form[4] = 25;
	form[8] = 254; /* a base whose third neighbour is no byte */
	CHECK(!rowbase_unpack(form, k, out, sizeof p));
	form[8] = 120;
	form[12] = ROWBASE_CLASSES;
	CHECK(!rowbase_unpack(form, k, out, sizeof p));
	form[12] = 0;
	CHECK(rowbase_unpack(form, k, out, sizeof p));
	CHECK(!rowbase_unpack(form, k, out, sizeof p - 1) && !rowbase_unpack(form, 0, out, 1));
	for (i = 0; i < 20000; i++) {
		size_t n = k;

		tight = memcpy(malloc(k), form, k);
		n = mutate_bytes(&d, &tight, n);
		(void)rowbase_unpack(tight, n, out, sizeof p); /* sanitizers watch */
		free(tight);
	}
	free(out);
}

/* --- frames --- */

/* Scales as they are of Gaussian weights whose rows have spreads of their own, 0.5 in the natural logarithm: each is the
 * exponent of the largest of 32 over 6, rounded up. The generator of docs/archive.md; tests/oracle/archive.py has it too. */
static void put_scales(uint8_t *p, size_t rows, size_t k)
{
	size_t i, j;

	for (i = 0; i < rows; i++) {
		double spread = exp(0.5 * sqrt(-2 * log(((double)rnd(1 << 30) + 1) / (1 << 30))) *
			cos(6.283185307179586 * (double)rnd(1 << 30) / (1 << 30)));

		for (j = 0; j < k; j++) {
			/* the largest of 32 is below x with erf(x / sqrt 2) to the power of 32 */
			double u = ((double)rnd(1 << 30) + 0.5) / (1 << 30), lo = 0, hi = 8, x;
			int step;

			for (step = 0; step < 24; step++) {
				x = (lo + hi) / 2;
				if (32 * log(erf(x / sqrt(2))) < log(u))
					lo = x;
				else
					hi = x;
			}
			p[i * k + j] =
				(uint8_t)(127 + ceil(log2(0.02 * spread * (lo + hi) / 2 / 6)));
		}
	}
}

/* Of such scales a filtered frame is at most 13.6 % of the bytes, the figure published for a base for each row, offsets
 * and an entropy coder; zstd alone needs more. zstd refuses the frame, and so do we where no filter is listed. */
static void frames(void)
{
	enum { ROWS = SANITIZED ? 256 : 2048, K = 128 };
	static uint8_t p[ROWS * K], back[ROWS * K];
	uint8_t *dst = malloc(frame_bound(sizeof p));
	struct frame_coder c = { 0 };
	uint32_t packed, plain;
	bool filtered;
	struct err e = { 0 };
	size_t i;

	put_scales(p, ROWS, K);
	CHECK(!frame_pack(&c, p, sizeof p, dst, &plain, &e));
	CHECK(!frame_pack_rows(&c, p, sizeof p, K, dst, &packed, &filtered, &e) && filtered);
	fprintf(stderr, "      scales: %.1f %%, by zstd alone %.1f %%\n", 100.0 * packed / sizeof p,
		100.0 * plain / sizeof p);
	CHECK(SANITIZED || packed * 1000ull <= sizeof p * 136ull);
	CHECK(packed < plain);
	CHECK(frame_unpack(&c, FILTER_E8M0, dst, packed, back, sizeof p, &e) == 1);
	CHECK(!memcmp(p, back, sizeof p));
	CHECK(!frame_unpack(&c, FILTER_NONE, dst, packed, back, sizeof p, &e));
	CHECK(!frame_unpack(&c, FILTER_E8M0, dst, packed, back, sizeof p - 1, &e));
	CHECK(ZSTD_isError(ZSTD_decompress(back, sizeof p, dst, packed)));
	CHECK(ZSTD_getDictID_fromFrame(dst, packed) == FRAME_E8M0);
	/* another number, a byte more or less, no room for the number */
	for (i = 0; i < 12; i++) {
		dst[i] ^= 1;
		CHECK(frame_unpack(&c, FILTER_E8M0, dst, packed, back, sizeof p, &e) != 1 ||
			!memcmp(p, back, sizeof p));
		dst[i] ^= 1;
	}
	CHECK(!frame_unpack(&c, FILTER_E8M0, dst, packed - 1, back, sizeof p, &e));
	for (i = 0; i < 20; i++)
		CHECK(!frame_unpack(&c, FILTER_E8M0, dst, i, back, sizeof p, &e));
	/* random bytes and a single value stay ordinary frames, or are right all the same */
	for (i = 0; i < sizeof p; i++)
		p[i] = (uint8_t)rnd64();
	CHECK(!frame_pack_rows(&c, p, sizeof p, K, dst, &packed, &filtered, &e) && !filtered);
	CHECK(ZSTD_decompress(back, sizeof p, dst, packed) == sizeof p &&
		!memcmp(p, back, sizeof p));
	memset(p, 121, sizeof p);
	CHECK(!frame_pack_rows(&c, p, sizeof p, K, dst, &packed, &filtered, &e) && packed < 1000);
	CHECK(frame_unpack(&c, FILTER_E8M0, dst, packed, back, sizeof p, &e) == 1 &&
		!memcmp(p, back, sizeof p));
	frame_coder_free(&c);
	free(dst);
}

/* Puts an ordinary frame of n bytes with the number of the dictionary in its header. Returns its length. */
static size_t put_filtered(uint8_t *dst, const uint8_t *form, size_t n)
{
	size_t k = ZSTD_compress(dst, ZSTD_compressBound(n), form, n, 1),
	       at = dst[4] & 0x20 ? 5 : 6;

	memmove(dst + at + 4, dst + at, k - at);
	dst[4] |= 3;
	memcpy(dst + at, "E8M0", 4);
	return k + 4;
}

/* Filtered frames whose forms are none: too long, bombs, of another plane. */
static void hostile_frames(void)
{
	static uint8_t zeros[64 << 20];
	uint8_t *dst = malloc(ZSTD_compressBound(sizeof zeros) + 4), out[128], form[400];
	struct frame_coder c = { 0 };
	struct rowbase parts;
	struct err e = { 0 };
	size_t k;

	memset(out, 120, sizeof out);
	rowbase_pack(out, sizeof out, 64, form, &parts);
	k = put_filtered(dst, form, parts.end[parts.n - 1]);
	CHECK(frame_unpack(&c, FILTER_E8M0, dst, k, out, sizeof out, &e) == 1 && out[127] == 120);
	CHECK(!frame_unpack(&c, FILTER_E8M0, dst, k, out, 127, &e));
	k = put_filtered(dst, zeros, sizeof zeros);
	CHECK(k < 16 << 10 && !frame_unpack(&c, FILTER_E8M0, dst, k, out, sizeof out, &e));
	k = put_filtered(dst, zeros, rowbase_bound(sizeof out) + 1);
	CHECK(!frame_unpack(&c, FILTER_E8M0, dst, k, out, sizeof out, &e));
	k = put_filtered(dst, zeros, rowbase_bound(sizeof out));
	CHECK(!frame_unpack(&c, FILTER_E8M0, dst, k, out, sizeof out, &e));
	k = put_filtered(dst, zeros, 0);
	CHECK(!frame_unpack(&c, FILTER_E8M0, dst, k, out, sizeof out, &e));
	CHECK(!e.kind);
	frame_coder_free(&c);
	free(dst);
}

/* What the fuzzer checks, of forms and filtered frames. */
static void damaged_at_random(void)
{
	static uint8_t plane[3000];
	uint8_t *p, form[5000], frame[5000];
	struct dice d = { check_seed };
	struct rowbase parts;
	const char *bad;
	size_t i, n, k;

	for (i = 0; i < sizeof plane; i++)
		plane[i] = (uint8_t)(118 + i / 64 % 3 + rnd(3) + (rnd(40) == 0 ? 4 : 0));
	rowbase_pack(plane, sizeof plane, 64, form + 3, &parts);
	form[0] = SEEK_CHECK_FORM;
	form[1] = (uint8_t)(sizeof plane & 255);
	form[2] = (uint8_t)(sizeof plane >> 8);
	k = put_filtered(frame + 1, form + 3, parts.end[parts.n - 1]) + 1;
	frame[0] = 187; /* times 16 is the next below 3000 */
	for (i = 0; i < (SANITIZED ? 400 : 4000); i++) {
		n = i % 2 ? 3 + parts.end[parts.n - 1] : k;
		p = memcpy(malloc(n), i % 2 ? form : frame, n);
		if (i > 1)
			n = mutate_bytes(&d, &p, n);
		bad = seek_check_input(p, n);
		CHECK_IN(bad ? bad : "", !bad);
		free(p);
	}
}

/* --- archives --- */

/* Any number of threads, twice into one folder, and back; a folder without scales becomes what it is without the option. */
static void there_and_back(void)
{
	struct path in = pack_folder(), a = dirs_gone("a"), b = dirs_gone("b"),
		    back = dirs_gone("back"), none = dirs_new("none");

	packs_with = FILTER_E8M0;
	CHECK(makes(pack_run, in.s, a.s, 1));
	CHECK(done.files == 13 && done.filtered == 5 && !done.kept);
	CHECK(is_file(below(a.s, PACKED).s) && !is_file(below(a.s, SHARD FILTER_ZST).s));
	CHECK(is_file(below(a.s, "config.json.zst").s));
	CHECK(makes(pack_run, in.s, b.s, 3));
	CHECK(same(a.s, b.s));
	unlink(below(b.s, LISTING_NAME).s);
	unlink(below(b.s, SHARD FILTER_ZST_E8M0).s);
	CHECK(makes(pack_run, in.s, b.s, 2));
	CHECK(done.kept == done.files - 1 && done.filtered == 5);
	CHECK(same(a.s, b.s));
	CHECK(makes(unpack_run, a.s, back.s, 3));
	CHECK(done.filtered == 5);
	CHECK(same(in.s, back.s));
	file_put_all(below(none.s, "a").s, "aa", 2);
	CHECK(makes(pack_run, none.s, dirs_gone("n1").s, 1));
	packs_with = FILTER_NONE;
	CHECK(makes(pack_run, none.s, dirs_gone("n2").s, 1));
	CHECK(same(dirs_path("n1").s, dirs_path("n2").s));
}

/* Stock zstd restores the files without scales. It refuses the others however it is asked, and leaves no file. */
static void stock_zstd(void)
{
	struct path a = dirs_gone("stock");
	char line[2000];

	if (system("command -v zstd >/dev/null 2>&1"))
		SKIP("no zstd here");
	packs_with = FILTER_E8M0;
	CHECK(makes(pack_run, GOLDEN, a.s, 2));
	packs_with = FILTER_NONE;
	snprintf(line, sizeof line,
		"cd %s && zstd -q -dc config.json.zst | cmp - \"$OLDPWD/" GOLDEN
		"/config.json\" && for f in *.zst-e8m0; do for o in -d '-d -f' '-d -f -o x' '-d -f -o x --no-check' -dc -dcf -t "
		"'-t -M1GB'; do if zstd -q $o $f >/dev/null 2>&1 </dev/null; then echo $o $f; exit 1; fi; "
		"if zstd -q $o <$f >/dev/null 2>&1; then echo $o stdin $f; exit 1; fi; "
		"[ ! -e x ] && [ ! -e ${f%%.zst-e8m0} ] || exit 1; done; done",
		a.s);
	CHECK(!system(line));
}

/* What was packed with the filter is not gone on with without it, nor the other way round, nor mixed by hand. */
static void mixed(void)
{
	struct path a = dirs_gone("mixed"), b = dirs_gone("mixed-plain"),
		    back = dirs_gone("mixed-back");

	packs_with = FILTER_E8M0;
	CHECK(makes(pack_run, GOLDEN, a.s, 2));
	packs_with = FILTER_NONE;
	CHECK(makes(pack_run, GOLDEN, b.s, 2));
	CHECK(refuses(pack_run, GOLDEN, a.s, "archive.other", FILTER_ZST_E8M0));
	packs_with = FILTER_E8M0;
	CHECK(refuses(pack_run, GOLDEN, b.s, "archive.other", ".safetensors.zst"));
	CHECK(refuses(pack_run, a.s, back.s, "archive.other", "packed already"));
	packs_with = FILTER_NONE;
	/* a filtered file under the name of an ordinary one, in a list that says so */
	CHECK(!rename(below(a.s, PACKED).s, below(a.s, SHARD FILTER_ZST).s));
	CHECK(refuses(unpack_run, a.s, back.s, "archive.other", PACKED " is not there"));
	pack_put_list(a.s, "\"bytes\": 1158512, \"filter\": \"e8m0\"",
		"\"bytes\": 1158512, \"filter\": \"none\"");
	CHECK(refuses(unpack_run, a.s, back.s, "archive.frame", ".scale"));
	CHECK(!is_file(below(back.s, SHARD).s));
	/* an ordinary file among filtered ones is what it is */
	dirs_remove(back.s);
	pack_put_list(a.s, "\"bytes\": 1158512, \"filter\": \"none\"",
		"\"bytes\": 1158512, \"filter\": \"e8m0\"");
	CHECK(!rename(below(a.s, SHARD FILTER_ZST).s, below(a.s, PACKED).s));
	CHECK(makes(unpack_run, a.s, back.s, 2));
	CHECK(same(GOLDEN, back.s));
}

/* clang-format off */
static const struct {
	const char *was, *is, *rule, *word;
} list_cases[] = {
	{ "\"format\": \"dsv4-archive-2\"", "\"format\": \"dsv4-archive-1\"", "archive.list", "do not agree" },
	{ "\"format\": \"dsv4-archive-2\"", "\"format\": \"dsv4-archive-3\"", "archive.list", "dsv4-archive-3" },
	{ "\"bytes\": 1602, \"filter\": \"none\"", "\"bytes\": 1602", "archive.list", "do not agree" },
	{ "\"bytes\": 1602, \"filter\": \"none\"", "\"bytes\": 1602, \"filter\": \"e8m1\"", "archive.list", "e8m1" },
	{ "\"bytes\": 1602, \"filter\": \"none\"", "\"bytes\": 1602, \"filter\": 1", "archive.list", "" },
	{ "\"bytes\": 1602, \"filter\": \"none\"", "\"bytes\": 1602, \"filter\": \"e8m0\"", "archive.other", "config.json.zst-e8m0 is not there" },
};
/* clang-format on */

static void lists(void)
{
	struct path a = dirs_gone("listed"), work;
	size_t i;

	packs_with = FILTER_E8M0;
	CHECK(makes(pack_run, GOLDEN, a.s, 2));
	packs_with = FILTER_NONE;
	for (i = 0; i < sizeof list_cases / sizeof *list_cases; i++) {
		work = dirs_copy("list-case", a.s);
		pack_put_list(work.s, list_cases[i].was, list_cases[i].is);
		CHECK_IN(list_cases[i].is,
			refuses(unpack_run, work.s, dirs_gone("list-back").s, list_cases[i].rule,
				list_cases[i].word));
	}
}

/* A flipped byte in any filtered frame: file, frame and tensor are named; the other frames are as they were. */
static void damage(void)
{
	struct path a = dirs_gone("damage"), back = dirs_gone("damage-back"),
		    file = below(a.s, PACKED);
	struct err e = { 0 };
	struct seek s;
	size_t n, i, hit = 0;
	uint8_t *z;
	int fd;

	packs_with = FILTER_E8M0;
	CHECK(makes(pack_run, GOLDEN, a.s, 2));
	packs_with = FILTER_NONE;
	z = file_get_all(file.s, &n);
	fd = open(file.s, O_RDONLY);
	CHECK(!seek_read(&s, io_posix(), fd, n, &e));
	for (i = 0; i < s.n; i++) {
		size_t at = s.v[i].at + 13 + rnd(s.v[i].packed - 13);
		char frame[40];

		if (ZSTD_getDictID_fromFrame(z + s.v[i].at, s.v[i].packed) != FRAME_E8M0 ||
			hit++ % 7)
			continue;
		z[at] ^= 16;
		file_put_all(file.s, z, n);
		z[at] ^= 16;
		snprintf(frame, sizeof frame, "frame %zu of ", i);
		CHECK(go_on(io_posix(), unpack_run, a.s, back.s, 2, &e));
		CHECK_IN(e.text, e.rule && !strcmp(e.rule, "archive.frame"));
		CHECK_IN(e.text, strstr(e.text, frame) && strstr(e.text, ".scale: "));
		CHECK(!is_file(below(back.s, SHARD).s));
	}
	CHECK(hit > 10);
	file_put_all(file.s, z, n);
	CHECK(makes(unpack_run, a.s, back.s, 2));
	CHECK(same(GOLDEN, back.s));
	seek_free(&s);
	close(fd);
	free(z);
}

/* --- the tools --- */

/* The line, in which $b is the folder of the tools, $t one for files and $g the golden checkpoint, succeeds. */
static bool shell(const char *line)
{
	char all[4000];

	snprintf(all, sizeof all, "b=%s t=%s g=" GOLDEN "; exec >&2; %s", tools(), dirs_top.s,
		line);
	return !system(all);
}

/* Every tool reads such an archive in place as the folder that it restores; a damaged one is told by its tensor. */
static void verbs(void)
{
	CHECK(shell(
		"$b/dsv4-convert pack $g -o $t/z --filter e8m0 | tee $t/said >/dev/null; "
		"grep -q '^5 of the files are NAME.zst-e8m0: only dsv4-convert unpack.*zstd -d does not' $t/said"));
	CHECK(shell(
		"$b/dsv4-convert pack $g -o $t/z --filter e8m0 --json | grep -q '\"filtered\": 5'"));
	CHECK(shell("$b/dsv4-convert unpack $t/z -o $t/u -q && diff -r $g $t/u"));
	CHECK(shell(
		"for d in $g $t/z; do $b/dsv4-convert inspect $d | sed \"s,$d,IN,\" >$t/i.${d##*/}; done; "
		"[ -s $t/i.z ] && cmp $t/i.tiny-flash $t/i.z"));
	CHECK(shell(
		"$b/dsv4-verify check $t/z >$t/said && grep -q 'by the list of the archive' $t/said"));
	CHECK(shell(
		"for d in $g $t/z; do $b/dsv4-verify logits $d $g --tokens 1,2 | sed \"s,$d,IN,; /seconds/d; /held/d\" "
		">$t/l.${d##*/}; done; [ -s $t/l.z ] && cmp $t/l.tiny-flash $t/l.z"));
	CHECK(shell(
		"for d in $g $t/z; do $b/dsv4-convert run $d -o $t/o.${d##*/} --target marlin-mxfp4 --ranks 2 -q; done; "
		"diff -r $t/o.tiny-flash $t/o.z"));
	CHECK(shell("$b/dsv4-quant run $g -o $t/q -q --to fp8 && "
		    "$b/dsv4-quant run $t/z -o $t/qz -q --to fp8 && diff -r $t/q $t/qz"));
	CHECK(shell(
		"$b/dsv4-convert pack $t/o.z -o $t/oz --filter e8m0 -q && $b/dsv4-verify check $t/oz >/dev/null && "
		"$b/dsv4-convert restore $t/oz -o $t/restored -q && diff -r -x '*manifest.json' $t/restored $g"));
	CHECK(shell(
		"f=$(ls $t/z/*.safetensors.zst-e8m0 | head -n 1); n=$(stat -c %s $f); rm -rf $t/y; cp -r $t/z $t/y; "
		"f=$t/y/${f##*/}; printf '\\377\\0' | dd of=$f bs=1 seek=$((n / 2)) conv=notrunc status=none; "
		"$b/dsv4-verify check $t/y >$t/said 2>&1; [ $? = 1 ] && grep -q 'archive.frame' $t/said && "
		"grep -q 'zst-e8m0.*tensor .* frame [0-9]* of ' $t/said"));
	CHECK(shell(
		"rm -f $t/y/dsv4-archive.json $t/y/*.zst; $b/dsv4-verify check $t/y >$t/said 2>&1; [ $? = 2 ] && "
		"grep -q archive.unfinished $t/said"));
	CHECK(shell(
		"for o in '--filter e8m1' '--filter e8m0 --oci' '--filter'; do $b/dsv4-convert pack $g -o $t/bad $o >$t/said "
		"2>&1; [ $? = 2 ] && [ ! -e $t/bad ] || exit 1; done"));
}

static const struct test tests[] = {
	{ "forms", forms },
	{ "hostile_forms", hostile_forms },
	{ "frames", frames },
	{ "hostile_frames", hostile_frames },
	{ "damaged_at_random", damaged_at_random },
	{ "there_and_back", there_and_back },
	{ "stock_zstd", stock_zstd },
	{ "mixed", mixed },
	{ "lists", lists },
	{ "damage", damage },
	{ "verbs", verbs },
	{ NULL, NULL },
};
TEST_MAIN(tests)
