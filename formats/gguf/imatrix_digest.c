/* SPDX-License-Identifier: MIT */
#include "formats/gguf/imatrix_digest.h"

#include "core/hash/hash_file.h"
#include "core/hash/xxh.h"

int imatrix_digest(const struct imatrix *m, char hex[65], struct err *e)
{
	struct stat st;
	uint8_t sha[32];

	if (m->io->fstat(m->io, m->fd, &st))
		return err_sys(e, "cannot look at the file of importance");
	if (hash_file(m->io, m->fd, (uint64_t)st.st_size, NULL, sha, e))
		return -1;
	hex_of(sha, sizeof sha, hex);
	return 0;
}
