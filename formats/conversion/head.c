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

void head_of(struct head *h, const struct text *t)
{
	char format[32] = "", layers[8] = "";
	struct err e = { 0 };
	bool named = false;
	struct jread j;
	int rc;

	memset(h, 0, sizeof *h);
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
	h->seal = h->form == HEAD_FOREIGN ? SEAL_NONE : seal_of(t->s, t->n);
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
	if (!rc)
		head_of(h, &t);
	text_free(&t);
	return rc;
}

int head_plan(const struct io *io, int dir, const char *name, char plan[65], struct err *e)
{
	struct err json = { 0 }; /* what is no JSON says nothing */
	struct jread j;
	struct stat st;
	int fd, more = 0;

	plan[0] = 0;
	if (io->lstat(io, dir, name, &st))
		return errno == ENOENT ? 0 : err_sys(e, "cannot look at %s", text_quote(name).s);
	if (file_open(io, dir, name, &fd, &st, e))
		return -1;
	if (jread_open_file(&j, io, fd, 0,
		    (uint64_t)st.st_size < MANIFEST_CAP ? (uint64_t)st.st_size : MANIFEST_CAP,
		    DEPTH, &json))
		goto out;
	if (!jread_object(&j))
		while ((more = jread_key(&j)) == 1 && !is(&j, "plan"))
			if (jread_skip(&j))
				break;
	if (more == 1 && !j.failed && get_string(&j, plan, 65))
		plan[0] = 0;
out:
	jread_close(&j);
	(void)io->close(io, fd); /* read only */
	return json.kind == ERR_SYSTEM ? err_set(e, ERR_SYSTEM, "%s", json.text) : 0;
}
