/* bystander.h -- what lies in a folder of a conversion and is not of it: one list for every verb.
 *
 *	known     people, systems and signing put it there: a licence, .DS_Store, lost+found, model.sig
 *	unknown   nobody knows it, and no program that loads models looks at it: a warning
 *	model     a program could take it for a part of the model: weights, configuration, tokenizer, code, a
 *	          folder that nobody knows, a link, a device: refused
 *
 * SPDX-License-Identifier: MIT */
#ifndef FORMATS_CONVERSION_BYSTANDER_H
#define FORMATS_CONVERSION_BYSTANDER_H
#include <stdbool.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

#define BYSTANDER_ATLAS "atlas.jsonl" /* dsv4-quant run --atlas */

enum bystander { BYSTANDER_MODEL, BYSTANDER_UNKNOWN, BYSTANDER_KNOWN };

/* What the entry name of a folder is, mode being its st_mode as lstat has it. A known name on the wrong kind
 * of thing (a link named README.md, a folder named model.sig) is BYSTANDER_MODEL. */
enum bystander bystander_of(const char *name, mode_t mode);

/* True if name is a signature or attestation that these tools write beside what it is about, and mode that of a
 * regular file. */
bool bystander_is_signature(const char *name, mode_t mode);

/* True if name is a file that says something of the weights beside it, which is not true of other weights: a signature or attestation,
 * or an error atlas; mode is that of a regular file. */
bool bystander_speaks(const char *name, mode_t mode);

/* True if systems and tools leave an entry of this name behind, which is no content: .DS_Store, .cache,
 * lost+found, or temporary files of these tools. No signature covers it. */
bool bystander_is_litter(const char *name, mode_t mode);

#ifdef __cplusplus
}
#endif
#endif
