/* SPDX-License-Identifier: MIT */
#include "quant/cli/collect_state.h"

#include "core/file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WINDOW = 1 << 18, RUN = 32, HEX = 32, HEAD = RUN + 1, LINE = 2 * HEX + 2 };

void collect_layer_name(char out[COLLECT_NAME], uint32_t layer)
{
	snprintf(out, COLLECT_NAME, "layer-%05u.gguf", layer);
}

int collect_state_begin(struct collect_state *s, const struct io *io, int dir, const char *run,
	uint32_t layers, struct err *e)
{
	*s = (struct collect_state){ .io = io, .dir = dir, .run = run, .layers = layers };
	s->v = calloc(layers + (size_t)1, sizeof *s->v);
	return s->v ? 0 : err_nomem(e);
}

void collect_state_end(struct collect_state *s)
{
	free(s->v);
	memset(s, 0, sizeof *s);
}

/* Whether the first n bytes of an open file have that digest. What cannot be read does not. */
static bool holds(const struct collect_state *s, int fd, uint64_t n, const struct xxh_digest *is,
	struct xxh *x, char *win)
{
	struct err no = { 0 };
	struct xxh_digest d;
	uint64_t at, take;

	xxh_reset(x);
	for (at = 0; at < n; at += take) {
		take = n - at < WINDOW ? n - at : WINDOW;
		if (file_read(s->io, fd, win, (size_t)take, at, &no))
			return false;
		xxh_update(x, win, (size_t)take);
	}
	d = xxh_final(x);
	return !memcmp(d.b, is->b, sizeof d.b);
}

static bool layer_holds(const struct collect_state *s, uint32_t layer, struct xxh *x, char *win)
{
	char name[COLLECT_NAME];
	struct err no = { 0 };
	struct stat st;
	bool good;
	int fd;

	collect_layer_name(name, layer);
	if (file_open(s->io, s->dir, name, &fd, &st, &no))
		return false;
	good = holds(s, fd, (uint64_t)st.st_size, &s->v[layer].file, x, win);
	(void)s->io->close(s->io, fd); /* it was only read */
	return good;
}

/* The layers that the state of this run names; 0 where there is none, or not of this run. */
static uint32_t named(struct collect_state *s)
{
	struct err no = { 0 };
	struct text t = { 0 };
	uint32_t n = 0, l;
	const char *p;

	if (file_load(s->io, s->dir, COLLECT_STATE, HEAD + (uint64_t)LINE * s->layers, &t, &no))
		return 0;
	if (t.n >= HEAD && !memcmp(t.s, s->run, RUN) && !((t.n - HEAD) % LINE))
		n = (uint32_t)((t.n - HEAD) / LINE);
	for (l = 0; l < n; l++) {
		p = t.s + HEAD + (size_t)LINE * l;
		if (!hex_to(p, s->v[l].file.b, sizeof s->v[l].file.b) ||
			!hex_to(p + HEX + 1, s->v[l].streams.b, sizeof s->v[l].streams.b))
			break;
	}
	text_free(&t);
	return l;
}

int collect_state_read(struct collect_state *s, const int streams[2], uint64_t bytes, struct err *e)
{
	struct xxh *x = xxh_new();
	char *win = malloc(WINDOW);
	int rc = x && win ? 0 : err_nomem(e);
	uint32_t n = rc ? 0 : named(s), l = 0;

	while (l < n && layer_holds(s, l, x, win))
		l++;
	if (l && l < s->layers && !holds(s, streams[l % 2], bytes, &s->v[l - 1].streams, x, win))
		l = 0;
	s->done = l;
	xxh_free(x);
	free(win);
	return rc;
}

int collect_state_add(struct collect_state *s, const struct collect_digests *d, struct err *e)
{
	char file[HEX + 1], streams[HEX + 1];
	struct text t = { 0 };
	uint32_t l;
	int rc;

	s->v[s->done++] = *d;
	text_fmt(&t, "%s\n", s->run);
	for (l = 0; l < s->done; l++) {
		hex_of(s->v[l].file.b, sizeof s->v[l].file.b, file);
		hex_of(s->v[l].streams.b, sizeof s->v[l].streams.b, streams);
		text_fmt(&t, "%s %s\n", file, streams);
	}
	rc = t.failed ? err_nomem(e) : file_replace(s->io, s->dir, COLLECT_STATE, t.s, t.n, e);
	text_free(&t);
	return rc;
}
