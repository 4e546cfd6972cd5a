/* engram.h -- what a conversion does with Engram: tables of rows, hashed by n-grams, that some layers of DeepSeek-V4.1 have, and
 * the few tensors beside each table that mix what is looked up into the streams.
 *
 * V4.1-Flash has two tables of 98 and 99 GB, which is two fifths of it. A conversion has them among its other tensors, in
 * files of their own, or leaves Engram out. A model without Engram is another model: it computes something else.
 *
 * SPDX-License-Identifier: MIT */
#ifndef FORMATS_MODEL_ENGRAM_H
#define FORMATS_MODEL_ENGRAM_H
#include "core/text.h"
#include "formats/model/config.h"

#ifdef __cplusplus
extern "C" {
#endif

enum engram {
	ENGRAM_KEEP, /* as any other tensor */
	ENGRAM_DROP, /* tables and the tensors beside them are left out */
	ENGRAM_SEPARATE, /* the tables lie in files of their own, one for each layer; what is beside them stays */
	ENGRAM_COUNT
};
extern const char *const engram_names[ENGRAM_COUNT];

enum { ENGRAM_COLUMNS = 4096 }; /* of all tables together; V4.1-Flash has 48 */

/* Name of the file in which the table of a layer lies apart: ENGRAM_FILE, the layer, ".safetensors". */
#define ENGRAM_FILE "engram-"

/* Sets *g to what the word names. Returns false, with *g as it was, where it names nothing. */
bool engram_find(enum engram *g, const char *word);
/* Returns whether a tensor of that name is of Engram. */
bool engram_own(const char *tensor);
/* Returns the layer of such a tensor. */
uint64_t engram_layer(const char *tensor);
/* Returns whether it is a table: its codes or its scales. */
bool engram_table(const char *tensor);
/* Rows of the tables. A table is a column of rows for each of 2-grams, 3-grams and so on, and of each head; every column has a
 * prime number of rows: the next one from engram_vocab_size on that no column before has, of whichever table. Source: EngramLayout
 * of layers/engram.py, sglang 0.5.23; the sums of V4.1-Flash are the declared ones. */
uint64_t engram_columns(const struct config *c);
/* Sets bound[0] .. bound[engram_columns()], the rows with which the columns of a table begin, and behind the last one. bound may
 * be NULL. Returns how many rows the table has. */
uint64_t engram_bounds(const struct config *c, uint32_t table, uint64_t *bound);

/* Sets *vocab to the least engram_vocab_size by which that table has so many rows. Returns false where by none it has. */
bool engram_vocab_of(const struct config *c, uint32_t table, uint64_t rows, uint64_t *vocab);

/* What one of the ranks that share a table has of it: rows first .. end. */
struct engram_share {
	uint64_t rank, ranks, first, end;
};
/* Sets h->first and h->end for the table of that layer: whole columns where the ranks divide their number, else as many rows as
 * any other rank but for one. Source: shard_range of the same file; vLLM 0.33.0 (models/deepseek_v41/common/engram.py) has the
 * same where the ranks divide the columns, and else gives ranks a rounded-up number of columns. Returns -1 where the layer has
 * no table, or the rank gets no row. */
int engram_share_rows(struct engram_share *h, const struct config *c, uint64_t layer);

/* What the levels of a table in 4 bits are called behind "embed."; they lie beside its records. */
#define ENGRAM_LEVELS "levels"

/* Bytes that the name of a tensor of records, and of its file, has at most, with its end. */
enum { ENGRAM_NAME = 160 };
/* Writes the name of the records of the table whose codes are called so: "...embed." and word, that of a layout or ENGRAM_LEVELS, and of one of
 * several ranks ".rank-R-of-N" behind it. Returns false where codes is called otherwise, or the name is too long. */
bool engram_record_name(char name[ENGRAM_NAME], const char *codes, const char *word,
	const struct engram_share *h);
/* Reads rank and ranks off such a name; h->ranks becomes 1 where it names none. Returns the
 * word, or NULL where the name is none. */
const char *engram_record_of(struct engram_share *h, const char *name);

/* Makes c describe the model without Engram. */
void engram_take_out(struct config *c);
/* Edits *t, the bytes of a config.json of V4.1 in either spelling, so that it names no layer with Engram; all other bytes stay.
 * Returns -1 where *t is no JSON object or memory is out, with *t as it was or edited in part. */
int engram_config(struct text *t, struct err *e);

#ifdef __cplusplus
}
#endif
#endif
