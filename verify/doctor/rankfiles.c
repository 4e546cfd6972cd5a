/* SPDX-License-Identifier: MIT */
#include "verify/doctor/rankfiles.h"

#include "core/file.h"
#include "formats/model/model.h"
#include "formats/st/safetensors.h"
#include "verify/doctor/scan.h"
#include "verify/doctor/suspect.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { RANKS_MAX = 1024 };

struct rank_file {
	char name[64];
	unsigned rank;
	int fd; /* owns; -1: not read */
	struct st_header h;
	struct tensor *v; /* h.tensors, by name */
};

struct ranks {
	const struct doctor_opts *o;
	struct report *r;
	int dir; /* owns */
	unsigned of;
	struct rank_file *v; /* owns; by rank */
	size_t n, cap;
	bool whole; /* all ranks are there and were read */
	struct arena arena;
	struct err *e;
};

bool rankfiles_name(const char *name, unsigned *rank, unsigned *of)
{
	unsigned a, b;
	char again[64];

	if (sscanf(name, "model%4u-mp%4u.safetensors", &a, &b) != 2)
		return false;
	snprintf(again, sizeof again, "model%u-mp%u.safetensors", a, b);
	if (strcmp(again, name) != 0)
		return false;
	if (rank)
		*rank = a;
	if (of)
		*of = b;
	return true;
}

static bool ends_with(const char *s, const char *end)
{
	size_t n = strlen(s), m = strlen(end);

	return n >= m && !strcmp(s + n - m, end);
}

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct tensor *)a)->name, ((const struct tensor *)b)->name);
}

static const struct tensor *find(const struct rank_file *f, const char *name)
{
	const struct tensor key = { .name = name };

	return f->h.n ? bsearch(&key, f->v, f->h.n, sizeof key, by_name) : NULL;
}

static void say(const struct ranks *k, enum err_kind kind, const char *rule,
	const struct rank_file *f, const struct tensor *t, const char *what)
{
	const char *name = t ? t->name : NULL;
	struct report_place at = {
		.file = f ? f->name : NULL, .tensors = &name, .n_tensors = t ? 1 : 0
	};

	report_add(k->r, kind, rule, &at, "%s%s%s%s", f ? f->name : "", f ? ": " : "",
		t ? text_quote(t->name).s : "", what);
}

/* --- opening --- */

static int add_file(struct ranks *k, const char *name)
{
	struct rank_file f = { .fd = -1 };
	unsigned of;
	size_t i;

	if (!rankfiles_name(name, &f.rank, &of))
		return 0;
	snprintf(f.name, sizeof f.name, "%.60s", name);
	k->of = k->n ? k->of : of;
	if (of != k->of || f.rank >= of) {
		say(k, ERR_DATA, "rank.mixed", &f, NULL,
			" is of another number of ranks than its neighbours");
		return 0;
	}
	if (mem_grow(&k->v, &k->cap, k->n + 1, sizeof f))
		return err_nomem(k->e);
	for (i = k->n; i > 0 && k->v[i - 1].rank > f.rank; i--)
		k->v[i] = k->v[i - 1];
	k->v[i] = f;
	k->n++;
	return 0;
}

static int read_file(struct ranks *k, struct rank_file *f)
{
	const struct io *io = k->o->io;
	const struct report_place at = { .file = f->name };
	uint64_t cap = k->o->header_cap ? k->o->header_cap : ST_HEADER_CAP;
	struct stat st;

	if (file_open(io, k->dir, f->name, &f->fd, &st, k->e)) {
		f->fd = -1;
	} else if (!st_read(&f->h, io, f->fd, (uint64_t)st.st_size, cap, &k->arena, k->e)) {
		f->v = f->h.tensors;
		if (f->h.n)
			qsort(f->v, f->h.n, sizeof *f->v, by_name);
		return 0;
	} else {
		(void)io->close(io, f->fd);
		f->fd = -1;
	}
	k->whole = false;
	if (k->e->kind == ERR_SYSTEM)
		return -1;
	err_at(k->e, "%s", f->name);
	report_take(k->r, &at, k->e);
	return 0;
}

static int open_all(struct ranks *k, const char *path)
{
	char *names = NULL, *p, what[96];
	size_t n, i;
	unsigned rank;
	int rc = 0;

	if (file_open_dir(k->o->io, path, &k->dir, k->e)) {
		k->dir = -1;
		return -1;
	}
	if (k->o->io->list(k->o->io, k->dir, &names, &n))
		return err_sys(k->e, "cannot list %s", text_quote(path).s);
	for (i = 0, p = names; !rc && i < n; i++, p += strlen(p) + 1)
		rc = add_file(k, p);
	free(names);
	k->whole = k->n == k->of;
	for (i = 0, rank = 0; !rc && rank < k->of && rank < RANKS_MAX; rank++) {
		if (i < k->n && k->v[i].rank == rank) {
			rc = read_file(k, &k->v[i++]);
			continue;
		}
		snprintf(what, sizeof what, "model%u-mp%u.safetensors is not there", rank, k->of);
		say(k, ERR_DATA, "rank.missing", NULL, NULL, what);
	}
	return rc;
}

static void close_all(struct ranks *k)
{
	size_t i;

	for (i = 0; i < k->n; i++) {
		if (k->v[i].fd >= 0)
			(void)k->o->io->close(k->o->io, k->v[i].fd);
		st_free(&k->v[i].h);
	}
	if (k->dir >= 0)
		(void)k->o->io->close(k->o->io, k->dir);
	free(k->v);
	arena_free(&k->arena);
}

/* --- one rank --- */

static bool is_routed(const char *name)
{
	return strstr(name, ".ffn.experts.");
}

/* The role of a tensor, with the numbers in its name replaced; NULL: none. */
static const struct role *role_of(const char *name, bool scale)
{
	static const char experts[] = "ffn.experts.";
	char key[ST_NAME_MAX + 8];
	size_t n = 0, digits;
	unsigned i;

	if (!strncmp(name, "layers.", 7) || !strncmp(name, "mtp.", 4)) {
		name = strchr(name, '.') + 1;
		digits = strspn(name, "0123456789");
		if (!digits || name[digits] != '.')
			return NULL;
		name += digits + 1;
	}
	if (strlen(name) > ST_NAME_MAX)
		return NULL;
	if (!strncmp(name, experts, sizeof experts - 1)) {
		name += sizeof experts - 1;
		name += strspn(name, "0123456789");
		n = (size_t)snprintf(key, sizeof key, "%s#", experts);
	}
	snprintf(key + n, sizeof key - n, "%s", name);
	n = strlen(key);
	if (scale && n > 6)
		snprintf(key + n - 5, 8, "weight");
	for (i = 0; i < n_roles; i++)
		if (!strcmp(roles[i].name, key))
			return &roles[i];
	return NULL;
}

static bool type_fits(const struct role *r, const struct tensor *t, bool scale)
{
	if (scale)
		return t->dtype == DT_F8_E8M0 || t->dtype == DT_F32;
	if (ends_with(r->name, "attn.wo_a.weight"))
		return t->dtype == DT_BF16;
	if (r->store == STORE_EXPERT)
		return t->dtype == DT_F4 || t->dtype == DT_F8_E4M3;
	return t->dtype == (r->store == STORE_FP8 ? DT_F8_E4M3 : r->dtype);
}

static bool has_partner(const struct rank_file *f, const char *name, bool scale)
{
	char other[ST_NAME_MAX + 8];

	snprintf(other, sizeof other, "%.*s%s", (int)(strlen(name) - (scale ? 5 : 6)), name,
		scale ? "weight" : "scale");
	return find(f, other);
}

static void check_tensor(const struct ranks *k, const struct rank_file *f, const struct tensor *t)
{
	bool scale = ends_with(t->name, ".scale");
	const struct role *r = role_of(t->name, scale);

	if (!r || (scale && (r->store == STORE_PLAIN || ends_with(r->name, "attn.wo_a.weight")))) {
		say(k, ERR_DATA, "model.unexpected", f, t, " is not part of such a model");
		return;
	}
	if (!type_fits(r, t, scale))
		say(k, ERR_DATA, scale ? "model.scale-form" : "model.dtype", f, t,
			" is of another type than the official converter writes");
	if (scale && !has_partner(f, t->name, true))
		say(k, ERR_DATA, "model.scale-orphan", f, t, " is a scale without its weight");
	if (!scale && r->store != STORE_PLAIN && t->dtype != DT_BF16 &&
		!has_partner(f, t->name, false))
		say(k, ERR_DATA, "model.scale-missing", f, t, " has no scale");
}

/* Of a block, on one rank: heads have their sinks, what wo_a makes wo_b takes. */
static void check_fit(const struct ranks *k, const struct rank_file *f, const struct tensor *sink)
{
	static const char tail[] = "attn_sink";
	const struct tensor *q, *kv, *a, *b;
	char name[ST_NAME_MAX + 32];
	int n = (int)(strlen(sink->name) - (sizeof tail - 1));

	snprintf(name, sizeof name, "%.*swq_b.weight", n, sink->name);
	q = find(f, name);
	snprintf(name, sizeof name, "%.*skv_norm.weight", n, sink->name);
	kv = find(f, name);
	snprintf(name, sizeof name, "%.*swo_a.weight", n, sink->name);
	a = find(f, name);
	snprintf(name, sizeof name, "%.*swo_b.weight", n, sink->name);
	b = find(f, name);
	if (q && kv && sink->rank == 1 && q->rank == 2 && kv->rank == 1 && kv->dim[0] &&
		(q->dim[0] % kv->dim[0] || q->dim[0] / kv->dim[0] != sink->dim[0]))
		say(k, ERR_DATA, "rank.shape", f, sink,
			" has another number of heads than wq_b.weight of the rank");
	if (a && b && a->rank == 2 && b->rank == 2 && a->dim[0] != b->dim[1])
		say(k, ERR_DATA, "rank.shape", f, a,
			" has another number of rows than wo_b.weight of the rank has columns");
}

/* --- ranks beside each other --- */

static bool same_shape(const struct tensor *a, const struct tensor *b)
{
	return a->rank == b->rank && a->dtype == b->dtype &&
		!memcmp(a->dim, b->dim, a->rank * sizeof *a->dim);
}

static void compare(const struct ranks *k, const struct rank_file *a, const struct rank_file *b)
{
	size_t i = 0, n = 0;
	const struct tensor *t, *first = NULL;
	const struct rank_file *where = b;

	for (i = 0; i < b->h.n; i++) {
		t = find(a, b->v[i].name);
		if (is_routed(b->v[i].name) || (t && same_shape(t, &b->v[i])))
			continue;
		first = first ? first : &b->v[i];
		n++;
	}
	for (i = 0; i < a->h.n; i++) {
		if (is_routed(a->v[i].name) || find(b, a->v[i].name))
			continue;
		where = first ? where : a;
		first = first ? first : &a->v[i];
		n++;
	}
	if (n)
		say(k, ERR_DATA, "rank.uneven", where, first,
			" (and perhaps others) differs from the other rank in shape or type, or is on one only");
}

static int cmp_pointer(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Number of experts that the routers know, over all blocks, times the matrices of one. */
static uint64_t wanted(const struct rank_file *f)
{
	uint64_t n = 0;
	size_t i;

	for (i = 0; i < f->h.n; i++)
		if (ends_with(f->v[i].name, ".ffn.gate.weight") && f->v[i].rank == 2)
			n += f->v[i].dim[0] * 3;
	return n;
}

static int check_experts(struct ranks *k)
{
	const char **names;
	size_t n = 0, i, f, twice = 0, first = 0;
	char what[256];

	for (f = 0; f < k->n; f++)
		n += k->v[f].h.n;
	names = malloc((n + 1) * sizeof *names);
	if (!names)
		return err_nomem(k->e);
	for (n = 0, f = 0; f < k->n; f++)
		for (i = 0; i < k->v[f].h.n; i++)
			if (is_routed(k->v[f].v[i].name) && ends_with(k->v[f].v[i].name, ".weight"))
				names[n++] = k->v[f].v[i].name;
	qsort(names, n, sizeof *names, cmp_pointer);
	for (i = 1; i < n; i++)
		if (!strcmp(names[i], names[i - 1])) {
			first = twice ? first : i;
			twice++;
		}
	if (twice) {
		snprintf(what, sizeof what,
			"%zu expert matrices are on more than one rank, first %.100s", twice,
			text_quote(names[first]).s);
		say(k, ERR_DATA, "rank.expert-twice", NULL, NULL, what);
	}
	if (k->whole && k->n && n - twice < wanted(&k->v[0])) {
		snprintf(what, sizeof what, "%llu expert matrices are on no rank",
			(unsigned long long)(wanted(&k->v[0]) - (n - twice)));
		say(k, ERR_DATA, "model.missing", NULL, NULL, what);
	}
	free(names);
	return 0;
}

/* --- values --- */

static bool class_of(const struct rank_file *f, const struct tensor *t, struct scan_item *s)
{
	bool scale = ends_with(t->name, ".scale");
	const struct tensor *gate;
	char name[ST_NAME_MAX + 32];

	s->holds = t->dtype == DT_F8_E8M0 ? SCAN_E8M0
		: t->dtype == DT_F32      ? (scale ? SCAN_F32_SCALE : SCAN_F32)
		: t->dtype == DT_F8_E4M3  ? SCAN_FP8
		: t->dtype == DT_F4       ? SCAN_FP4
		: t->dtype == DT_BF16     ? SCAN_BF16
					  : SCAN_IDS;
	if (s->holds != SCAN_IDS)
		return t->end > t->begin;
	if (t->dtype != DT_I64 || !ends_with(t->name, ".tid2eid") || t->rank != 2 ||
		t->dim[1] > 1024)
		return false;
	snprintf(name, sizeof name, "%.*sweight", (int)(strlen(t->name) - strlen("tid2eid")),
		t->name);
	gate = find(f, name);
	s->width = t->dim[1];
	s->limit = gate && gate->rank == 2 ? gate->dim[0] : UINT64_MAX;
	return s->width && t->end > t->begin;
}

static int look(struct ranks *k, const struct consumer *who)
{
	struct scan s = { .io = k->o->io,
		.full = k->o->full,
		.e_min = who ? who->e_min : 0,
		.e_max = who ? who->e_max : 254,
		.threads = k->o->threads };
	const struct suspect_opts so = { .engine = who ? who->name : NULL };
	size_t f, i;
	int rc = 0;

	for (f = 0; !rc && f < k->n; f++)
		for (i = 0; !rc && k->v[f].fd >= 0 && i < k->v[f].h.n; i++) {
			const struct tensor *t = &k->v[f].v[i];
			struct scan_item x = { .file = k->v[f].name,
				.name = t->name,
				.fd = k->v[f].fd,
				.at = k->v[f].h.data_at + t->begin,
				.bytes = t->end - t->begin };

			if (class_of(&k->v[f], t, &x))
				rc = scan_add(&s, &x, k->e);
		}
	rc = rc ? rc : scan_run(&s, k->e);
	rc = rc ? rc : suspect_judge(k->r, &s, &so, k->e);
	report_row(k->r, "looked at", k->o->full ? "values" : "scales and samples", s.n, s.looked,
		NULL);
	scan_free(&s);
	return rc;
}

int rankfiles_run(struct report *r, const char *path, const struct doctor_opts *o,
	const struct consumer *who, struct err *e)
{
	struct ranks k = { .o = o, .r = r, .dir = -1, .e = e };
	size_t f, i, first = 0;
	int rc = open_all(&k, path);

	while (first < k.n && k.v[first].fd < 0)
		first++;
	for (f = 0; !rc && f < k.n; f++) {
		for (i = 0; i < k.v[f].h.n; i++) {
			check_tensor(&k, &k.v[f], &k.v[f].v[i]);
			if (ends_with(k.v[f].v[i].name, ".attn.attn_sink"))
				check_fit(&k, &k.v[f], &k.v[f].v[i]);
		}
		if (k.v[f].fd >= 0 && f != first)
			compare(&k, &k.v[first], &k.v[f]);
	}
	rc = rc ? rc : check_experts(&k);
	rc = rc ? rc : look(&k, who);
	if (!rc && o->fix_config)
		rc = err_set(e, ERR_USAGE, "rank files have no config.json to correct");
	close_all(&k);
	return rc;
}
