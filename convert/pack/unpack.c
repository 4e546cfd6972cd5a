/* SPDX-License-Identifier: MIT */
#include "convert/pack/folders.h"
#include "convert/pack/pack.h"
#include "convert/pack/result.h"
#include "convert/pack/room.h"
#include "core/file.h"
#include "core/hash/sha256.h"
#include "core/progress.h"
#include "formats/archive/listing.h"
#include "formats/archive/place.h"
#include "formats/archive/seek.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* One file on its way out of the archive. */
struct unpacking {
	const struct pack_opts *o;
	struct progress *progress;
	const char *path;
	int in;                 /* owns */
	struct pack_result out; /* where it is there it must be what would be written */
	struct seek seek;       /* owns */
	struct sha256 sha;
};

static int other(struct err *e)
{
	return err_rule(e, RULE_ARCHIVE_OTHER, ERR_NOPOS,
		"it is there and is not what would be written");
}

static int make(void *ctx, void *room, size_t i, struct err *e)
{
	struct unpacking *w = ctx;
	struct pack_room *r = room;
	const struct seek_frame *f = &w->seek.v[i];
	char tensor[PLACE_ROOM];

	if (seek_load(&w->seek, i, w->o->io, w->in, &r->coder, r->packed, r->file, e)) {
		if (place_of_frame(&w->seek, i, w->o->io, w->in, w->path, tensor))
			err_at(e, "%s", tensor);
		return -1;
	}
	if (!w->out.there)
		return 0;
	if (pack_room_old(r, e) || file_read(w->o->io, w->out.fd, r->old, f->bytes, f->from, e))
		return -1;
	return memcmp(r->file, r->old, f->bytes) ? other(e) : 0;
}

static int take(void *ctx, void *room, size_t i, struct err *e)
{
	struct unpacking *w = ctx;
	struct pack_room *r = room;

	return sha256_pieces(&(struct sha256_piece){ &w->sha, r->file, w->seek.v[i].bytes }, 1, e);
}

static int put(void *ctx, void *room, size_t i, struct err *e)
{
	struct unpacking *w = ctx;
	struct pack_room *r = room;
	const struct seek_frame *f = &w->seek.v[i];

	progress_add(w->progress, f->bytes);
	return w->out.there ? 0 : file_write(w->o->io, w->out.fd, r->file, f->bytes, f->from, e);
}

static int unpack_frames(struct unpacking *w, const struct sha256_kit *kit, const struct listed *l,
	struct err *e)
{
	const struct relay relay = pack_room_relay(w, w->seek.n, w->o, make, take, put);
	uint8_t sha[32];

	if (sha256_init(&w->sha, kit, e) || relay_run(&relay, e) || sha256_final(&w->sha, sha, e)) {
		sha256_free(&w->sha);
		return -1;
	}
	if (!memcmp(sha, l->sha256, 32))
		return 0;
	return err_rule(e, RULE_ARCHIVE_SHA256, ERR_NOPOS,
		"it restores with another SHA-256 than " LISTING_NAME
		" says, although all its frames agree with its seek table");
}

/* Opens the file of the archive and reads its table. Both sizes must be those of the list. */
static int open_in(struct unpacking *w, const struct pack_folders *f, const struct listed *l,
	struct err *e)
{
	char name[LISTED_NAME], hash[65];
	struct stat st;

	listed_packed_name(l, name);
	if (scan_open(w->o->io, f->from, name, &w->in, &st, hash, e) ||
		seek_read(&w->seek, w->o->io, w->in, (uint64_t)st.st_size, e))
		return -1;
	if ((uint64_t)st.st_size != l->packed || w->seek.bytes != l->bytes)
		return err_rule(e, RULE_ARCHIVE_TABLE, ERR_NOPOS,
			"it has %llu bytes and restores %llu, and " LISTING_NAME
			" says %llu and %llu",
			(unsigned long long)st.st_size, (unsigned long long)w->seek.bytes,
			(unsigned long long)l->packed, (unsigned long long)l->bytes);
	w->seek.filter = l->filter;
	return 0;
}

static int unpack_open(struct unpacking *w, const struct pack_folders *f, const struct listed *l,
	const struct sha256_kit *kit, struct err *e)
{
	if (open_in(w, f, l, e) ||
		pack_result_open(&w->out, w->o->io, f->to, l->name, w->seek.bytes, e))
		return -1;
	if (w->out.there && w->out.bytes != w->seek.bytes)
		return other(e);
	return unpack_frames(w, kit, l, e) || pack_result_finish(&w->out, w->seek.bytes, e) ? -1
											    : 0;
}

static int unpack_file(struct pack_done *d, const struct pack_folders *f, struct progress *progress,
	const struct listed *l, const struct sha256_kit *kit, struct err *e)
{
	struct unpacking w = { .o = f->o,
		.progress = progress,
		.path = l->name,
		.in = -1,
		.out = { .fd = -1, .dir = -1 } };
	int rc = unpack_open(&w, f, l, kit, e);

	if (!rc) {
		d->files++;
		d->kept += w.out.there;
		d->bytes += l->bytes;
		d->packed += l->packed;
		d->filtered += l->filter != FILTER_NONE;
	}
	pack_result_close(&w.out);
	if (w.in >= 0)
		(void)f->o->io->close(f->o->io, w.in);
	seek_free(&w.seek);
	return rc ? err_at(e, "%s", text_quote(l->name).s) : 0;
}

/* --- folders --- */

static bool wanted(const void *ctx, const char *path, bool folder)
{
	return folder ? listing_has_folder(ctx, path) : listing_find(ctx, path) != NULL;
}

/* Everything that is listed must be there, and nothing else: half an archive is not unpacked as if it were whole. */
static int check_names(const struct pack_folders *f, const struct listing *l, struct err *e)
{
	char name[LISTED_NAME];
	size_t i;

	for (i = 0; i < l->n; i++) {
		listed_packed_name(&l->files[i], name);
		if (!scan_find(&f->in, name))
			return err_rule(e, RULE_ARCHIVE_OTHER, ERR_NOPOS,
				"%s: %s is not there, and " LISTING_NAME " lists it",
				text_quote(f->o->dir).s, text_quote(name).s);
	}
	for (i = 0; i < f->in.n; i++) {
		const char *path = f->in.v[i].path;

		if (f->in.v[i].folder
				? !listing_has_folder(l, path)
				: strcmp(path, LISTING_NAME) != 0 && !listing_find_packed(l, path))
			return err_rule(e, RULE_ARCHIVE_OTHER, ERR_NOPOS,
				"%s: %s is there, and " LISTING_NAME " does not list it",
				text_quote(f->o->dir).s, text_quote(path).s);
	}
	return 0;
}

static int unpack_all(struct pack_done *d, const struct pack_folders *f, const struct listing *l,
	struct err *e)
{
	struct progress *progress;
	struct sha256_kit kit;
	uint64_t bytes = 0;
	size_t i;
	int fd, rc = 0;

	for (i = 0; i < l->n_folders && !rc; i++) {
		rc = file_make_below(f->o->io, f->to, l->folders[i], &fd, e);
		if (!rc)
			(void)f->o->io->close(f->o->io, fd); /* it was synced into its folder */
	}
	for (i = 0; i < l->n; i++)
		bytes += l->files[i].bytes;
	sha256_kit_best(&kit, f->o->features);
	progress = progress_start(f->o->watch, "unpacking", bytes);
	for (i = 0; i < l->n && !rc; i++)
		rc = unpack_file(d, f, progress, &l->files[i], &kit, e);
	progress_stop(progress);
	return rc;
}

int unpack_run(struct pack_done *d, const struct pack_opts *o, struct err *e)
{
	struct pack_folders f;
	struct listing l;
	bool there;
	int rc;

	memset(d, 0, sizeof *d);
	if (pack_folders_open(&f, o, e))
		return -1;
	rc = listing_read(&l, o->io, f.from, &there, e);
	if (!rc && !there)
		rc = err_rule(e, RULE_ARCHIVE_UNFINISHED, ERR_NOPOS,
			"%s has no " LISTING_NAME
			": it is no archive, or pack did not end; the same pack again goes on",
			text_quote(o->dir).s);
	if (!rc)
		rc = check_names(&f, &l, e) || pack_folders_clean(&f, wanted, &l, e) ||
				unpack_all(d, &f, &l, e)
			? -1
			: 0;
	listing_free(&l);
	pack_folders_close(&f);
	return rc;
}
