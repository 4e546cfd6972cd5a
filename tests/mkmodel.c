/* mkmodel.c -- makes DeepSeek-V4 checkpoints of any size in the exact official form: names, types,
 * shapes, shard rule, payload order, index, config.json.
 *
 *	mkmodel OUT --config FILE [--set KEY=JSON]... [--seed N] [--sparse] [--e8m0-scales] [--metadata]
 *
 * Weights are Gaussian, quantized as the real ones are: FP4 codes with an E8M0 scale for 32 columns
 * (the smallest that does not saturate), E4M3 with one for 128 x 128. Every tensor has a generator
 * of its own, seeded with its name, so the bytes depend on seed and config alone. A config whose
 * experts are fp8 gives a -Base checkpoint (FP32 scales, two more tensors per MTP block) unless
 * --e8m0-scales makes it a recast one.
 *
 * --sparse leaves the payload as a hole: a full-size Flash or Pro takes no disk to speak of.
 *
 * This is a tool for tests and benches. It is not part of the product and trusts its arguments.
 *
 * SPDX-License-Identifier: MIT */
#include "core/file.h"
#include "formats/model/family.h"
#include "core/par.h"
#include "core/hash/xxh.h"
#include "formats/model/inventory.h"
#include "formats/st/safetensors.h"
#include "quant/num.h"

#include <fcntl.h>
#include <jansson.h>
#include <math.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { GAUSS = 1 << 16, SETS_MAX = 64 };

struct shard {
	char name[64];
	int fd;
	uint64_t data_at;
};

/* A tensor to write, and what makes its values. */
struct job {
	struct tensor t;
	const struct want *w;
	uint32_t shard;
};

struct maker {
	const char *out;
	uint64_t seed;
	bool sparse, metadata;
	struct config_doc doc;
	struct config c;
	struct model_forms forms;
	struct inventory v;
	struct shard *shards;
	struct job *jobs; /* by shard, then in payload order */
	size_t n_jobs;
	atomic_size_t next;
	float *gauss; /* [GAUSS] quantiles of the normal distribution */
};

static void die(const char *what)
{
	fprintf(stderr, "mkmodel: %s\n", what);
	exit(2);
}

/* --- random numbers --- */

struct rng {
	uint64_t s;
};

/* xorshift64*; each call gives 64 bits, of which the upper are the better ones. */
static uint64_t next64(struct rng *r)
{
	r->s ^= r->s >> 12;
	r->s ^= r->s << 25;
	r->s ^= r->s >> 27;
	return r->s * 0x2545f4914f6cdd1du;
}

static struct rng rng_of(const struct maker *m, const char *name)
{
	char key[256];
	struct xxh_digest d;
	struct rng r;
	int n = snprintf(key, sizeof key, "%llu %s", (unsigned long long)m->seed, name);

	d = xxh_of(key, (size_t)n);
	memcpy(&r.s, d.b, 8);
	r.s |= 1;
	return r;
}

/* Inverse of the normal distribution by bisection of erfc; exact enough for a table. */
static void make_gauss(struct maker *m)
{
	double lo, hi, mid, p;
	int i, k;

	m->gauss = malloc(GAUSS * sizeof *m->gauss);
	if (!m->gauss)
		die("out of memory");
	for (i = 0; i < GAUSS; i++) {
		p = (i + 0.5) / GAUSS;
		lo = -6;
		hi = 6;
		for (k = 0; k < 40; k++) {
			mid = (lo + hi) / 2;
			if (0.5 * erfc(-mid * 0.70710678118654752) < p)
				lo = mid;
			else
				hi = mid;
		}
		m->gauss[i] = (float)lo;
	}
}

/* n normal values times sigma. */
static void fill(const struct maker *m, struct rng *r, float *x, size_t n, float sigma)
{
	uint64_t bits = 0;
	size_t i;

	for (i = 0; i < n; i++) {
		if (i % 4 == 0)
			bits = next64(r);
		x[i] = m->gauss[bits & 0xffff] * sigma;
		bits >>= 16;
	}
}

/* Row r of a weight has a spread of its own, so that scales differ. */
static float spread(struct rng *r)
{
	return 0.02f * (0.5f + (float)(next64(r) >> 56) / 256.0f);
}

/* --- quantizing --- */

/* Exponent byte of the smallest power of two s with top/s <= limit. */
static uint8_t scale_byte(float top, float limit)
{
	int e;

	if (top == 0)
		return 127;
	(void)frexpf(top / limit, &e); /* top/limit = f * 2^e, f in [.5, 1) */
	if (ldexpf(limit, e - 1) >= top)
		e--;
	return (uint8_t)(e + 127);
}

static float largest(const float *x, size_t n)
{
	float top = 0;
	size_t i;

	for (i = 0; i < n; i++)
		top = fabsf(x[i]) > top ? fabsf(x[i]) : top;
	return top;
}

static uint8_t code_of(float x, float inv)
{
	float a = fabsf(x) * inv;
	uint8_t c = (uint8_t)((a > 0.25f) + (a > 0.75f) + (a > 1.25f) + (a > 1.75f) + (a > 2.5f) +
		(a > 3.5f) + (a > 5.0f));

	return (uint8_t)(c | (x < 0 ? 8 : 0));
}

/* One row of k values to codes and scales. */
static void quant_fp4(const float *x, size_t k, uint8_t *codes, uint8_t *s)
{
	size_t g, j;
	float inv;

	for (g = 0; g < k / 32; g++, x += 32) {
		s[g] = scale_byte(largest(x, 32), 6.0f);
		inv = ldexpf(1.0f, 127 - s[g]);
		for (j = 0; j < 16; j++)
			codes[16 * g + j] =
				(uint8_t)(code_of(x[2 * j], inv) | code_of(x[2 * j + 1], inv) << 4);
	}
}

/* --- tensors --- */

static void put(int fd, const void *p, size_t n, uint64_t at)
{
	struct err e = { 0 };

	if (file_write(io_posix(), fd, p, n, at, &e))
		die(e.text);
}

/* The job that writes the scale of weight j; it lies in the same shard. */
static const struct job *scale_of(const struct maker *m, const struct job *j)
{
	char name[128];
	size_t i;

	snprintf(name, sizeof name, "%.*s.scale", (int)(strlen(j->t.name) - 7), j->t.name);
	for (i = 0; i < m->n_jobs; i++)
		if (m->jobs[i].shard == j->shard && !strcmp(m->jobs[i].t.name, name))
			return &m->jobs[i];
	die("no scale");
	return NULL;
}

static void make_expert(struct maker *m, const struct job *j)
{
	const struct job *sj = scale_of(m, j);
	const struct shard *sh = &m->shards[j->shard];
	struct rng r = rng_of(m, j->t.name);
	size_t rows = (size_t)j->t.dim[0], k = (size_t)j->t.dim[1] * 2, i;
	float *x = malloc(k * sizeof *x);
	uint8_t *codes = malloc(rows * k / 2), *s = malloc(rows * k / 32);

	if (!x || !codes || !s)
		die("out of memory");
	for (i = 0; i < rows; i++) {
		fill(m, &r, x, k, spread(&r));
		quant_fp4(x, k, codes + i * k / 2, s + i * k / 32);
	}
	put(sh->fd, codes, rows * k / 2, sh->data_at + j->t.begin);
	put(sh->fd, s, rows * k / 32, sh->data_at + sj->t.begin);
	free(x);
	free(codes);
	free(s);
}

/* A row of blocks at a time: values, largest by block, codes and scales. */
static void make_fp8(struct maker *m, const struct job *j)
{
	const struct job *sj = scale_of(m, j);
	const struct shard *sh = &m->shards[j->shard];
	struct rng r = rng_of(m, j->t.name);
	const struct codec_form *form = &codecs[role_codec(j->w->role, m->forms)];
	const size_t high = form->rows, wide = form->cols;
	size_t rows = (size_t)j->t.dim[0], k = (size_t)j->t.dim[1], blocks = mem_ceil_div(k, wide),
	       i, b, c;
	size_t unit = sj->t.dtype == DT_F32 ? 4 : 1, have;
	float *x = malloc(high * k * sizeof *x), top, inv;
	uint8_t *codes = malloc(high * k), *s = malloc(blocks * 4);
	uint64_t row;

	if (!x || !codes || !s)
		die("out of memory");
	for (row = 0; row < rows; row += high) {
		have = rows - row < high ? (size_t)(rows - row) : high;
		for (i = 0; i < have; i++)
			fill(m, &r, x + i * k, k, spread(&r));
		for (b = 0; b < blocks; b++) {
			uint8_t byte;
			size_t end = wide * b + wide < k ? wide * b + wide : k;

			for (top = 0, i = 0; i < have; i++)
				for (c = wide * b; c < end; c++)
					top = fabsf(x[i * k + c]) > top ? fabsf(x[i * k + c]) : top;
			byte = scale_byte(top, 448.0f);
			inv = ldexpf(1.0f, 127 - byte);
			for (i = 0; i < have; i++)
				for (c = wide * b; c < end; c++)
					codes[i * k + c] = num_e4m3_from(x[i * k + c] * inv);
			if (unit == 4) {
				float f = num_e8m0(byte);

				memcpy(s + 4 * b, &f, 4);
			} else {
				s[b] = byte;
			}
		}
		put(sh->fd, codes, have * k, sh->data_at + j->t.begin + row * k);
		put(sh->fd, s, blocks * unit,
			sh->data_at + sj->t.begin + row / high * blocks * unit);
	}
	free(x);
	free(codes);
	free(s);
}

/* BF16 and F32: norms around one, everything else around zero. */
static void make_plain(struct maker *m, const struct job *j)
{
	const struct shard *sh = &m->shards[j->shard];
	struct rng r = rng_of(m, j->t.name);
	size_t unit = dtypes[j->t.dtype].bits / 8, n = (size_t)(j->t.end - j->t.begin) / unit, at,
	       have, i;
	enum { PIECE = 1 << 18 };
	float *x = malloc(PIECE * sizeof *x),
	      around = strstr(j->t.name, "norm.weight") ? 1.0f : 0.0f;
	uint16_t *h = malloc(PIECE * sizeof *h);

	if (!x || !h)
		die("out of memory");
	for (at = 0; at < n; at += have) {
		have = n - at < PIECE ? n - at : PIECE;
		fill(m, &r, x, have, around > 0 ? 0.1f : 0.02f);
		for (i = 0; i < have; i++) {
			x[i] += around;
			h[i] = num_bf16_from(x[i]);
		}
		put(sh->fd, unit == 2 ? (void *)h : (void *)x, have * unit,
			sh->data_at + j->t.begin + at * unit);
	}
	free(x);
	free(h);
}

/* For each token id, different expert ids. */
static void make_ids(struct maker *m, const struct job *j)
{
	const struct shard *sh = &m->shards[j->shard];
	struct rng r = rng_of(m, j->t.name);
	uint64_t rows = j->t.dim[0], k = j->t.dim[1], i, a, b;
	int64_t *id = malloc((size_t)(rows * k) * sizeof *id);

	if (!id)
		die("out of memory");
	for (i = 0; i < rows; i++) {
		for (a = 0; a < k; a++) {
			do {
				id[i * k + a] = (int64_t)((next64(&r) >> 33) % m->c.E);
				for (b = 0; b < a && id[i * k + b] != id[i * k + a]; b++)
					;
			} while (b < a);
		}
	}
	put(sh->fd, id, (size_t)(rows * k) * sizeof *id, sh->data_at + j->t.begin);
	free(id);
}

static int work(struct par *par, unsigned me, struct err *e)
{
	struct maker *m = par_ctx(par);
	const struct job *j;
	size_t i;

	(void)me;
	(void)e;
	while ((i = atomic_fetch_add(&m->next, 1)) < m->n_jobs) {
		j = &m->jobs[i];
		if (j->w->scale)
			continue; /* with its weight */
		if (j->t.dtype == DT_I8)
			make_expert(m, j);
		else if (j->t.dtype == DT_F8_E4M3)
			make_fp8(m, j);
		else if (j->t.dtype == DT_I64)
			make_ids(m, j);
		else
			make_plain(m, j);
	}
	return 0;
}

/* --- files --- */

static int by_place(const void *a, const void *b)
{
	const struct job *x = a, *y = b;

	return x->shard != y->shard ? (x->shard > y->shard) - (x->shard < y->shard)
				    : st_order(&x->t, &y->t);
}

static void list_jobs(struct maker *m, bool base)
{
	const struct want *w;
	size_t i;

	m->jobs = calloc(m->v.n + 1, sizeof *m->jobs);
	if (!m->jobs)
		die("out of memory");
	for (i = 0; i < m->v.n; i++) {
		w = &m->v.wants[i];
		if (w->optional && !base)
			continue;
		m->jobs[m->n_jobs++] = (struct job){
			.t = { .name = w->name, .dim = w->dim, .rank = w->rank, .dtype = w->dtype },
			.w = w,
			.shard = w->place
		};
	}
	qsort(m->jobs, m->n_jobs, sizeof *m->jobs, by_place);
}

/* Writes the header of the shard whose n jobs begin at j and sets its size. */
static void begin_shard(struct maker *m, struct shard *s, struct job *j, size_t n)
{
	static const char extra[] = "\"__metadata__\":{\"format\":\"pt\"},";
	struct text h = { 0 };
	uint64_t at = 0, bytes = 0, len;
	size_t i;
	char path[4096];

	for (i = 0; i < n; i++, at += bytes) {
		if (!st_bytes(j[i].t.dtype, j[i].t.dim, j[i].t.rank, &bytes))
			die("a tensor without a size");
		j[i].t.begin = at;
		j[i].t.end = at + bytes;
	}
	st_put_header(&h, &j->t, n, sizeof *j);
	if (m->metadata) {
		struct text with = { 0 };

		text_put(&with, h.s, 9);
		text_str(&with, extra);
		text_put(&with, h.s + 9, h.n - 9);
		while (with.n % 8)
			text_str(&with, " ");
		len = with.n - 8;
		for (i = 0; i < 8; i++)
			with.s[i] = (char)(len >> 8 * i);
		text_free(&h);
		h = with;
	}
	snprintf(path, sizeof path, "%s/%s", m->out, s->name);
	s->fd = open(path, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0644);
	s->data_at = h.n;
	if (h.failed || s->fd < 0 || ftruncate(s->fd, (off_t)(h.n + at)))
		die("cannot make a shard");
	put(s->fd, h.s, h.n, 0);
	text_free(&h);
}

static void write_text(const struct maker *m, const char *name, const struct text *t)
{
	char path[4096];
	FILE *f;

	snprintf(path, sizeof path, "%s/%s", m->out, name);
	f = fopen(path, "w");
	if (!f || t->failed || fwrite(t->s, 1, t->n, f) != t->n || fclose(f))
		die("cannot write a text file");
}

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct job *)a)->t.name, ((const struct job *)b)->t.name);
}

static void write_index(struct maker *m)
{
	struct text t = { 0 };
	uint64_t total = 0;
	size_t i;

	for (i = 0; i < m->n_jobs; i++)
		total += m->jobs[i].t.end - m->jobs[i].t.begin;
	text_fmt(&t, "{\n  \"metadata\": {\n    \"total_size\": %llu\n  },\n  \"weight_map\": {",
		(unsigned long long)total);
	qsort(m->jobs, m->n_jobs, sizeof *m->jobs, by_name);
	for (i = 0; i < m->n_jobs; i++)
		text_fmt(&t, "%s\n    \"%s\": \"%s\"", i ? "," : "", m->jobs[i].t.name,
			m->shards[m->jobs[i].shard].name);
	text_str(&t, "\n  }\n}\n");
	write_text(m, "model.safetensors.index.json", &t);
	text_free(&t);
}

static void write_shards(struct maker *m)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	struct err e = { 0 };
	size_t i, k;
	uint32_t s;

	m->shards = calloc(m->v.places, sizeof *m->shards);
	if (!m->shards)
		die("out of memory");
	for (i = 0, s = 0; s < m->v.places; s++, i = k) {
		snprintf(m->shards[s].name, sizeof m->shards[s].name,
			"model-%05u-of-%05u.safetensors", s + 1, m->v.places);
		for (k = i; k < m->n_jobs && m->jobs[k].shard == s; k++)
			;
		begin_shard(m, &m->shards[s], m->jobs + i, k - i);
	}
	if (!m->sparse && par_run(cpus > 0 ? (unsigned)cpus : 1, work, m, &e))
		die(e.text);
	for (s = 0; s < m->v.places; s++)
		if (close(m->shards[s].fd))
			die("cannot close a shard");
}

/* config.json with the --set members changed. */
static void load_config(struct maker *m, const char *path, char **sets, int n_sets,
	struct text *raw)
{
	json_error_t je;
	json_t *o = json_load_file(path, JSON_REJECT_DUPLICATES, &je), *v;
	struct err e = { 0 };
	char *eq, *s;
	int i;

	if (!o)
		die(je.text);
	for (i = 0; i < n_sets; i++) {
		eq = strchr(sets[i], '=');
		if (!eq)
			die("--set wants KEY=JSON");
		*eq = 0;
		v = json_loads(eq + 1, JSON_DECODE_ANY, &je);
		if (!v || json_object_set_new(o, sets[i], v))
			die(je.text);
	}
	s = json_dumps(o, JSON_INDENT(2) | JSON_PRESERVE_ORDER | JSON_REAL_PRECISION(15));
	json_decref(o);
	if (!s)
		die("out of memory");
	text_str(raw, s);
	text_str(raw, "\n");
	free(s);
	if (config_doc_parse(&m->doc, raw->s, raw->n, &e) || config_read(&m->c, &m->doc, &e))
		die(e.text);
}

int main(int argc, char **argv)
{
	struct text empty_object = { .s = (char[]){ "{}\n" }, .n = 3 };
	struct maker m = { .seed = 1 };
	struct text raw = { 0 };
	struct err e = { 0 };
	const char *config = NULL;
	char *sets[SETS_MAX];
	int i, n_sets = 0;
	bool base, e8m0 = false;

	for (i = 1; i < argc; i++) {
		if (!strcmp(argv[i], "--config") && i + 1 < argc)
			config = argv[++i];
		else if (!strcmp(argv[i], "--seed") && i + 1 < argc)
			m.seed = strtoull(argv[++i], NULL, 10);
		else if (!strcmp(argv[i], "--set") && i + 1 < argc && n_sets < SETS_MAX)
			sets[n_sets++] = argv[++i];
		else if (!strcmp(argv[i], "--sparse"))
			m.sparse = true;
		else if (!strcmp(argv[i], "--e8m0-scales"))
			e8m0 = true;
		else if (!strcmp(argv[i], "--metadata"))
			m.metadata = true;
		else if (argv[i][0] != '-' && !m.out)
			m.out = argv[i];
		else
			die("usage: mkmodel OUT --config FILE [--set KEY=JSON]... [--seed N] [--sparse] "
			    "[--e8m0-scales] [--metadata]");
	}
	if (!m.out || !config)
		die("which folder, which config?");
	load_config(&m, config, sets, n_sets, &raw);
	if (m.c.experts == CODEC_NONE)
		m.c.experts = CODEC_MXFP4;
	base = m.c.experts == CODEC_FP8 && !e8m0;
	m.forms.dense = base ? CODEC_FP8_F32 : m.c.family->dense;
	m.forms.experts = m.c.experts == CODEC_MXFP4 ? CODEC_MXFP4 : m.forms.dense;
	if (inventory_make(&m.v, &m.c, m.forms, &e))
		die(e.text);
	if (mkdir(m.out, 0777) && access(m.out, W_OK))
		die("cannot make the folder");
	make_gauss(&m);
	list_jobs(&m, base);
	write_shards(&m);
	write_index(&m);
	write_text(&m, "config.json", &raw);
	write_text(&m, "tokenizer.json", &empty_object);
	write_text(&m, "tokenizer_config.json", &empty_object);
	inventory_free(&m.v);
	config_free(&m.c);
	config_doc_free(&m.doc);
	text_free(&raw);
	free(m.jobs);
	free(m.shards);
	free(m.gauss);
	return 0;
}
