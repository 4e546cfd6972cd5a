/* rankset.h -- the files that the official converter writes for N ranks, model0-mpN.safetensors and so on,
 * opened together: their headers and nothing of their payload.
 *
 * What the tensors are is not known here (formats/model/ranks.h, verify/doctor/rankfiles.h). Faults of single
 * files go to findings, so that a reader may report all of them and still use what could be read.
 *
 * SPDX-License-Identifier: MIT */
#ifndef FORMATS_ST_RANKSET_H
#define FORMATS_ST_RANKSET_H
#include "formats/finding.h"
#include "formats/st/safetensors.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Ranks of a set. The official converter is run for 4 to 16; the bound keeps the list of missing files short. */
enum { RANKSET_MAX = 1024 };

struct rank_file {
	char name[48];
	unsigned rank;
	int fd;             /* owns; -1: the file could not be read, and h is empty */
	struct st_header h; /* tensors sorted by name */
};

struct rankset {
	const struct io *io;
	unsigned of;         /* N of the names; 0: there are no such files */
	struct rank_file *v; /* owns; by rank */
	size_t n, cap;
	bool whole; /* all N files are there and were read */
	struct arena arena;
};

/* Returns whether name is modelR-mpN.safetensors. *rank and *of are set if so; both may be NULL. */
bool rankset_name(const char *name, unsigned *rank, unsigned *of);

/* Opens the files of the open folder dir, which is not kept, and reads their headers (header_cap bytes at most; 0: ST_HEADER_CAP). A file
 * that is missing, unreadable or of another N is a finding (rank.missing, rank.mixed, rules of st.*). Returns -1
 * where nothing can be said: the folder cannot be listed, reading fails, memory is out; *s is then closed. */
int rankset_open(struct rankset *s, const struct io *io, int dir, uint64_t header_cap,
	struct findings *f, struct err *e);
void rankset_close(struct rankset *s);

/* The tensor of that name in the file, NULL: it is not there. Lives as long as the set. */
const struct tensor *rankset_find(const struct rank_file *f, const char *name);

#ifdef __cplusplus
}
#endif
#endif
