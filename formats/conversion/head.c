/* SPDX-License-Identifier: MIT */
#include "formats/conversion/head.h"

#include "core/file.h"
#include "formats/conversion/manifest.h"
#include "formats/format_id.h"
#include "formats/json/jfield.h"

#include <errno.h>
#include <string.h>

enum { DEPTH = 8 };

static bool is(const struct jread *j, const char *word)
{
	return j->str.n == strlen(word) && !memcmp(j->str.s, word, j->str.n);
}

/* A string that fits; what is another value leaves s as it is. Returns -1 where the JSON ends. */
static int get_string(struct jread *j, char *s, size_t room)
{
	if (jread_peek(j) != '"')
		return jread_skip(j);
	if (jread_string(j, JREAD_KEY))
		return -1;
	if (j->str.n < room && !memchr(j->str.s, 0, j->str.n)) {
		memcpy(s, j->str.s, j->str.n);
		s[j->str.n] = 0;
	}
	return 0;
}

/* The string that an object has under the name key; had says whether there is one. */
static int get_inner(struct jread *j, const char *key, char *s, size_t room, bool *had)
{
	int more;

	if (jread_peek(j) != '{')
		return jread_skip(j);
	if (jread_object(j))
		return -1;
	while ((more = jread_key(j)) == 1) {
		bool mine = is(j, key);

		*had = *had || (mine && jread_peek(j) == '"');
		if (mine ? get_string(j, s, room) : jread_skip(j))
			return -1;
	}
	return more;
}

static enum head_form form_of(const char *format)
{
	return !strcmp(format, FORMAT_MANIFEST) ? HEAD_FOLDER
		: !strcmp(format, FORMAT_SET)   ? HEAD_SET
						: HEAD_FOREIGN;
}

static void read_members(struct head *h, const struct text *t)
{
	char format[32] = "", layers[8] = "";
	struct err e = { 0 };
	bool named = false;
	struct jread j;
	int rc;

	jread_open_mem(&j, t->s, t->n, DEPTH, &e);
	rc = jread_object(&j);
	while (!rc && jread_key(&j) == 1)
		rc = is(&j, "format")      ? get_string(&j, format, sizeof format)
			: is(&j, "plan")   ? get_string(&j, h->plan, sizeof h->plan)
			: is(&j, "target") ? get_string(&j, h->target, sizeof h->target)
			: is(&j, "restore")
			? get_inner(&j, "name", h->restore, sizeof h->restore, &named)
			: is(&j, "options")
			? get_inner(&j, "layers", layers, sizeof layers, &h->part)
			: jread_skip(&j);
	jread_close(&j);
	h->form = form_of(format);
}

int head_read(struct head *h, const struct io *io, int dir, struct err *e)
{
	struct text t = { 0 };
	struct stat st;
	int rc;

	memset(h, 0, sizeof *h);
	if (io->lstat(io, dir, MAN_NAME, &st)) {
		if (errno == ENOENT)
			return 0;
		return err_sys(e, "cannot look at " MAN_NAME);
	}
	rc = file_load(io, dir, MAN_NAME, MANIFEST_CAP, &t, e);
	h->form = HEAD_FOREIGN;
	if (!rc)
		read_members(h, &t);
	if (!rc && h->form != HEAD_FOREIGN)
		h->seal = seal_of(t.s, t.n);
	text_free(&t);
	return rc;
}
