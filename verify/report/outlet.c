/* SPDX-License-Identifier: MIT */
#include "verify/report/outlet.h"

#include "core/cli/cli.h"
#include "verify/report/junit.h"
#include "verify/report/page.h"

#include <string.h>

void outlet_close(struct outlet *x)
{
	dest_close(&x->junit);
	dest_close(&x->page);
}

/* stdout takes one document. */
static bool to_stdout(const char *path)
{
	return path && dest_is_stdout(path);
}

int outlet_open(struct outlet *x, const struct outlet_opts *o, struct err *e)
{
	memset(x, 0, sizeof *x);
	x->o = o;
	if (o->json + to_stdout(o->junit) + to_stdout(o->page) + to_stdout(o->fixed) > 1)
		return err_set(e, ERR_USAGE,
			"only one of --json, --junit -, --report - and --fix-config - can be printed");
	if ((o->junit && dest_open(&x->junit, io_posix(), o->junit, &junit_kind, e)) ||
		(o->page && dest_open(&x->page, io_posix(), o->page, &page_kind, e))) {
		outlet_close(x);
		return -1;
	}
	return 0;
}

static int put_file(struct dest *d, struct text *t, struct err *e)
{
	int rc = t->failed ? err_nomem(e) : dest_put(d, t->s, t->n, e);

	text_free(t);
	return rc;
}

int outlet_put(struct outlet *x, const struct report *r, struct err *e)
{
	const struct outlet_opts *o = x->o;
	bool taken = to_stdout(o->junit) || to_stdout(o->page) || to_stdout(o->fixed);
	struct text t = { 0 };
	int rc;

	if (o->json)
		report_put_json(r, &t);
	else if (!taken)
		report_put_text(r, o->quiet, &t);
	rc = cli_print(&t, e);
	if (!rc && o->junit) {
		junit_put(r, &t);
		rc = put_file(&x->junit, &t, e);
	}
	if (!rc && o->page) {
		page_put(r, &t);
		rc = put_file(&x->page, &t, e);
	}
	return rc;
}
