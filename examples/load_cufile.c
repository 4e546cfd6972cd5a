/* load_cufile.c -- the files of one rank into the memory of a GPU without passing through that of the host, by NVIDIA's
 * cuFile (GPUDirect Storage); where that is not there, through the host.
 *
 *	cc load_cufile.c $(pkg-config --cflags --libs dsv4) -I$CUDA/include -L$CUDA/lib64 -lcudart -ldl -o load_cufile
 *	./load_cufile [-c] OUT/rank-0-of-8
 *
 * The library is looked for when the program runs, so that it also runs where there is none. Bytes that go straight to
 * the device are digested by nobody on the way: each file is held to its digests before it is loaded (dsv4_check), or
 * with -c what the device holds is compared with the file afterwards.
 *
 * SPDX-License-Identifier: MIT */
#include <cuda_runtime_api.h>
#include <dsv4.h>

#include <dlfcn.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* What cufile.h of GDS 1.x declares, as far as it is used here. */
struct cufile_error {
	int err;    /* CUfileOpError: 0 is success */
	int cu_err; /* CUresult */
};
struct cufile_descr {
	int type; /* 1: CU_FILE_HANDLE_TYPE_OPAQUE_FD */
	union {
		int fd;
		void *handle;
	} handle;
	const void *fs_ops;
};

struct cufile {
	void *lib; /* NULL: there is none, and files go through the host */
	struct cufile_error (*driver_open)(void);
	struct cufile_error (*driver_close)(void);
	struct cufile_error (*handle_register)(void **fh, struct cufile_descr *d);
	void (*handle_deregister)(void *fh);
	struct cufile_error (*buf_register)(const void *dev, size_t n, int flags);
	struct cufile_error (*buf_deregister)(const void *dev);
	ssize_t (*read)(void *fh, void *dev, size_t n, off_t at, off_t dev_at);
};

/* Large reads keep the queues of a drive full, and 16 MiB is a multiple of every block there is. */
enum { PIECE = 16 << 20 };

static void cufile_end(struct cufile *c)
{
	if (c->lib)
		dlclose(c->lib);
	c->lib = NULL;
}

/* Finds the library and opens its driver. Returns what is wrong, or NULL. */
static const char *cufile_begin(struct cufile *c)
{
	static const char *const names[] = { "libcufile.so.0", "libcufile.so" };
	size_t i;

	memset(c, 0, sizeof *c);
	for (i = 0; !c->lib && i < sizeof names / sizeof *names; i++)
		c->lib = dlopen(names[i], RTLD_NOW | RTLD_LOCAL);
	if (!c->lib)
		return "there is no libcufile";
	/* POSIX's way to a function: through the pointer's bytes. */
	*(void **)&c->driver_open = dlsym(c->lib, "cuFileDriverOpen");
	*(void **)&c->driver_close = dlsym(c->lib, "cuFileDriverClose");
	*(void **)&c->handle_register = dlsym(c->lib, "cuFileHandleRegister");
	*(void **)&c->handle_deregister = dlsym(c->lib, "cuFileHandleDeregister");
	*(void **)&c->buf_register = dlsym(c->lib, "cuFileBufRegister");
	*(void **)&c->buf_deregister = dlsym(c->lib, "cuFileBufDeregister");
	*(void **)&c->read = dlsym(c->lib, "cuFileRead");
	if (!c->driver_open || !c->handle_register || !c->handle_deregister || !c->buf_register ||
		!c->buf_deregister || !c->read) {
		cufile_end(c);
		return "libcufile lacks functions of GDS 1.x";
	}
	if (c->driver_open().err) {
		cufile_end(c);
		return "the driver of cuFile does not open";
	}
	return NULL;
}

/* Reads the first n bytes of fd to dev. Returns what is wrong, or NULL. */
static const char *by_cufile(const struct cufile *c, int fd, char *dev, size_t n)
{
	struct cufile_descr d = { .type = 1, .handle.fd = fd };
	const char *why = NULL;
	void *fh = NULL;
	size_t at;
	ssize_t got;

	if (c->handle_register(&fh, &d).err)
		return "cuFileHandleRegister";
	if (c->buf_register(dev, n, 0).err) {
		c->handle_deregister(fh);
		return "cuFileBufRegister";
	}
	for (at = 0; !why && at < n; at += (size_t)got) {
		got = c->read(fh, dev, n - at < PIECE ? n - at : PIECE, (off_t)at, (off_t)at);
		if (got <= 0)
			why = got ? "cuFileRead" : "the file ended before its size";
	}
	(void)c->buf_deregister(dev); /* nothing is lost by it */
	c->handle_deregister(fh);
	return why;
}

/* The same through host memory, verified on the way. */
static const char *by_host(const struct dsv4 *d, uint32_t i, char *dev, struct dsv4_error *e)
{
	uint64_t n = dsv4_file(d, i)->bytes, at;
	char *buf = aligned_alloc(4096, PIECE);
	const char *why = buf ? NULL : "out of memory";
	size_t some;

	for (at = 0; !why && at < n; at += some) {
		some = n - at < PIECE ? (size_t)(n - at) : PIECE;
		if (dsv4_read_file(d, i, at, buf, some, NULL, e))
			why = e->message;
		else if (cudaMemcpy(dev + at, buf, some, cudaMemcpyHostToDevice) != cudaSuccess)
			why = "cudaMemcpy";
	}
	free(buf);
	return why;
}

/* Compares what the device holds with the file. */
static const char *compare(const struct dsv4 *d, uint32_t i, const char *dev, struct dsv4_error *e)
{
	size_t n = (size_t)dsv4_file(d, i)->bytes;
	char *a = malloc(n + 1), *b = malloc(n + 1);
	const char *why = NULL;

	if (!a || !b)
		why = "out of memory";
	else if (dsv4_read_file(d, i, 0, a, n, NULL, e))
		why = e->message;
	else if (cudaMemcpy(b, dev, n, cudaMemcpyDeviceToHost) != cudaSuccess)
		why = "cudaMemcpy";
	else if (memcmp(a, b, n) != 0)
		why = "the device holds other bytes than the file";
	free(a);
	free(b);
	return why;
}

static const char *load_file(const struct cufile *c, const struct dsv4 *d, const char *folder,
	uint32_t i, bool check, struct dsv4_error *e)
{
	const struct dsv4_file *f = dsv4_file(d, i);
	const char *why = NULL;
	void *dev = NULL;
	char path[4096];
	int fd = -1;

	if (cudaMalloc(&dev, (size_t)f->bytes) != cudaSuccess)
		return "cudaMalloc";
	if (c->lib) {
		snprintf(path, sizeof path, "%s/%s", folder, f->name);
		fd = open(path, O_RDONLY | O_CLOEXEC | O_DIRECT);
		fd = fd < 0 ? open(path, O_RDONLY | O_CLOEXEC) : fd;
		if (fd < 0)
			why = "the file does not open";
		else if (!check && dsv4_check(d, i, NULL, e))
			why = e->message;
		else
			why = by_cufile(c, fd, dev, (size_t)f->bytes);
		if (fd >= 0)
			close(fd);
	} else {
		why = by_host(d, i, dev, e);
	}
	if (!why && check)
		why = compare(d, i, dev, e);
	/* A real loader keeps it: tensor t of the file is at dev + t->offset. */
	cudaFree(dev);
	return why;
}

int main(int argc, char **argv)
{
	bool check = argc > 1 && !strcmp(argv[1], "-c");
	const char *why, *folder;
	struct dsv4_error e = { 0 };
	struct cufile c;
	struct dsv4 *d;
	uint32_t i;

	if (argc != 2 + check) {
		fprintf(stderr, "usage: load_cufile [-c] OUT/rank-R-of-N\n");
		return 2;
	}
	folder = argv[1 + check];
	if (dsv4_open(&d, folder, NULL, &e)) {
		fprintf(stderr, "load_cufile: %s: %s\n", e.rule, e.message);
		return 1;
	}
	if (dsv4_info(d)->folders != 1 || *dsv4_folder(d, 0)->name) {
		fprintf(stderr, "load_cufile: %s: name the folder of one rank\n", folder);
		dsv4_close(d);
		return 2;
	}
	why = cufile_begin(&c);
	printf("%s%s\n", why ? why : "by cuFile", why ? ": through the host" : "");
	for (i = 0, why = NULL; !why && i < dsv4_info(d)->files; i++)
		why = load_file(&c, d, folder, i, check, &e);
	if (why)
		fprintf(stderr, "load_cufile: %s: %s\n", dsv4_file(d, i - 1)->name, why);
	else
		printf("%u files, %zu tensors placed%s\n", dsv4_info(d)->files,
			dsv4_info(d)->tensors, check ? ", and equal" : "");
	if (c.lib && c.driver_close)
		(void)c.driver_close(); /* the process ends */
	cufile_end(&c);
	dsv4_close(d);
	return why ? 1 : fflush(stdout) ? 2 : 0;
}
