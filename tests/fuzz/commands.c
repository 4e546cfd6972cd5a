/* commands.c -- whole calls of the tools on damaged input: sources, conversions, sets, official rank files,
 * records, signed and attested folders, placements, lists of digests; also with all digests made right again after
 * the damage.
 *
 *	build/.../commands SECONDS [SEED]     runs until the time is over; ends with a line of counts
 *	build/.../commands -n RUN [SEED]      does run RUN again and leaves its folder
 *
 * What must hold of every call, whatever it is given:
 *	it ends within 10 s, with a status of 0, 1 or 2, without a signal, in less than 512 MiB
 *	check, compare and signature do not say true of a folder in which a byte that they speak of differs
 *	restore that ends with 0 has made the files of the source
 * The run is a function of SEED and its number. B= names the build folder with the tools.
 *
 * SPDX-License-Identifier: MIT */
#include "tests/fuzz/chain.h"
#include "core/text.h"
#include "tests/fuzz/mutate.h"
#include "tests/sign.h"

#include <dirent.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>

#define MODEL "tests/golden/tiny-pro" /* the smaller one: a call takes some milliseconds */
enum { TIME_LIMIT = 10, MEMORY_LIMIT = 512 << 10 /* KiB */, FILES_MAX = 512, CALLS_MAX = 12 };

/* How a damaged folder is looked at. %1 is the folder, %2 one for results, %3 the untouched counterpart. */
enum duty {
	ANYTHING, /* it may say what it likes, in good order */
	NOTICES,  /* it must not end with 0 */
	RESTORES  /* if it ends with 0, %2 holds the files of the model */
};

struct call {
	const char *line;
	enum duty raw;    /* after damage to bytes */
	enum duty mended; /* after damage to a document, with digests made right */
};

/* What is damaged, how it is made, and what is called on it. A call is chosen by chance. */
struct subject {
	const char *name;
	const char *make; /* shell lines, %1 the folder; NULL: the model itself is copied */
	struct call calls[CALLS_MAX];
};

/* clang-format off */
static const struct subject subjects[] = {
	{ "source", NULL, {
		{ "dsv4-convert inspect %1", ANYTHING, ANYTHING },
		{ "dsv4-convert plan %1 -o %2 --target marlin-mxfp4 --ranks 2", ANYTHING, ANYTHING },
		{ "dsv4-convert run %1 -o %2 --target hf --experts fp8 -q", ANYTHING, ANYTHING },
		{ "dsv4-convert run %1 -o %2 --target trtllm-mxfp4 -q", ANYTHING, ANYTHING },
		{ "dsv4-verify doctor %1 -q", ANYTHING, ANYTHING },
		{ "dsv4-verify doctor %1 -q --for vllm --full", ANYTHING, ANYTHING },
		{ "dsv4-verify logits %1 %3 --tokens 5,17,99 -q", ANYTHING, ANYTHING },
		{ "dsv4-verify diff %1 " MODEL " -q", ANYTHING, ANYTHING } } },
	{ "hf", "$B/dsv4-convert run " MODEL " -o %1 --target hf --experts fp8 -q", {
		{ "dsv4-verify check %1 -q", NOTICES, ANYTHING },
		{ "dsv4-verify check %1 -q --quick", ANYTHING, ANYTHING },
		{ "dsv4-verify compare " MODEL " %1 -q", NOTICES, ANYTHING },
		{ "dsv4-convert restore %1 -o %2 -q", RESTORES, RESTORES },
		{ "dsv4-convert reshard %1 -o %2 --target marlin-mxfp4 -q", ANYTHING, ANYTHING },
		{ "dsv4-verify tensors %1", ANYTHING, ANYTHING },
		{ "dsv4-verify doctor %1 -q", ANYTHING, ANYTHING },
		{ "dsv4-verify logits " MODEL " %1 --tokens 5,17,99 -q", ANYTHING, ANYTHING },
		{ "dsv4-convert run " MODEL " -o %1 --target hf --experts fp8 -q", ANYTHING, ANYTHING } } },
	{ "gguf", "$B/dsv4-quant run " MODEL " -o %1 --to gguf -q", {
		{ "dsv4-verify check %1 -q", NOTICES, ANYTHING },
		{ "dsv4-verify compare " MODEL " %1 -q", NOTICES, ANYTHING },
		{ "dsv4-quant restore %1 -o %2 -q", RESTORES, RESTORES },
		{ "dsv4-convert inspect %1 --json", ANYTHING, ANYTHING },
		{ "dsv4-verify doctor %1 -q --for llama.cpp --full", ANYTHING, ANYTHING },
		{ "dsv4-verify logits " MODEL " %1 --tokens 5,17,99 -q", ANYTHING, ANYTHING },
		{ "dsv4-verify diff %1 %3 -q", ANYTHING, ANYTHING },
		{ "dsv4-quant run %1 -o %2 --to fp8 -q", ANYTHING, ANYTHING } } },
	{ "gguf-foreign", "mkdir %1 && $B/dsv4-quant run " MODEL " -o %1.made --to gguf --dense f32 --shard-size 2000000 -q && mv %1.made/*.gguf %1 && rm -r %1.made", {
		{ "dsv4-verify check %1 -q", ANYTHING, ANYTHING },
		{ "dsv4-convert inspect %1", ANYTHING, ANYTHING },
		{ "dsv4-verify doctor %1 -q", ANYTHING, ANYTHING },
		{ "dsv4-verify logits " MODEL " %1 --tokens 5,17,99 -q", ANYTHING, ANYTHING },
		{ "dsv4-verify record %1 -o %2 --tokens 5,17 -q", ANYTHING, ANYTHING },
		{ "dsv4-verify diff %1 %3 -q", ANYTHING, ANYTHING } } },
	{ "set", "$B/dsv4-convert run " MODEL " -o %1 --target marlin-mxfp4 --ranks 2 -q", {
		{ "dsv4-verify check %1 -q", NOTICES, ANYTHING },
		{ "dsv4-verify compare " MODEL " %1 -q", NOTICES, ANYTHING },
		{ "dsv4-convert restore %1 -o %2 -q", RESTORES, RESTORES },
		{ "dsv4-convert reshard %1 -o %2 --target frag-k32 -q", ANYTHING, ANYTHING },
		{ "dsv4-verify tensors %1 --json", ANYTHING, ANYTHING },
		{ "dsv4-verify parity %1/rank-0-of-2 tests/vectors/state.json -q", ANYTHING, ANYTHING },
		{ "dsv4-verify logits " MODEL " %1 --tokens 5,17,99 -q", ANYTHING, ANYTHING },
		{ "dsv4-verify attest %1 -o %2 -q", NOTICES, ANYTHING },
		{ "dsv4-verify diff %1 %3 -q", ANYTHING, ANYTHING },
		{ "dsv4-convert run " MODEL " -o %1 --target marlin-mxfp4 --ranks 2 -q", ANYTHING, ANYTHING } } },
	{ "ranks", "$B/dsv4-convert run " MODEL " -o %1 --target official --mp 2 -q", {
		{ "dsv4-verify check %1 -q", NOTICES, ANYTHING },
		{ "dsv4-verify compare " MODEL " %1 -q", NOTICES, ANYTHING },
		{ "dsv4-verify doctor %1 -q", ANYTHING, ANYTHING },
		{ "dsv4-verify logits " MODEL " %1 --tokens 5,17,99 -q", ANYTHING, ANYTHING },
		{ "dsv4-verify diff %1 %3 -q", ANYTHING, ANYTHING } } },
	{ "record", "mkdir %1 && $B/dsv4-verify record " MODEL " --tokens 5,17,99 -o %1/model.rec -q", {
		{ "dsv4-verify replay " MODEL " %1/model.rec -q", ANYTHING, ANYTHING } } },
	{ "signed", "$B/dsv4-convert run " MODEL " -o %1 --target official --mp 2 -q && "
		"$B/dsv4-verify sign %1 --key $KEYS/p256.pem -q", {
		{ "dsv4-verify signature %1 --key $KEYS/p256.pub -q", NOTICES, NOTICES },
		{ "dsv4-verify sign %1 --key $KEYS/p256.pem -o %2 -q", ANYTHING, ANYTHING } } },
	{ "attested", "$B/dsv4-convert run " MODEL " -o %1 --target official --mp 2 -q && "
		"$B/dsv4-verify attest %1 --key $KEYS/p256.pem -o %1/attestation.json -q", {
		{ "dsv4-verify signature %1 --signature %1/attestation.json --key $KEYS/p256.pub -q", NOTICES, NOTICES },
		{ "dsv4-verify signature %1 --signature %1/attestation.json --key $KEYS/p256.pub --source " MODEL " -q",
			NOTICES, NOTICES } } },
	{ "placed", "mkdir %1 && printf '{\"layers.0\":[[0,1,2],[3,4,5,6,7]],\"layers.1\":[[0,2,4,6],[1,3,5,7]]}' "
		">%1/placement.json && cd " MODEL " && sha256sum *.safetensors >%1/list.txt", {
		{ "dsv4-convert plan " MODEL " -o %2 --target frag-k32 --ranks 2 --placement %1/placement.json", ANYTHING, ANYTHING },
		{ "dsv4-convert run " MODEL " -o %2 --target frag-k32 --ranks 2 --placement %1/placement.json -q", ANYTHING, ANYTHING },
		{ "dsv4-convert run " MODEL " -o %2 --target hf --source-sha256 %1/list.txt -q", ANYTHING, ANYTHING },
		{ "dsv4-verify check " MODEL " --source-sha256 %1/list.txt -q", ANYTHING, ANYTHING } } },
	{ "replaced", "$B/dsv4-convert run " MODEL " -o %1 --target kmajor-sf128 --ranks 2 -q", {
		{ "dsv4-convert run " MODEL " -o %1 --target official --overwrite -q", ANYTHING, ANYTHING },
		{ "dsv4-verify doctor %1 -q", ANYTHING, ANYTHING },
		{ "dsv4-verify record %1 --tokens 5,17 -o %2 -q", ANYTHING, ANYTHING } } },
	{ "minisigned", "$B/dsv4-convert run " MODEL " -o %1 --target hf -q && "
		"$B/dsv4-verify sign %1 --key $KEYS/mini.key -q", {
		{ "dsv4-verify signature %1 --key $KEYS/mini.mpub -q", NOTICES, NOTICES } } },
};
/* clang-format on */
enum { SUBJECTS = sizeof subjects / sizeof *subjects };

static struct path pristine[SUBJECTS];

/* --- folders --- */

struct listing {
	struct path path[FILES_MAX]; /* of regular files, below their folder */
	size_t n;
};

static int by_path(const void *a, const void *b)
{
	return strcmp(((const struct path *)a)->s, ((const struct path *)b)->s);
}

static void list_into(struct listing *l, const char *top, const char *below)
{
	struct path dir = *below ? chain_path(top, below) : chain_path(top, "."), p;
	DIR *d = opendir(dir.s);
	struct dirent *e;
	struct stat st;

	while (d && (e = readdir(d)) && l->n < FILES_MAX) {
		if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, ".."))
			continue;
		snprintf(p.s, sizeof p.s, "%.200s%s%.200s", below, *below ? "/" : "", e->d_name);
		if (lstat(chain_path(top, p.s).s, &st))
			continue;
		if (S_ISDIR(st.st_mode))
			list_into(l, top, p.s);
		else if (S_ISREG(st.st_mode))
			l->path[l->n++] = p;
	}
	if (d)
		closedir(d);
}

static void list(struct listing *l, const char *top)
{
	l->n = 0;
	list_into(l, top, "");
	qsort(l->path, l->n, sizeof *l->path, by_path);
}

static void shell(const char *line)
{
	if (system(line)) {
		fprintf(stderr, "commands: failed: %s\n", line);
		exit(2);
	}
}

/* The line with %1, %2 and %3 put in. */
static void expand(const char *line, const char *one, const char *two, const char *three, char *to,
	size_t room)
{
	const char *with[] = { one, two, three };
	size_t n = 0;

	for (; *line && n + 1 < room; line++)
		if (*line == '%' && line[1] >= '1' && line[1] <= '3') {
			n += (size_t)snprintf(to + n, room - n, "%s", with[line[1] - '1']);
			line++;
		} else {
			to[n++] = *line;
		}
	to[n < room ? n : room - 1] = 0;
}

static void make_pristine(void)
{
	char line[4096];
	size_t i;

	keys_make();
	setenv("KEYS", dirs_path("keys").s, 1);
	for (i = 0; i < SUBJECTS; i++) {
		pristine[i] = dirs_path(subjects[i].name);
		expand(subjects[i].make ? subjects[i].make : "mkdir %1 && cp " MODEL "/* %1/",
			pristine[i].s, "", "", line, sizeof line - 20);
		strcat(line, " >/dev/null");
		shell(line);
	}
}

/* --- a call --- */

struct outcome {
	int status; /* exit status; 128 + signal */
	double seconds;
	long kib;
};

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Runs the line in a shell that becomes the tool. */
static struct outcome run(const char *line, const char *log)
{
	struct outcome o = { 0 };
	double began = now();
	struct rusage use;
	char full[4600];
	int st;
	pid_t p;

	snprintf(full, sizeof full, "exec $B/%.4000s >%.500s 2>&1", line, log);
	p = fork();
	if (!p) {
		setrlimit(RLIMIT_CPU, &(struct rlimit){ 4 * TIME_LIMIT, 4 * TIME_LIMIT + 2 });
		setrlimit(RLIMIT_CORE, &(struct rlimit){ 0, 0 });
		alarm(6 * TIME_LIMIT); /* a call that hangs dies of it */
		execl("/bin/sh", "sh", "-c", full, (char *)NULL);
		_exit(127);
	}
	if (p < 0 || wait4(p, &st, 0, &use) != p)
		exit(2);
	o.seconds = now() - began;
	/* On a busy machine waiting is not the tool's fault: what counts is its own time, unless it hangs. */
	if (o.seconds < 6 * TIME_LIMIT - 1)
		o.seconds = (double)(use.ru_utime.tv_sec + use.ru_stime.tv_sec) +
			(double)(use.ru_utime.tv_usec + use.ru_stime.tv_usec) / 1e6;
	o.kib = use.ru_maxrss;
	o.status = WIFEXITED(st) ? WEXITSTATUS(st) : 128 + WTERMSIG(st);
	return o;
}

/* --- damage --- */

struct damage {
	struct path file; /* below the folder */
	bool mended;      /* digests were made right again */
	bool differs;     /* the file is not as it was */
	char what[80];
};

/* A change to a document, if it is one, and the digests above it made right. */
static bool damage_document(struct dice *d, const char *top, const char *path)
{
	json_error_t je;
	json_t *o = json_load_file(path, 0, &je);
	unsigned n = 1 + (unsigned)dice(d, 3);

	if (!o)
		return false;
	while (n--)
		mutate_json(d, o);
	if (text_ends(path, "manifest.json") && !strchr(strrchr(path, '/') + 1, '.'))
		return false;
	if (!strcmp(strrchr(path, '/') + 1, "manifest.json"))
		chain_put(path, o);
	else
		json_dump_file(o, path, JSON_INDENT(1) | JSON_SORT_KEYS);
	json_decref(o);
	chain_mend(top, 0);
	return true;
}

static void damage_bytes(struct dice *d, const char *path)
{
	size_t n;
	uint8_t *p = file_get_all(path, &n);
	unsigned times = 1 + (unsigned)dice(d, 2);

	while (p && times--)
		n = mutate_bytes(d, &p, n);
	if (p)
		file_put_all(path, p, n);
	free(p);
}

/* A change to the header of a safetensors file, whose payload stays. */
static bool damage_header(struct dice *d, const char *path)
{
	size_t n, len = 0;
	uint8_t *p = file_get_all(path, &n), *all;
	json_error_t je;
	json_t *o;
	char *s;

	if (p && n > 8)
		memcpy(&len, p, 8);
	o = p && n > 8 && len < n - 8 ? json_loadb((char *)p + 8, len, 0, &je) : NULL;
	if (!o) {
		free(p);
		return false;
	}
	mutate_json(d, o);
	s = json_dumps(o, JSON_COMPACT);
	all = malloc(16 + strlen(s) + n);
	memcpy(all, &(uint64_t){ strlen(s) + (8 - strlen(s) % 8) % 8 }, 8);
	memset(all + 8, ' ', strlen(s) + 8);
	memcpy(all + 8, s, strlen(s));
	memcpy(all + 8 + (strlen(s) + 7) / 8 * 8, p + 8 + len, n - 8 - len);
	file_put_all(path, all, 8 + (strlen(s) + 7) / 8 * 8 + n - 8 - len);
	free(all);
	free(s);
	free(p);
	json_decref(o);
	return true;
}

static bool same_as_before(const char *a, const char *b)
{
	size_t n, m;
	struct stat st;
	uint8_t *p, *q;
	bool same;

	if (lstat(a, &st) || !S_ISREG(st.st_mode))
		return false;
	p = file_get_all(a, &n);
	q = file_get_all(b, &m);
	same = p && q && n == m && !memcmp(p, q, n);
	free(p);
	free(q);
	return same;
}

static void damage(struct dice *d, size_t subject, const char *top, struct damage *g)
{
	struct listing l;
	struct path at, was;
	const char *how;

	list(&l, top);
	g->file = l.path[dice(d, l.n)];
	at = chain_path(top, g->file.s);
	was = chain_path(pristine[subject].s, g->file.s);
	g->mended = false;
	switch (dice(d, 8)) {
	case 0:
		mutate_kind(d, at.s);
		how = "replaced";
		break;
	case 1:
	case 2:
	case 3:
		g->mended = damage_document(d, top, at.s);
		how = "a document, digests mended";
		if (g->mended)
			break;
		__attribute__((fallthrough));
	case 4:
	case 5:
		how = "its header";
		if (damage_header(d, at.s)) {
			g->mended = dice(d, 2);
			if (g->mended)
				chain_mend(top, 0);
			break;
		}
		__attribute__((fallthrough));
	default:
		damage_bytes(d, at.s);
		how = "bytes";
	}
	snprintf(g->what, sizeof g->what, "%s%s", how, g->mended ? " (mended)" : "");
	g->differs = !same_as_before(at.s, was.s);
}

/* --- judging --- */

static bool restored(const char *dir)
{
	struct listing l;
	size_t i;

	list(&l, MODEL);
	for (i = 0; i < l.n; i++)
		if (text_ends(l.path[i].s, ".safetensors") &&
			!same_as_before(chain_path(dir, l.path[i].s).s,
				chain_path(MODEL, l.path[i].s).s))
			return false;
	return true;
}

/* NULL, or what is wrong with the outcome. */
static const char *judge(const struct call *c, const struct damage *g, const struct outcome *o,
	const char *out)
{
	enum duty duty = g->mended ? c->mended : c->raw;

	if (o->status > 2)
		return "a signal, or an exit status above 2";
	if (o->seconds > TIME_LIMIT)
		return "too slow";
	if (o->kib > MEMORY_LIMIT)
		return "too much memory";
	if (o->status || !g->differs)
		return NULL;
	/* Not every byte of a file with a signature is signed: white space, a hint, the untrusted comment. */
	if (duty == NOTICES && !text_ends(g->file.s, "sig"))
		return "exit 0 for a folder that was changed";
	if (duty == RESTORES && !restored(out))
		return "exit 0, but other files than those of the source";
	return NULL;
}

/* One run. Returns whether all was well. keep: its folder stays. */
static bool one(uint64_t seed, uint64_t number, bool keep)
{
	struct dice d = { seed * 0x9e3779b97f4a7c15u ^ number };
	struct path in = dirs_path("in"), out = dirs_path("out"), log = dirs_path("log");
	size_t s = (dice_next(&d), dice(&d, SUBJECTS)), n = 0;
	const struct call *c;
	struct damage g;
	struct outcome o;
	const char *bad;
	char line[4200];

	while (n < CALLS_MAX && subjects[s].calls[n].line)
		n++;
	c = &subjects[s].calls[dice(&d, n)];
	dirs_remove(in.s);
	dirs_remove(out.s);
	snprintf(line, sizeof line, "cp -r %s %s", pristine[s].s, in.s);
	shell(line);
	damage(&d, s, in.s, &g);
	expand(c->line, in.s, out.s, pristine[s].s, line, sizeof line);
	o = run(line, log.s);
	bad = judge(c, &g, &o, out.s);
	if (bad || keep)
		printf("%s run %llu of seed %llu: %s\n     %s\n     %s: %s\n     status %d, %.1f s, %ld KiB\n",
			bad ? "FAIL" : "ok  ", (unsigned long long)number, (unsigned long long)seed,
			bad ? bad : "", line, g.file.s, g.what, o.status, o.seconds, o.kib);
	if (bad || keep) {
		snprintf(line, sizeof line, "head -c 600 %s", log.s);
		shell(line);
		fflush(stdout);
	}
	return !bad;
}

int main(int argc, char **argv)
{
	bool again = argc > 2 && !strcmp(argv[1], "-n");
	uint64_t seed = argc > 2 + again ? strtoull(argv[2 + again], NULL, 10) : 1, i = 0,
		 failed = 0;
	double until = now() + (argc > 1 && !again ? strtod(argv[1], NULL) : 0);

	setenv("B", getenv("B") ? getenv("B") : "build/gcc-opt", 1);
	make_pristine();
	if (again) {
		failed = !one(seed, strtoull(argv[2], NULL, 10), true);
		dirs_top.s[0] = 0; /* it stays */
		return (int)failed;
	}
	for (; now() < until && failed < 20; i++)
		failed += !one(seed, i, false);
	printf("commands: %llu runs of seed %llu, %llu failed\n", (unsigned long long)i,
		(unsigned long long)seed, (unsigned long long)failed);
	return failed ? 1 : 0;
}
