/* SPDX-License-Identifier: MIT */
#include "convert/batch/task.h"

#include "convert/batch/again.h"
#include "convert/batch/lease.h"
#include "convert/batch/receipt.h"
#include "convert/batch/stage.h"
#include "convert/run/run.h"
#include "core/file.h"
#include "formats/conversion/manifest.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* What is known of a unit. */
enum unit_is {
	UNIT_DONE,
	UNIT_WANTED, /* this process is to make it */
	UNIT_OTHERS, /* somebody is at it */
	UNIT_UNSURE  /* somebody was at it, and may be gone */
};

struct task {
	struct batch *b;
	const struct job *j;
	const struct task_opts *o;
	struct task_result *r;
	struct lease lease;
	struct stage stage;
	int out;              /* owns; OUT, -1 while it is not there */
	uint8_t *is;          /* owns; [b->n] enum unit_is */
	uint32_t *number;     /* owns; [b->n]: of the lease that was looked at */
	bool shared;          /* OUT is ready */
	pthread_mutex_t lock; /* guards r */
};

static bool told(const struct task *t)
{
	return t->o->run->stop && *t->o->run->stop;
}

static size_t unit_of(const struct task *t, size_t folder, size_t file)
{
	return t->b->first[folder] + file;
}

/* --- as a run sees it (struct run_units) --- */

static bool mine(void *ctx, size_t folder, size_t file)
{
	const struct task *t = ctx;

	return t->is[unit_of(t, folder, file)] == UNIT_WANTED;
}

static bool is_done(const struct task *t, size_t u)
{
	struct receipt r;
	struct err ignored = { 0 };

	/* A receipt that is not as it should be is made anew with its file. */
	return receipt_read(&r, t->b, (uint32_t)u, &ignored) == 1 &&
		receipt_fits(&r, t->b, (uint32_t)u, t->out) && (r.verified || !t->j->has_expected);
}

static int take(void *ctx, size_t folder, size_t file, bool *yes, struct err *e)
{
	struct task *t = ctx;
	size_t u = unit_of(t, folder, file);
	uint32_t number;

	*yes = false;
	if (is_done(t, u) || lease_of_unit(&t->lease, (uint32_t)u, &number) != LEASE_FREE)
		return 0;
	return lease_take_unit(&t->lease, (uint32_t)u, number, yes, e);
}

/* Looks at a file; what *st was before stays where that fails. Returns whether its time stays between looks, which it does
 * not where a driver stores none (file_timeless). */
static bool time_of(const struct io *io, int dir, const char *path, struct stat *st)
{
	struct stat now[3];
	size_t i;

	for (i = 0; i < 3; i++)
		if (io->lstat(io, dir, path, &now[i]))
			return true;
	*st = now[2];
	return file_same_time(&now[0].st_mtim, &now[1].st_mtim) ||
		file_same_time(&now[1].st_mtim, &now[2].st_mtim);
}

static int put_receipt(struct task *t, size_t u, const struct output *o, struct err *e)
{
	const struct io *io = t->b->io;
	struct stat st = o->data.st;
	bool timed;
	struct receipt r = { .known.side_bytes = o->side_bytes,
		.verified = t->j->has_expected,
		.task = t->o->index,
		.number = t->lease.number,
		.pid = (uint64_t)getpid() };

	/* The time that others will see, on file systems that give a file another one when it gets its name. */
	timed = time_of(io, t->out, receipt_path(t->b, (uint32_t)u).s, &st);
	r.seconds = timed ? (uint64_t)st.st_mtim.tv_sec : 0;
	r.nanoseconds = timed ? (uint64_t)st.st_mtim.tv_nsec : 0;
	if (t->j->conversion.folders[t->b->units[u].folder].opts.sha256)
		memcpy(r.known.sha256, o->sha256, 32);
	memcpy(r.known.side_sha256, o->side_sha256, 32);
	(void)gethostname(r.host, sizeof r.host - 1);
	return receipt_put(t->b, (uint32_t)u, &r, e);
}

/* Whether manifest.json of the open folder says of file name what o has become: 1, 0 (also where it is damaged), -1. */
static int is_said(const struct task *t, int dir, const char *name, const struct output *o,
	struct err *e)
{
	const struct manifest_file *f;
	struct manifest m = { .seal = SEAL_NONE };
	struct err why = { 0 };
	struct text s = { 0 };
	int is = 0;

	if (!file_load(t->b->io, dir, MAN_NAME, MANIFEST_CAP, &s, &why) &&
		!manifest_read(&m, &s, &why)) {
		f = manifest_find(&m.files, name);
		is = f && f->side && f->side_bytes == o->side_bytes &&
			!memcmp(f->side_sha256, o->side_sha256, 32);
	}
	text_free(&s);
	manifest_free(&m);
	return why.kind == ERR_SYSTEM ? err_move(e, &why) : is;
}

/* Manifests stay where they say of the file what it is: finalize may have written them, while this machine slept. Others
 * are of another conversion of this plan, and would not be so any more once the file has its name. */
static int hold_manifests(const struct task *t, const struct batch_unit *x, const struct output *o,
	struct err *e)
{
	const struct io *io = t->b->io;
	struct stat st;
	int dir, is = 1;

	if (file_open_below(io, t->out, x->dir, &dir, e))
		return -1;
	if (!io->lstat(io, dir, MAN_NAME, &st))
		is = is_said(t, dir, x->name, o, e);
	if (!is && (file_remove(io, t->out, MAN_NAME, e) || file_remove(io, dir, MAN_NAME, e)))
		is = -1;
	(void)io->close(io, dir); /* a folder has nothing to flush */
	return is < 0 ? -1 : 0;
}

static int taken_over(const struct task *t, struct err *e)
{
	*e = (struct err){ 0 };
	return err_rule(e, RULE_JOB_RUNNING, ERR_NOPOS,
		"another process has taken task %u over: this one was taken for dead", t->o->index);
}

static int done(void *ctx, size_t folder, size_t file, const struct output *o, struct err *e)
{
	struct task *t = ctx;
	size_t u = unit_of(t, folder, file);
	const struct batch_unit *x = &t->b->units[u];

	if (lease_lost(&t->lease))
		return taken_over(t, e);
	/* What was read of a source that is another one now must get no receipt. */
	if (run_unchanged(&t->j->conversion, e))
		return -1;
	if (is_done(t, u))
		return 0; /* two processes held it, and the other was quicker */
	if (hold_manifests(t, x, o, e) || stage_move(&t->stage, x->dir, x->name, o, e) ||
		put_receipt(t, u, o, e))
		return err_at(e, "%s", receipt_path(t->b, (uint32_t)u).s);
	pthread_mutex_lock(&t->lock);
	t->r->made[u] = true;
	memcpy(t->r->sha256[u], o->sha256, 32);
	t->r->n_made++;
	t->r->n_stolen += x->task != t->o->index;
	t->r->bytes += x->bytes;
	pthread_mutex_unlock(&t->lock);
	return 0;
}

/* --- what is to be done --- */

static void look(struct task *t, size_t u)
{
	enum lease_state is;

	/* What this process has put in place is there, even where the file system still shows it otherwise. */
	if (t->r->made[u] || is_done(t, u)) {
		t->is[u] = UNIT_DONE;
		return;
	}
	is = lease_of_unit(&t->lease, (uint32_t)u, &t->number[u]);
	t->is[u] = is == LEASE_FREE ? UNIT_WANTED : is == LEASE_HELD ? UNIT_OTHERS : UNIT_UNSURE;
}

/* Looks at all units of the share, or at those of all others. Returns how many are wanted; *open: how many are not
 * done, *unsure: of these, how many somebody was at who may be gone. */
static size_t look_at(struct task *t, bool share, size_t *open, size_t *unsure)
{
	size_t u, wanted = 0;

	*open = *unsure = 0;
	for (u = 0; u < t->b->n; u++) {
		if ((t->b->units[u].task == t->o->index) != share) {
			if (t->is[u] == UNIT_WANTED)
				t->is[u] = UNIT_OTHERS; /* not in this round */
			continue;
		}
		if (t->is[u] != UNIT_DONE)
			look(t, u);
		wanted += t->is[u] == UNIT_WANTED;
		*open += t->is[u] != UNIT_DONE;
		*unsure += t->is[u] == UNIT_UNSURE;
	}
	return wanted;
}

/* --- doing it --- */

static int make_wanted(struct task *t, struct err *e)
{
	const struct run_units units = { t, mine, take, done };
	struct run_opts ro = *t->o->run;
	struct run_result r;
	uint64_t there;
	int rc;

	/* What came into OUT since plan is refused as plan would have refused it. */
	if (!t->shared &&
		(run_look(&t->j->conversion, t->b->out, false, false, &there, e) ||
			stage_share(&t->j->conversion, t->b->out, false, e)))
		return -1;
	t->shared = true;
	if (t->out < 0 && file_open_dir(t->b->io, t->b->out, &t->out, e))
		return -1;
	if (t->stage.name[0] == 0 &&
		stage_open(&t->stage, t->b->io, t->b->out, t->o->index, t->lease.number, e))
		return -1;
	ro.out = t->stage.path;
	ro.overwrite = false;
	ro.units = &units;
	rc = run_conversion(&t->j->conversion, &ro, &r, e);
	run_result_free(&r);
	return rc;
}

static int stopped(const struct task *t, struct err *e)
{
	*e = (struct err){ 0 };
	return err_rule(e, RULE_JOB_STOPPED, ERR_NOPOS,
		"interrupted; this process has made %zu files, which stay; run task %u again",
		t->r->n_made, t->o->index);
}

/* Makes all that is wanted; what the machine refuses, it tries some times for each file that it makes. */
static int make_with_tries(struct task *t, struct err *e)
{
	struct again again = { .note = t->o->note, .stop = t->o->run->stop };
	size_t made = t->r->n_made;

	while (make_wanted(t, e)) {
		if (told(t))
			return stopped(t, e);
		/* Whoever has taken the task over may have removed what this process was making. */
		if (lease_lost(&t->lease))
			return taken_over(t, e);
		if (t->r->n_made > made)
			again.failed = 0;
		made = t->r->n_made;
		/* So may finalize, which does not wait for processes whose files others have made. */
		if (stage_is_gone(&t->stage) && again.failed < AGAIN_TRIES) {
			again.failed++;
			*e = (struct err){ 0 };
		} else if (!again_worth(&again, e)) {
			return -1;
		}
		stage_close(&t->stage, false);
	}
	return 0;
}

/* Waits for others a little. */
static void wait(struct task *t, bool *said)
{
	if (!*said && t->o->note)
		t->o->note(
			"files of this task are made by another process, or were: waiting for it");
	*said = true;
	again_rest(t->lease.seconds / 8 < 1 ? t->lease.seconds / 8 : 1, t->o->run->stop);
}

static int work(struct task *t, struct err *e)
{
	size_t open, others, unsure, wanted, made;
	bool said = false;

	for (;;) {
		if (told(t))
			return stopped(t, e);
		wanted = look_at(t, true, &open, &unsure);
		unsure = 0;
		if (!wanted && t->o->steal)
			wanted = look_at(t, false, &others, &unsure);
		made = t->r->n_made;
		if (wanted && make_with_tries(t, e))
			return -1;
		if (!wanted && !open && !unsure)
			return 0;
		if (t->r->n_made == made) /* others were quicker, or their leases are seen late */
			wait(t, &said);
	}
}

static int prepare(struct task *t, struct err *e)
{
	size_t k, n = t->b->n;

	t->is = malloc(n + 1);
	t->number = calloc(n + 1, sizeof *t->number);
	t->r->made = calloc(n + 1, sizeof *t->r->made);
	t->r->sha256 = calloc(n + 1, sizeof *t->r->sha256);
	if (!t->is || !t->number || !t->r->made || !t->r->sha256)
		return err_nomem(e);
	memset(t->is, UNIT_OTHERS, n + 1);
	for (k = 0; k < n; k++)
		t->r->n_share += t->b->units[k].task == t->o->index;
	return 0;
}

static void count_done(struct task *t)
{
	size_t u;

	for (u = 0; u < t->b->n; u++)
		t->r->n_done += t->b->units[u].task == t->o->index && t->is[u] == UNIT_DONE;
}

int task_run(struct batch *b, const struct job *j, const struct task_opts *o, struct task_result *r,
	struct err *e)
{
	struct task t = { .b = b, .j = j, .o = o, .r = r, .stage.out = -1, .out = -1 };
	int rc;

	*r = (struct task_result){ 0 };
	pthread_mutex_init(&t.lock, NULL);
	rc = prepare(&t, e);
	(void)file_open_dir(b->io, b->out, &t.out, NULL); /* else nothing is done yet */
	rc = rc ? rc
		: lease_take(&t.lease, b->io, b->leases, b->id, (double)b->lease, o->index,
			  o->run->stop, e);
	if (!rc) {
		rc = work(&t, e);
		stage_close(&t.stage, false);
		lease_release(&t.lease);
		count_done(&t);
	}
	if (t.out >= 0)
		(void)b->io->close(b->io, t.out); /* a folder has nothing to flush */
	free(t.is);
	free(t.number);
	pthread_mutex_destroy(&t.lock);
	return rc;
}

void task_result_free(struct task_result *r)
{
	free(r->made);
	free(r->sha256);
	*r = (struct task_result){ 0 };
}
