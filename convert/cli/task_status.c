/* SPDX-License-Identifier: MIT */
#include "convert/batch/lease.h"
#include "convert/batch/receipt.h"
#include "convert/cli/task_call.h"
#include "core/cli/cli.h"
#include "core/file.h"
#include "formats/format_id.h"
#include "formats/json/jwrite.h"

#include <stdlib.h>
#include <string.h>

/* What there is of a task. */
struct row {
	size_t files, done,
		wrong; /* of its share; wrong: a receipt that its file does not fit, or that is no receipt */
	uint64_t bytes, done_bytes;
	struct lease_said lease;
};

static void count(struct row *r, const struct batch *b, uint32_t u, int out)
{
	struct receipt rec;
	struct err ignored = { 0 };
	int is = receipt_read(&rec, b, u, &ignored);

	r->files++;
	r->bytes += b->units[u].bytes;
	if (is == 1 && receipt_fits(&rec, b, u, out)) {
		r->done++;
		r->done_bytes += b->units[u].bytes;
	} else if (is) {
		r->wrong++;
	}
}

static const char *word(const struct row *r)
{
	if (r->done == r->files)
		return "done";
	return !r->lease.number     ? "not begun"
		: r->lease.released ? "ended"
		: r->lease.gone     ? "gone"
				    : "running";
}

static void put_text(struct text *t, const struct batch *b, const struct row *rows)
{
	size_t done = 0, wrong = 0, i;

	for (i = 0; i < b->tasks; i++) {
		done += rows[i].done;
		wrong += rows[i].wrong;
	}
	text_fmt(t, "job %.12s: %s\n%zu of %zu files are done%s\n", b->id, text_quote(b->out).s,
		done, b->n, done == b->n ? ": finalize writes the manifests" : "");
	if (wrong)
		text_fmt(t, "%zu files are not what their receipts say: run their tasks again\n",
			wrong);
	for (i = 0; i < b->tasks; i++) {
		text_fmt(t, "task %zu: %s, %zu of %zu files, %s of %s", i, word(&rows[i]),
			rows[i].done, rows[i].files, text_bytes(rows[i].done_bytes).s,
			text_bytes(rows[i].bytes).s);
		if (rows[i].lease.number)
			text_fmt(t, "; process %u on %s, pid %llu, beat %llu", rows[i].lease.number,
				text_quote(rows[i].lease.host).s,
				(unsigned long long)rows[i].lease.pid,
				(unsigned long long)rows[i].lease.beats);
		text_str(t, "\n");
	}
}

static void put_json(struct text *t, const struct batch *b, const struct row *rows)
{
	struct jwrite o;
	size_t i;

	jwrite_begin(&o, t, 2);
	jwrite_open(&o, NULL, '{');
	jwrite_str(&o, "format", FORMAT_STATUS_JSON);
	jwrite_str(&o, "job", b->id);
	jwrite_str(&o, "out", b->out);
	jwrite_open(&o, "tasks", '[');
	for (i = 0; i < b->tasks; i++) {
		jwrite_open(&o, NULL, '{');
		jwrite_u64(&o, "beats", rows[i].lease.beats);
		jwrite_u64(&o, "bytes", rows[i].bytes);
		jwrite_u64(&o, "done", rows[i].done);
		jwrite_u64(&o, "files", rows[i].files);
		jwrite_str(&o, "host", rows[i].lease.host);
		jwrite_u64(&o, "processes", rows[i].lease.number);
		jwrite_str(&o, "state", word(&rows[i]));
		jwrite_u64(&o, "wrong", rows[i].wrong);
		jwrite_close(&o, '}');
	}
	jwrite_close(&o, ']');
	jwrite_close(&o, '}');
}

int task_call_status(void *opts, int n, char **args, struct err *e)
{
	const struct call *o = opts;
	struct text t = { 0 };
	struct row *rows;
	struct batch b;
	size_t i;
	int out = -1, rc = 0;

	(void)n;
	if (batch_open(&b, io_posix(), args[0], e))
		return -1;
	rows = calloc(b.tasks, sizeof *rows);
	if (!rows)
		rc = err_nomem(e);
	(void)file_open_dir(b.io, b.out, &out, NULL); /* else nothing is done */
	for (i = 0; !rc && i < b.n; i++)
		count(&rows[b.units[i].task], &b, (uint32_t)i, out);
	for (i = 0; !rc && i < b.tasks; i++)
		rc = lease_read(&rows[i].lease, b.io, b.leases, (uint32_t)i, e);
	if (!rc)
		(o->json ? put_json : put_text)(&t, &b, rows);
	if (out >= 0)
		(void)b.io->close(b.io, out); /* a folder has nothing to flush */
	free(rows);
	batch_close(&b);
	return rc ? rc : cli_print(&t, e);
}
