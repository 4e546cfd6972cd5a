/* SPDX-License-Identifier: MIT */
#include "convert/pack/pack.h"

#include "convert/pack/folders.h"
#include "convert/pack/result.h"
#include "convert/pack/room.h"
#include "core/file.h"
#include "core/progress.h"
#include "core/hash/sha256.h"
#include "core/hash/xxh.h"
#include "core/text.h"
#include "formats/archive/listing.h"
#include "formats/archive/seek.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* One file on its way into the archive. */
struct packing {
	const struct pack_opts *o;
	struct progress *progress;
	int in;                 /* owns */
	struct pack_result out; /* where it is there it must restore the file */
	struct seek old;        /* owns; then its table */
	struct pack_pieces p;   /* owns */
	struct seek_frame *f;   /* owns; [p.n] */
	uint64_t bytes, packed; /* so far */
	struct sha256 sha, packed_sha;
};

static int other(struct err *e)
{
	return err_rule(e, RULE_ARCHIVE_OTHER, ERR_NOPOS,
		"it is there and does not restore the file that is to be packed");
}

static int pack_piece(struct pack_room *r, const struct pack_piece *p, uint32_t *packed,
	struct err *e)
{
	bool filtered;

	return p->row ? frame_pack_rows(&r->coder, r->file, p->bytes, p->row, r->packed, packed,
				&filtered, e)
		      : frame_pack(&r->coder, r->file, p->bytes, r->packed, packed, e);
}

/* Reads piece i and packs it; or holds it to the frame that is there. */
static int make(void *ctx, void *room, size_t i, struct err *e)
{
	struct packing *w = ctx;
	struct pack_room *r = room;
	const struct io *io = w->o->io;
	const struct pack_piece *p = &w->p.v[i];

	if (file_read(io, w->in, r->file, p->bytes, p->at, e))
		return -1;
	if (!w->out.there) {
		w->f[i].bytes = p->bytes;
		w->f[i].sum = frame_sum(r->file, p->bytes);
		return pack_piece(r, p, &w->f[i].packed, e);
	}
	w->f[i] = w->old.v[i];
	if (w->f[i].bytes != p->bytes)
		return other(e);
	if (pack_room_old(r, e) ||
		seek_load(&w->old, i, io, w->out.fd, &r->coder, r->packed, r->old, e))
		return -1;
	return memcmp(r->file, r->old, p->bytes) ? other(e) : 0;
}

/* Digests both, in their order, and finds out where the frame goes. */
static int take(void *ctx, void *room, size_t i, struct err *e)
{
	struct packing *w = ctx;
	struct pack_room *r = room;
	struct seek_frame *f = &w->f[i];

	f->at = w->packed;
	f->from = w->bytes;
	w->packed += f->packed;
	w->bytes += f->bytes;
	return sha256_pieces((struct sha256_piece[]){ { &w->sha, r->file, f->bytes },
				     { &w->packed_sha, r->packed, f->packed } },
		2, e);
}

static int put(void *ctx, void *room, size_t i, struct err *e)
{
	struct packing *w = ctx;
	struct pack_room *r = room;

	progress_add(w->progress, w->f[i].bytes);
	return w->out.there
		? 0
		: file_write(w->o->io, w->out.fd, r->packed, w->f[i].packed, w->f[i].at, e);
}

/* Writes all frames, and the table behind them. Fills the sizes and digests of l. */
static int pack_frames(struct packing *w, const struct sha256_kit *kit, struct listed *l,
	struct err *e)
{
	const struct relay relay = pack_room_relay(w, w->p.n, w->o, make, take, put);
	struct text table = { 0 };
	int rc = -1;

	w->f = calloc(w->p.n + 1, sizeof *w->f);
	if (!w->f)
		return err_nomem(e);
	if (sha256_init(&w->sha, kit, e) || sha256_init(&w->packed_sha, kit, e) ||
		relay_run(&relay, e))
		goto out;
	seek_put(&table, w->f, w->p.n);
	if (table.failed) {
		err_nomem(e);
		goto out;
	}
	if (!w->out.there && file_write(w->o->io, w->out.fd, table.s, table.n, w->packed, e))
		goto out;
	w->packed += table.n;
	if (sha256_pieces(&(struct sha256_piece){ &w->packed_sha, table.s, table.n }, 1, e) ||
		sha256_final(&w->sha, l->sha256, e) ||
		sha256_final(&w->packed_sha, l->packed_sha256, e))
		goto out;
	l->bytes = w->bytes;
	l->packed = w->packed;
	rc = 0;
out:
	sha256_free(&w->sha);
	sha256_free(&w->packed_sha);
	text_free(&table);
	return rc;
}

/* Opens the file of the archive and reads its table where it is there; else begins it. */
static int open_out(struct packing *w, int top, const struct listed *l, struct err *e)
{
	char name[LISTED_NAME];

	listed_packed_name(l, name);
	if (pack_result_open(&w->out, w->o->io, top, name, 0, e))
		return -1;
	if (!w->out.there)
		return 0;
	if (seek_read(&w->old, w->o->io, w->out.fd, w->out.bytes, e))
		return -1;
	w->old.filter = w->p.filter;
	return w->old.n == w->p.n ? 0 : other(e);
}

static void count(struct pack_done *d, const struct packing *w)
{
	size_t i;

	for (i = 0; i < w->p.n; i++) {
		struct pack_role *k = &d->kinds.v[w->p.v[i].kind];

		k->bytes += w->f[i].bytes;
		k->packed += w->f[i].packed;
	}
	d->bytes += w->bytes;
	d->packed += w->packed;
	d->files++;
	d->kept += w->out.there;
	d->filtered += w->p.filter != FILTER_NONE;
}

static int pack_open(struct packing *w, struct pack_done *d, const struct pack_folders *f,
	const struct sha256_kit *kit, struct listed *l, struct err *e)
{
	const struct io *io = w->o->io;
	char hash[65];
	struct stat st;

	if (scan_open(io, f->from, l->name, &w->in, &st, hash, e) ||
		pieces_cut(&w->p, &d->kinds, l->filter, l->name, io, w->in, (uint64_t)st.st_size,
			e))
		return -1;
	if (w->p.filter != l->filter)
		return err_set(e, ERR_SYSTEM, "it was written to while it was read");
	return open_out(w, f->to, l, e) || pack_frames(w, kit, l, e) ||
			scan_hold(io, w->in, l->name, &st, hash, l->sha256, e) ||
			pack_result_finish(&w->out, l->packed, e)
		? -1
		: 0;
}

static int pack_file(struct pack_done *d, const struct pack_folders *f, struct progress *progress,
	const struct scanned *x, const struct sha256_kit *kit, struct listing *list, bool *made,
	struct err *e)
{
	struct packing w = {
		.o = f->o, .progress = progress, .in = -1, .out = { .fd = -1, .dir = -1 }
	};
	struct listed l = { .name = x->path, .filter = x->filter };
	int rc = pack_open(&w, d, f, kit, &l, e);

	if (!rc) {
		count(d, &w);
		made[list->n] = !w.out.there;
		rc = listing_add(list, &l, e);
	}
	pack_result_close(&w.out);
	if (w.in >= 0)
		(void)f->o->io->close(f->o->io, w.in);
	pieces_free(&w.p);
	seek_free(&w.old);
	free(w.f);
	return rc ? err_at(e, "%s", text_quote(x->path).s) : 0;
}

/* --- folders --- */

/* Refuses what would be mistaken for something else in the archive. */
static int check_names(const struct pack_folders *f, struct err *e)
{
	enum filter filter;
	size_t i;

	for (i = 0; i < f->in.n; i++) {
		const struct scanned *x = &f->in.v[i];

		if (x->part)
			return err_rule(e, RULE_ARCHIVE_OTHER, ERR_NOPOS, "%s: %s is not finished",
				text_quote(f->o->dir).s, text_quote(x->path).s);
		if (filter_by_suffix(x->path, &filter) || text_ends(x->path, LISTING_NAME))
			return err_rule(e, RULE_ARCHIVE_OTHER, ERR_NOPOS,
				"%s: %s has a name that files of archives have: it is packed already, or "
				"is to be left out",
				text_quote(f->o->dir).s, text_quote(x->path).s);
	}
	return f->in.n ? 0
		       : err_rule(e, RULE_ARCHIVE_OTHER, ERR_NOPOS, "%s is empty",
				 text_quote(f->o->dir).s);
}

static bool wanted(const void *ctx, const char *path, bool folder)
{
	const struct scanned *x;
	char real[LISTING_PATH];
	enum filter filter = FILTER_NONE;
	size_t n = folder ? strlen(path) : filter_by_suffix(path, &filter);

	if (!strcmp(path, LISTING_NAME))
		return !folder;
	if (!n || n >= sizeof real)
		return false;
	memcpy(real, path, n);
	real[n] = 0;
	x = scan_find(ctx, real);
	return x && x->folder == folder && x->filter == filter;
}

/* Sets the filter of file x from its header, as its name in the archive depends on it. A name with no room for the suffix
 * has none. */
static int choose_filter(const struct pack_folders *f, struct scanned *x,
	struct pack_roles *scratch, struct err *e)
{
	const struct io *io = f->o->io;
	struct pack_pieces p = { 0 };
	const char *slash = strrchr(x->path, '/');
	char hash[65];
	struct stat st;
	int fd, rc;

	if (strlen(slash ? slash + 1 : x->path) > FILE_NAME_MAX - FILTER_SUFFIX)
		return 0;
	if (scan_open(io, f->from, x->path, &fd, &st, hash, e))
		return err_at(e, "%s", text_quote(x->path).s);
	rc = pieces_cut(&p, scratch, f->o->filter, x->path, io, fd, (uint64_t)st.st_size, e);
	if (rc)
		err_at(e, "%s", text_quote(x->path).s);
	x->filter = p.filter;
	pieces_free(&p);
	(void)io->close(io, fd); /* it was only read */
	return rc;
}

static int choose_filters(const struct pack_folders *f, struct err *e)
{
	struct pack_roles *scratch;
	size_t i;
	int rc = 0;

	if (f->o->filter == FILTER_NONE)
		return 0;
	scratch = calloc(1, sizeof *scratch);
	if (!scratch)
		return err_nomem(e);
	for (i = 0; i < f->in.n && !rc; i++)
		if (!f->in.v[i].folder)
			rc = choose_filter(f, &f->in.v[i], scratch, e);
	free(scratch);
	return rc;
}

static int make_folders(const struct pack_folders *f, struct listing *list, struct err *e)
{
	size_t i;
	int fd;

	for (i = 0; i < f->in.n; i++) {
		if (!f->in.v[i].folder)
			continue;
		if (file_make_below(f->o->io, f->to, f->in.v[i].path, &fd, e) ||
			listing_add_folder(list, f->in.v[i].path, e))
			return -1;
		(void)f->o->io->close(f->o->io, fd); /* it was synced into its folder */
	}
	return 0;
}

static bool same_files(const struct listed *a, const struct listed *b)
{
	return !strcmp(a->name, b->name) && a->bytes == b->bytes && a->filter == b->filter &&
		!memcmp(a->sha256, b->sha256, 32);
}

/* Whether both lists are of the same files and folders, whatever the files of the archives are. */
static bool same_content(const struct listing *old, const struct listing *list)
{
	size_t i;

	if (old->n != list->n || old->n_folders != list->n_folders)
		return false;
	for (i = 0; i < list->n; i++)
		if (!same_files(&old->files[i], &list->files[i]))
			return false;
	for (i = 0; i < list->n_folders; i++)
		if (strcmp(old->folders[i], list->folders[i]) != 0)
			return false;
	return true;
}

static int other_list(const char *what, enum filter filter, struct err *e)
{
	return err_rule(e, RULE_ARCHIVE_OTHER, ERR_NOPOS,
		LISTING_NAME
		" is there and says something else of %s%s, which restores the right file all the same: remove "
		"that one, and the same call makes it again",
		text_quote(what).s, filter_suffix(filter));
}

/* Holds the list that is there to the one of this call; *stale: it is of files that were not there any more, and were made
 * anew with other bytes, as another version of libzstd does. made: of each file, whether this call has made it. */
static int hold_list(const struct listing *old, const struct listing *list, const bool *made,
	bool *stale, struct err *e)
{
	size_t i;

	*stale = false;
	if (!same_content(old, list))
		return err_rule(e, RULE_ARCHIVE_OTHER, ERR_NOPOS,
			LISTING_NAME
			" is there and says something else: it is of other files; name an empty folder");
	for (i = 0; i < list->n; i++) {
		const struct listed *a = &old->files[i], *b = &list->files[i];

		if (a->packed == b->packed && !memcmp(a->packed_sha256, b->packed_sha256, 32))
			continue;
		if (!made[i])
			return other_list(b->name, b->filter, e);
		*stale = true;
	}
	return 0;
}

/* Writes the list, or holds the one that is there to it: it may have been written by another version of libzstd, whose
 * frames were kept. */
static int put_list(const struct pack_folders *f, const struct listing *list, const bool *made,
	struct err *e)
{
	struct listing old = { 0 };
	struct text t = { 0 };
	bool there, stale = false;
	int rc = listing_read(&old, f->o->io, f->to, &there, e);

	if (!rc && there)
		rc = hold_list(&old, list, made, &stale, e);
	if (!rc && (!there || stale))
		rc = listing_put(&t, list, e) ||
				file_replace(f->o->io, f->to, LISTING_NAME, t.s, t.n, e)
			? -1
			: 0;
	listing_free(&old);
	text_free(&t);
	return rc;
}

static int pack_all(struct pack_done *d, const struct pack_folders *f, struct progress *progress,
	struct err *e)
{
	struct listing list = { .level = FRAME_LEVEL };
	struct sha256_kit kit;
	bool *made;
	size_t i;
	int rc;

	sha256_kit_best(&kit, f->o->features);
	snprintf(list.tool, sizeof list.tool, "%s", f->o->tool);
	snprintf(list.zstd, sizeof list.zstd, "%s", frame_library());
	made = calloc(f->in.n + 1, sizeof *made);
	rc = made ? make_folders(f, &list, e) : err_nomem(e);
	for (i = 0; i < f->in.n && !rc; i++)
		if (!f->in.v[i].folder)
			rc = pack_file(d, f, progress, &f->in.v[i], &kit, &list, made, e);
	if (!rc)
		rc = put_list(f, &list, made, e);
	free(made);
	listing_free(&list);
	return rc;
}

int pack_run(struct pack_done *d, const struct pack_opts *o, struct err *e)
{
	struct progress *progress;
	struct pack_folders f;
	uint64_t bytes = 0;
	size_t i;
	int rc;

	memset(d, 0, sizeof *d);
	d->filter = o->filter;
	if (pack_folders_open(&f, o, e))
		return -1;
	rc = check_names(&f, e) || choose_filters(&f, e) || pack_folders_clean(&f, wanted, &f.in, e)
		? -1
		: 0;
	for (i = 0; i < f.in.n; i++)
		bytes += f.in.v[i].bytes;
	if (!rc) {
		progress = progress_start(o->watch, "packing", bytes);
		rc = pack_all(d, &f, progress, e);
		progress_stop(progress);
	}
	pack_folders_close(&f);
	return rc;
}
