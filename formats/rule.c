/* SPDX-License-Identifier: MIT */
#include "formats/rule.h"

#include "formats/jwrite.h"

#include <stddef.h>

/* clang-format off */
const struct rule rules[] = {
	{ "ckpt.changed",         ERR_SYSTEM,      "a shard was changed while it was read" },
	{ "ckpt.empty",           ERR_DATA,        "the folder has no .safetensors file" },
	{ "ckpt.name-twice",      ERR_DATA,        "two shards hold a tensor of the same name" },

	{ "config.expert-dtype",  ERR_DATA,        "expert_dtype is neither fp4 nor fp8" },
	{ "config.expert-dtype-missing", ERR_DATA, "config.json does not say what the experts are" },
	{ "config.expert-dtype-wrong", ERR_DATA,   "config.json says one kind of experts, the tensors are another" },
	{ "config.field-missing", ERR_DATA,        "a field that the shapes depend on is missing" },
	{ "config.field-range",   ERR_DATA,        "a field is out of range or does not divide as it must" },
	{ "config.field-type",    ERR_DATA,        "a field has the wrong JSON type" },
	{ "config.missing",       ERR_DATA,        "there is no config.json" },
	{ "config.model-type",    ERR_UNSUPPORTED, "another model than deepseek_v4" },
	{ "config.quant",         ERR_DATA,        "quantization_config is not FP8 in blocks of 128 x 128" },
	{ "config.ratios",        ERR_DATA,        "compress_ratios has a wrong length or entry" },
	{ "config.stages",        ERR_DATA,        "the stages under mtp. are counted in two different ways" },
	{ "config.syntax",        ERR_DATA,        "config.json is no valid JSON object" },

	{ "data.cast-inexact",    ERR_DATA,        "a block of FP4 weights cannot be cast to FP8 without loss" },
	{ "data.dequant-inexact", ERR_DATA,        "a product of weight and scale is not exact in BF16" },
	{ "data.expert-id",       ERR_DATA,        "tid2eid names an expert that there is not" },
	{ "data.fp8-nan",         ERR_DATA,        "an FP8 weight is NaN" },
	{ "data.scale-nan",       ERR_DATA,        "an E8M0 scale is NaN (byte 255)" },
	{ "data.scale-range",     ERR_DATA,        "a scale byte that the engine misreads" },

	{ "file.not-regular",     ERR_DATA,        "a folder, FIFO, socket or device stands where a file should" },
	{ "file.short",           ERR_DATA,        "a file ended before what was expected of it" },
	{ "file.symlink",         ERR_DATA,        "a symbolic link stands where a file should" },
	{ "file.too-big",         ERR_DATA,        "a text file is larger than this program takes" },

	{ "index.case-twin",      ERR_DATA,        "two shards whose names differ in upper and lower case only" },
	{ "index.extra-shard",    ERR_DATA,        "a shard that the index does not name" },
	{ "index.missing",        ERR_DATA,        "several shards and no index" },
	{ "index.name",           ERR_DATA,        "a tensor name in the index with a NUL" },
	{ "index.no-map",         ERR_DATA,        "the index has no weight_map" },
	{ "index.not-in-index",   ERR_DATA,        "a tensor in a shard that the index does not name" },
	{ "index.not-in-shard",   ERR_DATA,        "a tensor that the index names is not in the shard" },
	{ "index.shard-missing",  ERR_DATA,        "a shard that the index names is not there" },
	{ "index.shard-name",     ERR_DATA,        "a shard name with a path or odd characters in it" },
	{ "index.shards",         ERR_UNSUPPORTED, "more shards than this program opens" },
	{ "index.total-size",     ERR_DATA,        "total_size is not the sum of all tensors" },
	{ "index.twice",          ERR_DATA,        "the index names a tensor, or has its map, twice" },
	{ "index.wrong-shard",    ERR_DATA,        "a tensor is in another shard than the index says" },

	{ "json.control",         ERR_DATA,        "a control byte in a string" },
	{ "json.cut",             ERR_DATA,        "the document ends in the middle" },
	{ "json.depth",           ERR_DATA,        "nested deeper than the format is" },
	{ "json.escape",          ERR_DATA,        "an escape that does not exist, or half a surrogate pair" },
	{ "json.long",            ERR_DATA,        "a string longer than allowed" },
	{ "json.number",          ERR_DATA,        "a number with sign, point, exponent or leading zero" },
	{ "json.range",           ERR_DATA,        "a number beyond its limit" },
	{ "json.syntax",          ERR_DATA,        "not JSON" },
	{ "json.trailing",        ERR_DATA,        "something after the document" },
	{ "json.type",            ERR_DATA,        "another kind of value than expected" },
	{ "json.utf8",            ERR_DATA,        "a string that is not UTF-8" },

	{ "model.dtype",          ERR_DATA,        "a tensor of another type than its role has" },
	{ "model.missing",        ERR_DATA,        "a tensor that the model must have is not there" },
	{ "model.scale-form",     ERR_DATA,        "a scale of the wrong shape or type" },
	{ "model.scale-missing",  ERR_DATA,        "a quantized weight without its scale" },
	{ "model.scale-orphan",   ERR_DATA,        "a scale without its weight" },
	{ "model.shape",          ERR_DATA,        "a tensor of another shape than config.json implies" },
	{ "model.unexpected",     ERR_DATA,        "a tensor that is not part of the model" },

	{ "out.foreign",          ERR_USAGE,       "the output folder holds files of something else" },
	{ "out.locked",           ERR_SYSTEM,      "another run is writing to the output folder" },
	{ "out.nested",           ERR_USAGE,       "input and output folder lie in one another" },
	{ "out.no-space",         ERR_SYSTEM,      "the file system has not room for the output" },
	{ "out.other",            ERR_USAGE,       "the output folder holds another conversion, or files that are no conversion" },

	{ "plan.block-cut",       ERR_UNSUPPORTED, "the ranks would cut a 128 x 128 block" },
	{ "plan.cast-shape",      ERR_UNSUPPORTED, "an expert that is no whole number of 128 x 128 blocks" },
	{ "plan.engine-form",     ERR_UNSUPPORTED, "an engine that takes FP4 experts, and others here" },
	{ "plan.experimental",    ERR_USAGE,       "a target that was only read about, without --experimental" },
	{ "plan.experts",         ERR_USAGE,       "FP4 experts are asked for where there are FP8 ones" },
	{ "plan.memory",          ERR_USAGE,       "--max-memory is less than the plan needs" },
	{ "plan.placement",       ERR_USAGE,       "--placement is no list of experts for each rank" },
	{ "plan.slice",           ERR_USAGE,       "a part of a model that would be no model" },
	{ "plan.split",           ERR_USAGE,       "a number of ranks that cannot share the model evenly" },

	{ "set.codec",            ERR_UNSUPPORTED, "a tensor whose values were changed: no way back" },
	{ "set.digest",           ERR_MISMATCH,    "a tensor taken apart is not as it was when it was converted" },
	{ "set.form",             ERR_MISMATCH,    "a manifest or sidecar that says what cannot be" },
	{ "set.incomplete",       ERR_MISMATCH,    "a tensor is not whole in the folders that are there" },
	{ "set.layout",           ERR_UNSUPPORTED, "a layout, or a version of one, that this program does not know" },
	{ "set.manifest",         ERR_MISMATCH,    "a manifest or sidecar with another digest than the one above says" },
	{ "set.size",             ERR_MISMATCH,    "a file with another size than its manifest says" },

	{ "source.list",          ERR_USAGE,       "--source-sha256 is no list of digests of all shards" },
	{ "source.sha256",        ERR_MISMATCH,    "a shard has not the SHA-256 that was published" },
	{ "source.size",          ERR_MISMATCH,    "a shard has not the size that its Git-LFS pointer says" },

	{ "st.dtype-unknown",     ERR_UNSUPPORTED, "an element type that this program does not know" },
	{ "st.field-missing",     ERR_DATA,        "a tensor without dtype, shape or data_offsets" },
	{ "st.field-twice",       ERR_DATA,        "a tensor with a field for the second time" },
	{ "st.field-unknown",     ERR_DATA,        "a tensor with a field that the format does not have" },
	{ "st.file-short",        ERR_DATA,        "a file too short for a header" },
	{ "st.header-beyond",     ERR_DATA,        "a header longer than the file" },
	{ "st.header-cap",        ERR_DATA,        "a header longer than readers take" },
	{ "st.header-short",      ERR_DATA,        "a header length of 0 or 1" },
	{ "st.header-start",      ERR_DATA,        "a header that does not begin with a brace" },
	{ "st.meta-size",         ERR_DATA,        "more than 1 MiB of metadata" },
	{ "st.meta-twice",        ERR_DATA,        "metadata, or a key in it, for the second time" },
	{ "st.name-control",      ERR_DATA,        "a name with a control byte" },
	{ "st.name-empty",        ERR_DATA,        "a tensor without a name" },
	{ "st.name-twice",        ERR_DATA,        "two tensors of one name in a shard" },
	{ "st.offset-count",      ERR_DATA,        "data_offsets without exactly two entries" },
	{ "st.offset-gap",        ERR_DATA,        "bytes of the payload that belong to no tensor" },
	{ "st.offset-order",      ERR_DATA,        "a tensor that ends before it begins" },
	{ "st.offset-overlap",    ERR_DATA,        "bytes of the payload that belong to two tensors" },
	{ "st.rank",              ERR_DATA,        "more than 8 dimensions" },
	{ "st.size",              ERR_DATA,        "a shape whose size wraps or is no whole number of bytes" },
	{ "st.size-mismatch",     ERR_DATA,        "shape and type need another size than the offsets span" },
	{ "st.trailing",          ERR_DATA,        "bytes after the last tensor" },
	{ "st.truncated",         ERR_DATA,        "a shard shorter than its tensors" },

	{ NULL, ERR_NONE, NULL },
};
/* clang-format on */

static const char *const kind_name[] = { [ERR_DATA] = "data",
	[ERR_MISMATCH] = "mismatch",
	[ERR_UNSUPPORTED] = "unsupported",
	[ERR_USAGE] = "usage",
	[ERR_SYSTEM] = "system" };

static int exit_of(const struct rule *r)
{
	return err_exit_code(&(struct err){ .kind = r->kind });
}

void rule_put_text(struct text *out)
{
	const struct rule *r;

	text_fmt(out, "%-28s %-4s %-12s %s\n", "rule", "exit", "kind", "meaning");
	for (r = rules; r->id; r++)
		text_fmt(out, "%-28s %-4d %-12s %s\n", r->id, exit_of(r), kind_name[r->kind],
			r->text);
}

void rule_put_json(struct text *out)
{
	const struct rule *r;
	struct jwrite o;

	jwrite_begin(&o, out, 2);
	jwrite_open(&o, NULL, '{');
	jwrite_str(&o, "format", "dsv4-rules-1");
	jwrite_open(&o, "rules", '[');
	for (r = rules; r->id; r++) {
		jwrite_open(&o, NULL, '{');
		jwrite_u64(&o, "exit", (uint64_t)exit_of(r));
		jwrite_str(&o, "id", r->id);
		jwrite_str(&o, "kind", kind_name[r->kind]);
		jwrite_str(&o, "meaning", r->text);
		jwrite_close(&o, '}');
	}
	jwrite_close(&o, ']');
	jwrite_close(&o, '}');
}
