/* SPDX-License-Identifier: MIT */
#include "core/file.h"

#include "core/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

/* The kernel moves at most 0x7ffff000 bytes a call; a round number below that. */
#define FILE_CALL_MAX ((size_t)1 << 30)

/* Whether a call on fd failed for a reason that only the table can tell, which is then reported. */
static bool has_fault(const struct io *io, int fd, struct err *e)
{
	int why = errno;
	bool has = why == EILSEQ && io->fault && io->fault(io, fd, e);

	errno = why;
	return has;
}

int file_open_dir(const struct io *io, const char *path, int *dir, struct err *e)
{
	*dir = io->open(io, AT_FDCWD, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
	if (*dir < 0 && has_fault(io, AT_FDCWD, e))
		return err_at(e, "%s", text_quote(path).s);
	if (*dir < 0)
		return err_sys(e, "cannot open folder %s", text_quote(path).s);
	return 0;
}

/* The first n bytes of path name a folder in dir. errno stays that of open where that fails. */
static int open_component(const struct io *io, int dir, const char *path, size_t n, bool make,
	int *fd, struct err *e)
{
	bool made;
	char name[256];

	if (n >= sizeof name)
		return err_set(e, ERR_USAGE, "%s is too long a name", text_quote(path).s);
	memcpy(name, n ? path : ".", n ? n : 1);
	name[n ? n : 1] = 0;
	made = make && !io->mkdir(io, dir, name, 0777);
	if (make && !made && errno != EEXIST)
		return err_sys(e, "cannot make folder %s", text_quote(path).s);
	if (made && file_sync_dir(io, dir))
		return err_sys(e, "cannot sync the folder of %s", text_quote(path).s);
	*fd = io->open(io, dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC, 0);
	if (*fd < 0 && (errno == ELOOP || errno == ENOTDIR))
		return err_rule(e, RULE_FILE_SYMLINK, ERR_NOPOS,
			"%s is no folder, or a symbolic link", text_quote(path).s);
	if (*fd < 0 && has_fault(io, dir, e))
		return err_at(e, "%s", text_quote(path).s);
	return *fd < 0 ? err_sys(e, "cannot open folder %s", text_quote(path).s) : 0;
}

/* make: folders that are missing are made, and synced into the one that they lie in. */
static int go_below(const struct io *io, int dir, const char *path, bool make, int *fd,
	struct err *e)
{
	const char *end;
	int in = dir, rc, why;

	do {
		end = strchr(path, '/');
		rc = open_component(io, in, path, end ? (size_t)(end - path) : strlen(path), make,
			fd, e);
		why = errno;
		if (in != dir)
			(void)io->close(io, in); /* what was made in it is synced */
		errno = why;
		in = *fd;
		path = end ? end + 1 : NULL;
	} while (!rc && path);
	return rc;
}

int file_open_above(const struct io *io, const char *path, int *dir, const char **name,
	struct err *e)
{
	const char *slash = strrchr(path, '/');
	char *folder;
	int rc;

	*name = slash ? slash + 1 : path;
	if (!**name)
		return err_set(e, ERR_USAGE, "%s is no name of a file", text_quote(path).s);
	folder = slash ? strndup(path, (size_t)(slash - path) + 1) : strdup(".");
	if (!folder)
		return err_nomem(e);
	rc = file_open_dir(io, folder, dir, e);
	free(folder);
	return rc;
}

int file_open_below(const struct io *io, int dir, const char *path, int *fd, struct err *e)
{
	return go_below(io, dir, path, false, fd, e);
}

int file_make_below(const struct io *io, int dir, const char *path, int *fd, struct err *e)
{
	return go_below(io, dir, path, true, fd, e);
}

int file_open(const struct io *io, int dir, const char *name, int *fd, struct stat *st,
	struct err *e)
{
	*fd = io->open(io, dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY, 0);
	if (*fd < 0 && errno == ELOOP)
		return err_rule(e, RULE_FILE_SYMLINK, ERR_NOPOS, "%s is a symbolic link",
			text_quote(name).s);
	if (*fd < 0 && has_fault(io, dir, e))
		return -1;
	if (*fd < 0)
		return err_sys(e, "cannot open %s", text_quote(name).s);
	if (io->fstat(io, *fd, st)) {
		err_sys(e, "cannot stat %s", text_quote(name).s);
	} else if (!S_ISREG(st->st_mode)) {
		err_rule(e, RULE_FILE_NOT_REGULAR, ERR_NOPOS, "%s is not a regular file",
			text_quote(name).s);
	} else {
		return 0;
	}
	(void)io->close(io, *fd); /* read only: nothing can be lost */
	*fd = -1;
	return -1;
}

int file_read(const struct io *io, int fd, void *buf, size_t n, uint64_t at, struct err *e)
{
	unsigned char *p = buf;
	ssize_t got;

	while (n) {
		got = io->pread(io, fd, p, n < FILE_CALL_MAX ? n : FILE_CALL_MAX, (off_t)at);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0 && has_fault(io, fd, e))
			return -1;
		if (got < 0)
			return err_sys(e, "cannot read at byte %llu", (unsigned long long)at);
		if (got == 0)
			return err_rule(e, RULE_FILE_SHORT, at,
				"the file ends at byte %llu, %zu bytes more were expected",
				(unsigned long long)at, n);
		p += got;
		at += (uint64_t)got;
		n -= (size_t)got;
	}
	return 0;
}

int file_write(const struct io *io, int fd, const void *buf, size_t n, uint64_t at, struct err *e)
{
	const unsigned char *p = buf;
	ssize_t put;

	while (n) {
		put = io->pwrite(io, fd, p, n < FILE_CALL_MAX ? n : FILE_CALL_MAX, (off_t)at);
		if (put < 0 && errno == EINTR)
			continue;
		if (put < 0)
			return err_sys(e, "cannot write at byte %llu", (unsigned long long)at);
		if (put == 0)
			return err_set(e, ERR_SYSTEM, "a write at byte %llu took nothing",
				(unsigned long long)at);
		p += put;
		at += (uint64_t)put;
		n -= (size_t)put;
	}
	return 0;
}

int file_load(const struct io *io, int dir, const char *name, uint64_t cap, struct text *out,
	struct err *e)
{
	struct stat st;
	int fd, rc = -1;

	if (file_open(io, dir, name, &fd, &st, e))
		return -1;
	if ((uint64_t)st.st_size > cap) {
		err_rule(e, RULE_FILE_TOO_BIG, ERR_NOPOS,
			"%s has %lld bytes, at most %llu are taken", text_quote(name).s,
			(long long)st.st_size, (unsigned long long)cap);
		goto out;
	}
	if (mem_grow(&out->s, &out->cap, (size_t)st.st_size + 1, 1)) {
		err_nomem(e);
		goto out;
	}
	if (file_read(io, fd, out->s, (size_t)st.st_size, 0, e)) {
		err_at(e, "%s", text_quote(name).s);
		goto out;
	}
	out->n = (size_t)st.st_size;
	out->s[out->n] = 0;
	rc = 0;
out:
	(void)io->close(io, fd);
	return rc;
}

/* Setting the blocks aside makes the writes cheaper and brings "disk full" to the start. A file
 * system that cannot is as good. */
static int set_aside(const struct io *io, int fd, uint64_t size)
{
	int rc;

	do
		rc = io->allocate(io, fd, (off_t)size);
	while (rc && errno == EINTR);
	return rc && errno != EOPNOTSUPP && errno != ENOSYS && errno != EINVAL && errno != EPERM
		? -1
		: 0;
}

int file_sync_dir(const struct io *io, int dir)
{
	if (!io->fsync(io, dir) || errno == EINVAL || errno == ENOSYS || errno == EOPNOTSUPP ||
		errno == EPERM || errno == EBADF)
		return 0;
	return -1;
}

/* --- temporary names --- */

static const char part_end[] = ".part";
enum { TOKEN = 16 }; /* hexadecimal digits */

/* 64 random bits: another process, here or on another machine, has another name. */
static uint64_t token(const struct file_out *o)
{
	struct timespec t;
	uint64_t v;

	if (getrandom(&v, sizeof v, GRND_NONBLOCK) == (ssize_t)sizeof v)
		return v;
	clock_gettime(CLOCK_REALTIME, &t);
	return ((uint64_t)t.tv_nsec << 34) ^ ((uint64_t)getpid() << 17) ^ (uint64_t)t.tv_sec ^
		(uint64_t)(uintptr_t)o;
}

bool file_is_part(const char *part, char name[256])
{
	size_t n = strlen(part), end = sizeof part_end - 1;

	if (n < end + 2 || n > 255 || part[0] != '.' || strcmp(part + n - end, part_end) != 0)
		return false;
	n -= end + 1; /* and the dot in front */
	memcpy(name, part + 1, n);
	name[n] = 0;
	if (n > TOKEN + 1 && name[n - TOKEN - 1] == '.' &&
		strspn(name + n - TOKEN, "0123456789abcdef") == TOKEN)
		name[n - TOKEN - 1] = 0;
	return true;
}

void file_part_beside(const char *part, const char *name, char out[300])
{
	size_t n = strlen(part), end = sizeof part_end - 1;

	out[0] = 0;
	if (n > end + TOKEN + 2 && part[n - end - TOKEN - 1] == '.' &&
		strspn(part + n - end - TOKEN, "0123456789abcdef") == TOKEN)
		snprintf(out, 300, ".%.250s%s", name, part + n - end - TOKEN - 1);
}

enum { NAMES = 4 }; /* that are tried */

/* Makes o->part under a name of its own. Returns 0, or -1 with errno. Where 64 random bits are taken, the answer to an
 * earlier request was lost on the network and its file is there. */
static int create_part(struct file_out *o)
{
	int i;

	for (i = 0; i < NAMES; i++) {
		snprintf(o->part, sizeof o->part, ".%.*s.%016llx%s", FILE_NAME_MAX, o->name,
			(unsigned long long)token(o), part_end);
		o->fd = o->io->open(o->io, o->dir, o->part,
			O_CREAT | O_EXCL | O_RDWR | O_NOFOLLOW | O_CLOEXEC, 0666);
		if (o->fd >= 0 || errno != EEXIST)
			break;
	}
	return o->fd < 0 ? -1 : 0;
}

int file_out_begin(struct file_out *o, const struct io *io, int dir, const char *name,
	uint64_t size, struct err *e)
{
	memset(o, 0, sizeof *o);
	o->io = io;
	o->dir = dir;
	o->size = size;
	o->fd = -1;
	if (strlen(name) > FILE_NAME_MAX)
		return err_set(e, ERR_USAGE, "the file name %s is too long", text_quote(name).s);
	snprintf(o->name, sizeof o->name, "%s", name);
	if (create_part(o))
		return err_sys(e, "cannot create %s", o->part);
	o->begun = true;
	if (size && set_aside(io, o->fd, size)) {
		err_sys(e, "cannot set aside %s for %s", text_bytes(size).s, o->name);
		file_out_abandon(o);
		return -1;
	}
	return 0;
}

/* Makes the temporary file another name of the open file from. */
static bool link_part(struct file_out *o, int from, int from_dir, const char *from_name)
{
	struct stat was, is;

	if (o->io->fstat(o->io, from, &was) ||
		o->io->link(o->io, from_dir, from_name, o->dir, o->part))
		return false;
	o->begun = true;
	o->fd = o->io->open(o->io, o->dir, o->part,
		O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, 0);
	return o->fd >= 0 && !o->io->fstat(o->io, o->fd, &is) && is.st_dev == was.st_dev &&
		is.st_ino == was.st_ino;
}

int file_out_from(struct file_out *o, const struct io *io, int dir, const char *name, int from,
	int from_dir, const char *from_name, uint64_t size, bool *taken, struct err *e)
{
	*taken = false;
	if (file_out_begin(o, io, dir, name, 0, e))
		return -1;
	o->size = size;
	*taken = !io->clone(io, from, o->fd);
	if (*taken)
		return 0;
	(void)io->close(io, o->fd); /* nothing was written */
	o->fd = -1;
	if (file_remove(io, dir, o->part, e))
		return -1;
	o->begun = false;
	*taken = link_part(o, from, from_dir, from_name);
	if (!*taken)
		file_out_abandon(o);
	return 0;
}

int file_out_close(struct file_out *o, struct err *e)
{
	int fd = o->fd;

	if (o->io->fsync(o->io, fd))
		return err_sys(e, "cannot sync %s", o->part);
	if (o->io->fstat(o->io, fd, &o->st))
		return err_sys(e, "cannot stat %s", o->part);
	if ((uint64_t)o->st.st_size != o->size)
		return err_set(e, ERR_SYSTEM, "%s has %lld bytes after writing %llu", o->part,
			(long long)o->st.st_size, (unsigned long long)o->size);
	o->fd = -1; /* closed now, whatever close says */
	if (o->io->close(o->io, fd))
		return err_sys(e, "cannot close %s", o->part);
	return 0;
}

int file_out_leave(struct file_out *o, struct err *e)
{
	int fd = o->fd;

	if (o->io->fsync(o->io, fd))
		return err_sys(e, "cannot sync %s", o->part);
	o->fd = -1; /* closed now, whatever close says */
	if (o->io->close(o->io, fd))
		return err_sys(e, "cannot close %s", o->part);
	o->begun = false;
	return 0;
}

int file_out_again(struct file_out *o, const struct io *io, int dir, const char *part,
	uint64_t size, bool *usable, struct err *e)
{
	struct stat st;

	memset(o, 0, sizeof *o);
	o->io = io;
	o->dir = dir;
	o->size = size;
	o->fd = -1;
	*usable = false;
	if (!file_is_part(part, o->name) || strlen(part) >= sizeof o->part)
		return 0;
	snprintf(o->part, sizeof o->part, "%s", part);
	o->fd = io->open(io, dir, part, O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, 0);
	if (o->fd < 0)
		return errno == EMFILE || errno == ENFILE ? err_sys(e, "cannot open %s", part) : 0;
	*usable = !io->fstat(io, o->fd, &st) && S_ISREG(st.st_mode) && st.st_nlink == 1 &&
		(uint64_t)st.st_size == size;
	o->begun = *usable;
	if (!*usable) {
		(void)io->close(io, o->fd); /* nothing was written */
		o->fd = -1;
	}
	return 0;
}

bool file_same_time(const struct timespec *a, const struct timespec *b)
{
	return a->tv_sec == b->tv_sec && a->tv_nsec == b->tv_nsec;
}

int file_is(const struct io *io, int dir, const char *name, const struct stat *was)
{
	struct stat st;

	if (io->lstat(io, dir, name, &st))
		return errno == ENOENT ? 0 : -1;
	if (!S_ISREG(st.st_mode) || st.st_size != was->st_size)
		return 0;
	return (st.st_dev == was->st_dev && st.st_ino == was->st_ino) ||
		file_same_time(&st.st_mtim, &was->st_mtim);
}

int file_timeless(const struct io *io, int fd, const struct stat *st, bool *timeless, struct err *e)
{
	struct stat was = *st, now;
	unsigned i;

	*timeless = false;
	for (i = 0; i < 3; i++, was = now) {
		if (io->fstat(io, fd, &now))
			return err_sys(e, "cannot stat an open file");
		if (file_same_time(&now.st_mtim, &was.st_mtim))
			return 0;
	}
	*timeless = true;
	return 0;
}

bool file_was_moved(const struct io *io, int dir, const char *to, const struct stat *was)
{
	int why = errno;
	struct stat st;
	bool is = (why == ENOENT || why == EEXIST) && !io->lstat(io, dir, to, &st) &&
		st.st_dev == was->st_dev && st.st_ino == was->st_ino;

	errno = why;
	return is;
}

static int give_name(struct file_out *o, bool replace, struct err *e)
{
	const struct io *io = o->io;
	int is;

	is = file_is(io, o->dir, o->part, &o->st);
	if (is < 0)
		return err_sys(e, "cannot look at %s", o->part);
	if (!is)
		return err_rule(e, RULE_OUT_RACE, ERR_NOPOS,
			"%s is not the file that was written here: another process works in the "
			"same folder",
			o->part);
	if ((replace ? io->replace : io->rename)(io, o->dir, o->part, o->name)) {
		if (!file_was_moved(io, o->dir, o->name, &o->st))
			return err_sys(e, "cannot rename %s to %s", o->part, o->name);
		(void)io->unlink(io, o->dir, o->part); /* of a hard link's two names */
	}
	o->begun = false;
	if (file_sync_dir(io, o->dir)) {
		err_sys(e, "cannot sync the folder of %s", o->name);
		if (!replace) /* not known to be there after a crash */
			(void)io->unlink(io, o->dir, o->name);
		return -1;
	}
	return 0;
}

int file_out_publish(struct file_out *o, struct err *e)
{
	return give_name(o, false, e);
}

int file_out_replace(struct file_out *o, struct err *e)
{
	return give_name(o, true, e);
}

void file_out_abandon(struct file_out *o)
{
	int why = errno;

	if (o->begun) {
		if (o->fd >= 0)
			(void)o->io->close(o->io, o->fd);
		(void)o->io->unlink(o->io, o->dir, o->part);
	}
	o->fd = -1;
	o->begun = false;
	errno = why;
}

int file_try(const struct io *io, int dir, const char *name, struct err *e)
{
	struct file_out o;

	if (file_out_begin(&o, io, dir, name, 0, e))
		return -1;
	(void)io->close(io, o.fd); /* nothing was written */
	return file_remove(io, dir, o.part, e);
}

static int put_whole(const struct io *io, int dir, const char *name, const void *p, size_t n,
	bool replace, struct err *e)
{
	struct file_out o;

	if (file_out_begin(&o, io, dir, name, n, e))
		return -1;
	if (file_write(io, o.fd, p, n, 0, e) || file_out_close(&o, e) ||
		give_name(&o, replace, e)) {
		file_out_abandon(&o);
		return err_at(e, "%s", name);
	}
	return 0;
}

int file_put(const struct io *io, int dir, const char *name, const void *p, size_t n, struct err *e)
{
	return put_whole(io, dir, name, p, n, false, e);
}

int file_replace(const struct io *io, int dir, const char *name, const void *p, size_t n,
	struct err *e)
{
	return put_whole(io, dir, name, p, n, true, e);
}

int file_remove(const struct io *io, int dir, const char *name, struct err *e)
{
	if (io->unlink(io, dir, name) && errno != ENOENT)
		return err_sys(e, "cannot remove %s", text_quote(name).s);
	return 0;
}

uint64_t file_most_open(void)
{
	struct rlimit r;

	if (getrlimit(RLIMIT_NOFILE, &r))
		return UINT64_MAX; /* nobody says; opening will */
	if (r.rlim_cur < r.rlim_max) {
		r.rlim_cur = r.rlim_max;
		if (setrlimit(RLIMIT_NOFILE, &r) && getrlimit(RLIMIT_NOFILE, &r))
			return UINT64_MAX;
	}
	return r.rlim_cur == RLIM_INFINITY ? UINT64_MAX : (uint64_t)r.rlim_cur;
}
