/* test_sign_bad.c -- what a signature must not be believed of its folder: each changed in one place, with the rule that names
 * it; what sign refuses, and every failing system call.
 *
 * SPDX-License-Identifier: MIT */
#include "tests/faultio.h"
#include "tests/signed.h"

static void do_flip(const char *d)
{
	tiny_file(NULL, d, "model-1.safetensors", "weights, more or lesz\n", true);
}

static void do_cut(const char *d)
{
	CHECK(!truncate(below(d, "model-1.safetensors").s, 5));
}

static void do_longer(const char *d)
{
	CHECK(!truncate(below(d, "model-1.safetensors").s, 500));
}

static void do_empty(const char *d)
{
	CHECK(!truncate(below(d, "config.json").s, 0));
}

static void do_remove(const char *d)
{
	CHECK(!unlink(below(d, "model-1.safetensors").s));
}

static void do_rename(const char *d)
{
	CHECK(!rename(below(d, "model-1.safetensors").s, below(d, "model-3.safetensors").s));
}

static void do_case(const char *d)
{
	CHECK(!rename(below(d, "model-1.safetensors").s, below(d, "Model-1.safetensors").s));
}

static void do_swap(const char *d)
{
	struct path a = below(d, "model-1.safetensors"), b = below(d, "model-2.safetensors"),
		    c = below(d, "x");

	CHECK(!rename(a.s, c.s) && !rename(b.s, a.s) && !rename(c.s, b.s));
}

static void do_extra(const char *d)
{
	tiny_file(NULL, d, "model-0.safetensors", "x", true);
}

static void do_hidden(const char *d)
{
	tiny_file(NULL, d, ".x", "", true);
}

static void do_twin(const char *d)
{
	tiny_file(NULL, d, "CONFIG.json", "{}\n", true);
}

static void do_deep(const char *d)
{
	CHECK(!mkdir(below(d, "a").s, 0777));
	tiny_file(NULL, d, "a/x.py", "", true);
}

static void do_python(const char *d)
{
	tiny_file(NULL, d, "modeling_x.py", "import os", true);
}

static void do_link(const char *d)
{
	struct path a = below(d, "model-1.safetensors");

	CHECK(!rename(a.s, below(dirs_top.s, "linked").s));
	CHECK(!symlink("../linked", a.s));
}

static void do_folder_link(const char *d)
{
	CHECK(!symlink("..", below(d, "a").s));
}

static void do_fifo(const char *d)
{
	struct path a = below(d, "config.json");

	CHECK(!unlink(a.s) && !mkfifo(a.s, 0600));
}

/* Under a name that signatures have. */
static void do_sig_fifo(const char *d)
{
	CHECK(!mkfifo(below(d, "attestation.json").s, 0600));
}

static void do_sig_folder(const char *d)
{
	CHECK(!mkdir(below(d, "attestation.json").s, 0777));
	tiny_file(NULL, d, "attestation.json/x.py", "", true);
}

static void do_sig_link(const char *d)
{
	CHECK(!symlink("config.json", below(d, "attestation.json").s));
}

static void do_folder(const char *d)
{
	struct path a = below(d, "config.json");

	CHECK(!unlink(a.s) && !mkdir(a.s, 0777));
}

static void do_manifest(const char *d)
{
	struct path a = below(d, "manifest.json");
	struct text t = file_text(a.s);

	replace(&t, "\"target\": \"hf\"", "\"target\": \"hg\"");
	text_file(a.s, &t);
	text_free(&t);
}

static void do_lineage(const char *d)
{
	struct path a = below(d, "manifest.json");
	struct text t = file_text(a.s);

	replace(&t, "ba7816bf", "ba7816b0");
	text_file(a.s, &t);
	text_free(&t);
}

static void do_no_manifest(const char *d)
{
	CHECK(!unlink(below(d, "manifest.json").s));
}

static void do_no_signature(const char *d)
{
	CHECK(!unlink(below(d, SIGN_BUNDLE).s) && !unlink(below(d, SIGN_MINISIGN).s));
}

static void do_name(const char *d)
{
	tiny_file(NULL, d, "a\nb", "", true);
}

static void do_latin1(const char *d)
{
	tiny_file(NULL, d, "caf\xe9", "", true);
}

static void do_nest(const char *d)
{
	struct path p = below(d, "n");
	int i;

	for (i = 0; i < 10; i++) {
		CHECK(!mkdir(p.s, 0777));
		strcat(p.s, "/n");
	}
}

static void do_signature_link(const char *d)
{
	do_no_signature(d);
	CHECK(!symlink("config.json", below(d, SIGN_BUNDLE).s) &&
		!symlink("config.json", below(d, SIGN_MINISIGN).s));
}

/* rule_mini NULL: the same. */
static const struct {
	const char *name, *rule, *rule_mini;
	void (*act)(const char *dir);
} folders[] = {
	{ "a letter", "sig.changed", NULL, do_flip },
	{ "shorter", "sig.changed", NULL, do_cut },
	{ "longer", "sig.changed", NULL, do_longer },
	{ "empty", "sig.changed", NULL, do_empty },
	{ "removed", "sig.gone", NULL, do_remove },
	{ "renamed", "sig.gone", NULL, do_rename },
	{ "in capitals", "sig.extra", NULL, do_case },
	{ "swapped", "sig.changed", NULL, do_swap },
	{ "one more", "sig.extra", NULL, do_extra },
	{ "a twin", "sig.case-twin", NULL, do_twin },
	{ "one more below", "sig.extra", NULL, do_deep },
	{ "code", "sig.extra", NULL, do_python },
	{ "a link", "file.symlink", NULL, do_link },
	{ "a link to a folder", "file.symlink", NULL, do_folder_link },
	{ "a FIFO", "file.not-regular", NULL, do_fifo },
	{ "a folder", "sig.gone", NULL, do_folder },
	{ "a FIFO that is called a signature", "file.not-regular", NULL, do_sig_fifo },
	{ "a folder that is called a signature", "sig.extra", NULL, do_sig_folder },
	{ "a link that is called a signature", "file.symlink", NULL, do_sig_link },
	{ "the manifest", "sig.changed", "sig.wrong", do_manifest },
	{ "the digest of a source", "sig.changed", "sig.wrong", do_lineage },
	{ "no manifest", "sig.gone", "(system)", do_no_manifest },
	{ "no signature", "sig.missing", NULL, do_no_signature },
	{ "the signature is a link", "file.symlink", NULL, do_signature_link },
	{ "a newline in a name", "sig.name", NULL, do_name },
	{ "a name that is not UTF-8", "sig.name", NULL, do_latin1 },
	{ "nested", "sig.tree", NULL, do_nest },
};

static void bad_folders(void)
{
	size_t i;

	keys_make();
	for (i = 0; i < sizeof folders / sizeof *folders; i++) {
		struct path d = tiny_new("folders");

		CHECK(sig_true(SIG_SIGN, d.s, "p256.pem") && sig_true(SIG_SIGN, d.s, "mini.key"));
		folders[i].act(d.s);
		CHECK_IN(folders[i].name,
			check_is(d.s, "p256.pub", folders[i].name, folders[i].rule));
		CHECK_IN(folders[i].name,
			check_is(d.s, "mini.mpub", folders[i].name,
				folders[i].rule_mini ? folders[i].rule_mini : folders[i].rule));
	}
}

/* A file that no engine reads: Model Signing covers all files, the manifest those of the model. */
static void hidden_file(void)
{
	struct path d = tiny_new("hidden");
	struct sig_call c = { .verb = SIG_CHECK, .dir = d.s, .key = "p256.pub" };

	keys_make();
	CHECK(sig_true(SIG_SIGN, d.s, "p256.pem") && sig_true(SIG_SIGN, d.s, "mini.key"));
	do_hidden(d.s);
	CHECK(sig_is(&c, "hidden", 1, "sig.extra"));
	c.key = "mini.mpub";
	CHECK(sig_is(&c, "hidden", 0, "sig.ignored"));
}

/* git's files are left out, and said to be. */
static void git_files(void)
{
	struct path d = tiny_new("git");
	struct sig_call c = { .verb = SIG_CHECK, .dir = d.s, .key = "p256.pub" };

	keys_make();
	CHECK(sig_true(SIG_SIGN, d.s, "p256.pem") && sig_true(SIG_SIGN, d.s, "mini.key"));
	tiny_file(NULL, d.s, ".gitattributes", "x", true);
	CHECK(sig_is(&c, "git", 0, "sig.ignored"));
	c.key = "mini.mpub";
	CHECK(sig_is(&c, "git", 0, "sig.ignored"));
}

/* What sign refuses to put its name under. */
static void bad_to_sign(void)
{
	struct path d = tiny_new("tosign");
	struct sig_call ec = { .dir = d.s, .key = "p256.pem" },
			ed = { .dir = d.s, .key = "mini.key" };

	keys_make();
	do_flip(d.s);
	CHECK(sig_is(&ec, "changed", 1, "sig.changed") && sig_is(&ed, "changed", 1, "sig.changed"));
	do_remove(d.s);
	CHECK(sig_is(&ec, "gone", 1, "sig.gone") && sig_is(&ed, "gone", 1, "sig.gone"));
	d = tiny_new("tosign");
	do_extra(d.s);
	CHECK(sig_is(&ec, "extra", 0, "") && sig_is(&ed, "extra", 1, "sig.extra"));
	tiny_file(NULL, d.s, ".dsv4-plan", "x\n", true);
	unlink(below(d.s, SIGN_BUNDLE).s);
	CHECK(sig_is(&ec, "unfinished", 1, "sig.unfinished"));
	d = dirs_new("tosign");
	CHECK(sig_is(&ec, "nothing", 1, "sig.uncovered"));
	d = tiny_new("tosign");
	{
		struct text t = file_text(below(d.s, "manifest.json").s);
		char *at = strstr(t.s, "\"sha256\": \"");

		memset(at + 10, ' ', 66);
		memcpy(at + 10, "null", 4);
		tiny_seal(&t);
		text_file(below(d.s, "manifest.json").s, &t);
		text_free(&t);
	}
	CHECK(sig_is(&ec, "no digest", 0, "") && sig_is(&ed, "no digest", 1, "sig.uncovered"));
	CHECK(!is_file(below(d.s, SIGN_MINISIGN).s));
}

/* --- faults --- */

/* Each call of the system fails once: never "true" where it is not known, never half a signature. */
static void faults(void)
{
	static const char *const keys[][2] = { { "p256.pem", "p256.pub" },
		{ "mini.key", "mini.mpub" } };
	static const enum sig_verb verbs[] = { SIG_SIGN, SIG_CHECK };
	size_t i, v, n;

	keys_make();
	for (i = 0; i < 2; i++)
		for (v = 0; v < 2; v++)
			for (n = 1; n < 500; n++) {
				struct path d = tiny_new("faults");
				struct path key = key_path(keys[i][v]);
				struct path sig = below(d.s, i ? SIGN_MINISIGN : SIGN_BUNDLE);
				struct faultio io;
				struct report r;
				struct err e = { 0 };
				struct sign_opts o = { .io = &io.io,
					.dir = d.s,
					.key = { key.s, -1 },
					.password.fd = -1,
					.threads = 1 };

				if (verbs[v] == SIG_CHECK)
					CHECK(sig_true(SIG_SIGN, d.s, keys[i][0]));
				faultio_make(&io);
				io.at = n;
				io.error = EIO;
				report_begin(&r, "test 0", "sign", d.s, NULL);
				if (!(verbs[v] == SIG_SIGN ? sign_make : sign_check)(&o, &r, &e))
					report_finish(&r, &e);
				report_free(&r);
				CHECK(!io.early && !io.strange);
				CHECK(!io.n_open || io.failed[IO_CLOSE]);
				if (!io.failed[IO_ANY])
					break; /* all were tried */
				/* a failed close of what was only read hides nothing, and blocks that
				 * cannot be set aside are not needed */
				if (err_exit_code(&e) == 1)
					fprintf(stderr, "n=%zu %s %s\n", n, e.rule ? e.rule : "",
						e.text);
				CHECK(err_exit_code(&e) != 1);
				if (e.kind == ERR_NONE)
					CHECK(sig_true(SIG_CHECK, d.s, keys[i][1]));
				else if (verbs[v] == SIG_SIGN)
					CHECK(!is_file(sig.s));
			}
}

/* Each call fails once while a new signature is made over an old one: one of them is there, and it holds. */
static void old_one_kept(void)
{
	static const char *const keys[][2] = { { "p256.pem", "p256.pub" },
		{ "mini.key", "mini.mpub" } };
	struct path d;
	size_t i, n, failed = 0;

	keys_make();
	for (i = 0; i < 2; i++) {
		struct path key = key_path(keys[i][0]);
		struct sign_opts o = { .dir = d.s,
			.key = { key.s, -1 },
			.password.fd = -1,
			.overwrite = true,
			.threads = 1 };

		d = tiny_new("over");
		CHECK(sig_true(SIG_SIGN, d.s, keys[i][0]));
		for (n = 1; n < 500; n++) {
			struct faultio io;
			struct report r;
			struct err e = { 0 };

			faultio_make(&io);
			io.at = n;
			io.op = IO_ANY;
			io.error = EIO;
			o.io = &io.io;
			report_begin(&r, "test 0", "sign", d.s, NULL);
			if (!sign_make(&o, &r, &e))
				report_finish(&r, &e);
			report_free(&r);
			failed += e.kind != ERR_NONE;
			/* true; a temporary file that could not be removed is only told of */
			CHECK(sig_run(&(struct sig_call){
					      .verb = SIG_CHECK, .dir = d.s, .key = keys[i][1] })
					.status == 0);
			if (!io.failed[IO_ANY])
				break; /* all were tried */
		}
	}
	CHECK(failed > 20);
}

/* How many there are: docs/signing.md has the sum of the three programs. */
static void number_of_cases(void)
{
	CHECK(2 * (sizeof folders / sizeof *folders) >= 50);
}

static const struct test tests[] = {
	{ "bad_folders", bad_folders },
	{ "hidden file", hidden_file },
	{ "git_files", git_files },
	{ "bad_to_sign", bad_to_sign },
	{ "faults", faults },
	{ "old_one_kept", old_one_kept },
	{ "number_of_cases", number_of_cases },
	{ NULL, NULL },
};
TEST_MAIN(tests)
