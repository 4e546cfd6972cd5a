/* SPDX-License-Identifier: MIT */
#include "verify/compare/slice_said.h"

#include "formats/model/audit.h"
#include "formats/model/selection.h"
#include "formats/model/slice_cut.h"

#include <stdlib.h>
#include <string.h>

/* Whether a slice of the source with so many experts (0: all) has these bytes as its config.json. */
static bool is_cut(const struct slice_said *s, uint64_t keep, uint64_t vocab,
	const struct text *got)
{
	const struct slice_ask ask = { .ckpt = s->source,
		.selected = s->on,
		.places = (uint32_t)s->places,
		.keep = keep,
		.vocab = vocab };
	struct slice_cut k;
	struct err e = { 0 };
	char *text = NULL;
	bool same;

	if (slice_cut_make(&k, &ask, &e))
		return false;
	same = !slice_config(&text, &k, s->source, &e) && strlen(text) == got->n &&
		!memcmp(text, got->s, got->n);
	free(text);
	slice_cut_free(&k);
	return same;
}

/* What an option of the manifest says: its number, or 0 where nothing was cut. */
static uint64_t said(const char *option)
{
	return *option >= '0' && *option <= '9' ? strtoull(option, NULL, 10) : 0;
}

/* Whether config.json of the slice is one that the source gives with the options of m. */
static bool is_derived(const struct slice_said *s, const struct config *made,
	const struct manifest *m, const struct text *got)
{
	const struct config *c = &s->source->config;
	uint64_t vocab = c->engram && made->engram && made->EV != c->EV ? made->EV : 0;

	if (*m->engram_vocab)
		vocab = said(m->engram_vocab);
	if (*m->experts_kept)
		return is_cut(s, said(m->experts_kept), vocab, got);
	/* Of all experts, stages of drafts may have more than layers: without a number all of theirs stay, too. */
	return is_cut(s, made->E, vocab, got) || (made->E == c->E && is_cut(s, 0, vocab, got));
}

/* Sets *why where the tensors of the slice are not those that its config.json describes. Returns -1 then. */
static int hold_tensors(const struct slice_said *s, const struct ckpt *made, struct err *why)
{
	struct findings found = { 0 };
	struct audit a;
	int rc = audit_make(&a, made, s->experts, &found, why);

	if (!rc) {
		rc = finding_first(&found, why);
		audit_free(&a);
	}
	finding_free(&found);
	return rc;
}

bool slice_said_config(const struct slice_said *s, const struct walk_file *f,
	const struct text *got)
{
	struct report_place at = { .file = f->path };
	struct findings found = { 0 };
	struct err why = { 0 };
	struct ckpt made;
	bool is = false;

	if (ckpt_open_at(&made, s->io, f->d->dir, &(struct ckpt_opts){ 0 }, &found, &why)) {
		report_take(s->r, &at, &why);
		finding_free(&found);
		return false;
	}
	if (!made.config.family || !is_derived(s, &made.config, f->d->m, got))
		report_add(s->r, RULE_COMPARE_FILE, &at,
			"it is not what slice makes of the source's config.json: fields that say how many and which layers, experts and rows there are change by the options of the manifest, and all others stay");
	else if (hold_tensors(s, &made, &why))
		report_add(s->r, RULE_COMPARE_FILE, &at,
			"the tensors beside it are not those that it describes: %s", why.text);
	else
		is = true;
	ckpt_close(&made);
	finding_free(&found);
	return is;
}

/* The number behind "layers." in a name; UINT32_MAX where there is none. */
static uint32_t layer_number(const char *name)
{
	static const char word[] = "layers.";
	unsigned long n;
	char *end;

	if (strncmp(name, word, sizeof word - 1) != 0)
		return UINT32_MAX;
	n = strtoul(name + sizeof word - 1, &end, 10);
	return *end == '.' && n < UINT32_MAX ? (uint32_t)n : UINT32_MAX;
}

/* The number in the slice of the layer at that place, which stays. */
static uint32_t new_number(const struct slice_said *s, size_t place)
{
	uint32_t n = 0;
	size_t p;

	for (p = 1; p < place; p++)
		n += s->on[p];
	return n;
}

/* Whether out may be made of the source tensor from. */
static bool is_place(const struct slice_said *s, const char *from, const char *out)
{
	size_t place = selection_place(&s->source->config, from);
	uint64_t head = s->source->config.L + 1;

	if (place == 0 || place == head || place >= s->places)
		return true; /* these stay, or belong to no block */
	if (!s->on[place])
		return false;
	return place > head || layer_number(out) == new_number(s, place);
}

void slice_said_tensors(const struct slice_said *s, const struct walk_file *f)
{
	struct report_place at = { .file = f->path };
	const struct sidecar_tensor *t;
	const char *from;
	uint32_t k;
	size_t i;

	for (i = 0; i < f->s->n; i++) {
		t = &f->s->tensors[i];
		for (k = 0; k < t->n; k++) {
			from = f->s->sources[t->first + k].tensor;
			if (is_place(s, from, t->name))
				continue;
			at.tensors = &t->name;
			at.n_tensors = 1;
			report_add(s->r, RULE_COMPARE_LOST, &at,
				"tensor %s is made of %s, which is not there by the option layers, or under another number",
				text_quote(t->name).s, text_quote(from).s);
		}
	}
}
