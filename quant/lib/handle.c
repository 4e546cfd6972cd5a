/* SPDX-License-Identifier: MIT */
#include "quant/lib/handle.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { THREADS_MAX = 256 };

/* --- errors --- */

int handle_fails(struct dsv4_error *out, const struct err *e)
{
	static const int kinds[] = { [ERR_NONE] = DSV4_OK,
		[ERR_DATA] = DSV4_DATA,
		[ERR_MISMATCH] = DSV4_MISMATCH,
		[ERR_UNSUPPORTED] = DSV4_UNSUPPORTED,
		[ERR_USAGE] = DSV4_USAGE,
		[ERR_SYSTEM] = DSV4_SYSTEM };

	if (e->kind == ERR_NONE)
		return 0;
	if (out) {
		out->kind = kinds[e->kind];
		snprintf(out->rule, sizeof out->rule, "%s", e->rule ? e->rule : "");
		snprintf(out->message, sizeof out->message, "%s", e->text);
	}
	return -1;
}

int handle_needs(const void *p, const char *name, struct err *e)
{
	return p ? 0 : err_rule(e, RULE_LIB_CALL, ERR_NOPOS, "%s is NULL", name);
}

const char *dsv4_rule_meaning(const char *rule)
{
	const struct rule *r = rule ? rule_find(rule) : NULL;

	return r ? r->text : NULL;
}

const char *dsv4_rule_remedy(const char *rule)
{
	const struct rule *r = rule ? rule_find(rule) : NULL;

	return r ? r->remedy : NULL;
}

const char *dsv4_version(void)
{
	return DSV4_LIB_VERSION;
}

int handle_call(struct handle_call *c, const struct dsv4_read_options *o, unsigned flags,
	struct err *e)
{
	*c = (struct handle_call){ .threads = 1 };
	if (!o)
		return 0;
	if (o->size != sizeof *o)
		return err_rule(e, RULE_LIB_CALL, ERR_NOPOS,
			"size of struct dsv4_read_options is %zu, this library has %zu", o->size,
			sizeof *o);
	if (o->flags & ~flags || o->threads > THREADS_MAX)
		return err_rule(e, RULE_LIB_CALL, ERR_NOPOS,
			"flags %#x and %u threads: the function takes %#x, and %d threads at most",
			o->flags, o->threads, flags, THREADS_MAX);
	c->threads = o->threads ? o->threads : 1;
	c->flags = o->flags;
	return 0;
}

/* --- what is there --- */

const struct dsv4_info *dsv4_info(const struct dsv4 *d)
{
	return d ? &d->info : NULL;
}

const struct dsv4_folder *dsv4_folder(const struct dsv4 *d, uint32_t i)
{
	return d && i < d->info.folders ? &d->folders[i] : NULL;
}

const struct dsv4_file *dsv4_file(const struct dsv4 *d, uint32_t i)
{
	return d && i < d->info.files ? &d->files[i].is : NULL;
}

const struct dsv4_tensor *dsv4_tensor(const struct dsv4 *d, size_t i)
{
	return d && i < d->info.tensors ? &d->tensors[i].is : NULL;
}

size_t dsv4_find(const struct dsv4 *d, uint32_t folder, const char *name)
{
	size_t low, high, at;
	int order;

	if (!d || folder >= d->info.folders || !name)
		return DSV4_NONE;
	low = d->folders[folder].first_tensor;
	high = low + d->folders[folder].tensors;
	while (low < high) {
		at = low + (high - low) / 2;
		order = strcmp(d->tensors[d->by_name[at]].is.name, name);
		if (!order)
			return d->by_name[at];
		if (order < 0)
			low = at + 1;
		else
			high = at;
	}
	return DSV4_NONE;
}

/* --- open and close --- */

int dsv4_open(struct dsv4 **d, const char *path, const struct dsv4_open_options *o,
	struct dsv4_error *e)
{
	struct err why = { 0 };

	return handle_needs(d, "d", &why) || handle_open(d, io_posix(), path, o, &why)
		? handle_fails(e, &why)
		: 0;
}

void dsv4_close(struct dsv4 *d)
{
	uint32_t i;

	if (!d)
		return;
	for (i = 0; i < d->info.files; i++) {
		(void)d->io->close(d->io, d->files[i].fd); /* read only, as the other */
		if (d->files[i].direct >= 0)
			(void)d->io->close(d->io, d->files[i].direct);
		free(d->files[i].chunks);
	}
	free(d->files);
	free(d->folders);
	free(d->tensors);
	free(d->by_name);
	arena_free(&d->arena);
	free(d);
}
