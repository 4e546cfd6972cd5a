/* SPDX-License-Identifier: MIT */
#include "convert/cli/pack_call.h"

#include "convert/pack/layout.h"
#include "convert/pack/pack.h"
#include "core/cli/cli.h"
#include "core/cpu.h"

#include <stdlib.h>

static int carry_out(const struct call *o, const char *dir, const struct call_tool *tool,
	int (*way)(struct pack_done *d, const struct pack_opts *p, struct err *e), struct err *e)
{
	struct pack_opts p = { .io = io_posix(),
		.dir = dir,
		.out = o->out,
		.tool = tool->made_by,
		.threads = o->threads ? (unsigned)o->threads : cpu_count(),
		.features = cpu_features(),
		.stop = tool->stop,
		.watch = o->quiet ? NULL : tool->watch };
	struct pack_done *d;
	struct text t = { 0 };
	int rc;

	if (call_has_out(o, e))
		return -1;
	if (o->filter && !filter_by_name(o->filter, &p.filter))
		return err_set(e, ERR_USAGE, "--filter is none or e8m0");
	if (o->oci && p.filter != FILTER_NONE)
		return err_set(e, ERR_USAGE,
			"--filter is of archives: in an OCI layout each file lies as it is");
	d = malloc(sizeof *d);
	if (!d)
		return err_nomem(e);
	rc = way(d, &p, e);
	if (!rc && (o->json || !o->quiet)) {
		(o->json ? pack_put_json : pack_put_text)(&t, d);
		rc = cli_print(&t, e);
	}
	free(d);
	return rc;
}

int pack_call(const struct call *o, const char *dir, const struct call_tool *tool, struct err *e)
{
	return carry_out(o, dir, tool, o->oci ? layout_run : pack_run, e);
}

int pack_call_back(const struct call *o, const char *dir, const struct call_tool *tool,
	struct err *e)
{
	return carry_out(o, dir, tool, unpack_run, e);
}
