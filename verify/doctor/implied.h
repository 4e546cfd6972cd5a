/* implied.h -- what the tensors themselves say that config.json should say, and a config.json made so.
 *
 * Most fields of config.json can be read off shapes and names: hidden_size is the length of norm.weight,
 * compress_ratios are the rows of the compressors' ape, expert_dtype is the type of the experts. A table lists
 * them. Where config.json says something else one of the two is wrong, and a copy with the tensors' word can
 * be written; nothing is ever written over.
 *
 * The copy is the text of config.json with the values of some members exchanged; all other bytes stay.
 *
 * SPDX-License-Identifier: MIT */
#ifndef VERIFY_DOCTOR_IMPLIED_H
#define VERIFY_DOCTOR_IMPLIED_H
#include "formats/model/checkpoint.h"
#include "verify/report/report.h"

#include <jansson.h>

#ifdef __cplusplus
extern "C" {
#endif

struct implied {
	const struct ckpt *c;
	const struct family *family; /* of config.json */
	bool whole;                  /* every shard could be read: what is absent is missing */
	enum codec experts;
	uint64_t layers, stages; /* numbers behind layers. and mtp., highest plus one; 0: none */
	struct text
		fixed; /* owns; config.json as the tensors have it; s NULL where it is right already */
	uint64_t changes;
};

/* c->doc.o must not be NULL. lost: its index names tensors that are not there, so that what is absent says nothing of config.json.
 * Adds a finding to *r for each field that parses and is another than the tensors say. */
int implied_make(struct implied *v, const struct ckpt *c, bool lost, struct report *r,
	struct err *e);
void implied_free(struct implied *v);

#ifdef __cplusplus
}
#endif
#endif
