/* test_convert.c -- conversions of the golden checkpoints: the right bytes, the same bytes whatever
 * the machine, and a second run that finds what the first one left.
 *
 * The digests in tests/vectors/official.txt come from the Python twins in tests/oracle/, which know
 * nothing of this code.
 *
 * SPDX-License-Identifier: MIT */
#include "formats/conversion/manifest.h"
#include "tests/model.h"

#include <sys/resource.h>
#include <sys/wait.h>

#define FLASH "tests/golden/tiny-flash"
#define PRO "tests/golden/tiny-pro"
#define F3 "model-00003-of-00006.safetensors"
#define F4 "model-00004-of-00006.safetensors"

static enum codec form(const char *s)
{
	return !strncmp(s, "fp8", 3) ? CODEC_FP8 : CODEC_MXFP4;
}

/* Every file that the twins made. */
static void oracle_vectors(void)
{
	char model[32], target[16], experts[16], file[80], want[80], hex[65], last[160] = "",
									      now[160], from[80];
	unsigned long ranks;
	struct path out = dirs_path("out");
	struct model_job j;
	FILE *f = fopen("tests/vectors/official.txt", "r");
	int n = 0;

	CHECK(f);
	while (f &&
		fscanf(f, "%31s %15s %lu %15s %79s %79s", model, target, &ranks, experts, file,
			want) == 6) {
		snprintf(now, sizeof now, "%s %s %lu %s", model, target, ranks, experts);
		if (strcmp(now, last)) {
			dirs_remove(out.s);
			j = model_job(target, ranks);
			j.plan.experts = form(experts);
			j.plan.scales = strstr(experts, "e8m0") ? SCALES_E8M0 : SCALES_UNSAID;
			snprintf(from, sizeof from, "tests/golden/%s", model);
			CHECK_IN(now, convert(&j, from, out.s));
			strcpy(last, now);
		}
		digest_file(model_file(out.s, file).s, hex);
		CHECK_IN(file, !strcmp(hex, want));
		n++;
	}
	if (f)
		fclose(f);
	CHECK(n == 42);
}

/* A Hugging Face folder made of one is the same again. */
static void hf_is_identity(void)
{
	static const char *const model[] = { FLASH, PRO };
	struct path out = dirs_path("out");
	struct model_job j = model_job("hf", 1);
	char name[64];
	size_t i;
	int k;

	for (i = 0; i < 2; i++) {
		dirs_remove(out.s);
		CHECK(convert(&j, model[i], out.s));
		for (k = 1; k <= 7 - (int)i; k++) {
			snprintf(name, sizeof name, "model-%05d-of-%05d.safetensors", k,
				7 - (int)i);
			CHECK(same_files(model_file(out.s, name).s, model_file(model[i], name).s));
		}
		CHECK(same_files(model_file(out.s, "config.json").s,
			model_file(model[i], "config.json").s));
	}
}

/* Cast first or reshard first: the same ranks. */
static void cast_commutes(void)
{
	struct path hf = dirs_path("hf8"), a = dirs_path("a"), b = dirs_path("b");
	struct model_job j = model_job("hf", 1), direct = model_job("official", 2), then = direct;
	char name[64];
	int k;

	j.plan.experts = direct.plan.experts = CODEC_FP8;
	j.plan.scales = SCALES_E8M0; /* as official has them */
	CHECK(convert(&j, FLASH, hf.s) && convert(&direct, FLASH, a.s) &&
		convert(&then, hf.s, b.s));
	CHECK(same_files(model_file(b.s, "model0-mp2.safetensors").s,
		model_file(a.s, "model0-mp2.safetensors").s));
	CHECK(same_files(model_file(b.s, "model1-mp2.safetensors").s,
		model_file(a.s, "model1-mp2.safetensors").s));
	then.plan.experts = CODEC_MXFP4;
	CHECK(fails_with(&then, hf.s, NULL, "plan.experts"));
	/* scales that a target does not have, or a source cannot give */
	direct.plan.scales = SCALES_E8M0;
	CHECK(fails_with(&direct, FLASH, NULL, "plan.scale-dtype"));
	j.plan.experts = CODEC_NONE;
	j.plan.scales = SCALES_F32;
	CHECK(fails_with(&j, FLASH, NULL, "plan.scale-dtype"));
	/* FP8 experts with E8M0 scales get F32 ones, and those are not made E8M0 */
	dirs_remove(a.s);
	j.plan.experts = CODEC_FP8;
	CHECK(convert(&j, hf.s, a.s));
	dirs_remove(b.s);
	j.plan.scales = SCALES_UNSAID;
	CHECK(convert(&j, FLASH, b.s));
	for (k = 1; k <= 7; k++) {
		snprintf(name, sizeof name, "model-%05d-of-00007.safetensors", k);
		CHECK(same_files(model_file(a.s, name).s, model_file(b.s, name).s));
	}
	j.plan.scales = SCALES_E8M0;
	CHECK(fails_with(&j, a.s, NULL, "plan.scale-dtype"));
	dirs_remove(hf.s);
	dirs_remove(a.s);
	dirs_remove(b.s);
}

/* Threads, memory and fast paths change nothing: data, sidecars, manifest. */
static void same_for_all_machines(void)
{
	static const unsigned threads[] = { 1, 2, 3, 8 };
	static const uint64_t memory[] = { 128 << 20, 1 << 30 };
	const unsigned features[] = { cpu_features(), cpu_features() & CPU_AVX2, 0 };
	static const char *const target[] = { "official", "hf" };
	struct path ref = dirs_path("ref"), out = dirs_path("out");
	struct model_job j;
	char hash[65];
	size_t t, i, m, k;

	for (t = 0; t < 2; t++) {
		j = model_job(target[t], t ? 1 : 2);
		j.plan.experts = CODEC_FP8;
		dirs_remove(ref.s);
		CHECK(convert(&j, FLASH, ref.s));
		memcpy(hash, j.hash, sizeof hash);
		for (i = 0; i < 4; i++) {
			for (m = 0; m < 2; m++) {
				for (k = 0; k < 3; k++) {
					j.threads = threads[i];
					j.memory = memory[m];
					j.features = features[k];
					dirs_remove(out.s);
					CHECK(convert(&j, FLASH, out.s) &&
						model_same(out.s, ref.s));
					CHECK(!strcmp(hash, j.hash));
				}
			}
		}
	}
	dirs_remove(ref.s);
}

/* The smallest budget that is accepted gives the same bytes; one less is refused. */
static void least_memory(void)
{
	struct path ref = dirs_path("ref"), out = dirs_path("out");
	struct model_job j = model_job("official", 2);
	uint64_t lo = 1, hi = 256 << 20;
	struct err e;

	j.plan.experts = CODEC_FP8;
	dirs_remove(ref.s);
	CHECK(convert(&j, PRO, ref.s));
	while (lo < hi) {
		j.memory = (lo + hi) / 2;
		dirs_remove(out.s);
		if (model_convert(&j, PRO, out.s, &e)) {
			CHECK(e.rule && !strcmp(e.rule, "plan.memory") && !is_file(out.s));
			lo = j.memory + 1;
		} else {
			hi = j.memory;
		}
		if (hi - lo < 1000)
			break;
	}
	j.memory = hi;
	dirs_remove(out.s);
	CHECK(hi > 8 << 20 && hi < 64 << 20 && convert(&j, PRO, out.s) && model_same(out.s, ref.s));
	dirs_remove(ref.s);
}

/* --- a part of the model --- */

static void layers(void)
{
	static const char *const bad[] = { "4", "-1", "0-9", "2-1", "x", "", "0,", "mtp.1", "0--1",
		"1-" };
	struct path out = dirs_path("out");
	struct model_job j = model_job("hf", 1);
	struct err e;
	json_t *o;
	size_t i;

	j.plan.layers = "0-1,3,mtp";
	dirs_remove(out.s);
	CHECK(convert(&j, FLASH, out.s));
	/* The shards keep their names and bytes, so that parts from several runs fit together. */
	CHECK(same_files(model_file(out.s, "model-00002-of-00007.safetensors").s,
		FLASH "/model-00002-of-00007.safetensors"));
	CHECK(same_files(model_file(out.s, "model-00005-of-00007.safetensors").s,
		FLASH "/model-00005-of-00007.safetensors"));
	CHECK(same_files(model_file(out.s, "model-00007-of-00007.safetensors").s,
		FLASH "/model-00007-of-00007.safetensors"));
	CHECK(!is_file(model_file(out.s, "model-00001-of-00007.safetensors").s));
	CHECK(!is_file(model_file(out.s, "model-00004-of-00007.safetensors").s));
	o = load(out.s, CKPT_INDEX);
	CHECK(json_object_size(json_object_get(o, "weight_map")) == 77 + 88 + 88 + 87);
	json_decref(o);
	for (i = 0; i < sizeof bad / sizeof *bad; i++) {
		j.plan.layers = bad[i];
		CHECK_IN(bad[i], model_convert(&j, FLASH, NULL, &e) == -1 && e.kind == ERR_USAGE);
	}
	/* embed, head and the layers one by one are the whole. */
	j = model_job("official", 1);
	j.plan.layers = "embed,0,1,2,3,head,mtp.0";
	dirs_remove(out.s);
	CHECK(convert(&j, FLASH, out.s));
	j.plan.layers = NULL;
	dirs_remove(dirs_path("b").s);
	CHECK(convert(&j, FLASH, dirs_path("b").s));
	CHECK(same_files(model_file(out.s, "model0-mp1.safetensors").s,
		model_file(dirs_path("b").s, "model0-mp1.safetensors").s));
}

/* Shards up to a size: no bigger, none needlessly small, a weight never without its scale. */
static void shard_sizes(void)
{
	static const uint64_t size[] = { 1, 300000, 1000000, 3000000, 100000000 };
	struct path out = dirs_path("out"), back = dirs_path("back");
	struct model_job j, again = model_job("hf", 1);
	const char *name;
	json_t *o, *map, *v, *s;
	char key[128];
	struct stat st;
	size_t i;

	for (i = 0; i < sizeof size / sizeof *size; i++) {
		j = model_job("hf", 1);
		j.plan.shard_size = size[i];
		dirs_remove(out.s);
		CHECK(convert(&j, FLASH, out.s));
		o = load(out.s, CKPT_INDEX);
		map = json_object_get(o, "weight_map");
		CHECK(json_object_size(map) == 427);
		json_object_foreach(map, name, v)
		{
			CHECK(!stat(model_file(out.s, json_string_value(v)).s, &st));
			/* One tensor may be larger than a shard; with its header nothing else is. */
			CHECK(size[i] < 300000 || (uint64_t)st.st_size < size[i] + 100000);
			if (strlen(name) < 8 || strcmp(name + strlen(name) - 7, ".weight"))
				continue;
			snprintf(key, sizeof key, "%.*s.scale", (int)strlen(name) - 7, name);
			s = json_object_get(map, key);
			CHECK_IN(name, !s || !strcmp(json_string_value(s), json_string_value(v)));
		}
		json_decref(o);
		/* Sharded as it was, it is what it was. */
		dirs_remove(back.s);
		CHECK(convert(&again, out.s, back.s));
		CHECK(same_files(model_file(back.s, "model-00004-of-00007.safetensors").s,
			FLASH "/model-00004-of-00007.safetensors"));
	}
}

/* --- casts that lose something --- */

/* Sets n scale bytes of an expert of layers.1 (shard F3), from byte at on. */
static struct path with_scales(size_t at, const char *bytes, size_t n)
{
	struct path p = model_copy(PRO, "scales");
	size_t size, len;
	uint8_t *f = file_get_all(model_file(p.s, F3).s, &size);
	unsigned long long begin = 0;
	char *s;

	len = f[0] | (size_t)f[1] << 8;
	s = memmem(f + 8, len, "layers.1.ffn.experts.2.w1.scale", 31);
	CHECK(s && sscanf(strstr(s, "offsets"), "offsets\":[%llu", &begin) == 1);
	memcpy(f + 8 + len + begin + at, bytes, n);
	model_put(p.s, F3, f, size);
	free(f);
	return p;
}

static void cast_limits(void)
{
	struct path out = dirs_path("out"),
		    dir = with_scales(0, "\160\176", 2); /* 2^14 apart: fine */
	struct model_job j = model_job("official", 1);
	json_t *o, *b, *t, *found = NULL;
	size_t i;

	j.plan.experts = CODEC_FP8;
	dirs_remove(out.s);
	CHECK(convert(&j, dir.s, out.s) && j.result.inexact == 0 &&
		j.result.blocks == 6 * 4 * 3 * 2);
	dir = with_scales(0, "\140\176", 2); /* 2^30 apart */
	dirs_remove(out.s);
	CHECK(fails_with(&j, dir.s, out.s, "data.cast-inexact") && model_entries(out.s) == 0);
	j.plan.lossy = true;
	CHECK(convert(&j, dir.s, out.s) && j.result.inexact == 1);
	o = load(out.s, MAN_NAME);
	b = json_object_get(o, "cast_blocks");
	CHECK(json_integer_value(json_object_get(b, "inexact")) == 1);
	CHECK(json_integer_value(json_object_get(b, "total")) == 144);
	CHECK(!strcmp(json_string_value(json_object_get(json_object_get(o, "options"), "lossy")),
		"yes"));
	json_decref(o);
	/* and says which: the first scale of the first row is the small one */
	o = load(out.s, "model0-mp1.safetensors" MAN_SIDECAR);
	json_array_foreach(json_object_get(o, "tensors"), i, t)
	{
		b = json_object_get(t, "blocks");
		if (json_integer_value(json_object_get(b, "inexact")))
			found = json_object_get(b, "inexact_at");
	}
	CHECK(json_array_size(found) == 1 && json_array_size(json_array_get(found, 0)) == 2);
	CHECK(json_integer_value(json_array_get(json_array_get(found, 0), 0)) == 0);
	CHECK(json_integer_value(json_array_get(json_array_get(found, 0), 1)) == 0);
	json_decref(o);
	/* FP4 is only moved: no cast, no complaint. */
	j = model_job("official", 1);
	dirs_remove(out.s);
	CHECK(convert(&j, dir.s, out.s));
}

/* --- plans --- */

static void splits(void)
{
	static const struct {
		const char *model;
		uint64_t ranks;
		const char *says; /* NULL: legal */
	} row[] = { { FLASH, 1, NULL }, { FLASH, 2, NULL }, { FLASH, 3, "legal are 1, 2" },
		{ FLASH, 4, "legal are 1, 2" }, { PRO, 2, NULL }, { PRO, 4, "is of 6 experts" },
		{ PRO, 65536, "legal are 1, 2" } };
	struct model_job j;
	struct err e;
	size_t i;
	int rc;

	for (i = 0; i < sizeof row / sizeof *row; i++) {
		j = model_job("official", row[i].ranks);
		rc = model_convert(&j, row[i].model, NULL, &e);
		CHECK_IN(row[i].model,
			row[i].says
				? rc && !strcmp(e.rule, "plan.split") && strstr(e.text, row[i].says)
				: !rc);
	}
}

/* The hash is the same every time and differs with everything that decides the output. */
static void plan_hashes(void)
{
	struct model_job j[8];
	struct err e;
	size_t i, k;

	for (i = 0; i < 8; i++)
		j[i] = model_job(i < 6 ? "official" : "hf", i == 1 ? 2 : 1);
	j[2].plan.experts = CODEC_FP8;
	j[3].plan.layers = "0-2";
	j[4].plan.sha256 = false;
	j[5].plan.lossy = true;
	j[7].plan.shard_size = 1000000;
	for (i = 0; i < 8; i++) {
		CHECK(!model_convert(&j[i], FLASH, NULL, &e));
		for (k = 0; k < i; k++)
			CHECK(strcmp(j[i].hash, j[k].hash));
	}
	j[1].threads = 7;
	memcpy(j[0].hash, j[1].hash, 65);
	CHECK(!model_convert(&j[1], FLASH, NULL, &e) && !strcmp(j[0].hash, j[1].hash));
}

/* Every source tensor has a fate, for all targets and models; the parts add up. */
static void all_accounted(void)
{
	static const char *const config[] = { "small4", "small-base", "small-spark" };
	struct path m = dirs_path("m"), out = dirs_path("out");
	struct model_job j;
	char args[700];
	size_t i;

	for (i = 0; i < 3; i++) {
		dirs_remove(m.s);
		snprintf(args, sizeof args, "%s --config tests/configs/%s.json --metadata", m.s,
			config[i]);
		CHECK(!model_tool("mkmodel", args));
		for (j = model_job("official", 1); j.plan.ranks <= 4; j.plan.ranks *= 2) {
			dirs_remove(out.s);
			CHECK_IN(config[i], convert(&j, m.s, out.s));
		}
		j = model_job("hf", 1);
		dirs_remove(out.s);
		CHECK_IN(config[i], convert(&j, m.s, out.s));
	}
	dirs_remove(m.s);
}

/* --- memory --- */

/* Peak of a conversion in a process of its own, in bytes beyond what it began with; 0: it failed. */
static uint64_t peak_of(const char *from, const char *out, const char *options)
{
	struct rusage u;
	const char *b = getenv("B");
	char line[1024];
	pid_t pid;
	int status;

	snprintf(line, sizeof line, "exec %s/dsv4-convert %s %s %s >/dev/null 2>&1",
		b ? b : "build/gcc-opt", out ? "run" : "inspect", from, options);
	pid = fork();
	if (!pid) {
		execl("/bin/sh", "sh", "-c", line, (char *)NULL);
		_exit(127);
	}
	if (pid < 0 || wait4(pid, &status, 0, &u) < 0 || status)
		return 0;
	return (uint64_t)u.ru_maxrss * 1024;
}

static bool sanitized(void)
{
	const char *b = getenv("B");

	return b && strstr(b, "-san");
}

/* What plan says of the same conversion. */
static uint64_t planned_peak(const char *from, const char *out)
{
	struct path json = dirs_path("plan.json");
	const char *b = getenv("B");
	char line[2048];
	json_error_t je;
	json_t *o;
	uint64_t peak;

	snprintf(line, sizeof line,
		"%s/dsv4-convert plan %s -o %s --target official --mp 4 --experts fp8 --max-memory 128M --json >%s",
		b ? b : "build/gcc-opt", from, out, json.s);
	CHECK(!system(line));
	o = json_load_file(json.s, 0, &je);
	peak = (uint64_t)json_integer_value(json_object_get(json_object_get(o, "memory"), "peak"));
	json_decref(o);
	return peak;
}

/* What plan promises holds, and does not grow with the model. */
static void memory_bounded(void)
{
	struct path small = dirs_path("m"), large = dirs_path("m2"), out = dirs_path("out");
	char args[700];
	uint64_t a, b;

	if (sanitized())
		SKIP("the sanitizer has memory of its own");
	snprintf(args, sizeof args,
		"%s --config tests/configs/small4.json --set n_routed_experts=32", small.s);
	CHECK(!model_tool("mkmodel", args));
	snprintf(args, sizeof args,
		"%s --config tests/configs/small4.json --set n_routed_experts=640", large.s);
	CHECK(!model_tool("mkmodel", args));
	snprintf(args, sizeof args,
		"-o %s --target official --mp 4 --experts fp8 --max-memory 128M -q", out.s);
	dirs_remove(out.s);
	a = peak_of(small.s, out.s, args);
	dirs_remove(out.s);
	b = peak_of(large.s, out.s, args);
	printf("# peak %.1f MB for 20 MB, %.1f MB for 300 MB\n", (double)a / 1e6, (double)b / 1e6);
	CHECK(a && b && b < a + (16 << 20) && b < 128 << 20);
	CHECK(b <= planned_peak(large.s, out.s));
	dirs_remove(small.s);
	dirs_remove(large.s);
	dirs_remove(out.s);
}

/* Full-size headers, without payload: the published totals, in little memory. */
static void full_size(void)
{
	static const struct {
		const char *config, *says;
	} row[] = { { "flash", "69,187 tensors in 46 shards, 159,609,485,896 bytes" },
		{ "pro", "145,116 tensors in 64 shards, 864,704,792,696 bytes" },
		{ "flash-0731", "72,317 tensors in 48 shards, 166,878,536,440 bytes" },
		{ "flash-base", "69,189 tensors in 46 shards, 294,673,469,000 bytes" } };
	struct path m = dirs_path("m"), said = dirs_path("said");
	const char *b = getenv("B");
	char args[2000];
	uint64_t peak;
	size_t i;

	for (i = 0; i < 4; i++) {
		dirs_remove(m.s);
		snprintf(args, sizeof args, "%s --config tests/configs/%s.json --sparse", m.s,
			row[i].config);
		CHECK(!model_tool("mkmodel", args));
		snprintf(args, sizeof args, "%s/dsv4-convert inspect %s >%s && grep -q '%s' %s",
			b ? b : "build/gcc-opt", m.s, said.s, row[i].says, said.s);
		CHECK_IN(row[i].says, !system(args));
		peak = peak_of(m.s, NULL, "");
		CHECK_IN(row[i].config, peak && (peak < 200 << 20 || sanitized()));
		printf("# inspect %s: peak %.1f MB\n", row[i].config, (double)peak / 1e6);
	}
	dirs_remove(m.s);
}

static const struct test tests[] = { { "oracle_vectors", oracle_vectors },
	{ "hf_is_identity", hf_is_identity }, { "cast_commutes", cast_commutes },
	{ "same_for_all_machines", same_for_all_machines }, { "least_memory", least_memory },
	{ "layers", layers }, { "shard_sizes", shard_sizes }, { "cast_limits", cast_limits },
	{ "splits", splits }, { "plan_hashes", plan_hashes }, { "all_accounted", all_accounted },
	{ "memory_bounded", memory_bounded }, { "full_size", full_size }, { 0 } };
TEST_MAIN(tests)
