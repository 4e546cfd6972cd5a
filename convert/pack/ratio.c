/* SPDX-License-Identifier: MIT */
#include "convert/pack/pack.h"

#include "formats/archive/frame.h"
#include "formats/format_id.h"
#include "formats/json/jwrite.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void put_line(struct text *out, const char *name, uint64_t bytes, uint64_t packed)
{
	text_fmt(out, "  %-46s %10s -> %10s  %5.1f %%\n", name, text_bytes(bytes).s,
		text_bytes(packed).s, bytes ? 100.0 * (double)packed / (double)bytes : 0);
}

static int by_bytes(const void *a, const void *b)
{
	const struct pack_role *x = *(const struct pack_role *const *)a,
			       *y = *(const struct pack_role *const *)b;

	return x->bytes != y->bytes ? (x->bytes < y->bytes) - (x->bytes > y->bytes)
				    : strcmp(x->name, y->name);
}

/* The largest first; those of less than a thousandth are one line. */
static void put_roles(struct text *out, const struct pack_done *d)
{
	const struct pack_role *v[PACK_ROLES];
	uint64_t bytes = 0, packed = 0;
	char name[64];
	size_t i, small = 0;

	for (i = 0; i < d->kinds.n; i++)
		v[i] = &d->kinds.v[i];
	qsort(v, d->kinds.n, sizeof *v, by_bytes);
	for (i = 0; i < d->kinds.n; i++) {
		if (v[i]->bytes >= d->bytes / 1000) {
			put_line(out, v[i]->name, v[i]->bytes, v[i]->packed);
			continue;
		}
		bytes += v[i]->bytes;
		packed += v[i]->packed;
		small++;
	}
	if (!small)
		return;
	snprintf(name, sizeof name, "(%zu smaller role%s)", small, small == 1 ? "" : "s");
	put_line(out, name, bytes, packed);
}

/* What people must know who have the files and not this project. */
static void put_filter(struct text *out, const struct pack_done *d)
{
	unsigned long long n = d->filtered;

	if (n && d->filter != FILTER_NONE)
		text_fmt(out,
			"%llu of the files %s NAME%s: only dsv4-convert unpack restores %s, zstd -d does not\n",
			n, n == 1 ? "is" : "are", filter_suffix(d->filter),
			n == 1 ? "it" : "those");
	else if (d->filter != FILTER_NONE)
		text_fmt(out,
			"no file has scales for the filter %s: zstd -d restores all of them\n",
			filter_name(d->filter));
}

void pack_put_text(struct text *out, const struct pack_done *d)
{
	if (d->kinds.n)
		put_roles(out, d);
	text_fmt(out, "%llu file%s, %llu of them there already\n", (unsigned long long)d->files,
		d->files == 1 ? "" : "s", (unsigned long long)d->kept);
	put_line(out, "all", d->bytes, d->packed);
	put_filter(out, d);
}

void pack_put_json(struct text *out, const struct pack_done *d)
{
	const struct pack_role *k;
	struct jwrite o;

	jwrite_begin(&o, out, 2);
	jwrite_open(&o, NULL, '{');
	jwrite_u64(&o, "bytes", d->bytes);
	jwrite_u64(&o, "files", d->files);
	jwrite_u64(&o, "filtered", d->filtered);
	jwrite_str(&o, "format", FORMAT_PACK_JSON);
	jwrite_u64(&o, "kept", d->kept);
	jwrite_u64(&o, "packed", d->packed);
	jwrite_open(&o, "roles", '[');
	for (k = d->kinds.v; k < d->kinds.v + d->kinds.n; k++) {
		jwrite_open(&o, NULL, '{');
		jwrite_u64(&o, "bytes", k->bytes);
		jwrite_u64(&o, "packed", k->packed);
		jwrite_str(&o, "role", k->name);
		jwrite_u64(&o, "tensors", k->n);
		jwrite_close(&o, '}');
	}
	jwrite_close(&o, ']');
	jwrite_str(&o, "zstd", frame_library());
	jwrite_close(&o, '}');
}
