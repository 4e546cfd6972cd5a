/* chain.h -- makes the digests of a conversion right again after one of its documents or files was changed, so that
 * a mutation gets behind the chain of digests:
 *
 *	sidecar -> its entry in the folder's manifest.json -> the folder's entry in the set's manifest.json
 *
 * It knows the documents from docs/format.md alone and uses jansson, none of the project's readers or writers.
 *
 * SPDX-License-Identifier: MIT */
#ifndef TESTS_FUZZ_CHAIN_H
#define TESTS_FUZZ_CHAIN_H
#include "core/hash/sha256.h"
#include "core/hash/xxh.h"
#include "tests/dirs.h"

#include <jansson.h>

/* Writes o to path in the form of the tools: keys sorted, an indent of one, and the seal as the last member. */
static inline void chain_put(const char *path, json_t *o)
{
	static const char end[] = "\n}";
	struct xxh_digest d;
	char hex[33], *s, *all;
	size_t n;

	json_object_del(o, "xxh3_128");
	s = json_dumps(o, JSON_INDENT(1) | JSON_SORT_KEYS);
	n = s ? strlen(s) : 0;
	if (n > sizeof end && !strcmp(s + n - 2, end)) {
		n -= 2;
		d = xxh_of(s, n);
		hex_of(d.b, sizeof d.b, hex);
		all = malloc(n + 64);
		memcpy(all, s, n);
		n += (size_t)sprintf(all + n, ",\n \"xxh3_128\": \"%s\"\n}\n", hex);
		file_put_all(path, all, n);
		free(all);
	}
	free(s);
}

/* Gives the object the size and SHA-256 of a file; does nothing if it is not there. */
static inline void chain_measure(json_t *o, const char *path)
{
	struct err e = { 0 };
	uint8_t sha[32];
	char hex[65];
	size_t n;
	uint8_t *p = file_get_all(path, &n);

	if (p && !sha256_of(p, n, sha, &e)) {
		hex_of(sha, sizeof sha, hex);
		json_object_set_new(o, "bytes", json_integer((json_int_t)n));
		if (!json_is_null(json_object_get(o, "sha256")))
			json_object_set_new(o, "sha256", json_string(hex));
	}
	free(p);
}

static inline const char *chain_string(json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));

	return s && *s && strlen(s) < 100 && !strstr(s, "..") ? s : NULL;
}

static inline struct path chain_path(const char *dir, const char *name)
{
	struct path p;

	if (snprintf(p.s, sizeof p.s, "%.300s/%.150s", dir, name) >= (int)sizeof p.s)
		exit(2);
	return p;
}

/* The entry of that name in a list. */
static inline json_t *chain_entry(json_t *list, const char *name)
{
	json_t *v;
	size_t i;

	json_array_foreach(list, i, v)
	{
		if (chain_string(v, "name") && !strcmp(chain_string(v, "name"), name))
			return v;
	}
	return NULL;
}

/* The same as chain_mend where nothing changed but a file, and its sidecar, of one folder of the set at dir. */
static inline void chain_mend_file(const char *dir, const char *folder, const char *name)
{
	struct path below = chain_path(dir, folder), m = chain_path(below.s, "manifest.json"),
		    top = chain_path(dir, "manifest.json");
	json_t *o = json_load_file(m.s, 0, NULL), *t = json_load_file(top.s, 0, NULL),
	       *v = chain_entry(json_object_get(o, "files"), name),
	       *side = json_object_get(v, "sidecar"),
	       *f = chain_entry(json_object_get(t, "folders"), folder);

	if (!v || !f)
		exit(2);
	chain_measure(v, chain_path(below.s, name).s);
	if (chain_string(side, "name"))
		chain_measure(side, chain_path(below.s, chain_string(side, "name")).s);
	chain_put(m.s, o);
	chain_measure(f, m.s);
	chain_put(top.s, t);
	json_decref(o);
	json_decref(t);
}

/* The manifest of a folder or of a set at dir; first those of the folders below it. */
static inline void chain_mend(const char *dir, unsigned depth)
{
	struct path at = chain_path(dir, "manifest.json");
	json_error_t je;
	json_t *o = depth < 4 ? json_load_file(at.s, 0, &je) : NULL, *v, *side;
	static const char *const lists[] = { "folders", "files" };
	size_t i, k;

	v = json_object_get(o, "restore");
	if (chain_string(v, "name")) {
		chain_mend(chain_path(dir, chain_string(v, "name")).s, depth + 1);
		chain_measure(v,
			chain_path(chain_path(dir, chain_string(v, "name")).s, "manifest.json").s);
	}
	for (k = 0; k < 2; k++)
		json_array_foreach(json_object_get(o, lists[k]), i, v)
		{
			if (!chain_string(v, "name"))
				continue;
			at = chain_path(dir, chain_string(v, "name"));
			if (!k) {
				chain_mend(at.s, depth + 1);
				at = chain_path(at.s, "manifest.json");
			}
			chain_measure(v, at.s);
			side = json_object_get(v, "sidecar");
			if (chain_string(side, "name"))
				chain_measure(side, chain_path(dir, chain_string(side, "name")).s);
		}
	if (json_is_object(o))
		chain_put(chain_path(dir, "manifest.json").s, o);
	json_decref(o);
}

#endif
