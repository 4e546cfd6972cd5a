/* SPDX-License-Identifier: MIT */
#include "formats/gguf/gguf_write.h"

#include "formats/gguf/gguf_file.h"

#include <assert.h>
#include <string.h>

enum { FIXED = 24 }; /* magic, version, two counts */

static void put_le(struct text *t, uint64_t v, unsigned bytes)
{
	char b[8];
	unsigned i;

	for (i = 0; i < bytes; i++)
		b[i] = (char)(v >> 8 * i);
	text_put(t, b, bytes);
}

static void put_text(struct text *t, const char *s, size_t n)
{
	put_le(t, n, 8);
	text_put(t, s, n);
}

static void put_value(struct text *t, const struct gguf_value *v)
{
	uint64_t u = v->u;
	uint32_t half;
	float f;

	switch (v->type) {
	case GGUF_STRING:
		put_text(t, v->s, v->n);
		return;
	case GGUF_ARRAY:
		put_le(t, v->item, 4);
		put_le(t, v->count, 8);
		return;
	case GGUF_F32:
		f = (float)v->f;
		memcpy(&half, &f, sizeof f);
		u = half;
		break;
	case GGUF_F64:
		memcpy(&u, &v->f, sizeof u);
		break;
	case GGUF_I8:
	case GGUF_I16:
	case GGUF_I32:
	case GGUF_I64:
		u = (uint64_t)v->i;
		break;
	default:
		break;
	}
	put_le(t, u, gguf_type_bytes(v->type));
}

void gguf_put_value(struct gguf_out *o, const char *key, const struct gguf_value *v)
{
	put_text(&o->pairs, key, strlen(key));
	put_le(&o->pairs, v->type, 4);
	put_value(&o->pairs, v);
	o->n_pairs++;
}

void gguf_put_item(struct gguf_out *o, const struct gguf_value *v)
{
	put_value(&o->pairs, v);
}

void gguf_put_u32(struct gguf_out *o, const char *key, uint32_t v)
{
	gguf_put_value(o, key, &(struct gguf_value){ .type = GGUF_U32, .u = v });
}

void gguf_put_i32(struct gguf_out *o, const char *key, int32_t v)
{
	gguf_put_value(o, key, &(struct gguf_value){ .type = GGUF_I32, .i = v });
}

void gguf_put_u16(struct gguf_out *o, const char *key, uint16_t v)
{
	gguf_put_value(o, key, &(struct gguf_value){ .type = GGUF_U16, .u = v });
}

void gguf_put_f32(struct gguf_out *o, const char *key, float v)
{
	gguf_put_value(o, key, &(struct gguf_value){ .type = GGUF_F32, .f = (double)v });
}

void gguf_put_bool(struct gguf_out *o, const char *key, bool v)
{
	gguf_put_value(o, key, &(struct gguf_value){ .type = GGUF_BOOL, .u = v });
}

void gguf_put_string(struct gguf_out *o, const char *key, const char *s, size_t n)
{
	gguf_put_value(o, key, &(struct gguf_value){ .type = GGUF_STRING, .s = s, .n = n });
}

void gguf_put_array(struct gguf_out *o, const char *key, enum gguf_type item, uint64_t count)
{
	gguf_put_value(o, key,
		&(struct gguf_value){ .type = GGUF_ARRAY, .item = (uint8_t)item, .count = count });
}

void gguf_put_item_string(struct gguf_out *o, const char *s, size_t n)
{
	gguf_put_item(o, &(struct gguf_value){ .type = GGUF_STRING, .s = s, .n = n });
}

void gguf_put_item_i32(struct gguf_out *o, int32_t v)
{
	gguf_put_item(o, &(struct gguf_value){ .type = GGUF_I32, .i = v });
}

void gguf_put_item_f32(struct gguf_out *o, float v)
{
	gguf_put_item(o, &(struct gguf_value){ .type = GGUF_F32, .f = (double)v });
}

static uint64_t alignment(const struct gguf_out *o)
{
	return o->alignment ? o->alignment : GGUF_ALIGNMENT;
}

uint64_t gguf_put_tensor(struct gguf_out *o, const char *name, uint32_t type, const uint64_t *dim,
	unsigned rank)
{
	uint64_t at = o->at, bytes = 0;
	unsigned i;
	bool ok = gguf_bytes(type, dim, rank, &bytes);

	assert(ok);
	(void)ok;
	put_text(&o->infos, name, strlen(name));
	put_le(&o->infos, rank, 4);
	for (i = 0; i < rank; i++)
		put_le(&o->infos, dim[i], 8);
	put_le(&o->infos, type, 4);
	put_le(&o->infos, at, 8);
	o->n_tensors++;
	o->end = at + bytes;
	o->at = gguf_pad(o->end, alignment(o));
	return at;
}

uint64_t gguf_write_head_bytes(const struct gguf_out *o)
{
	return gguf_pad(FIXED + o->pairs.n + o->infos.n, alignment(o));
}

void gguf_write_head(const struct gguf_out *o, struct text *out)
{
	uint64_t n = FIXED + o->pairs.n + o->infos.n;

	text_put(out, "GGUF", 4);
	put_le(out, GGUF_VERSION, 4);
	put_le(out, o->n_tensors, 8);
	put_le(out, o->n_pairs, 8);
	if (o->pairs.n)
		text_put(out, o->pairs.s, o->pairs.n);
	if (o->infos.n)
		text_put(out, o->infos.s, o->infos.n);
	for (; n < gguf_write_head_bytes(o); n++)
		text_put(out, "", 1);
	out->failed |= o->pairs.failed || o->infos.failed;
}

void gguf_out_free(struct gguf_out *o)
{
	text_free(&o->pairs);
	text_free(&o->infos);
	memset(o, 0, sizeof *o);
}
