/* tables.h -- the program's own tables, printed: roles, targets, layouts. Help, docs and tests read them here.
 *
 * SPDX-License-Identifier: MIT */
#ifndef CONVERT_CLI_TABLES_H
#define CONVERT_CLI_TABLES_H
#include "core/text.h"

#ifdef __cplusplus
extern "C" {
#endif

void tables_roles_text(struct text *out);
void tables_roles_json(struct text *out);
void tables_targets_text(struct text *out);
void tables_targets_json(struct text *out);
void tables_layouts_text(struct text *out);
void tables_layouts_json(struct text *out);

#ifdef __cplusplus
}
#endif
#endif
