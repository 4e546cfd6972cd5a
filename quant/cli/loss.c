/* SPDX-License-Identifier: MIT */
#include "quant/cli/loss.h"

#include "core/cpu.h"
#include "core/file.h"
#include "core/version.h"
#include "formats/conversion/bystander.h"
#include "formats/json/jwrite.h"
#include "verify/atlas/atlas_file.h"
#include "verify/atlas/atlas_run.h"
#include "verify/atlas/frontier.h"
#include "verify/report/page.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#define NAME BYSTANDER_ATLAS
static const char tool[] = "dsv4-quant " DSV4_VERSION;

/* --- before the run --- */

/* What no atlas is of. */
static int check_form(const struct call *o, struct err *e)
{
	const struct {
		bool asked;
		const char *why;
	} rows[] = {
		{ o->stack, "--atlas does not read tensors that have all experts (--stack)" },
		{ !strncmp(o->job.plan.target, "engram-", 7),
			"--atlas does not read tables of Engram in 4 bits" },
		{ o->job.plan.layers != NULL,
			"--atlas is of a whole model, and --layers leaves tensors out" },
		{ o->follow,
			"--atlas wants a source that is all there: after --follow, dsv4-verify atlas DIR OUT measures" },
		{ o->job.experts_from != NULL,
			"--atlas is of one source, and --experts-from names a second one" },
	};
	size_t i;

	for (i = 0; i < sizeof rows / sizeof *rows; i++)
		if (rows[i].asked)
			return err_set(e, ERR_USAGE, "%s", rows[i].why);
	return 0;
}

static struct values_opts reading(const struct call *o)
{
	return (struct values_opts){ .io = o->io,
		.header_cap = o->job.ckpt.header_cap,
		.follow_links = o->job.ckpt.follow_links,
		.features = cpu_features() };
}

static int check_source(const struct loss *l, struct err *e)
{
	const struct values_opts o = reading(l->call);
	struct values v;

	if (values_open_source(&v, l->dir, &o, e))
		return err_at(e, "--atlas");
	values_close(&v);
	return 0;
}

/* Looks at an atlas that lies in OUT already. */
static int check_old(const struct call *o, struct err *e)
{
	int dir = o->io->open(o->io, AT_FDCWD, o->out, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0), rc;

	if (dir < 0)
		return 0; /* the run says what is wrong, if anything is */
	rc = dest_may(o->io, dir, NAME, &atlas_kind, e);
	(void)o->io->close(o->io, dir); /* read only */
	return rc;
}

static int begin(struct loss *l, const struct call *o, struct err *e)
{
	if (o->page && !o->atlas)
		return err_set(e, ERR_USAGE, "--report draws what --atlas measures: say both");
	if (!o->atlas)
		return 0;
	if (check_old(o, e) || check_form(o, e))
		return -1;
	if (snprintf(l->path, sizeof l->path, "%s/" NAME, o->out) >= (int)sizeof l->path)
		return err_set(e, ERR_USAGE, "%s: the path is too long", text_quote(o->out).s);
	if (o->page && dest_is_stdout(o->page))
		return err_set(e, ERR_USAGE,
			"--report names a file: the lines of the run are printed");
	l->call = o;
	return check_source(l, e) || (o->page && dest_open(&l->page, o->io, o->page, &page_kind, e))
		? -1
		: 0;
}

int loss_begin(struct loss *l, const struct call *o, const char *dir, struct err *e)
{
	*l = (struct loss){ .dir = dir };
	if (begin(l, o, e)) {
		loss_end(l);
		return -1;
	}
	return 0;
}

void loss_end(struct loss *l)
{
	dest_close(&l->page);
	l->call = NULL;
}

/* --- behind it --- */

/* The frontier that --budget found; *f stays zeroed where there is none. */
static int find_frontier(struct frontier *f, const struct call *o, struct err *e)
{
	struct text t = { 0 };
	int rc;

	memset(f, 0, sizeof *f);
	if (!o->more_json)
		return 0;
	text_fmt(&t, "{\"budget\": %s}", o->more_json);
	rc = t.failed ? err_nomem(e) : frontier_of(f, &t, e);
	text_free(&t);
	return rc;
}

/* The next row of that section at i or behind it, i then being behind that one; NULL: there is none. */
static const struct report_row *next_of(const struct report *r, const char *section, size_t *i)
{
	while (*i < r->n_rows)
		if (!strcmp(r->rows[(*i)++].section->title, section))
			return &r->rows[*i - 1];
	return NULL;
}

static void say(const struct loss *l, const struct report *r, struct text *said, struct text *json)
{
	size_t at = 0, left = 0;
	const struct report_row *all = next_of(r, "errors", &at), *x;
	uint64_t unseen = 0;
	struct jwrite w;
	unsigned i;

	text_fmt(said, "errors of weights, read back: %s; %s\n",
		all && all->text ? all->text : "none", text_quote(l->path).s);
	while ((x = next_of(r, "not looked at", &left)) != NULL) {
		if (x->count)
			text_fmt(said, "not looked at: %llu %s: %s\n", (unsigned long long)x->count,
				x->name, x->text ? x->text : "");
		unseen += x->count;
	}
	jwrite_begin(&w, json, 0);
	jwrite_open(&w, NULL, '{');
	jwrite_open(&w, "figures", '{');
	for (i = 0; all && i < all->n_figures; i++)
		jwrite_f64(&w, all->figures[i].name, all->figures[i].value);
	jwrite_close(&w, '}');
	jwrite_str(&w, "file", NAME);
	jwrite_u64(&w, "not_looked_at", unseen);
	jwrite_close(&w, '}');
	while (json->n && json->s[json->n - 1] == '\n')
		json->s[--json->n] = 0;
}

static int write_page(struct loss *l, const struct report *r, struct err *e)
{
	struct text t = { 0 };
	int rc;

	if (!l->call->page)
		return 0;
	page_put(r, &t);
	rc = t.failed ? err_nomem(e) : dest_put(&l->page, t.s, t.n, e);
	text_free(&t);
	return rc;
}

int loss_measure(void *ctx, struct text *said, struct text *json, struct err *e)
{
	struct loss *l = ctx;
	const struct call *o = l->call;
	struct atlas_opts a = { .made_by = tool, .out = l->path };
	struct frontier f;
	struct report r;
	int rc;

	if (!o)
		return 0;
	a.measure = (struct measure_opts){ .open = reading(o),
		.threads = (unsigned)o->threads,
		.imatrix = o->job.imatrix,
		.started = l->started };
	report_begin(&r, tool, "atlas", l->dir, o->out);
	rc = find_frontier(&f, o, e);
	a.curve = f.n ? &f : NULL;
	rc = rc ? rc : atlas_run(&r, l->dir, o->out, &a, e);
	if (!rc) {
		report_sort(&r);
		say(l, &r, said, json);
		rc = write_page(l, &r, e);
	}
	rc = rc ? rc : report_finish(&r, e);
	report_free(&r);
	return rc ? err_at(e, "all files of weights are made and whole; --atlas") : 0;
}
