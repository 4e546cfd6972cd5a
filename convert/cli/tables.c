/* SPDX-License-Identifier: MIT */
#include "convert/cli/tables.h"

#include "convert/plan/target.h"
#include "formats/format_id.h"
#include "formats/layout/engine.h"
#include "formats/layout/rowrec.h"
#include "formats/json/jwrite.h"
#include "formats/model/family.h"

static const char *const split_name[] = { [SPLIT_NONE] = "-",
	[SPLIT_ROWS] = "rows",
	[SPLIT_COLS] = "columns",
	[SPLIT_EXPERTS] = "experts" };

static const char *storage_of(const struct role *r)
{
	return r->store == STORE_PLAIN    ? dtypes[r->dtype].name
		: r->store == STORE_DENSE ? "FP8"
		: r->store == STORE_TABLE ? "table"
					  : "expert";
}

void tables_roles_text(struct text *out)
{
	const struct family *const *f;
	const struct role *r;

	for (f = families; *f; f++) {
		text_fmt(out, "%s%s, model_type %s; FP8 has a scale for %u x %u:\n\n",
			f == families ? "" : "\n", (*f)->what, (*f)->name, codecs[(*f)->dense].rows,
			codecs[(*f)->dense].cols);
		text_fmt(out, "%-38s %-7s %-22s %-8s %s\n", "name", "storage", "shape", "split",
			"meaning");
		for (r = (*f)->roles; r < (*f)->roles + (*f)->n_roles; r++)
			text_fmt(out, "%-38s %-7s %-22s %-8s %s\n", r->name, storage_of(r),
				r->shape, split_name[r->split], r->what);
	}
}

static void put_role(struct jwrite *o, const struct family *f, const struct role *r)
{
	jwrite_open(o, NULL, '{');
	jwrite_str(o, "meaning", r->what);
	jwrite_str(o, "model_type", f->name);
	jwrite_str(o, "name", r->name);
	jwrite_str(o, "shape", r->shape);
	jwrite_str(o, "split", split_name[r->split]);
	jwrite_str(o, "storage", storage_of(r));
	jwrite_close(o, '}');
}

void tables_roles_json(struct text *out)
{
	const struct family *const *f;
	const struct role *r;
	struct jwrite o;

	jwrite_begin(&o, out, 2);
	jwrite_open(&o, NULL, '{');
	jwrite_str(&o, "format", FORMAT_ROLES_JSON);
	jwrite_open(&o, "roles", '[');
	for (f = families; *f; f++)
		for (r = (*f)->roles; r < (*f)->roles + (*f)->n_roles; r++)
			put_role(&o, *f, r);
	jwrite_close(&o, ']');
	jwrite_close(&o, '}');
}

void tables_targets_text(struct text *out)
{
	const struct target *t;
	const struct engine *g;

	for (t = targets; t->name; t++)
		text_fmt(out, "%-16s %s\n", t->name, t->what);
	for (g = engines; g < engines + n_engines; g++)
		text_fmt(out,
			"%-16s %s\n%-16s values %s as %s [E,%s]; scales %s as %s [E,%s]\n%-16s "
			"rows %s, w2 %s; scale bytes %u to %u%s\n",
			g->name, g->what, "", g->values, dtypes[g->dtype].name, g->shape, g->scales,
			dtypes[g->scale_dtype].name, g->scale_shape, "", g->w13, g->w2, g->e_min,
			g->e_max, g->experimental ? "; experimental" : "");
	text_fmt(out,
		"Engines: everything but the routed experts keeps its official form, dense FP8 too.\n");
}

static void put_engine(struct jwrite *o, const struct engine *g)
{
	jwrite_open(o, NULL, '{');
	jwrite_str(o, "dense", "official"); /* none of them lays out anything but experts */
	jwrite_bool(o, "experimental", g->experimental);
	jwrite_str(o, "meaning", g->what);
	jwrite_str(o, "name", g->name);
	jwrite_str(o, "rows_w13", g->w13);
	jwrite_str(o, "rows_w2", g->w2);
	jwrite_str(o, "scale_dtype", dtypes[g->scale_dtype].name);
	jwrite_u64(o, "scale_max", g->e_max);
	jwrite_u64(o, "scale_min", g->e_min);
	jwrite_str(o, "scale_shape", g->scale_shape);
	jwrite_str(o, "scales", g->scales);
	jwrite_str(o, "value_dtype", dtypes[g->dtype].name);
	jwrite_str(o, "value_shape", g->shape);
	jwrite_str(o, "values", g->values);
	jwrite_close(o, '}');
}

void tables_targets_json(struct text *out)
{
	const struct target *t;
	const struct engine *g;
	struct jwrite o;

	jwrite_begin(&o, out, 2);
	jwrite_open(&o, NULL, '{');
	jwrite_str(&o, "format", FORMAT_TARGETS_JSON);
	jwrite_open(&o, "targets", '[');
	for (t = targets; t->name; t++) {
		jwrite_open(&o, NULL, '{');
		jwrite_str(&o, "meaning", t->what);
		jwrite_str(&o, "name", t->name);
		jwrite_close(&o, '}');
	}
	for (g = engines; g < engines + n_engines; g++)
		put_engine(&o, g);
	jwrite_close(&o, ']');
	jwrite_close(&o, '}');
}

static const char *const holds_name[] = {
	[TILE_FP4] = "fp4", [TILE_FP8] = "fp8", [TILE_SF] = "scales", [TILE_SF128] = "scales128"
};
static const char *const status_name[] = { [TILE_EXECUTED] = "executed",
	[TILE_EMULATED] = "emulated",
	[TILE_OURS] = "ours",
	[TILE_READ] = "read" };

void tables_layouts_text(struct text *out)
{
	const struct tile *t;
	const struct rowmap *m;
	const struct rowrec *r;

	text_fmt(out, "%-22s %-7s %-9s %-8s %s\n", "layout", "version", "holds", "checked",
		"meaning (read by)");
	for (t = tiles; t < tiles + n_tiles; t++)
		text_fmt(out, "%-22s %-7u %-9s %-8s %s (%s)\n", t->name, t->version,
			holds_name[t->holds], status_name[t->status], t->what, t->engine);
	text_fmt(out, "\n%-22s %-7s %s\n", "row order", "parts", "meaning");
	for (m = rowmaps; m < rowmaps + n_rowmaps; m++)
		text_fmt(out, "%-22s %-7u %s\n", m->name, m->parts, m->what);
	text_fmt(out, "\n%-22s %-7s %s\n", "row of a table", "unit", "meaning");
	for (r = rowrecs; r < rowrecs + n_rowrecs; r++)
		text_fmt(out, "%-22s %-7u %s\n", r->name, r->unit, r->what);
}

static void put_layout(struct jwrite *o, const struct tile *t)
{
	jwrite_open(o, NULL, '{');
	jwrite_u64(o, "bits", t->bits);
	jwrite_str(o, "checked", status_name[t->status]);
	jwrite_u64(o, "columns_by", t->col_unit);
	jwrite_str(o, "holds", holds_name[t->holds]);
	jwrite_str(o, "meaning", t->what);
	jwrite_str(o, "name", t->name);
	jwrite_bool(o, "pads", t->pads);
	jwrite_str(o, "read_by", t->engine);
	jwrite_u64(o, "rows_by", t->row_unit);
	jwrite_u64(o, "version", t->version);
	jwrite_close(o, '}');
}

void tables_layouts_json(struct text *out)
{
	const struct tile *t;
	const struct rowmap *m;
	const struct rowrec *r;
	struct jwrite o;

	jwrite_begin(&o, out, 2);
	jwrite_open(&o, NULL, '{');
	jwrite_str(&o, "format", FORMAT_LAYOUTS_JSON);
	jwrite_open(&o, "layouts", '[');
	for (t = tiles; t < tiles + n_tiles; t++)
		put_layout(&o, t);
	jwrite_close(&o, ']');
	jwrite_open(&o, "records", '[');
	for (r = rowrecs; r < rowrecs + n_rowrecs; r++) {
		jwrite_open(&o, NULL, '{');
		jwrite_str(&o, "meaning", r->what);
		jwrite_str(&o, "name", r->name);
		jwrite_u64(&o, "unit", r->unit);
		jwrite_close(&o, '}');
	}
	jwrite_close(&o, ']');
	jwrite_open(&o, "row_orders", '[');
	for (m = rowmaps; m < rowmaps + n_rowmaps; m++) {
		jwrite_open(&o, NULL, '{');
		jwrite_str(&o, "meaning", m->what);
		jwrite_str(&o, "name", m->name);
		jwrite_u64(&o, "parts", m->parts);
		jwrite_close(&o, '}');
	}
	jwrite_close(&o, ']');
	jwrite_close(&o, '}');
}
