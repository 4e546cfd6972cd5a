/* SPDX-License-Identifier: MIT */
#include "convert/batch/batch.h"

#include "convert/batch/source_id.h"
#include "core/file.h"
#include "core/hash/sha256.h"
#include "formats/conversion/manifest.h"
#include "formats/format_id.h"
#include "formats/json/jfield.h"
#include "formats/json/jwrite.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- units --- */

struct weight {
	uint64_t bytes;
	size_t unit;
};

static int heaviest(const void *a, const void *b)
{
	const struct weight *x = a, *y = b;

	if (x->bytes != y->bytes)
		return x->bytes > y->bytes ? -1 : 1;
	return (x->unit > y->unit) - (x->unit < y->unit);
}

/* Whether task a has less than task b. */
static bool less(const uint64_t *has, uint32_t a, uint32_t b)
{
	return has[a] != has[b] ? has[a] < has[b] : a < b;
}

/* Lets the task at the top of the heap sink to its place. */
static void sink(uint32_t *heap, size_t n, const uint64_t *has)
{
	size_t i = 0, k;
	uint32_t t;

	while ((k = 2 * i + 1) < n) {
		if (k + 1 < n && less(has, heap[k + 1], heap[k]))
			k++;
		if (!less(has, heap[k], heap[i]))
			break;
		t = heap[i];
		heap[i] = heap[k];
		heap[k] = t;
		i = k;
	}
}

static int balance(struct batch *b, struct err *e)
{
	struct weight *w = malloc((b->n + 1) * sizeof *w);
	uint64_t *has = calloc(b->tasks, sizeof *has);
	uint32_t *heap = malloc(b->tasks * sizeof *heap);
	size_t i;
	int rc = w && has && heap ? 0 : err_nomem(e);

	for (i = 0; !rc && i < b->tasks; i++)
		heap[i] = (uint32_t)i;
	for (i = 0; !rc && i < b->n; i++)
		w[i] = (struct weight){ b->units[i].bytes, i };
	if (!rc)
		qsort(w, b->n, sizeof *w, heaviest);
	for (i = 0; !rc && i < b->n; i++) {
		b->units[w[i].unit].task = heap[0];
		has[heap[0]] += w[i].bytes;
		sink(heap, b->tasks, has);
	}
	free(w);
	free(has);
	free(heap);
	return rc;
}

int batch_units(struct batch *b, const struct conversion *c, struct err *e)
{
	const struct plan *p;
	size_t k, i;

	b->units = malloc((c->files + 1) * sizeof *b->units);
	b->first = calloc(c->n + 1, sizeof *b->first);
	if (!b->units || !b->first)
		return err_nomem(e);
	for (k = 0; k < c->n; k++) {
		p = &c->folders[k];
		b->first[k + 1] = b->first[k] + p->n_files;
		for (i = 0; i < p->n_files; i++) {
			struct batch_unit u = { (uint32_t)k, 0, p->files[i].bytes,
				arena_strndup(&b->arena, p->dir, strlen(p->dir)),
				arena_strndup(&b->arena, p->files[i].name,
					strlen(p->files[i].name)) };

			if (!u.dir || !u.name)
				return err_nomem(e);
			b->units[b->n++] = u;
		}
	}
	return balance(b, e);
}

/* --- writing --- */

static void put(struct text *t, const struct batch *b)
{
	const struct batch_unit *u;
	struct jwrite o;
	size_t i;

	jwrite_begin(&o, t, 2);
	jwrite_open(&o, NULL, '{');
	jwrite_str(&o, "format", FORMAT_JOB);
	jwrite_u64(&o, "lease", b->lease);
	jwrite_open(&o, "options", '[');
	for (i = 0; i < b->n_words; i++)
		jwrite_str(&o, NULL, b->words[i]);
	jwrite_close(&o, ']');
	jwrite_str(&o, "out", b->out);
	jwrite_str(&o, "plan", b->plan);
	jwrite_open(&o, "source", '{');
	jwrite_str(&o, "id", b->source_id);
	jwrite_str(&o, "path", b->source);
	jwrite_close(&o, '}');
	jwrite_u64(&o, "tasks", b->tasks);
	jwrite_str(&o, "tool", b->tool);
	jwrite_open(&o, "units", '[');
	for (u = b->units; u < b->units + b->n; u++) {
		jwrite_open(&o, NULL, '{');
		jwrite_u64(&o, "bytes", u->bytes);
		jwrite_str(&o, "folder", u->dir);
		jwrite_str(&o, "name", u->name);
		jwrite_u64(&o, "task", u->task);
		jwrite_close(&o, '}');
	}
	jwrite_close(&o, ']');
	seal_put(&o);
	jwrite_close(&o, '}');
}

static int name_it(struct batch *b, const struct text *t, struct err *e)
{
	uint8_t sha[32];

	if (sha256_of(t->s, t->n, sha, e))
		return -1;
	hex_of(sha, 32, b->id);
	return 0;
}

/* Opens what lies in the open folder, and makes it where that is asked for. */
static int open_inside(struct batch *b, bool make, struct err *e)
{
	if (make ? file_make_below(b->io, b->dir, "leases", &b->leases, e) ||
				file_make_below(b->io, b->dir, "receipts", &b->receipts, e)
		 : file_open_below(b->io, b->dir, "leases", &b->leases, e) ||
				file_open_below(b->io, b->dir, "receipts", &b->receipts, e))
		return -1;
	return 0;
}

/* Writes job.json, or finds these bytes there. */
static int put_once(struct batch *b, const char *path, const struct text *t, struct err *e)
{
	struct text old = { 0 };
	struct stat st;
	bool equal;

	if (b->io->lstat(b->io, b->dir, BATCH_NAME, &st) && errno == ENOENT)
		return file_put(b->io, b->dir, BATCH_NAME, t->s, t->n, e);
	equal = !file_load(b->io, b->dir, BATCH_NAME, MANIFEST_CAP, &old, NULL) && old.n == t->n &&
		!memcmp(old.s, t->s, t->n);
	text_free(&old);
	return equal
		? 0
		: err_rule(e, RULE_JOB_OTHER, ERR_NOPOS,
			  "%s holds the job of another plan, and a job folder is never changed; take a new one",
			  text_quote(path).s);
}

int batch_create(struct batch *b, const struct io *io, const char *path, struct err *e)
{
	struct text t = { 0 };
	int rc;

	b->io = io;
	b->dir = b->leases = b->receipts = -1;
	put(&t, b);
	if (t.failed || t.n > MANIFEST_CAP) {
		text_free(&t);
		return err_set(e, ERR_SYSTEM, "the list of files does not fit a job folder");
	}
	if (io->mkdir(io, AT_FDCWD, path, 0777) && errno != EEXIST)
		rc = err_sys(e, "cannot make folder %s", text_quote(path).s);
	else
		rc = file_open_dir(io, path, &b->dir, e);
	rc = rc || open_inside(b, true, e) || put_once(b, path, &t, e) || name_it(b, &t, e) ? -1
											    : 0;
	text_free(&t);
	return rc;
}

/* --- reading --- */

struct reading {
	struct batch *b;
	char format[32], id[65], dir[96], name[256];
	struct batch_unit unit;
	uint64_t task;
	uint8_t seal[16];
};
#define AT(field) offsetof(struct reading, field)

static int get_word(struct jread *j, void *ctx, struct err *e)
{
	struct batch *b = ((struct reading *)ctx)->b;
	char s[BATCH_WORD];

	if (jfield_string(j, s, sizeof s, e))
		return -1;
	if (b->n_words == BATCH_WORDS)
		return jfield_wrong(e, "more than %d options", BATCH_WORDS);
	b->words[b->n_words] = arena_strndup(&b->arena, s, strlen(s));
	return b->words[b->n_words++] ? 0 : err_nomem(e);
}

static const struct jfield unit_fields[] = {
	{ .name = "bytes", .type = JFIELD_U64, .at = AT(unit.bytes) },
	{ .name = "folder", .type = JFIELD_STRING, .at = AT(dir), .room = 96 },
	{ .name = "name", .type = JFIELD_NAME, .at = AT(name), .room = 256 },
	{ .name = "task", .type = JFIELD_U32, .at = AT(unit.task) },
	{ 0 },
};

static int get_unit(struct jread *j, void *ctx, struct err *e)
{
	struct reading *r = ctx;
	struct batch *b = r->b;

	if (jfield_object(j, unit_fields, r, e))
		return -1;
	if (b->n == BATCH_UNITS)
		return jfield_wrong(e, "more than %d files", BATCH_UNITS);
	if (mem_grow(&b->units, &b->cap, b->n + 1, sizeof *b->units))
		return err_nomem(e);
	r->unit.dir = arena_strndup(&b->arena, r->dir, strlen(r->dir));
	r->unit.name = arena_strndup(&b->arena, r->name, strlen(r->name));
	if (!r->unit.dir || !r->unit.name)
		return err_nomem(e);
	b->units[b->n++] = r->unit;
	return 0;
}

static int get_path(struct jread *j, char *to, struct err *e)
{
	return jfield_string(j, to, BATCH_WORD, e);
}

static int get_out(struct jread *j, void *ctx, struct err *e)
{
	return get_path(j, ((struct reading *)ctx)->b->out, e);
}

static int get_source(struct jread *j, void *ctx, struct err *e)
{
	return get_path(j, ((struct reading *)ctx)->b->source, e);
}

static int get_tool(struct jread *j, void *ctx, struct err *e)
{
	struct batch *b = ((struct reading *)ctx)->b;

	return jfield_string(j, b->tool, sizeof b->tool, e);
}

static int get_number(struct jread *j, uint64_t max, uint64_t *v, struct err *e)
{
	if (jread_u64(j, max, v))
		return -1;
	return *v ? 0 : jfield_wrong(e, "a number that is 0");
}

static int get_tasks(struct jread *j, void *ctx, struct err *e)
{
	return get_number(j, BATCH_TASKS, &((struct reading *)ctx)->b->tasks, e);
}

static int get_lease(struct jread *j, void *ctx, struct err *e)
{
	return get_number(j, 1u << 20, &((struct reading *)ctx)->b->lease, e);
}

static int get_plan(struct jread *j, void *ctx, struct err *e)
{
	struct batch *b = ((struct reading *)ctx)->b;

	return jfield_string(j, b->plan, sizeof b->plan, e);
}

static const struct jfield source_fields[] = {
	{ .name = "id", .type = JFIELD_HEX_TEXT, .at = AT(id), .room = 65 },
	{ .name = "path", .type = JFIELD_CALL, .get = get_source },
	{ 0 },
};
static const struct jfield job_fields[] = {
	{ .name = "format", .type = JFIELD_STRING, .at = AT(format), .room = 32 },
	{ .name = "lease", .type = JFIELD_CALL, .get = get_lease },
	{ .name = "options", .type = JFIELD_ARRAY, .get = get_word },
	{ .name = "out", .type = JFIELD_CALL, .get = get_out },
	{ .name = "plan", .type = JFIELD_CALL, .get = get_plan },
	{ .name = "source", .type = JFIELD_OBJECT, .fields = source_fields },
	{ .name = "tasks", .type = JFIELD_CALL, .get = get_tasks },
	{ .name = "tool", .type = JFIELD_CALL, .get = get_tool },
	{ .name = "units", .type = JFIELD_ARRAY, .get = get_unit },
	{ .name = "xxh3_128", .type = JFIELD_HEX, .at = AT(seal), .room = 16 },
	{ 0 },
};

/* Reads what batch_create has written. */
static int read_document(struct batch *b, const struct text *t, struct err *e)
{
	struct reading r = { .b = b };
	size_t i;

	if (seal_read(t, job_fields, &r, e))
		return -1;
	snprintf(b->source_id, sizeof b->source_id, "%s", r.id);
	if (strcmp(r.format, FORMAT_JOB) != 0)
		return jfield_wrong(e, "its format is %s", text_quote(r.format).s);
	for (i = 0; i < b->n; i++)
		if (b->units[i].task >= b->tasks)
			return jfield_wrong(e, "a file belongs to task %u", b->units[i].task);
	return name_it(b, t, e);
}

/* Whether name lies in the folder and is of that type: 1, 0, or -1 with errno. */
static int has(const struct io *io, int dir, const char *name, mode_t type)
{
	struct stat st;

	if (io->lstat(io, dir, name, &st))
		return errno == ENOENT ? 0 : -1;
	return (st.st_mode & S_IFMT) == type;
}

int batch_is(const struct io *io, const char *path, struct err *e)
{
	int dir, is;

	if (file_open_dir(io, path, &dir, NULL))
		return errno == ENOENT || errno == ENOTDIR
			? 0
			: err_sys(e, "cannot open folder %s", text_quote(path).s);
	is = has(io, dir, BATCH_NAME, S_IFREG);
	if (!is)
		is = has(io, dir, "leases", S_IFDIR);
	if (is > 0)
		is = has(io, dir, "receipts", S_IFDIR);
	if (is < 0)
		err_sys(e, "cannot look into %s", text_quote(path).s);
	(void)io->close(io, dir); /* a folder has nothing to flush */
	return is;
}

/* Loads job.json. */
static int load(const struct batch *b, const char *path, struct text *t, struct err *e)
{
	int is = has(b->io, b->dir, BATCH_NAME, S_IFREG);

	if (is > 0)
		return file_load(b->io, b->dir, BATCH_NAME, MANIFEST_CAP, t, e);
	return is
		? err_sys(e, "cannot look at " BATCH_NAME)
		: err_rule(e, RULE_JOB_UNFINISHED, ERR_NOPOS,
			  "%s has no " BATCH_NAME
			  " yet: plan is writing it, did not come to its end, or this machine does "
			  "not see it yet",
			  text_quote(path).s);
}

int batch_open(struct batch *b, const struct io *io, const char *path, struct err *e)
{
	struct err why = { 0 };
	struct text t = { 0 };
	int rc;

	*b = (struct batch){ .io = io, .dir = -1, .leases = -1, .receipts = -1 };
	rc = batch_is(io, path, e);
	if (rc < 0)
		return -1;
	if (!rc)
		return err_rule(e, RULE_JOB_FORM, ERR_NOPOS,
			"%s is no job folder: it has no " BATCH_NAME, text_quote(path).s);
	rc = file_open_dir(io, path, &b->dir, e) || open_inside(b, false, e) ? -1 : 0;
	rc = rc ? rc : load(b, path, &t, e);
	if (!rc && read_document(b, &t, &why))
		rc = why.rule ? err_rule(e, RULE_JOB_FORM, ERR_NOPOS, BATCH_NAME ": %s", why.text)
			      : err_move(e, &why);
	text_free(&t);
	if (rc)
		batch_close(b);
	return rc;
}

/* --- holding it to what it is about --- */

static int other(struct err *e, const char *what)
{
	return err_rule(e, RULE_JOB_OTHER, ERR_NOPOS,
		"%s: the job was planned otherwise; plan again, into a new job folder", what);
}

int batch_hold(struct batch *b, const struct job *j, const char *tool, struct err *e)
{
	struct batch now = { .tasks = b->tasks };
	char id[65];
	size_t i;
	int rc = source_id(j, id, e);

	if (rc)
		return -1;
	if (strcmp(tool, b->tool) != 0)
		return err_rule(e, RULE_JOB_OTHER, ERR_NOPOS,
			"the job was planned by %s, and this is %s: files of both would differ; use that one, or plan "
			"again into a new job folder",
			text_quote(b->tool).s, tool);
	if (strcmp(id, b->source_id) != 0)
		return err_rule(e, RULE_JOB_SOURCE, ERR_NOPOS,
			"%s was changed since the job was planned: %s; plan again, into a new job folder",
			text_quote(b->source).s, source_id_words(j));
	if (strcmp(j->conversion.hash, b->plan) != 0)
		return other(e, "another plan");
	rc = batch_units(&now, &j->conversion, e);
	for (i = 0; !rc && i < now.n && now.n == b->n; i++) {
		if (now.units[i].bytes != b->units[i].bytes ||
			now.units[i].task != b->units[i].task ||
			strcmp(now.units[i].dir, b->units[i].dir) != 0 ||
			strcmp(now.units[i].name, b->units[i].name) != 0)
			break;
		b->units[i].folder = now.units[i].folder;
	}
	if (!rc && (now.n != b->n || i < b->n))
		rc = other(e, "another list of files");
	b->first = now.first;
	now.first = NULL;
	batch_close(&now);
	return rc;
}

static void close_one(const struct batch *b, int fd)
{
	if (b->io && fd >= 0)
		(void)b->io->close(b->io, fd); /* a folder has nothing to flush */
}

void batch_close(struct batch *b)
{
	close_one(b, b->dir);
	close_one(b, b->leases);
	close_one(b, b->receipts);
	free(b->units);
	free(b->first);
	arena_free(&b->arena);
	*b = (struct batch){ .dir = -1, .leases = -1, .receipts = -1 };
}
