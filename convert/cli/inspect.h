/* inspect.h -- what a checkpoint holds, from its headers, and everything that is wrong with it.
 *
 * SPDX-License-Identifier: MIT */
#ifndef CONVERT_CLI_INSPECT_H
#define CONVERT_CLI_INSPECT_H
#include "formats/folder/folder.h"
#include "formats/json/jwrite.h"
#include "formats/model/audit.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Puts the report on f->ckpt as text for people or as one JSON document. a may be zeroed: no usable
 * config.json. */
void inspect_put_text(struct text *out, const struct folder *f, const struct audit *a);
void inspect_put_json(struct text *out, const struct folder *f, const struct audit *a);
/* The findings, for who puts another report: none is said where there are none. */
void inspect_put_findings(struct text *out, const struct findings *f, const char *none);
void inspect_put_json_findings(struct jwrite *o, const struct findings *f);
/* 0 if there are no findings; else how many, as an error whose kind decides the exit status. */
int inspect_verdict(const struct findings *f, struct err *e);

#ifdef __cplusplus
}
#endif
#endif
