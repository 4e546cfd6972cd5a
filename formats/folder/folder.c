/* SPDX-License-Identifier: MIT */
#include "formats/folder/folder.h"

#include "core/file.h"
#include "core/text.h"
#include "formats/archive/filter.h"
#include "formats/archive/listing.h"
#include "formats/conversion/copies.h"
#include "formats/conversion/freed.h"
#include "formats/conversion/head.h"
#include "formats/conversion/manifest.h"
#include "formats/folder/foreign.h"
#include "formats/folder/reclaimed.h"
#include "formats/gguf/gguf_set.h"
#include "formats/model/family.h"
#include "formats/blob.h"
#include "formats/model/recipes.h"
#include "formats/model/sglang_name.h"

#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PATH_ROOM = 4096 };

/* Of a hub's cache, from a snapshot. */
#define BLOBS "../../blobs"

/* --- names --- */

enum sight {
	SEE_MANIFEST,
	SEE_MARK,
	SEE_SIDECAR,
	SEE_HEADER,
	SEE_RANKFILE,
	SEE_RANK,
	SEE_STAGE,
	SEE_SOURCE,
	SEE_SHARD,
	SEE_SHARDED,
	SEE_GGUF,
	SEE_SNAPSHOTS,
	SEE_MODELS,
	SEE_LOADER,
	SEE_PARTIAL,
	SEE_LISTING,
	SEE_ARCHIVE,
	SEE_FREED,
	SIGHTS
};

#define RANK_FOLDER "rank-[0-9]*-of-[0-9]*"

/* A name is counted in the first row that it matches, and in that alone. */
static const struct {
	const char *pattern;
	enum sight is;
} patterns[] = {
	{ MAN_NAME, SEE_MANIFEST },
	{ LISTING_NAME, SEE_LISTING },
	{ MAN_NAME FILTER_ZST, SEE_ARCHIVE },
	{ "*.safetensors" FILTER_ZST, SEE_ARCHIVE },
	{ "*.safetensors" FILTER_ZST_E8M0, SEE_ARCHIVE },
	{ "*.gguf" FILTER_ZST, SEE_ARCHIVE },
	{ FREED_NAME, SEE_FREED },
	{ ".dsv4-plan", SEE_MARK },
	{ "*" MAN_SIDECAR, SEE_SIDECAR },
	{ "*.safetensors" CKPT_HEADER, SEE_HEADER },
	{ "model[0-9]*-mp[0-9]*.safetensors", SEE_RANKFILE },
	{ RANK_FOLDER, SEE_RANK },
	{ "pp-[0-9]*-of-[0-9]*", SEE_STAGE },
	{ "source", SEE_SOURCE },
	{ "shard-[0-9]*-model-[0-9]*.safetensors", SEE_SHARDED },
	{ "*.distcp", SEE_SHARDED },
	{ "[!.]*.safetensors", SEE_SHARD },
	{ "*.gguf", SEE_GGUF },
	{ "snapshots", SEE_SNAPSHOTS },
	{ "models--*", SEE_MODELS },
	{ ".cache", SEE_LOADER },
	{ "._____temp", SEE_LOADER },
	/* what downloaders call a file, or put beside it, until it is whole */
	{ "*.aria2", SEE_PARTIAL },
	{ "*.safetensors.incomplete", SEE_PARTIAL },
	{ "*.safetensors.part", SEE_PARTIAL },
	{ "*.safetensors.partial", SEE_PARTIAL },
	{ "*.safetensors.crdownload", SEE_PARTIAL },
	{ "*.safetensors.download", SEE_PARTIAL },
};

struct sights {
	size_t n[SIGHTS];
	char partial[KIND_MORE]; /* the first such name, for messages */
};

static void see(struct sights *s, const char *name)
{
	size_t i;

	if (name[0] == '.' && text_stem(name, ".part"))
		return; /* a file that we were writing */
	for (i = 0; i < sizeof patterns / sizeof *patterns; i++)
		if (!fnmatch(patterns[i].pattern, name, 0))
			break;
	if (i == sizeof patterns / sizeof *patterns)
		return;
	if (patterns[i].is == SEE_PARTIAL && !s->n[SEE_PARTIAL])
		snprintf(s->partial, sizeof s->partial, "%.150s", text_quote(name).s);
	s->n[patterns[i].is]++;
}

/* Opens the folder at path: a path below f, through no link, or BLOBS. Returns 1; 0: there is none that may be opened;
 * -1: that could not be found out. */
static int open_at(const struct folder *f, const char *path, int *fd, struct err *e)
{
	struct err why = { 0 };

	if (!strcmp(path, BLOBS)) {
		*fd = f->io->open(f->io, f->dir, path,
			O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC, 0);
		if (*fd < 0)
			err_sys(&why, "cannot open folder %s", path);
	} else {
		(void)file_open_below(f->io, f->dir, path, fd, &why);
	}
	if (why.kind == ERR_NONE)
		return 1;
	if (why.kind != ERR_SYSTEM || errno == ENOENT || errno == ENOTDIR || errno == ELOOP ||
		errno == EACCES)
		return 0;
	return err_move(e, &why);
}

/* Finds the first name in that folder that matches, as path/name. Returns 1; 0: there is none; -1: that could not be
 * found out. */
static int first_in(const struct folder *f, const char *path, const char *pattern,
	char found[KIND_MORE], struct err *e)
{
	char *names = NULL, *p;
	size_t n = 0, i;
	int fd, rc = open_at(f, path, &fd, e);

	if (rc <= 0)
		return rc;
	rc = f->io->list(f->io, fd, &names, &n) ? err_sys(e, "cannot list %s", path) : 0;
	for (i = 0, p = names; !rc && i < n; i++, p += strlen(p) + 1)
		if (!fnmatch(pattern, p, 0)) {
			snprintf(found, KIND_MORE, "%.60s%s%.150s", path, *path ? "/" : "",
				text_quote(p).s);
			rc = 1;
		}
	free(names);
	(void)f->io->close(f->io, fd); /* a folder has nothing to flush */
	return rc;
}

/* Where downloaders keep what is not whole yet, if it does not lie beside the files: the hub's and ModelScope's. */
static const struct {
	const char *dir, *pattern;
} loaders[] = {
	{ ".cache/huggingface/download", "*.incomplete" },
	{ "._____temp", "*.safetensors*" },
};
enum { LOADERS = sizeof loaders / sizeof *loaders };

static int look_around(struct folder *f, struct sights *s, struct err *e)
{
	char *names = NULL, *p;
	size_t n, i;
	int rc = 0;

	if (f->io->list(f->io, f->dir, &names, &n))
		return err_sys(e, "cannot list %s", text_quote(f->path).s);
	for (i = 0, p = names; i < n; i++, p += strlen(p) + 1)
		see(s, p);
	free(names);
	for (i = 0; i < LOADERS && !rc && s->n[SEE_LOADER] && !s->n[SEE_PARTIAL]; i++)
		rc = first_in(f, loaders[i].dir, loaders[i].pattern, s->partial, e);
	s->n[SEE_PARTIAL] += rc > 0;
	return rc < 0 ? -1 : 0;
}

/* --- manifest.json --- */

static const struct {
	const char *target;
	enum kind whole, part; /* part: with --layers */
} targets[] = {
	{ "official", KIND_OFFICIAL, KIND_PART },
	{ "hf", KIND_HF, KIND_PART },
	{ VLLM_TARGET, KIND_VLLM, KIND_VLLM },
	{ SGLANG_TARGET, KIND_SGLANG, KIND_SGLANG },
	{ "slice", KIND_SLICE, KIND_SLICE },
	{ "restore", KIND_RESTORED, KIND_RESTORED },
	{ "source", KIND_SOURCE, KIND_SOURCE },
};

static enum kind kind_of_recipe(const struct recipe *r)
{
	return r->native ? KIND_HF : r->container == CONTAINER_GGUF ? KIND_QUANT_GGUF : KIND_QUANT;
}

static enum kind kind_of_target(const struct head *h)
{
	enum kind k = KIND_RANK;
	size_t i;

	for (i = 0; i < sizeof targets / sizeof *targets; i++)
		if (!strcmp(h->target, targets[i].target))
			k = h->part ? targets[i].part : targets[i].whole;
	if (recipe_find(h->target))
		k = h->part ? KIND_PART : kind_of_recipe(recipe_find(h->target));
	return k == KIND_HF && h->restore[0] ? KIND_HF_SOURCE : k;
}

/* A manifest.json of another program is none: nothing beside it is of ours. */
static bool is_ours(const struct sights *s)
{
	return s->n[SEE_MARK] || s->n[SEE_SIDECAR] || s->n[SEE_HEADER] || s->n[SEE_RANK] ||
		s->n[SEE_STAGE];
}

/* *has: the answer is in f->kind; else manifest.json is of another program. */
static int by_manifest(struct folder *f, const struct sights *s, bool *has, struct err *e)
{
	struct err why = { 0 };
	struct head h;

	*has = true;
	f->kind = KIND_BROKEN;
	if (head_read(&h, f->io, f->dir, &why))
		return why.kind == ERR_SYSTEM
			? err_set(e, ERR_SYSTEM, "%s: %s", text_quote(f->path).s, why.text)
			: 0;
	*has = h.form == HEAD_FOLDER || h.form == HEAD_SET || is_ours(s);
	if (h.form == HEAD_SET && h.seal != SEAL_BROKEN)
		f->kind = KIND_SET;
	else if (h.form == HEAD_FOLDER && h.seal != SEAL_BROKEN)
		f->kind = kind_of_target(&h);
	if (*has && f->kind != KIND_BROKEN)
		snprintf(f->more, sizeof f->more, "target %s", text_quote(h.target).s);
	else if (!*has)
		f->kind = KIND_UNKNOWN;
	return 0;
}

/* --- the hub's cache --- */

/* Which snapshot is meant: that of refs/main, or the only one. */
static void name_snapshot(struct folder *f)
{
	struct text t = { 0 };
	struct stat st;
	char path[KIND_MORE], name[KIND_MORE];
	int fd;

	if (f->kind == KIND_CACHE && !file_open_below(f->io, f->dir, "refs", &fd, NULL)) {
		if (!file_load(f->io, fd, "main", 128, &t, NULL)) {
			t.n = strcspn(t.s, "\r\n");
			t.s[t.n] = 0;
			snprintf(path, sizeof path, "snapshots/%.100s", t.s);
			if (t.n && !strchr(t.s, '/') && !f->io->lstat(f->io, f->dir, path, &st))
				snprintf(f->more, sizeof f->more, "refs/main is %.140s",
					text_quote(path).s);
		}
		text_free(&t);
		(void)f->io->close(f->io, fd); /* a folder has nothing to flush */
	}
	if (!f->more[0] && first_in(f, "snapshots", "*", name, NULL) > 0)
		snprintf(f->more, sizeof f->more, "one is %.240s", name);
}

/* The folder snapshots itself: nothing but folders of revisions, and blobs beside it. */
static bool is_snapshots(const struct folder *f)
{
	struct stat st;

	return !f->io->lstat(f->io, f->dir, "../blobs", &st) && S_ISDIR(st.st_mode) &&
		first_in(f, "", "[!.]*", (char[KIND_MORE]){ 0 }, NULL) > 0;
}

/* --- */

/* Whether name is a link into the blobs of a hub's cache; -1 where that could not be found out. */
static int is_link_to_blob(const struct folder *f, const char *name, struct err *e)
{
	char link[128];
	ssize_t n = f->io->readlink(f->io, f->dir, name, link, sizeof link - 1);

	if (n < 0)
		return errno == EINVAL || errno == ENOENT
			? 0
			: err_sys(e, "cannot look at %s", text_quote(name).s);
	link[n] = 0;
	return blob_of(link, 0) != NULL;
}

/* Whether every folder of a rank has its manifest: those of a stage do, those of a set that was broken off do not.
 * Returns 1, 0, or -1 if that could not be found out. */
static int ranks_finished(const struct folder *f, struct err *e)
{
	char *names = NULL, *p, ignored[KIND_MORE];
	size_t n, i;
	int rc = 1;

	if (f->io->list(f->io, f->dir, &names, &n))
		return err_sys(e, "cannot list %s", text_quote(f->path).s);
	for (i = 0, p = names; rc > 0 && i < n; i++, p += strlen(p) + 1)
		if (!fnmatch(RANK_FOLDER, p, 0))
			rc = first_in(f, p, MAN_NAME, ignored, e);
	free(names);
	return rc;
}

/* Folders of ranks, without anything above them that says what they are. */
static int by_ranks(struct folder *f, const struct sights *s, struct err *e)
{
	int whole = s->n[SEE_STAGE] || s->n[SEE_SOURCE] ? 0 : ranks_finished(f, e);

	f->kind = whole > 0 ? KIND_STAGE : KIND_UNFINISHED;
	return whole < 0 ? -1 : 0;
}

static int by_names(struct folder *f, const struct sights *s, struct err *e)
{
	int rc = 0;
	size_t weights = s->n[SEE_SHARD] + s->n[SEE_RANKFILE] + s->n[SEE_SHARDED];

	if (s->n[SEE_MARK])
		f->kind = KIND_UNFINISHED;
	else if (s->n[SEE_RANK] || s->n[SEE_STAGE])
		rc = by_ranks(f, s, e);
	else if (s->n[SEE_SIDECAR] || s->n[SEE_HEADER])
		f->kind = KIND_BARE;
	else if (s->n[SEE_SHARDED])
		f->kind = KIND_SHARDED;
	else if (s->n[SEE_RANKFILE] && !s->n[SEE_SHARD])
		f->kind = KIND_RANKS;
	else if (weights || s->n[SEE_PARTIAL])
		f->kind = KIND_DOWNLOAD;
	else if (s->n[SEE_GGUF])
		f->kind = KIND_GGUF;
	else if (s->n[SEE_SNAPSHOTS] || s->n[SEE_MODELS] || is_snapshots(f))
		f->kind = KIND_CACHE;
	if (f->kind == KIND_CACHE)
		name_snapshot(f);
	if (f->kind == KIND_DOWNLOAD || f->kind == KIND_UNKNOWN) {
		rc = is_link_to_blob(f, "config.json", e);
		rc = rc ? rc : is_link_to_blob(f, CKPT_INDEX, e);
		f->kind = rc > 0 ? KIND_SNAPSHOT : f->kind;
	}
	return rc < 0 ? -1 : 0;
}

/* An archive that is looked at as the files that it consists of; KIND_UNKNOWN: it is none. */
static enum kind archive_kind(const struct sights *s)
{
	if (s->n[SEE_LISTING])
		return KIND_ARCHIVE;
	return s->n[SEE_ARCHIVE] && !s->n[SEE_MANIFEST] && !s->n[SEE_SHARD] && !s->n[SEE_GGUF]
		? KIND_ARCHIVE_PART
		: KIND_UNKNOWN;
}

static int look(struct folder *f, struct err *e)
{
	struct sights s = { .partial = "" };
	bool has = false;

	if (look_around(f, &s, e))
		return -1;
	f->freed = s.n[SEE_FREED] > 0;
	f->kind = f->under = archive_kind(&s);
	if (f->kind != KIND_UNKNOWN)
		return 0;
	if ((s.n[SEE_MANIFEST] && by_manifest(f, &s, &has, e)))
		return -1;
	if (!has && by_names(f, &s, e))
		return -1;
	f->under = f->kind;
	if (s.n[SEE_PARTIAL]) {
		f->kind = KIND_PARTIAL;
		memcpy(f->more, s.partial, sizeof f->more);
	}
	return 0;
}

/* Returns 1 where a snapshot lacks blobs, and one of the cache's is still on its way; 0, or -1. */
static int hub_is_loading(const struct folder *f, char more[KIND_MORE], struct err *e)
{
	const struct ckpt *c = &f->ckpt;
	size_t i;

	for (i = 0; i < c->n_shards && c->shards[i].fd >= 0; i++)
		;
	if (f->under != KIND_SNAPSHOT || (i == c->n_shards && c->n_shards))
		return 0;
	return first_in(f, BLOBS, "*.incomplete", more, e);
}

/* What config.json is not, for the model that it is not of, is of no interest. */
static void drop_config(struct findings *f)
{
	size_t i, n = 0;

	for (i = 0; i < f->n; i++)
		if (!f->v[i].rule || strncmp(f->v[i].rule, "config.", 7))
			f->v[n++] = f->v[i];
	f->total -= f->n - n;
	f->n = n;
}

/* run --reclaim has freed shards that are not there. */
static void is_freed(struct folder *f)
{
	f->kind = f->under = KIND_RECLAIMED;
	if (f->unlisted)
		snprintf(f->more, KIND_MORE,
			FREED_NAME " is damaged; OUT has the same list as " FREED_KEPT);
}

static int read_checkpoint(struct folder *f, const struct ckpt_opts *o, struct err *e)
{
	enum kind k;
	int rc;

	if (ckpt_open_at(&f->ckpt, f->io, f->dir, o, &f->found, e))
		return err_at(e, "%s", text_quote(f->path).s);
	f->has_ckpt = true;
	if (kind_rows[f->kind].manifest)
		return copies_of_run(f->io, f->dir, &f->found, e);
	if (f->kind != KIND_DOWNLOAD && f->kind != KIND_SNAPSHOT)
		return 0;
	rc = hub_is_loading(f, f->more, e);
	if (rc > 0)
		f->kind = KIND_PARTIAL;
	if (rc)
		return rc < 0 ? -1 : 0;
	k = foreign_kind(&f->ckpt, f->more);
	if (k == KIND_DOWNLOAD && f->unlisted && reclaimed_lacks(&f->found))
		is_freed(f);
	if (k == KIND_DOWNLOAD)
		return 0;
	f->kind = f->under = k;
	drop_config(&f->found);
	return 0;
}

static bool reads(const struct folder *f, enum use use)
{
	const struct kind_row *k = &kind_rows[f->under];

	return k->checkpoint &&
		(use_rows[use].reads == READS_ALL ||
			(use_rows[use].reads == READS_DOWNLOADS && !k->manifest));
}

/* The folder that the file at path lies in, as a path. */
static int folder_of(const char *path, char dir[PATH_ROOM], struct err *e)
{
	const char *slash = strrchr(path, '/');
	size_t n = slash == path ? 1 : slash ? (size_t)(slash - path) : 1;

	if (n >= PATH_ROOM)
		return err_set(e, ERR_USAGE, "the path is too long");
	memcpy(dir, slash ? path : ".", n);
	dir[n] = 0;
	return 0;
}

/* The name of the file at path. */
static const char *name_of(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

/* The path is a regular file: what it is, and in what it lies. */
static int look_at_file(struct folder *f, enum use use, struct err *e)
{
	char magic[4], dir[PATH_ROOM];
	int fd = f->io->open(f->io, AT_FDCWD, f->path, O_RDONLY | O_CLOEXEC | O_NOCTTY, 0);
	bool gguf;

	if (fd < 0)
		return err_sys(e, "cannot open %s", text_quote(f->path).s);
	gguf = f->io->pread(f->io, fd, magic, sizeof magic, 0) == 4 && !memcmp(magic, "GGUF", 4);
	(void)f->io->close(f->io, fd); /* read only */
	if (folder_of(f->path, dir, e) || file_open_dir(f->io, dir, &f->dir, e))
		return -1;
	if (look(f, e))
		return -1;
	if (gguf && (use != USE_CHECK || !kind_rows[f->kind].manifest)) {
		f->kind = f->under = KIND_GGUF;
		f->more[0] = 0;
		snprintf(f->gguf, sizeof f->gguf, "%s", name_of(f->path));
		return 0;
	}
	f->under = f->kind == KIND_PARTIAL ? f->under : f->kind;
	f->kind = KIND_FILE;
	f->more[0] = 0;
	return 0;
}

/* Where freed shards are missing it is no download any more. */
static int look_for_freed(struct folder *f, struct err *e)
{
	size_t gone;

	if (reclaimed_find(f->io, f->dir, &gone, &f->unlisted, f->more, e))
		return -1;
	if (gone || (f->unlisted && f->kind == KIND_UNKNOWN))
		is_freed(f);
	return 0;
}

int folder_not_freed(const struct io *io, int dir, const char *path, struct err *e)
{
	char more[KIND_MORE];
	bool damaged;
	size_t gone;

	if (reclaimed_find(io, dir, &gone, &damaged, more, e))
		return -1;
	return gone ? kind_refuse(KIND_RECLAIMED, path, more, e) : 0;
}

static int open_and_look(struct folder *f, enum use use, const struct ckpt_opts *o, struct err *e)
{
	struct stat st;

	if (!f->io->lstat(f->io, AT_FDCWD, f->path, &st) &&
		(S_ISREG(st.st_mode) || (S_ISLNK(st.st_mode) && gguf_named(f->path))))
		return look_at_file(f, use, e);
	if (file_open_dir(f->io, f->path, &f->dir, e) || look(f, e) ||
		(f->freed && !o->gone && look_for_freed(f, e)))
		return -1;
	if (f->kind == KIND_PARTIAL && !kind_takes(KIND_PARTIAL, use))
		return 0; /* refused whatever its headers say */
	return reads(f, use) ? read_checkpoint(f, o, e) : 0;
}

int folder_open(struct folder *f, const struct io *io, const char *path, enum use use,
	const struct ckpt_opts *o, struct err *e)
{
	int rc;

	memset(f, 0, sizeof *f);
	f->io = io;
	f->path = path;
	f->dir = -1;
	rc = open_and_look(f, use, o, e);
	if (!rc && !kind_takes(f->kind, use))
		rc = kind_refuse(f->kind, path, f->more, e);
	else if (!rc && f->kind == KIND_PARTIAL && !kind_takes(f->under, use))
		rc = kind_refuse(f->under, path, f->more, e);
	if (!rc && f->has_ckpt && f->ckpt.config.family &&
		family_meets(&f->ckpt.config, use_rows[use].need, e))
		rc = err_at(e, "%s", text_quote(path).s);
	if (rc)
		folder_close(f);
	return rc;
}

void folder_close(struct folder *f)
{
	if (f->has_ckpt)
		ckpt_close(&f->ckpt);
	finding_free(&f->found);
	if (f->dir >= 0)
		(void)f->io->close(f->io, f->dir); /* a folder has nothing to flush */
	memset(f, 0, sizeof *f);
	f->dir = -1;
}

void folder_take(struct folder *f, struct ckpt *c)
{
	*c = f->ckpt;
	memset(&f->ckpt, 0, sizeof f->ckpt);
	f->has_ckpt = false;
}
