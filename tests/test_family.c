/* test_family.c -- a made-up family: its row and its one function are all that a new model takes. config.json is
 * recognised and read by them, and the inventory is that of its roles.
 *
 * SPDX-License-Identifier: MIT */
#include "formats/model/family.h"
#include "formats/model/inventory.h"
#include "tests/check.h"

#include <jansson.h>
#include <stddef.h>

/* clang-format off */
static const struct config_field fields[] = {
	{ "depth",  "L", offsetof(struct config, L), 1, 8, FIELD_ALL },
	{ "width",  "D", offsetof(struct config, D), 1, 1024, FIELD_ALL },
	{ "words",  "V", offsetof(struct config, V), 1, 1024, FIELD_ALL },
	{ "people", "E", offsetof(struct config, E), 1, 16, FIELD_ALL },
};
static const struct role roles[] = {
	{ "words.weight",     IN_GLOBAL, STORE_PLAIN,  DT_BF16,    "V,D", SPLIT_ROWS, NULL, "words" },
	{ "mix.weight",       IN_LAYER,  STORE_DENSE,  DT_F8_E4M3, "2*D,D", SPLIT_NONE, NULL, "mix" },
	{ "man.#.one.weight", IN_LAYER,  STORE_EXPERT, DT_I8,      "D,D", SPLIT_EXPERTS, "E", "expert" },
};
/* clang-format on */

static int toy_read(struct config *c, const struct config_doc *d, struct err *e)
{
	if (config_fields(c, d->o, fields, 4, e) || config_experts(c, d->o, e))
		return -1;
	c->ratio = calloc(c->L, sizeof *c->ratio);
	return c->ratio ? 0 : -1;
}

static bool is_toy(const struct config_doc *d)
{
	return json_object_get(d->o, "people");
}

static const struct family toy = { .name = "toy",
	.what = "a toy",
	.dense = CODEC_FP8,
	.recognise = is_toy,
	.config_read = toy_read,
	.fields = fields,
	.n_fields = 4,
	.roles = roles,
	.n_roles = 3 };
static const struct family *const known[] = { &family_v4, &toy, NULL };

static int read_toy(struct config *c, const char *s, struct err *e)
{
	struct config_doc d;
	int rc;

	memset(e, 0, sizeof *e);
	rc = config_doc_parse(&d, s, strlen(s), e) || config_read_as(c, &d, known, e);
	config_doc_free(&d);
	return rc ? -1 : 0;
}

static const char text[] = "{\"model_type\": \"toy\", \"depth\": 2, \"width\": 256, \"words\": 32, "
			   "\"people\": 3, \"expert_dtype\": \"fp4\"}";

static void row(void)
{
	const struct model_forms forms = { CODEC_FP8, CODEC_MXFP4 };
	const struct want *w;
	struct inventory v;
	struct config c;
	struct err e;
	uint64_t n, bytes;

	CHECK(!read_toy(&c, text, &e) && c.family == &toy && c.D == 256 &&
		c.experts == CODEC_MXFP4);
	CHECK(!inventory_make(&v, &c, forms, &e));
	inventory_sum(&v, true, &n, &bytes);
	CHECK(n == 1 + 2 * (2 + 3 * 2));
	CHECK(bytes == 2 * 32 * 256 + 2 * (512 * 256 + 4 * 2 + 3 * (256 * 128 + 256 * 8)));
	w = inventory_find(&v, "layers.1.man.2.one.scale");
	CHECK(w && w->role == &roles[2] && w->nth == 2 && w->dtype == DT_F8_E8M0 && w->dim[1] == 8);
	inventory_free(&v);
	config_free(&c);
}

static void others(void)
{
	const struct family *const *f;
	struct config c;
	struct err e;

	CHECK(read_toy(&c, "{\"model_type\": \"toy\", \"depth\": 2}", &e) == -1 &&
		!strcmp(e.rule, "config.model-type") && !c.family);
	CHECK(read_toy(&c, "{\"model_type\": \"toy\", \"people\": 2}", &e) == -1 &&
		!strcmp(e.rule, "config.field-missing") && !c.family);
	CHECK(read_toy(&c, "{\"model_type\": \"deepseek_v4\"}", &e) == -1 &&
		!strcmp(e.rule, "config.field-missing"));
	for (f = families; *f; f++)
		CHECK_IN((*f)->name, (*f)->n_roles <= FAMILY_ROLES_MAX);
	CHECK(families[0] == &family_v4);
}

static const struct test tests[] = { { "family_row", row }, { "family_others", others },
	{ NULL, NULL } };
TEST_MAIN(tests)
