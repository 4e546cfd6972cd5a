/* test_out.c -- folders and files that the tools write to: links that lead out of them, what lies beside
 * conversions, temporary names, destinations of reports, keys, limits of the system.
 *
 * SPDX-License-Identifier: MIT */
#include "core/dest.h"
#include "core/file.h"
#include "formats/conversion/bystander.h"
#include "tests/model.h"
#include "tests/sign.h"
#include "verify/sign/keyfile.h"

#include <stdarg.h>
#include <sys/stat.h>
#include <unistd.h>

#define FLASH "tests/golden/tiny-flash"

static struct text said; /* by the last tool, on both streams */

/* Runs "TOOL ARGS" of the build folder with a prefix such as "umask 77;". Returns its exit status. */
static int run(const char *before, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static int run(const char *before, const char *fmt, ...)
{
	struct path log = dirs_path("said");
	const char *b = getenv("B");
	char line[4096], args[3000];
	uint8_t *p;
	size_t n;
	va_list ap;
	int rc;

	va_start(ap, fmt);
	vsnprintf(args, sizeof args, fmt, ap);
	va_end(ap);
	snprintf(line, sizeof line, "{ %s %s/%s; } >%s 2>&1", before, b ? b : "build/gcc-opt", args,
		log.s);
	rc = system(line);
	p = file_get_all(log.s, &n);
	said.n = 0;
	text_put(&said, p ? (const void *)p : "", n);
	text_put(&said, "", 1);
	produced_in(said.s);
	free(p);
	return WIFEXITED(rc) ? WEXITSTATUS(rc) : 128 + WTERMSIG(rc);
}

/* Status and rule are as expected. */
static bool ends(int rc, int status, const char *rule)
{
	if (rc == status && (!rule || strstr(said.s, rule)))
		return true;
	fprintf(stderr, "expected %d %s, got %d: %s\n", status, rule ? rule : "", rc, said.s);
	return false;
}

/* --- links --- */

/* A link planted where a folder of the output should be. Nothing is written where it leads. */
static void links(void)
{
	static const char *const row[][2] = {
		{ "rank-0-of-2", "--target marlin-mxfp4 --ranks 2" },
		{ "source", "--target marlin-mxfp4 --ranks 2" },
		{ "pp-1-of-2", "--target marlin-mxfp4 --ranks 2 --pp 2" },
		{ "source", "--target hf" },
	};
	struct path out, away, at;
	size_t i;
	int over;

	for (i = 0; i < sizeof row / sizeof *row; i++) {
		for (over = 0; over < 2; over++) {
			out = dirs_new("linked");
			away = dirs_new("away");
			at = model_file(out.s, row[i][0]);
			CHECK(!symlink(away.s, at.s));
			CHECK_IN(row[i][1],
				run("", "dsv4-convert plan " FLASH " -o %s %s %s", out.s, row[i][1],
					over ? "--overwrite" : "") == 2);
			CHECK_IN(row[i][1],
				ends(run("", "dsv4-convert run " FLASH " -o %s -q %s %s", out.s,
					     row[i][1], over ? "--overwrite" : ""),
					2, "out.link"));
			CHECK_IN(row[i][1], model_entries(away.s) == 0);
			CHECK(!unlink(at.s));
			CHECK_IN(row[i][1],
				ends(run("", "dsv4-convert run " FLASH " -o %s -q %s", out.s,
					     row[i][1]),
					0, NULL));
		}
	}
}

/* What is restored or laid out anew does not go into the folder that it is made of. */
static void nested(void)
{
	static const char *const to[] = { "back", "source/back", "source", "." };
	struct path hf = dirs_path("hf");
	size_t i;

	CHECK(!run("", "dsv4-convert run " FLASH " -o %s --target hf -q", hf.s));
	for (i = 0; i < sizeof to / sizeof *to; i++) {
		CHECK_IN(to[i],
			ends(run("", "dsv4-convert restore %s -o %s/%s -q", hf.s, hf.s, to[i]), 2,
				"out.nested"));
		CHECK(!is_file(model_file(hf.s, "back").s));
	}
	CHECK(ends(run("", "dsv4-verify check %s -q", hf.s), 0, NULL));
	CHECK_IN(said.s, !strcmp(said.s, "check: true\n")); /* -q: the verdict alone */
}

/* --- what lies beside a conversion --- */

static void kinds(void)
{
	static const struct {
		const char *name;
		mode_t mode;
		enum bystander is;
	} row[] = {
		{ "LICENSE", S_IFREG, BYSTANDER_KNOWN },
		{ "License.txt", S_IFREG, BYSTANDER_KNOWN },
		{ "README.md", S_IFREG, BYSTANDER_KNOWN },
		{ ".DS_Store", S_IFREG, BYSTANDER_KNOWN },
		{ "._config.json", S_IFREG, BYSTANDER_KNOWN },
		{ "lost+found", S_IFDIR, BYSTANDER_KNOWN },
		{ ".cache", S_IFDIR, BYSTANDER_KNOWN },
		{ "model.sig", S_IFREG, BYSTANDER_KNOWN },
		{ "attestation.json", S_IFREG, BYSTANDER_KNOWN },
		{ "manifest.json.minisig", S_IFREG, BYSTANDER_KNOWN },
		{ "atlas.jsonl", S_IFREG, BYSTANDER_KNOWN },
		{ "atlas.jsonl", S_IFLNK, BYSTANDER_MODEL },
		{ "other.atlas.jsonl", S_IFREG, BYSTANDER_MODEL },
		{ "notes.txt", S_IFREG, BYSTANDER_UNKNOWN },
		{ "zz", S_IFREG, BYSTANDER_UNKNOWN },
		{ ".model.safetensors.0123456789abcdef.part", S_IFREG, BYSTANDER_UNKNOWN },
		{ "model.sig", S_IFDIR, BYSTANDER_MODEL },
		{ "model.sig", S_IFLNK, BYSTANDER_MODEL },
		{ "attestation.json", S_IFIFO, BYSTANDER_MODEL },
		{ "README.md", S_IFLNK, BYSTANDER_MODEL },
		{ "README.safetensors", S_IFREG, BYSTANDER_MODEL },
		{ "LICENSE.json", S_IFREG, BYSTANDER_MODEL },
		{ ".cache", S_IFREG, BYSTANDER_MODEL },
		{ "MODEL.SAFETENSORS", S_IFREG, BYSTANDER_MODEL },
		{ "generation_config.json", S_IFREG, BYSTANDER_MODEL },
		{ "modeling.py", S_IFREG, BYSTANDER_MODEL },
		{ "chat_template.jinja", S_IFREG, BYSTANDER_MODEL },
		{ "vocab.txt", S_IFREG, BYSTANDER_MODEL },
		{ "rank-2-of-2", S_IFDIR, BYSTANDER_MODEL },
		{ "stuff", S_IFDIR, BYSTANDER_MODEL },
		{ "null", S_IFCHR, BYSTANDER_MODEL },
	};
	size_t i;

	for (i = 0; i < sizeof row / sizeof *row; i++)
		CHECK_IN(row[i].name, bystander_of(row[i].name, row[i].mode) == row[i].is);
	CHECK(bystander_is_signature("model.sig", S_IFREG));
	CHECK(!bystander_is_signature("model.sig", S_IFDIR));
	CHECK(!bystander_is_signature("README", S_IFREG));
	CHECK(!bystander_is_signature("atlas.jsonl", S_IFREG));
	CHECK(bystander_is_litter("lost+found", S_IFDIR) &&
		!bystander_is_litter("README", S_IFREG));
}

/* They disturb no verb. */
static void beside(void)
{
	static const char *const target[] = { "official --mp 2", "marlin-mxfp4 --ranks 2" };
	struct path out;
	size_t i;

	for (i = 0; i < sizeof target / sizeof *target; i++) {
		out = dirs_new("beside");
		model_put(out.s, "LICENSE", "x", 1);
		model_put(out.s, "README.md", "x", 1);
		model_put(out.s, ".DS_Store", "x", 1);
		model_put(out.s, "notes.txt", "x", 1);
		model_put(out.s, "model.sig", "x", 1);
		CHECK(!mkdir(model_file(out.s, "lost+found").s, 0700) &&
			!mkdir(model_file(out.s, ".cache").s, 0777));
		CHECK_IN(target[i],
			ends(run("", "dsv4-convert run " FLASH " -o %s -q --target %s", out.s,
				     target[i]),
				0, NULL));
		CHECK_IN(target[i],
			ends(run("", "dsv4-convert run " FLASH " -o %s -q --target %s", out.s,
				     target[i]),
				0, NULL));
		CHECK(is_file(model_file(out.s, "notes.txt").s));
	}
}

/* A folder of a rank that the set does not have, and a file, between the set and its folders. */
static void between(void)
{
	struct path out = dirs_path("between"), at;

	CHECK(!run("", "dsv4-convert run " FLASH " -o %s -q --target marlin-mxfp4 --ranks 2 --pp 2",
		out.s));
	CHECK(ends(run("", "dsv4-verify check %s", out.s), 0, NULL));
	CHECK_IN(said.s, !strstr(said.s, "config.json")); /* what is true is counted, not listed */
	at = model_file(out.s, "pp-0-of-2/rank-9-of-9");
	CHECK(!mkdir(at.s, 0777));
	CHECK(ends(run("", "dsv4-verify check %s", out.s), 1, "check.extra"));
	CHECK(!rmdir(at.s));
	model_put(out.s, "pp-1-of-2/model.safetensors", "x", 1);
	CHECK(ends(run("", "dsv4-verify check %s", out.s), 1, "check.extra"));
	CHECK(!unlink(model_file(out.s, "pp-1-of-2/model.safetensors").s));
	model_put(out.s, "pp-1-of-2/notes", "x", 1);
	CHECK(ends(run("", "dsv4-verify check %s", out.s), 0, "check.unknown"));
}

/* --- temporary files --- */

static void part_names(void)
{
	static const char *const row[][2] = {
		{ ".a.part", "a" },
		{ ".a.0123456789abcdef.part", "a" },
		{ ".a.0123456789ABCDEF.part", "a.0123456789ABCDEF" },
		{ ".0123456789abcdef.part", "0123456789abcdef" },
		{ "a.part", NULL },
		{ ".part", NULL },
		{ ".a.par", NULL },
	};
	char name[256];
	size_t i;

	for (i = 0; i < sizeof row / sizeof *row; i++)
		CHECK_IN(row[i][0],
			file_is_part(row[i][0], name) == (row[i][1] != NULL) &&
				(!row[i][1] || !strcmp(name, row[i][1])));
}

/* Somebody puts another file in place of the temporary one: it does not get the name. */
static void exchanged(void)
{
	struct path d = dirs_new("exchanged");
	struct file_out a, b;
	struct err e = { 0 };
	int dir = open(d.s, O_RDONLY | O_DIRECTORY);

	CHECK(!file_out_begin(&a, io_posix(), dir, "x", 0, &e) &&
		!file_out_begin(&b, io_posix(), dir, "x", 0, &e));
	CHECK(strcmp(a.part, b.part));
	CHECK(!file_out_close(&a, &e) && !file_write(io_posix(), b.fd, "zeros", 5, 0, &e));
	b.size = 5;
	CHECK(!file_out_close(&b, &e));
	CHECK(!renameat(dir, b.part, dir, a.part));
	CHECK(file_out_publish(&a, &e) && e.rule && !strcmp(e.rule, "out.race"));
	CHECK(!is_file(model_file(d.s, "x").s));
	file_out_abandon(&a);
	file_out_abandon(&b);
	CHECK(model_entries(d.s) == 0);
	close(dir);
}

/* What a killed run left does not count as used, and is removed. */
static void leftovers(void)
{
	struct path out = dirs_new("leftovers");
	char name[300];

	CHECK(!run("", "dsv4-convert run " FLASH " -o %s -q --target official --mp 2", out.s));
	CHECK(!unlink(model_file(out.s, "manifest.json").s));
	snprintf(name, sizeof name, ".model0-mp2.safetensors.%s.part", "00000000000000aa");
	model_put(out.s, name, "x", 1);
	model_put(out.s, ".model1-mp2.safetensors.part", "x", 1);
	CHECK(ends(run("", "dsv4-convert run " FLASH " -o %s -q --target official --mp 2", out.s),
		0, NULL));
	CHECK(!is_file(model_file(out.s, name).s));
	CHECK(!is_file(model_file(out.s, ".model1-mp2.safetensors.part").s));
	CHECK(ends(run("", "dsv4-verify check %s -q", out.s), 0, NULL));
}

static mode_t mode_of(const char *dir, const char *name)
{
	struct stat st;

	return lstat(model_file(dir, name).s, &st) ? 0 : st.st_mode & 07777;
}

static void modes(void)
{
	static const mode_t mask[] = { 022, 077, 002 };
	struct path out;
	char before[20];
	size_t i;

	for (i = 0; i < sizeof mask / sizeof *mask; i++) {
		out = dirs_path("modes");
		dirs_remove(out.s);
		snprintf(before, sizeof before, "umask %03o;", (unsigned)mask[i]);
		CHECK(!run(before, "dsv4-convert run " FLASH " -o %s -q --target official --mp 2",
			out.s));
		CHECK(mode_of(out.s, "model0-mp2.safetensors") == (0666 & ~mask[i]));
		CHECK(mode_of(out.s, "manifest.json") == (0666 & ~mask[i]));
		CHECK(mode_of(out.s, ".") == (0777 & ~mask[i]));
	}
}

/* --- destinations --- */

static bool holds(const char *path, const char *text)
{
	size_t n;
	uint8_t *p = file_get_all(path, &n);
	bool is = p && n == strlen(text) && !memcmp(p, text, n);

	free(p);
	return is;
}

static bool is_any(const struct io *io, int fd, uint64_t size)
{
	(void)io, (void)fd, (void)size;
	return true;
}

static const struct dest_kind any = { "any file", is_any };

static bool put(const char *path, const char *text)
{
	struct dest d;
	struct err e = { 0 };
	bool ok = !dest_open(&d, io_posix(), path, &any, &e);

	ok = ok && !dest_put(&d, text, strlen(text), &e);
	dest_close(&d);
	return ok;
}

static void destinations(void)
{
	struct path d = dirs_new("dest"), file = model_file(d.s, "r.xml"),
		    link = model_file(d.s, "link");
	struct dest to;
	struct err e = { 0 };
	struct stat st;

	CHECK(put(file.s, "one") && holds(file.s, "one"));
	CHECK(put(file.s, "two") && holds(file.s, "two"));
	CHECK(!symlink("r.xml", link.s) && put(link.s, "three") && holds(file.s, "three"));
	CHECK(!lstat(link.s, &st) && S_ISLNK(st.st_mode));
	CHECK(put("/dev/null", "gone") && !lstat("/dev/null", &st) && S_ISCHR(st.st_mode));
	CHECK(model_entries(d.s) == 2);
	/* opened and not written: as it was */
	CHECK(!dest_open(&to, io_posix(), file.s, &any, &e));
	dest_close(&to);
	CHECK(holds(file.s, "three") && model_entries(d.s) == 2);
	CHECK(dest_open(&to, io_posix(), d.s, &any, &e) && e.kind == ERR_USAGE);
	memset(&e, 0, sizeof e);
	CHECK(dest_open(&to, io_posix(), model_file(d.s, "no/r.xml").s, &any, &e));
	memset(&e, 0, sizeof e);
	CHECK(dest_open(&to, io_posix(), "", &any, &e));
	/* one that came to be there during the work stays */
	CHECK(!unlink(file.s) && !dest_open(&to, io_posix(), file.s, NULL, &e));
	file_put_all(file.s, "other", 5);
	memset(&e, 0, sizeof e);
	CHECK(dest_put(&to, "new", 3, &e) && !strcmp(e.rule, "out.file") && holds(file.s, "other"));
	dest_close(&to);
	/* an empty one has nothing to lose */
	file_put_all(file.s, "", 0);
	CHECK(!dest_open(&to, io_posix(), file.s, NULL, &e) && !dest_put(&to, "new", 3, &e));
	dest_close(&to);
	CHECK(holds(file.s, "new"));
}

/* Runs call and option, with each of some files of $M added, which are of other kinds. before sets $M, a folder like was, and
 * $KEY. Each call has to end with exit status 2 and say that, and leave the folder as it was. */
static void stay(const char *before, const char *call, const char *option, const char *says)
{
	/* tokens: no line has an end */
	static const char *const victims[] = { "model-00001-of-00007.safetensors", "config.json",
		"tokens", "page.html" };
	struct path d = dirs_path("victims"), was = dirs_path("was");
	char line[2500];
	size_t v;

	for (v = 0; v < sizeof victims / sizeof *victims; v++) {
		CHECK_IN(call,
			ends(run(before, "%s -q %s %s", call, option,
				     model_file(d.s, victims[v]).s),
				2, says));
		snprintf(line, sizeof line, "diff -r %s %s", d.s, was.s);
		CHECK_IN(call, !system(line));
	}
}

/* Every option that names a file to be written, of every verb: a file of another kind stays, and the call says so. */
static void named_files(void)
{
	static const char *const calls[][3] = {
		{ "dsv4-quant imatrix $M --tokens 1,2,3", "-o", "out.file" },
		{ "dsv4-verify record $M --tokens 1,2,3", "-o", "out.file" },
		{ "dsv4-verify doctor $M", "--fix-config", "out.file" },
		{ "dsv4-verify doctor $M", "--fix-index", "out.file" },
		{ "dsv4-verify logits $M " FLASH " --tokens 1,2,3", "--results", "line 1: " },
		{ "dsv4-verify attest $M", "-o", "sig.exists" },
		{ "dsv4-verify sign $M --key $KEY", "-o", "sig.exists" },
	};
	static const char *const verbs[] = { "dsv4-verify check $M",
		"dsv4-verify compare $M " FLASH, "dsv4-verify signature $M --key $KEY",
		"dsv4-verify logits $M " FLASH " --tokens 1,2,3",
		"dsv4-verify record $M --tokens 1,2,3 -o out",
		"dsv4-verify replay $M " FLASH "/config.json", "dsv4-verify diff $M " FLASH,
		"dsv4-verify doctor $M", "dsv4-verify parity $M " FLASH "/config.json" };
	struct path d = dirs_path("victims"), was = dirs_path("was"), both[] = { d, was };
	char line[2500], before[2500];
	size_t i;

	keys_make();
	snprintf(line, sizeof line, "cp -r %s %s && cp -r %s %s", FLASH, d.s, FLASH, was.s);
	CHECK(!system(line));
	for (i = 0; i < 2; i++) {
		model_put(both[i].s, "tokens", "1,2,3", 5);
		model_put(both[i].s, "page.html", "<!DOCTYPE html>\n", 16);
	}
	snprintf(before, sizeof before, "M=%s; KEY=%s;", d.s, key_path("p256.pem").s);
	for (i = 0; i < sizeof calls / sizeof *calls; i++)
		stay(before, calls[i][0], calls[i][1], calls[i][2]);
	for (i = 0; i < sizeof verbs / sizeof *verbs; i++) {
		stay(before, verbs[i], "--junit", "out.file");
		stay(before, verbs[i], "--report", "out.file");
	}
}

/* The second call in one workspace replaces what the first has written; what cannot be written fails first. */
static void reports(void)
{
	struct path d = dirs_new("reports"), out = dirs_path("reported"), xml, html, rec, cfg;
	char both[1100];

	xml = model_file(d.s, "r.xml");
	html = model_file(d.s, "r.html");
	rec = model_file(d.s, "r.rec");
	cfg = model_file(d.s, "c.json");
	snprintf(both, sizeof both, "--junit %s --report %s", xml.s, html.s);
	CHECK(!run("", "dsv4-convert run " FLASH " -o %s -q --target official --mp 2", out.s));
	CHECK(ends(run("", "dsv4-verify check %s -q %s", out.s, both), 0, NULL));
	CHECK(ends(run("", "dsv4-verify check %s -q %s", out.s, both), 0, NULL));
	model_put(out.s, "model1-mp2.safetensors", "x", 1);
	CHECK(ends(run("", "dsv4-verify check %s -q %s", out.s, both), 1, NULL));
	CHECK(!holds(xml.s, "") && model_entries(d.s) == 2);
	CHECK(ends(run("", "dsv4-verify check %s -q --junit %s/no/r.xml", out.s, d.s), 2, "no/"));
	CHECK(ends(run("", "dsv4-verify check %s -q --junit -", out.s), 1, "<testsuite"));
	CHECK(said.s[0] == '<' && !strstr(said.s, "check: false"));
	CHECK(ends(run("", "dsv4-verify check %s -q --json --junit -", out.s), 2,
		"can be printed"));
	CHECK(ends(run("", "dsv4-verify record " FLASH " --tokens 1,2,3 -o %s -q", rec.s), 0,
		NULL));
	CHECK(ends(run("", "dsv4-verify record " FLASH " --tokens 1,2,3 -o %s -q", rec.s), 0,
		NULL));
	CHECK(ends(run("", "dsv4-verify record " FLASH " --tokens 1,2,3 -o /dev/null -q"), 2,
		"regular"));
	CHECK(run("", "dsv4-verify doctor " FLASH " --fix-config %s -q", cfg.s) <= 1);
	CHECK(ends(run("", "dsv4-verify doctor " FLASH " --fix-config %s/no/c -q", d.s), 2, "no/"));
}

/* --- keys --- */

static int foreign_fstat(const struct io *io, int fd, struct stat *st)
{
	int rc = io_posix()->fstat(io, fd, st);

	st->st_uid = geteuid() + 12345;
	return rc;
}

static void owner(void)
{
	struct path key = dirs_path("key");
	struct keyfile_at at = { .path = key.s, .fd = -1 };
	struct keyfile k;
	struct err e = { 0 };
	struct io io = *io_posix();

	file_put_all(key.s, "secret", 6);
	CHECK(!chmod(key.s, 0600) && !keyfile_read(&k, &io, &at, true, &e));
	keyfile_free(&k);
	io.fstat = foreign_fstat;
	CHECK(!keyfile_read(&k, &io, &at, false, &e)); /* public */
	keyfile_free(&k);
	CHECK(keyfile_read(&k, &io, &at, true, &e) && !strcmp(e.rule, "key.owner"));
}

/* --- limits --- */

/* A file larger than the limit of the process, and a reader of stdout that has gone: an error, or none, and
 * no temporary file. */
static void signals(void)
{
	struct path out = dirs_path("limited"), status = dirs_path("status");
	char after[600];
	int rc;

	rc = run("ulimit -f 4;", "dsv4-convert run " FLASH " -o %s -q --target official --mp 2",
		out.s);
	CHECK(ends(rc, 2, "File too large"));
	CHECK(!is_file(out.s) || model_entries(out.s) == 0);
	snprintf(after, sizeof after, "; echo $? >%s", status.s);
	rc = run("{", "dsv4-convert run " FLASH " -o %s --target official --mp 2%s; } | true",
		out.s, after);
	CHECK(rc == 0 && holds(status.s, "0\n"));
	model_put(out.s, "config.json", "x", 1);
	CHECK(!run("{", "dsv4-verify check %s%s; } | true", out.s, after) &&
		holds(status.s, "1\n"));
	CHECK(!unlink(model_file(out.s, "config.json").s));
	CHECK(ends(run("", "dsv4-convert run " FLASH " -o %s -q --target official --mp 2", out.s),
		0, NULL));
	CHECK(ends(run("", "dsv4-verify check %s -q", out.s), 0, NULL));
}

static const struct test tests[] = {
	{ "links", links },
	{ "nested", nested },
	{ "kinds", kinds },
	{ "beside", beside },
	{ "between", between },
	{ "part_names", part_names },
	{ "exchanged", exchanged },
	{ "leftovers", leftovers },
	{ "modes", modes },
	{ "destinations", destinations },
	{ "named_files", named_files },
	{ "reports", reports },
	{ "owner", owner },
	{ "signals", signals },
	{ 0 },
};

TEST_MAIN(tests)
