/* SPDX-License-Identifier: MIT */
#include "convert/follow/lookout.h"

#include "core/progress.h"

#include <poll.h>
#include <sys/inotify.h>
#include <sys/vfs.h>

/* Seconds between two looks: where changes are told of, for what is missed; where they are not. A signal that comes between
 * the look at *stop and the sleep is seen after SLICE. */
static const double TOLD = 30, UNTOLD = 5, SLICE = 2;

/* File systems of local disks, on which every change is made by this kernel: their numbers in statfs(2). */
static bool tells(const char *path)
{
	static const long local[] = { 0xef53 /* ext4 */, 0x58465342 /* XFS */,
		0x9123683e /* Btrfs */, 0x01021994 /* tmpfs */, 0x794c7630 /* overlayfs */,
		0xf2f52010 /* F2FS */, 0x2fc12fc1 /* ZFS */, 0xca451a4e /* bcachefs */ };
	struct statfs s;
	size_t i;

	if (statfs(path, &s))
		return true; /* it is not looked at */
	for (i = 0; i < sizeof local / sizeof *local; i++)
		if ((unsigned long)s.f_type == (unsigned long)local[i])
			return true;
	return false;
}

void lookout_open(struct lookout *l, const struct io *io)
{
	*l = (struct lookout){ .io = io, .fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC) };
}

void lookout_add(struct lookout *l, const char *path)
{
	l->deaf = l->deaf || !tells(path);
	/* Not IN_MODIFY: a download would wake this process with every write. */
	if (l->fd >= 0)
		(void)inotify_add_watch(l->fd, path,
			IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_CREATE | IN_DELETE |
				IN_ONLYDIR);
}

void lookout_wait(struct lookout *l, double seconds, const volatile sig_atomic_t *stop)
{
	const double most = l->fd < 0 || l->deaf ? UNTOLD : TOLD,
		     end = progress_now() + (seconds < most ? seconds : most);
	struct pollfd p = { .fd = l->fd, .events = POLLIN };
	char events[4096];
	double left;

	while ((left = end - progress_now()) > 0 && !(stop && *stop)) {
		if (poll(&p, l->fd >= 0, (int)((left < SLICE ? left : SLICE) * 1000) + 1) <= 0)
			continue;
		/* What happens at once is looked at once. */
		(void)poll(NULL, 0, 50);
		while (l->io->read(l->io, l->fd, events, sizeof events) > 0)
			;
		return;
	}
}

void lookout_close(struct lookout *l)
{
	if (l->fd >= 0)
		(void)l->io->close(l->io, l->fd); /* read only */
	l->fd = -1;
}
