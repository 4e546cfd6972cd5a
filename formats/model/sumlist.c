/* SPDX-License-Identifier: MIT */
#include "formats/model/sumlist.h"

#include "core/file.h"
#include "core/hash/xxh.h"
#include "core/text.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

/* 65,536 shards with paths of 180 bytes are 16 MB. A pointer has about 130 bytes. */
enum { LIST_CAP = 16 << 20, POINTER_CAP = 1024, HEX = 64 };

static int bad(struct err *e, const char *path, const char *what, const char *of)
{
	return err_rule(e, RULE_SOURCE_LIST, ERR_NOPOS, "%s: %s%s%s", text_quote(path).s, what,
		*of ? " " : "", *of ? text_quote(of).s : "");
}

static int add(struct sumlist *l, const char *name, size_t n, const uint8_t sha256[32],
	struct err *e)
{
	struct sum s = { .name = arena_strndup(&l->arena, name, n) };

	if (!s.name || mem_grow(&l->v, &l->cap, l->n + 1, sizeof *l->v))
		return err_nomem(e);
	memcpy(s.sha256, sha256, 32);
	l->v[l->n++] = s;
	return 0;
}

/* --- lines --- */

/* "SHA256 (NAME) = HEX": the name and where the digits begin; false: the line is not of that form. */
static bool split_tag(char *s, char **name, const char **hex)
{
	char *open = NULL, *close;

	if (!strncmp(s, "SHA256 (", 8) || !strncmp(s, "SHA2-256(", 9) || !strncmp(s, "SHA256(", 7))
		open = strchr(s, '(');
	close = open ? strrchr(open, ')') : NULL;
	if (!close || close == open + 1)
		return false;
	*hex = close + 1 + strspn(close + 1, " ");
	if (**hex != '=')
		return false;
	*hex += 1;
	*hex += strspn(*hex, " ");
	*close = 0;
	*name = open + 1;
	return strlen(*hex) == HEX;
}

/* "HEX  NAME" */
static bool split_plain(char *s, char **name, const char **hex)
{
	if (strlen(s) < HEX + 3 || s[HEX] != ' ' || (s[HEX + 1] != ' ' && s[HEX + 1] != '*'))
		return false;
	s[HEX] = 0;
	*hex = s;
	*name = s + HEX + 2;
	return true;
}

/* A line that begins with a backslash has \\ and \n in its name. */
static void unescape(char *s)
{
	char *to = s;

	for (; *s; s++) {
		if (*s == '\\' && (s[1] == '\\' || s[1] == 'n'))
			*to++ = *++s == 'n' ? '\n' : '\\';
		else
			*to++ = *s;
	}
	*to = 0;
}

/* One line without its newline. */
static int read_line(struct sumlist *l, const char *path, char *s, struct err *e)
{
	size_t n = strlen(s);
	struct text_quoted whole = text_quote(s);
	bool escaped = s[0] == '\\';
	uint8_t sha256[32];
	const char *hex;
	char *name;

	while (n && (s[n - 1] == '\r' || s[n - 1] == ' ' || s[n - 1] == '\t'))
		s[--n] = 0;
	if (!n || s[0] == '#')
		return 0;
	s += escaped;
	if ((!split_tag(s, &name, &hex) && !split_plain(s, &name, &hex)) ||
		!hex_to(hex, sha256, 32))
		return err_rule(e, RULE_SOURCE_LIST, ERR_NOPOS,
			"%s: the line \"%s\" is neither \"sha256  name\" nor \"SHA256 (name) = "
			"sha256\"",
			text_quote(path).s, whole.s);
	if (escaped)
		unescape(name);
	while (!strncmp(name, "./", 2))
		for (name += 2; *name == '/'; name++)
			;
	return *name ? add(l, name, strlen(name), sha256, e)
		     : bad(e, path, "a line without a name", "");
}

/* --- names --- */

static size_t slashes(const char *s)
{
	size_t n = 0;

	for (; *s; s++)
		n += *s == '/';
	return n;
}

static bool is_weights(const char *s)
{
	return text_stem(s, ".safetensors") > 0;
}

/* Takes the names from the folder of the weights; what does not lie in it is left out. */
static void take_root(struct sumlist *l)
{
	const char *root = NULL, *slash;
	size_t i, n = 0, len;

	for (i = 0; i < l->n; i++)
		if (is_weights(l->v[i].name) && (!root || slashes(l->v[i].name) < slashes(root)))
			root = l->v[i].name;
	if (!root && l->n)
		root = l->v[0].name;
	slash = root ? strrchr(root, '/') : NULL;
	len = slash ? (size_t)(slash - root) + 1 : 0;
	for (i = 0; i < l->n; i++) {
		if (strncmp(l->v[i].name, root, len) || (!len && l->v[i].name[0] == '/'))
			continue;
		l->v[n] = l->v[i];
		l->v[n++].name += len;
	}
	l->n = n;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct sum *)a)->name, ((const struct sum *)b)->name);
}

static int sort(struct sumlist *l, const char *path, struct err *e)
{
	size_t i, n = 0;

	if (l->n)
		qsort(l->v, l->n, sizeof *l->v, by_name);
	for (i = 0; i < l->n; i++) {
		if (n && !strcmp(l->v[n - 1].name, l->v[i].name)) {
			if (memcmp(l->v[n - 1].sha256, l->v[i].sha256, 32))
				return bad(e, path, "two different digests for", l->v[i].name);
			continue;
		}
		l->v[n++] = l->v[i];
	}
	l->n = n;
	return 0;
}

/* --- both forms --- */

static int read_list(struct sumlist *l, const struct io *io, const char *path, struct err *e)
{
	struct text t = { 0 };
	char *p, *end;
	int rc = file_load(io, AT_FDCWD, path, LIST_CAP, &t, e);

	if (!rc && memchr(t.s, 0, t.n))
		rc = bad(e, path, "it holds a NUL byte", "");
	for (p = t.s; !rc && p && *p; p = end ? end + 1 : p + strlen(p)) {
		end = strchr(p, '\n');
		if (end)
			*end = 0;
		rc = read_line(l, path, p, e);
	}
	text_free(&t);
	if (!rc)
		take_root(l);
	return rc;
}

bool sumlist_pointer(const char *text, uint8_t sha256[32], uint64_t *bytes)
{
	static const char start[] = "version https://git-lfs",
			  oid[] = "\noid sha256:", size[] = "\nsize ";
	const char *o = strncmp(text, start, sizeof start - 1) ? NULL : strstr(text, oid);
	const char *z = o ? strstr(text, size) : NULL;

	if (!z || !hex_to(o + sizeof oid - 1, sha256, 32))
		return false;
	*bytes = strtoull(z + sizeof size - 1, NULL, 10);
	return true;
}

/* Files that are no pointers are of no interest. */
static int read_pointers(struct sumlist *l, const struct io *io, const char *path, struct err *e)
{
	char *names, *p;
	struct stat st;
	uint8_t sha256[32];
	uint64_t bytes;
	size_t n, i;
	int dir, rc = 0;

	if (file_open_dir(io, path, &dir, e))
		return -1;
	if (io->list(io, dir, &names, &n)) {
		(void)io->close(io, dir); /* a folder has nothing to flush */
		return err_sys(e, "cannot list %s", text_quote(path).s);
	}
	for (i = 0, p = names; !rc && i < n; i++, p += strlen(p) + 1) {
		struct text t = { 0 };

		if (io->lstat(io, dir, p, &st) || !S_ISREG(st.st_mode) || st.st_size > POINTER_CAP)
			continue;
		rc = file_load(io, dir, p, POINTER_CAP, &t, e);
		if (!rc && t.s && sumlist_pointer(t.s, sha256, &bytes))
			rc = add(l, p, strlen(p), sha256, e);
		text_free(&t);
	}
	free(names);
	(void)io->close(io, dir); /* a folder has nothing to flush */
	return rc;
}

int sumlist_read(struct sumlist *l, const struct io *io, const char *path, struct err *e)
{
	struct stat st;
	int rc;

	memset(l, 0, sizeof *l);
	if (io->lstat(io, AT_FDCWD, path, &st))
		return err_sys(e, "cannot look at %s", text_quote(path).s);
	rc = S_ISDIR(st.st_mode) ? read_pointers(l, io, path, e) : read_list(l, io, path, e);
	rc = rc ? rc : sort(l, path, e);
	if (rc)
		sumlist_free(l);
	return rc;
}

void sumlist_free(struct sumlist *l)
{
	free(l->v);
	arena_free(&l->arena);
	memset(l, 0, sizeof *l);
}

static int cmp_name(const void *key, const void *s)
{
	return strcmp(key, ((const struct sum *)s)->name);
}

const struct sum *sumlist_find(const struct sumlist *l, const char *name)
{
	return l->n ? bsearch(name, l->v, l->n, sizeof *l->v, cmp_name) : NULL;
}
