/* SPDX-License-Identifier: MIT */
#include "convert/follow/follow.h"

#include "convert/follow/begun.h"
#include "convert/follow/foreseen.h"
#include "convert/follow/lookout.h"
#include "convert/follow/making.h"
#include "core/cpu.h"
#include "formats/conversion/manifest.h"
#include "formats/folder/folder.h"
#include "formats/model/changed.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	ENDS = 4, /* how often the end is tried with a source that changes all the time */
	LONGER =
		30 /* times settle where a name says that a download has not ended: it may be a stale one */
};

struct follow {
	const struct follow_opts *o; /* borrows */
	struct arriving a;
	struct making m;
	struct lookout look;
	bool planned; /* a plan was made without any shard */
	bool blind;   /* no file can be made before all shards are there */
	bool plain; /* OUT is this conversion's already, or may be: no file is made beside OUT, and once all shards are
		     * verified it is a run like any other */
	bool fresh;        /* shards were verified since the last round */
	bool anew;         /* config.json and the index were read again since the last plan */
	unsigned readings; /* of them, as of the last step */
	bool is_refused;   /* the end has refused the source as it was at refused */
	uint64_t refused;  /* print of the folder */
	/* A small file that the source, as it was at lacked, has not, or false; "": none. */
	char lacks[300];
	const char *lacks_how; /* a literal: why it is needed, or what is wrong with it */
	uint64_t lacked;       /* print of the folder */
	double alive;          /* when a shard was last verified */
	unsigned ends;
	char said[700];
};

static bool told(const struct follow *f)
{
	return f->o->stop && *f->o->stop;
}

/* Whether the source, all of whose shards are verified, lacks a small file. */
static bool lacks_small(const struct follow *f)
{
	return f->lacks[0] && f->lacked == f->a.print;
}

/* Whether nothing can end but by something that comes. */
static bool waits(const struct follow *f)
{
	return !f->a.ready || arriving_count(&f->a, ARRIVAL_VERIFIED) < f->a.n || lacks_small(f);
}

static const char false_small[] = "has another SHA-256 than the published one";

/* --- what is said --- */

static void note(const struct follow *f, const char *s)
{
	if (f->o->note)
		f->o->note(s);
}

/* "3 of 7 shards: a.safetensors is not whole, b.safetensors is not there and 1 more" */
static void put_open(struct text *t, const struct follow *f, enum arrival only)
{
	const struct arriving *a = &f->a;
	size_t open = a->n - arriving_count(a, ARRIVAL_VERIFIED), i, n = 0;

	if (!a->ready) {
		text_str(t, a->want);
		return;
	}
	if (!open) {
		text_fmt(t, "%s, which %s", text_quote(f->lacks).s, f->lacks_how);
		return;
	}
	if (only != ARRIVAL_VERIFIED)
		open = arriving_count(a, only);
	text_fmt(t, "%zu of %zu shards", open, a->n);
	for (i = 0; i < a->n && n < 3; i++) {
		if (a->v[i].is == ARRIVAL_VERIFIED ||
			(only != ARRIVAL_VERIFIED && a->v[i].is != only))
			continue;
		text_fmt(t, "%s %s %s", n ? "," : ":", text_quote(a->v[i].name).s,
			arrival_says[a->v[i].is]);
		n++;
	}
	if (open > n)
		text_fmt(t, " and %zu more", open - n);
}

/* Says what is waited for, once. */
static void say_waiting(struct follow *f)
{
	struct text t = { 0 };

	if (waits(f)) {
		text_str(&t, "waiting for ");
		put_open(&t, f, ARRIVAL_VERIFIED);
	} else {
		text_str(&t,
			f->a.in_progress
				? "all shards are verified; waiting for other files, of which one is not whole or is in the list and not there"
				: "all shards are verified; waiting for the folder to be at rest");
	}
	if (f->m.n && !f->plain)
		text_fmt(&t, "; %zu of %zu files are made", f->m.n_made, f->m.n);
	if (!t.failed && strncmp(t.s, f->said, sizeof f->said - 1) != 0) {
		note(f, t.s);
		snprintf(f->said, sizeof f->said, "%s", t.s);
	}
	text_free(&t);
}

static int stopped(const struct follow *f, struct err *e)
{
	*e = (struct err){ 0 };
	return err_rule(e, RULE_FOLLOW_STOPPED, ERR_NOPOS,
		"interrupted; %zu files are made and stay; the same call verifies the shards, looks at these files and makes the rest",
		f->m.n_made);
}

static int give_up(const struct follow *f, struct err *e)
{
	bool shard = f->a.ready && arriving_count(&f->a, ARRIVAL_FALSE) > 0;
	bool is_false = shard || (!f->a.ready && f->a.want_false) ||
		(lacks_small(f) && f->lacks_how == false_small);
	struct text t = { 0 };

	put_open(&t, f, shard ? ARRIVAL_FALSE : ARRIVAL_VERIFIED);
	if (t.failed) {
		text_free(&t);
		return err_nomem(e);
	}
	err_rule(e, is_false ? RULE_SOURCE_SHA256 : RULE_FOLLOW_MISSING, ERR_NOPOS,
		"nothing has changed for %.0f s; %s %s; %zu files are made and stay", f->o->timeout,
		is_false ? "not used, and no better one came:" : "missing:", t.s, f->m.n_made);
	text_free(&t);
	return -1;
}

/* --- planning what is not there yet --- */

/* Whether shards that were verified are, as the job has opened them, what they were then. Others are to be looked at again. */
static bool hold(struct follow *f, const struct job *j, bool all)
{
	const struct shard *s;
	struct coming *c;
	bool same = true;
	size_t i;

	for (i = 0; i < j->c.n_shards; i++) {
		s = &j->c.shards[i];
		c = arriving_find(&f->a, s->name);
		if (c && c->is == ARRIVAL_VERIFIED && arriving_same(&c->st, &s->st))
			continue;
		if (c && c->is == ARRIVAL_VERIFIED)
			c->is = ARRIVAL_GROWING;
		else if (!all)
			continue;
		same = false;
	}
	return same;
}

static int go_blind(struct follow *f, const char *why)
{
	char s[800];

	f->blind = true;
	snprintf(s, sizeof s, "files are made when all shards are there: %.600s", why);
	note(f, s);
	return 0;
}

/* Whether the source as it is now would be planned, too, once it is whole: what is wrong with the call is told at once. */
static bool is_call(const struct err *e)
{
	return e->kind == ERR_USAGE || e->kind == ERR_UNSUPPORTED;
}

/* Whether OUT is refused for what lies in it. */
static bool is_of_out(const struct err *why)
{
	return why->rule == rules[RULE_OUT_OTHER].id || why->rule == rules[RULE_OUT_FOREIGN].id;
}

/* Whether OUT may be refused because small files, or shards, are not there yet. */
static bool may_be_ours(const struct err *why, const struct begun *b)
{
	bool known = why->rule == rules[RULE_OUT_OTHER].id || b->n || !b->manifest;

	return is_of_out(why) && known && !b->other;
}

/* The first plan: holds OUT to it. */
static int look_at_out(struct follow *f, const struct job *j, struct err *e)
{
	size_t needs = making_needs_all(&j->conversion);
	struct err why = { 0 };
	struct begun b;
	char s[300];
	uint64_t there;
	int rc = run_look(&j->conversion, f->o->out, false, false, &there, &why);

	f->planned = true;
	if (begun_look(&b, &j->conversion, f->o->out, e))
		return -1;
	f->plain = b.any && (!rc || may_be_ours(&why, &b));
	if (f->plain && rc)
		note(f, "OUT holds a conversion; whether it is this one is known when all of the source is there, and until then nothing in OUT is changed");
	if (f->plain)
		return 0;
	if (!rc && needs && f->a.n > 1) {
		snprintf(s, sizeof s,
			"%zu of %llu files are made of all shards, so at the end; until then shards are verified",
			needs, (unsigned long long)j->conversion.files);
		note(f, s);
	}
	return rc ? err_move(e, &why) : 0;
}

static int make_some(struct follow *f, struct job *j, struct err *e)
{
	struct err why = { 0 };
	bool same;

	if (making_plan(&f->m, j, &same, e))
		return -1;
	if (!same && !f->anew)
		return go_blind(f, "a header is not what config.json and the index let expect");
	f->anew = false;
	if (!f->planned)
		return look_at_out(f, j, e);
	if (hold(f, j, false) && !making_round(&f->m, j, &f->a, &why))
		return 0;
	/* What was changed is verified once more, and what was not is made in the next round. */
	f->fresh = true;
	if (!why.kind)
		return 0;
	return why.rule == rules[RULE_CKPT_CHANGED].id || ckpt_touched(&why) ? 0
									     : err_move(e, &why);
}

/* Plans with what is there, and makes what can be made. */
static int round_of(struct follow *f, struct err *e)
{
	struct foreseen seen;
	struct job_opts jo = *f->o->job;
	struct err why = { 0 };
	struct job j;
	int rc;

	f->fresh = false;
	jo.source_sha256 = NULL;
	if (foreseen_open(&seen, &f->a, jo.assume, &why) ||
		job_open(&j, &seen.pass.io, f->o->dir, &jo, &why)) {
		rc = !f->planned && is_call(&why) ? err_move(e, &why) : go_blind(f, why.text);
		f->planned = true;
	} else {
		rc = make_some(f, &j, e);
		job_close(&j);
	}
	foreseen_close(&seen);
	return rc;
}

/* --- the end --- */

static int expect(const struct follow *f, struct job *j, struct err *e)
{
	const struct coming *c;
	size_t i;

	if (j->has_expected)
		expected_free(&j->expected);
	j->expected.sha256 = calloc(j->c.n_shards + 1, sizeof *j->expected.sha256);
	j->has_expected = j->expected.sha256 != NULL;
	if (!j->has_expected)
		return err_nomem(e);
	for (i = 0; i < j->c.n_shards; i++) {
		c = arriving_find(&f->a, j->c.shards[i].name);
		if (!c)
			return err_rule(e, RULE_FOLLOW_UNPUBLISHED, ERR_NOPOS,
				"%s is not in the index", text_quote(j->c.shards[i].name).s);
		memcpy(j->expected.sha256[i], c->sha256, 32);
	}
	return 0;
}

static int run_plain(struct follow *f, struct job *j, struct run_result *r, struct err *e)
{
	struct run_opts ro = { .out = f->o->out,
		.tool = f->o->tool,
		.features = cpu_features(),
		.expected = &j->expected,
		.stop = f->o->stop };
	int rc;

	if (budget_make(&j->b, &j->conversion, true, f->o->job->threads, f->o->job->max_memory, e))
		return -1;
	ro.budget = j->b;
	ro.progress = progress_start(f->o->watch, "converting", run_work(&j->conversion, &ro));
	rc = run_conversion(&j->conversion, &ro, r, e);
	progress_stop(ro.progress);
	return rc;
}

/* Makes what is left and puts all in place; the hashes of j are its own again after the round. */
static int make_rest(struct follow *f, struct job *j, struct run_result *r, struct err *e)
{
	char(*hash)[65] = calloc(j->conversion.n + 1, sizeof *hash);
	bool same;
	size_t k;
	int rc = hash ? 0 : err_nomem(e);

	for (k = 0; !rc && k < j->conversion.n; k++)
		memcpy(hash[k], j->conversion.folders[k].hash, sizeof *hash);
	rc = rc ? rc : making_plan(&f->m, j, &same, e);
	rc = rc ? rc : making_round(&f->m, j, &f->a, e);
	for (k = 0; !rc && k < j->conversion.n; k++)
		memcpy(j->conversion.folders[k].hash, hash[k], sizeof *hash);
	rc = rc ? rc : making_finish(&f->m, j, r, e);
	free(hash);
	return rc;
}

/* A shard that was verified had another digest when a run read it: it was written meanwhile. All are verified once more. */
static void doubt(struct follow *f)
{
	size_t i;

	for (i = 0; i < f->a.n; i++)
		if (f->a.v[i].is == ARRIVAL_VERIFIED)
			f->a.v[i].is = ARRIVAL_GROWING;
}

/* Returns 0 where the source that is refused as it is now, for why, is to rest longer than usual before this is the end. */
static int give_time(struct follow *f, struct err *why, struct err *e)
{
	char s[800];

	if (f->is_refused && f->refused == f->a.print)
		return err_move(e, why);
	f->is_refused = true;
	f->refused = f->a.print;
	snprintf(s, sizeof s, "the source is refused as it is, and may still change: %.600s",
		why->text);
	note(f, s);
	return 0;
}

/* The source is refused as it is now, for why. Its index, say, may not be its last one: the folder is to rest longer than
 * usual before this is the end. Returns 0 where it is to be looked at again. */
static int refuse(struct follow *f, struct err *why, struct err *e)
{
	return is_call(why) || why->kind == ERR_SYSTEM ? err_move(e, why) : give_time(f, why, e);
}

/* A small file of that name is waited for as shards are. Returns 0. */
static int lack(struct follow *f, const char *name, const char *how)
{
	snprintf(f->lacks, sizeof f->lacks, "%s", name);
	f->lacks_how = how;
	f->lacked = f->a.print;
	return 0;
}

/* OUT is refused, for why, although all shards are verified. Returns 0 where a small file that it was made with is not there:
 * it is waited for as shards are; and where nothing says which ones it was made with, some time is given. */
static int refuse_out(struct follow *f, const struct job *j, struct err *why, struct err *e)
{
	struct begun b;

	if (begun_look(&b, &j->conversion, f->o->out, e))
		return -1;
	if (!may_be_ours(why, &b) || (b.manifest && !b.n))
		return err_move(e, why);
	if (!b.n)
		return give_time(f, why, e);
	return lack(f, b.name, "OUT was made with");
}

/* The source has changed, or was refused, after all was verified. Returns 0 where it is to be looked at again. */
static int try_again(struct follow *f, struct err *why, struct err *e)
{
	bool changed = why->rule == rules[RULE_CKPT_CHANGED].id || ckpt_touched(why);

	if (why->rule == rules[RULE_SOURCE_SHA256].id)
		doubt(f);
	else if (!changed)
		return err_move(e, why);
	if (++f->ends < ENDS)
		return 0;
	if (!changed)
		return err_move(e, why);
	return err_rule(e, RULE_FOLLOW_MISSING, ERR_NOPOS,
		"the source was changed %d times while the last files were made of it: %s", ENDS,
		why->text);
}

/* Returns 1 when all is done; 0 where the source has changed and is to be looked at again. */
static int end(struct follow *f, struct job *j, struct run_result *r, struct err *e)
{
	struct job_opts jo = *f->o->job;
	char name[LINK_NAME] = "";
	struct err why = { 0 };
	int rc;

	*r = (struct run_result){ 0 };
	jo.source_sha256 = NULL;
	if (job_open(j, f->o->io, f->o->dir, &jo, &why))
		return refuse(f, &why, e);
	if (!hold(f, j, true))
		rc = err_rule(&why, RULE_CKPT_CHANGED, ERR_NOPOS,
			"shards, or their list, were changed while they were read");
	else if (job_hold_smalls(j, &f->a.sums, name, &why))
		rc = -1;
	else if (expect(f, j, &why))
		rc = -1;
	else
		rc = f->plain ? run_plain(f, j, r, &why) : make_rest(f, j, r, &why);
	if (!rc)
		return 1;
	run_result_free(r);
	if (name[0] && why.rule == rules[RULE_SOURCE_SHA256].id)
		rc = lack(f, name, false_small);
	else
		rc = f->plain && is_of_out(&why) ? refuse_out(f, j, &why, e)
						 : try_again(f, &why, e);
	job_close(j);
	return rc;
}

/* --- the whole --- */

/* Seconds that the folder is to be at rest before the end. */
static double rest_of(const struct follow *f)
{
	double once = f->o->settle, longer = once * LONGER;

	if (f->a.in_progress)
		return longer;
	if (!f->is_refused || f->refused != f->a.print)
		return once;
	if (f->o->timeout < longer)
		longer = f->o->timeout;
	return longer > once ? longer : once;
}

static bool is_settled(const struct follow *f)
{
	return progress_now() - f->a.quiet >= rest_of(f);
}

/* Seconds until something is to be done although nothing changes. */
static double until(const struct follow *f)
{
	double now = progress_now(), last = f->alive > f->a.quiet ? f->alive : f->a.quiet,
	       left = f->o->timeout - (now - last);
	double rest = f->a.quiet + rest_of(f) - now;
	size_t i;

	if (!waits(f))
		return rest;
	for (i = 0; i < f->a.n; i++)
		if (f->a.v[i].is == ARRIVAL_WHOLE && f->a.v[i].again - now < left)
			left = f->a.v[i].again - now;
	return left > 0.01 ? left : 0.01;
}

static int verify(struct follow *f, size_t *n, struct err *e)
{
	struct progress *p;
	uint64_t bytes = 0;
	size_t i;
	int rc;

	for (i = 0; i < f->a.n; i++)
		bytes += f->a.v[i].is == ARRIVAL_WHOLE ? (uint64_t)f->a.v[i].st.st_size : 0;
	*n = 0;
	if (!bytes)
		return 0;
	p = progress_start(f->o->watch, "verifying", bytes);
	rc = arriving_verify(&f->a, f->o->threads, p, f->o->stop, n, e);
	progress_stop(p);
	if (*n) {
		f->fresh = true;
		f->alive = progress_now();
	}
	return rc;
}

/* Config.json or the index was replaced: what was concluded from them is concluded anew. */
static void begin_anew(struct follow *f)
{
	f->anew = f->readings > 0;
	f->readings = f->a.readings;
	f->planned = f->blind = f->plain = false;
	f->fresh = true;
}

/* Does what can be done now. Returns 1 when all is done, 0 where something is to be waited for, 2 where it is to be looked at
 * once more, -1. */
static int step_on(struct follow *f, struct job *j, struct run_result *r, struct err *e)
{
	size_t n = 0;
	int rc;

	if (arriving_look(&f->a, e))
		return -1;
	if (!f->a.ready)
		return 0;
	if (f->readings != f->a.readings)
		begin_anew(f);
	if (!f->planned && round_of(f, e))
		return -1;
	if (verify(f, &n, e))
		return -1;
	if (!f->plain && f->fresh && !f->blind && !told(f) && round_of(f, e))
		return -1;
	if (n)
		return 2;
	if (waits(f))
		return 0;
	if (!is_settled(f) || told(f))
		return 0;
	rc = end(f, j, r, e);
	return rc ? rc : 2;
}

static int loop(struct follow *f, struct job *j, struct run_result *r, struct err *e)
{
	double last;
	int rc;

	for (;;) {
		rc = step_on(f, j, r, e);
		if (rc == 1)
			return 0;
		if (told(f))
			return stopped(f, e);
		if (rc < 0)
			return -1;
		if (rc == 2)
			continue;
		last = f->alive > f->a.quiet ? f->alive : f->a.quiet;
		if (progress_now() - last >= f->o->timeout && waits(f))
			return give_up(f, e);
		say_waiting(f);
		lookout_wait(&f->look, until(f), f->o->stop);
	}
}

static void watch_folders(struct follow *f)
{
	static const char *const below[] = { "", "/../../blobs", "/.cache/huggingface/download" };
	char path[4200];
	size_t i;

	lookout_open(&f->look, f->o->io);
	for (i = 0; i < sizeof below / sizeof *below; i++) {
		snprintf(path, sizeof path, "%.4000s%s", f->o->dir, below[i]);
		lookout_add(&f->look, path);
	}
}

int follow_run(const struct follow_opts *o, struct job *j, struct run_result *r, struct err *e)
{
	struct follow f = { .o = o, .m = { .o = o, .stage.out = -1 }, .alive = progress_now() };
	int rc;

	*r = (struct run_result){ 0 };
	memset(j, 0, sizeof *j);
	if (arriving_open(&f.a, o->io, o->dir, o->job->ckpt.follow_links, o->job->source_sha256, e))
		return -1;
	if (folder_not_freed(o->io, f.a.dir, o->dir, e)) {
		arriving_close(&f.a);
		return -1;
	}
	watch_folders(&f);
	rc = loop(&f, j, r, e);
	lookout_close(&f.look);
	making_free(&f.m);
	arriving_close(&f.a);
	return rc;
}
