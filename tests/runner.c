/* runner.c -- runs tests in parallel and adds up what they print.
 *
 *     runner [-j N] [-t SECONDS] [-x FILE] [-r FILE] [-p FILE] [-f TEXT] PROGRAM|SCRIPT...
 *
 * The unit is one process: a script, or one test of a program that answers --list with a line "test NAME" for
 * each of its tests (tests/check.h). A unit prints a line "ok   name", "FAIL name" or "SKIP name: reason" for
 * each thing it looked at. It has also failed if it dies, ends with a status that no FAIL line explains, prints
 * no such line, or takes longer than it may. What a unit prints is kept together and appears when it ends. The
 * unit that took longest the last time is started first. The last line is "N passed, M failed, K skipped".
 * With -p a unit also prints a line "rule ID" for each rule of core/rule.def that it produced, which is not shown
 * (tests/produced.c), and has failed if it does not produce a rule that names it.
 *
 *     -j N        how many units run at a time (default: one more than the processors that this process may use,
 *                 since some units wait)
 *     -t SECONDS  how long a unit may take before its process group is killed (default 600)
 *     -x FILE     writes JUnit's XML there
 *     -r FILE     keeps the seconds of each unit there, for the order of the next run
 *     -p FILE     has a line "ID<tab>UNIT" for each rule: the unit that produces it
 *     -f TEXT     runs only units whose name has TEXT in it; may be given several times, and each that no name has is a failure
 *
 * The runner uses nothing of the libraries that it helps to test.
 *
 * SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
	JOBS_MAX = 256,
	FILTERS_MAX = 64,
	OUTPUT_MAX =
		1 << 20, /* bytes of a unit's output that are kept; the rest is read and dropped */
};

struct buf {
	char *s; /* ends with a 0 byte that n does not count; NULL while empty */
	size_t n, room;
};

enum outcome { OK, FAIL, SKIP, OUTCOMES };
static const char *const outcome_words[OUTCOMES] = { "ok  ", "FAIL", "SKIP" };

/* One line of a unit that begins with one of the words. */
struct result {
	enum outcome outcome;
	size_t at, n;   /* the rest of the line, in the output of its unit */
	double seconds; /* since the result before it, or since the start */
};

struct unit {
	char *path, *test, *name; /* test is NULL for a script or a program that lists nothing */
	double expected; /* seconds of the last run; 2, more than most take, if it is unknown */

	pid_t pid; /* 0: not started, or done */
	int fd;    /* its stdout and stderr; -1: closed */
	double start, seen, seconds, cpu;
	struct buf out;
	size_t parsed; /* bytes of out whose lines were looked at */
	struct result *results;
	size_t n_results;
	bool cut, late;
	struct buf rules; /* what it produced: a line each, after a newline */
};

/* A rule, and the unit that produces it. */
struct promise {
	char *rule, *unit;
	bool known; /* there is such a unit, whether or not it is to run */
};

struct runner {
	struct unit *u;
	size_t n, next, count[OUTCOMES];
	unsigned jobs, running;
	double limit;
	const char *junit, *times, *promised, *filter[FILTERS_MAX];
	struct promise *p;
	size_t n_p;
	unsigned n_filters;
	bool found[FILTERS_MAX]; /* of each filter: some unit has it in its name */
};

static volatile sig_atomic_t stopped;

static void on_signal(int n)
{
	stopped = n;
}

static void die(const char *what)
{
	fprintf(stderr, "runner: %s: %s\n", what, strerror(errno));
	exit(2);
}

static void *grown(void *p, size_t bytes)
{
	p = realloc(p, bytes);
	if (!p)
		die("memory");
	return p;
}

static void buf_put(struct buf *b, const char *s, size_t n)
{
	if (b->n + n + 1 > b->room) {
		b->room = 2 * (b->n + n + 1);
		b->s = grown(b->s, b->room);
	}
	memcpy(b->s + b->n, s, n);
	b->n += n;
	b->s[b->n] = 0;
}

static char *joined(const char *a, const char *between, const char *b)
{
	size_t n = strlen(a) + strlen(between) + strlen(b) + 1;
	char *s = grown(NULL, n);

	snprintf(s, n, "%s%s%s", a, between, b);
	return s;
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static unsigned processors(void)
{
	cpu_set_t set;

	return sched_getaffinity(0, sizeof set, &set) ? 1 : (unsigned)CPU_COUNT(&set);
}

/* --- which units there are --- */

static bool is_script(const char *path)
{
	size_t n = strlen(path);

	return n > 3 && !strcmp(path + n - 3, ".sh");
}

static bool wanted(struct runner *r, const char *name)
{
	bool any = !r->n_filters;
	unsigned i;

	for (i = 0; i < r->n_filters; i++) {
		if (!strstr(name, r->filter[i]))
			continue;
		r->found[i] = true;
		any = true;
	}
	return any;
}

static void read_promises(struct runner *r)
{
	FILE *f = r->promised ? fopen(r->promised, "r") : NULL;
	char line[512], *tab;

	if (r->promised && (!f || setenv("RULES", "1", 1)))
		die(r->promised);
	while (f && fgets(line, sizeof line, f)) {
		line[strcspn(line, "\n")] = 0;
		tab = line + strcspn(line, "\t");
		if (*tab)
			*tab++ = 0;
		r->p = grown(r->p, (r->n_p + 1) * sizeof *r->p);
		r->p[r->n_p++] =
			(struct promise){ joined(line, "", ""), joined(tab, "", ""), false };
	}
	if (f)
		fclose(f);
}

static void add(struct runner *r, const char *path, const char *test)
{
	const char *slash = strrchr(path, '/'), *base = slash ? slash + 1 : path;
	struct unit u = { .fd = -1, .expected = 2 };
	size_t i;

	u.name = joined(base, test ? ": " : "", test ? test : "");
	for (i = 0; i < r->n_p; i++)
		r->p[i].known = r->p[i].known || !strcmp(r->p[i].unit, u.name);
	if (!wanted(r, u.name)) {
		free(u.name);
		return;
	}
	u.path = joined(path, "", "");
	u.test = test ? joined(test, "", "") : NULL;
	r->u = grown(r->u, (r->n + 1) * sizeof *r->u);
	r->u[r->n++] = u;
}

/* A unit for each test that the program lists, or one for all of it. */
static void add_program(struct runner *r, const char *path)
{
	char *command = joined("'", path, "' --list 2>/dev/null"), line[512];
	FILE *f = popen(command, "r");
	bool listed = false;

	while (f && fgets(line, sizeof line, f)) {
		line[strcspn(line, "\n")] = 0;
		if (strncmp(line, "test ", 5) != 0)
			continue;
		listed = true;
		add(r, path, line + 5);
	}
	if (f)
		pclose(f);
	free(command);
	if (!listed)
		add(r, path, NULL);
}

static void read_times(struct runner *r)
{
	FILE *f = r->times ? fopen(r->times, "r") : NULL;
	char line[512], *end;
	double seconds;
	size_t i;

	while (f && fgets(line, sizeof line, f)) {
		line[strcspn(line, "\n")] = 0;
		seconds = strtod(line, &end);
		for (i = 0; i < r->n; i++)
			if (*end == ' ' && !strcmp(r->u[i].name, end + 1))
				r->u[i].expected = seconds;
	}
	if (f)
		fclose(f);
}

static int longest_first(const void *pa, const void *pb)
{
	const struct unit *a = pa, *b = pb;

	if (a->expected < b->expected || a->expected > b->expected)
		return a->expected < b->expected ? 1 : -1;
	return strcmp(a->name, b->name);
}

static void write_times(const struct runner *r)
{
	FILE *f = r->times && !r->n_filters ? fopen(r->times, "w") : NULL;
	size_t i;

	for (i = 0; f && i < r->n; i++)
		fprintf(f, "%.3f %s\n", r->u[i].seconds, r->u[i].name);
	if (f && fclose(f))
		die(r->times);
}

/* --- running one --- */

static void start(struct runner *r, struct unit *u)
{
	int p[2], null;

	if (pipe2(p, O_CLOEXEC))
		die("pipe");
	u->start = u->seen = now();
	u->pid = fork();
	if (u->pid < 0)
		die("fork");
	if (!u->pid) {
		setpgid(0, 0);
		null = open("/dev/null", O_RDONLY);
		dup2(null, 0);
		dup2(p[1], 1);
		dup2(p[1], 2);
		if (is_script(u->path))
			execlp("sh", "sh", u->path, (char *)NULL);
		else
			execl(u->path, u->path, u->test, (char *)NULL);
		fprintf(stderr, "%s: %s\n", u->path, strerror(errno));
		_exit(127);
	}
	setpgid(u->pid, u->pid); /* the child does the same: whoever comes first */
	close(p[1]);
	u->fd = p[0];
	fcntl(u->fd, F_SETFL, O_NONBLOCK);
	r->running++;
}

static void add_result(struct unit *u, enum outcome o, size_t at, size_t n)
{
	double t = now();

	u->results = grown(u->results, (u->n_results + 1) * sizeof *u->results);
	u->results[u->n_results++] = (struct result){ o, at, n, t - u->seen };
	u->seen = t;
}

/* Moves a line "rule ID" at s, which ends before end, out of the output; false if it is none. */
static bool take_rule(struct unit *u, char *s, const char *end)
{
	size_t n = (size_t)(end - s) + 1;

	if (strncmp(s, "rule ", 5) != 0)
		return false;
	if (!u->rules.n)
		buf_put(&u->rules, "\n", 1);
	buf_put(&u->rules, s + 5, n - 5);
	memmove(s, end + 1, u->out.n - (size_t)(end + 1 - u->out.s) + 1);
	u->out.n -= n;
	return true;
}

/* Looks at the lines of the output that are complete. */
static void parse(struct unit *u)
{
	char *s, *end;
	int o;

	while (u->parsed < u->out.n) {
		s = u->out.s + u->parsed;
		end = strchr(s, '\n');
		if (!end)
			break;
		if (take_rule(u, s, end))
			continue;
		for (o = 0; o < OUTCOMES; o++)
			if (!strncmp(s, outcome_words[o], 4))
				add_result(u, (enum outcome)o, u->parsed + 4 + (s[4] == ' '),
					(size_t)(end - s) - 4 - (s[4] == ' '));
		u->parsed += (size_t)(end - s) + 1;
	}
}

static void take_output(struct unit *u)
{
	char piece[65536];
	ssize_t n;
	size_t i;

	while (u->fd >= 0 && (n = read(u->fd, piece, sizeof piece)) != 0) {
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
			return;
		if (n < 0)
			die(u->name);
		for (i = 0; i < (size_t)n; i++)
			if (!piece[i])
				piece[i] = '?'; /* lines are found by strchr */
		if (u->out.n < OUTPUT_MAX)
			buf_put(&u->out, piece, (size_t)n);
		else
			u->cut = true;
		parse(u);
	}
	if (u->fd >= 0)
		close(u->fd);
	u->fd = -1;
}

/* A line of the runner's own in the unit's output. */
static void say(struct unit *u, const char *line)
{
	buf_put(&u->out, line, strlen(line));
	parse(u);
}

static void judge(struct unit *u, int status, double limit)
{
	size_t i, failed = 0;
	char line[700];

	if (u->out.n && u->out.s[u->out.n - 1] != '\n')
		say(u, "\n");
	for (i = 0; i < u->n_results; i++)
		failed += u->results[i].outcome == FAIL;
	line[0] = 0;
	if (u->late)
		snprintf(line, sizeof line, "FAIL %s: not done after %.0f s\n", u->name, limit);
	else if (WIFSIGNALED(status))
		snprintf(line, sizeof line, "FAIL %s: ended by signal %d\n", u->name,
			WTERMSIG(status));
	else if (WEXITSTATUS(status) && !failed)
		snprintf(line, sizeof line, "FAIL %s: ended with status %d\n", u->name,
			WEXITSTATUS(status));
	else if (!u->n_results)
		snprintf(line, sizeof line, "FAIL %s: printed no result\n", u->name);
	else if (u->cut)
		snprintf(line, sizeof line, "FAIL %s: printed more than %d bytes\n", u->name,
			OUTPUT_MAX);
	say(u, line);
}

static bool has_rule(const struct unit *u, const char *rule)
{
	char *line = joined("\n", rule, "\n");
	bool has = u->rules.n && strstr(u->rules.s, line);

	free(line);
	return has;
}

/* A unit that was not skipped produces the rules that name it. */
static void judge_rules(const struct runner *r, struct unit *u)
{
	char line[700];
	size_t i;

	for (i = 0; i < u->n_results; i++)
		if (u->results[i].outcome == SKIP)
			return;
	for (i = 0; i < r->n_p; i++) {
		if (strcmp(r->p[i].unit, u->name) != 0 || has_rule(u, r->p[i].rule))
			continue;
		snprintf(line, sizeof line, "FAIL %.300s: did not produce rule %.300s\n", u->name,
			r->p[i].rule);
		say(u, line);
	}
}

/* Prints the output with the time behind each result. */
static void print(const struct unit *u)
{
	size_t from = 0, i;

	for (i = 0; i < u->n_results; i++) {
		const struct result *t = &u->results[i];

		fwrite(u->out.s + from, 1, t->at + t->n - from, stdout);
		printf(" (%.2f s)", t->seconds);
		from = t->at + t->n;
	}
	if (u->out.n)
		fwrite(u->out.s + from, 1, u->out.n - from, stdout);
	fflush(stdout);
}

static void finish(struct runner *r, struct unit *u, int status, const struct rusage *use)
{
	size_t i;

	u->seconds = now() - u->start;
	u->cpu = (double)(use->ru_utime.tv_sec + use->ru_stime.tv_sec) +
		(double)(use->ru_utime.tv_usec + use->ru_stime.tv_usec) * 1e-6;
	kill(-u->pid, SIGKILL); /* what it left behind */
	u->pid = 0;
	take_output(u);
	if (u->fd >= 0)
		close(u->fd); /* held open by a process that left the group */
	u->fd = -1;
	judge(u, status, r->limit);
	judge_rules(r, u);
	for (i = 0; i < u->n_results; i++)
		r->count[u->results[i].outcome]++;
	r->running--;
	print(u);
}

/* Waits until something happened to a unit that runs, for a short time where one only has to end. */
static void wait_for_output(struct runner *r)
{
	struct pollfd p[JOBS_MAX];
	nfds_t n = 0;
	size_t i;
	int ms = 200;

	for (i = 0; i < r->next; i++) {
		if (!r->u[i].pid)
			continue;
		if (r->u[i].fd < 0)
			ms = 2;
		else
			p[n++] = (struct pollfd){ .fd = r->u[i].fd, .events = POLLIN };
	}
	poll(p, n, ms);
}

static void look_after(struct runner *r, struct unit *u)
{
	struct rusage use;
	int status;

	take_output(u);
	if (!u->late && now() - u->start > r->limit) {
		u->late = true;
		kill(-u->pid, SIGKILL);
	}
	if (wait4(u->pid, &status, WNOHANG, &use) == u->pid)
		finish(r, u, status, &use);
}

static void run_all(struct runner *r)
{
	size_t i;

	while (r->next < r->n || r->running) {
		while (r->next < r->n && r->running < r->jobs)
			start(r, &r->u[r->next++]);
		wait_for_output(r);
		for (i = 0; i < r->next; i++) {
			if (r->u[i].pid && stopped)
				kill(-r->u[i].pid, SIGKILL);
			if (r->u[i].pid && !stopped)
				look_after(r, &r->u[i]);
		}
		if (stopped)
			exit(128 + (int)stopped);
	}
}

/* --- JUnit --- */

/* As XML takes it: bytes that are not printable ASCII are shown as a question mark. */
static void put_xml(FILE *f, const char *s, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++) {
		if (strchr("<>&\"", s[i]) && s[i])
			fprintf(f, "&#%d;", s[i]);
		else
			fputc((s[i] >= 32 && s[i] < 127) || s[i] == '\n' || s[i] == '\t' ? s[i]
											 : '?',
				f);
	}
}

static void put_case(FILE *f, const struct unit *u, const struct result *t)
{
	fprintf(f, "<testcase classname=\"");
	put_xml(f, u->name, strcspn(u->name, ":"));
	fprintf(f, "\" name=\"");
	put_xml(f, u->out.s + t->at, t->n);
	fprintf(f, "\" time=\"%.3f\">", t->seconds);
	if (t->outcome == SKIP)
		fprintf(f, "<skipped/>");
	if (t->outcome == FAIL) {
		fprintf(f, "<failure>");
		put_xml(f, u->out.s, u->out.n);
		fprintf(f, "</failure>");
	}
	fprintf(f, "</testcase>\n");
}

static void write_junit(const struct runner *r, double seconds)
{
	FILE *f = r->junit ? fopen(r->junit, "w") : NULL;
	size_t i, k;

	if (!r->junit)
		return;
	if (!f)
		die(r->junit);
	fprintf(f,
		"<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuite name=\"dsv4-tools\" tests=\"%zu\" "
		"failures=\"%zu\" skipped=\"%zu\" time=\"%.3f\">\n",
		r->count[OK] + r->count[FAIL] + r->count[SKIP], r->count[FAIL], r->count[SKIP],
		seconds);
	for (i = 0; i < r->n; i++)
		for (k = 0; k < r->u[i].n_results; k++)
			put_case(f, &r->u[i], &r->u[i].results[k]);
	fprintf(f, "</testsuite>\n");
	if (ferror(f) || fclose(f))
		die(r->junit);
}

/* --- all of it --- */

/* Filters and rules that name a test which is not there: it may have been renamed. */
static void unknown_tests(struct runner *r)
{
	size_t i;

	for (i = 0; i < r->n_filters; i++) {
		if (r->found[i])
			continue;
		printf("FAIL filter %s: no test has it in its name\n", r->filter[i]);
		r->count[FAIL]++;
	}
	for (i = 0; i < r->n_p; i++) {
		if (r->p[i].known)
			continue;
		printf("FAIL rule %s: there is no %s\n", r->p[i].rule, r->p[i].unit);
		r->count[FAIL]++;
	}
}

static void summary(const struct runner *r, double seconds)
{
	const struct unit *longest = NULL;
	double cpu = 0;
	size_t i, k;

	for (i = 0; i < r->n; i++) {
		cpu += r->u[i].cpu;
		if (!longest || r->u[i].seconds > longest->seconds)
			longest = &r->u[i];
		for (k = 0; k < r->u[i].n_results; k++)
			if (r->u[i].results[k].outcome == FAIL)
				printf("FAIL %s: %.*s\n", r->u[i].name, (int)r->u[i].results[k].n,
					r->u[i].out.s + r->u[i].results[k].at);
	}
	if (longest)
		printf("%zu runs in %.1f s, %u at a time, %.1f s of processor time; the longest took %.1f s: %s\n",
			r->n, seconds, r->jobs, cpu, longest->seconds, longest->name);
	printf("%zu passed, %zu failed, %zu skipped\n", r->count[OK], r->count[FAIL],
		r->count[SKIP]);
}

static void options(struct runner *r, int argc, char **argv)
{
	int c;

	while ((c = getopt(argc, argv, "j:t:x:r:p:f:")) != -1) {
		if (c == 'j')
			r->jobs = (unsigned)strtoul(optarg, NULL, 10);
		else if (c == 't')
			r->limit = strtod(optarg, NULL);
		else if (c == 'x')
			r->junit = optarg;
		else if (c == 'r')
			r->times = optarg;
		else if (c == 'p')
			r->promised = optarg;
		else if (c == 'f' && r->n_filters < FILTERS_MAX)
			r->filter[r->n_filters++] = optarg;
		else {
			if (c == 'f')
				fprintf(stderr, "runner: at most %d filters (-f) can be given\n",
					FILTERS_MAX);
			exit(2);
		}
	}
	if (!r->jobs)
		r->jobs = processors() + 1;
	if (r->jobs > JOBS_MAX)
		r->jobs = JOBS_MAX;
}

int main(int argc, char **argv)
{
	static struct runner r = {
		.limit = 600
	}; /* static: a leak checker still sees what it owns */
	struct sigaction act = { .sa_handler = on_signal };
	double began = now();
	int i;

	options(&r, argc, argv);
	read_promises(&r);
	sigaction(SIGINT, &act, NULL);
	sigaction(SIGTERM, &act, NULL);
	sigaction(SIGHUP, &act, NULL);
	for (i = optind; i < argc; i++) {
		if (is_script(argv[i]))
			add(&r, argv[i], NULL);
		else
			add_program(&r, argv[i]);
	}
	read_times(&r);
	qsort(r.u, r.n, sizeof *r.u, longest_first);
	run_all(&r);
	write_times(&r);
	unknown_tests(&r);
	write_junit(&r, now() - began);
	summary(&r, now() - began);
	return r.count[FAIL] || !r.n;
}
