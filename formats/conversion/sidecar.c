/* SPDX-License-Identifier: MIT */
#include "formats/format_id.h"
#include "formats/conversion/sidecar.h"

#include "formats/json/jread.h"
#include "formats/op.h"
#include "formats/st/shardmap.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DEPTH = 8 };

static bool is(const struct jread *j, const char *word)
{
	return j->str.n == strlen(word) && !memcmp(j->str.s, word, j->str.n);
}

static int wrong(struct err *e, const char *what)
{
	return err_rule(e, RULE_SET_FORM, ERR_NOPOS, "%s", what);
}

/* A string of less than room bytes, without NUL. */
static int get_string(struct jread *j, char *s, size_t room, struct err *e)
{
	if (jread_string(j, room - 1))
		return -1;
	if (memchr(j->str.s, 0, j->str.n))
		return wrong(e, "a name with a NUL in it");
	memcpy(s, j->str.s, j->str.n);
	s[j->str.n] = 0;
	return 0;
}

static int get_hex(struct jread *j, uint8_t *p, size_t n, struct err *e)
{
	if (jread_string(j, 2 * n))
		return -1;
	return j->str.n == 2 * n && hex_to(j->str.s, p, n) ? 0
							   : wrong(e, "a digest of another length");
}

/* --- the manifest of a set --- */

/* rank-R-of-N, pp-S-of-P/rank-R-of-N, source: nothing that leads elsewhere. */
static bool plain_folder(const char *s)
{
	return *s && s[strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789-/")] == 0 && *s != '/' &&
		!strstr(s, "//") && s[strlen(s) - 1] != '/';
}

static int get_folder(struct jread *j, struct set_folders *d, struct err *e)
{
	struct set_folder *f;
	int more;

	if (mem_grow(&d->v, &d->cap, d->n + 1, sizeof *d->v))
		return err_nomem(e);
	f = &d->v[d->n++];
	memset(f, 0, sizeof *f);
	if (jread_object(j))
		return -1;
	while ((more = jread_key(j)) == 1)
		if (is(j, "name")                 ? get_string(j, f->name, sizeof f->name, e)
				: is(j, "sha256") ? get_hex(j, f->sha256, 32, e)
						  : jread_skip(j))
			return -1;
	if (!more && !plain_folder(f->name))
		return wrong(e, "a folder whose name leads elsewhere");
	return more;
}

static int get_folders(struct jread *j, struct set_folders *d, struct err *e)
{
	int more;

	if (jread_array(j))
		return -1;
	while ((more = jread_item(j)) == 1)
		if (get_folder(j, d, e))
			return -1;
	return more;
}

int set_folders_read(struct set_folders *d, const struct text *t, struct err *e)
{
	struct jread j;
	char format[32] = "";
	int more = -1;

	jread_open_mem(&j, t->s, t->n, DEPTH, e);
	if (!jread_object(&j))
		while ((more = jread_key(&j)) == 1)
			if (is(&j, "folders")               ? get_folders(&j, d, e)
					: is(&j, "restore") ? get_folder(&j, d, e)
					: is(&j, "format")
					? get_string(&j, format, sizeof format, e)
					: is(&j, "target")
					? get_string(&j, d->target, sizeof d->target, e)
					: jread_skip(&j)) {
				more = -1;
				break;
			}
	jread_close(&j);
	d->flat = !strcmp(format, FORMAT_MANIFEST);
	if (!more && !d->flat && strcmp(format, FORMAT_SET) != 0)
		more = wrong(e,
			"manifest.json is not of a conversion (" FORMAT_SET ", " FORMAT_MANIFEST
			")");
	return more ? err_at(e, "manifest.json") : 0;
}

void set_folders_free(struct set_folders *d)
{
	free(d->v);
	memset(d, 0, sizeof *d);
}

/* --- the manifest of a folder --- */

static int get_sidecar(struct jread *j, struct set_file *f, struct err *e)
{
	int more;

	if (jread_object(j))
		return -1;
	while ((more = jread_key(j)) == 1)
		if (is(j, "name")                 ? get_string(j, f->sidecar, sizeof f->sidecar, e)
				: is(j, "sha256") ? get_hex(j, f->sidecar_sha256, 32, e)
						  : jread_skip(j))
			return -1;
	return more;
}

static int get_sha(struct jread *j, struct set_file *f, struct err *e)
{
	return jread_peek(j) == 'n' ? jread_skip(j) : get_hex(j, f->sha256, 32, e);
}

static int get_file(struct jread *j, struct set_files *v, struct err *e)
{
	struct set_file *f;
	int more;

	if (mem_grow(&v->v, &v->cap, v->n + 1, sizeof *v->v))
		return err_nomem(e);
	f = &v->v[v->n++];
	memset(f, 0, sizeof *f);
	if (jread_object(j))
		return -1;
	while ((more = jread_key(j)) == 1)
		if (is(j, "name")                  ? get_string(j, f->name, sizeof f->name, e)
				: is(j, "bytes")   ? jread_u64(j, ST_OFFSET_MAX, &f->bytes)
				: is(j, "sha256")  ? get_sha(j, f, e)
				: is(j, "sidecar") ? get_sidecar(j, f, e)
						   : jread_skip(j))
			return -1;
	if (!more &&
		(!*f->name || strchr(f->name, '/') || strchr(f->sidecar, '/') ||
			f->name[0] == '.' || f->sidecar[0] == '.'))
		return wrong(e, "a file whose name leads elsewhere");
	return more;
}

static int get_files(struct jread *j, struct set_files *f, struct err *e)
{
	int more;

	if (jread_array(j))
		return -1;
	while ((more = jread_item(j)) == 1)
		if (get_file(j, f, e))
			return -1;
	return more;
}

int set_files_read(struct set_files *f, const struct text *t, struct err *e)
{
	struct jread j;
	int more = -1;

	jread_open_mem(&j, t->s, t->n, DEPTH, e);
	if (!jread_object(&j))
		while ((more = jread_key(&j)) == 1)
			if (is(&j, "files") ? get_files(&j, f, e) : jread_skip(&j)) {
				more = -1;
				break;
			}
	jread_close(&j);
	return more;
}

void set_files_free(struct set_files *f)
{
	free(f->v);
	memset(f, 0, sizeof *f);
}

/* --- sidecars --- */

/* A tensor of a sidecar, while it is read. */
struct entry {
	char layout[64], map[64], transform[32];
	uint64_t version, parts;
	uint64_t begin, end;
	uint64_t row[2], col[2]; /* [1] 0: all */
	uint64_t dropped[2];     /* [1] 0: nothing */
	uint64_t inexact;        /* blocks of a cast that lost something */
	size_t first;            /* of its pieces */
};

static int get_pair(struct jread *j, uint64_t v[2], struct err *e)
{
	if (jread_array(j) || jread_item(j) != 1 || jread_u64(j, ST_OFFSET_MAX, &v[0]) ||
		jread_item(j) != 1 || jread_u64(j, ST_OFFSET_MAX, &v[1]) || jread_item(j) != 0)
		return j->failed ? -1 : wrong(e, "a range that is no pair");
	return 0;
}

/* "blocks": of it only how many lost something. */
static int get_blocks(struct jread *j, struct entry *t)
{
	int more;

	if (jread_object(j))
		return -1;
	while ((more = jread_key(j)) == 1)
		if (is(j, "inexact") ? jread_u64(j, ST_OFFSET_MAX, &t->inexact) : jread_skip(j))
			return -1;
	return more;
}

static int get_layout(struct jread *j, struct entry *t, struct err *e)
{
	int more;

	if (jread_object(j))
		return -1;
	while ((more = jread_key(j)) == 1)
		if (is(j, "name")                  ? get_string(j, t->layout, sizeof t->layout, e)
				: is(j, "rows")    ? get_string(j, t->map, sizeof t->map, e)
				: is(j, "parts")   ? jread_u64(j, 2, &t->parts)
				: is(j, "version") ? jread_u64(j, UINT16_MAX, &t->version)
						   : jread_skip(j))
			return -1;
	return more;
}

/* One source of a tensor becomes a piece; what part of it, settle says. */
static int get_source(struct jread *j, struct joined *o, uint32_t file, struct err *e)
{
	const struct tensor *t;
	struct piece p = { .file = file };
	char name[ST_NAME_MAX + 1] = "";
	struct xxh_digest whole;
	bool has_whole = false;
	int more;

	if (jread_object(j))
		return -1;
	while ((more = jread_key(j)) == 1) {
		if (is(j, "tensor")) {
			if (get_string(j, name, sizeof name, e))
				return -1;
		} else if (is(j, "xxh3_128")) {
			has_whole = true;
			if (get_hex(j, whole.b, sizeof whole.b, e))
				return -1;
		} else if (is(j, "xxh3_128_of_part")) {
			p.has_xxh = true;
			if (get_hex(j, p.xxh.b, sizeof p.xxh.b, e))
				return -1;
		} else if (jread_skip(j)) {
			return -1;
		}
	}
	t = more ? NULL : ckpt_find(o->c, name);
	if (!t)
		return more ? -1 : wrong(e, "a source tensor that the source has not");
	p.tensor = (uint32_t)(t - o->c->tensors);
	if (has_whole) {
		o->has_xxh[p.tensor] = true;
		o->xxh[p.tensor] = whole;
	}
	if (mem_grow(&o->pieces, &o->pieces_cap, o->n_pieces + 1, sizeof *o->pieces))
		return err_nomem(e);
	o->pieces[o->n_pieces++] = p;
	return 0;
}

static int get_sources(struct jread *j, struct joined *o, uint32_t file, struct err *e)
{
	int more;

	if (jread_array(j))
		return -1;
	while ((more = jread_item(j)) == 1)
		if (get_source(j, o, file, e))
			return -1;
	return more;
}

/* Which rows and columns of its source piece p is; false where the source has no such. */
static bool bound(const struct joined *o, const struct entry *t, struct piece *p)
{
	const struct tensor *s = &o->c->tensors[p->tensor];
	uint64_t rows = s->rank ? s->dim[0] : 1, cols = rows ? (s->end - s->begin) / rows : 0;

	p->row = t->row[1] ? t->row[0] : 0;
	p->col = t->col[1] ? t->col[0] : 0;
	if (t->row[1] > rows || t->col[1] > cols || (t->row[1] && t->row[0] >= t->row[1]) ||
		(t->col[1] && t->col[0] >= t->col[1]))
		return false;
	p->rows = (t->row[1] ? t->row[1] : rows) - p->row;
	p->cols = (t->col[1] ? t->col[1] : cols) - p->col;
	return true;
}

static int settle_tile(struct joined *o, const struct entry *t, uint64_t data_at, struct err *e)
{
	const struct tile *tile = tile_find(t->layout);
	const struct rowmap *map = rowmap_find(t->map);
	size_t n = o->n_pieces - t->first, k;
	const struct tensor *s;
	struct tile_dim d;
	struct piece *p;
	uint64_t each;

	if (!tile || !map || t->version != tile->version)
		return err_rule(e, RULE_SET_LAYOUT, ERR_NOPOS,
			"layout %s version %llu with rows %s is none of this program's",
			text_quote(t->layout).s, (unsigned long long)t->version,
			text_quote(t->map).s);
	if (!n || t->parts != map->parts || n % t->parts || (t->end - t->begin) % (n / t->parts))
		return wrong(e, "a tensor that is no whole number of experts");
	each = (t->end - t->begin) / (n / t->parts);
	for (k = 0; k < n; k++) {
		p = &o->pieces[t->first + k];
		p->tile = tile;
		p->map = map;
		p->parts = (uint32_t)t->parts;
		p->part = (uint32_t)(k % t->parts);
		p->at = data_at + t->begin + k / t->parts * each;
		if (!bound(o, t, p) || p->rows * p->parts > UINT32_MAX || p->rows % map->unit)
			return wrong(e, "a part that its source has not");
		d = tile_dim(tile, (uint32_t)(p->rows * p->parts), p->cols);
		if (!tile_fits(tile, d) || tile_bytes(tile, d) != each)
			return wrong(e, "a matrix of another size than its layout has");
		s = &o->c->tensors[p->tensor];
		o->packed = each > o->packed ? each : o->packed;
		o->plain = s->end - s->begin > o->plain ? s->end - s->begin : o->plain;
		o->rows = d.rows > o->rows ? d.rows : o->rows;
	}
	return 0;
}

/* The cast of a scale tensor of the source; made if it has none yet. NULL without memory. */
static struct joined_cast *cast_of(struct joined *o, uint32_t scale)
{
	if (o->cast_of[scale])
		return &o->casts[o->cast_of[scale] - 1];
	if (mem_grow(&o->casts, &o->casts_cap, o->n_casts + 1, sizeof *o->casts))
		return NULL;
	o->casts[o->n_casts] = (struct joined_cast){
		.scale = scale, .weight = UINT32_MAX, .at = UINT64_MAX, .t_at = UINT64_MAX
	};
	o->cast_of[scale] = (uint32_t)++o->n_casts;
	return &o->casts[o->n_casts - 1];
}

/* The sizes of an FP4 matrix and its scales, as the source headers have them. */
static bool is_fp4(const struct tensor *w, const struct tensor *s, struct joined_cast *c)
{
	uint64_t rows = w->rank == 2 ? w->dim[0] : 0, k = w->rank == 2 ? 2 * w->dim[1] : 0;

	if (!rows || !k || rows % 128 || k % 128 || rows > UINT32_MAX || k > UINT32_MAX ||
		w->end - w->begin != rows * (k / 2) || s->rank != 2 || s->dim[0] != rows ||
		s->dim[1] != k / 32 || s->end - s->begin != rows * (k / 32))
		return false;
	c->rows = (uint32_t)rows;
	c->k = (uint32_t)k;
	return true;
}

/* The codes of a cast have two sources, its scales one, and both name the source's scales last. */
static int settle_cast(struct joined *o, uint32_t file, const struct entry *t, uint64_t data_at,
	struct err *e)
{
	size_t n = o->n_pieces - t->first, k;
	uint64_t room = o->files[file].kept_bytes;
	struct joined_cast *c;
	struct piece *p = &o->pieces[t->first];
	const struct tensor *w;

	if (t->inexact)
		return err_rule(e, RULE_SET_CODEC, ERR_NOPOS,
			"a cast to FP8 that was not exact (--lossy): there is no way back");
	if (n < 1 || n > 2)
		return wrong(e, "a cast of neither codes nor scales");
	c = cast_of(o, p[n - 1].tensor);
	if (!c)
		return err_nomem(e);
	if (n == 1) {
		c->t_at = data_at + t->begin;
		c->t_bytes = t->end - t->begin;
		o->n_pieces = t->first; /* no part of the source as it is */
		return 0;
	}
	w = &o->c->tensors[p->tensor];
	if (!is_fp4(w, &o->c->tensors[c->scale], c) ||
		(uint64_t)c->rows * c->k != t->end - t->begin || t->dropped[0] > t->dropped[1] ||
		t->dropped[1] > room)
		return wrong(e, "a cast of another size than its source has");
	c->file = file;
	c->weight = p->tensor;
	c->at = data_at + t->begin;
	c->kept_at = t->dropped[0];
	c->kept_bytes = t->dropped[1] - t->dropped[0];
	for (k = 0; k < n; k++) {
		if (!bound(o, t, &p[k]))
			return wrong(e, "a part that its source has not");
		p[k].cast = o->cast_of[c->scale];
	}
	o->plain = w->end - w->begin > o->plain ? w->end - w->begin : o->plain;
	room = o->uncast->work(c->rows, c->k) + (uint64_t)c->rows * c->k +
		(uint64_t)(c->rows / 128) * (c->k / 128) * sizeof(float) + c->kept_bytes +
		(w->end - w->begin);
	o->cast_room = room > o->cast_room ? room : o->cast_room;
	return 0;
}

static int settle_plain(struct joined *o, const struct entry *t, uint64_t data_at, struct err *e)
{
	struct piece *p = &o->pieces[t->first];

	p->widened = !strcmp(t->transform, ops[OP_WIDEN].name);
	if (!p->widened && strcmp(t->transform, ops[OP_COPY].name) &&
		strcmp(t->transform, ops[OP_ROWS].name) && strcmp(t->transform, ops[OP_COLS].name))
		return err_rule(e, RULE_SET_CODEC, ERR_NOPOS,
			"a tensor whose values were changed (%s): there is no way back",
			text_quote(t->transform).s);
	if (o->n_pieces != t->first + 1)
		return wrong(e, "a plain tensor without just one source");
	p->at = data_at + t->begin;
	if (!bound(o, t, p) ||
		p->rows * p->cols * (p->widened ? sizeof(float) : 1) != t->end - t->begin)
		return wrong(e, "a part of another size than its source has");
	if (p->widened && (o->c->tensors[p->tensor].dtype != DT_F8_E8M0 || t->row[1] || t->col[1]))
		return wrong(e, "a widened scale that is no whole E8M0 scale in its source");
	return 0;
}

static int get_tensor(struct jread *j, struct joined *o, uint32_t file, uint64_t data_at,
	struct err *e)
{
	struct entry t = { .first = o->n_pieces };
	uint64_t off[2] = { 0, 0 };
	int more;

	if (jread_object(j))
		return -1;
	while ((more = jread_key(j)) == 1)
		if (is(j, "columns")               ? get_pair(j, t.col, e)
				: is(j, "rows")    ? get_pair(j, t.row, e)
				: is(j, "offsets") ? get_pair(j, off, e)
				: is(j, "layout")  ? get_layout(j, &t, e)
				: is(j, "dropped") ? get_pair(j, t.dropped, e)
				: is(j, "blocks")  ? get_blocks(j, &t)
				: is(j, "sources") ? get_sources(j, o, file, e)
				: is(j, "transform")
				? get_string(j, t.transform, sizeof t.transform, e)
				: jread_skip(j))
			return -1;
	if (more)
		return -1;
	t.begin = off[0];
	t.end = off[1];
	if (t.begin > t.end || t.end > o->files[file].bytes - data_at)
		return wrong(e, "a tensor outside its file");
	if (!strcmp(t.transform, ops[OP_CAST].name) && o->uncast)
		return settle_cast(o, file, &t, data_at, e);
	return t.layout[0] ? settle_tile(o, &t, data_at, e) : settle_plain(o, &t, data_at, e);
}

static int get_tensors(struct jread *j, struct joined *o, uint32_t file, uint64_t data_at,
	struct err *e)
{
	int more;

	if (data_at > o->files[file].bytes)
		return wrong(e, "a header longer than the file");
	if (jread_array(j))
		return -1;
	while ((more = jread_item(j)) == 1)
		if (get_tensor(j, o, file, data_at, e))
			return -1;
	return more;
}

/* "file": of it only where the payload begins. */
static int get_header_bytes(struct jread *j, uint64_t *v)
{
	int more;

	if (jread_object(j))
		return -1;
	while ((more = jread_key(j)) == 1)
		if (is(j, "header_bytes") ? jread_u64(j, ST_OFFSET_MAX, v) : jread_skip(j))
			return -1;
	return more;
}

/* "dropped": of it only how long NAME.dropped is. */
static int get_dropped(struct jread *j, uint64_t *bytes)
{
	int more;

	if (jread_object(j))
		return -1;
	while ((more = jread_key(j)) == 1)
		if (is(j, "bytes") ? jread_u64(j, ST_OFFSET_MAX, bytes) : jread_skip(j))
			return -1;
	return more;
}

/* Every cast that began in this file is whole. */
static int check_casts(const struct joined *o, size_t first, struct err *e)
{
	uint64_t n;
	size_t i;

	for (i = first; i < o->n_casts; i++)
		if (o->casts[i].at == UINT64_MAX || o->casts[i].t_at == UINT64_MAX)
			return wrong(e, "a cast without its scales");
	for (i = first; i < o->n_casts; i++) {
		n = (uint64_t)(o->casts[i].rows / 128) * (o->casts[i].k / 128);
		if (o->casts[i].t_bytes != n && o->casts[i].t_bytes != n * sizeof(float))
			return wrong(e,
				"a cast whose scales have another size than its codes ask for");
	}
	return 0;
}

int sidecar_read(struct joined *o, uint32_t file, const struct text *t, struct err *e)
{
	size_t casts = o->n_casts;
	struct jread j;
	uint64_t data_at = UINT64_MAX;
	int more = -1;

	jread_open_mem(&j, t->s, t->n, DEPTH, e);
	if (!jread_object(&j))
		while ((more = jread_key(&j)) == 1) /* "file" stands before "tensors" */
			if (is(&j, "dropped") ? get_dropped(&j, &o->files[file].kept_bytes)
					: is(&j, "file")    ? get_header_bytes(&j, &data_at)
					: is(&j, "tensors") ? get_tensors(&j, o, file, data_at, e)
							    : jread_skip(&j)) {
				more = -1;
				break;
			}
	jread_close(&j);
	return more ? -1 : check_casts(o, casts, e);
}
