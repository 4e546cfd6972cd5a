/* test_file_size.c -- files of engines with several blocks (--file-size): the same tensors with the same bytes, in the
 * order of loading, and everything that reads a set takes them.
 *
 * SPDX-License-Identifier: MIT */
#include "tests/lib.h"

/* As tests/set.h makes them; size 0: a file for each block. */
static struct path set_of(const char *name, const char *target, uint64_t size)
{
	struct job_opts o = set_opts(target, 2, false);
	struct path p = dirs_path(name);

	o.plan.file_size = size;
	CHECK_IN(name, set_makes(FLASH, p.s, &o));
	return p;
}

static int verb(const char *line)
{
	char args[2000];

	snprintf(args, sizeof args, "%s >/dev/null", line);
	return model_tool("dsv4-verify", args);
}

/* --- what is in them --- */

/* Both have the same tensors; returns false after the first that is not. */
static bool same_tensors(const struct dsv4 *a, const struct dsv4 *b)
{
	const struct dsv4_tensor *t, *u;
	size_t i, k;
	uint32_t f;

	for (i = 0; (t = dsv4_tensor(a, i)); i++) {
		f = dsv4_file(a, t->file)->folder;
		k = dsv4_find(b, f, t->name);
		u = dsv4_tensor(b, k);
		if (!u || strcmp(t->dtype, u->dtype) || t->rank != u->rank ||
			memcmp(t->shape, u->shape, t->rank * sizeof *t->shape) ||
			memcmp(t->xxh3_128, u->xxh3_128, 16)) {
			fprintf(stderr, "tensor %s\n", t->name);
			return false;
		}
	}
	return i == dsv4_info(b)->tensors;
}

/* Which block a tensor is of, in the order of loading. */
static long block_of(const char *name)
{
	long n = strncmp(name, "layers.", 7) ? 1000 : strtol(name + 7, NULL, 10) + 1;

	if (!strncmp(name, "mtp.", 4))
		n = 2000 + strtol(name + 4, NULL, 10);
	return !strcmp(name, "embed.weight") ? 0 : n;
}

/* In a file: first all of a multiple of 4096 bytes, in each half block after block, a scale behind its weight where
 * both are in one half. */
static void ordered(const struct dsv4 *d)
{
	const struct dsv4_tensor *t, *u = NULL;
	uint32_t file = UINT32_MAX;
	char scale[200];
	size_t i, k;
	bool even;

	for (i = 0; (t = dsv4_tensor(d, i)); i++, u = t) {
		even = t->bytes % 4096 == 0;
		CHECK_IN(t->name, !even || t->offset % 4096 == 0);
		if (t->file != file) {
			file = t->file;
			CHECK_IN(t->name, dsv4_file(d, file)->payload % 4096 == 0);
			continue;
		}
		CHECK_IN(t->name, !even || u->bytes % 4096 == 0);
		CHECK_IN(t->name,
			even != (u->bytes % 4096 == 0) || block_of(u->name) <= block_of(t->name));
		if (!strstr(t->name, ".weight"))
			continue;
		snprintf(scale, sizeof scale, "%.*sscale", (int)(strlen(t->name) - 6), t->name);
		k = dsv4_find(d, dsv4_file(d, t->file)->folder, scale);
		CHECK_IN(t->name,
			k == DSV4_NONE || k == i + 1 ||
				even != (dsv4_tensor(d, k)->bytes % 4096 == 0));
	}
}

static void contents(void)
{
	static const struct {
		uint64_t size;
		uint32_t
			files; /* of a rank; the sizes of its blocks: 64 K, 3 x 1 to 2 M, 64 K, 1 M, 1 M */
	} row[] = { { 1, 7 }, { 4 << 20, 3 }, { 1 << 30, 1 } };
	struct path plain = set_of("plain", "marlin-mxfp4", 0), p;
	const struct dsv4_file *f;
	struct dsv4 *a, *b;
	char name[40];
	size_t i, k;

	a = opened(plain.s);
	for (i = 0; i < sizeof row / sizeof *row; i++) {
		snprintf(name, sizeof name, "size-%zu", i);
		p = set_of(name, "marlin-mxfp4", row[i].size);
		b = opened(p.s);
		if (dsv4_folder(b, 0)->files != row[i].files)
			fprintf(stderr, "%s: %u files\n", name, dsv4_folder(b, 0)->files);
		CHECK_IN(name, dsv4_folder(b, 0)->files == row[i].files);
		CHECK_IN(name, same_tensors(a, b) && same_tensors(b, a));
		ordered(b);
		for (k = 0; (f = dsv4_file(b, (uint32_t)k)); k++)
			CHECK_IN(f->name,
				f->tensors &&
					(f->bytes - f->payload <= row[i].size ||
						row[i].files == 7));
		dsv4_close(b);
	}
	dsv4_close(a);
}

/* Every verb that takes a set takes these, and the way back gives the source. */
static void verbs(void)
{
	static const char *const targets[] = { "trtllm-mxfp4", "frag-k32", "deepgemm-sm100" };
	struct job_opts back = set_back();
	struct path p, q;
	char line[1600];
	size_t i;

	for (i = 0; i < sizeof targets / sizeof *targets; i++) {
		p = set_of(targets[i], targets[i], 3 << 20);
		snprintf(line, sizeof line, "check %s -q --strict", p.s);
		CHECK_IN(targets[i], !verb(line));
		snprintf(line, sizeof line, "compare " FLASH " %s -q", p.s);
		CHECK_IN(targets[i], !verb(line));
		snprintf(line, sizeof line, "logits " FLASH " %s -q --tokens 1,2,3", p.s);
		CHECK_IN(targets[i], !verb(line));
		snprintf(line, sizeof line, "doctor %s -q", p.s);
		CHECK_IN(targets[i], !verb(line));
		q = dirs_path("back");
		dirs_remove(q.s);
		CHECK_IN(targets[i], set_makes(p.s, q.s, &back));
		snprintf(line, sizeof line, "diff " FLASH " %s -q", q.s);
		CHECK_IN(targets[i], !verb(line));
	}
}

static bool same_trees(const char *a, const char *b)
{
	char line[1600];

	snprintf(line, sizeof line, "diff -r %s %s", a, b);
	return !system(line);
}

/* Resharded, begun anew, and with stages: what a direct run makes. */
static void ways(void)
{
	struct path a = set_of("direct", "marlin-mxfp4", 4 << 20),
		    b = set_of("other", "kmajor-sf128", 0), c = dirs_path("resharded");
	struct job_opts o = set_opts("marlin-mxfp4", 2, false);
	struct err e;

	o.plan.file_size = 4 << 20;
	o.use = USE_RESHARD;
	CHECK(set_makes(b.s, c.s, &o) && same_trees(a.s, c.s));
	o.use = USE_RUN;
	CHECK(set_makes(FLASH, a.s, &o)); /* again: everything is kept */
	CHECK(same_trees(a.s, c.s));
	o.plan.file_size = 5 << 20;
	CHECK(set_execute(FLASH, a.s, &o, &e) && e.kind == ERR_USAGE); /* another plan */
	o.plan.share.stages = 2;
	o.plan.file_size = 1 << 30;
	b = dirs_path("stages");
	CHECK(set_makes(FLASH, b.s, &o));
	CHECK(is_file(model_file(b.s, "pp-1-of-2/rank-1-of-2/model-00001-of-00001.safetensors")
			      .s) &&
		!is_file(model_file(b.s, "pp-1-of-2/rank-1-of-2/model-00002-of-00002.safetensors")
				 .s));
}

/* Blocks whose experts are others on a rank do not go together, since the header names them once. */
static void placements(void)
{
	static const char list[] =
		"{\"layers.1\": [[0, 2, 4, 6], [1, 3, 5, 7]], \"*\": [[0, 1, 2, 3], [4, 5, 6, 7]]}";
	struct path p = dirs_path("placed"), f = dirs_path("placement.json");
	struct dsv4 *d;
	char args[1600];

	file_put_all(f.s, list, sizeof list - 1);
	snprintf(args, sizeof args,
		"run " FLASH
		" -o %s --target marlin-mxfp4 --ranks 2 --placement %s --file-size 1G -q >/dev/null",
		p.s, f.s);
	CHECK(!model_tool("dsv4-convert", args));
	d = opened(p.s);
	if (!d)
		return;
	CHECK(dsv4_folder(d, 0)->files == 3); /* up to layer 0, layer 1, the rest */
	dsv4_close(d);
	snprintf(args, sizeof args, "check %s -q --strict", p.s);
	CHECK(!verb(args));
	snprintf(args, sizeof args, "compare " FLASH " %s -q", p.s);
	CHECK(!verb(args));
}

/* clang-format off */
static const struct test tests[] = {
	{ "contents", contents },
	{ "verbs", verbs },
	{ "ways", ways },
	{ "placements", placements },
	{ 0 },
};
/* clang-format on */
TEST_MAIN(tests)
