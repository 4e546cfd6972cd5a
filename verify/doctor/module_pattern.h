/* module_pattern.h -- patterns by which quantization_config names modules, in the two dialects that there are.
 *
 *	compressed-tensors   "re:" and a regular expression of Python, which is matched from the first letter on; else a
 *	                     name, or a class of modules ("Linear")
 *	ModelOpt             a name with * and ?
 *
 * A module is called as its tensors are (layers.0.attn.wq_a), or with "model." before that. Regular expressions are those that
 * POSIX has too, with \d and (?: besides; what goes beyond, or could cost time without bound, is not judged.
 *
 * SPDX-License-Identifier: MIT */
#ifndef VERIFY_DOCTOR_MODULE_PATTERN_H
#define VERIFY_DOCTOR_MODULE_PATTERN_H
#include <jansson.h>
#include <regex.h>
#include <stdbool.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { MODULE_PATTERNS = 1024 }; /* the most that a list has: more are not judged */

struct module_pattern {
	const char *text; /* borrows; of the JSON */
	bool is_regex, unknown;
	regex_t regex; /* owns, if is_regex */
};

struct module_patterns {
	struct module_pattern *v; /* owns */
	size_t n;
	bool unknown; /* some could not be read, so that what matches none is not known to */
	bool wrong; /* some are no pattern for anybody: no string, or parentheses without their mates */
	bool by_class; /* one is "Linear": every matrix */
};

/* Reads a list of patterns; what is no list, or NULL, is an empty one. glob: of ModelOpt. Returns false without memory. */
bool module_patterns_read(struct module_patterns *p, const json_t *list, bool glob);
/* Whether one of them, "Linear" apart, names the module. */
bool module_patterns_match(const struct module_patterns *p, const char *module);
void module_patterns_free(struct module_patterns *p);

#ifdef __cplusplus
}
#endif
#endif
