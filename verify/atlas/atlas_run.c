/* SPDX-License-Identifier: MIT */
#include "verify/atlas/atlas_run.h"

#include "core/file.h"
#include "formats/conversion/atlas_head.h"
#include "verify/atlas/atlas_file.h"
#include "verify/atlas/curve.h"
#include "verify/atlas/tell.h"

/* --- files --- */

static int show(struct report *r, const char *one, const char *other, const struct atlas_opts *o,
	struct err *e)
{
	const struct io *io = o->measure.open.io;
	struct atlas a = { 0 }, b = { 0 };
	int rc;

	if (o->out || o->measure.imatrix || o->frontier)
		return err_set(e, ERR_USAGE,
			"-o, --imatrix and --frontier are of a SOURCE and OUT that are measured: %s is an atlas already",
			text_quote(one).s);
	if (other && !atlas_is_file(io, other))
		return err_set(e, ERR_USAGE,
			"%s is an atlas, and %s is none: give two atlases, or SOURCE and OUT",
			text_quote(one).s, text_quote(other).s);
	rc = atlas_read(&a, io, one, e) || (other && atlas_read(&b, io, other, e)) ? -1 : 0;
	rc = rc ? rc : other ? tell_two(r, &a, &b, e) : tell_atlas(r, &a, e);
	atlas_free(&a);
	atlas_free(&b);
	return rc;
}

/* --- folders --- */

static int write_out(const struct atlas *a, const char *made_by, struct dest *to, struct err *e)
{
	struct text t = { 0 };
	int rc = atlas_put(a, made_by, &t, e);

	rc = rc ? rc : dest_put(to, t.s, t.n, e);
	text_free(&t);
	return rc;
}

/* Digests what the manifest of the result lists. Without one that can be read nothing is said of its files. */
static int find_made(struct atlas *a, const struct io *io, const char *out, struct err *e)
{
	struct err why = { 0 };
	struct text t = { 0 };
	struct manifest m;
	int dir, rc = 0;

	if (file_open_dir(io, out, &dir, NULL))
		return 0; /* it is a file */
	if (!file_load(io, dir, MAN_NAME, MANIFEST_CAP, &t, &why) && !manifest_read(&m, &t, &why)) {
		a->has_made = true;
		rc = atlas_head_files(&a->made, &m, e);
		manifest_free(&m);
	}
	text_free(&t);
	(void)io->close(io, dir); /* read only */
	return rc;
}

static int make(struct report *r, const char *source, const char *out, const struct atlas_opts *o,
	struct err *e)
{
	struct measure_opts m = o->measure;
	struct atlas a = { 0 };
	struct dest to = { 0 };
	const struct frontier *curve = o->curve;
	struct frontier f;
	int rc;

	if (o->frontier) {
		if (frontier_read(&f, m.open.io, o->frontier, e))
			return -1;
		curve = &f;
	}
	m.model = curve ? curve->model : NULL;
	if (o->out && dest_open(&to, o->measure.open.io, o->out, &atlas_kind, e))
		return err_of_call(e, "-o");
	rc = atlas_measure(&a, r, source, out, &m, e);
	rc = rc ? rc : find_made(&a, o->measure.open.io, out, e);
	if (!rc && o->out)
		rc = write_out(&a, o->made_by, &to, e);
	rc = rc ? rc : tell_atlas(r, &a, e);
	if (!rc && curve)
		curve_put(r, curve, a.files);
	dest_close(&to);
	atlas_free(&a);
	return rc;
}

int atlas_run(struct report *r, const char *source, const char *other, const struct atlas_opts *o,
	struct err *e)
{
	if (atlas_is_file(o->measure.open.io, source))
		return show(r, source, other, o, e);
	if (!other)
		return err_set(e, ERR_USAGE,
			"of which result? Give SOURCE and OUT, or a file that atlas -o has written");
	return make(r, source, other, o, e);
}
