/* test_check.c -- dsv4-verify check: whole folders are whole, and whatever is changed is found and named.
 *
 * FLIPS=n takes every n-th bit of what is flipped (default: so that the test is quick; 1: all).
 *
 * SPDX-License-Identifier: MIT */
#include "core/file.h"
#include "formats/conversion/chain.h"
#include "tests/faultio.h"
#include "tests/verify.h"

#include <sys/resource.h>

static struct path off, hf, set, tp, hf8; /* converted once */

static void make(void)
{
	struct job_opts o;
	struct model_job j;

	if (off.s[0])
		return;
	off = dirs_path("off");
	hf = dirs_path("hf");
	set = dirs_path("set");
	tp = dirs_path("tp");
	j = model_job("official", 2);
	CHECK(convert(&j, FLASH, off.s));
	j = model_job("hf", 1);
	CHECK(convert(&j, FLASH, hf.s));
	o = set_opts("frag-k32", 2, false);
	CHECK(set_makes(FLASH, set.s, &o));
	hf8 = dirs_path("hf8");
	o = set_opts("hf", 1, false);
	o.plan.share = (struct share){ 0 };
	o.plan.experts = CODEC_FP8;
	CHECK(set_makes(FLASH, hf8.s, &o));
	o = set_opts("marlin-mxfp4", 1, true);
	o.plan.share.stages = 2;
	CHECK(set_makes(FLASH, tp.s, &o));
}

static struct path copy_of(const char *from)
{
	struct path to = dirs_path("copy");
	char line[1100];

	dirs_remove(to.s);
	snprintf(line, sizeof line, "cp -r %s %s", from, to.s);
	if (system(line))
		exit(2);
	return to;
}

/* --- whole --- */

static void whole(void)
{
	struct check_opts o = verify_opts();
	struct path fp8 = dirs_path("fp8");
	struct model_job j = model_job("official", 1);
	struct report r;
	const char *dirs[7];
	size_t i;

	make();
	j.plan.experts = CODEC_FP8;
	CHECK(convert(&j, FLASH, fp8.s));
	dirs[0] = off.s, dirs[1] = hf.s, dirs[2] = set.s, dirs[3] = tp.s, dirs[4] = fp8.s;
	dirs[5] = FLASH, dirs[6] = hf8.s;
	for (i = 0; i < 7; i++) {
		o.quick = false;
		CHECK_IN(dirs[i], verify_true(dirs[i], &o));
		o.quick = true;
		CHECK_IN(dirs[i], verify_true(dirs[i], &o));
	}
	o.quick = false;
	CHECK(verify_true(model_file(off.s, "model1-mp2.safetensors").s, &o));
	o.rank = "1";
	CHECK(verify_true(off.s, &o));
	CHECK(verify_true(set.s, &o));
	CHECK(!verify_check(&r, set.s, &o));
	CHECK(r.n_rows && !strncmp(r.rows[5].name, "rank-1-of-2/", 12));
	report_free(&r);
	o.rank = "2";
	CHECK(verify_check(&r, off.s, &o) == 2 && verify_find(&r, "check.rank", NULL));
	report_free(&r);
	CHECK(verify_check(&r, set.s, &o) == 2 && verify_find(&r, "check.rank", NULL));
	report_free(&r);
}

/* --- bits --- */

static uint64_t step_of(uint64_t usual)
{
	const char *s = getenv("FLIPS");

	return s ? strtoull(s, NULL, 10) : SLOW ? 10 * usual + 1 : usual;
}

/* Every bit of a manifest. */
static void flip_manifest(const char *dir, bool is_set)
{
	struct text t = { 0 };
	size_t n, bit, step = step_of(is_set ? 1 : 3), missed = 0;
	uint8_t *p = file_get_all(model_file(dir, MAN_NAME).s, &n);
	struct set_manifest s;
	struct manifest c;
	struct err e;

	CHECK(p);
	t.s = (char *)p;
	t.n = n;
	for (bit = 0; bit < 8 * n; bit += step) {
		p[bit / 8] ^= (uint8_t)(1 << bit % 8);
		memset(&e, 0, sizeof e);
		if (is_set ? !set_manifest_read(&s, &t, &e) : !manifest_read(&c, &t, &e)) {
			missed++;
			fprintf(stderr, "bit %zu of %s is not seen\n", bit, dir);
			is_set ? set_manifest_free(&s) : manifest_free(&c);
		}
		p[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	CHECK_IN(dir, !missed);
	CHECK(is_set ? !set_manifest_read(&s, &t, &e) : !manifest_read(&c, &t, &e));
	is_set ? set_manifest_free(&s) : manifest_free(&c);
	free(p);
}

static void manifest_bits(void)
{
	make();
	flip_manifest(off.s, false);
	flip_manifest(hf.s, false);
	flip_manifest(set.s, true);
	flip_manifest(tp.s, true);
}

#define SMALL "model-00006-of-00007.safetensors"

/* Flips bits from..to of a file and expects a finding that names it. */
static void flip_file(const char *name, uint64_t from, uint64_t to, uint64_t step, const char *rule)
{
	struct path path = model_file(hf.s, SMALL);
	struct check_opts o = verify_opts();
	struct report r;
	struct flip_io f;
	uint64_t bit, missed = 0;

	o.threads = 1;
	for (bit = from; bit < to; bit += step) {
		f = flip_make(name, bit, hf.s);
		o.io = &f.io;
		if (verify_check(&r, path.s, &o) != 1 || !verify_find(&r, rule, name)) {
			missed++;
			fprintf(stderr, "bit %llu of %s:\n", (unsigned long long)bit, name);
			verify_print(&r);
		}
		report_free(&r);
	}
	CHECK_IN(name, !missed);
}

static void header_and_sidecar_bits(void)
{
	size_t side, n;
	uint64_t header;
	uint8_t *p;

	make();
	p = file_get_all(model_file(hf.s, SMALL MAN_SIDECAR).s, &side);
	free(p);
	p = file_get_all(model_file(hf.s, SMALL).s, &n);
	memcpy(&header, p, 8);
	free(p);
	flip_file(SMALL, 0, 8 * (8 + header), step_of(5), "check.chunk");
	flip_file(SMALL, 0, 8 * (8 + header), step_of(101), "check.sha256");
	flip_file(SMALL MAN_SIDECAR, 0, 8 * side, step_of(19), "set.manifest");
}

/* A file in memory, in place of all others. */
struct mem_file {
	struct io io; /* first */
	uint8_t *p;
	size_t n;
};

static ssize_t mem_pread(const struct io *io, int fd, void *buf, size_t n, off_t at)
{
	const struct mem_file *m = (const struct mem_file *)(uintptr_t)io;

	(void)fd;
	n = (size_t)at + n > m->n ? m->n - (size_t)at : n;
	memcpy(buf, m->p + at, n);
	return (ssize_t)n;
}

/* One flipped bit of the payload, wherever: the chunk and just the one tensor are named. */
static void payload_bits(void)
{
	size_t n, i, k, tensor, wrong = 0, tries = SLOW ? 3000 : 100000;
	struct mem_file m = { .io = *io_posix() };
	struct pass_opts po = { .io = &m.io, .threads = 1, .max_memory = 1 << 20 };
	struct pass_span spans[8];
	struct xxh_digest chunk;
	struct pass_job j;
	struct sidecar a;
	struct stat st;
	struct err e = { 0 };
	uint64_t bit;
	int fd, dir;

	make();
	dir = open(hf.s, O_RDONLY | O_DIRECTORY);
	CHECK(!file_open(io_posix(), dir, SMALL MAN_SIDECAR, &fd, &st, &e));
	CHECK(!sidecar_read(&a, io_posix(), fd, (uint64_t)st.st_size, &e) && a.n <= 8);
	close(fd);
	close(dir);
	m.io.pread = mem_pread;
	m.p = file_get_all(model_file(hf.s, SMALL).s, &m.n);
	n = m.n;
	for (i = 0; i < a.n; i++)
		spans[i] = (struct pass_span){ a.header_bytes + a.tensors[i].begin,
			a.header_bytes + a.tensors[i].end, a.tensors[i].xxh };
	chunk = a.chunks[0];
	for (i = 0; i < tries; i++) {
		bit = 8 * a.header_bytes + rnd64() % (8 * (n - a.header_bytes));
		m.p[bit / 8] ^= (uint8_t)(1 << bit % 8);
		j = (struct pass_job){
			.fd = 3, .bytes = n, .chunks = &chunk, .spans = spans, .n_spans = a.n
		};
		if (pass_run(&j, 1, &po, &e) || j.n_bad != 1 || j.looked[0] != 2)
			wrong++;
		(void)sidecar_in(&a, bit / 8, bit / 8 + 1, &tensor);
		for (k = 0; k < a.n; k++)
			wrong += j.bad_span[k] != (k == tensor);
		pass_free(&j, 1);
		m.p[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	CHECK(!wrong);
	printf("     %zu bits of payload\n", tries);
	free(m.p);
	sidecar_free(&a);
}

/* --- chunks --- */

/* A folder with a file of three chunks. */
static struct path big(void)
{
	struct path m = dirs_path("m"), out = dirs_path("big");
	struct model_job j = model_job("official", 1);
	char args[700];

	if (is_file(out.s))
		return out;
	snprintf(args, sizeof args,
		"%s --config tests/configs/small4.json --set n_routed_experts=96", m.s);
	CHECK(!model_tool("mkmodel", args));
	CHECK(convert(&j, m.s, out.s));
	return out;
}

#define BIG "model0-mp1.safetensors"

static void chunks(void)
{
	struct path out = big(), file = model_file(out.s, BIG);
	struct check_opts o = verify_opts();
	const struct report_finding *f;
	struct report r;
	struct flip_io io;
	size_t n, i, first;
	struct sidecar a;
	struct err e = { 0 };
	struct stat st;
	uint64_t bit;
	uint8_t *p;
	int fd;

	CHECK(verify_true(out.s, &o));
	fd = open(model_file(out.s, BIG MAN_SIDECAR).s, O_RDONLY);
	fstat(fd, &st);
	CHECK(!sidecar_read(&a, io_posix(), fd, (uint64_t)st.st_size, &e));
	close(fd);
	for (i = 0; i < (SLOW ? 2 : 12); i++) {
		bit = rnd64() % (8 * a.bytes);
		io = flip_make(BIG, bit, out.s);
		o.io = &io.io;
		CHECK(verify_check(&r, out.s, &o) == 1);
		f = verify_find(&r, "check.chunk", BIG);
		CHECK(f && f->at.from == bit / 8 / MAN_CHUNK * MAN_CHUNK &&
			f->at.to - f->at.from <= MAN_CHUNK);
		CHECK(r.errors == 2 && verify_find(&r, "check.sha256", BIG));
		if (f && sidecar_in(&a, bit / 8, bit / 8 + 1, &first))
			CHECK(f->at.n_tensors == 1 &&
				!strcmp(f->at.tensors[0], a.tensors[first].name));
		report_free(&r);
	}
	o.io = io_posix();
	sidecar_free(&a);
	/* two chunks exchanged */
	p = file_get_all(file.s, &n);
	model_put(out.s, "x", p, n);
	memcpy(p, p + MAN_CHUNK, 0);
	{
		uint8_t *q = malloc(n);

		memcpy(q, p, n);
		memcpy(q, p + MAN_CHUNK, MAN_CHUNK);
		memcpy(q + MAN_CHUNK, p, MAN_CHUNK);
		model_put(out.s, BIG, q, n);
		free(q);
	}
	unlink(model_file(out.s, "x").s);
	CHECK(verify_check(&r, out.s, &o) == 1);
	f = verify_find(&r, "check.chunk", BIG);
	CHECK(f && strstr(f->cause, "these are the bytes of chunk 1"));
	report_free(&r);
	/* in haste, too: the first, the last and one between */
	o.quick = true;
	CHECK(verify_false(out.s, &o, "check.chunk", BIG));
	model_put(out.s, BIG, p, n);
	CHECK(verify_true(out.s, &o));
	free(p);
}

/* --- files --- */

/* What is done to a copy, and what is to be found: rule and file. */
static void rename_in(const char *dir, const char *from, const char *to)
{
	CHECK(!rename(model_file(dir, from).s, model_file(dir, to).s));
}

#define M0 "model0-mp2.safetensors"
#define M1 "model1-mp2.safetensors"

static void swapped(void)
{
	struct check_opts o = verify_opts();
	const struct report_finding *f;
	struct path d;
	struct report r;

	make();
	d = copy_of(off.s);
	rename_in(d.s, M0, "t");
	rename_in(d.s, M1, M0);
	rename_in(d.s, "t", M1);
	CHECK(verify_check(&r, d.s, &o) == 1);
	f = verify_find(&r, "check.sha256", M0);
	CHECK(f && strstr(f->cause, "these are the bytes of " M1));
	CHECK(verify_find(&r, "check.sha256", M1) && verify_find(&r, "check.chunk", M1));
	report_free(&r);
	/* with their sidecars */
	rename_in(d.s, M0 MAN_SIDECAR, "t");
	rename_in(d.s, M1 MAN_SIDECAR, M0 MAN_SIDECAR);
	rename_in(d.s, "t", M1 MAN_SIDECAR);
	CHECK(verify_false(d.s, &o, "set.size", M0 MAN_SIDECAR));
	CHECK(verify_false(d.s, &o, "check.sha256", M1));
}

/* A file, with or without its sidecar, of a run over other weights. */
static void stale(void)
{
	struct check_opts o = verify_opts();
	struct path m = model_copy(FLASH, "other"), other = dirs_path("other-off"), d;
	struct model_job j = model_job("official", 2);
	size_t n;
	uint8_t *p = file_get_all(model_file(m.s, "model-00001-of-00007.safetensors").s, &n);

	make();
	p[n - 2] ^= 1; /* a weight of the embedding */
	model_put(m.s, "model-00001-of-00007.safetensors", p, n);
	free(p);
	CHECK(convert(&j, m.s, other.s));
	d = copy_of(off.s);
	p = file_get_all(model_file(other.s, M1).s, &n);
	model_put(d.s, M1, p, n);
	free(p);
	CHECK(verify_false(d.s, &o, "check.chunk", M1));
	p = file_get_all(model_file(other.s, M1 MAN_SIDECAR).s, &n);
	model_put(d.s, M1 MAN_SIDECAR, p, n);
	free(p);
	CHECK(verify_false(d.s, &o, "set.manifest", M1 MAN_SIDECAR));
	CHECK(verify_false(d.s, &o, "check.sha256", M1));
	o.quick = true;
	CHECK(verify_false(d.s, &o, "set.manifest", M1 MAN_SIDECAR));
}

/* Cut off at every 4 KiB: how long it should be, and which tensors are gone. */
static void cut(void)
{
	struct check_opts o = verify_opts();
	const struct report_finding *f;
	struct path d, file;
	struct report r;
	off_t at, n;
	struct stat st;

	make();
	d = copy_of(hf.s);
	file = model_file(d.s, SMALL);
	CHECK(!stat(file.s, &st));
	n = st.st_size;
	for (at = (n - 1) / 4096 * 4096; at >= 0; at -= 4096) {
		CHECK(!truncate(file.s, at));
		CHECK(verify_check(&r, file.s, &o) == 1);
		f = verify_find(&r, "set.size", SMALL);
		CHECK(f && f->at.from == (uint64_t)at && f->at.to == (uint64_t)n &&
			f->at.n_tensors > 0);
		report_free(&r);
	}
	CHECK(!truncate(model_file(d.s, SMALL MAN_SIDECAR).s, 100));
	CHECK(verify_false(d.s, &o, "set.size", SMALL MAN_SIDECAR));
	CHECK(!truncate(model_file(d.s, MAN_NAME).s, 100));
	CHECK(verify_false(d.s, &o, "json.cut", MAN_NAME));
}

/* The folder is sound, and check says that it does not know the file. */
static bool warned(const char *dir, const struct check_opts *o, const char *file)
{
	struct report r;
	int rc = verify_check(&r, dir, o);
	bool ok = rc == 0 && verify_find(&r, "check.unknown", file);

	report_free(&r);
	return ok;
}

/* What people, systems and signing put beside a conversion is none of it; what only has such a name is. */
static void beside(const char *dir, const struct check_opts *o)
{
	static const char *const fine[] = { "LICENSE", "README.md", ".DS_Store", "model.sig",
		"attestation.json", "manifest.json.minisig" };
	size_t i;

	for (i = 0; i < sizeof fine / sizeof *fine; i++)
		model_put(dir, fine[i], "x", 1);
	CHECK(!mkdir(model_file(dir, "lost+found").s, 0700) &&
		!mkdir(model_file(dir, ".cache").s, 0777));
	CHECK(verify_true(dir, o));
	for (i = 0; i < sizeof fine / sizeof *fine; i++)
		CHECK(!unlink(model_file(dir, fine[i]).s));
	for (i = 0; i < sizeof fine / sizeof *fine; i++) {
		CHECK(!mkdir(model_file(dir, fine[i]).s, 0777));
		CHECK_IN(fine[i], verify_false(dir, o, "check.extra", fine[i]));
		CHECK(!rmdir(model_file(dir, fine[i]).s));
		CHECK(!mkfifo(model_file(dir, fine[i]).s, 0777));
		CHECK_IN(fine[i], verify_false(dir, o, "check.extra", fine[i]));
		CHECK(!unlink(model_file(dir, fine[i]).s));
		CHECK(!symlink("config.json", model_file(dir, fine[i]).s));
		CHECK_IN(fine[i], verify_false(dir, o, "check.extra", fine[i]));
		CHECK(!unlink(model_file(dir, fine[i]).s));
	}
}

static void names(void)
{
	struct check_opts o = verify_opts();
	struct report r;
	struct path d;

	make();
	d = copy_of(off.s);
	model_put(d.s, "extra.bin", "x", 1);
	CHECK(verify_false(d.s, &o, "check.extra", "extra.bin"));
	unlink(model_file(d.s, "extra.bin").s);
	model_put(d.s, "." M0 ".part", "x", 1);
	CHECK(warned(d.s, &o, "." M0 ".part"));
	unlink(model_file(d.s, "." M0 ".part").s);
	beside(d.s, &o);
	unlink(model_file(d.s, M1 MAN_SIDECAR).s);
	CHECK(verify_false(d.s, &o, "check.missing", M1 MAN_SIDECAR));
	unlink(model_file(d.s, M0).s);
	CHECK(verify_false(d.s, &o, "check.missing", M0));
	CHECK(!symlink(M1, model_file(d.s, M0).s));
	CHECK(verify_false(d.s, &o, "file.symlink", M0));
	unlink(model_file(d.s, M0).s);
	CHECK(!mkfifo(model_file(d.s, M0).s, 0666));
	CHECK(verify_false(d.s, &o, "file.not-regular", M0));
	unlink(model_file(d.s, MAN_NAME).s);
	CHECK(!mkfifo(model_file(d.s, MAN_NAME).s, 0666));
	CHECK(verify_false(d.s, &o, "file.not-regular", MAN_NAME));
	unlink(model_file(d.s, MAN_NAME).s);
	CHECK(verify_check(&r, model_file(d.s, M1).s, &o) == 2 &&
		verify_find(&r, "check.alone", NULL));
	report_free(&r);
	model_put(d.s, ".dsv4-plan", "x\n", 2);
	CHECK(verify_false(d.s, &o, "check.unfinished", NULL));
	CHECK(verify_check(&r, "/nonexistent", &o) == 2);
	report_free(&r);
}

static void sets(void)
{
	struct check_opts o = verify_opts();
	struct path d;
	char line[1200];

	make();
	d = copy_of(set.s);
	model_put(d.s, "x", "x", 1);
	CHECK(warned(d.s, &o, "x"));
	unlink(model_file(d.s, "x").s);
	model_put(d.s, "x.json", "x", 1);
	CHECK(verify_false(d.s, &o, "check.extra", "x.json"));
	unlink(model_file(d.s, "x.json").s);
	beside(d.s, &o);
	rename_in(d.s, "rank-0-of-2", "t");
	CHECK(verify_false(d.s, &o, "check.missing", "rank-0-of-2"));
	o.rank = "1";
	CHECK(verify_true(d.s, &o));
	o.rank = NULL;
	/* a rank in the place of another; a link to one */
	rename_in(d.s, "rank-1-of-2", "rank-0-of-2");
	rename_in(d.s, "t", "rank-1-of-2");
	CHECK(verify_false(d.s, &o, "set.manifest", "rank-1-of-2/" MAN_NAME));
	d = copy_of(set.s);
	rename_in(d.s, "rank-0-of-2", "rank-0");
	CHECK(!symlink("rank-0", model_file(d.s, "rank-0-of-2").s));
	CHECK(verify_false(d.s, &o, "file.symlink", "rank-0-of-2"));
	d = copy_of(tp.s);
	CHECK(verify_true(d.s, &o));
	model_put(d.s, "pp-0-of-2/x.safetensors", "x", 1);
	CHECK(verify_false(d.s, &o, "check.extra", "pp-0-of-2/x.safetensors"));
	unlink(model_file(d.s, "pp-0-of-2/x.safetensors").s);
	CHECK(!mkdir(model_file(d.s, "pp-1-of-2/rank-9-of-9").s, 0777));
	CHECK(verify_false(d.s, &o, "check.extra", "pp-1-of-2/rank-9-of-9"));
	rmdir(model_file(d.s, "pp-1-of-2/rank-9-of-9").s);
	CHECK(verify_true(d.s, &o));
	snprintf(line, sizeof line, "cd %s && mv pp-0-of-2 pp && ln -s pp pp-0-of-2", d.s);
	CHECK(!system(line));
	CHECK(verify_false(d.s, &o, "file.symlink", "pp-0-of-2/rank-0-of-1"));
}

/* What a conversion keeps for the way back. */
static void kept(void)
{
	static const char dropped[] = "model-00002-of-00007.safetensors.dropped";
	struct check_opts o = verify_opts();
	struct path d, source;
	uint8_t *p;
	size_t n;

	make();
	d = copy_of(hf8.s);
	source = model_file(d.s, "source");
	p = file_get_all(model_file(d.s, dropped).s, &n);
	p[n / 2] ^= 1;
	model_put(d.s, dropped, p, n);
	CHECK(verify_false(d.s, &o, "check.sha256", dropped));
	model_put(d.s, dropped, p, n - 1);
	CHECK(verify_false(d.s, &o, "set.size", dropped));
	unlink(model_file(d.s, dropped).s);
	CHECK(verify_false(d.s, &o, "check.missing", dropped));
	p[n / 2] ^= 1;
	model_put(d.s, dropped, p, n);
	CHECK(verify_true(d.s, &o));
	model_put(d.s, SMALL ".dropped", p, n);
	CHECK(verify_false(d.s, &o, "check.extra", SMALL ".dropped"));
	unlink(model_file(d.s, SMALL ".dropped").s);
	free(p);
	p = file_get_all(model_file(source.s, SMALL ".header").s, &n);
	p[9] ^= 1;
	model_put(source.s, SMALL ".header", p, n);
	free(p);
	CHECK(verify_false(d.s, &o, "check.sha256", "source/" SMALL ".header"));
	unlink(model_file(source.s, MAN_NAME).s);
	CHECK(verify_false(d.s, &o, "check.missing", "source/" MAN_NAME));
	rename_in(d.s, "source", "sauce");
	CHECK(verify_false(d.s, &o, "check.missing", "source"));
	CHECK(verify_false(d.s, &o, "check.extra", "sauce"));
}

/* --- documents that lie --- */

/* A folder with one small file, and manifest and sidecar with some text exchanged. The digests fit. */
struct lie {
	const char *from, *to; /* in the sidecar; NULL: nothing */
	const char *top_from, *top_to;
	const char *rule, *file;
};

/* s with the first from exchanged for to; the caller frees. */
static char *exchanged(const char *s, const char *from, const char *to)
{
	const char *at = from ? strstr(s, from) : s;
	size_t n = from ? strlen(from) : 0, m = from ? strlen(to) : 0;
	char *out = malloc(strlen(s) + m + 1);

	if (!at) {
		fprintf(stderr, "no %s\n", from);
		exit(2);
	}
	memcpy(out, s, (size_t)(at - s));
	memcpy(out + (at - s), from ? to : "", m);
	memcpy(out + (at - s) + m, at + n, strlen(at + n) + 1);
	return out;
}

/* Puts a manifest for what is in dir, with some text exchanged, and seals it if it has not something like a seal. */
static void put_manifest(const char *dir, const char *side, const char *from, const char *to,
	bool seal)
{
	char sha[65], side_sha[65], *s;
	struct xxh_digest d;
	struct text t = { 0 };
	struct stat st;
	size_t at;

	digest_file(model_file(dir, "a.safetensors").s, sha);
	digest_file(model_file(dir, "a.safetensors" MAN_SIDECAR).s, side_sha);
	CHECK(!stat(model_file(dir, "a.safetensors").s, &st));
	text_fmt(&t,
		"{\"files\": [{\"bytes\": %lld, \"name\": \"a.safetensors\", \"sha256\": \"%s\", "
		"\"sidecar\": {\"bytes\": %zu, \"name\": \"a.safetensors.manifest.json\", "
		"\"sha256\": \"%s\"}}], \"format\": \"dsv4-manifest-1\", \"options\": {}, "
		"\"plan\": \"%064d\", \"source\": {\"bytes\": 4, \"sha256\": \"unverified\", "
		"\"shards\": [{\"bytes\": 9, \"name\": \"s.safetensors\", \"sha256\": null}], "
		"\"tensors\": 1}, \"target\": \"hf\", \"tool\": \"t\"}\n",
		(long long)st.st_size, sha, strlen(side), side_sha, 0);
	s = exchanged(t.s, from, to);
	text_free(&t);
	text_put(&t, s, strlen(s));
	free(s);
	at = t.n > 2 && !strcmp(t.s + t.n - 2, "}\n") ? t.n - 2 : 0;
	if (seal && at && seal_of(t.s, t.n) == SEAL_NONE) {
		t.n = at;
		d = xxh_of(t.s, t.n);
		hex_of(d.b, 16, sha);
		text_fmt(&t, ",\n \"xxh3_128\": \"%s\"\n}\n", sha);
	}
	model_put(dir, MAN_NAME, t.s, t.n);
	text_free(&t);
}

/* A file with tensor "w" of 4 bytes; its sidecar is in *side. */
static struct path small_folder(struct text *side)
{
	static const char header[] =
		"{\"w\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,4]}} ";
	struct path d = dirs_new("lie");
	uint8_t file[200] = { 0 };
	uint64_t n = sizeof header - 1;
	struct xxh_digest all, w;
	char a[33], b[33], sha[65];

	memcpy(file, &n, 8);
	memcpy(file + 8, header, n);
	memcpy(file + 8 + n, "abcd", 4);
	all = xxh_of(file, 12 + n);
	w = xxh_of("abcd", 4);
	hex_of(all.b, 16, a);
	hex_of(w.b, 16, b);
	model_put(d.s, "a.safetensors", file, 12 + n);
	digest_file(model_file(d.s, "a.safetensors").s, sha);
	text_fmt(side,
		"{\"chunk_bytes\": 16777216, \"chunks_xxh3_128\": [\"%s\"], \"file\": {\"bytes\": "
		"%d, \"header_bytes\": %d, \"name\": \"a.safetensors\", \"sha256\": \"%s\"}, "
		"\"format\": \"dsv4-sidecar-1\", \"plan\": \"%064d\", \"target\": \"hf\", \"tensors\": "
		"[{\"dtype\": \"U8\", \"name\": \"w\", \"offsets\": [0, 4], \"shape\": [4], "
		"\"sources\": [{\"shard\": \"s.safetensors\", \"tensor\": \"w\", \"xxh3_128\": "
		"\"%s\"}], \"transform\": \"copy\", \"xxh3_128\": \"%s\"}], \"tool\": \"t\"}\n",
		a, (int)n + 12, (int)n + 8, sha, 0, b, b);
	return d;
}

#define A "a.safetensors"
#define S A MAN_SIDECAR
#define EMPTY_CHUNK "\"00000000000000000000000000000000\""
/* clang-format off */
static const struct lie lies[] = {
	/* sidecars */
	{ "[4]", "[3]", NULL, NULL, "set.form", S },
	{ "[0, 4]", "[4, 0]", NULL, NULL, "set.form", S },
	{ "[0, 4]", "[1, 5]", NULL, NULL, "set.form", S },
	{ "[0, 4]", "[0, 4, 4]", NULL, NULL, "set.form", S },
	{ "[0, 4]", "[0]", NULL, NULL, "set.form", S },
	{ "[0, 4]", "[0, 99999999999999999999]", NULL, NULL, "json.range", S },
	{ "[0, 4]", "[0, 4e0]", NULL, NULL, "json.number", S },
	{ "[0, 4]", "[0, -4]", NULL, NULL, "json.number", S },
	{ "[4]", "[4,1,1,1,1,1,1,1,1]", NULL, NULL, "set.form", S },
	{ "[4]", "[281474976710655,281474976710655]", NULL, NULL, "set.form", S },
	{ "\"copy\"", "\"magic\"", NULL, NULL, "set.form", S },
	{ "\"copy\"", "\"tile\"", NULL, NULL, "set.form", S },
	{ "\"U8\"", "\"U7\"", NULL, NULL, "set.form", S },
	{ "\"U8\"", "\"I8\"", NULL, NULL, "check.header", A },
	{ "\"name\": \"w\"", "\"name\": \"v\"", NULL, NULL, "check.header", A },
	{ "\"name\": \"w\"", "\"name\": \"\"", NULL, NULL, "set.form", S },
	{ "\"name\": \"w\"", "\"name\": \"w\", \"name\": \"w\"", NULL, NULL, "set.form", S },
	{ "\"name\": \"w\"", "\"name\": \"w\", \"n\\u0061me\": \"w\"", NULL, NULL, "set.form", S },
	{ "\"name\": \"w\"", "\"name\": \"w\\u0000\"", NULL, NULL, "set.form", S },
	{ "\"name\": \"w\"", "\"name\": \"w\", \"x\": 1", NULL, NULL, "set.form", S },
	{ "\"s.safetensors\"", "\"../s.safetensors\"", NULL, NULL, "set.form", S },
	{ "\"s.safetensors\"", "\"/etc/passwd\"", NULL, NULL, "set.form", S },
	{ "\"s.safetensors\"", "\"..\"", NULL, NULL, "set.form", S },
	{ "{\"shard\": \"s.safetensors\", \"tensor\": \"w\", ", "{", NULL, NULL, "set.form", S },
	{ "16777216", "16777215", NULL, NULL, "set.form", S },
	{ "16777216", "1", NULL, NULL, "set.form", S },
	{ "_128\": [", "_128\": [" EMPTY_CHUNK ", ", NULL, NULL, "set.form", S },
	{ "_128\": [\"", "_128\": [\"0", NULL, NULL, "json.long", S },
	{ "dsv4-sidecar-1", "dsv4-sidecar-2", NULL, NULL, "set.form", S },
	{ "\"name\": \"a.", "\"name\": \"b.", NULL, NULL, "set.form", S },
	{ "\"plan\": \"0", "\"plan\": \"1", NULL, NULL, "check.plan", S },
	{ "\"tool\": \"t\"", "\"tool\": \"u\"", NULL, NULL, "check.plan", S },
	{ "\"target\": \"hf\"", "\"target\": \"official\"", NULL, NULL, "check.plan", S },
	{ "\"tool\": \"t\"}", "\"tool\": \"t\"} x", NULL, NULL, "json.trailing", S },
	{ "\"tool\": \"t\"}", "\"tool\": \"t\"", NULL, NULL, "json.cut", S },
	{ "\"tool\": \"t\"", "\"tool\": \"\xff\"", NULL, NULL, "json.utf8", S },
	{ "\"tool\": \"t\"", "\"tool\": [[[[[[[[[[1]]]]]]]]]]", NULL, NULL, "json.type", S },
	{ "\"tool\": \"t\"", "\"x\": [[[[[[[[[[1]]]]]]]]]]", NULL, NULL, "set.form", S },
	/* manifests */
	{ NULL, NULL, "\"files\": [", "\"files\": [], \"files\": [", "set.form", MAN_NAME },
	{ NULL, NULL, "\"name\": \"a.safetensors\"", "\"name\": \"../a.safetensors\"", "set.form", MAN_NAME },
	{ NULL, NULL, "\"name\": \"a.safetensors\"", "\"name\": \"/a.safetensors\"", "set.form", MAN_NAME },
	{ NULL, NULL, "\"name\": \"a.safetensors\"", "\"name\": \"..\"", "set.form", MAN_NAME },
	{ NULL, NULL, "\"name\": \"a.safetensors\"", "\"name\": \".x\"", "set.form", MAN_NAME },
	{ NULL, NULL, "\"name\": \"a.safetensors\"", "\"name\": \"\"", "set.form", MAN_NAME },
	{ NULL, NULL, "\"name\": \"a.safetensors\"", "\"name\": \"a\\u0000\"", "set.form", MAN_NAME },
	{ NULL, NULL, "\"name\": \"a.safetensors\"", "\"name\": \"b.safetensors\"", "set.form", MAN_NAME },
	{ NULL, NULL, "[{\"bytes\"", "[{\"bytes\": 1, \"name\": \"A.SAFETENSORS\", \"sha256\": null}, {\"bytes\"", "set.form", MAN_NAME },
	{ NULL, NULL, "[{\"bytes\"", "[{\"bytes\": 1, \"name\": \"a.safetensors\", \"sha256\": null}, {\"bytes\"", "set.form", MAN_NAME },
	{ NULL, NULL, "[{\"bytes\"", "[{\"bytes\": 1, \"name\": \"Z\", \"sha256\": null}, {\"bytes\"", "check.missing", "Z" },
	{ NULL, NULL, "\"format\"", "\"formal\"", "set.form", MAN_NAME },
	{ NULL, NULL, "{\"files\"", "{\"x\": {}, \"files\"", "set.form", MAN_NAME },
	{ NULL, NULL, "\"options\": {}", "\"options\": {\"a\": [[[[[[[[1]]]]]]]]}", "json.depth", MAN_NAME },
	{ NULL, NULL, "\"tensors\": 1", "\"tensors\": 18446744073709551616", "json.range", MAN_NAME },
	{ NULL, NULL, "unverified", "perhaps", "set.form", MAN_NAME },
	{ NULL, NULL, "\"options\"", "\"cast_blocks\": {\"exact\": 1, \"inexact\": 1, \"total\": 3}, \"options\"", "set.form", MAN_NAME },
	{ NULL, NULL, "\"options\"", "\"cast_blocks\": {\"exact\": 1, \"inexact\": 1, \"total\": 2}, \"options\"", "set.form", MAN_NAME },
	{ NULL, NULL, "\"t\"}", "\"t\", \"xxh3_128\": \"00\"}", "set.manifest", MAN_NAME },
};
/* clang-format on */

static void documents(void)
{
	struct check_opts o = verify_opts();
	struct text side = { 0 };
	struct path d = small_folder(&side);
	struct report r;
	size_t i;
	char *s;

	model_put(d.s, S, side.s, side.n);
	put_manifest(d.s, side.s, NULL, NULL, false);
	CHECK(verify_check(&r, d.s, &o) == 1 && verify_find(&r, "check.unsealed", MAN_NAME));
	CHECK(r.n == 1);
	report_free(&r);
	put_manifest(d.s, side.s, NULL, NULL, true);
	CHECK(verify_true(d.s, &o));
	for (i = 0; i < sizeof lies / sizeof *lies; i++) {
		s = exchanged(side.s, lies[i].from, lies[i].to);
		model_put(d.s, S, s, strlen(s));
		put_manifest(d.s, s, lies[i].top_from, lies[i].top_to, true);
		CHECK_IN(lies[i].from ? lies[i].to : lies[i].top_to,
			verify_false(d.s, &o, lies[i].rule, lies[i].file));
		free(s);
	}
	/* a tensor's digest that is wrong in itself; a file without SHA-256 */
	s = strstr(side.s, "\"copy\", \"xxh3_128\": \"") + strlen("\"copy\", \"xxh3_128\": \"");
	*s = *s == '0' ? '1' : '0';
	model_put(d.s, S, side.s, side.n);
	put_manifest(d.s, side.s, NULL, NULL, true);
	CHECK(verify_false(d.s, &o, "check.tensor", A));
	text_free(&side);
}

static void without_sha(void)
{
	struct check_opts o = verify_opts();
	struct path d = dirs_path("nosha");
	struct model_job j = model_job("official", 1);
	struct report r;

	j.plan.sha256 = false;
	CHECK(convert(&j, PRO, d.s));
	CHECK(!verify_check(&r, d.s, &o) && verify_find(&r, "check.no-digest", BIG));
	report_free(&r);
}

/* --- hostile: quickly, in little memory, and nothing outside is opened --- */

static void hostile_one(const char *what, const char *from, const char *unit, size_t times,
	bool in_side, const char *rule)
{
	struct check_opts o = verify_opts();
	struct text side = { 0 }, big_text = { 0 };
	struct path d = small_folder(&side);
	struct rusage before, after;
	struct flip_io io;
	struct report r;
	char args[800], *s;
	size_t i;

	text_str(&big_text, from);
	for (i = 0; i < times; i++)
		text_str(&big_text, unit);
	s = exchanged(side.s, in_side ? from : NULL, big_text.s);
	model_put(d.s, S, s, strlen(s));
	put_manifest(d.s, s, in_side ? NULL : from, big_text.s, true);
	free(s);
	text_free(&big_text);
	io = flip_make(NULL, 0, d.s);
	o.io = &io.io;
	getrusage(RUSAGE_SELF, &before);
	CHECK_IN(what, verify_check(&r, d.s, &o) == 1 && verify_find(&r, rule, NULL));
	getrusage(RUSAGE_SELF, &after);
	CHECK_IN(what, SLOW || after.ru_utime.tv_sec - before.ru_utime.tv_sec < 3);
	snprintf(args, sizeof args,
		"%s${B:-build/gcc-opt}/dsv4-verify check %s -q -j 1 >/dev/null 2>&1; [ $? = 1 ]",
		SLOW ? "" : "ulimit -v 262144; ", d.s);
	CHECK_IN(what, !system(args));
	CHECK_IN(what, !io.outside);
	report_free(&r);
	text_free(&side);
}

static void hostile(void)
{
	struct path set_copy;
	struct check_opts o = verify_opts();
	struct flip_io io;
	struct report r;
	char line[1200];
	size_t k = SLOW ? 16 : 1024;

	hostile_one("long name in a sidecar", "\"name\": \"w", "0123456789abcdef", k << 12, true,
		"json.long");
	hostile_one("long key in a sidecar", "{\"chunk_by", "0123456789abcdef", k << 12, true,
		"json.long");
	hostile_one("deep sidecar", "\"tool\": ", "[", k << 10, true, "json.type");
	if (!SLOW)
		hostile_one("many sources", "\"sources\": [", "{\"shard\":\"a\",\"tensor\":\"b\"},",
			k << 11, true, "set.form");
	hostile_one("many chunks", "_128\": [", EMPTY_CHUNK ",", k << 9, true, "set.form");
	hostile_one("long tool in a manifest", "\"tool\": \"t", "0123456789abcdef", k << 11, false,
		"json.long");
	hostile_one("deep manifest", "\"tool\": ", "[", k << 10, false, "json.type");
	hostile_one("many files", "\"files\": [", "{},", k << 10, false, "set.form");
	hostile_one("manifest too big", "\"tool\": \"t", "0123456789abcdef", SLOW ? 1 : 5 << 20,
		false, SLOW ? NULL : "file.too-big");
	/* a healthy set: what is opened lies in it, and no link is followed */
	make();
	io = flip_make(NULL, 0, tp.s);
	o.io = &io.io;
	CHECK(verify_true(tp.s, &o) && io.opens > 20 && !io.outside);
	set_copy = copy_of(tp.s);
	snprintf(line, sizeof line,
		"cd %s/pp-1-of-2/rank-0-of-1 && for f in *; do rm $f; ln -s /etc/passwd $f; done",
		set_copy.s);
	CHECK(!system(line));
	io = flip_make(NULL, 0, set_copy.s);
	CHECK(verify_check(&r, set_copy.s, &o) == 1 && !io.outside);
	report_free(&r);
}

/* --- downloads --- */

static void put_list(struct text *t, const char *dir)
{
	char name[64], hex[65];
	int i;

	for (i = 1; i <= 7; i++) {
		snprintf(name, sizeof name, "model-%05d-of-00007.safetensors", i);
		digest_file(model_file(dir, name).s, hex);
		text_fmt(t, "%s  %s\n", hex, name);
	}
}

static void downloads(void)
{
	struct path d = model_copy(FLASH, "download"), list = dirs_path("list"), cache;
	struct check_opts o = verify_opts();
	struct text t = { 0 };
	char line[2400], hex[65];
	struct report r;
	size_t n;
	uint8_t *p;

	put_list(&t, d.s);
	file_put_all(list.s, t.s, t.n);
	CHECK(!verify_check(&r, d.s, &o) && verify_find(&r, "check.no-digest", NULL));
	report_free(&r);
	o.source_sha256 = list.s;
	CHECK(!verify_check(&r, d.s, &o) && !r.n);
	report_free(&r);
	p = file_get_all(model_file(d.s, SMALL).s, &n);
	p[n - 1] ^= 4;
	model_put(d.s, SMALL, p, n);
	CHECK(verify_false(d.s, &o, "source.sha256", SMALL));
	model_put(d.s, SMALL, p, n - 1);
	CHECK(verify_false(d.s, &o, "st.truncated", SMALL));
	unlink(model_file(d.s, SMALL).s);
	CHECK(verify_false(d.s, &o, "index.shard-missing", SMALL));
	/* a hub's cache: links into blobs, named by their SHA-256 */
	o.source_sha256 = NULL;
	cache = dirs_new("cache");
	snprintf(line, sizeof line,
		"cd %s && mkdir -p blobs snapshots/x && for f in $OLDPWD/" FLASH "/*; do "
		"h=$(sha256sum $f | cut -c1-64); cp $f blobs/$h; "
		"ln -s ../../blobs/$h snapshots/x/${f##*/}; done",
		cache.s);
	CHECK(!system(line));
	snprintf(line, sizeof line, "%s/snapshots/x", cache.s);
	CHECK(verify_true(line, &o));
	CHECK(!verify_check(&r, line, &o) && !r.n);
	report_free(&r);
	digest_file(model_file(FLASH, SMALL).s, hex);
	snprintf(line, sizeof line, "%s/blobs/%s", cache.s, hex);
	p[n - 1] ^= 0x14;
	file_put_all(line, p, n);
	free(p);
	snprintf(line, sizeof line, "%s/snapshots/x", cache.s);
	CHECK(verify_false(line, &o, "source.sha256", SMALL));
	text_free(&t);
}

/* Lists as several programs print them; every line of them is looked at. */
static void put_lines(const char *list, const char *dir, const char *before, const char *between,
	const char *after, bool tag)
{
	char name[64], hex[65];
	struct text t = { 0 };
	int i;

	for (i = 0; i <= 7; i++) {
		snprintf(name, sizeof name, "model-%05d-of-00007.safetensors", i);
		if (!i)
			snprintf(name, sizeof name, "config.json");
		digest_file(model_file(dir, name).s, hex);
		if (tag)
			text_fmt(&t, "%s%s%s%s\n", before, name, after, hex);
		else
			text_fmt(&t, "%s%s%s%s\n", hex, between, before, name);
	}
	text_str(&t, "# the end\n");
	unlink(list);
	file_put_all(list, t.s, t.n);
	text_free(&t);
}

static void add_line(const char *list, const char *line)
{
	FILE *f = fopen(list, "a");

	CHECK(f && fputs(line, f) >= 0 && !fclose(f));
}

#define HEX_0 "0000000000000000000000000000000000000000000000000000000000000000"

static void lists(void)
{
	static const struct {
		const char *before, *between, *after;
		bool tag;
	} form[] = { { "", "  ", "", false }, { "./", " *", "", false },
		{ "/models/v4/", "  ", "", false }, { "v4/", "  ", "", false },
		{ "SHA256 (", "", ") = ", true }, { "SHA2-256(", "", ")= ", true },
		{ "SHA256 (./", "", ") = ", true } };
	struct path d = model_copy(FLASH, "download"), list = dirs_path("list");
	struct check_opts o = verify_opts();
	struct report r;
	size_t i, n;
	uint8_t *p;

	o.source_sha256 = list.s;
	for (i = 0; i < sizeof form / sizeof *form; i++) {
		put_lines(list.s, FLASH, form[i].before, form[i].between, form[i].after,
			form[i].tag);
		CHECK_IN(form[i].before, !verify_check(&r, d.s, &o) && !r.n);
		report_free(&r);
		add_line(list.s,
			form[i].tag ? "SHA256 (/elsewhere/config.json) = " HEX_0 "\n"
				    : HEX_0 "  /elsewhere/config.json\n");
		CHECK_IN(form[i].before, verify_true(d.s, &o));
	}
	/* in haste too, what the list speaks of is read whole */
	put_lines(list.s, FLASH, "", "  ", "", false);
	p = file_get_all(model_file(d.s, SMALL).s, &n);
	p[n - 1] ^= 4;
	model_put(d.s, SMALL, p, n);
	o.quick = true;
	CHECK(verify_false(d.s, &o, "source.sha256", SMALL));
	p[n - 1] ^= 4;
	model_put(d.s, SMALL, p, n);
	free(p);
	o.quick = false;
	/* lines about other files than shards */
	p = file_get_all(model_file(d.s, "config.json").s, &n);
	verify_exchange(model_file(d.s, "config.json").s, "{", "{ ");
	CHECK(verify_false(d.s, &o, "source.sha256", "config.json"));
	model_put(d.s, "config.json", p, n);
	free(p);
	CHECK(verify_true(d.s, &o));
	add_line(list.s, HEX_0 "  README.md\n");
	CHECK(verify_true(d.s, &o));
	add_line(list.s, HEX_0 "  tokenizer_config2.json\n");
	CHECK(verify_false(d.s, &o, "check.missing", "tokenizer_config2.json"));
	put_lines(list.s, FLASH, "", "  ", "", false);
	add_line(list.s, HEX_0 "  model-00008-of-00007.safetensors\n");
	CHECK(verify_false(d.s, &o, "check.missing", "model-00008-of-00007.safetensors"));
	add_line(list.s, "what is this\n");
	CHECK(verify_check(&r, d.s, &o) == 2 && verify_find(&r, "source.list", NULL));
	report_free(&r);
}

/* The same of conversions: the list is about what they were made of. */
static void lists_of_conversions(void)
{
	struct path list = dirs_path("list"), d = dirs_path("listed");
	struct check_opts o = verify_opts();
	struct job_opts so = set_opts("marlin-mxfp4", 2, false);
	struct model_job j = model_job("official", 2);
	struct report r;
	const char *dirs[4];
	size_t i;

	make();
	put_lines(list.s, FLASH, "", "  ", "", false);
	o.source_sha256 = list.s;
	dirs[0] = off.s, dirs[1] = set.s, dirs[2] = tp.s, dirs[3] = hf8.s;
	for (i = 0; i < 4; i++) { /* made without a list */
		CHECK_IN(dirs[i], verify_check(&r, dirs[i], &o) == 2);
		CHECK_IN(dirs[i], verify_find(&r, "check.source-unknown", NULL));
		report_free(&r);
	}
	j.expected = list.s;
	CHECK(convert(&j, FLASH, d.s));
	CHECK(verify_true(d.s, &o));
	add_line(list.s, HEX_0 "  README.md\n");
	CHECK(verify_true(d.s, &o));
	add_line(list.s, HEX_0 "  model-00008-of-00007.safetensors\n");
	CHECK(verify_false(d.s, &o, "check.missing", "model-00008-of-00007.safetensors"));
	put_lines(list.s, FLASH, "", "  ", "", false);
	verify_exchange(list.s, "  " SMALL, "0 " SMALL);
	CHECK(verify_check(&r, d.s, &o) == 2 && verify_find(&r, "source.list", NULL));
	report_free(&r);
	o.source_sha256 = "/nonexistent";
	CHECK(verify_check(&r, d.s, &o) == 2);
	report_free(&r);
	o.quick = true;
	CHECK(verify_check(&r, d.s, &o) == 2);
	report_free(&r);
	o.quick = false;
	CHECK(verify_check(&r, hf8.s, &o) == 2);
	report_free(&r);
	/* a set: of its source by source/, whose small files are the source's too */
	dirs_remove(d.s);
	put_lines(list.s, FLASH, "", "  ", "", false);
	o.source_sha256 = so.source_sha256 = list.s;
	CHECK(set_makes(FLASH, d.s, &so) && verify_true(d.s, &o));
	unlink(list.s);
	put_lines(list.s, FLASH, "", "  ", "", false);
	{
		char hex[65], *text;
		size_t n;
		struct text t = { 0 };

		digest_file(model_file(FLASH, SMALL).s, hex);
		text = (char *)file_get_all(list.s, &n);
		text_put(&t, text, n);
		free(text);
		memset(strstr(t.s, hex), '1', 8);
		unlink(list.s);
		file_put_all(list.s, t.s, t.n);
		CHECK(verify_false(d.s, &o, "source.sha256", SMALL));
		digest_file(model_file(FLASH, "config.json").s, hex);
		memset(strstr(t.s, hex), '1', 8);
		unlink(list.s);
		file_put_all(list.s, t.s, t.n);
		CHECK(verify_false(d.s, &o, "source.sha256", "source/config.json"));
		text_free(&t);
	}
}

/* Every call of the system that fails: never "true", nothing left open; short and interrupted reads change
 * nothing. */
static void failing_calls(void)
{
	struct check_opts o = verify_opts();
	struct faultio f;
	struct report r;
	uint64_t n, at;
	bool harmless;
	int rc;

	make();
	o.threads = 1;
	faultio_make(&f);
	o.io = &f.io;
	CHECK(verify_true(set.s, &o) && !f.n_open);
	n = f.calls[IO_ANY] - f.calls[IO_CLOSE];
	faultio_make(&f);
	f.most = 1000;
	f.op = IO_PREAD;
	f.eintr = 1;
	o.io = &f.io;
	CHECK(SLOW || verify_true(hf.s, &o));
	for (at = 1; at <= n + 200; at += SLOW ? 37 : 5) {
		faultio_make(&f);
		f.op = IO_ANY;
		f.at = at;
		f.error = EIO;
		o.io = &f.io;
		rc = verify_check(&r, set.s, &o);
		/* closing what was read, and looking before opening, can fail without harm */
		harmless = f.failed[IO_ANY] == f.failed[IO_CLOSE] + f.failed[IO_LSTAT];
		if (!harmless && !rc) {
			fprintf(stderr, "call %llu: status %d\n", (unsigned long long)at, rc);
			verify_print(&r);
			FAILED("a call that failed");
		}
		CHECK(!f.n_open && !f.strange);
		report_free(&r);
	}
	printf("     %llu calls\n", (unsigned long long)n);
}

/* The program itself: statuses, and JSON that parses. */
static void program(void)
{
	char args[700];

	make();
	snprintf(args, sizeof args, "check %s -q", off.s);
	CHECK(model_tool("dsv4-verify", args) == 0);
	snprintf(args, sizeof args, "check %s -q --rank 7", off.s);
	CHECK(model_tool("dsv4-verify", args) == 2);
	snprintf(args, sizeof args, "check %s -q --quick --json -j 1 --max-memory 1M", set.s);
	CHECK(model_tool("dsv4-verify", args) == 0);
	CHECK(model_tool("dsv4-verify", "check tests -q") == 1);
	CHECK(model_tool("dsv4-verify", "check") == 2);
}

static const struct test tests[] = {
	{ "check: whole", whole },
	{ "check: bits of manifests", manifest_bits },
	{ "check: bits of headers and sidecars", header_and_sidecar_bits },
	{ "check: bits of payload", payload_bits },
	{ "check: chunks", chunks },
	{ "check: files exchanged", swapped },
	{ "check: files of another run", stale },
	{ "check: files cut off", cut },
	{ "check: names", names },
	{ "check: sets", sets },
	{ "check: what is kept for the way back", kept },
	{ "check: documents", documents },
	{ "check: without SHA-256", without_sha },
	{ "check: hostile", hostile },
	{ "check: downloads", downloads },
	{ "check: lists", lists },
	{ "check: lists of conversions", lists_of_conversions },
	{ "check: failing calls", failing_calls },
	{ "check: program", program },
	{ NULL, NULL },
};
TEST_MAIN(tests)
