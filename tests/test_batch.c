/* test_batch.c -- one conversion by many processes: the bytes are those of one; what is refused; processes that are
 * killed, that are taken for dead, that hold the same file.
 *
 * SPDX-License-Identifier: MIT */
#include "convert/batch/receipt.h"
#include "convert/batch/slot.h"
#include "convert/batch/source_id.h"
#include "convert/batch/task.h"
#include "tests/model.h"
#include "tests/produced.h"
#include "tests/shell_line.h"

#include <signal.h>
#include <sys/wait.h>
#include <time.h>

#define FLASH "tests/golden/tiny-flash"
#define F1 "model-00001-of-00007.safetensors"

static struct path src, one, out, job, logged;

/* Runs a line of the shell in which %B is the build folder and %S, %1, %O, %J, %L are the paths above. Its exit status. */
static int sh(const char *line)
{
	static const char letters[] = "S1OJL";
	const struct path *const paths[] = { &src, &one, &out, &job, &logged };

	return shell_line("", line, letters, paths);
}

/* The call ends with that status, and its rule and a word are among what it says. */
static void says(const char *line, int status, const char *rule, const char *word)
{
	char s[4096], *p;
	size_t n;
	int rc;

	snprintf(s, sizeof s, "{ %s; } >%%L 2>&1", line);
	rc = sh(s);
	p = (char *)file_get_all(logged.s, &n);
	p[n] = 0;
	produced_in(p);
	if (rc != status || !strstr(p, rule) || !strstr(p, word)) {
		check_failed++;
		fprintf(stderr, "%s: expected %d %s %s, got %d:\n%.900s\n", line, status, rule,
			word, rc, p);
	}
	free(p);
}

static void begin(void)
{
	src = model_copy(FLASH, "src");
	one = dirs_path("one");
	out = dirs_path("out");
	job = dirs_path("job");
	logged = dirs_path("log");
	dirs_remove(out.s);
	dirs_remove(job.s);
}

/* A job of so many tasks to target hf. */
static void plan(const char *tasks)
{
	char s[400];

	begin();
	snprintf(s, sizeof s, "%%B/dsv4-convert plan %%S -o %%O -t hf --job %%J -q --tasks %s >%%L",
		tasks);
	CHECK_IN(s, !sh(s));
	if (!is_file(one.s))
		CHECK(!sh("%B/dsv4-convert run %S -o %1 -t hf -q >%L"));
}

static bool finished_as_one(void)
{
	return !sh("%B/dsv4-convert finalize %J -q >%L && diff -r %1 %O");
}

/* The same files by one process and by three tasks; finalize twice. */
static void as_one_process(void)
{
	static const struct {
		const char *tool, *options;
	} row[] = {
		{ "dsv4-convert", "-t hf" },
		{ "dsv4-convert", "-t hf --no-sha256 --no-restore" },
		{ "dsv4-convert", "-t hf --experts fp8 --lossy" },
		{ "dsv4-convert", "-t official --mp 2" },
		{ "dsv4-convert", "-t marlin-mxfp4 --ranks 2" },
		{ "dsv4-convert", "-t kmajor-sf128 --experimental --ranks 2 --pp 2" },
		{ "dsv4-convert", "-t vllm-sharded" },
		{ "dsv4-quant", "--to nvfp4 --input-scale 0.5" },
		{ "dsv4-quant", "--to mxfp8" },
		{ "dsv4-quant", "--to gguf" },
		{ "dsv4-quant", "--to mlx --stack" },
	};
	char s[1200];
	size_t i;

	for (i = 0; i < sizeof row / sizeof *row; i++) {
		begin();
		dirs_remove(one.s);
		snprintf(s, sizeof s,
			"t=%%B/%s; o='%s'; $t run %%S -o %%1 $o -q >%%L.1 && $t plan %%S -o %%O $o --job %%J --tasks 3 -q >%%L"
			" && for i in 2 0 1; do $t run %%J --task $i/3 -q >%%L || exit 9; done; $t finalize %%J -q >%%L.2 && "
			"cmp %%L.1 %%L.2 && diff -r %%1 %%O && $t finalize %%J -q >%%L.2 && diff -r %%1 %%O && "
			"$t status %%J --json | grep -q '\"state\": \"done\"'",
			row[i].tool, row[i].options);
		CHECK_IN(row[i].options, !sh(s));
	}
	dirs_remove(one.s);
}

/* Published digests are verified by the tasks, and shards that no file is made of by finalize. */
static void digests(void)
{
	begin();
	CHECK(!sh("rm -rf %1; cd %S && sha256sum *.safetensors >%L.list"));
	CHECK(!sh(
		"t=%B/dsv4-convert; o='-t hf --layers 0-1 --no-restore --source-sha256'; $t run %S -o %1 $o %L.list -q >%L && "
		"$t plan %S -o %O $o %L.list --job %J --tasks 2 -q >%L && $t run %J --task 0/2 -q >%L && "
		"$t run %J --task 1/2 -q >%L && $t finalize %J -q >%L && diff -r %1 %O && grep -q '\"verified\"' %O/manifest.json"));
	dirs_remove(one.s);
}

static void refused(void)
{
	plan("3");
	says("%B/dsv4-convert run %S --task 0/3", 2, "job.form", "no job folder");
	says("%B/dsv4-convert finalize %S", 2, "job.form", "no job folder");
	says("env -i %B/dsv4-convert run %J", 2, "job.index", "nothing says");
	says("%B/dsv4-convert run %J --task 3/3", 2, "job.index", "0 to 2");
	says("%B/dsv4-convert run %J --task 1/4", 2, "job.index", "planned for 3");
	says("%B/dsv4-convert run %J --task 1", 2, "job.index", "i/N");
	says("SLURM_ARRAY_TASK_ID=1 JOB_COMPLETION_INDEX=2 %B/dsv4-convert run %J", 2, "job.index",
		"different things");
	/* The array was made longer or shorter since plan. */
	says("SLURM_ARRAY_TASK_ID=1 SLURM_ARRAY_TASK_COUNT=4 %B/dsv4-convert run %J", 2,
		"job.index", "planned for 3");
	says("AWS_BATCH_JOB_ARRAY_INDEX=1 AWS_BATCH_JOB_ARRAY_SIZE=2 %B/dsv4-convert run %J", 2,
		"job.index", "planned for 3");
	says("JOB_COMPLETION_INDEX=3 %B/dsv4-convert run %J", 2, "job.index", "0 to 2");
	says("%B/dsv4-convert run %J --task 0/3 -t official", 2, "job.other",
		"options that it was planned with");
	says("%B/dsv4-convert plan %S -o %O -t hf --no-sha256 --job %J --tasks 3", 2, "out.other",
		"");
	says("%B/dsv4-convert plan %S -o %O.2 -t hf --no-sha256 --job %J --tasks 3", 2, "job.other",
		"never changed");
	says("%B/dsv4-convert plan %S -o %O -t hf --job %J --tasks 4", 2, "job.other",
		"never changed");
	says("%B/dsv4-convert plan %S -o %O -t hf --job %J", 2, "--tasks", "");
	says("%B/dsv4-convert plan %S -o %O -t hf --overwrite --job %J --tasks 3", 2, "--overwrite",
		"empty");
	says("%B/dsv4-quant run %J --task 0/3", 2, "option", "");
	says("%B/dsv4-convert finalize %J", 75, "job.unfinished", "7 of 7 files");
	CHECK(!sh("%B/dsv4-convert run %J --task 0/3 -q >%L"));
	says("%B/dsv4-convert finalize %J", 75, "job.unfinished", "--steal: 1 2");
	CHECK(!sh(
		"test ! -e %O/manifest.json && sed -i 's/\"lease\": 120/\"lease\": 121/' %J/job.json"));
	says("%B/dsv4-convert run %J --task 0/3", 2, "job.form", "not those that were written");
	plan("3");
	CHECK(!sh("cp %S/" F1 " %L.f && rm %S/" F1 " && cp %L.f %S/" F1
		  " && touch -d 2001-01-01 %S/" F1));
	says("%B/dsv4-convert run %J --task 0/3", 1, "job.source", "the times");
	says("%B/dsv4-convert finalize %J", 1, "job.source", "plan again");
	/* Without digests nobody can say that a file is another one. */
	plan("1 --no-sha256");
	CHECK(!sh("%B/dsv4-convert run %J --task 0/1 -q >%L"));
	says("%B/dsv4-convert finalize %J --full", 2, "--full", "no digest");
	CHECK(!sh("%B/dsv4-convert finalize %J -q >%L && touch -d 2001-01-01 %O/" F1));
	says("%B/dsv4-convert finalize %J", 1, "job.output", "another time");
	/* Somebody whose heart beats does the task. */
	plan("2 --lease 60");
	CHECK(!sh(
		"echo beat >%J/leases/task-0.1; (i=0; while [ -e %J/job.json ]; do i=$((i + 1)); echo \"beat $i\" >%J/leases/task-0.1; sleep 0.2; done) & echo $! >%L.pid"));
	says("%B/dsv4-convert run %J --task 0/2", 75, "job.running", "index");
	CHECK(!sh("kill $(cat %L.pid)"));
}

/* A job folder in the source would make a job of it; one in OUT would be what no conversion writes. Nothing is made. */
static void nested(void)
{
	begin();
	says("%B/dsv4-convert plan %S -o %O -t hf --tasks 2 --job %S", 2, "out.nested",
		"the input folder");
	says("%B/dsv4-convert plan %S -o %O -t hf --tasks 2 --job %S/a/job", 2, "out.nested",
		"the input folder");
	says("ln -s %S %L.s; %B/dsv4-convert plan %S -o %O -t hf --tasks 2 --job %L.s/job", 2,
		"out.nested", "the input folder");
	CHECK(!sh(
		"rm %L.s; test ! -e %O && test ! -e %S/leases && test ! -e %S/a && test ! -e %S/job"));
	says("%B/dsv4-convert plan %S -o %O -t hf --tasks 2 --job %O", 2, "out.nested",
		"the output folder");
	says("%B/dsv4-convert plan %S -o %O -t hf --tasks 2 --job %O/job", 2, "out.nested",
		"the output folder");
	CHECK(!sh("test ! -e %O/leases && test ! -e %O/job"));
	says("%B/dsv4-convert plan %S -o %O -t hf --tasks 2", 2, "--tasks", "--job");
	/* A finished OUT stays so where the job is refused. */
	CHECK(!sh(
		"rm -rf %O.2; %B/dsv4-convert plan %S -o %O.2 -t hf --job %J -q --tasks 2 >%L && %B/dsv4-convert run %S -o %O -t hf -q >%L"));
	says("%B/dsv4-convert plan %S -o %O -t hf --tasks 2 --job %O/job", 2, "out.nested",
		"the output folder");
	says("%B/dsv4-convert plan %S -o %O -t hf --tasks 2 --job %J", 2, "job.other",
		"another plan");
	CHECK(!sh("%B/dsv4-verify check %O -q >%L"));
	CHECK(!sh(
		"rm -r %J %O.2 && %B/dsv4-convert plan %S -o %O -t hf --job %J -q --tasks 2 >%L && test ! -e %O/manifest.json && rm -r %J"));
	/* OUT may lie in the job folder. */
	CHECK(!sh("mkdir %J && %B/dsv4-convert plan %S -o %J/out -t hf --job %J -q --tasks 1 >%L"));
	CHECK(!sh(
		"%B/dsv4-convert run %J --task 0/1 -q >%L && %B/dsv4-convert finalize %J -q >%L"));
	CHECK(!sh("%B/dsv4-verify check %J/out -q >%L"));
}

/* OUT has become another conversion since plan: one that other files lie in is left alone; one of this very plan, but of
 * another source, is no finished conversion any more once a file of it is replaced. */
static void came_between(void)
{
	const char *const options[] = { "-t hf", "-t marlin-mxfp4 --ranks 2" };
	char s[700];
	size_t i;

	for (i = 0; i < 2; i++) {
		begin();
		snprintf(s, sizeof s,
			"%%B/dsv4-convert plan %%S -o %%O %s --job %%J -q --tasks 2 >%%L && rm -r %%O && "
			"%%B/dsv4-convert run %%S -o %%O %s -q >%%L",
			options[i], options[!i]);
		CHECK_IN(s, !sh(s));
		says("%B/dsv4-convert run %J --task 0/2 -q", 2, "out.foreign", "does not write");
		CHECK_IN(options[i], !sh("%B/dsv4-verify check %O -q >%L"));
		begin();
		dirs_remove(one.s);
		snprintf(s, sizeof s,
			"o='%s'; rm -rf %%S.o; cp -r %%S %%S.o && for f in %%S.o/*.safetensors; do printf 12345678 | "
			"dd of=$f bs=1 seek=$(($(stat -c %%s $f) - 8)) conv=notrunc 2>%%L; done; "
			"%%B/dsv4-convert run %%S -o %%1 $o -q >%%L && "
			"%%B/dsv4-convert plan %%S -o %%O $o --job %%J -q --tasks 2 >%%L && rm -r %%O && "
			"%%B/dsv4-convert run %%S.o -o %%O $o -q >%%L && test -e %%O/manifest.json && "
			"%%B/dsv4-convert run %%J --task 0/2 -q >%%L",
			options[i]);
		CHECK_IN(s, !sh(s));
		CHECK_IN(options[i], !sh("test ! -e %O/manifest.json"));
		CHECK_IN(options[i], !sh("%B/dsv4-convert run %J --task 1/2 -q >%L"));
		CHECK_IN(options[i], finished_as_one());
		/* What the finished conversion says of a file that is made again stays. */
		CHECK(!sh("touch -c -d 2001-01-01 %O/" F1 " %O/rank-0-of-2/" F1 " && "
			  "%B/dsv4-convert run %J --task 0/2 --steal -q >%L && test -s %L && "
			  "test -e %O/manifest.json"));
	}
	dirs_remove(one.s); /* of another target than in other tests */
}

/* Whatever a job is made of is another one for the second task: a conversion of another checkpoint, a checkpoint and
 * --experts-from of the same names and sizes, and each file that an option names. */
static void changed_between(void)
{
	static const struct {
		const char *from, *options, *how, *rule; /* options: tool first */
		int status;
	} row[] = {
		{ "%S.c", "quant --to fp8", "rm -r %S.c; cp -r %S.d %S.c", "job.source", 1 },
		{ "%S.h", "quant --to bf16 --experts-from %S.f", "touch -d 2001-01-01 %S.h/" F1,
			"job.source", 1 },
		{ "%S.h", "quant --to bf16 --experts-from %S.f", "touch -d 2001-01-01 %S.f/" F1,
			"job.source", 1 },
		{ "%S.h", "quant --to gguf --recipe %S.r", "sed -i s/iq4_nl/q8_0/ %S.r",
			"job.other", 2 },
		{ "%S.h", "quant --to gguf --recipe %S.q --imatrix %S.i", "cp %S.j %S.i",
			"job.other", 2 },
		{ "%S.h", "quant --to nvfp4 --input-scale %S.k", "sed -i s/12.5/13.5/ %S.k",
			"job.other", 2 },
		{ "%S.h", "convert -t marlin-mxfp4 --ranks 2 --placement %S.p",
			"sed -i 'y/04/40/' %S.p", "job.other", 2 },
		{ "%S.h", "convert -t sglang-presharded --shard-config %S.s",
			"sed -i 's/9abcdef/9abcde0/; s/226f05ca04a029f4/b13da34044063505/' %S.s",
			"job.other", 2 },
	};
	char s[1200];
	size_t i, n;

	begin();
	CHECK(!sh(
		"cp -r %S %S.h && cp -r %S %S.x && dd if=/dev/zero of=%S.x/model-00004-of-00007.safetensors bs=64 seek=3000 "
		"count=1 conv=notrunc 2>%L && %B/dsv4-convert run %S -o %S.c -t hf -q >%L && "
		"%B/dsv4-convert run %S.x -o %S.d -t hf -q >%L && %B/dsv4-quant run %S -o %S.f --to mxfp8 -q >%L"));
	CHECK(!sh(
		"for i in i,5 j,6; do %B/dsv4-quant imatrix %S --tokens 1,${i#*,} -o %S.${i%,*} -q >%L || exit 1; done"));
	CHECK(!sh(
		"printf '{\"layers.0.ffn.experts.3.w1\": 12.5, \"layers.0.ffn.experts.2.w2\": 3}' >%S.k;"
		"printf 'dsv4-recipe-1 gguf\\nffn.experts.#.w2 * * iq4_nl\\n' | tee %S.r >%S.q; "
		"printf '{\"*\": [[0,1,2,3],[4,5,6,7]]}' >%S.p; cp tests/vectors/sglang_tiny-flash-1-ep.json %S.s"));
	for (i = 0; i < sizeof row / sizeof *row; i++) {
		dirs_remove(out.s);
		dirs_remove(job.s);
		n = strcspn(row[i].options, " ");
		snprintf(s, sizeof s,
			"t=%%B/dsv4-%.*s; $t plan %s -o %%O%s --job %%J --tasks 2 -q >%%L && $t run %%J --task 0/2 -q >%%L",
			(int)n, row[i].options, row[i].from, row[i].options + n);
		CHECK_IN(row[i].how, !sh(s));
		CHECK_IN(row[i].how, !sh(row[i].how));
		snprintf(s, sizeof s, "%%B/dsv4-%.*s run %%J --task 1/2", (int)n, row[i].options);
		says(s, row[i].status, row[i].rule, "plan again");
		snprintf(s, sizeof s, "%%B/dsv4-%.*s finalize %%J", (int)n, row[i].options);
		says(s, row[i].status, row[i].rule, "plan again");
	}
	CHECK(!sh("rm -r %S.?"));
}

/* Options that name files say them as seen from the folder in which plan was called: a task finds them from any other. */
static void elsewhere(void)
{
	static const char *const row[] = {
		"convert -t marlin-mxfp4 --ranks 2 --placement placement",
		"convert -t sglang-presharded --shard-config shard-config",
		"convert -t hf --source-sha256 list",
		"quant --to gguf --recipe recipe",
		"quant --to nvfp4 --input-scale input",
	};
	char s[1200];
	size_t i, n;

	begin();
	CHECK(!sh(
		"mkdir %S.z && printf '{\"*\": [[0,1,2,3],[4,5,6,7]]}' >%S.z/placement && "
		"cp tests/vectors/sglang_tiny-flash-1-ep.json %S.z/shard-config && printf '{\"layers.0.ffn.experts.3.w1\": 12.5, \"layers.0.ffn.experts.2.w2\": 3}' >%S.z/input && "
		"printf 'dsv4-recipe-1 gguf\\nffn.experts.#.w2 * * iq4_nl\\n' >%S.z/recipe && "
		"(cd %S && sha256sum *.safetensors) >%S.z/list"));
	for (i = 0; i < sizeof row / sizeof *row; i++) {
		dirs_remove(out.s);
		dirs_remove(job.s);
		n = strcspn(row[i], " ");
		snprintf(s, sizeof s,
			"t=$PWD/%%B/dsv4-%.*s; (cd %%S.z && $t plan %%S -o %%O%s --job %%J --tasks 1 -q >%%L) && $t run %%J --task 0/1 -q >%%L && $t finalize %%J -q >%%L",
			(int)n, row[i], row[i] + n);
		CHECK_IN(row[i], !sh(s));
	}
	CHECK(!sh("rm -r %S.?"));
}

/* A file of importance that is written to while the run goes on, as llama-imatrix does to its own: what was made of it is
 * no file of this plan. */
static void importance_rewritten(void)
{
	struct path i = dirs_path("i"), recipe = dirs_path("recipe");
	struct job_opts o = { .plan = { .target = "gguf", .ranks = 1, .sha256 = true },
		.imatrix = i.s,
		.recipe = recipe.s,
		.threads = 2,
		.max_memory = 256 << 20 };
	struct run_opts ro = { .out = out.s, .tool = "t", .features = cpu_features() };
	struct batch b = { .tasks = 1, .lease = 60, .dir = -1, .leases = -1, .receipts = -1 };
	const struct task_opts to = { .run = &ro };
	struct task_result done;
	struct run_result r;
	struct err e = { 0 };
	struct job j;

	begin();
	CHECK(!sh(
		"for i in i,5 j,6; do %B/dsv4-quant imatrix %S --tokens 1,${i#*,} -o %S.${i%,*} -q >%L || exit 1; done; "
		"cp %S.i $(dirname %S)/i; printf 'dsv4-recipe-1 gguf\nffn.experts.#.w2 * * iq4_nl\n' >$(dirname %S)/recipe"));
	CHECK_IN(e.text, !job_open(&j, io_posix(), src.s, &o, &e));
	ro.budget = j.b;
	snprintf(b.plan, sizeof b.plan, "%s", j.conversion.hash);
	snprintf(b.out, sizeof b.out, "%s", out.s);
	CHECK(!source_id(&j, b.source_id, &e) && !batch_units(&b, &j.conversion, &e) &&
		!batch_create(&b, io_posix(), job.s, &e));
	/* Whoever asks is of another version than the plan. */
	CHECK(batch_hold(&b, &j, "t 2", &e) && e.rule && !strcmp(e.rule, "job.other"));
	e = (struct err){ 0 };
	CHECK(!sh("cat %S.j >$(dirname %S)/i"));
	CHECK(task_run(&b, &j, &to, &done, &e) && e.rule && !strcmp(e.rule, "ckpt.changed"));
	CHECK(!done.n_made && !sh("test -z \"$(ls %J/receipts)\""));
	task_result_free(&done);
	dirs_remove(out.s);
	e = (struct err){ 0 };
	CHECK(run_conversion(&j.conversion, &ro, &r, &e) && e.rule &&
		!strcmp(e.rule, "ckpt.changed"));
	CHECK(!sh("test ! -e %O/manifest.json && rm %S.?"));
	run_result_free(&r);
	batch_close(&b);
	job_close(&j);
}

/* Waits until the task of says has said that it begins. */
#define BEGUN "until grep -q '^task 0 of 2' %L || ! kill -0 $p; do sleep 0.05; done"

/* What a task is told to stop in stays unmade, and the next one makes it. */
static void stopped(void)
{
	int i;

	plan("2 --lease 60");
	/* A lease of another machine, on which nothing is known: the task waits, and hears the signal. */
	CHECK(!sh("echo 'boot x ns y' >%J/leases/task-0.1"));
	for (i = 0; i < 2; i++)
		says(i ? "%B/dsv4-convert run %J --task 0/2 & p=$!; " BEGUN
			 "; kill -USR1 $p; wait $p"
		       : "%B/dsv4-convert run %J --task 0/2 & p=$!; " BEGUN
			 "; kill -TERM $p; wait $p",
			75, "job.stopped", "");
	CHECK(!sh(
		"printf 'released\\n\\nreleased\\n' >%J/leases/task-0.1; %B/dsv4-convert run %J --task 0/2 -q >%L && "
		"%B/dsv4-convert run %J --task 1/2 -q >%L"));
	CHECK(finished_as_one());
}

/* Receipts that are damaged, of another job, or contradicted by what lies in OUT. */
static void false_receipts(void)
{
	static const struct {
		const char *how, *rule, *word;
		bool full;
	} row[] = {
		{ "sed -i 's/\"task\": /\"task\": 1/' %J/receipts/000000.json", "job.receipt",
			"remove it", false },
		{ "cp %J/receipts/000001.json %J/receipts/000000.json", "job.receipt", "000000",
			false },
		{ "cp %L.other %J/receipts/000000.json", "job.receipt", "of job", false },
		{ "rm %O/" F1, "job.output", "is not there", false },
		{ "truncate -s -1 %O/" F1, "job.output", "another size", false },
		{ "printf x | dd of=%O/" F1 " conv=notrunc bs=1 seek=90000 2>/dev/null",
			"job.output", "other bytes", false },
		{ "touch -r %O/" F1 " %L.t; printf x | dd of=%O/" F1
		  " conv=notrunc bs=1 seek=90000 2>/dev/null; touch -r %L.t %O/" F1,
			"job.output", "other bytes", true },
		{ "sed -i 's/\"tool\": \"dsv4/\"tool\": \"dsv5/' %O/" F1 ".manifest.json",
			"job.output", "manifest.json", false },
		{ "rm %O/" F1 ".manifest.json", "job.output", "manifest.json", false },
	};
	size_t i;

	plan("3");
	CHECK(!sh(
		"%B/dsv4-convert run %J --task 0/3 --steal -q >%L && cp %J/receipts/000000.json %L.other"));
	for (i = 0; i < sizeof row / sizeof *row; i++) {
		plan("2");
		CHECK(!sh("%B/dsv4-convert run %J --task 0/2 --steal -q >%L"));
		CHECK_IN(row[i].how, !sh(row[i].how));
		says(row[i].full ? "%B/dsv4-convert finalize %J --full"
				 : "%B/dsv4-convert finalize %J",
			1, row[i].rule, row[i].word);
		CHECK_IN(row[i].how, !sh("test ! -e %O/manifest.json"));
		/* What the message says helps. */
		CHECK_IN(row[i].how,
			!sh("rm -f %J/receipts/000000.json; %B/dsv4-convert run %J --task 0/2 --steal -q >%L"));
		CHECK_IN(row[i].how, finished_as_one());
	}
}

/* A receipt that is whole, of this job, and false: whoever can write into a job folder can write one. The sidecar has the
 * digest of its file too. */
static void forged_receipt(void)
{
	struct batch b;
	struct receipt r;
	struct err e = { 0 };

	plan("2");
	CHECK(!sh("%B/dsv4-convert run %J --task 0/2 --steal -q >%L"));
	CHECK_IN(e.text, !batch_open(&b, io_posix(), job.s, &e));
	CHECK(receipt_read(&r, &b, 0, &e) == 1);
	r.known.sha256[5] ^= 1;
	CHECK_IN(e.text, !receipt_put(&b, 0, &r, &e));
	says("%B/dsv4-convert finalize %J --full", 1, "job.output", "other bytes");
	says("%B/dsv4-convert finalize %J", 1, "job.output", "SHA-256 of the file");
	CHECK(!sh("test ! -e %O/manifest.json"));
	/* What the message of finalize says helps. */
	CHECK(!sh(
		"rm %J/receipts/000000.json && %B/dsv4-convert run %J --task 0/2 -q --steal >%L"));
	CHECK(finished_as_one());
	/* The same with the digest of the sidecar, and its size. */
	plan("2");
	CHECK(!sh("%B/dsv4-convert run %J --task 0/2 --steal -q >%L"));
	batch_close(&b);
	CHECK_IN(e.text, !batch_open(&b, io_posix(), job.s, &e));
	CHECK(receipt_read(&r, &b, 0, &e) == 1);
	r.known.side_sha256[5] ^= 1;
	CHECK_IN(e.text, !receipt_put(&b, 0, &r, &e));
	says("%B/dsv4-convert finalize %J", 1, "job.output", "manifest.json");
	r.known.side_sha256[5] ^= 1;
	r.known.side_bytes++;
	CHECK_IN(e.text, !receipt_put(&b, 0, &r, &e));
	says("%B/dsv4-convert finalize %J", 1, "job.output", "manifest.json");
	CHECK(!sh("test ! -e %O/manifest.json"));
	batch_close(&b);
}

/* A file that lies under a final name and has no receipt is no file of the job, whatever is in it. */
static void wrong_output(void)
{
	static const char *const row[] = {
		"cp %S/" F1 " %O/" F1, /* without a sidecar */
		"cp %1/" F1 ".manifest.json %O/; cp %1/" F1
		" %O/ && truncate -s -8 %O/" F1, /* too short */
		"cp %1/" F1 ".manifest.json %O/; cp %1/" F1 " %O/ && printf x | "
		"dd of=%O/" F1 " conv=notrunc bs=1 seek=90000 2>/dev/null",
		("mkfifo %O/" F1),
	};
	size_t i;

	for (i = 0; i < sizeof row / sizeof *row; i++) {
		plan("2");
		CHECK_IN(row[i], !sh(row[i]));
		says("%B/dsv4-convert finalize %J", 75, "job.unfinished", "");
		CHECK_IN(row[i],
			!sh("for i in 0 1; do timeout 60 %B/dsv4-convert run %J --task $i/2 -q >%L || exit 1; done"));
		CHECK_IN(row[i], finished_as_one());
	}
	/* And with a receipt of another job: it is no receipt of this one. */
	plan("3");
	CHECK(!sh("%B/dsv4-convert run %J --task 0/3 --steal -q >%L && cp -r %J/receipts %L.r"));
	plan("2");
	CHECK(!sh("cp %L.r/* %J/receipts/ && rm -r %L.r"));
	says("%B/dsv4-convert finalize %J", 1, "job.receipt", "of job");
	CHECK(!sh("%B/dsv4-convert run %J --task 0/2 --steal -q >%L"));
	CHECK(finished_as_one());
	/* What is to be done about a false sidecar is said. */
	CHECK(!sh("rm %O/" F1 ".manifest.json"));
	says("%B/dsv4-convert finalize %J", 1, "job.output",
		"remove receipts/000000.json, run task ");
	CHECK(!sh(
		"rm %J/receipts/000000.json && %B/dsv4-convert run %J --task 0/2 --steal -q >%L"));
	CHECK(finished_as_one());
}

/* A machine that died with its leases; one that was taken for dead and goes on; two that hold one file. */
static void leases(void)
{
	plan("2 --lease 1");
	CHECK(!sh(
		"for u in 0 1 2 3 4 5 6; do printf 'x\\nowner 1.1\\n' >%J/leases/unit-$u.1; done; echo 'boot x ns y' >%J/leases/task-1.1"));
	CHECK(!sh("%B/dsv4-convert run %J --task 0/2 --steal -q >%L"));
	CHECK(finished_as_one());
	/* An empty lease, whose owner died before it said who it is. */
	plan("2 --lease 1");
	CHECK(!sh(
		": >%J/leases/unit-3.1; : >%J/leases/task-0.1; %B/dsv4-convert run %J --task 0/2 --steal -q >%L"));
	CHECK(finished_as_one());
	/* Every file is there twice in the end: two processes that do not see each other's leases. */
	plan("2 --lease 1");
	CHECK(!sh(
		"cp -r %J %J.2; %B/dsv4-convert run %J --task 0/2 --steal -q >%L & %B/dsv4-convert run %J.2 --task 1/2 --steal -q "
		">%L.2 && wait $! && cp -f %J.2/receipts/* %J/receipts/"));
	CHECK(finished_as_one());
	dirs_remove(dirs_path("job.2").s);
}

/* Processes are killed, or told to stop, at any time, eight tasks with stealing, until all is done. */
static void kills(void)
{
	int n = getenv("KILLS") ? atoi(getenv("KILLS")) : 24, killed = 0, st;
	char program[600], index[16];
	bool told;
	pid_t p;

	snprintf(program, sizeof program, "%s/dsv4-convert", shell_build());
	while (killed < n) {
		plan("8 --lease 60");
		while (killed < n && sh("%B/dsv4-convert finalize %J -q >%L 2>&1")) {
			snprintf(index, sizeof index, "%u/8", rnd(8));
			p = fork();
			if (!p) {
				if (!freopen("/dev/null", "w", stdout) ||
					!freopen("/dev/null", "w", stderr))
					_exit(126);
				execl(program, program, "run", job.s, "--task", index, "--steal",
					"-q", "-j1", (char *)NULL);
				_exit(127);
			}
			nanosleep(&(struct timespec){ .tv_nsec = 1000 * (long)rnd(60000) }, NULL);
			kill(p, rnd(4) ? SIGKILL : SIGTERM);
			CHECK(waitpid(p, &st, 0) == p);
			told = WIFEXITED(st) && WEXITSTATUS(st) == 75;
			CHECK(WIFSIGNALED(st) || told || !WEXITSTATUS(st));
			killed += WIFSIGNALED(st) || told;
		}
		CHECK(!sh(
			"for i in 0 1 2 3 4 5 6 7; do %B/dsv4-convert run %J --task $i/8 -q >%L || exit 1; done"));
		CHECK(finished_as_one());
		CHECK(!sh("test -z \"$(find %O -name '*.part' -o -name .dsv4-work)\""));
		if (check_failed)
			return;
	}
}

/* --- which task it is --- */

static const char *const *set;

static const char *env_of(const char *name)
{
	size_t i, n = strlen(name);

	for (i = 0; set[i]; i++)
		if (!strncmp(set[i], name, n) && set[i][n] == '=')
			return set[i] + n + 1;
	return NULL;
}

static void slots(void)
{
	static const struct {
		const char *env[8];
		int index; /* -1: refused */
		int count;
	} row[] = {
		{ { "DSV4_TASK_INDEX=2", "DSV4_TASK_COUNT=5" }, 2, 5 },
		{ { "SLURM_ARRAY_TASK_ID=14", "SLURM_ARRAY_TASK_COUNT=4", "SLURM_ARRAY_TASK_MIN=10",
			  "SLURM_ARRAY_TASK_STEP=2" },
			2, 4 },
		{ { "SLURM_ARRAY_TASK_ID=13", "SLURM_ARRAY_TASK_COUNT=4", "SLURM_ARRAY_TASK_MIN=10",
			  "SLURM_ARRAY_TASK_STEP=2" },
			-1, 0 },
		{ { "SLURM_ARRAY_TASK_ID=1", "SLURM_ARRAY_TASK_COUNT=4", "SLURM_NTASKS=3",
			  "SLURM_PROCID=2", "SLURM_STEP_ID=0" },
			5, 12 },
		{ { "SLURM_ARRAY_TASK_ID=1", "SLURM_ARRAY_TASK_COUNT=4", "SLURM_NTASKS=3",
			  "SLURM_PROCID=0" },
			1, 4 },
		{ { "SLURM_PROCID=3", "SLURM_NTASKS=8", "SLURM_STEP_ID=0" }, 3, 8 },
		{ { "SLURM_PROCID=0", "SLURM_NTASKS=8" }, -1, 0 },
		{ { "JOB_COMPLETION_INDEX=6" }, 6, 0 },
		{ { "AWS_BATCH_JOB_ARRAY_INDEX=1", "AWS_BATCH_JOB_ARRAY_SIZE=3" }, 1, 3 },
		{ { "OMPI_COMM_WORLD_RANK=1", "OMPI_COMM_WORLD_SIZE=3" }, 1, 3 },
		{ { "PMI_RANK=1", "PMI_SIZE=3" }, 1, 3 },
		{ { "RANK=1", "WORLD_SIZE=3" }, -1, 0 },
		{ { "CLOUD_RUN_TASK_INDEX=1", "CLOUD_RUN_TASK_COUNT=3" }, 1, 3 },
		{ { "BATCH_TASK_INDEX=1", "BATCH_TASK_COUNT=3" }, 1, 3 },
		{ { "PBS_ARRAY_INDEX=4" }, 4, 0 },
		{ { "LSB_JOBINDEX=1" }, 0, 0 },
		{ { "LSB_JOBINDEX=0" }, -1, 0 },
		{ { "SGE_TASK_ID=5", "SGE_TASK_FIRST=1", "SGE_TASK_LAST=8", "SGE_TASK_STEPSIZE=1" },
			4, 8 },
		{ { "SGE_TASK_ID=undefined" }, -1, 0 },
		{ { "SLURM_PROCID=1", "SLURM_NTASKS=2", "SLURM_STEP_ID=0", "PMI_RANK=1",
			  "PMI_SIZE=2" },
			1, 2 },
		{ { "SLURM_PROCID=1", "SLURM_NTASKS=2", "SLURM_STEP_ID=0", "PMI_RANK=0",
			  "PMI_SIZE=2" },
			-1, 0 },
		{ { "DSV4_TASK_INDEX=two" }, -1, 0 },
		{ { "DSV4_TASK_INDEX=-1" }, -1, 0 },
		{ { "DSV4_TASK_INDEX=99999999999999999999" }, -1, 0 },
	};
	struct slot s;
	struct err e;
	size_t i;
	int rc;

	for (i = 0; i < sizeof row / sizeof *row; i++) {
		set = row[i].env;
		e = (struct err){ 0 };
		rc = slot_find(&s, NULL, NULL, env_of, &e);
		CHECK_IN(row[i].env[0], (rc < 0) == (row[i].index < 0));
		if (!rc)
			CHECK_IN(row[i].env[0],
				s.index == (uint64_t)row[i].index &&
					s.count == (uint64_t)row[i].count);
		else
			CHECK_IN(row[i].env[0], e.rule && !strcmp(e.rule, "job.index"));
	}
	set = (const char *const[]){ "RANK=1", "WORLD_SIZE=3", NULL };
	CHECK(!slot_find(&s, NULL, "torchrun", env_of, &e) && s.index == 1 && s.count == 3);
	set = (const char *const[]){ "DSV4_TASK_INDEX=1", "DSV4_TASK_COUNT=3", NULL };
	CHECK(!slot_find(&s, "2/4", NULL, env_of, &e) && s.index == 2 && s.count == 4);
}

static const struct test tests[] = {
	{ "slots", slots },
	{ "as one process", as_one_process },
	{ "digests", digests },
	{ "refused", refused },
	{ "elsewhere", elsewhere },
	{ "nested", nested },
	{ "came between", came_between },
	{ "changed between", changed_between },
	{ "importance rewritten", importance_rewritten },
	{ "stopped", stopped },
	{ "false receipts", false_receipts },
	{ "forged receipt", forged_receipt },
	{ "wrong output", wrong_output },
	{ "leases", leases },
	{ "kills", kills },
	{ NULL, NULL },
};
TEST_MAIN(tests)
