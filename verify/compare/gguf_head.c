/* SPDX-License-Identifier: MIT */
#include "verify/compare/gguf_head.h"

#include "core/file.h"
#include "formats/gguf/gguf_set.h"
#include "formats/model/gguf_keys.h"

#include <stdlib.h>
#include <string.h>

enum {
	FIXED = 24,    /* magic, version, two counts */
	PART_PAIRS = 4 /* of a file that is one part of several */
};

/* The kind of file: of a mix by the gate of the experts, else whether every matrix is in F32. */
static uint32_t file_type(const struct sidecar *s, bool mix)
{
	const struct sidecar_tensor *t;
	size_t i;

	for (i = 0; mix && i < s->n; i++) {
		t = &s->tensors[i];
		if (strstr(t->name, ".ffn_gate_exps."))
			return gguf_file_type_of(t->dtype == DT_F32 ? GGML_F32
					: t->dtype == DT_F16        ? GGML_F16
					: t->dtype == DT_BF16       ? GGML_BF16
								    : t->ggml);
	}
	for (i = 0; i < s->n; i++)
		if (s->tensors[i].dtype == DT_BF16 || s->tensors[i].dtype == DT_U8)
			return gguf_file_type(GGUF_DENSE_BF16);
	return gguf_file_type(GGUF_DENSE_F32);
}

int gguf_head_same(const struct ckpt *source, const struct sidecar *s, bool mix, int fd, bool *same,
	struct err *e)
{
	struct gguf_out o = { 0 };
	unsigned no, parts;
	uint8_t *is = NULL;
	uint64_t pairs = 0;
	size_t stem, i, n;
	int rc = -1;

	*same = gguf_part_parse(s->name, &stem, &no, &parts);
	if (!*same || no)
		return 0;
	if (gguf_metadata_put(&o, source, file_type(s, mix), gguf_of_file(s->name), e))
		goto out;
	n = FIXED + o.pairs.n;
	is = malloc(n);
	if (!is || o.pairs.failed) {
		err_nomem(e);
		goto out;
	}
	*same = s->header_bytes >= n;
	if (*same && file_read(source->io, fd, is, n, 0, e))
		goto out;
	for (i = 0; *same && i < 8; i++)
		pairs |= (uint64_t)is[16 + i] << 8 * i;
	*same = *same && pairs == o.n_pairs + (parts > 1 ? PART_PAIRS : 0) &&
		!memcmp(is + FIXED, o.pairs.s, o.pairs.n);
	rc = 0;
out:
	free(is);
	gguf_out_free(&o);
	return rc;
}
