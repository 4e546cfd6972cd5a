/* sharedfs.c -- a library for LD_PRELOAD: what a process sees of a shared file system whose caches, locks, clocks and
 * machines go wrong. It stands between the tools and the C library, and touches only calls on files below one folder.
 *
 *	SHAREDFS=FOLDER        files below it are shared
 *	SHAREDFS_NODE=NAME     this machine's name and boot id: processes of other names are on other machines
 *	SHAREDFS_FAULT=LIST    what goes wrong, each NAME or NAME=NUMBER, with commas between
 *
 *	attr=MS     attributes by name, and that a name is not there, are kept for so long (NFS: acregmin, acdirmin)
 *	data=MS     what was read of a small file is read again for so long
 *	late=MS     a name that another process has made or renamed is seen so long after the first look at it
 *	timeless=C  a file whose path has the letter after "/" as the first of a folder has no time that stays: s(ource), o(ut)
 *	nolock      flock and locks by fcntl are granted to everybody
 *	noexcl      O_EXCL takes files that are there
 *	lost=N      of each N-th rename and exclusive open the answer is lost: it is done, and ENOENT or EEXIST comes back
 *	estale=N    the N-th call fails with ESTALE; eio=N: with EIO; every=N: each N-th fails, with one and the other
 *	skew=S      this machine's clock of the day is S seconds ahead, and files get their times from it when they are synced
 *	slow=MS     fsync takes so long
 *	hasty       what the process sleeps is a twentieth of what it wants: for tests of what is tried again
 *
 * SHAREDFS_COUNT=FILE: at its end the process writes there how many calls it made that could fail.
 *
 * SPDX-License-Identifier: MIT */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { PATH = 4096, KEPT = 4096, SMALL = 1024 };

/* What this process knows of a path. */
struct kept {
	char *path; /* owns; never freed: the process is short */
	bool own;   /* made or renamed here: seen at once, ever after */
	ino_t seen; /* the file that is seen under this name; 0: none */
	ino_t next; /* what lies there in truth, and was first looked at when */
	double since;
	bool has_st; /* attr: the answer that is given until then */
	struct stat st;
	int why;
	double st_until;
};
/* And of the contents of a small file. */
struct copy {
	ino_t ino;
	char s[SMALL];
	ssize_t n;
	double until;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static char root[PATH], node[64], fault[512], count_in[PATH], timeless;
static long attr, data, late, nolock, noexcl, lost, estale, eio, every, skew, slow, hasty;
static long calls, renames;
static double began;
static struct kept kept[KEPT];
static struct copy copies[KEPT];
static size_t n_kept, n_copies;

#define NEXT(name) ((__typeof__(&name))(uintptr_t)dlsym(RTLD_NEXT, #name))

static long number(const char *name)
{
	const char *p = fault;
	size_t n = strlen(name);

	for (; p && *p; p = strchr(p, ','), p = p ? p + 1 : NULL)
		if (!strncmp(p, name, n) && (p[n] == 0 || p[n] == ',' || p[n] == '='))
			return p[n] == '=' ? atol(p + n + 1) : 1;
	return 0;
}

static double monotonic(void)
{
	struct timespec t;

	syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static double day(void)
{
	struct timespec t;

	syscall(SYS_clock_gettime, CLOCK_REALTIME, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void copy_env(char *to, size_t n, const char *name)
{
	snprintf(to, n, "%s", getenv(name) ? getenv(name) : "");
}

static void at_end(void)
{
	FILE *f = *count_in ? fopen(count_in, "w") : NULL;

	if (f) {
		fprintf(f, "%ld\n", calls);
		fclose(f);
	}
}

static void begin(void)
{
	const char *t;

	copy_env(root, sizeof root, "SHAREDFS");
	copy_env(node, sizeof node, "SHAREDFS_NODE");
	copy_env(fault, sizeof fault, "SHAREDFS_FAULT");
	copy_env(count_in, sizeof count_in, "SHAREDFS_COUNT");
	attr = number("attr"), data = number("data"), late = number("late");
	nolock = number("nolock"), noexcl = number("noexcl");
	lost = number("lost"), estale = number("estale"), eio = number("eio");
	every = number("every"), skew = number("skew"), slow = number("slow");
	hasty = number("hasty");
	t = strstr(fault, "timeless=");
	timeless = t ? t[9] : 0;
	began = day();
	if (*count_in)
		atexit(at_end);
}

/* --- paths --- */

static bool path_of_fd(int fd, char to[PATH])
{
	char link[40];
	ssize_t n;

	snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
	n = syscall(SYS_readlinkat, AT_FDCWD, link, to, PATH - 1);
	to[n > 0 ? n : 0] = 0;
	return n > 0;
}

/* Whether a path lies in the shared folder; *to is the whole of it. */
static bool shared(int dir, const char *path, char to[PATH])
{
	char base[PATH];
	size_t n;

	pthread_once(&once, begin);
	if (!*root)
		return false;
	if (*path == '/')
		snprintf(to, PATH, "%s", path);
	else if (dir == AT_FDCWD ? !!getcwd(base, sizeof base) : path_of_fd(dir, base))
		snprintf(to, PATH, "%.2000s/%.2000s", base, path);
	else
		return false;
	n = strlen(root);
	return !strncmp(to, root, n) && (to[n] == '/' || !to[n]);
}

static bool shared_fd(int fd, char to[PATH])
{
	pthread_once(&once, begin);
	return *root && path_of_fd(fd, to) && shared(AT_FDCWD, to, (char[PATH]){ 0 });
}

/* --- calls that fail --- */

/* Counts a call. Whether it fails; errno says how. */
static bool fails(void)
{
	long n = __atomic_add_fetch(&calls, 1, __ATOMIC_RELAXED);

	if (n == estale || (every && n % (2 * every) == every))
		errno = ESTALE;
	else if (n == eio || (every && n % (2 * every) == 0))
		errno = EIO;
	else
		return false;
	return true;
}

static bool answer_lost(void)
{
	return lost && __atomic_add_fetch(&renames, 1, __ATOMIC_RELAXED) % lost == 0;
}

/* --- what is known of names --- */

/* The lock is held. */
static struct kept *of(const char *path)
{
	size_t i;

	for (i = 0; i < n_kept; i++)
		if (!strcmp(kept[i].path, path))
			return &kept[i];
	if (n_kept == KEPT) {
		fputs("sharedfs: too many names\n", stderr);
		_exit(99);
	}
	kept[n_kept].path = strdup(path);
	return &kept[n_kept++];
}

/* This process has changed what lies under a name. */
static void changed_here(const char *path)
{
	struct kept *k;

	pthread_mutex_lock(&lock);
	k = of(path);
	k->own = true;
	k->has_st = false;
	pthread_mutex_unlock(&lock);
}

/* Whether a file that lies there in truth is not seen yet. The lock is held. */
static bool hidden(struct kept *k, const struct stat *st)
{
	if (!late || k->own || !S_ISREG(st->st_mode) || k->seen == st->st_ino)
		return false;
	if ((double)st->st_ctim.tv_sec + (double)st->st_ctim.tv_nsec / 1e9 < began - 0.05)
		return false;
	if (k->next != st->st_ino) {
		k->next = st->st_ino;
		k->since = monotonic();
	}
	if (monotonic() - k->since < (double)late / 1000)
		return true;
	k->seen = st->st_ino;
	return false;
}

static void show(const char *path, struct stat *st)
{
	const char *p = path + strlen(root);

	if (timeless && p[0] == '/' && p[1] == timeless && S_ISREG(st->st_mode)) {
		syscall(SYS_clock_gettime, CLOCK_REALTIME, &st->st_mtim);
		st->st_ctim = st->st_mtim;
	}
}

/* --- the calls --- */

static int boot_id(void)
{
	int fd = memfd_create("boot_id", MFD_CLOEXEC);

	if (fd >= 0 && (write(fd, node, strlen(node)) < 0 || lseek(fd, 0, SEEK_SET)))
		return -1;
	return fd;
}

int openat(int dir, const char *path, int flags, ...)
{
	char p[PATH];
	struct stat st;
	bool not_yet = false;
	mode_t mode;
	va_list ap;
	int fd;

	va_start(ap, flags);
	mode = flags & O_CREAT ? va_arg(ap, mode_t) : 0;
	va_end(ap);
	pthread_once(&once, begin);
	if (*node && !strcmp(path, "/proc/sys/kernel/random/boot_id"))
		return boot_id();
	if (!shared(dir, path, p))
		return NEXT(openat)(dir, path, flags, mode);
	if (fails())
		return -1;
	if (noexcl)
		flags &= ~O_EXCL;
	if (!(flags & O_CREAT) && !NEXT(fstatat)(dir, path, &st, AT_SYMLINK_NOFOLLOW)) {
		pthread_mutex_lock(&lock);
		not_yet = hidden(of(p), &st);
		pthread_mutex_unlock(&lock);
	}
	if (not_yet) {
		errno = ENOENT;
		return -1;
	}
	fd = NEXT(openat)(dir, path, flags, mode);
	if (fd >= 0 && (flags & O_CREAT)) {
		changed_here(p);
		if (answer_lost()) {
			close(fd);
			errno = EEXIST;
			return -1;
		}
	} else if (fd >= 0) { /* to open a file is to ask for its attributes */
		pthread_mutex_lock(&lock);
		of(p)->has_st = false;
		pthread_mutex_unlock(&lock);
	}
	return fd;
}

int fstatat(int dir, const char *restrict path, struct stat *restrict st, int flags)
{
	char p[PATH];
	struct kept *k;
	int rc;

	if (!shared(dir, path, p))
		return NEXT(fstatat)(dir, path, st, flags);
	if (fails())
		return -1;
	pthread_mutex_lock(&lock);
	k = of(p);
	if (!k->has_st || monotonic() > k->st_until) {
		rc = NEXT(fstatat)(dir, path, &k->st, flags);
		k->why = rc ? errno : hidden(k, &k->st) ? ENOENT : 0;
		k->has_st = attr != 0;
		k->st_until = monotonic() + (double)attr / 1000;
	}
	*st = k->st;
	errno = k->why;
	rc = k->why ? -1 : 0;
	pthread_mutex_unlock(&lock);
	if (!rc)
		show(p, st);
	return rc;
}

int fstat(int fd, struct stat *st)
{
	char p[PATH];
	bool is = shared_fd(fd, p);

	if (is && fails())
		return -1;
	if (NEXT(fstat)(fd, st))
		return -1;
	if (is)
		show(p, st);
	return 0;
}

/* Leases are read in one call. */
ssize_t read(int fd, void *buf, size_t n)
{
	char p[PATH];
	struct copy *c = NULL;
	struct stat st;
	ssize_t got;
	size_t i;

	if (!shared_fd(fd, p))
		return NEXT(read)(fd, buf, n);
	if (fails())
		return -1;
	got = NEXT(read)(fd, buf, n);
	if (!data || got < 0 || got > SMALL || NEXT(fstat)(fd, &st))
		return got;
	pthread_mutex_lock(&lock);
	for (i = 0; i < n_copies && !c; i++)
		c = copies[i].ino == st.st_ino ? &copies[i] : NULL;
	if (c && monotonic() < c->until && (size_t)c->n <= n) {
		memcpy(buf, c->s, (size_t)c->n);
		got = c->n;
	} else if (c || n_copies < KEPT) {
		c = c ? c : &copies[n_copies++];
		c->ino = st.st_ino;
		memcpy(c->s, buf, (size_t)got);
		c->n = got;
		c->until = monotonic() + (double)data / 1000;
	}
	pthread_mutex_unlock(&lock);
	return got;
}

ssize_t pread(int fd, void *buf, size_t n, off_t at)
{
	char p[PATH];

	return shared_fd(fd, p) && fails() ? -1 : NEXT(pread)(fd, buf, n, at);
}

ssize_t pwrite(int fd, const void *buf, size_t n, off_t at)
{
	char p[PATH];

	return shared_fd(fd, p) && fails() ? -1 : NEXT(pwrite)(fd, buf, n, at);
}

int fsync(int fd)
{
	struct timespec t[2] = { { .tv_nsec = UTIME_OMIT }, { 0 } };
	char p[PATH];
	struct stat st;

	if (!shared_fd(fd, p))
		return NEXT(fsync)(fd);
	if (fails())
		return -1;
	if (slow)
		usleep((useconds_t)slow * 1000);
	if (skew && !NEXT(fstat)(fd, &st) && S_ISREG(st.st_mode)) {
		t[1] = st.st_mtim;
		t[1].tv_sec += skew;
		if (futimens(fd, t))
			return -1;
	}
	return NEXT(fsync)(fd);
}

int renameat2(int from_dir, const char *from, int to_dir, const char *to, unsigned flags)
{
	char p[PATH], q[PATH];
	int rc;

	if (!shared(from_dir, from, q) || !shared(to_dir, to, p))
		return NEXT(renameat2)(from_dir, from, to_dir, to, flags);
	if (fails())
		return -1;
	rc = NEXT(renameat2)(from_dir, from, to_dir, to, flags);
	if (rc)
		return rc;
	changed_here(p);
	changed_here(q);
	if (answer_lost()) {
		errno = ENOENT;
		return -1;
	}
	return 0;
}

int renameat(int from_dir, const char *from, int to_dir, const char *to)
{
	return renameat2(from_dir, from, to_dir, to, 0);
}

int unlinkat(int dir, const char *path, int flags)
{
	char p[PATH];

	if (!shared(dir, path, p))
		return NEXT(unlinkat)(dir, path, flags);
	if (fails())
		return -1;
	changed_here(p);
	return NEXT(unlinkat)(dir, path, flags);
}

int mkdirat(int dir, const char *path, mode_t mode)
{
	char p[PATH];

	return shared(dir, path, p) && fails() ? -1 : NEXT(mkdirat)(dir, path, mode);
}

int flock(int fd, int how)
{
	char p[PATH];

	return nolock && shared_fd(fd, p) ? 0 : NEXT(flock)(fd, how);
}

int fcntl(int fd, int cmd, ...)
{
	va_list ap;
	void *arg;

	pthread_once(&once, begin);
	va_start(ap, cmd);
	arg = va_arg(ap, void *);
	va_end(ap);
	if (nolock && (cmd == F_OFD_SETLK || cmd == F_SETLK))
		return 0;
	return NEXT(fcntl)(fd, cmd, arg);
}

int gethostname(char *name, size_t n)
{
	pthread_once(&once, begin);
	if (!*node)
		return NEXT(gethostname)(name, n);
	snprintf(name, n, "%s", node);
	return 0;
}

int clock_gettime(clockid_t which, struct timespec *t)
{
	int rc = (int)syscall(SYS_clock_gettime, which, t);

	pthread_once(&once, begin);
	if (!rc && which == CLOCK_REALTIME)
		t->tv_sec += skew;
	return rc;
}

int nanosleep(const struct timespec *want, struct timespec *left)
{
	struct timespec t = *want;

	pthread_once(&once, begin);
	if (hasty) {
		t.tv_nsec = t.tv_nsec / 20 + t.tv_sec % 20 * 50000000;
		t.tv_sec /= 20;
	}
	return NEXT(nanosleep)(&t, left);
}
