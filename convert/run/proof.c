/* SPDX-License-Identifier: MIT */
#include "convert/run/proof.h"

#include "formats/model/changed.h"

#include <string.h>

enum { PROOFS = 3 }; /* somebody who touches the source more often does not stop */

/* Opens the source anew; it must lead to the plan that has that hash. On failure *j is zeroed. */
static int open_again(struct job *j, const struct proof_source *from, const char *hash,
	struct err *e)
{
	if (job_open(j, from->io, from->dir, from->o, e))
		return -1;
	if (!strcmp(j->conversion.hash, hash))
		return 0;
	job_close(j);
	return err_rule(e, RULE_CKPT_CHANGED, ERR_NOPOS,
		"headers or names of the source were changed while it was read");
}

int proof_run(struct job *j, const struct proof_source *from, struct run_opts *o,
	struct run_result *r, struct err *e)
{
	struct run_counts made = { 0 };
	char hash[sizeof j->conversion.hash];
	unsigned n = 0;
	int rc;

	memcpy(hash, j->conversion.hash, sizeof hash);
	for (;;) {
		rc = run_conversion(&j->conversion, o, r, e);
		made.made += r->sum.made;
		made.written += r->sum.written;
		if (!rc || n == PROOFS || !ckpt_touched(e))
			break;
		run_result_free(r);
		*e = (struct err){ 0 };
		job_close(j);
		if (open_again(j, from, hash, e))
			return -1;
		o->prove = true;
		o->base = NULL; /* what it was compared with may be no more */
		o->budget = j->b;
		o->expected = j->has_expected ? &j->expected : NULL;
		progress_say(o->progress, "comparing with the source once more");
		n++;
	}
	r->proofs = n;
	if (!rc) {
		r->sum.kept -= made.made - r->sum.made; /* they were made by this call */
		r->sum.made = made.made;
		r->sum.written = made.written;
	}
	return rc;
}
