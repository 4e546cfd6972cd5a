/* SPDX-License-Identifier: MIT */
#include "convert/batch/receipt.h"

#include "core/file.h"
#include "formats/conversion/seal.h"
#include "formats/format_id.h"
#include "formats/json/jfield.h"
#include "formats/json/jwrite.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { RECEIPT_CAP = 1 << 16 };

static void name_of(char name[40], uint32_t u)
{
	snprintf(name, 40, "%06u.json", u);
}

struct receipt_path receipt_path(const struct batch *b, uint32_t u)
{
	const struct batch_unit *x = &b->units[u];
	struct receipt_path p;

	snprintf(p.s, sizeof p.s, "%s%s%s", x->dir, x->dir[0] ? "/" : "", x->name);
	return p;
}

int receipt_put(const struct batch *b, uint32_t u, const struct receipt *r, struct err *e)
{
	struct text t = { 0 };
	struct jwrite o;
	char name[40];
	int rc;

	jwrite_begin(&o, &t, 2);
	jwrite_open(&o, NULL, '{');
	jwrite_str(&o, "file", receipt_path(b, u).s);
	jwrite_str(&o, "format", FORMAT_RECEIPT);
	jwrite_str(&o, "host", r->host);
	jwrite_str(&o, "job", b->id);
	jwrite_u64(&o, "number", r->number);
	jwrite_u64(&o, "pid", r->pid);
	jwrite_hex(&o, "sha256", r->known.sha256, 32);
	jwrite_open(&o, "sidecar", '{');
	jwrite_u64(&o, "bytes", r->known.side_bytes);
	jwrite_hex(&o, "sha256", r->known.side_sha256, 32);
	jwrite_close(&o, '}');
	jwrite_str(&o, "source", r->verified ? "verified" : "unverified");
	jwrite_u64(&o, "task", r->task);
	jwrite_open(&o, "time", '{');
	jwrite_u64(&o, "nanoseconds", r->nanoseconds);
	jwrite_u64(&o, "seconds", r->seconds);
	jwrite_close(&o, '}');
	jwrite_u64(&o, "unit", u);
	seal_put(&o);
	jwrite_close(&o, '}');
	name_of(name, u);
	rc = t.failed ? err_nomem(e) : file_replace(b->io, b->receipts, name, t.s, t.n, e);
	text_free(&t);
	return rc;
}

struct reading {
	struct receipt r;
	uint64_t unit;
	char format[32], job[65], file[400], source[16];
	uint8_t seal[16];
};
#define AT(field) offsetof(struct reading, field)

static const struct jfield side_fields[] = {
	{ .name = "bytes", .type = JFIELD_U64, .at = AT(r.known.side_bytes) },
	{ .name = "sha256", .type = JFIELD_HEX, .at = AT(r.known.side_sha256), .room = 32 },
	{ 0 },
};
static const struct jfield time_fields[] = {
	{ .name = "nanoseconds", .type = JFIELD_U64, .at = AT(r.nanoseconds) },
	{ .name = "seconds", .type = JFIELD_U64, .at = AT(r.seconds) },
	{ 0 },
};
static const struct jfield fields[] = {
	{ .name = "file", .type = JFIELD_STRING, .at = AT(file), .room = 400 },
	{ .name = "format", .type = JFIELD_STRING, .at = AT(format), .room = 32 },
	{ .name = "host", .type = JFIELD_STRING, .at = AT(r.host), .room = 65 },
	{ .name = "job", .type = JFIELD_STRING, .at = AT(job), .room = 65 },
	{ .name = "number", .type = JFIELD_U64, .at = AT(r.number) },
	{ .name = "pid", .type = JFIELD_U64, .at = AT(r.pid) },
	{ .name = "sha256", .type = JFIELD_HEX, .at = AT(r.known.sha256), .room = 32 },
	{ .name = "sidecar", .type = JFIELD_OBJECT, .fields = side_fields },
	{ .name = "source", .type = JFIELD_STRING, .at = AT(source), .room = 16 },
	{ .name = "task", .type = JFIELD_U64, .at = AT(r.task) },
	{ .name = "time", .type = JFIELD_OBJECT, .fields = time_fields },
	{ .name = "unit", .type = JFIELD_U64, .at = AT(unit) },
	{ .name = "xxh3_128", .type = JFIELD_HEX, .at = AT(seal), .room = 16 },
	{ 0 },
};

static int read_document(struct reading *g, const struct text *t, struct err *e)
{
	int rc = seal_read(t, fields, g, e);

	if (!rc &&
		(strcmp(g->format, FORMAT_RECEIPT) ||
			(strcmp(g->source, "verified") && strcmp(g->source, "unverified"))))
		rc = jfield_wrong(e, "it is of another format");
	return rc;
}

int receipt_read(struct receipt *r, const struct batch *b, uint32_t u, struct err *e)
{
	struct reading g = { .unit = 0 };
	struct text t = { 0 };
	struct err why = { 0 };
	struct stat st;
	char name[40];
	int rc;

	name_of(name, u);
	if (b->io->lstat(b->io, b->receipts, name, &st))
		return errno == ENOENT ? 0 : err_sys(e, "cannot look at receipt %s", name);
	rc = file_load(b->io, b->receipts, name, RECEIPT_CAP, &t, e);
	if (rc) {
		text_free(&t);
		return -1;
	}
	rc = read_document(&g, &t, &why);
	text_free(&t);
	if (!rc && (strcmp(g.job, b->id) || g.unit != u || strcmp(g.file, receipt_path(b, u).s)))
		rc = jfield_wrong(&why, "it is of %s of job %.12s, not of %s of job %.12s",
			text_quote(g.file).s, g.job, receipt_path(b, u).s, b->id);
	g.r.verified = !strcmp(g.source, "verified");
	*r = g.r;
	if (!rc)
		return 1;
	return why.rule ? err_rule(e, RULE_JOB_RECEIPT, ERR_NOPOS,
				  "receipts/%s: %s; remove it, run task %u again, then finalize",
				  name, why.text, b->units[u].task)
			: err_move(e, &why);
}

bool receipt_timed(const struct receipt *r)
{
	return r->seconds || r->nanoseconds;
}

bool receipt_fits(const struct receipt *r, const struct batch *b, uint32_t u, int out)
{
	struct stat st;

	return !b->io->lstat(b->io, out, receipt_path(b, u).s, &st) && S_ISREG(st.st_mode) &&
		(uint64_t)st.st_size == b->units[u].bytes &&
		(!receipt_timed(r) ||
			((uint64_t)st.st_mtim.tv_sec == r->seconds &&
				(uint64_t)st.st_mtim.tv_nsec == r->nanoseconds));
}
