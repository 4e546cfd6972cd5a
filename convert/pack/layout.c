/* SPDX-License-Identifier: MIT */
#include "convert/pack/layout.h"

#include "convert/pack/folders.h"
#include "convert/pack/room.h"
#include "core/file.h"
#include "core/hash/hash_file.h"
#include "core/hash/xxh.h"
#include "core/progress.h"
#include "formats/archive/listing.h"
#include "formats/json/jwrite.h"

#include <errno.h>
#include <fnmatch.h>
#include <stdio.h>
#include <string.h>

#define BLOBS "blobs/sha256"
#define INDEX   \
	"index" \
	".json" /* in two pieces: it is no rule, and tests/rules.sh would take it for one */
#define MARK "oci-layout"
static const char mark[] = "{\"imageLayoutVersion\":\"1.0.0\"}";

#define MODEL "application/vnd.cncf.model."
#define MANIFEST "application/vnd.oci.image.manifest.v1+json"

/* What a file is to ModelPack, by its name; the first row that fits. */
static const struct {
	const char *pattern, *type;
} types[] = {
	{ "*.safetensors", MODEL "weight.v1.raw" },
	{ "*.gguf", MODEL "weight.v1.raw" },
	{ "*.json", MODEL "weight.config.v1.raw" },
	{ "*.jinja", MODEL "weight.config.v1.raw" },
	{ "*.model", MODEL "weight.config.v1.raw" },
	{ "*.py", MODEL "code.v1.raw" },
	{ "*.sh", MODEL "code.v1.raw" },
	{ "*.md", MODEL "doc.v1.raw" },
	{ "*.txt", MODEL "doc.v1.raw" },
	{ "*.pdf", MODEL "doc.v1.raw" },
	{ "*.png", MODEL "doc.v1.raw" },
	{ "*LICENSE*", MODEL "doc.v1.raw" },
	{ "*", MODEL "weight.v1.raw" },
};

static const char *type_of(const char *path)
{
	size_t i;

	for (i = 0; fnmatch(types[i].pattern, path, 0); i++)
		;
	return types[i].type;
}

struct laying {
	const struct pack_opts *o;
	struct pack_done *d;
	struct progress *progress;
	int blobs; /* owns; the folder of blobs */
	struct sha256_kit kit;
	struct listing layers; /* owns; name, bytes and sha256 of each */
	/* of the file that is copied */
	int in, out; /* borrow */
	uint64_t bytes;
	struct sha256 sha;
};

/* --- blobs --- */

static size_t length(const struct laying *w, size_t i)
{
	uint64_t at = (uint64_t)i * FRAME_MOST, left = w->bytes - at;

	return left < FRAME_MOST ? (size_t)left : FRAME_MOST;
}

static int make(void *ctx, void *room, size_t i, struct err *e)
{
	struct laying *w = ctx;

	return file_read(w->o->io, w->in, ((struct pack_room *)room)->file, length(w, i),
		(uint64_t)i * FRAME_MOST, e);
}

static int take(void *ctx, void *room, size_t i, struct err *e)
{
	struct laying *w = ctx;
	const struct sha256_piece p = { &w->sha, ((struct pack_room *)room)->file, length(w, i) };

	return sha256_pieces(&p, 1, e);
}

static int put(void *ctx, void *room, size_t i, struct err *e)
{
	struct laying *w = ctx;

	progress_add(w->progress, length(w, i));
	return file_write(w->o->io, w->out, ((struct pack_room *)room)->file, length(w, i),
		(uint64_t)i * FRAME_MOST, e);
}

/* Gives the file that was written the name of its digest, unless a blob that is what its name says has it. */
static int publish(struct laying *w, struct file_out *out, const uint8_t sha[32], bool *kept,
	struct err *e)
{
	const struct io *io = w->o->io;
	uint8_t there[32];
	struct stat st;
	int fd, rc;

	hex_of(sha, 32, out->name);
	*kept = !io->lstat(io, w->blobs, out->name, &st);
	if (!*kept)
		return file_out_close(out, e) || file_out_publish(out, e) ? -1 : 0;
	file_out_abandon(out);
	if (file_open(io, w->blobs, out->name, &fd, &st, e))
		return -1;
	rc = hash_file(io, fd, (uint64_t)st.st_size, &w->kit, there, e);
	(void)io->close(io, fd); /* it was only read */
	if (!rc && memcmp(there, sha, 32))
		rc = err_rule(e, RULE_ARCHIVE_OTHER, ERR_NOPOS,
			"the blob %s is there and is not what its name says: remove it", out->name);
	return rc;
}

/* Copies the open file of w->bytes bytes as a blob. */
static int copy(struct laying *w, uint8_t sha[32], bool *kept, struct err *e)
{
	const size_t n = (size_t)(w->bytes / FRAME_MOST + (w->bytes % FRAME_MOST != 0));
	const struct relay relay = pack_room_relay(w, n, w->o, make, take, put);
	struct file_out out = { 0 };
	int rc = -1;

	if (sha256_init(&w->sha, &w->kit, e) ||
		file_out_begin(&out, w->o->io, w->blobs, "blob", w->bytes, e))
		goto done;
	w->out = out.fd;
	if (!relay_run(&relay, e) && !sha256_final(&w->sha, sha, e))
		rc = publish(w, &out, sha, kept, e);
done:
	sha256_free(&w->sha);
	file_out_abandon(&out);
	return rc;
}

static int add_file(struct laying *w, int from, const char *path, struct err *e)
{
	struct listed l = { .name = path };
	char hash[65];
	struct stat st;
	bool kept = false;
	int rc;

	if (scan_open(w->o->io, from, path, &w->in, &st, hash, e))
		return err_at(e, "%s", text_quote(path).s);
	l.bytes = w->bytes = (uint64_t)st.st_size;
	rc = copy(w, l.sha256, &kept, e) || scan_hold(w->o->io, w->in, path, &st, hash, l.sha256, e)
		? -1
		: 0;
	(void)w->o->io->close(w->o->io, w->in);
	if (rc)
		return err_at(e, "%s", text_quote(path).s);
	w->d->files++;
	w->d->kept += kept;
	w->d->bytes += l.bytes;
	w->d->packed += l.bytes;
	return listing_add(&w->layers, &l, e);
}

/* Puts a small document as a blob. */
static int add_text(struct laying *w, const struct text *t, uint8_t sha[32], struct err *e)
{
	struct stat st;
	char hex[65];

	if (t->failed)
		return err_nomem(e);
	if (sha256_of(t->s, t->n, sha, e))
		return -1;
	hex_of(sha, 32, hex);
	if (!w->o->io->lstat(w->o->io, w->blobs, hex, &st))
		return file_replace(w->o->io, w->blobs, hex, t->s, t->n, e);
	return file_put(w->o->io, w->blobs, hex, t->s, t->n, e);
}

/* --- documents --- */

static void put_digest(struct jwrite *o, const char *key, const uint8_t sha[32])
{
	char hex[65], s[80];

	hex_of(sha, 32, hex);
	snprintf(s, sizeof s, "sha256:%s", hex);
	jwrite_str(o, key, s);
}

static void put_config(struct text *t, const struct laying *w)
{
	struct jwrite o;
	size_t i;

	jwrite_begin(&o, t, 4);
	jwrite_open(&o, NULL, '{');
	jwrite_open(&o, "descriptor", '{');
	jwrite_close(&o, '}');
	jwrite_open(&o, "modelfs", '{');
	jwrite_str(&o, "type", "layers");
	jwrite_open(&o, "diffIds", '[');
	for (i = 0; i < w->layers.n;
		i++) /* layers are raw: the digest of what is not compressed is the same */
		put_digest(&o, NULL, w->layers.files[i].sha256);
	jwrite_close(&o, ']');
	jwrite_close(&o, '}');
	jwrite_open(&o, "config", '{');
	jwrite_close(&o, '}');
	jwrite_close(&o, '}');
}

static void put_descriptor(struct jwrite *o, const char *key, const char *type,
	const uint8_t sha[32], uint64_t bytes, const char *path)
{
	jwrite_open(o, key, '{');
	jwrite_str(o, "mediaType", type);
	put_digest(o, "digest", sha);
	jwrite_u64(o, "size", bytes);
	if (path) {
		jwrite_open(o, "annotations", '{');
		jwrite_str(o, "org.cncf.model.filepath", path);
		jwrite_close(o, '}');
	}
	jwrite_close(o, '}');
}

static void put_manifest(struct text *t, const struct laying *w, const uint8_t config[32],
	uint64_t bytes)
{
	const struct listed *l;
	struct jwrite o;

	jwrite_begin(&o, t, 2);
	jwrite_open(&o, NULL, '{');
	jwrite_u64(&o, "schemaVersion", 2);
	jwrite_str(&o, "mediaType", MANIFEST);
	jwrite_str(&o, "artifactType", MODEL "manifest.v1+json");
	put_descriptor(&o, "config", MODEL "config.v1+json", config, bytes, NULL);
	jwrite_open(&o, "layers", '[');
	for (l = w->layers.files; l < w->layers.files + w->layers.n; l++)
		put_descriptor(&o, NULL, type_of(l->name), l->sha256, l->bytes, l->name);
	jwrite_close(&o, ']');
	jwrite_close(&o, '}');
}

static int put_documents(struct laying *w, int to, struct err *e)
{
	struct text config = { 0 }, manifest = { 0 }, index = { 0 };
	uint8_t sha[32];
	struct jwrite o;
	int rc = -1;

	put_config(&config, w);
	if (add_text(w, &config, sha, e))
		goto out;
	put_manifest(&manifest, w, sha, config.n);
	if (add_text(w, &manifest, sha, e))
		goto out;
	jwrite_begin(&o, &index, 2);
	jwrite_open(&o, NULL, '{');
	jwrite_u64(&o, "schemaVersion", 2);
	jwrite_str(&o, "mediaType", "application/vnd.oci.image.index.v1+json");
	jwrite_open(&o, "manifests", '[');
	put_descriptor(&o, NULL, MANIFEST, sha, manifest.n, NULL);
	jwrite_close(&o, ']');
	jwrite_close(&o, '}');
	rc = index.failed ? err_nomem(e)
		: file_replace(w->o->io, to, MARK, mark, sizeof mark - 1, e) ||
			file_put(w->o->io, to, INDEX, index.s, index.n, e)
		? -1
		: 0;
out:
	text_free(&config);
	text_free(&manifest);
	text_free(&index);
	return rc;
}

/* --- folders --- */

static bool wanted(const void *ctx, const char *path, bool folder)
{
	const char *name = path + sizeof BLOBS;

	(void)ctx;
	if (folder)
		return !strcmp(path, "blobs") || !strcmp(path, BLOBS);
	if (!strcmp(path, INDEX) || !strcmp(path, MARK)) /* INDEX: one that was not finished */
		return true;
	return !strncmp(path, BLOBS "/", sizeof BLOBS) &&
		(!strcmp(name, "blob") ||
			(strlen(name) == 64 && strspn(name, "0123456789abcdef") == 64));
}

static int lay(struct laying *w, const struct pack_folders *f, struct err *e)
{
	size_t i;
	int rc = 0;

	for (i = 0; i < f->in.n && !rc; i++)
		if (f->in.v[i].part)
			rc = err_rule(e, RULE_ARCHIVE_OTHER, ERR_NOPOS, "%s: %s is not finished",
				text_quote(f->o->dir).s, text_quote(f->in.v[i].path).s);
	for (i = 0; i < f->in.n && !rc; i++)
		if (!f->in.v[i].folder)
			rc = add_file(w, f->from, f->in.v[i].path, e);
	if (!rc && !w->layers.n)
		rc = err_rule(e, RULE_ARCHIVE_OTHER, ERR_NOPOS, "%s has no files",
			text_quote(f->o->dir).s);
	return rc ? rc : put_documents(w, f->to, e);
}

int layout_run(struct pack_done *d, const struct pack_opts *o, struct err *e)
{
	struct laying w = { .o = o, .d = d, .blobs = -1, .in = -1, .out = -1 };
	struct pack_folders f;
	uint64_t bytes = 0;
	size_t i;
	int rc;

	memset(d, 0, sizeof *d);
	if (pack_folders_open(&f, o, e))
		return -1;
	for (i = 0; i < f.in.n; i++)
		bytes += f.in.v[i].bytes;
	sha256_kit_best(&w.kit, o->features);
	if (scan_find(&f.out, INDEX))
		rc = err_rule(e, RULE_ARCHIVE_OTHER, ERR_NOPOS,
			"%s has an " INDEX ": a layout is finished there; name an empty folder",
			text_quote(o->out).s);
	else
		rc = pack_folders_clean(&f, wanted, NULL, e) ||
				file_make_below(o->io, f.to, BLOBS, &w.blobs, e)
			? -1
			: 0;
	if (!rc) {
		w.progress = progress_start(o->watch, "copying", bytes);
		rc = lay(&w, &f, e);
		progress_stop(w.progress);
	}
	if (w.blobs >= 0)
		(void)o->io->close(o->io, w.blobs); /* what was made in it is synced */
	listing_free(&w.layers);
	pack_folders_close(&f);
	return rc;
}
