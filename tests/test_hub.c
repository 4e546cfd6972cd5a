/* test_hub.c -- folders that a hub has loaded: blobs that are held to their names, links, and downloads that did not end.
 *
 * SPDX-License-Identifier: MIT */
#include "tests/kinds.h"

/* --- the hub's cache --- */

/* A snapshot of its own, in which shell commands then change things; it is the working folder of theirs. */
static struct path snapshot(const char *change)
{
	struct path top = dirs_path("changed"), snap;

	make();
	dirs_remove(top.s);
	run("cp -a %s %s && cd %s/snapshots/abc && %s", made[KIND_CACHE].s, top.s, top.s, change);
	snap = model_file(top.s, "snapshots/abc");
	return snap;
}

/* Every file is held to the name of its blob, by SHA-256 or by git's SHA-1. */
static void blobs_are_digests(void)
{
	struct path out = dirs_path("out"), s = snapshot("true");
	json_t *m;

	says_of("dsv4-verify check", s.s, "", 0, NULL);
	dirs_remove(out.s);
	says_of("dsv4-convert run -q -t official -o", out.s, s.s, 0, NULL);
	m = load(out.s,
		"manifest.json"); /* the run has verified the shards without being asked to */
	CHECK(m &&
		!strcmp("verified",
			json_string_value(json_object_get(json_object_get(m, "source"),
				"sha256"))));
	json_decref(m);
	dirs_remove(out.s);

	s = snapshot("printf X | dd of=" SHARD " bs=1 seek=9000 conv=notrunc 2>/dev/null");
	says_of("dsv4-verify check", s.s, "", 1, "source.sha256");
	says_of("dsv4-convert run -q -t official -o", out.s, s.s, 1, "source.sha256");
	dirs_remove(out.s);

	s = snapshot("printf ' ' >>config.json");
	says_of("dsv4-verify check", s.s, "", 1, "source.blob");
	says_of("dsv4-convert inspect", s.s, "", 1, "source.blob");
	says_of("dsv4-convert run -q -t official -o", out.s, s.s, 1, "source.blob");

	/* a small file that only a run copies */
	s = snapshot(
		"printf '{}' >../../blobs/0123456789012345678901234567890123456789 && "
		"ln -s ../../blobs/0123456789012345678901234567890123456789 generation_config.json");
	says_of("dsv4-verify check", s.s, "", 1, "source.blob");
	says_of("dsv4-convert run -q -t hf -o", out.s, s.s, 1, "source.blob");
	dirs_remove(out.s);

	/* a shard named as git names it: check holds it to that, a run says that it does not */
	s = snapshot("b=$(readlink " SHARD ") && h=$( (printf 'blob %s\\0' $(stat -Lc %s " SHARD
		     "); cat " SHARD ") | sha1sum | cut -c1-40) && mv $b ../../blobs/$h && "
		     "ln -sf ../../blobs/$h " SHARD);
	says_of("dsv4-verify check", s.s, "", 0, NULL);
	says_of("dsv4-convert run -q -t official -o", out.s, s.s, 0, "not verified");
	dirs_remove(out.s);
	run("cd %s && printf X | dd of=" SHARD " bs=1 seek=9000 conv=notrunc 2>/dev/null", s.s);
	says_of("dsv4-verify check", s.s, "", 1, "source.blob");
}

/* What is not there is a finding; what is on its way is said. */
static void blobs_that_are_not_there(void)
{
	struct path s = snapshot("rm $(readlink " SHARD ")");

	says_of("dsv4-convert inspect", s.s, "", 1, "file.dangling");
	says_of("dsv4-verify doctor", s.s, "", 1, "file.dangling");
	says_of("dsv4-verify check", s.s, "", 1, "file.dangling");
	run("touch %s/../../blobs/0123.incomplete", s.s);
	says_of("dsv4-convert inspect", s.s, "", 2, "kind.partial");
	says_of("dsv4-verify doctor", s.s, "", 2, "kind.partial");
	says_of("dsv4-verify check", s.s, "", 1, "check.download");
	/* the snapshot is whole: something else of the cache is on its way */
	s = snapshot("touch ../../blobs/0123.incomplete");
	says_of("dsv4-convert inspect", s.s, "", 0, NULL);
}

/* Links to files elsewhere are followed where that is asked for, in every verb that reads a checkpoint. */
static void links_elsewhere(void)
{
	struct path s = snapshot("mkdir ../away && cp -L " SHARD
				 " ../away/x && ln -sf ../away/x " SHARD),
		    out = dirs_path("out");
	char call[2048];

	says_of("dsv4-convert inspect", s.s, "", 1, "file.symlink");
	says_of("dsv4-convert inspect", s.s, "", 1, "--follow-links");
	says_of("dsv4-convert inspect --follow-links", s.s, "", 0, NULL);
	says_of("dsv4-verify doctor --follow-links", s.s, "", 0, NULL);
	says_of("dsv4-verify check --follow-links", s.s, "", 0, NULL);
	says_of("dsv4-verify diff --follow-links " FLASH, s.s, "", 0, NULL);
	says_of("dsv4-verify logits --follow-links -t 1,2", s.s, FLASH, 0, NULL);
	says_of("dsv4-convert run --follow-links -q -t official -o", out.s, s.s, 0, NULL);
	says_of("dsv4-verify compare --follow-links", s.s, out.s, 0, NULL);
	dirs_remove(out.s);
	/* the old option says nothing new */
	snprintf(call, sizeof call, "dsv4-convert inspect --hf-cache %s", made[KIND_SNAPSHOT].s);
	says(call, 0, NULL);
}

/* --- downloads that did not end --- */

static void downloads(void)
{
	static const char *const beside[] = { "model-00001-of-00007.safetensors.aria2",
		"model-00008-of-00007.safetensors.part", "x.safetensors.incomplete",
		"x.safetensors.crdownload" };
	struct path p;
	size_t i;

	make();
	for (i = 0; i < sizeof beside / sizeof *beside; i++) {
		p = model_copy(FLASH, "loading");
		model_put(p.s, beside[i], "", 0);
		says_of("dsv4-convert inspect", p.s, "", 2, beside[i]);
		says_of("dsv4-verify check", p.s, "", 1, "check.download");
	}
	p = model_copy(FLASH, "loading");
	run("mkdir -p %s/.cache/huggingface/download && cd %s/.cache/huggingface/download && touch "
	    "config.json.metadata",
		p.s, p.s);
	says_of("dsv4-convert inspect", p.s, "", 0,
		NULL); /* the hub's notes on what it has loaded */
	run("touch %s/.cache/huggingface/download/abc.incomplete", p.s);
	says_of("dsv4-convert inspect", p.s, "", 2, "kind.partial");
	says_of("dsv4-verify doctor", p.s, "", 2, "kind.partial");
	p = model_copy(FLASH, "loading");
	run("mkdir %s/._____temp", p.s);
	says_of("dsv4-convert inspect", p.s, "", 0, NULL);
	run("touch %s/._____temp/model-00001-of-00007.safetensors", p.s);
	says_of("dsv4-convert inspect", p.s, "", 2, "kind.partial");
}

static const struct test tests[] = {
	{ "blobs_are_digests", blobs_are_digests },
	{ "blobs_that_are_not_there", blobs_that_are_not_there },
	{ "links_elsewhere", links_elsewhere },
	{ "downloads", downloads },
	{ NULL, NULL },
};
TEST_MAIN(tests)
