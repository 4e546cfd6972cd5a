/* quant_doc.h -- what one file says of the number formats of a model, and how a member of it is held to the tensors.
 *
 * The file is config.json (quantization_config) or hf_quant_config.json (quantization). Of the two dialects that there are,
 * that of compressed-tensors has groups of modules (module_lists.h), that of ModelOpt may have a list of layers
 * (layer_list.h).
 *
 * SPDX-License-Identifier: MIT */
#ifndef VERIFY_DOCTOR_QUANT_DOC_H
#define VERIFY_DOCTOR_QUANT_DOC_H
#include "verify/doctor/formed.h"
#include "verify/report/report.h"

#include <jansson.h>
#include <stdbool.h>

#ifdef __cplusplus
extern "C" {
#endif

/* One file and what its members are held to. It owns nothing. */
struct quant_doc {
	const struct formed *f; /* the tensors */
	struct report *r;       /* gets the findings */
	struct report_place at; /* the file */
	const char *in;  /* what stands before names of members in messages: "quantization." */
	const json_t *q; /* the object with the members; NULL: there is none */
	bool compressed; /* the dialect is that of compressed-tensors; else ModelOpt's */
	bool experts_only; /* lists speak of routed experts alone: other matrices are FP8, as another member says */
};

/* The beginning of a JSON value on one line, for messages. */
struct quant_doc_brief {
	char s[64];
};

/* Returns the beginning of x, "missing" where x is NULL. */
struct quant_doc_brief quant_doc_brief(const json_t *x);
/* Adds a finding (config.field-tensors) where member key of o is not want. A member that is null or not there is a fault too,
 * unless optional. In the message, where stands before key, and of names the tensors that have want. Takes want; o may be
 * NULL. */
void quant_doc_hold(const struct quant_doc *s, const json_t *o, const char *where, const char *key,
	json_t *want, bool optional, const char *of);
/* Returns whether a tensor has part in its name. */
bool quant_doc_has_tensor(const struct quant_doc *s, const char *part);

#ifdef __cplusplus
}
#endif
#endif
