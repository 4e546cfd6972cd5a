/* bench.c -- what "make bench" measures with: kernels beside memcpy and beside their plain twins, a
 * loop that does no more than the least a conversion must, and whole commands in pairs.
 *
 *	bench kernels
 *	bench rows                                     the part of kernels about number formats
 *	bench linears
 *	bench lowbits [LIBGGML]                        encoders and decoders of ggml's types, beside that library
 *	                                               (libggml-base.so)
 *	bench chunks LIBGGML THREADS EXPERTS           so many experts of V4-Flash's shape in the types of gguf-q2 by that library
 *	bench rounds                                   encoders of number formats that round (quant/round.h)
 *	bench bound FROM OUT THREADS SHA BYTES...      reads FROM, digests, writes OUT.0 .. of so many bytes each
 *	bench sums THREADS FILE...                     reads the files and digests them with SHA-256, no more
 *	bench reads THREADS FLAGS FILE...              reads the files into memory, 16 MiB at a time; of FLAGS x: digests
 *	                                               them with XXH3-128, d: past the page cache, -: neither
 *	bench pair RUNS PREPARE A B BYTES              runs A and B in turn; wall and cpu per GB, ratio
 *	bench dry DIR OUT TARGET RANKS THREADS EXPERTS a conversion without reading or writing payload
 *	                                               (DIR may be sparse), up to some GB; peak memory beside the
 *	                                               plan's
 *
 * Each kernel is checked against its plain version before it is timed.
 *
 * SPDX-License-Identifier: MIT */
#include "convert/run/run.h"
#include "core/cpu.h"
#include "core/file.h"
#include "core/mem.h"
#include "core/par.h"
#include "core/progress.h"
#include "core/hash/sha256.h"
#include "core/hash/xxh.h"
#include "quant/fp4to8.h"
#include "quant/fp8to16.h"
#include "quant/num.h"
#include "tests/bench.h"
#include "tests/dry.h"

#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static double cpu_now(void)
{
	struct rusage u;

	getrusage(RUSAGE_THREAD, &u);
	return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
		(double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) * 1e-6;
}

void *take(size_t n)
{
	uint8_t *p = aligned_alloc(4096, (n + 4095) / 4096 * 4096);
	size_t i;
	uint64_t s = 88172645463325252u;

	if (!p)
		exit(2);
	for (i = 0; i < n; i++) {
		s ^= s << 13;
		s ^= s >> 7;
		s ^= s << 17;
		p[i] = (uint8_t)(s >> 32);
	}
	return p;
}

double rate(void (*fn)(void *), void *ctx, size_t n)
{
	double best = 0, t, r;
	int i, k, reps = 1;

	for (i = 0; i < 6; i++) {
		do {
			t = cpu_now();
			for (k = 0; k < reps; k++)
				fn(ctx);
			t = cpu_now() - t;
		} while (t < 0.05 && (reps *= 2));
		r = (double)n * reps / t / 1e9;
		best = i && r > best ? r : best;
	}
	return best;
}

/* --- kernels --- */

struct buffers {
	uint8_t *src, *dst, *s, *t;
	size_t n; /* bytes of src */
	size_t k; /* columns */
	const struct fp4to8_impl *cast;
	struct fp4to8_table table;
	struct fp8to16_table lut;
	const struct sha256_way *way;
	unsigned lanes;
	uint8_t *stream[SHA256_LANES];
};

static void do_memcpy(void *p)
{
	struct buffers *b = p;

	memcpy(b->dst, b->src, b->n);
	__asm__ volatile("" ::"r"(b->dst) : "memory");
}

static void do_xxh(void *p)
{
	struct buffers *b = p;
	struct xxh_digest d = xxh_of(b->src, b->n);

	__asm__ volatile("" ::"r"(d.b) : "memory");
}

static void do_cast(void *p)
{
	struct buffers *b = p;
	size_t r, rows = b->n / (b->k / 2);

	for (r = 0; r < rows; r++)
		b->cast->row(&b->table, b->dst + r * b->k, b->src + r * b->k / 2,
			b->s + r % 128 * (b->k / 32), b->t, b->k, FP4TO8_128);
}

static void do_dequant(void *p)
{
	struct buffers *b = p;

	fp8to16_run(&b->lut, b->dst, b->src, (uint32_t)b->n);
}

static void do_sha(void *p)
{
	struct buffers *b = p;
	uint32_t state[SHA256_LANES][8] = { { 0 } };

	b->way->blocks(state, (const uint8_t *const *)b->stream, (1 << 17) / 64, b->lanes);
	__asm__ volatile("" ::"r"(state) : "memory");
}

static void do_evp(void *p)
{
	struct buffers *b = p;
	uint8_t d[32];

	if (sha256_of(b->src, b->n, d, NULL))
		exit(2);
}

static void bench_cast(struct buffers *b, const char *where, double copy)
{
	const struct fp4to8_impl *plain = fp4to8_impls;
	uint8_t *want = take(2 * b->n);
	double r;
	size_t i;

	for (i = 0; i < 128 * (b->k / 32); i++)
		b->s[i] = (uint8_t)(118 + i % 5);
	memset(b->t, 118 + 4 - 6, b->k / 128);
	while (plain[1].name)
		plain++;
	b->cast = plain;
	do_cast(b);
	memcpy(want, b->dst, 2 * b->n);
	for (b->cast = fp4to8_impls; b->cast->name; b->cast++) {
		if (b->cast->need & ~cpu_features())
			continue;
		do_cast(b);
		if (memcmp(want, b->dst, 2 * b->n))
			exit(2);
		r = rate(do_cast, b, b->n);
		printf("  FP4 to FP8, %-8s %-6s %7.2f GB/s in, %.2f of memcpy\n", b->cast->name,
			where, r, r / copy);
	}
	free(want);
}

static void bench_sha(struct buffers *b)
{
	double r, evp = rate(do_evp, b, b->n);
	unsigned i, lanes;

	printf("  SHA-256, openssl, 1 stream   %7.2f GB/s\n", evp);
	for (i = 0; i < SHA256_LANES; i++)
		b->stream[i] = take(1 << 17);
	for (b->way = sha256_ways; b->way->name; b->way++) {
		if (b->way->need & ~cpu_features())
			continue;
		for (lanes = 1; lanes <= b->way->lanes; lanes *= 2) {
			b->lanes = lanes;
			r = rate(do_sha, b, (size_t)lanes << 17);
			printf("  SHA-256, %-11s x%-2u     %7.2f GB/s, %.2f of openssl\n",
				b->way->name, lanes, r, r / evp);
		}
	}
}

static int kernels(void)
{
	static const struct {
		const char *name;
		size_t n;
	} where[] = { { "in L2", 256 << 10 }, { "in RAM", 64 << 20 } };
	struct buffers b = { .k = 4096, .s = take(128 * 128), .t = take(32) };
	double copy;
	size_t i;

	fp4to8_table_make(&b.table);
	for (i = 0; i < 2; i++) {
		b.n = where[i].n;
		b.src = take(b.n);
		b.dst = take(2 * b.n);
		copy = rate(do_memcpy, &b, b.n);
		printf("%s (%zu KiB of input)\n", where[i].name, b.n >> 10);
		printf("  memcpy                       %7.2f GB/s\n", copy);
		printf("  XXH3-128                     %7.2f GB/s\n", rate(do_xxh, &b, b.n));
		bench_cast(&b, where[i].name, copy);
		fp8to16_table_make(&b.lut, 0.5f, NULL);
		printf("  FP8 to BF16, looked up       %7.2f GB/s in\n", rate(do_dequant, &b, b.n));
		if (i == 0)
			bench_sha(&b);
		free(b.src);
		free(b.dst);
	}
	bench_rows();
	bench_tiles();
	return 0;
}

/* --- the least --- */

enum { PIECE = 256 << 10, BOUND_FILES = 64 };

struct bound {
	const char *from, *out;
	unsigned files, threads;
	uint64_t each[BOUND_FILES],
		size; /* bytes of each output file, the largest first; of from */
	bool sha;
	struct sha256_kit kit;
};

/* A file that is written. */
struct bound_lane {
	int fd;
	uint64_t bytes;
	uint8_t *piece;
	struct sha256 s;
};

static int bound_begin(const struct bound *b, struct bound_lane *l, unsigned file, struct err *e)
{
	char path[512];

	snprintf(path, sizeof path, "%s.%u", b->out, file);
	l->bytes = b->each[file];
	l->piece = take(PIECE);
	l->fd = open(path, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600);
	if (l->fd < 0 || sha256_init(&l->s, &b->kit, e))
		return err_sys(e, "%s", path);
	return fallocate(l->fd, 0, 0, (off_t)l->bytes) ? err_sys(e, "fallocate") : 0;
}

/* A piece of each file that is not at its end, at byte at. */
static int bound_round(const struct bound *b, int in, struct xxh *x, struct bound_lane *l,
	unsigned n, uint64_t at, struct err *e)
{
	struct sha256_piece pieces[SHA256_LANES];
	unsigned i, m = 0;
	size_t have;

	for (i = 0; i < n && at < l[i].bytes; i++, m++) {
		have = l[i].bytes - at < PIECE ? (size_t)(l[i].bytes - at) : PIECE;
		if (file_read(io_posix(), in, l[i].piece, have,
			    (at * n + i * PIECE) % (b->size - PIECE), e))
			return -1;
		xxh_update(x, l[i].piece, have);
		pieces[m] = (struct sha256_piece){ &l[i].s, l[i].piece, have };
	}
	if (b->sha && sha256_pieces(pieces, m, e))
		return -1;
	for (i = 0; i < m; i++)
		if (file_write(io_posix(), l[i].fd, l[i].piece, pieces[i].n, at, e))
			return -1;
	return 0;
}

/* Each thread takes its share of the files and advances them together. */
static int bound_work(struct par *par, unsigned me, struct err *e)
{
	struct bound *b = par_ctx(par);
	struct bound_lane l[SHA256_LANES];
	int in = open(b->from, O_RDONLY | O_CLOEXEC);
	struct xxh *x = xxh_new();
	unsigned n = 0, i;
	uint64_t at;

	if (in < 0)
		return err_sys(e, "%s", b->from);
	for (i = me; i < b->files && n < SHA256_LANES; i += b->threads)
		if (bound_begin(b, &l[n++], i, e))
			return -1;
	for (at = 0; n && at < l[0].bytes; at += PIECE)
		if (bound_round(b, in, x, l, n, at, e))
			return -1;
	for (i = 0; i < n; i++)
		close(l[i].fd);
	return 0;
}

static int bound_larger(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x < y) - (x > y);
}

static int bound(int n, char **a)
{
	struct bound b = { .from = a[0],
		.out = a[1],
		.threads = (unsigned)atoi(a[2]),
		.sha = atoi(a[3]),
		.files = (unsigned)n - 4 };
	struct stat st;
	struct err e = { 0 };
	unsigned i;

	if (stat(b.from, &st) || b.files > BOUND_FILES)
		return 2;
	b.size = (uint64_t)st.st_size;
	for (i = 0; i < b.files; i++)
		b.each[i] = strtoull(a[4 + i], NULL, 10);
	qsort(b.each, b.files, sizeof *b.each, bound_larger);
	sha256_kit_best(&b.kit, cpu_features());
	if (!par_run(b.threads, bound_work, &b, &e))
		return 0;
	fprintf(stderr, "bench: %s\n", e.text);
	return 2;
}

/* --- the least that a check must do --- */

struct sums {
	char **files;
	unsigned n, threads;
	struct sha256_kit kit;
};

/* Every threads-th file, all of them together. They are of about one size. */
static int sums_work(struct par *par, unsigned me, struct err *e)
{
	const struct sums *b = par_ctx(par);
	struct sha256 s[SHA256_LANES], *live[SHA256_LANES];
	uint64_t at[SHA256_LANES] = { 0 };
	int fd[SHA256_LANES];
	uint8_t *piece[SHA256_LANES], digest[32];
	const void *p[SHA256_LANES];
	unsigned n = 0, i, m;
	ssize_t got;

	for (i = me; i < b->n && n < SHA256_LANES; i += b->threads, n++) {
		fd[n] = open(b->files[i], O_RDONLY | O_CLOEXEC);
		piece[n] = take(PIECE);
		if (fd[n] < 0 || sha256_init(&s[n], &b->kit, e))
			return err_sys(e, "%s", b->files[i]);
	}
	do {
		for (m = 0, i = 0; i < n; i++) {
			got = pread(fd[i], piece[i], PIECE, (off_t)at[i]);
			at[i] += got > 0 ? (uint64_t)got : 0;
			if (got == PIECE) {
				live[m] = &s[i];
				p[m++] = piece[i];
			} else if (got > 0) {
				struct sha256 *one = &s[i];
				const void *q = piece[i];

				if (sha256_update(&one, &q, (size_t)got, 1, e))
					return -1;
			}
		}
		if (m && sha256_update(live, p, PIECE, m, e))
			return -1;
	} while (m);
	for (i = 0; i < n; i++)
		if (close(fd[i]) || sha256_final(&s[i], digest, e))
			return -1;
	return 0;
}

static int sums(int n, char **a)
{
	struct sums b = { .threads = (unsigned)atoi(a[0]), .files = a + 1, .n = (unsigned)n - 1 };
	struct err e = { 0 };

	sha256_kit_best(&b.kit, cpu_features());
	if (!par_run(b.threads, sums_work, &b, &e))
		return 0;
	fprintf(stderr, "bench: %s\n", e.text);
	return 2;
}

/* --- pairs --- */

struct sample {
	double wall, cpu, mib;
};

static struct sample run(const char *command)
{
	struct sample s;
	struct rusage u;
	double t = progress_now();
	int status;
	pid_t pid = fork();

	if (!pid) {
		execl("/bin/sh", "sh", "-c", command, (char *)NULL);
		_exit(127);
	}
	if (pid < 0 || wait4(pid, &status, 0, &u) < 0 || status) {
		fprintf(stderr, "bench: failed: %s\n", command);
		exit(2);
	}
	s.wall = progress_now() - t;
	s.cpu = (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
		(double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) * 1e-6;
	s.mib = (double)u.ru_maxrss / 1024;
	return s;
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double median(double *v, int n)
{
	qsort(v, (size_t)n, sizeof *v, by_value);
	return v[n / 2];
}

enum { RUNS = 64 };

static int pair(char **a)
{
	int n = atoi(a[0]), i;
	double gb = strtod(a[4], NULL) / 1e9, wa[RUNS], wb[RUNS], ca[RUNS], cb[RUNS], r[RUNS],
	       mib = 0;
	struct sample x, y;

	n = n < RUNS ? n : RUNS;
	for (i = -1; i < n; i++) { /* the first pair warms up */
		run(a[1]);
		x = run(a[2]);
		run(a[1]);
		y = run(a[3]);
		if (i < 0)
			continue;
		wa[i] = x.wall;
		wb[i] = y.wall;
		ca[i] = x.cpu;
		cb[i] = y.cpu;
		r[i] = x.wall / y.wall;
		mib = x.mib > mib ? x.mib : mib;
	}
	median(r, n); /* sorts */
	printf("%6.3f s %5.2f cpu s/GB | %6.3f s %5.2f cpu s/GB | %5.2f [%.2f..%.2f] | %4.0f MiB\n",
		median(wa, n), median(ca, n) / gb, median(wb, n), median(cb, n) / gb, r[n / 2],
		r[0], r[n - 1], mib);
	return 0;
}

/* --- dry --- */

/* Ends a dry run after so many bytes of output: by then all lanes have had their largest steps. */
enum { DRY_BYTES = 6 };
static volatile sig_atomic_t dry_stop;

static ssize_t dry_count(const struct io *io, int fd, const void *buf, size_t n, off_t at)
{
	static atomic_ullong written;

	if (atomic_fetch_add(&written, n) > DRY_BYTES * 1000000000ull)
		dry_stop = 1;
	return dry_write(io, fd, buf, n, at);
}

static int dry(char **a)
{
	struct io io = dry_io();
	struct ckpt_opts co = { 0 };
	struct plan_opts po = { .target = a[2], .back = true, .experimental = true };
	struct run_opts ro = {
		.out = a[1], .tool = "bench", .features = cpu_features(), .stop = &dry_stop
	};
	struct run_result r;
	struct findings f = { 0 };
	struct ckpt c;
	struct audit au;
	struct conversion p;
	struct rusage u;
	struct err e = { 0 };
	int rc;

	mem_give_back();
	io.pwrite = dry_count;
	po.share.stages = 1;
	po.ranks = po.share.ranks = strtoull(a[3], NULL, 10);
	if (!engine_find(a[2]))
		po.share = (struct share){ 0 };
	if (!strcmp(a[5], "fp8"))
		po.experts = CODEC_FP8;
	if (ckpt_open(&c, &io, a[0], &co, &f, &e) || audit_make(&au, &c, CODEC_NONE, &f, &e) ||
		finding_first(&f, &e) || conversion_make(&p, &au, &po, &e)) {
		fprintf(stderr, "bench: %s\n", e.text);
		return 2;
	}
	audit_free(&au);
	rc = budget_make(&ro.budget, &p, false, (unsigned)atoi(a[4]), BUDGET_DEFAULT, &e);
	rc = rc ? rc : run_conversion(&p, &ro, &r, &e);
	getrusage(RUSAGE_SELF, &u);
	if (rc && !dry_stop)
		fprintf(stderr, "bench: %s\n", e.text);
	else
		printf("  %-16s %s ranks, %s threads, %s: %4.0f GB in %llu files, peak %6.1f MiB, promised %6.1f MiB\n",
			a[2], a[3], a[4], a[5], (double)p.bytes / 1e9, (unsigned long long)p.files,
			(double)u.ru_maxrss / 1024, (double)ro.budget.peak / (1 << 20));
	conversion_free(&p);
	ckpt_close(&c);
	return rc && !dry_stop ? 2 : 0;
}

int main(int argc, char **argv)
{
	if (argc == 8 && !strcmp(argv[1], "dry"))
		return dry(argv + 2);
	if (argc == 2 && !strcmp(argv[1], "kernels"))
		return kernels();
	if (argc == 2 && !strcmp(argv[1], "rows")) {
		bench_rows();
		return 0;
	}
	if ((argc == 2 || argc == 3) && !strcmp(argv[1], "lowbits"))
		return bench_lowbits(argv[2]);
	if (argc == 5 && !strcmp(argv[1], "chunks"))
		return bench_chunks(argv[2], argv[3], argv[4]);
	if (argc == 2 && !strcmp(argv[1], "rounds"))
		return bench_rounds();
	if (argc == 2 && !strcmp(argv[1], "linears")) {
		bench_linears();
		return 0;
	}
	if (argc > 6 && !strcmp(argv[1], "bound"))
		return bound(argc - 2, argv + 2);
	if (argc > 3 && !strcmp(argv[1], "sums"))
		return sums(argc - 2, argv + 2);
	if (argc > 4 && !strcmp(argv[1], "reads"))
		return bench_reads(argc - 2, argv + 2);
	if (argc == 7 && !strcmp(argv[1], "pair"))
		return pair(argv + 2);
	fprintf(stderr, "see the head of tests/bench.c\n");
	return 2;
}
