/* SPDX-License-Identifier: MIT */
#include "formats/folder/reclaimed.h"

#include "formats/conversion/freed.h"

#include <stdio.h>
#include <string.h>

int reclaimed_find(const struct io *io, int dir, size_t *gone, bool *damaged, char more[KIND_MORE],
	struct err *e)
{
	struct freed l;
	struct err why = { 0 };
	bool there;
	int rc;

	*gone = 0;
	*damaged = false;
	if (freed_read(&l, io, dir, FREED_NAME, &there, &why)) {
		*damaged = why.kind != ERR_SYSTEM;
		return *damaged ? 0 : err_move(e, &why);
	}
	rc = freed_gone(&l, io, dir, gone, e);
	if (!rc && *gone)
		snprintf(more, KIND_MORE, "%zu of them; they went into plan %.12s, target %s",
			*gone, l.plan, text_quote(l.target).s);
	freed_free(&l);
	return rc;
}

bool reclaimed_lacks(const struct findings *f)
{
	size_t i;

	for (i = 0; i < f->n; i++)
		if (f->v[i].rule && !strcmp(f->v[i].rule, rules[RULE_INDEX_SHARD_MISSING].id))
			return true;
	return false;
}
