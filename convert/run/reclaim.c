/* SPDX-License-Identifier: MIT */
#include "convert/run/reclaim.h"

#include "convert/out/known.h"
#include "convert/run/readback.h"
#include "core/file.h"
#include "core/hash/hash_file.h"
#include "formats/conversion/chain.h"

#include <stdio.h>
#include <string.h>

/* --- files --- */

static struct out_folder *folder_of(const struct reclaim *r, size_t i)
{
	return &r->f->v[r->needs.files[i].folder];
}

static struct output *output_of(const struct reclaim *r, size_t i)
{
	return &folder_of(r, i)->pub.outputs[r->needs.files[i].i];
}

struct reclaim_path {
	char s[FREED_PATH];
};

/* Where file i lies below OUT. */
static struct reclaim_path path_of(const struct reclaim *r, size_t i)
{
	const struct plan *p = folder_of(r, i)->p;
	struct reclaim_path w;

	snprintf(w.s, sizeof w.s, "%s%s%s", p->dir, p->dir[0] ? "/" : "",
		p->files[r->needs.files[i].i].name);
	return w;
}

/* From here on nothing removes it. */
static void fix(const struct reclaim *r, size_t i)
{
	struct out_folder *d = folder_of(r, i);

	pthread_mutex_lock(&d->pub.lock);
	output_of(r, i)->fixed = true;
	pthread_mutex_unlock(&d->pub.lock);
}

static bool published(const struct reclaim *r, size_t i)
{
	struct out_folder *d = folder_of(r, i);
	bool is;

	pthread_mutex_lock(&d->pub.lock);
	is = output_of(r, i)->state >= OUTPUT_DONE;
	pthread_mutex_unlock(&d->pub.lock);
	return is;
}

/* --- the beginning --- */

/* Headers and small files of the source, in OUT and as they were written. */
static int put_source(struct reclaim *r, struct err *e)
{
	struct out_folder *d = &r->f->v[0];
	struct manifest_file m;
	size_t i;

	if (folders_open_early(r->f, 0, e))
		return -1;
	for (i = 0; i < d->p->n_smalls; i++) {
		if (publisher_small(&d->pub, i, &m, e) ||
			readback_small(r->io, d->dir.fd, m.name, m.bytes, m.sha256, e))
			return out_folder_err(d, e);
		if (d->p->smalls[i].kind == SMALL_HEADER)
			memcpy(r->header[d->p->smalls[i].shard], m.sha256, 32);
	}
	return file_sync_dir(r->io, d->dir.fd) ? err_sys(e, "cannot sync %s", d->p->dir) : 0;
}

/* Syncs the folder of a stage, which the folder dir of a rank lies in; of others it does nothing. */
static int sync_stage(const struct reclaim *r, const char *dir, struct err *e)
{
	const char *slash = strchr(dir, '/');
	char stage[sizeof r->f->v->p->dir];
	int fd, rc;

	if (!slash)
		return 0;
	snprintf(stage, sizeof stage, "%.*s", (int)(slash - dir), dir);
	if (file_open_below(r->io, r->f->top.fd, stage, &fd, e))
		return -1;
	rc = file_sync_dir(r->io, fd) ? err_sys(e, "cannot sync %s", stage) : 0;
	(void)r->io->close(r->io, fd); /* a folder has nothing to flush */
	return rc;
}

/* The folders have their names: an earlier run may have been killed before it synced those. */
static int sync_folders(const struct reclaim *r, struct err *e)
{
	const struct folders *f = r->f;
	const char *name;
	size_t k;
	int fd, rc;

	for (k = 0; k < f->c->n; k++)
		if (f->v[k].open && file_sync_dir(r->io, f->v[k].dir.fd))
			return err_sys(e, "cannot sync %s", f->v[k].p->dir);
	for (k = 0; k < f->c->n; k++)
		if (f->v[k].open && sync_stage(r, f->v[k].p->dir, e))
			return -1;
	if (f->c->is_set && file_sync_dir(r->io, f->top.fd))
		return err_sys(e, "cannot sync the output folder");
	if (file_open_above(r->io, f->o->out, &fd, &name, NULL))
		return 0; /* it is no folder of ours; what was made in it was synced then */
	rc = file_sync_dir(r->io, fd) ? err_sys(e, "cannot sync the folder of %s", name) : 0;
	(void)r->io->close(r->io, fd); /* a folder has nothing to flush */
	return rc;
}

/* Whether file i has the bytes that the list says. */
static bool is_listed(const struct reclaim *r, size_t i, const struct freed_file *row)
{
	struct out_folder *d = folder_of(r, i);
	uint8_t sha[32];
	struct stat st;
	bool is;
	int fd;

	if (file_open(r->io, d->dir.fd, d->p->files[r->needs.files[i].i].name, &fd, &st, NULL))
		return false;
	is = !hash_file(r->io, fd, (uint64_t)st.st_size, NULL, sha, NULL) &&
		!memcmp(sha, row->sha256, sizeof sha);
	(void)r->io->close(r->io, fd); /* read only */
	return is;
}

/* File i was made of a shard that was freed: it must be what the list says where that shard is gone, and is made again, if need
 * be, where all that it is made of is there. So a shard that was put back and is false takes nothing away. */
static int take_known(struct reclaim *r, size_t i, bool gone, struct err *e)
{
	struct out_folder *d = folder_of(r, i);
	const struct freed_file *row = freed_file_of(&r->list, path_of(r, i).s);
	struct err why = { 0 };
	struct known k;

	if (!gone && (!row || !is_listed(r, i, row)))
		return 0;
	if (!row)
		return err_rule(e, RULE_RECLAIM_LOST, ERR_NOPOS,
			"%s is not in the list, and a shard that it is made of was freed",
			path_of(r, i).s);
	k.side_bytes = row->side_bytes;
	memcpy(k.sha256, row->sha256, sizeof k.sha256);
	memcpy(k.side_sha256, row->side_sha256, sizeof k.side_sha256);
	if (!known_take(&d->pub, r->needs.files[i].i, &k, &why) &&
		!readback_file(d, r->needs.files[i].i, &why)) {
		r->files[i] = RECLAIM_DONE;
		fix(r, i);
		d->kept++;
		return 0;
	}
	if (why.kind == ERR_SYSTEM && !why.rule)
		return err_move(e, &why);
	return !gone ? 0
		     : err_rule(e, RULE_RECLAIM_LOST, ERR_NOPOS, "%s, whose shards were freed: %s",
			       path_of(r, i).s, why.text);
}

static bool is_gone(const struct reclaim *r, size_t i)
{
	size_t k;

	for (k = r->needs.at[i]; k < r->needs.at[i + 1]; k++)
		if (r->ckpt->shards[r->needs.shard[k]].gone)
			return true;
	return false;
}

/* Shards that are gone had the digest that is expected. */
static void trust_gone(struct reclaim *r)
{
	struct out_folder *d;
	size_t s;

	for (s = 0; s < r->needs.n_shards; s++) {
		if (!r->ckpt->shards[s].gone)
			continue;
		r->shards[s] = RECLAIM_DONE;
		for (d = r->f->v; d < r->f->v + r->f->c->n; d++) {
			if (!d->open)
				continue;
			d->pub.shard_ok[s] = true;
			memcpy(d->pub.shard_sha256[s], r->expected->sha256[s], 32);
		}
	}
}

int reclaim_begin(struct reclaim *r, struct folders *f, struct err *e)
{
	size_t i;

	r->f = f;
	r->expected = f->o->expected;
	if (reclaim_sweep(r->io, folders_top(f)->fd, FREED_KEPT, e) || put_source(r, e) ||
		sync_folders(r, e))
		return -1;
	trust_gone(r);
	for (i = 0; i < r->needs.n; i++)
		if (take_known(r, i, is_gone(r, i), e))
			return -1;
	return 0;
}

int reclaim_items(struct reclaim *r, struct items *it, struct err *e)
{
	struct item *v = r->forecast.order;
	size_t i, n = 0;

	for (i = 0; i < r->forecast.n; i++)
		if (r->f->v[v[i].folder].pub.outputs[v[i].i].state < OUTPUT_DONE)
			v[n++] = v[i];
	r->forecast.n = n;
	return items_of(it, r->c, v, n, e);
}

/* --- freeing --- */

/* The shard is still the file that was read, and has no other name. */
static int hold_shard(const struct reclaim *r, const struct shard *s, struct err *e)
{
	struct stat v[2];
	int i;

	if (r->io->fstat(r->io, s->fd, &v[0]) || r->io->lstat(r->io, r->dir, s->name, &v[1]))
		return err_sys(e, "cannot look at %s", s->name);
	for (i = 0; i < 2; i++)
		if (v[i].st_dev != s->st.st_dev || v[i].st_ino != s->st.st_ino ||
			v[i].st_size != s->st.st_size || !S_ISREG(v[i].st_mode) ||
			v[i].st_nlink != 1 || !file_same_time(&v[i].st_mtim, &s->st.st_mtim) ||
			!file_same_time(&v[i].st_ctim, &s->st.st_ctim))
			return err_rule(e, RULE_CKPT_CHANGED, ERR_NOPOS,
				"%s was changed, moved or linked since it was read: it is not freed",
				text_quote(s->name).s);
	return 0;
}

/* OUT still lies where it was: who has moved it away may think that it has nothing to lose. */
static int hold_out(const struct reclaim *r, struct err *e)
{
	struct stat path, open;
	int fd, rc;

	if (file_open_dir(r->io, r->f->o->out, &fd, e))
		return -1;
	rc = r->io->fstat(r->io, fd, &path) || r->io->fstat(r->io, folders_top(r->f)->fd, &open)
		? err_sys(e, "cannot look at the output folder")
		: 0;
	(void)r->io->close(r->io, fd); /* a folder has nothing to flush */
	if (!rc && (path.st_dev != open.st_dev || path.st_ino != open.st_ino))
		rc = err_rule(e, RULE_OUT_RACE, ERR_NOPOS,
			"the output folder was moved away while the run was at it: nothing more is freed");
	return rc;
}

/* Lists shard s and its files as freed, in OUT and in DIR. */
static int put_list(struct reclaim *r, size_t s, struct err *e)
{
	const struct shard *sh = &r->ckpt->shards[s];
	struct freed_shard row = { .name = sh->name, .bytes = (uint64_t)sh->st.st_size };
	struct reclaim_path path;
	struct freed_file file;
	const struct output *o;
	struct text t = { 0 };
	size_t k;
	int rc;

	memcpy(row.sha256, r->expected->sha256[s], 32);
	memcpy(row.header_sha256, r->header[s], 32);
	rc = freed_add_shard(&r->list, &row, e);
	for (k = r->needs.back_at[s]; !rc && k < r->needs.back_at[s + 1]; k++) {
		path = path_of(r, r->needs.back[k]);
		o = output_of(r, r->needs.back[k]);
		file = (struct freed_file){ .name = path.s, .side_bytes = o->side_bytes };
		memcpy(file.sha256, o->sha256, 32);
		memcpy(file.side_sha256, o->side_sha256, 32);
		rc = freed_add_file(&r->list, &file, e);
	}
	rc = rc || freed_put(&t, &r->list, e) ||
			file_replace(r->io, folders_top(r->f)->fd, FREED_KEPT, t.s, t.n, e) ||
			file_replace(r->io, r->dir, FREED_NAME, t.s, t.n, e)
		? -1
		: 0;
	text_free(&t);
	return rc;
}

/* What is opened of it from now on is its header; only then the disk has the room. */
static int let_go(struct reclaim *r, size_t s, struct err *e)
{
	struct shard *sh = &r->ckpt->shards[s];
	const struct out_folder *d = &r->f->v[0];
	char name[300];
	struct stat st;
	int fd;

	snprintf(name, sizeof name, "%s" CKPT_HEADER, sh->name);
	if (file_open(r->io, d->dir.fd, name, &fd, &st, e))
		return out_folder_err(d, e);
	(void)r->io->close(r->io, sh->fd); /* read only */
	sh->fd = fd;
	sh->gone = true;
	return 0;
}

/* The lock is held. */
static int free_shard(struct reclaim *r, size_t s, struct err *e)
{
	const struct shard *sh = &r->ckpt->shards[s];

	if (hold_out(r, e) || hold_shard(r, sh, e) || put_list(r, s, e) || hold_shard(r, sh, e))
		return -1;
	if (r->io->unlink(r->io, r->dir, sh->name))
		return err_sys(e, "cannot remove %s", sh->name);
	if (file_sync_dir(r->io, r->dir))
		return err_sys(e, "cannot sync the folder of %s", sh->name);
	r->n_freed++;
	r->bytes_freed += (uint64_t)sh->st.st_size;
	return let_go(r, s, e);
}

/* It was digested, and all files that it goes into were read again. The lock is held. */
static bool can_go(const struct reclaim *r, size_t s)
{
	struct out_folder *d = &r->f->v[0];
	size_t k;
	bool ok;

	if (r->shards[s] != RECLAIM_TODO)
		return false;
	for (k = r->needs.back_at[s]; k < r->needs.back_at[s + 1]; k++)
		if (r->files[r->needs.back[k]] != RECLAIM_DONE)
			return false;
	pthread_mutex_lock(&d->pub.lock);
	ok = d->pub.shard_ok[s];
	pthread_mutex_unlock(&d->pub.lock);
	return ok;
}

/* Reads back a file that is published, and that nobody is at; *any: there was one. The lock is held, but not while it reads. */
static int check_one(struct reclaim *r, bool *any, struct err *e)
{
	size_t i;
	int rc;

	for (i = 0; i < r->needs.n; i++)
		if (r->files[i] == RECLAIM_TODO && published(r, i))
			break;
	*any = i < r->needs.n;
	if (!*any)
		return 0;
	r->files[i] = RECLAIM_BUSY;
	pthread_mutex_unlock(&r->lock);
	rc = readback_file(folder_of(r, i), r->needs.files[i].i, e);
	if (rc)
		out_folder_err(folder_of(r, i), e);
	else
		fix(r, i);
	pthread_mutex_lock(&r->lock);
	if (!rc)
		r->files[i] = RECLAIM_DONE;
	return rc;
}

int reclaim_step(struct reclaim *r, struct err *e)
{
	bool any = true;
	size_t s;
	int rc = 0;

	pthread_mutex_lock(&r->lock);
	while (!rc && any)
		rc = check_one(r, &any, e);
	for (s = 0; !rc && s < r->needs.n_shards; s++) {
		if (!can_go(r, s))
			continue;
		rc = free_shard(r, s, e);
		r->shards[s] = rc ? RECLAIM_BUSY : RECLAIM_DONE;
	}
	pthread_mutex_unlock(&r->lock);
	return rc;
}
