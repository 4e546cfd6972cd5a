/* SPDX-License-Identifier: MIT */
#include "quant/lib/laid.h"

#include "formats/conversion/stack.h"
#include "formats/layout/rowrec.h"
#include "formats/model/engram.h"

#include <string.h>

/* --- stacks --- */

/* Rows and bytes of a row of one matrix: w1 and w3 are I x D, w2 is D x I, and a range says what was taken of each.
 * Returns false where no matrix has so many. */
static bool matrix_of(const struct config *c, const struct sidecar_tensor *t, struct dsv4_stack *s,
	bool scales)
{
	uint64_t rows = t->parts == 2 ? c->I : c->D, cols = t->parts == 2 ? c->D : c->I;

	rows = (t->row[1] ? t->row[1] - t->row[0] : rows) * t->parts;
	s->rows = (uint32_t)rows;
	s->row_bytes = t->col[1] ? t->col[1] - t->col[0]
		: scales         ? cols / codecs[CODEC_MXFP4].cols
				 : codec_row_bytes(CODEC_MXFP4, cols);
	return rows && rows <= UINT32_MAX;
}

/* A tensor that is laid out must be what the target makes of its experts, in a layout of this version. */
static int take_stack(struct handle_tensor *out, const struct config *c, const struct sidecar *s,
	const struct sidecar_tensor *t, struct err *e)
{
	struct stack is = { .s = s, .t = t, .scale = t->scaled };
	char why[256];

	out->tile = is.tile = tile_find(t->layout);
	out->map = is.map = rowmap_find(t->map);
	if (!is.tile || !is.map || t->version != is.tile->version)
		return err_rule(e, RULE_SET_LAYOUT, ERR_NOPOS,
			"it lies in layout %s version %u with rows %s, of which this library "
			"(%s) knows %s",
			text_quote(t->layout).s, t->version, text_quote(t->map).s, DSV4_LIB_VERSION,
			!is.tile          ? "no such layout"
				: !is.map ? "no such order"
					  : "another version");
	out->scales = t->scaled;
	out->stack = (struct dsv4_stack){ .layout = is.tile->name,
		.version = is.tile->version,
		.order = is.map->name,
		.parts = t->parts,
		.count = t->parts ? t->n / t->parts : 0 };
	if (!out->stack.count || t->parts != is.map->parts || t->n % t->parts ||
		!matrix_of(c, t, &out->stack, t->scaled))
		return err_rule(e, RULE_SET_FORM, ERR_NOPOS, "it is no whole number of matrices");
	out->stack.bytes = (t->end - t->begin) / out->stack.count;
	is.rows = out->stack.rows;
	is.cols = out->stack.row_bytes;
	if (!stack_fits(&is, s->target, why, sizeof why))
		return err_rule(e, RULE_SET_FORM, ERR_NOPOS, "%s", why);
	out->is.stack = &out->stack;
	return 0;
}

/* --- records --- */

/* Rows of a table with their scales behind them; out->is is what the sidecar says of the tensor. */
static int take_records(struct handle_tensor *out, const struct config *c, const char *layout,
	struct err *e)
{
	const struct rowrec *r = rowrec_find(layout);
	const struct rowrec_dim d = { codec_row_bytes(CODEC_FP8_ROW, c->EH),
		c->EH / codecs[CODEC_FP8_ROW].cols };
	uint64_t layer = engram_layer(out->is.name);
	struct rowrec_dim in;
	struct engram_share h;
	const char *word;

	if (!r)
		return err_rule(e, RULE_SET_LAYOUT, ERR_NOPOS,
			"its records lie in layout %s, of which this library (%s) knows nothing",
			text_quote(layout).s, DSV4_LIB_VERSION);
	word = engram_record_of(&h, out->is.name);
	if (!word || strcmp(word, r->tensor) != 0 || engram_share_rows(&h, c, layer))
		return err_rule(e, RULE_SET_FORM, ERR_NOPOS,
			"config.json has no table that such records are of");
	if (out->dtype != DT_U8 || out->is.rank != 2 || out->is.shape[0] != h.end - h.first ||
		out->is.shape[1] != rowrec_bytes(r, d))
		return err_rule(e, RULE_SET_FORM, ERR_NOPOS,
			"type or shape are not those of the rows of layout %s", r->name);
	in = rowrec_inside(r, d);
	out->records = (struct dsv4_records){ .layout = r->name,
		.codec = r->form == ROWREC_CB4
			? r->name
			: codecs[r->form == ROWREC_KEPT ? CODEC_FP8_ROW : CODEC_MXFP4].name,
		.bytes = rowrec_bytes(r, d),
		.codes = in.codes,
		.scales = in.scales,
		.cols = c->EH,
		.first = h.first,
		.rows = c->layer[layer].rows,
		.rank = (uint32_t)h.rank,
		.ranks = (uint32_t)h.ranks };
	out->is.records = &out->records;
	return 0;
}

bool laid_is(const struct sidecar_tensor *t)
{
	return t->layout || t->op == OP_RECORD;
}

int laid_take(struct handle_tensor *out, const struct config *c, const char *records,
	const struct sidecar *s, const struct sidecar_tensor *t, struct err *e)
{
	return t->layout ? take_stack(out, c, s, t, e) : take_records(out, c, records, e);
}
