/* cufile.c -- a libcufile.so.0 for tests: reads of a file go to the memory that stands in for a device (cudart.c).
 *
 * Every second read moves a part of what was asked for, as the real one may. STAND_IN_CUFILE in the environment:
 * "closed", the driver does not open; "broken", reads fail.
 *
 * SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct result {
	int err, cu_err;
};
struct descr {
	int type;
	union {
		int fd;
		void *handle;
	} handle;
	const void *fs_ops;
};
struct file {
	int fd;
	unsigned reads;
};

struct result cuFileDriverOpen(void);
struct result cuFileDriverClose(void);
struct result cuFileHandleRegister(void **fh, struct descr *d);
void cuFileHandleDeregister(void *fh);
struct result cuFileBufRegister(const void *p, size_t n, int flags);
struct result cuFileBufDeregister(const void *p);
ssize_t cuFileRead(void *fh, void *dev, size_t n, off_t at, off_t dev_at);

static int is(const char *what)
{
	const char *v = getenv("STAND_IN_CUFILE");

	return v && !strcmp(v, what);
}

struct result cuFileDriverOpen(void)
{
	return (struct result){ is("closed"), 0 };
}

struct result cuFileDriverClose(void)
{
	return (struct result){ 0, 0 };
}

struct result cuFileHandleRegister(void **fh, struct descr *d)
{
	struct file *f = calloc(1, sizeof *f);

	*fh = f;
	if (!f || d->type != 1)
		return (struct result){ 1, 0 };
	f->fd = d->handle.fd;
	return (struct result){ 0, 0 };
}

void cuFileHandleDeregister(void *fh)
{
	free(fh);
}

struct result cuFileBufRegister(const void *p, size_t n, int flags)
{
	return (struct result){ !p || !n || flags, 0 };
}

struct result cuFileBufDeregister(const void *p)
{
	return (struct result){ !p, 0 };
}

ssize_t cuFileRead(void *fh, void *dev, size_t n, off_t at, off_t dev_at)
{
	struct file *f = fh;
	void *p;
	ssize_t got;

	if (is("broken") || posix_memalign(&p, 4096, (n + 4095) / 4096 * 4096))
		return -1;
	if (f->reads++ % 2 && n > 8192)
		n = n / 2 / 4096 * 4096;
	got = pread(f->fd, p, (n + 4095) / 4096 * 4096, at);
	got = got > (ssize_t)n ? (ssize_t)n : got;
	if (got > 0)
		memcpy((char *)dev + dev_at, p, (size_t)got);
	free(p);
	return got;
}
