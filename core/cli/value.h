/* value.h -- what stands behind an option, read whole and with bounds.
 *
 * SPDX-License-Identifier: MIT */
#ifndef CORE_CLI_VALUE_H
#define CORE_CLI_VALUE_H
#include "core/cli/command.h"

#ifdef __cplusplus
extern "C" {
#endif

/* A decimal number from min to max. */
int cli_number(const char *s, uint64_t min, uint64_t max, uint64_t *v, struct err *e);
/* A number of bytes from min to max: 134217728, 128M and 128MiB are the same, 128MB are 128 million. The units are K,
 * M, G, T, P, in any case. */
int cli_size(const char *s, uint64_t min, uint64_t max, uint64_t *v, struct err *e);
/* One of the words in o->arg, between bars. *v is s. */
int cli_choice(const struct cli_opt *o, const char *s, const char **v, struct err *e);

/* Writes the value of o into the option struct; value is NULL for a flag, and borrowed. */
int cli_set(const struct cli_opt *o, const char *value, void *opts, struct err *e);

#ifdef __cplusplus
}
#endif
#endif
