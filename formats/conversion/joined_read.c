/* joined_read.c -- the payload of a set that is read as its source: pieces put together, laid-out matrices
 * taken apart, casts taken back. A reader holds a few whole tensors, for one thread.
 *
 * SPDX-License-Identifier: MIT */
#include "core/file.h"
#include "formats/conversion/joined.h"
#include "formats/conversion/manifest.h"
#include "formats/codec.h"

#include <stdlib.h>
#include <string.h>

static uint64_t tensor_rows(const struct tensor *t)
{
	return t->rank ? t->dim[0] : 1;
}

enum { COPY = 1 << 18 }; /* bytes of a copy that are compared at once: a good read */
enum { SLOTS = 3 }; /* w1 and w3 are read in turn, and another while one of them is still wanted */

struct slot {
	uint32_t tensor;
	bool full;
	uint64_t used;
	uint8_t *p; /* owns */
};

struct reader {
	const struct joined *j;
	struct slot slot[SLOTS];
	uint64_t now;
	uint8_t *packed, *spare; /* own: a matrix laid out; a row that nobody wants */
	uint8_t **row;           /* owns */
	uint32_t *from;          /* owns */
	struct xxh *xxh;         /* owns */
	uint8_t *cast;           /* owns; joined.cast_room */
	uint8_t *copy;           /* owns; COPY bytes if there are copies */
};

static size_t copy_room(const struct joined *j)
{
	return j->n_copies ? COPY : 0;
}

static size_t need(void *ctx)
{
	const struct joined *j = ctx;

	return (size_t)(j->packed + (SLOTS + 1) * j->plain + j->cast_room + copy_room(j) +
		j->rows * (sizeof(uint8_t *) + sizeof(uint32_t)));
}

static void reader_close(void *reader)
{
	struct reader *r = reader;
	int i;

	for (i = 0; i < SLOTS; i++)
		free(r->slot[i].p);
	free(r->packed);
	free(r->spare);
	free(r->row);
	free(r->from);
	free(r->cast);
	free(r->copy);
	xxh_free(r->xxh);
	free(r);
}

static void *reader_open(void *ctx)
{
	struct reader *r = calloc(1, sizeof *r);
	const struct joined *j = ctx;
	bool ok;
	int i;

	if (!r)
		return NULL;
	r->j = j;
	r->packed = malloc(j->packed + 1);
	r->spare = malloc(j->plain + 1);
	r->row = malloc((j->rows + 1) * sizeof *r->row);
	r->from = malloc((j->rows + 1) * sizeof *r->from);
	r->xxh = xxh_new();
	r->cast = malloc(j->cast_room + 1);
	r->copy = malloc(copy_room(j) + 1);
	ok = r->cast && r->copy && r->packed && r->spare && r->row && r->from && r->xxh;
	for (i = 0; i < SLOTS; i++) {
		r->slot[i].p = malloc(j->plain + 1);
		ok = ok && r->slot[i].p;
	}
	if (ok)
		return r;
	reader_close(r);
	return NULL;
}

/* The n bytes of the copy p are those at want. */
static int compare_copy(const struct reader *r, const struct piece *p, uint64_t at,
	const uint8_t *want, size_t n, struct err *e)
{
	const struct joined_file *f = &r->j->files[p->file];
	size_t take;

	for (; n; at += take, want += take, n -= take) {
		take = n < COPY ? n : COPY;
		if (file_read(r->j->c->io, f->fd, r->copy, take, p->at + at, e))
			return err_at(e, "%s", f->name);
		if (memcmp(r->copy, want, take) != 0)
			return err_rule(e, RULE_RANK_COPIES, ERR_NOPOS,
				"%s: what it has of tensor %s has other bytes than on an earlier rank",
				f->name, text_quote(r->j->c->tensors[p->tensor].name).s);
	}
	return 0;
}

/* Bytes at .. at + n of a piece as it lies in its file; all copies must have the same. */
static int read_file(const struct reader *r, const struct piece *p, uint64_t at, uint8_t *dst,
	size_t n, struct err *e)
{
	const struct joined_file *f = &r->j->files[p->file];
	size_t i;

	if (file_read(r->j->c->io, f->fd, dst, n, p->at + at, e))
		return err_at(e, "%s", f->name);
	for (i = 0; i < p->copies; i++)
		if (compare_copy(r, &r->j->copies[p->copy + i], at, dst, n, e))
			return -1;
	return 0;
}

int joined_piece_read(const void *reader, const struct piece *p, void *dst, size_t n, struct err *e)
{
	return read_file(reader, p, 0, dst, n, e);
}

const struct piece *joined_packed(const struct joined *j, uint32_t tensor, size_t *n)
{
	const struct piece *p = j->pieces + j->first[tensor];

	*n = j->first[tensor + 1] - j->first[tensor];
	return *n && p->tile ? p : NULL;
}

uint64_t joined_bytes(const struct joined *j)
{
	return (j->n_pieces + j->n_copies) * sizeof *j->pieces;
}

/* Takes a matrix apart: what is of the piece goes to its place in dst, a whole source tensor. */
static int unpack(struct reader *r, const struct piece *p, uint8_t *dst, uint64_t row_bytes,
	struct err *e)
{
	struct tile_dim d = tile_dim(p->tile, (uint32_t)(p->parts * p->rows), p->cols);
	struct tile_grid g = tile_grid(p->tile, d);
	tile_unpack_fn *fn = tile_unpacker(p->tile, d, r->j->o.features);
	uint64_t s, take;
	uint32_t i;

	if (read_file(r, p, 0, r->packed, (size_t)tile_bytes(p->tile, d), e))
		return -1;
	rowmap_from(p->map, (uint32_t)p->rows, r->from);
	for (i = 0; i < d.rows; i++)
		r->row[i] = r->from[i] / p->rows != p->part
			? r->spare
			: dst + (p->row + r->from[i] % p->rows) * row_bytes + p->col;
	for (s = 0; s < g.n; s += take) {
		take = p->tile->by_cols ? g.n : g.across;
		if (p->tile->by_cols || s / g.across * g.rows < d.rows)
			fn(p->tile, d, r->row + (p->tile->by_cols ? 0 : s / g.across * g.rows), s,
				take, r->packed + s * g.bytes);
	}
	return 0;
}

/* A piece that lies there as it is: to its place in dst, a whole source tensor. */
static int place(const struct reader *r, const struct piece *p, uint8_t *dst, uint64_t row_bytes,
	struct err *e)
{
	bool whole = p->cols == row_bytes;
	uint8_t *to = whole ? dst + p->row * row_bytes : r->packed;
	uint64_t i;

	if (read_file(r, p, 0, to, (size_t)(p->rows * p->cols), e))
		return -1;
	for (i = 0; !whole && i < p->rows; i++)
		memcpy(dst + (p->row + i) * row_bytes + p->col, to + i * p->cols, (size_t)p->cols);
	return 0;
}

static int read_kept(const struct reader *r, const struct joined_cast *c, uint8_t *dst,
	struct err *e)
{
	const struct joined_file *f = &r->j->files[c->file];

	if (c->kept_bytes &&
		file_read(r->j->c->io, f->kept, dst, (size_t)c->kept_bytes, c->kept_at, e))
		return err_at(e, "%s" MAN_DROPPED, f->name);
	return 0;
}

/* FP32 numbers at src made the E8M0 bytes that they were, to dst, which may be src. */
static int narrow(uint8_t *dst, const uint8_t *src, size_t n, struct err *e)
{
	enum { INF = 255 };
	const uint32_t least = 0x00400000; /* 2^-127, which FP32 writes without exponent */
	uint32_t bits;
	size_t i;

	for (i = 0; i < n; i++) {
		memcpy(&bits, src + 4 * i, sizeof bits);
		if (bits != least && (!bits || bits >> 23 >= INF || bits & 0x7fffff))
			return err_rule(e, RULE_SET_DIGEST, ERR_NOPOS,
				"scale %zu is no power of two: it was damaged since", i);
		dst[i] = (uint8_t)(bits >> 23);
	}
	return 0;
}

const struct joined_cast *joined_lies(const struct joined *j, uint32_t weight)
{
	const struct piece *p = j->pieces + j->first[weight],
			   *end = j->pieces + j->first[weight + 1];

	return p < end && p->cast ? &j->casts[p->cast - 1] : NULL;
}

int joined_lies_read(const void *reader, const struct joined_cast *c, void *codes, void *scales,
	void *second, struct err *e)
{
	const struct reader *r = reader;
	const struct joined_file *f = &r->j->files[c->file];
	const struct io *io = r->j->c->io;

	if (file_read(io, f->fd, codes, (size_t)c->bytes, c->at, e) ||
		(c->t_bytes && file_read(io, f->fd, scales, (size_t)c->t_bytes, c->t_at, e)) ||
		(c->zero_bytes &&
			file_read(io, f->fd, (uint8_t *)scales + c->t_bytes, (size_t)c->zero_bytes,
				c->zero_at, e)) ||
		(codecs[c->form.to].second.name &&
			file_read(io, f->fd, second, sizeof(float), c->second_at, e)))
		return err_at(e, "%s", f->name);
	return 0;
}

/* Reads what lies there of a matrix to at; *m points into it. */
static int read_matrix(const struct reader *r, const struct joined_cast *c, uint8_t *at,
	struct joined_matrix *m, struct err *e)
{
	const struct joined_file *f = &r->j->files[c->file];
	uint64_t dim[2];
	uint8_t *scales = at + c->bytes, *second = scales + c->t_bytes,
		*kept = second + sizeof(float);

	*m = (struct joined_matrix){ .codes = at, .kept = kept, .n_kept = (size_t)c->kept_bytes };
	if (joined_lies_read(r, c, at, scales, second, e))
		return -1;
	codec_scale_dim((enum codec)c->form.to, c->form.rows, c->form.cols, dim);
	if (c->t_bytes)
		m->scales = scales;
	if (c->form.to == CODEC_FP8 && c->t_bytes != dim[0] * dim[1] &&
		narrow(scales, scales, (size_t)(dim[0] * dim[1]), e))
		return err_at(e, "%s", f->name);
	if (codecs[c->form.to].second.name)
		m->second = second;
	return read_kept(r, c, kept, e);
}

/* Takes a matrix back: its codes, or its scales, to dst. */
static int uncast(struct reader *r, const struct piece *p, uint8_t *dst, struct err *e)
{
	const struct joined *j = r->j;
	const struct joined_cast *c = &j->casts[p->cast - 1];
	uint8_t *lies = r->cast + j->o.uncast->work(&c->form),
		*other = lies + c->bytes + c->t_bytes + sizeof(float) + c->kept_bytes;
	bool codes = p->tensor == c->weight;
	struct joined_matrix m;

	if (read_matrix(r, c, lies, &m, e))
		return -1;
	if (j->o.uncast->back(&c->form, &m, codes ? dst : other, codes ? other : dst, r->cast, e))
		return err_at(e, "%s: tensor %s", j->files[c->file].name,
			text_quote(j->c->tensors[c->weight].name).s);
	return 0;
}

/* Is it what was laid out then? */
static int check_piece(struct reader *r, const struct piece *p, const uint8_t *src,
	uint64_t row_bytes, struct err *e)
{
	struct xxh_digest d;
	uint64_t i;

	if (!p->has_xxh)
		return 0;
	xxh_reset(r->xxh);
	for (i = 0; i < p->rows; i++)
		xxh_update(r->xxh, src + (p->row + i) * row_bytes + p->col, (size_t)p->cols);
	d = xxh_final(r->xxh);
	if (!memcmp(&d, &p->xxh, sizeof d))
		return 0;
	return err_rule(e, RULE_SET_DIGEST, ERR_NOPOS,
		"%s: taken apart it is not tensor %s as it was: it was damaged since",
		r->j->files[p->file].name, text_quote(r->j->c->tensors[p->tensor].name).s);
}

/* The tensor i, taken apart. NULL on failure. */
static const uint8_t *slot_of(struct reader *r, uint32_t i, struct err *e)
{
	const struct joined *j = r->j;
	const struct tensor *t = &j->c->tensors[i];
	uint64_t row_bytes = (t->end - t->begin) / tensor_rows(t);
	struct slot *s, *old = r->slot;
	const struct piece *p;

	r->now++;
	for (s = r->slot; s < r->slot + SLOTS; s++) {
		if (s->full && s->tensor == i) {
			s->used = r->now;
			return s->p;
		}
		if (!s->full || s->used < old->used)
			old = s;
	}
	old->full = false;
	for (p = j->pieces + j->first[i]; p < j->pieces + j->first[i + 1]; p++)
		if ((p->cast                  ? uncast(r, p, old->p, e)
				    : p->tile ? unpack(r, p, old->p, row_bytes, e)
					      : place(r, p, old->p, row_bytes, e)) ||
			check_piece(r, p, old->p, row_bytes, e))
			return NULL;
	*old = (struct slot){ .tensor = i, .full = true, .used = r->now, .p = old->p };
	return old->p;
}

/* Bytes off..off+n of pieces that lie below one another. */
static int read_rows(const struct reader *r, const struct piece *p, const struct piece *end,
	uint64_t off, uint8_t *dst, size_t n, struct err *e)
{
	uint64_t from, to, take;

	for (; n && p < end; p++) {
		from = p->row * p->cols;
		to = from + p->rows * p->cols;
		if (off >= to)
			continue;
		take = to - off < n ? to - off : n;
		if (read_file(r, p, off - from, dst, (size_t)take, e))
			return -1;
		off += take;
		dst += take;
		n -= (size_t)take;
	}
	return 0;
}

/* The same of pieces side by side. */
static int read_cols(const struct reader *r, const struct piece *first, const struct piece *end,
	uint64_t row_bytes, uint64_t off, uint8_t *dst, size_t n, struct err *e)
{
	const struct piece *p;
	uint64_t row, col, take;

	while (n) {
		row = off / row_bytes;
		col = off % row_bytes;
		for (p = first; p + 1 < end && col >= p->col + p->cols; p++)
			;
		take = p->col + p->cols - col < n ? p->col + p->cols - col : n;
		if (read_file(r, p, row * p->cols + (col - p->col), dst, (size_t)take, e))
			return -1;
		off += take;
		dst += take;
		n -= (size_t)take;
	}
	return 0;
}

/* Bytes off..off+n of a table of which a part is in every record, pieces below one another. */
static int read_records(const struct reader *r, const struct piece *p, const struct piece *end,
	uint64_t off, uint8_t *dst, size_t n, struct err *e)
{
	uint64_t row, col, rows, span, i, take;

	while (n && p < end) {
		row = off / p->cols;
		col = off % p->cols;
		if (row >= p->row + p->rows) {
			p++;
			continue;
		}
		rows = p->row + p->rows - row;
		rows = rows > JOINED_RUN / p->stride + 1 ? JOINED_RUN / p->stride + 1 : rows;
		rows = rows > (col + n - 1) / p->cols + 1 ? (col + n - 1) / p->cols + 1 : rows;
		span = (rows - 1) * p->stride + p->cols;
		if (read_file(r, p, (row - p->row) * p->stride, r->packed, (size_t)span, e))
			return -1;
		for (i = 0; n && i < rows; i++, col = 0) {
			take = p->cols - col < n ? p->cols - col : n;
			memcpy(dst, r->packed + i * p->stride + col, (size_t)take);
			off += take;
			dst += take;
			n -= (size_t)take;
		}
	}
	return 0;
}

/* FP32 numbers at src made the BF16 that they were. */
static int narrow_bf16(uint8_t *dst, const uint8_t *src, size_t n, struct err *e)
{
	size_t i;

	for (i = 0; i < n; i++) {
		if (src[4 * i] || src[4 * i + 1])
			return err_rule(e, RULE_SET_DIGEST, ERR_NOPOS,
				"value %zu is none of BF16: it was damaged since", i);
		memcpy(dst + 2 * i, src + 4 * i + 2, 2);
	}
	return 0;
}

/* I32 ids at src made the I64 that they were. */
static int widen_ids(uint8_t *dst, const uint8_t *src, size_t n, struct err *e)
{
	int32_t id;
	int64_t wide;
	size_t i;

	(void)e;
	for (i = 0; i < n; i++) {
		memcpy(&id, src + 4 * i, sizeof id);
		wide = id;
		memcpy(dst + 8 * i, &wide, sizeof wide);
	}
	return 0;
}

/* By enum joined_wide: bytes of an element of the source, and how n of them are made. There each has four bytes. */
static const struct {
	size_t bytes;
	int (*make)(uint8_t *dst, const uint8_t *src, size_t n, struct err *e);
} wides[JOINED_WIDES] = {
	[JOINED_E8M0_F32] = { 1, narrow },
	[JOINED_BF16_F32] = { 2, narrow_bf16 },
	[JOINED_I64_I32] = { 8, widen_ids },
};

/* Bytes off..off+n of a tensor whose elements lie there in another type. */
static int read_wide(const struct reader *r, const struct piece *p, uint64_t off, uint8_t *dst,
	size_t n, struct err *e)
{
	enum { SOME = 1024 }; /* elements at a time */
	uint8_t some[4 * SOME], made[8 * SOME];
	size_t each = wides[p->wide].bytes, take, skip, count;

	for (; n; off += take, dst += take, n -= take) {
		skip = off % each;
		count = (skip + n + each - 1) / each;
		count = count < SOME ? count : SOME;
		take = count * each - skip < n ? count * each - skip : n;
		if (read_file(r, p, off / each * 4, some, 4 * count, e))
			return -1;
		if (wides[p->wide].make(made, some, count, e))
			return err_at(e, "%s", r->j->files[p->file].name);
		memcpy(dst, made + skip, take);
	}
	return 0;
}

static int read_tensor(void *reader, uint32_t i, uint64_t off, uint8_t *dst, size_t n,
	struct err *e)
{
	struct reader *r = reader;
	const struct joined *j = r->j;
	const struct tensor *t = &j->c->tensors[i];
	const struct piece *p = j->pieces + j->first[i], *end = j->pieces + j->first[i + 1];
	uint64_t rows = tensor_rows(t), row_bytes = rows ? (t->end - t->begin) / rows : 0;
	const uint8_t *whole;

	if (!n)
		return 0;
	if (p == end)
		return err_set(e, ERR_SYSTEM, "tensor %s is not there", text_quote(t->name).s);
	if (p->cast && j->o.lies)
		return err_rule(e, RULE_SET_CODEC, ERR_NOPOS,
			"tensor %s is in another number format, and is not read as in the source",
			text_quote(t->name).s);
	if (p->stride)
		return read_records(r, p, end, off, dst, n, e);
	if (p->tile || p->cast || p->has_xxh) {
		whole = slot_of(r, i, e);
		if (!whole)
			return -1;
		memcpy(dst, whole + off, n);
		return 0;
	}
	if (p->wide)
		return read_wide(r, p, off, dst, n, e);
	return p->cols == row_bytes ? read_rows(r, p, end, off, dst, n, e)
				    : read_cols(r, p, end, row_bytes, off, dst, n, e);
}

static bool has_tensor(void *ctx, uint32_t i)
{
	const struct joined *j = ctx;

	return j->has[i];
}

static const char *missing(void *ctx)
{
	const struct joined *j = ctx;

	return j->missing[0] ? j->missing : NULL;
}

static int check_tensor(void *ctx, uint32_t i, const struct xxh_digest *d, struct err *e)
{
	const struct joined *j = ctx;

	if (!j->has_xxh[i] || !memcmp(d, &j->xxh[i], sizeof *d))
		return 0;
	return err_rule(e, RULE_SET_DIGEST, ERR_NOPOS,
		"%s: tensor %s is not as it was when it was converted: it was damaged since",
		j->first[i] < j->n_pieces ? j->files[j->pieces[j->first[i]].file].name : "",
		text_quote(j->c->tensors[i].name).s);
}

struct ckpt_payload joined_payload(struct joined *j)
{
	return (struct ckpt_payload){ .ctx = j,
		.open = reader_open,
		.close = reader_close,
		.need = need,
		.read = read_tensor,
		.has = has_tensor,
		.missing = missing,
		.check = check_tensor };
}
