/* faultio.h -- a table of I/O operations that goes wrong on command, and that watches.
 *
 * Every call goes on to io_posix(), counted by operation and in all. One call, or all from it on,
 * fail with an errno of choice and do nothing; transfers can be short or interrupted. fsync is
 * counted and not done: what a test of it can see is the order of calls, and that is watched:
 *
 *	early    a file was renamed that was written to after its last fsync, or whose fsync failed
 *	again    fsync of a file whose fsync had failed; again_dir: of a folder
 *	loose    a folder was closed whose last change was not synced (matters if the run succeeded)
 *	unclosed closing a file that was written failed
 *	strange  a descriptor was closed that was not open
 *	spoiled  the name that a file had got when the fsync of its folder failed
 *
 * Thread-safe as far as the real table is; the hook is called without the lock.
 *
 * SPDX-License-Identifier: MIT */
#ifndef TESTS_FAULTIO_H
#define TESTS_FAULTIO_H
#include "core/io.h"
#include "tests/check.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>

enum io_op {
	IO_OPEN,
	IO_CLOSE,
	IO_FSTAT,
	IO_LSTAT,
	IO_READLINK,
	IO_PREAD,
	IO_PWRITE,
	IO_ALLOCATE,
	IO_FSYNC,
	IO_RENAME,
	IO_LINK, /* clone too */
	IO_UNLINK,
	IO_MKDIR,
	IO_LIST,
	IO_STATVFS,
	IO_LOCK,
	IO_ANY
};
static const char *const io_names[IO_ANY + 1] = { "open", "close", "fstat", "lstat", "readlink",
	"pread", "pwrite", "allocate", "fsync", "rename", "link", "unlink", "mkdir", "list",
	"statvfs", "lock", "any" };

enum { FAULTIO_FDS = 256, FAULTIO_FILES = 512 };

/* A file made through the table, by the folder and the name it was made under. */
struct faultio_file {
	ino_t in;
	char name[300];
	bool synced, poisoned;
};

struct faultio_fd {
	bool open, changed, poisoned; /* the last two of a folder */
	struct faultio_file *file;    /* NULL: not made here */
};

struct faultio {
	struct io io; /* first */

	/* What goes wrong. */
	enum io_op op; /* IO_ANY: calls of all kinds are counted together */
	uint64_t at;   /* which call of op fails, from 1; 0: none */
	bool forever;  /* and all of op after it */
	int error;     /* errno; 0 for pread and pwrite: they return 0 */
	bool lie;      /* pwrite does not fail but only says it wrote */
	int no_blocks; /* errno of all calls of allocate, or 0 */
	int no_dir_sync; /* errno of all fsync of folders, or 0: the file system has none, and nothing is lost */
	bool no_up;   /* folders above may be passed, not opened: mode 0711 of others */
	int no_lock;  /* errno of all calls of lock and lock_file, or 0 */
	int no_flock; /* errno of all calls of lock alone, or 0: as for a run on another machine */
	int no_statvfs; /* errno of all calls of statvfs, or 0; -1: it says 0 of everything */
	size_t most;    /* not 0: transfers move 1..most bytes */
	unsigned eintr; /* calls of op are interrupted this often before each that is not */
	uint64_t room;  /* not 0: bytes that statvfs says are free */
	void (*hook)(struct faultio *, enum io_op op, const char *name); /* before each call */
	void *ctx;                                                       /* of the hook */

	/* What was seen. */
	uint64_t calls[IO_ANY + 1], failed[IO_ANY + 1];
	unsigned early, again, again_dir, loose, unclosed, strange;
	char spoiled[300];
	ino_t spoiled_in; /* the folder */
	unsigned n_open;

	pthread_mutex_t lock; /* guards what follows and what was seen */
	unsigned in_row;      /* interruptions */
	char renamed[300];    /* the last new name */
	int dir;              /* of the rename that the hook is about to see */
	struct faultio_fd fd[FAULTIO_FDS];
	struct faultio_file file[FAULTIO_FILES];
};

/* A table is never const where it is made. */
static inline struct faultio *faultio_of(const struct io *io)
{
	return (struct faultio *)(uintptr_t)io;
}

/* Counts the call. False, with errno, if it is to fail. */
static inline bool faultio_goes(const struct io *io, enum io_op op, const char *name)
{
	struct faultio *f = faultio_of(io);
	bool mine = op == f->op || f->op == IO_ANY, fails;
	uint64_t n;

	if (f->hook)
		f->hook(f, op, name);
	pthread_mutex_lock(&f->lock);
	f->calls[op]++;
	f->calls[IO_ANY]++;
	n = f->calls[f->op];
	fails = f->at && mine && (n == f->at || (f->forever && n > f->at));
	if (fails && !f->lie) {
		f->failed[op]++;
		f->failed[IO_ANY]++;
	}
	if (fails) {
		errno = f->error;
	} else if (mine && f->eintr) {
		fails = f->in_row++ < f->eintr;
		f->in_row = fails ? f->in_row : 0;
		errno = EINTR;
	}
	pthread_mutex_unlock(&f->lock);
	return !fails;
}

static inline bool faultio_known(int fd)
{
	return fd >= 0 && fd < FAULTIO_FDS;
}

static inline ino_t faultio_ino(int dir)
{
	struct stat st;

	return fstat(dir, &st) ? 0 : st.st_ino;
}

/* The file was, or is to be, called name in that folder; its old entry, or a free one. */
static inline struct faultio_file *faultio_file(struct faultio *f, int dir, const char *name)
{
	ino_t in = faultio_ino(dir);
	size_t i;

	for (i = 0; i < FAULTIO_FILES && f->file[i].name[0]; i++)
		if (f->file[i].in == in && !strcmp(f->file[i].name, name))
			return &f->file[i];
	if (i == FAULTIO_FILES) {
		fprintf(stderr, "faultio: more than %d files\n", FAULTIO_FILES);
		exit(2);
	}
	f->file[i].in = in;
	snprintf(f->file[i].name, sizeof f->file[i].name, "%s", name);
	return &f->file[i];
}

static inline void faultio_opened(struct faultio *f, int dir, int fd, const char *name, bool made)
{
	pthread_mutex_lock(&f->lock);
	if (fd >= FAULTIO_FDS) {
		fprintf(stderr, "faultio: descriptor %d\n", fd);
		exit(2);
	}
	f->n_open++;
	f->fd[fd] = (struct faultio_fd){ .open = true };
	if (made) {
		f->fd[fd].file = faultio_file(f, dir, name);
		f->fd[fd].file->synced = f->fd[fd].file->poisoned = false;
		if (faultio_known(dir))
			f->fd[dir].changed = true;
	}
	pthread_mutex_unlock(&f->lock);
}

static inline int faultio_open(const struct io *io, int dir, const char *path, int flags,
	mode_t mode)
{
	int fd;

	if (!faultio_goes(io, IO_OPEN, path))
		return -1;
	if (faultio_of(io)->no_up && !strcmp(path, "..")) {
		errno = EACCES;
		return -1;
	}
	fd = io_posix()->open(io_posix(), dir, path, flags, mode);
	if (fd >= 0)
		faultio_opened(faultio_of(io), dir, fd, path, flags & O_CREAT);
	return fd;
}

/* As in Linux the descriptor is gone even where close fails. */
static inline int faultio_close(const struct io *io, int fd)
{
	struct faultio *f = faultio_of(io);
	bool goes = faultio_goes(io, IO_CLOSE, NULL);
	int why = errno, rc;

	pthread_mutex_lock(&f->lock);
	if (!faultio_known(fd) || !f->fd[fd].open) {
		f->strange += fd >= 0;
	} else {
		f->n_open--;
		f->fd[fd].open = false;
		f->loose += f->fd[fd].changed;
		f->unclosed += !goes && f->fd[fd].file;
	}
	rc = io_posix()->close(io_posix(), fd);
	pthread_mutex_unlock(&f->lock);
	if (goes)
		return rc;
	errno = why;
	return -1;
}

static inline int faultio_fstat(const struct io *io, int fd, struct stat *st)
{
	return faultio_goes(io, IO_FSTAT, NULL) ? io_posix()->fstat(io_posix(), fd, st) : -1;
}

static inline int faultio_lstat(const struct io *io, int dir, const char *path, struct stat *st)
{
	return faultio_goes(io, IO_LSTAT, path) ? io_posix()->lstat(io_posix(), dir, path, st) : -1;
}

static inline ssize_t faultio_readlink(const struct io *io, int dir, const char *path, char *buf,
	size_t n)
{
	return faultio_goes(io, IO_READLINK, path)
		? io_posix()->readlink(io_posix(), dir, path, buf, n)
		: -1;
}

static inline size_t faultio_short(const struct faultio *f, size_t n)
{
	size_t k = f->most ? 1 + rnd((uint32_t)f->most) : n;

	return k < n ? k : n;
}

static inline ssize_t faultio_pread(const struct io *io, int fd, void *buf, size_t n, off_t at)
{
	if (!faultio_goes(io, IO_PREAD, NULL))
		return errno ? -1 : 0;
	return io_posix()->pread(io_posix(), fd, buf, faultio_short(faultio_of(io), n), at);
}

static inline void faultio_touched(struct faultio *f, int fd)
{
	pthread_mutex_lock(&f->lock);
	if (faultio_known(fd) && f->fd[fd].file)
		f->fd[fd].file->synced = false;
	pthread_mutex_unlock(&f->lock);
}

static inline ssize_t faultio_pwrite(const struct io *io, int fd, const void *buf, size_t n,
	off_t at)
{
	struct faultio *f = faultio_of(io);

	if (!faultio_goes(io, IO_PWRITE, NULL)) {
		if (f->lie)
			return (ssize_t)n;
		return errno ? -1 : 0;
	}
	faultio_touched(f, fd);
	return io_posix()->pwrite(io_posix(), fd, buf, faultio_short(f, n), at);
}

static inline int faultio_allocate(const struct io *io, int fd, off_t n)
{
	struct faultio *f = faultio_of(io);

	if (!faultio_goes(io, IO_ALLOCATE, NULL))
		return -1;
	if (f->no_blocks) {
		errno = f->no_blocks;
		return -1;
	}
	faultio_touched(f, fd);
	return io_posix()->allocate(io_posix(), fd, n);
}

static inline int faultio_fsync(const struct io *io, int fd)
{
	struct faultio *f = faultio_of(io);
	bool goes = faultio_goes(io, IO_FSYNC, NULL), *bad;
	struct faultio_fd *d = &f->fd[faultio_known(fd) ? fd : 0];

	pthread_mutex_lock(&f->lock);
	bad = d->file ? &d->file->poisoned : &d->poisoned;
	f->again += *bad && d->file;
	f->again_dir += *bad && !d->file;
	if (goes && !d->file && f->no_dir_sync) {
		d->changed = false;
		pthread_mutex_unlock(&f->lock);
		errno = f->no_dir_sync;
		return -1;
	}
	*bad = *bad || !goes;
	if (d->file)
		d->file->synced = goes;
	else if (goes)
		d->changed = false;
	else if (d->changed)
		memcpy(f->spoiled, f->renamed, sizeof f->spoiled), f->spoiled_in = faultio_ino(fd);
	pthread_mutex_unlock(&f->lock);
	return goes ? 0 : -1;
}

static inline int faultio_name(const struct io *io, int dir, const char *from, const char *to,
	bool replace)
{
	struct faultio *f = faultio_of(io);
	struct faultio_file *file;
	const struct io *real = io_posix();

	f->dir = dir;
	if (!faultio_goes(io, IO_RENAME, from) ||
		(replace ? real->replace : real->rename)(real, dir, from, to))
		return -1;
	pthread_mutex_lock(&f->lock);
	file = faultio_file(f, dir, from);
	f->early += !file->synced || file->poisoned;
	snprintf(f->renamed, sizeof f->renamed, "%s", to);
	if (faultio_known(dir))
		f->fd[dir].changed = true;
	pthread_mutex_unlock(&f->lock);
	return 0;
}

static inline int faultio_rename(const struct io *io, int dir, const char *from, const char *to)
{
	return faultio_name(io, dir, from, to, false);
}

static inline int faultio_replace(const struct io *io, int dir, const char *from, const char *to)
{
	return faultio_name(io, dir, from, to, true);
}

/* No file system that tests run on is asked to share blocks: files are linked. */
static inline int faultio_clone(const struct io *io, int from, int to)
{
	(void)from, (void)to;
	if (faultio_goes(io, IO_LINK, NULL))
		errno = EOPNOTSUPP;
	return -1;
}

static inline int faultio_link(const struct io *io, int from_dir, const char *from, int dir,
	const char *name)
{
	struct faultio *f = faultio_of(io);

	if (!faultio_goes(io, IO_LINK, name) ||
		io_posix()->link(io_posix(), from_dir, from, dir, name))
		return -1;
	pthread_mutex_lock(&f->lock);
	if (faultio_known(dir))
		f->fd[dir].changed = true;
	pthread_mutex_unlock(&f->lock);
	return 0;
}

static inline int faultio_unlink(const struct io *io, int dir, const char *path)
{
	struct faultio *f = faultio_of(io);

	if (!faultio_goes(io, IO_UNLINK, path) || io_posix()->unlink(io_posix(), dir, path))
		return -1;
	pthread_mutex_lock(&f->lock);
	if (faultio_known(dir))
		f->fd[dir].changed = true;
	pthread_mutex_unlock(&f->lock);
	return 0;
}

static inline int faultio_rmdir(const struct io *io, int dir, const char *path)
{
	struct faultio *f = faultio_of(io);

	if (!faultio_goes(io, IO_UNLINK, path) || io_posix()->rmdir(io_posix(), dir, path))
		return -1;
	pthread_mutex_lock(&f->lock);
	if (faultio_known(dir))
		f->fd[dir].changed = true;
	pthread_mutex_unlock(&f->lock);
	return 0;
}

static inline int faultio_mkdir(const struct io *io, int dir, const char *path, mode_t mode)
{
	return faultio_goes(io, IO_MKDIR, path) ? io_posix()->mkdir(io_posix(), dir, path, mode)
						: -1;
}

static inline int faultio_list(const struct io *io, int dir, char **names, size_t *n)
{
	return faultio_goes(io, IO_LIST, NULL) ? io_posix()->list(io_posix(), dir, names, n) : -1;
}

static inline int faultio_statvfs(const struct io *io, int fd, struct statvfs *v)
{
	struct faultio *f = faultio_of(io);

	if (!faultio_goes(io, IO_STATVFS, NULL) || io_posix()->statvfs(io_posix(), fd, v))
		return -1;
	if (f->no_statvfs > 0) {
		errno = f->no_statvfs;
		return -1;
	}
	if (f->no_statvfs)
		memset(v, 0, sizeof *v);
	if (f->room) {
		v->f_frsize = 1;
		v->f_bavail = f->room;
		v->f_blocks = f->room;
	}
	return 0;
}

/* Counts a call for a lock, which fails with errno why if that is not 0. False, with errno, if it is to fail. */
static inline bool faultio_locks(const struct io *io, int why)
{
	bool goes = faultio_goes(io, IO_LOCK, NULL) && !why;

	if (why)
		errno = why;
	return goes;
}

static inline int faultio_lock(const struct io *io, int fd)
{
	const struct faultio *f = faultio_of(io);

	return faultio_locks(io, f->no_lock ? f->no_lock : f->no_flock)
		? io_posix()->lock(io_posix(), fd)
		: -1;
}

static inline int faultio_lock_file(const struct io *io, int fd)
{
	return faultio_locks(io, faultio_of(io)->no_lock) ? io_posix()->lock_file(io_posix(), fd)
							  : -1;
}

/* A table that does as the real one. */
static inline void faultio_make(struct faultio *f)
{
	*f = (struct faultio){ .io = { .open = faultio_open,
				       .close = faultio_close,
				       .fstat = faultio_fstat,
				       .lstat = faultio_lstat,
				       .readlink = faultio_readlink,
				       .pread = faultio_pread,
				       .pwrite = faultio_pwrite,
				       .allocate = faultio_allocate,
				       .fsync = faultio_fsync,
				       .rename = faultio_rename,
				       .replace = faultio_replace,
				       .clone = faultio_clone,
				       .link = faultio_link,
				       .unlink = faultio_unlink,
				       .rmdir = faultio_rmdir,
				       .mkdir = faultio_mkdir,
				       .list = faultio_list,
				       .statvfs = faultio_statvfs,
				       .lock = faultio_lock,
				       .lock_file = faultio_lock_file },
		.op = IO_ANY,
		.lock = PTHREAD_MUTEX_INITIALIZER };
}
#endif
