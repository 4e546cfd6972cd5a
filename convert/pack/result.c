/* SPDX-License-Identifier: MIT */
#include "convert/pack/result.h"

#include "convert/pack/scan.h"

#include <errno.h>

int pack_result_open(struct pack_result *r, const struct io *io, int top, const char *path,
	uint64_t size, struct err *e)
{
	const char *name;
	struct stat st;

	*r = (struct pack_result){ .io = io, .fd = -1, .dir = -1 };
	if (scan_open_parent(io, top, path, true, &r->dir, &name, e))
		return -1;
	if (!io->lstat(io, r->dir, name, &st)) {
		r->there = true;
		if (file_open(io, r->dir, name, &r->fd, &st, e))
			return -1;
		r->bytes = (uint64_t)st.st_size;
		return 0;
	}
	if (errno != ENOENT)
		return err_sys(e, "cannot look at it");
	if (file_out_begin(&r->out, io, r->dir, name, size, e))
		return -1;
	r->fd = r->out.fd;
	return 0;
}

int pack_result_finish(struct pack_result *r, uint64_t size, struct err *e)
{
	r->out.size = size;
	return r->there || (!file_out_close(&r->out, e) && !file_out_publish(&r->out, e)) ? 0 : -1;
}

void pack_result_close(struct pack_result *r)
{
	if (r->there && r->fd >= 0)
		(void)r->io->close(r->io, r->fd); /* it was only read */
	file_out_abandon(&r->out);
	if (r->dir >= 0)
		(void)r->io->close(r->io, r->dir); /* what was published was synced into it */
}
