/* mutate.h -- damage that people, disks and attackers do to a file or a folder, chosen by a number.
 *
 * SPDX-License-Identifier: MIT */
#ifndef TESTS_FUZZ_MUTATE_H
#define TESTS_FUZZ_MUTATE_H
#include "tests/dirs.h"

#include <jansson.h>
#include <unistd.h>

/* splitmix64: the whole of a run follows from one number. */
struct dice {
	uint64_t s;
};

static inline uint64_t dice_next(struct dice *d)
{
	uint64_t z = d->s += 0x9e3779b97f4a7c15u;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
	z = (z ^ z >> 27) * 0x94d049bb133111ebu;
	return z ^ z >> 31;
}

/* 0 .. n-1; 0 for n 0. */
static inline size_t dice(struct dice *d, size_t n)
{
	return n ? (size_t)(dice_next(d) % n) : 0;
}

/* --- bytes --- */

/* Changes the n bytes at *p, which may be reallocated. Returns the new size. */
static inline size_t mutate_bytes(struct dice *d, uint8_t **p, size_t n)
{
	static const uint8_t odd[] = { 0, 1, 0x7f, 0x80, 0xff, '"', '{', '}', '[', ',', '0', '9',
		'-', '\\' };
	size_t a = dice(d, n), b = dice(d, n), len = 1 + dice(d, 64);
	uint8_t *q = realloc(*p, n + 256);

	if (!q)
		exit(2);
	*p = q;
	switch (dice(d, 8)) {
	case 0: /* a bit */
		if (n)
			q[a] ^= (uint8_t)(1u << dice(d, 8));
		return n;
	case 1:
		if (n)
			q[a] = odd[dice(d, sizeof odd)];
		return n;
	case 2: /* cut off */
		return a;
	case 3: /* something behind */
		memset(q + n, (int)odd[dice(d, sizeof odd)], len);
		return n + len;
	case 4: /* a hole of zeros, as a broken download has */
		len = dice(d, 2) ? len : n - a;
		memset(q + a, 0, a + len <= n ? len : n - a);
		return n;
	case 5: /* a piece of it somewhere else */
		len = a + len <= n && b + len <= n ? len : 0;
		memmove(q + a, q + b, len);
		return n;
	case 6: /* a piece taken out */
		len = a + len <= n ? len : 0;
		memmove(q + a, q + a + len, n - a - len);
		return n - len;
	default: /* the size in front of a safetensors header, or any eight bytes */
		if (n >= 8) {
			a = dice(d, 2) ? 0 : dice(d, n - 7);
			b = dice(d, 8);
			q[a + b] = odd[dice(d, sizeof odd)];
		}
		return n;
	}
}

/* --- JSON --- */

/* Values that readers may stumble over. */
static inline json_t *mutate_value(struct dice *d)
{
	static const char *const words[] = { "", "..", "/etc/passwd", "a/b", "\xc3\xa9", "F32",
		"I8", "F8_E8M0", "tile", "copy", "model0-mp2.safetensors", "0000",
		"layers.0.ffn.experts.0.w1.weight", "NaN", "dsv4-manifest-1" };
	static const json_int_t numbers[] = { 0, 1, -1, 2, 31, 32, 33, 127, 128, 255, 256, 65535,
		65536, 4294967295, 4294967296, 9007199254740991, 9007199254740992,
		9223372036854775807 };
	json_t *o;

	switch (dice(d, 8)) {
	case 0:
		return json_null();
	case 1:
		return json_boolean(dice(d, 2));
	case 2:
		return json_array();
	case 3:
		return json_object();
	case 4:
		return json_real(1e300);
	case 5:
		o = json_array();
		json_array_append_new(o,
			json_integer(numbers[dice(d, sizeof numbers / sizeof *numbers)]));
		return o;
	case 6:
		return json_string(words[dice(d, sizeof words / sizeof *words)]);
	default:
		return json_integer(numbers[dice(d, sizeof numbers / sizeof *numbers)]);
	}
}

static inline size_t mutate_size(const json_t *o)
{
	return json_is_object(o) ? json_object_size(o) : json_array_size(o);
}

/* Member number k of an object or array; its key in *key, NULL for an array. */
static inline json_t *mutate_member(json_t *o, size_t k, const char **key)
{
	void *it;

	*key = NULL;
	if (json_is_array(o))
		return json_array_get(o, k);
	for (it = json_object_iter(o); it && k; k--)
		it = json_object_iter_next(o, it);
	*key = it ? json_object_iter_key(it) : NULL;
	return it ? json_object_iter_value(it) : NULL;
}

/* Changes one place at any depth. */
static inline void mutate_json(struct dice *d, json_t *o)
{
	const char *key, *other;
	json_t *v, *w;
	size_t k;

	while (mutate_size(o)) {
		k = dice(d, mutate_size(o));
		v = mutate_member(o, k, &key);
		if (mutate_size(v) && dice(d, 4)) {
			o = v;
			continue;
		}
		switch (dice(d, 5)) {
		case 0: /* gone */
			if (key)
				json_object_del(o, key);
			else
				json_array_remove(o, k);
			return;
		case 1: /* the value of another member */
			w = json_deep_copy(mutate_member(o, dice(d, mutate_size(o)), &other));
			break;
		case 2: /* a member that nobody knows, or a row twice */
			if (key)
				json_object_set_new(o, "unknown", mutate_value(d));
			else
				json_array_append_new(o, json_deep_copy(v));
			return;
		case 3: /* a number beside the one that is there */
			w = json_is_integer(v)
				? json_integer(json_integer_value(v) + (dice(d, 2) ? 1 : -1))
				: mutate_value(d);
			break;
		default:
			w = mutate_value(d);
		}
		if (key)
			json_object_set_new(o, key, w);
		else
			json_array_set_new(o, k, w);
		return;
	}
}

/* --- files --- */

/* Puts something else where a file is: nothing, a folder, a link to it, a FIFO. */
static inline void mutate_kind(struct dice *d, const char *path)
{
	struct path away = dirs_path("away");

	(void)unlink(away.s);
	switch (dice(d, 5)) {
	case 0:
		(void)unlink(path);
		break;
	case 1:
		(void)unlink(path);
		(void)mkdir(path, 0777);
		break;
	case 2: /* the same bytes, but behind a link */
		if (rename(path, away.s) || symlink(away.s, path))
			exit(2);
		break;
	case 3:
		(void)unlink(path);
		(void)mkfifo(path, 0666);
		break;
	default:
		if (unlink(path) || symlink("/nonexistent", path))
			exit(2);
	}
}

#endif
