/* SPDX-License-Identifier: MIT */
#include "convert/out/leftover.h"

#include "core/file.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

static int open_real(const struct io *io, int dir, const char *name)
{
	return io->open(io, dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC, 0);
}

void leftover_remove_tree(const struct io *io, int dir, const char *name, unsigned depth)
{
	char *names, *s;
	struct stat st;
	size_t n;
	int fd = open_real(io, dir, name);

	if (fd < 0)
		return;
	if (depth && !io->list(io, fd, &names, &n)) {
		for (s = names; n--; s += strlen(s) + 1) {
			if (io->lstat(io, fd, s, &st))
				continue;
			if (S_ISDIR(st.st_mode))
				leftover_remove_tree(io, fd, s, depth - 1);
			else
				(void)io->unlink(io, fd, s);
		}
		free(names);
	}
	(void)io->close(io, fd); /* a folder has nothing to flush */
	(void)io->rmdir(io, dir, name);
}

/* Bytes of the disk that the files in the folder of that name take. */
static uint64_t count_tree(const struct io *io, int dir, const char *name, unsigned depth)
{
	uint64_t sum = 0;
	char *names, *s;
	struct stat st;
	size_t n;
	int fd = open_real(io, dir, name);

	if (fd < 0)
		return 0;
	if (depth && !io->list(io, fd, &names, &n)) {
		for (s = names; n--; s += strlen(s) + 1) {
			if (io->lstat(io, fd, s, &st))
				continue;
			/* Removing one of several names gives nothing back. */
			if (S_ISDIR(st.st_mode))
				sum += count_tree(io, fd, s, depth - 1);
			else if (st.st_nlink == 1)
				sum += (uint64_t)st.st_blocks * 512;
		}
		free(names);
	}
	(void)io->close(io, fd); /* a folder has nothing to flush */
	return sum;
}

/* Does one of both with each folder of run --follow. Returns the bytes that were counted. */
static uint64_t each(const struct io *io, int out, bool remove)
{
	int work = open_real(io, out, STAGE_DIR);
	uint64_t sum = 0;
	char *names, *s;
	size_t n;

	if (work < 0)
		return 0;
	if (!io->list(io, work, &names, &n)) {
		for (s = names; n--; s += strlen(s) + 1) {
			if (strncmp(s, STAGE_FOLLOW, strlen(STAGE_FOLLOW)) != 0)
				continue;
			if (remove)
				leftover_remove_tree(io, work, s, STAGE_DEPTH);
			else
				sum += count_tree(io, work, s, STAGE_DEPTH);
		}
		free(names);
	}
	(void)io->close(io, work); /* a folder has nothing to flush */
	return sum;
}

uint64_t leftover_bytes(const struct io *io, int out)
{
	return each(io, out, false);
}

uint64_t leftover_bytes_at(const struct io *io, const char *path)
{
	uint64_t sum;
	int fd;

	if (file_open_dir(io, path, &fd, NULL))
		return 0;
	sum = leftover_bytes(io, fd);
	(void)io->close(io, fd); /* a folder has nothing to flush */
	return sum;
}

void leftover_sweep(const struct io *io, int out)
{
	struct stat st;

	if (io->lstat(io, out, STAGE_DIR, &st))
		return; /* there is none */
	(void)each(io, out, true);
	(void)io->rmdir(io, out, STAGE_DIR); /* if nobody else is there */
}
