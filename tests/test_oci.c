/* test_oci.c -- folders as OCI image layouts: every blob under its digest, layouts that did not end.
 *
 * SPDX-License-Identifier: MIT */
#include "convert/pack/layout.h"
#include "core/hash/sha256.h"
#include "core/hash/xxh.h"
#include "tests/pack.h"

#include <jansson.h>

/* The document whose digest v says; NULL where the blob is not what its name and size say. */
static json_t *blob_of_descriptor(const char *dir, const json_t *v, bool is_json)
{
	const char *digest = json_string_value(json_object_get(v, "digest"));
	char path[100] = "", hex[65];
	uint8_t sha[32], *p;
	json_t *doc = NULL;
	size_t n;

	CHECK(digest && !strncmp(digest, "sha256:", 7) && strlen(digest) == 71);
	if (!digest)
		return NULL;
	snprintf(path, sizeof path, "blobs/sha256/%.64s", digest + 7);
	p = file_get_all(below(dir, path).s, &n);
	CHECK_IN(path, p && !sha256_of(p, n, sha, NULL));
	hex_of(sha, 32, hex);
	CHECK_IN(path, !strcmp(hex, digest + 7));
	CHECK_IN(path, json_integer_value(json_object_get(v, "size")) == (json_int_t)n);
	if (p && is_json)
		doc = json_loadb((char *)p, n, 0, NULL);
	free(p);
	return doc;
}

/* Everything that the index leads to is there under its digest, and every file of the folder is a layer. */
static void layouts(void)
{
	struct path in = pack_folder(), a = dirs_gone("layout"), b = dirs_gone("layout-b");
	json_t *index, *manifest, *config, *layers, *ids;
	const char *path;
	uint8_t *p;
	size_t i, n;

	CHECK(makes(layout_run, in.s, a.s, 1) && done.files == 13);
	CHECK(makes(layout_run, in.s, b.s, 3));
	CHECK(same(a.s, b.s));
	index = json_load_file(below(a.s, "index.json").s, 0, NULL);
	manifest = blob_of_descriptor(a.s, json_array_get(json_object_get(index, "manifests"), 0),
		true);
	config = blob_of_descriptor(a.s, json_object_get(manifest, "config"), true);
	layers = json_object_get(manifest, "layers");
	ids = json_object_get(json_object_get(config, "modelfs"), "diffIds");
	CHECK(json_array_size(layers) == 13 && json_array_size(ids) == 13);
	for (i = 0; i < json_array_size(layers); i++) {
		json_t *l = json_array_get(layers, i);
		char blob[100];

		json_decref(blob_of_descriptor(a.s, l, false));
		path = json_string_value(json_object_get(json_object_get(l, "annotations"),
			"org.cncf.model.filepath"));
		snprintf(blob, sizeof blob, "blobs/sha256/%.64s",
			json_string_value(json_object_get(l, "digest")) + 7);
		CHECK(path && same_files(below(a.s, blob).s, below(in.s, path ? path : "").s));
		CHECK(json_equal(json_array_get(ids, i), json_object_get(l, "digest")));
		CHECK(!strncmp(json_string_value(json_object_get(l, "mediaType")),
			"application/vnd.cncf.model.", 27));
	}
	/* a finished one stays; one that did not end goes on, and a blob that is not what its name says is found */
	CHECK(refuses(layout_run, in.s, a.s, "archive.other", "finished there"));
	unlink(below(a.s, "index.json").s);
	file_put_all(below(a.s, "blobs/sha256/.blob.0123456789abcdef.part").s, "x", 1);
	CHECK(makes(layout_run, in.s, a.s, 2) && done.kept == 13 && same(a.s, b.s));
	unlink(below(a.s, "index.json").s);
	path = json_string_value(json_object_get(json_array_get(layers, 3), "digest"));
	CHECK(path);
	p = file_get_all(below(a.s, "oci-layout").s, &n);
	CHECK(n == 30 && !memcmp(p, "{\"imageLayoutVersion\":\"1.0.0\"}", 30));
	if (path) {
		char blob[100];

		snprintf(blob, sizeof blob, "blobs/sha256/%.64s", path + 7);
		file_put_all(below(a.s, blob).s, "x", 1);
	}
	CHECK(refuses(layout_run, in.s, a.s, "archive.other", "not what its name says"));
	CHECK(!is_file(below(a.s, "index.json").s));
	file_put_all(below(b.s, "letter.txt").s, "x", 1);
	unlink(below(b.s, "index.json").s);
	CHECK(refuses(layout_run, in.s, b.s, "archive.other", "letter.txt"));
	CHECK(refuses(layout_run, dirs_new("nothing").s, dirs_gone("layout-c").s, "archive.other",
		"has no files"));
	json_decref(index);
	json_decref(manifest);
	json_decref(config);
	free(p);
}

static const struct test tests[] = {
	{ "layouts", layouts },
	{ NULL, NULL },
};
TEST_MAIN(tests)
