/* SPDX-License-Identifier: MIT */
#include "quant/cli/choice.h"

#include "core/cli/value.h"
#include "formats/format_id.h"
#include "formats/gguf/imatrix_digest.h"
#include "formats/model/model_id.h"
#include "quant/cli/score.h"
#include "quant/ggml_search.h"

#include <stdlib.h>
#include <string.h>

/* How often a choice is made anew where its files come out larger than thought: --shard-size moves tensors between parts. */
enum { TRIES = 8 };

/* A choice that is being made. */
struct choosing {
	struct choice *s;
	const struct choice_opts *o;
	const struct job *j;
	const struct audit *a;
	struct units units;
	struct unit_scores scores;
	struct allot_unit *u;   /* owns; [units.n] */
	struct allot_option *v; /* owns; [units.n][SCORE_TYPES] */
	uint32_t *types;        /* owns; [units.n] what was chosen; UINT32_MAX of what is fixed */
	bool *fixed, *kept; /* own; [units.n] by --recipe; by --to, since there is no importance */
	char imatrix[65];   /* SHA-256 of the file; "": none */
	struct err *e;
};

/* --- the size --- */

/* N% of the source's tensors, N with one decimal at most. */
static bool percent(const char *s, uint64_t of, uint64_t *v)
{
	uint64_t n = 0;
	const char *p = s;

	for (; *p >= '0' && *p <= '9' && n <= 1000; p++)
		n = 10 * n + (uint64_t)(*p - '0');
	if (p == s)
		return false;
	n *= 10;
	if (*p == '.' && p[1] >= '0' && p[1] <= '9') {
		n += (uint64_t)(p[1] - '0');
		p += 2;
	}
	*v = of / 1000 * n + of % 1000 * n / 1000;
	return !strcmp(p, "%") && n && n <= 1000;
}

static int read_size(struct choosing *c)
{
	const char *s = c->o->budget;

	if (strchr(s, '%') ? percent(s, c->a->ckpt->bytes, &c->s->asked)
			   : !cli_size(s, 1, UINT64_MAX, &c->s->asked, &(struct err){ 0 }))
		return 0;
	return err_rule(c->e, RULE_PLAN_BUDGET, ERR_NOPOS,
		"--budget: \"%s\" is no size: say bytes (90GB, 84G) or a part of the source's tensors (45%%, up to 100%%)",
		text_quote(s).s);
}

/* --- what is fixed, and what there is to choose --- */

/* Marks the units that the user's own lines name. */
static int find_fixed(struct choosing *c)
{
	struct job_opts own = c->o->job;
	struct text t = { 0 };
	struct mix m;
	size_t i;
	int rc;

	if (!own.recipe)
		return 0;
	own.plan.target = "gguf"; /* which has no lines itself */
	rc = job_put_recipe(c->o->io, &own, &t, c->e);
	rc = rc ? rc : mix_read(&m, t.s, t.n, own.recipe, &c->a->ckpt->config, c->e);
	text_free(&t);
	if (rc)
		return -1;
	for (i = 0; i < c->units.n; i++)
		c->fixed[i] = mix_find_at(&m, c->units.v[i].nth, c->units.v[i].place, -1) != NULL;
	mix_free(&m);
	return 0;
}

/* What a fixed unit comes to; a type that was not measured has the error 0, as the exact ones have. */
static struct unit_type as_planned(const struct choosing *c, size_t i)
{
	const struct unit *u = &c->units.v[i];
	const struct unit_type *t = unit_score_find(&c->scores.v[i], u->type);

	return t ? *t : (struct unit_type){ u->type, unit_bytes(u, u->type), 0 };
}

static void offer(struct choosing *c, size_t i)
{
	const struct unit_score *x = &c->scores.v[i];
	struct allot_option *v = c->v + i * SCORE_TYPES;
	struct unit_type t = as_planned(c, i);
	size_t k;

	c->kept[i] = !c->fixed[i] && !c->scores.gained && !c->units.v[i].experts;
	c->u[i] = (struct allot_unit){ v, c->fixed[i] || c->kept[i] ? 1 : x->n, 0 };
	v[0] = (struct allot_option){ t.bytes, t.error };
	for (k = 0; k < x->n && c->u[i].n > 1; k++)
		v[k] = (struct allot_option){ x->v[k].bytes, x->v[k].error };
	c->s->fixed += c->fixed[i];
	c->s->kept += c->kept[i];
	c->s->chosen += !c->fixed[i] && !c->kept[i];
}

static int read_imatrix(struct choosing *c)
{
	struct imatrix m;
	int rc;

	if (!c->o->job.imatrix)
		return 0;
	if (imatrix_open(&m, c->o->io, c->o->job.imatrix, c->e))
		return err_of_call(c->e, "--imatrix");
	rc = imatrix_digest(&m, c->imatrix, c->e);
	imatrix_close(&m);
	return rc ? err_of_call(c->e, "--imatrix") : 0;
}

static int read_scores(struct choosing *c)
{
	char source[65];
	const struct unit_scores_of of = { source, c->imatrix[0] ? c->imatrix : NULL,
		c->o->job.plan.drafts != DRAFTS_DROP };

	if (model_id(c->a, source, c->e) ||
		unit_scores_read(&c->scores, c->o->io, c->o->score, &c->units, &of, c->e))
		return -1;
	c->s->head = c->scores.head;
	return 0;
}

/* --- names of this program in the same measure --- */

/* What is wanted of unit i in that mix; false where it cannot be had. */
static bool mixed(const struct choosing *c, const struct mix *m, size_t i, struct unit_type *t)
{
	const struct unit *u = &c->units.v[i];
	const struct mix_line *l = m ? mix_find_at(m, u->nth, u->place, -1) : NULL;
	const struct unit_type *has;

	if (c->fixed[i]) {
		*t = as_planned(c, i);
		return true;
	}
	has = unit_score_find(&c->scores.v[i], l ? l->type : u->exact);
	if (has)
		*t = *has;
	return has != NULL;
}

static void add_mix(struct choosing *c, const struct recipe *r, const struct mix *m)
{
	struct choice_mix *x = &c->s->mixes[c->s->n_mixes];
	struct unit_type t;
	size_t i;

	*x = (struct choice_mix){ r->name, c->units.others, 0 };
	for (i = 0; i < c->units.n; i++) {
		if (!mixed(c, m, i, &t))
			return;
		x->bytes += t.bytes;
		x->error += t.error;
	}
	c->s->n_mixes++;
}

/* gguf and the mixes that leave all else as it has it. */
static int weigh_mixes(struct choosing *c)
{
	struct job_opts o = { 0 };
	const struct recipe *r;
	struct text t = { 0 };
	struct mix m;

	for (r = recipes; r->name && c->s->n_mixes < CHOICE_MIXES; r++) {
		if (strncmp(r->name, "gguf", 4) != 0)
			continue;
		o.plan.target = r->name;
		t.n = 0;
		if (job_put_recipe(c->o->io, &o, &t, c->e))
			break;
		if (!t.n) {
			add_mix(c, r, NULL);
			continue;
		}
		if (mix_read(&m, t.s, t.n, r->name, &c->a->ckpt->config, c->e))
			break;
		add_mix(c, r, &m);
		mix_free(&m);
	}
	text_free(&t);
	return c->e->kind == ERR_NONE ? 0 : -1;
}

/* --- choosing --- */

/* Whether a search makes a tensor by the importance of its columns. */
static bool weighs(const struct choosing *c)
{
	const struct unit *u;
	uint32_t type;
	size_t i;

	for (i = 0; i < c->units.n; i++) {
		u = &c->units.v[i];
		type = c->types[i] == UINT32_MAX ? u->type : c->types[i];
		if (c->scores.v[i].weighted && ggml_searched_find(u->from, type))
			return true;
	}
	return false;
}

/* The recipe of what is picked: the user's lines, then those that are chosen. */
static int write_lines(struct choosing *c)
{
	struct job_opts own = c->o->job;
	struct text *t = &c->s->recipe;
	size_t i;
	int rc = 0;

	t->n = 0;
	own.plan.target = "gguf";
	if (own.recipe) {
		rc = job_put_recipe(c->o->io, &own, t, c->e);
		text_str(t, "\n");
	} else {
		text_str(t, FORMAT_RECIPE " gguf\n");
	}
	for (i = 0; i < c->units.n; i++)
		c->types[i] = c->fixed[i] || c->kept[i] ? UINT32_MAX
							: c->scores.v[i].v[c->u[i].pick].type;
	c->s->weighs = weighs(c);
	text_fmt(t,
		"# Chosen by dsv4-quant with --budget %s of a score of model %.12s, --to %s, %s.\n",
		text_quote(c->o->budget).s, c->s->head.source, c->o->job.plan.target,
		c->s->weighs ? "with --imatrix" : "without --imatrix");
	choice_put_lines(t, &c->units, c->types, c->a);
	return rc ? rc : t->failed ? err_nomem(c->e) : 0;
}

/* Bytes of all files that a run with the recipe writes. */
static int measure(const struct choosing *c, uint64_t *bytes)
{
	struct plan_opts p = c->j->conversion.opts;
	struct job_opts o = c->o->job;
	struct conversion made;
	struct text t = { 0 };
	struct mix m = { 0 };
	int rc;

	o.recipe = "--budget";
	o.recipe_text = c->s->recipe.s;
	rc = job_put_recipe(c->o->io, &o, &t, c->e);
	rc = rc ? rc : mix_read(&m, t.s, t.n, "--budget", &c->a->ckpt->config, c->e);
	text_free(&t);
	if (rc)
		return -1;
	p.mix = &m;
	p.imatrix = NULL; /* it changes no size */
	rc = conversion_make(&made, c->a, &p, c->e);
	if (!rc) {
		*bytes = made.bytes;
		conversion_free(&made);
	}
	mix_free(&m);
	return rc;
}

/* Refuses the size, once the files of the smallest choice were measured. */
static int too_small(const struct choosing *c)
{
	return err_rule(c->e, RULE_PLAN_BUDGET, ERR_NOPOS,
		"--budget %s is %llu bytes: the smallest choice of types has %llu (%llu are of tensors that it does not choose)",
		text_quote(c->o->budget).s, (unsigned long long)c->s->asked,
		(unsigned long long)c->s->bytes, (unsigned long long)c->units.others);
}

/* Chooses for fewer and fewer bytes, until the files have no more than were asked for. The last try is the smallest choice: in parts its
 * files can be larger or smaller than thought. */
static int choose(struct choosing *c)
{
	uint64_t least = allot_least(c->u, c->units.n), over;
	uint64_t room = c->s->asked > c->s->least ? c->s->asked - c->units.others : least;
	struct allot_result r;
	int tries;

	for (tries = 1;; tries++) {
		if (allot_choose(c->u, c->units.n, room, &r, c->e) || write_lines(c) ||
			measure(c, &c->s->bytes))
			return -1;
		if (tries == 1)
			c->s->bound = r.bound;
		c->s->error = r.error;
		if (c->s->bytes <= c->s->asked)
			return 0;
		if (room == least)
			return too_small(c);
		over = c->s->bytes - c->s->asked;
		room = tries < TRIES && room - least > over ? room - over : least;
	}
}

static int frontier(struct choosing *c)
{
	struct choice *s = c->s;
	size_t i;

	if (allot_frontier(c->u, c->units.n, &s->points, &s->n_points, c->e))
		return -1;
	for (i = 0; i < s->n_points; i++)
		s->points[i].bytes += c->units.others;
	s->least = s->points[0].bytes;
	s->most = s->points[s->n_points - 1].bytes;
	return 0;
}

static int look(void *ctx, const struct job *j, const struct audit *a, struct err *e)
{
	struct choosing *c = ctx;
	size_t i, n;

	c->j = j;
	c->a = a;
	c->e = e;
	if (units_find(&c->units, j, a, e))
		return -1;
	n = c->units.n + 1;
	c->u = calloc(n, sizeof *c->u);
	c->v = calloc(n * SCORE_TYPES, sizeof *c->v);
	c->types = calloc(n, sizeof *c->types);
	c->fixed = calloc(n, sizeof *c->fixed);
	c->kept = calloc(n, sizeof *c->kept);
	if (!c->u || !c->v || !c->types || !c->fixed || !c->kept)
		return err_nomem(e);
	if (read_size(c) || find_fixed(c) || read_imatrix(c) || read_scores(c))
		return -1;
	for (i = 0; i < c->units.n; i++)
		offer(c, i);
	if (!c->s->chosen)
		return err_rule(e, RULE_PLAN_BUDGET, ERR_NOPOS,
			"--budget has nothing to choose: the recipe names every tensor that it could");
	return frontier(c) || weigh_mixes(c) || choose(c) ? -1 : 0;
}

static void free_choosing(struct choosing *c)
{
	units_free(&c->units);
	unit_scores_free(&c->scores);
	free(c->u);
	free(c->v);
	free(c->types);
	free(c->fixed);
	free(c->kept);
}

int choice_make(struct choice *s, const char *dir, const struct choice_opts *o, struct err *e)
{
	struct choosing c = { .s = s, .o = o };
	const struct job_look see = { look, &c };
	struct job_opts jo = o->job;
	struct dest out = { 0 };
	struct job j;
	int rc;

	memset(s, 0, sizeof *s);
	jo.plan.back = false; /* what is rounded has no way back */
	jo.imatrix = NULL;    /* the plan that is looked at may round nothing */
	jo.look = &see;
	if (o->recipe_out && dest_open(&out, o->io, o->recipe_out, &choice_recipe_kind, e))
		return err_at(e, "--recipe-out");
	rc = job_open(&j, o->io, dir, &jo, e);
	if (!rc)
		job_close(&j);
	if (!rc && o->recipe_out)
		rc = dest_put(&out, s->recipe.s, s->recipe.n, e);
	if (o->recipe_out)
		dest_close(&out);
	free_choosing(&c);
	if (rc)
		choice_free(s);
	return rc;
}

void choice_free(struct choice *s)
{
	free(s->points);
	text_free(&s->recipe);
	memset(s, 0, sizeof *s);
}
