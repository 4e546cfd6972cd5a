/* SPDX-License-Identifier: MIT */
#include "verify/doctor/doctor.h"

#include "core/dest.h"
#include "formats/model/family.h"
#include "core/file.h"
#include "formats/conversion/copies.h"
#include "formats/conversion/joined.h"
#include "formats/folder/folder.h"
#include "formats/model/params.h"
#include "formats/st/rankset.h"
#include "quant/back.h"
#include "verify/doctor/consumer.h"
#include "verify/doctor/formed.h"
#include "verify/doctor/gguf_doctor.h"
#include "verify/doctor/implied.h"
#include "verify/doctor/meaning.h"
#include "verify/doctor/order.h"
#include "verify/doctor/rankfiles.h"
#include "verify/doctor/quantization.h"
#include "verify/doctor/reads.h"
#include "verify/doctor/trap.h"
#include "verify/doctor/values.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct doctor {
	const struct doctor_opts *o;
	struct report *r;
	struct consumer who;
	bool has_who, has_audit;
	bool index_odd; /* something was found about the index */
	bool lost;      /* it names tensors that are not there */
	struct ckpt c;
	struct joined j;
	struct audit a;
	struct implied v;
	struct dest fix;       /* owns; with o->fix_config */
	struct dest fix_index; /* owns; with o->fix_index */
	struct config spare;   /* owns; the other reading of config.json */
	struct err *e;
};

/* --- config.json --- */

static void exchange(struct config *a, struct config *b)
{
	struct config was = *a;

	*a = *b;
	*b = was;
}

/* Findings about config.json stay true however the tensors are read. */
static void put_findings(struct doctor *d, const struct findings *f, bool config_only)
{
	struct findings some = *f;
	size_t i, n = 0;

	if (!config_only) {
		report_findings(d->r, f);
		return;
	}
	some.v = calloc(f->n + 1, sizeof *some.v);
	d->r->failed = d->r->failed || !some.v;
	for (i = 0; some.v && i < f->n; i++)
		if (f->v[i].rule && !strncmp(f->v[i].rule, "config.", 7))
			some.v[n++] = f->v[i];
	some.n = n;
	some.total = n;
	if (some.v)
		report_findings(d->r, &some);
	free(some.v);
}

/* The audit with config.json as it is and, where the tensors say something else, as they have it; that which
 * leaves less unexplained is the one to report. */
static int audit(struct doctor *d)
{
	struct findings as_is = { 0 }, as_they = { 0 };
	struct config_doc fixed = { 0 };
	struct err e = { 0 };
	struct audit other;
	bool usable = d->c.config.family, better;
	int rc = -1;

	if (usable && audit_make(&d->a, &d->c, CODEC_NONE, &as_is, d->e))
		return -1;
	d->has_audit = usable;
	if (!d->v.fixed.s || config_doc_parse(&fixed, d->v.fixed.s, d->v.fixed.n, &e) ||
		config_read(&d->spare, &fixed, &e)) {
		config_doc_free(&fixed);
		put_findings(d, &as_is, false);
		finding_free(&as_is);
		return 0;
	}
	config_doc_free(&fixed);
	exchange(&d->c.config, &d->spare);
	if (audit_make(&other, &d->c, CODEC_NONE, &as_they, d->e))
		goto out;
	better = !usable || other.wrong < d->a.wrong ||
		(other.wrong == d->a.wrong && as_they.total < as_is.total);
	if (usable)
		put_findings(d, &as_is, better);
	if (better) {
		put_findings(d, &as_they, false);
		if (usable && d->a.wrong && !d->r->errors) /* whatever the other reading explains */
			put_findings(d, &as_is, false);
		if (d->has_audit)
			audit_free(&d->a);
		d->a = other;
		d->has_audit = true;
	} else {
		audit_free(&other);
		exchange(&d->c.config, &d->spare);
	}
	rc = 0;
out:
	finding_free(&as_is);
	finding_free(&as_they);
	return rc;
}

/* --- the corrected copy --- */

static int write_config(struct doctor *d)
{
	struct config_doc doc = { 0 };
	struct config again;
	int rc;

	if (!d->v.fixed.s) {
		report_row(d->r, "config.json", "not written", 0, 0,
			d->c.doc.o ? "nothing to correct" : "it cannot be read");
		return 0;
	}
	rc = config_doc_parse(&doc, d->v.fixed.s, d->v.fixed.n, d->e) ||
		config_read(&again, &doc, d->e);
	config_doc_free(&doc);
	if (rc)
		return err_at(d->e, "the tensors do not say enough to correct config.json");
	config_free(&again);
	if (dest_put(&d->fix, d->v.fixed.s, d->v.fixed.n, d->e))
		return -1;
	report_row(d->r, "config.json", "values corrected", d->v.changes, 0, d->o->fix_config);
	return 0;
}

/* Whether a shard has no tensor of the model: it lies beside it, and does not belong into its index. */
static bool has_stranger(const struct doctor *d)
{
	size_t i, n;
	uint32_t k;

	for (k = 0; d->has_audit && k < d->c.n_shards; k++) {
		for (i = 0, n = 0; i < d->c.n; i++)
			n += d->c.tensors[i].shard == k && d->a.want[i];
		if (!n)
			return true;
	}
	return false;
}

/* An index made of the headers; of all shards, or there is none. */
static int write_index(struct doctor *d)
{
	const struct index x = { .shards = d->c.shards,
		.n_shards = d->c.n_shards,
		.tensors = d->c.tensors,
		.n = d->c.n };
	struct text t = { 0 };
	const char *why = d->index_odd ? NULL : "nothing to correct";
	size_t i;
	int rc;

	for (i = 0; i < d->c.n_shards; i++)
		why = d->c.shards[i].fd < 0 ? "a shard is missing or cannot be read" : why;
	for (i = 1; i < d->c.n; i++)
		if (!strcmp(d->c.tensors[i - 1].name, d->c.tensors[i].name))
			why = "a tensor is in two shards";
	if (!why && has_stranger(d))
		why = "a shard has no tensor of this model";
	if (why || d->c.payload) {
		report_row(d->r, "index", "not written", 0, 0,
			why ? why : "the folder is no download");
		return 0;
	}
	rc = index_put(&x, &t, d->e) || dest_put(&d->fix_index, t.s, t.n, d->e);
	text_free(&t);
	if (!rc)
		report_row(d->r, "index", "tensors listed", d->c.n, d->c.bytes, d->o->fix_index);
	return rc ? -1 : 0;
}

/* --- */

/* The fields that only the arithmetic needs: as the forward pass reads them, or, of a family that has none, what is said of them in
 * the spelling of HF. A config.json that contradicts itself is left to who reads its shapes. */
static int params(struct doctor *d)
{
	const struct family *of = family_of(&d->c.doc);
	const json_t *text = json_object_get(d->c.doc.o, "text_config");
	struct findings f = { 0 };
	struct params p;
	json_t *flat;
	int rc;

	if (family_type_meets(of->name, NEED_FORWARD)) {
		rc = params_read(&p, &d->c.doc, &f, d->e);
	} else {
		if (!json_object_get(text ? text : d->c.doc.o, "num_hidden_layers"))
			return 0;
		flat = config_flat(&d->c.doc);
		if (!flat)
			return err_nomem(d->e);
		rc = flat != d->c.doc.o ? params_hold(flat, &f, d->e) : 0;
		json_decref(flat);
	}
	if (!rc)
		report_findings(d->r, &f);
	finding_free(&f);
	return rc;
}

/* The values of all tensors; f: of a model in other number formats, or NULL. */
static int look(struct doctor *d, const struct formed *f)
{
	const struct values v = {
		.c = &d->c, .f = f, .who = d->has_who ? &d->who : NULL, .o = d->o, .r = d->r
	};

	return values_look(&v, d->e);
}

static int examine(struct doctor *d)
{
	struct meaning m = { .c = &d->c, .a = &d->a, .v = &d->v, .r = d->r, .o = d->c.doc.o };
	const bool unsaid = m.o && /* audit() may exchange the config for a corrected one */
		(d->c.config.family ? d->c.config.experts == CODEC_NONE
				    : !json_is_string(json_object_get(m.o, "expert_dtype")));

	if (m.o && (implied_make(&d->v, &d->c, d->lost, d->r, d->e) || params(d)))
		return -1;
	if (audit(d))
		return -1;
	meaning_judge(&m);
	if (d->has_who)
		consumer_reads(&d->who, d->j.target, d->r);
	if (d->has_who && d->has_audit) {
		consumer_judge(&d->who, &d->a, unsaid, d->r);
		trap_judge(&(struct trap_view){ .who = &d->who, .a = &d->a, .o = m.o, .r = d->r });
	}
	report_row(d->r, "looked at", "tensors", d->c.n, d->c.bytes, NULL);
	if (look(d, NULL))
		return -1;
	if (order_judge(d->r, &d->c, d->e)) {
		if (d->e->kind != ERR_DATA && d->e->kind != ERR_MISMATCH)
			return -1;
		report_take(d->r, NULL, d->e);
	}
	if (d->o->fix_config && write_config(d))
		return -1;
	return d->o->fix_index ? write_index(d) : 0;
}

/* Opens what is to be examined: the folder as a checkpoint, or for a set what it was made of. Findings about it go to
 * the report. *open is false where there is nothing to go on with. */
static int open_ckpt(struct doctor *d, struct folder *at, bool *open)
{
	const struct joined_opts jo = { .header_cap = d->o->header_cap,
		.features = d->o->features,
		.uncast = &quant_back,
		.every = true };
	size_t i;
	int rc = 0;

	*open = true;
	if (at->has_ckpt) {
		folder_take(at, &d->c);
	} else {
		rc = joined_open(&d->j, &d->c, d->o->io, at->dir, &jo, &at->found, d->e);
		if (!rc && copies_hold(d->o->io, at->dir, &at->found, d->e)) {
			joined_close(&d->j);
			ckpt_close(&d->c);
			rc = -1;
		}
	}
	for (i = 0; !rc && i < at->found.n; i++) {
		const struct finding *f = &at->found.v[i];

		d->lost =
			d->lost || (f->rule && !strcmp(f->rule, rules[RULE_INDEX_NOT_IN_SHARD].id));
		d->index_odd = d->index_odd || (f->file && !strcmp(f->file, CKPT_INDEX)) ||
			(f->rule && !strncmp(f->rule, "index.", 6));
	}
	if (!rc) {
		report_findings(d->r, &at->found);
		return 0;
	}
	*open = false;
	if (d->e->kind != ERR_DATA && d->e->kind != ERR_MISMATCH)
		return -1;
	report_take(d->r, NULL, d->e); /* a set whose manifests lie */
	return 0;
}

static int run_ckpt(struct doctor *d, struct folder *at)
{
	bool open;
	int rc = open_ckpt(d, at, &open);

	if (rc || !open)
		return rc;
	rc = examine(d);
	implied_free(&d->v);
	if (d->has_audit)
		audit_free(&d->a);
	config_free(&d->spare);
	joined_close(&d->j);
	ckpt_close(&d->c);
	return rc;
}

/* A model in a number format that is no checkpoint's: a conversion of dsv4-quant, or one that others made. */
static bool is_formed(enum kind k)
{
	return k == KIND_QUANT || k == KIND_NVFP4 || k == KIND_COMPRESSED;
}

/* What was found while it was opened. What config.json says of quantization is judged as that of this form, and not of
 * a checkpoint; that it is no JSON is said all the same. */
static void tell_opening(struct doctor *d, const struct findings *f)
{
	const struct finding *v;

	for (v = f->v; v < f->v + f->n; v++)
		if (!v->rule || strncmp(v->rule, "config.", 7) != 0 ||
			!strcmp(v->rule, rules[RULE_CONFIG_SYNTAX].id))
			report_findings(d->r,
				&(struct findings){
					.v = (struct finding *)(uintptr_t)v, .n = 1, .total = 1 });
}

/* That what was asked for is not written. */
static void tell_not_written(struct doctor *d, const char *why)
{
	if (d->o->fix_config)
		report_row(d->r, "config.json", "not written", 0, 0, why);
	if (d->o->fix_index)
		report_row(d->r, "index", "not written", 0, 0, why);
}

static int run_formed(struct doctor *d, struct folder *at, const struct ckpt_opts *co)
{
	struct formed f = { 0 };
	struct findings found = { 0 };
	int rc = 0;

	if (at->has_ckpt)
		folder_take(at, &d->c);
	else if (ckpt_open_at(&d->c, d->o->io, at->dir, co, &found, d->e))
		rc = -1;
	if (!rc && at->kind == KIND_QUANT &&
		(copies_hold(d->o->io, at->dir, &at->found, d->e) ||
			copies_of_run(d->o->io, at->dir, &at->found, d->e)))
		rc = -1;
	tell_opening(d, &found);
	tell_opening(d, &at->found);
	if (!rc && d->c.doc.o) {
		meaning_config(&(struct meaning){ .c = &d->c, .o = d->c.doc.o, .r = d->r });
		rc = params(d);
	}
	if (!rc && formed_make(&f, &d->c, d->r, d->e)) {
		rc = d->e->kind == ERR_DATA || d->e->kind == ERR_MISMATCH ? 0 : -1;
		if (!rc)
			report_take(d->r, NULL, d->e);
	} else if (!rc) {
		reads_judge(&f, d->has_who ? &d->who : NULL, d->r);
		report_row(d->r, "looked at", "tensors", d->c.n, d->c.bytes, NULL);
		rc = quantization_judge(&f, d->r, d->e) || look(d, &f) ? -1 : 0;
	}
	if (!rc)
		tell_not_written(d,
			"in this number format doctor says what is wrong and corrects nothing");
	formed_free(&f);
	finding_free(&found);
	ckpt_close(&d->c);
	return rc;
}

int doctor_run(struct report *r, const char *path, const struct doctor_opts *o, struct err *e)
{
	struct ckpt_opts co = { .header_cap = o->header_cap, .follow_links = o->follow_links };
	struct doctor d = { .o = o, .r = r, .e = e };
	struct text names = { 0 };
	struct folder at;
	int rc = 0;

	if (o->engine) {
		d.has_who = consumer_find(o->engine, &d.who, &names);
		if (!d.has_who)
			rc = err_set(e, ERR_USAGE, "no engine %s is known; there are: %s",
				text_quote(o->engine).s, names.s ? names.s : "");
		text_free(&names);
	}
	if (rc || (o->fix_config && dest_open(&d.fix, o->io, o->fix_config, NULL, e)) ||
		(o->fix_index && dest_open(&d.fix_index, o->io, o->fix_index, NULL, e))) {
		dest_close(&d.fix);
		return -1;
	}
	if (folder_open(&at, o->io, path, USE_DOCTOR, &co, e)) {
		dest_close(&d.fix);
		dest_close(&d.fix_index);
		return -1;
	}
	rc = at.kind == KIND_GGUF || at.kind == KIND_QUANT_GGUF
		? gguf_doctor_run(r, &at, o, d.has_who ? &d.who : NULL, e)
		: at.kind == KIND_RANKS || at.kind == KIND_OFFICIAL
		? rankfiles_run(r, at.dir, o, d.has_who ? &d.who : NULL, e)
		: is_formed(at.kind) ? run_formed(&d, &at, &co)
				     : run_ckpt(&d, &at);
	folder_close(&at);
	dest_close(&d.fix);
	dest_close(&d.fix_index);
	report_sort(r);
	return rc;
}
