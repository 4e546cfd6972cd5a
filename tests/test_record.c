/* test_record.c -- manifests and sidecars, written and read again: a struct that is written and read is what it was,
 * a document that is read and written has the same bytes, and every field of a struct is in the document.
 *
 * SPDX-License-Identifier: MIT */
#include "core/file.h"
#include "formats/conversion/manifest.h"
#include "formats/conversion/sidecar.h"
#include "formats/st/safetensors.h"
#include "tests/ck.h"

#include <stddef.h>

#define FLASH "tests/golden/tiny-flash"

/* --- documents as text --- */

static int to_text(void *ctx, const char *p, size_t n, struct err *e)
{
	struct text *t = ctx;

	text_put(t, p, n);
	return t->failed ? err_nomem(e) : 0;
}

static struct text text_of(const struct sidecar *s)
{
	struct text t = { 0 };
	struct err e = { 0 };

	CHECK(!sidecar_put(s, NULL, to_text, &t, &e));
	return t;
}

static bool read_text(struct sidecar *s, const struct text *t)
{
	struct path p = dirs_path("sidecar");
	struct err e = { 0 };
	int fd, rc;

	file_put_all(p.s, t->s, t->n);
	fd = open(p.s, O_RDONLY);
	rc = sidecar_read(s, io_posix(), fd, t->n, &e);
	close(fd);
	CHECK_IN(e.text, !rc);
	return !rc;
}

static bool same_text(const char *what, const struct text *a, const struct text *b)
{
	bool same = a->n == b->n && same_bytes(what, a->s, b->s, a->n);

	CHECK_IN(what, same);
	return same;
}

/* --- records of random content --- */

static char names[64][40];

static const char *name_of(unsigned i)
{
	snprintf(names[i % 64], sizeof names[0], "%c-%u.\"x\"", 'a' + (int)(i % 26), i % 64);
	return names[i % 64];
}

static void random_hex(char hex[65])
{
	uint8_t b[32];

	rnd_bytes(b, sizeof b);
	hex_of(b, sizeof b, hex);
}

static uint64_t random_number(void)
{
	return rnd64() >> (11 + rnd(50));
}

enum { TENSORS = 9, SOURCES = 4, LOST = 5, CHUNKS = 3 };

/* A sidecar of the test's own: all that it has lies here. */
struct own {
	struct sidecar s;
	struct sidecar_tensor t[TENSORS];
	struct sidecar_source x[TENSORS * SOURCES];
	struct sidecar_block lost[TENSORS][LOST];
	struct xxh_digest chunk[CHUNKS];
	uint64_t dim[TENSORS][2];
	const char *shard[3];
};

static void random_source(struct sidecar_source *x, uint32_t shard)
{
	*x = (struct sidecar_source){ .tensor = name_of(rnd(64)), .shard = shard };
	x->has_xxh = rnd(3) > 0;
	x->part = x->has_xxh && rnd(2);
	if (x->has_xxh)
		rnd_bytes(x->xxh.b, sizeof x->xxh.b);
}

/* What tensors of some transforms have besides. */
static void random_extras(struct own *o, unsigned i)
{
	struct sidecar_tensor *t = &o->t[i];
	unsigned k;

	if (t->op == OP_TILE) {
		t->layout = "marlin4";
		t->map = "plain";
		t->parts = (uint8_t)(1 + rnd(2));
		t->version = rnd(9);
		t->scaled = rnd(2);
		for (k = 0; t->scaled && k < 3; k++)
			t->e8m0[k] = (uint32_t)rnd64();
	}
	if (t->op == OP_REFORM) {
		t->from = CODEC_MXFP4;
		t->to = CODEC_FP8;
		t->of = (uint8_t)rnd(PART_COUNT);
		t->unsigned_zeros = rnd(2);
	}
	if (rnd(2)) {
		t->blocks = 1 + random_number();
		t->inexact = rnd64() % (t->blocks + 1);
		t->rescued = rnd64() % (t->blocks - t->inexact + 1);
		t->n_lost = (uint32_t)(t->inexact < LOST ? t->inexact : rnd(LOST + 1));
		t->lost = t->n_lost ? o->lost[i] : NULL;
		rnd_bytes(o->lost[i], sizeof o->lost[i]);
	}
	if (rnd(2)) {
		t->row[0] = random_number() / 2;
		t->row[1] = t->row[0] + 1 + rnd(99);
	}
	if (rnd(2)) {
		t->col[0] = random_number() / 2;
		t->col[1] = t->col[0] + 1 + rnd(99);
	}
	if (rnd(2)) {
		t->dropped[0] = o->s.dropped_bytes;
		t->dropped[1] = o->s.dropped_bytes += 1 + rnd(1000);
	}
}

static void random_sidecar(struct own *o)
{
	static const uint8_t types[] = { DT_F8_E4M3, DT_BF16, DT_F32, DT_I8 };
	struct sidecar *s = &o->s;
	uint64_t at = 0;
	unsigned i, k;

	memset(o, 0, sizeof *o);
	snprintf(s->name, sizeof s->name, "m-%u.safetensors", rnd(1000));
	snprintf(s->target, sizeof s->target, "target-%u", rnd(1000));
	snprintf(s->tool, sizeof s->tool, "test \"%u\"", rnd(1000));
	random_hex(s->plan);
	s->has_sha256 = rnd(2);
	if (s->has_sha256)
		rnd_bytes(s->sha256, sizeof s->sha256);
	for (i = 0; i < 3; i++)
		o->shard[i] = i == 0 ? "s-1" : i == 1 ? "s-2" : "s-3";
	s->shards = o->shard;
	s->n_shards = 3;
	s->tensors = o->t;
	s->sources = o->x;
	s->n = 3 + rnd(TENSORS - 2);
	for (i = 0; i < s->n; i++) {
		struct sidecar_tensor *t = &o->t[i];

		t->name = name_of(i);
		t->op = (uint8_t)rnd(OP_COUNT);
		t->dtype = types[rnd(4)];
		if (t->op == OP_CAST ||
			t->op == OP_CAST_SCALE) /* one word: the type tells them apart */
			t->op = t->dtype == DT_F8_E4M3 ? OP_CAST : OP_CAST_SCALE;
		t->rank = 2;
		t->dim = o->dim[i];
		o->dim[i][0] = 1 + rnd(9);
		o->dim[i][1] = 1 + rnd(9);
		t->begin = at;
		t->end = at += o->dim[i][0] * o->dim[i][1] * dtypes[t->dtype].bits / 8;
		rnd_bytes(t->xxh.b, sizeof t->xxh.b);
		t->first = (uint32_t)s->n_sources;
		t->n = 1 + rnd(SOURCES);
		for (k = 0; k < t->n; k++, s->n_sources++) /* the first three name each shard */
			random_source(&o->x[s->n_sources],
				(uint32_t)(s->n_sources < 3 ? s->n_sources : rnd(3)));
		random_extras(o, i);
		if (sidecar_is_copy(t) && o->x[t->first].has_xxh && !o->x[t->first].part)
			o->x[t->first].xxh = t->xxh; /* another digest is refused: set.form */
	}
	if (s->dropped_bytes)
		rnd_bytes(s->dropped_sha256, sizeof s->dropped_sha256);
	s->header_bytes = 8 + rnd(2 * (int)MAN_CHUNK);
	s->bytes = s->header_bytes + at;
	s->chunks = o->chunk;
	s->n_chunks = mem_ceil_div(s->bytes, MAN_CHUNK);
	rnd_bytes(o->chunk, sizeof o->chunk);
}

static bool same_string(const char *a, const char *b)
{
	return (!a && !b) || (a && b && !strcmp(a, b));
}

/* All fields, but for pointers what they lead to. */
static bool same_tensor(const struct sidecar_tensor *a, const struct sidecar_tensor *b)
{
	struct sidecar_tensor x = *a, y = *b;
	bool same = same_string(a->name, b->name) && same_string(a->layout, b->layout) &&
		same_string(a->map, b->map) && a->rank == b->rank && a->n_lost == b->n_lost &&
		!memcmp(a->dim, b->dim, a->rank * sizeof *a->dim) &&
		(!a->n_lost || !memcmp(a->lost, b->lost, a->n_lost * sizeof *a->lost));

	x.name = y.name = x.layout = y.layout = x.map = y.map = NULL;
	x.dim = y.dim = NULL;
	x.lost = y.lost = NULL;
	return same && !memcmp(&x, &y, sizeof x); /* both were zeroed, padding too */
}

static bool same_sidecar(const struct sidecar *a, const struct sidecar *b)
{
	bool same = !strcmp(a->name, b->name) && !strcmp(a->target, b->target) &&
		!strcmp(a->plan, b->plan) && !strcmp(a->tool, b->tool) && a->bytes == b->bytes &&
		a->header_bytes == b->header_bytes && a->has_sha256 == b->has_sha256 &&
		!memcmp(a->sha256, b->sha256, 32) && a->dropped_bytes == b->dropped_bytes &&
		!memcmp(a->dropped_sha256, b->dropped_sha256, 32) && a->n_chunks == b->n_chunks &&
		!memcmp(a->chunks, b->chunks, a->n_chunks * sizeof *a->chunks) && a->n == b->n &&
		a->n_sources == b->n_sources && a->n_shards == b->n_shards;
	size_t i;

	for (i = 0; same && i < a->n; i++)
		same = same_tensor(&a->tensors[i], &b->tensors[i]);
	for (i = 0; same && i < a->n_sources; i++)
		same = same_string(a->sources[i].tensor, b->sources[i].tensor) &&
			a->sources[i].shard == b->sources[i].shard &&
			a->sources[i].has_xxh == b->sources[i].has_xxh &&
			a->sources[i].part == b->sources[i].part &&
			!memcmp(&a->sources[i].xxh, &b->sources[i].xxh, sizeof a->sources[i].xxh);
	for (i = 0; same && i < a->n_shards; i++)
		same = same_string(a->shards[i], b->shards[i]);
	return same;
}

static void sidecars(void)
{
	static struct own o;
	struct text a, b;
	struct sidecar s;
	unsigned i;

	for (i = 0; i < 300 && !check_failed; i++) {
		random_sidecar(&o);
		a = text_of(&o.s);
		if (read_text(&s, &a)) {
			CHECK(same_sidecar(&o.s, &s));
			b = text_of(&s);
			same_text("sidecar", &b, &a);
			text_free(&b);
			sidecar_free(&s);
		}
		text_free(&a);
	}
}

/* --- manifests --- */

static void random_files(struct manifest_files *f, bool sides, bool hashed, char room[8][2][64])
{
	size_t i;

	f->n = rnd(7);
	for (i = 0; i < f->n; i++) {
		struct manifest_file *v = &f->v[i];

		memset(v, 0, sizeof *v);
		snprintf(room[i][0], 64, "f-%zu-%u", i, rnd(1000)); /* sorted */
		snprintf(room[i][1], 64, "%.40s" MAN_SIDECAR, room[i][0]);
		v->name = room[i][0];
		v->bytes = random_number();
		v->has_sha256 = sides ? rnd(2) : hashed;
		if (v->has_sha256)
			rnd_bytes(v->sha256, 32);
		if (!sides || rnd(2))
			continue;
		v->side = room[i][1];
		v->side_bytes = random_number();
		rnd_bytes(v->side_sha256, 32);
	}
}

static void random_folder(struct manifest_folder *f, const char *name, bool plan)
{
	memset(f, 0, sizeof *f);
	snprintf(f->name, sizeof f->name, "%s", name);
	if (plan)
		random_hex(f->plan);
	f->bytes = random_number();
	rnd_bytes(f->sha256, 32);
}

static bool same_lists(const struct manifest_files *a, const struct manifest_files *b)
{
	bool same = a->n == b->n;
	size_t i;

	for (i = 0; same && i < a->n; i++)
		same = same_string(a->v[i].name, b->v[i].name) &&
			same_string(a->v[i].side, b->v[i].side) && a->v[i].bytes == b->v[i].bytes &&
			a->v[i].side_bytes == b->v[i].side_bytes &&
			a->v[i].has_sha256 == b->v[i].has_sha256 &&
			!memcmp(a->v[i].sha256, b->v[i].sha256, 32) &&
			!memcmp(a->v[i].side_sha256, b->v[i].side_sha256, 32);
	return same;
}

static bool same_folder(const struct manifest_folder *a, const struct manifest_folder *b)
{
	return !strcmp(a->name, b->name) && !strcmp(a->plan, b->plan) && a->bytes == b->bytes &&
		!memcmp(a->sha256, b->sha256, 32);
}

static bool same_blocks(const struct manifest *a, const struct manifest *b)
{
	bool same = a->n_roles == b->n_roles && a->n_lossy == b->n_lossy;
	size_t i;

	for (i = 0; same && i < a->n_roles; i++)
		same = !strcmp(a->roles[i].where, b->roles[i].where) &&
			!strcmp(a->roles[i].role, b->roles[i].role) &&
			a->roles[i].total == b->roles[i].total &&
			a->roles[i].rescued == b->roles[i].rescued &&
			a->roles[i].lossy == b->roles[i].lossy;
	for (i = 0; same && i < a->n_lossy; i++)
		same = same_string(a->lossy[i].tensor, b->lossy[i].tensor) &&
			a->lossy[i].row == b->lossy[i].row &&
			a->lossy[i].block == b->lossy[i].block;
	return same;
}

static void random_blocks(struct manifest *m, struct manifest_role roles[3],
	struct manifest_place lossy[3])
{
	size_t i;

	m->roles = roles;
	m->lossy = lossy;
	m->n_roles = rnd(4);
	m->n_lossy = rnd(4);
	for (i = 0; i < m->n_roles; i++) {
		roles[i] = (struct manifest_role){ .where = "hash", .total = random_number() };
		snprintf(roles[i].role, sizeof roles[i].role, "role-%u", rnd(99));
		roles[i].lossy = rnd64() % (roles[i].total + 1);
		roles[i].rescued = rnd64() % (roles[i].total - roles[i].lossy + 1);
	}
	for (i = 0; i < m->n_lossy; i++)
		lossy[i] = (struct manifest_place){ name_of(rnd(64)), (uint32_t)rnd64(),
			(uint32_t)rnd64() };
}

static bool same_manifest(const struct manifest *a, const struct manifest *b)
{
	return !strcmp(a->target, b->target) && !strcmp(a->plan, b->plan) &&
		!strcmp(a->tool, b->tool) && !strcmp(a->options, b->options) &&
		!strcmp(a->layers, b->layers) && a->verified == b->verified &&
		a->source_bytes == b->source_bytes && a->source_tensors == b->source_tensors &&
		a->blocks == b->blocks && a->inexact == b->inexact && same_blocks(a, b) &&
		same_lists(&a->files, &b->files) && same_lists(&a->shards, &b->shards) &&
		same_folder(&a->restore, &b->restore);
}

static void options_of(struct manifest *m, struct text *t)
{
	struct jwrite o;

	if (rnd(2))
		snprintf(m->layers, sizeof m->layers, "0-%u,head", rnd(60));
	manifest_options(&o, t);
	jwrite_str(&o, "experts", "fp\"8\"");
	if (m->layers[0])
		jwrite_str(&o, "layers", m->layers);
	else
		jwrite_null(&o, "layers");
	manifest_options_end(&o);
	m->options = t->s;
}

static void manifests(void)
{
	struct manifest_file files[8], shards[8];
	struct manifest_role roles[3];
	struct manifest_place lossy[3];
	char room[2][8][2][64];
	struct err e = { 0 };
	unsigned i;

	for (i = 0; i < 300 && !check_failed; i++) {
		struct manifest m = { .files.v = files, .shards.v = shards }, again;
		struct text options = { 0 }, a = { 0 }, b = { 0 };

		snprintf(m.target, sizeof m.target, "target-%u", rnd(99));
		snprintf(m.tool, sizeof m.tool, "tool %u", rnd(99));
		random_hex(m.plan);
		options_of(&m, &options);
		m.verified = rnd(2);
		random_files(&m.files, true, false, room[0]);
		random_files(&m.shards, false, m.verified, room[1]);
		m.source_bytes = random_number();
		m.source_tensors = random_number();
		random_blocks(&m, roles, lossy);
		m.blocks = rnd(2) ? 1 + random_number() : 0;
		m.inexact = m.blocks ? rnd64() % (m.blocks + 1) : 0;
		if (rnd(2))
			random_folder(&m.restore, "source", false);
		manifest_put(&a, &m);
		CHECK_IN(e.text, !manifest_read(&again, &a, &e));
		CHECK(same_manifest(&m, &again) && again.seal == SEAL_WHOLE);
		manifest_put(&b, &again);
		same_text("manifest", &b, &a);
		manifest_free(&again);
		text_free(&options);
		text_free(&a);
		text_free(&b);
	}
}

static void sets(void)
{
	struct manifest_folder v[7];
	char name[32];
	struct err e = { 0 };
	unsigned i, k;

	for (i = 0; i < 200 && !check_failed; i++) {
		struct set_manifest m = { .v = v, .stages = 1 }, again;
		struct text options = { 0 }, a = { 0 }, b = { 0 };
		struct jwrite o;

		m.ranks = 1 + rnd(6);
		m.n = m.ranks + 1;
		for (k = 0; k < m.n; k++) {
			snprintf(name, sizeof name, k ? "rank-%u-of-%u" : "source", k - 1,
				(unsigned)m.ranks);
			random_folder(&v[k], name, true);
		}
		snprintf(m.target, sizeof m.target, "target-%u", rnd(99));
		snprintf(m.tool, sizeof m.tool, "tool %u", rnd(99));
		CHECK(!set_plan_hash(v, m.n, m.plan, &e));
		manifest_options(&o, &options);
		jwrite_str(&o, "attention", "tp");
		jwrite_u64(&o, "ranks", m.ranks);
		jwrite_u64(&o, "stages", m.stages);
		manifest_options_end(&o);
		m.options = options.s;
		set_manifest_put(&a, &m);
		CHECK_IN(e.text, !set_manifest_read(&again, &a, &e));
		CHECK(!strcmp(m.target, again.target) && !strcmp(m.plan, again.plan) &&
			!strcmp(m.tool, again.tool) && !strcmp(m.options, again.options) &&
			m.ranks == again.ranks && m.stages == again.stages && m.n == again.n);
		for (k = 0; k < m.n && k < again.n; k++)
			CHECK(same_folder(&m.v[k], &again.v[k]));
		set_manifest_put(&b, &again);
		same_text("set", &b, &a);
		set_manifest_free(&again);
		text_free(&options);
		text_free(&a);
		text_free(&b);
	}
}

/* --- what conversions write --- */

static unsigned documents;

/* Reads and writes a document again; which one it is, its name and content say. */
static void hold(const char *dir, const char *name)
{
	struct path p = model_file(dir, name);
	struct text t = { 0 }, again = { 0 };
	struct err e = { 0 };
	struct set_manifest set;
	struct manifest m;
	struct sidecar s;
	size_t n;
	uint8_t *b = file_get_all(p.s, &n);

	text_put(&t, b, n);
	free(b);
	if (strcmp(name, MAN_NAME) != 0) {
		if (read_text(&s, &t)) {
			again = text_of(&s);
			sidecar_free(&s);
		}
	} else if (memmem(t.s, t.n, "\"dsv4-set-1\"", 12)) {
		CHECK_IN(p.s, !set_manifest_read(&set, &t, &e));
		set_manifest_put(&again, &set);
		set_manifest_free(&set);
	} else {
		CHECK_IN(p.s, !manifest_read(&m, &t, &e));
		manifest_put(&again, &m);
		manifest_free(&m);
	}
	documents += same_text(p.s, &again, &t);
	text_free(&t);
	text_free(&again);
}

static void hold_folder(const char *dir)
{
	const struct io *io = io_posix();
	int fd = io->open(io, AT_FDCWD, dir, O_RDONLY | O_DIRECTORY, 0);
	char *all, *s;
	struct stat st;
	size_t n, i;

	if (fd < 0 || io->list(io, fd, &all, &n)) {
		FAILED(dir);
		return;
	}
	for (i = 0, s = all; i < n; i++, s += strlen(s) + 1) {
		if (!io->lstat(io, fd, s, &st) && S_ISDIR(st.st_mode))
			hold_folder(model_file(dir, s).s);
		else if (!strcmp(s, MAN_NAME) || ck_ends(s, MAN_SIDECAR))
			hold(dir, s);
	}
	free(all);
	io->close(io, fd);
}

/* A model in which one block cannot be cast without loss. */
static struct path lossy_model(void)
{
	struct ck *c = ck_load(FLASH);
	struct ck_tensor *t = ck_get(c, "layers.0.ffn.experts.0.w1.scale");
	struct path dir;

	t->p[0] = 40;
	t->p[1] = 200;
	dir = ck_write(c, "spread");
	ck_free(c);
	return dir;
}

static void conversions(void)
{
	static const char *const calls[] = { "dsv4-convert run -q -t official --mp 2",
		"dsv4-convert run -q -t official --no-sha256 --layers 0,head",
		"dsv4-convert run -q -t hf --experts fp8 --lossy",
		"dsv4-convert run -q -t marlin-mxfp4 --ranks 2",
		"dsv4-convert run -q -t marlin-mxfp4 --ranks 2 --experts-by tp --attention tp",
		"dsv4-quant run -q -t ct-nvfp4a16" };
	struct path dir = lossy_model(), out = dirs_path("out");
	const char *b = getenv("B");
	char line[2000];
	size_t i;

	for (i = 0; i < sizeof calls / sizeof *calls; i++) {
		dirs_remove(out.s);
		snprintf(line, sizeof line, "%s/%s %s -o %s >/dev/null", b ? b : "build/gcc-opt",
			calls[i], strstr(calls[i], "lossy") ? dir.s : FLASH, out.s);
		CHECK_IN(line, !system(line));
		documents = 0;
		hold_folder(out.s);
		CHECK_IN(line, documents >= 2);
		if (strstr(line, "lossy")) { /* blocks that lost something are listed */
			snprintf(line, sizeof line, "grep -q inexact_at %s/*.manifest.json", out.s);
			CHECK_IN(line, !system(line));
		}
	}
}

static const struct test tests[] = {
	{ "record: sidecars", sidecars },
	{ "record: manifests", manifests },
	{ "record: sets", sets },
	{ "record: conversions", conversions },
	{ NULL, NULL },
};
TEST_MAIN(tests)
