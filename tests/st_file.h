/* st_file.h -- for tests of the header reader: files made from text, and what st_read says of them.
 *
 * SPDX-License-Identifier: MIT */
#ifndef TESTS_ST_FILE_H
#define TESTS_ST_FILE_H
#include "core/rule.h"
#include "formats/st/safetensors.h"
#include "tests/check.h"
#include "tests/dirs.h"
#include "tests/fuzz/st_cases.h"
#include "tests/fuzz/st_check.h"
#include "tests/sanitized.h"

#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>

enum { SLOW = SANITIZED }; /* do less, and do not measure memory */

/* --- files --- */

/* A file: the first bytes as text, and the size that the reader is told. */
struct file {
	struct text t;
	uint64_t size;
	size_t mark; /* byte that ^ stood before; SIZE_MAX: none */
};

static void put_le64(struct text *t, uint64_t v)
{
	char b[8];
	int i;

	for (i = 0; i < 8; i++)
		b[i] = (char)(v >> 8 * i);
	text_put(t, b, 8);
}

/* A header as the tables write it, its length in front and some of the payload behind. */
static void file_of(struct file *f, const char *s, size_t n, uint64_t payload)
{
	char tail[32] = "payload payload payload payload";
	size_t i, len;

	f->t.n = 0;
	f->mark = SIZE_MAX;
	put_le64(&f->t, 0);
	for (i = 0; i < n; i++) {
		if (s[i] == '^')
			f->mark = f->t.n;
		else
			text_put(&f->t, s[i] == '\'' ? "\"" : s + i, 1);
	}
	len = f->t.n - 8;
	for (i = 0; i < 8; i++)
		f->t.s[i] = (char)((uint64_t)len >> 8 * i);
	f->size = f->t.n + payload;
	text_put(&f->t, tail, payload < sizeof tail ? (size_t)payload : sizeof tail);
}

/* What one call of st_read came to. */
struct outcome {
	int rc;
	struct err e;
	struct st_header h;
	struct arena arena;
};

static inline void outcome_free(struct outcome *o)
{
	st_free(&o->h);
	arena_free(&o->arena);
}

static struct outcome read_mem(const void *p, size_t n, uint64_t size, uint64_t cap, size_t most)
{
	struct outcome o = { 0 };
	struct mem_io m = mem_io_of(p, n, 0, most);

	memset(&o.h, 0xa5, sizeof o.h);
	o.rc = st_read(&o.h, &m.io, 3, size, cap ? cap : ST_HEADER_CAP, &o.arena, &o.e);
	return o;
}

/* The same from a real file, which has the pages of memory. */
static inline struct outcome read_fd(const void *p, size_t n, uint64_t size, uint64_t cap)
{
	struct outcome o = { 0 };
	int fd = memfd_create("st", MFD_CLOEXEC);

	memset(&o.h, 0xa5, sizeof o.h);
	CHECK(fd >= 0 && (n == 0 || write(fd, p, n) == (ssize_t)n));
	o.rc = st_read(&o.h, io_posix(), fd, size, cap ? cap : ST_HEADER_CAP, &o.arena, &o.e);
	close(fd);
	return o;
}

static inline void repeat(struct text *t, const char *s, size_t times)
{
	while (times-- > 0)
		text_str(t, s);
}

#define SMALL_SIZE 61 /* bytes of payload */
/* clang-format off */
static const char small[] =
	"{'__metadata__':{'format':'pt','\xc3\xa4':'\\u00e4\\n'},"
	"'scalar':" REC("'F64'", "[]", "[0,8]")
	",'b.weight':" REC("'BF16'", "[2,3]", "[8,20]")
	",'b.scale':" REC("'F8_E8M0'", "[5]", "[20,25]")
	",'empty':" REC("'F32'", "[0,7]", "[25,25]")
	",'fp4':" REC("'F4'", "[4,4]", "[53,61]")
	",'\\u0061\xe2\x82\xac\\'':" REC("'I64'", "[3]", "[29,53]")
	",'odd':" REC("'U8'", "[1,4,1]", "[25,29]") "}       ";
/* clang-format on */

static inline void each_file(const char *folder, size_t least, void (*f)(const char *path))
{
	const struct io *io = io_posix();
	char *names = NULL, path[512];
	const char *p;
	size_t n = 0;
	int dir = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	CHECK_IN(folder, dir >= 0 && !io->list(io, dir, &names, &n) && n >= least);
	for (p = names; n > 0; n--, p += strlen(p) + 1) {
		snprintf(path, sizeof path, "%s/%s", folder, p);
		f(path);
	}
	free(names);
	close(dir);
}
#endif
