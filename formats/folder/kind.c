/* SPDX-License-Identifier: MIT */
#include "formats/folder/kind.h"

#include "formats/format_id.h"
#include "formats/json/jwrite.h"

#include <string.h>

/* clang-format off */
const struct use_row use_rows[USES] = {
	[USE_RUN]            = { "run", "DIR", READS_ALL, NEEDS },
	[USE_PLAN]           = { "plan", "DIR", READS_ALL, NEEDS },
	[USE_INSPECT]        = { "inspect", "DIR", READS_ALL, NEEDS },
	[USE_SLICE]          = { "slice", "DIR", READS_ALL, NEED_SLICE },
	[USE_RESTORE]        = { "restore", "OUT", READS_DOWNLOADS, NEEDS },
	[USE_RESHARD]        = { "reshard", "OUT", READS_DOWNLOADS, NEEDS },
	[USE_CHECK]          = { "check", "OUT", READS_DOWNLOADS, NEEDS },
	[USE_COMPARE_SOURCE] = { "compare", "SOURCE", READS_ALL, NEEDS },
	[USE_COMPARE]        = { "compare", "OUT", READS_DOWNLOADS, NEEDS },
	[USE_DIFF]           = { "diff", "A, B", READS_DOWNLOADS, NEEDS },
	[USE_DOCTOR]         = { "doctor", "DIR", READS_ALL, NEED_DOCTOR },
	[USE_LOGITS_SOURCE]  = { "logits", "SOURCE", READS_ALL, NEED_FORWARD },
	[USE_LOGITS]         = { "logits", "CONVERTED", READS_ALL, NEED_FORWARD },
	[USE_RECORD]         = { "record", "CKPT", READS_ALL, NEED_FORWARD },
	[USE_REPLAY]         = { "replay", "CKPT", READS_ALL, NEED_FORWARD },
	[USE_TOKENS]         = { "tokens", "DIR", READS_NAMES, NEEDS },
	[USE_SIGN]           = { "sign", "DIR", READS_NAMES, NEEDS },
	[USE_SIGNATURE]      = { "signature", "DIR", READS_NAMES, NEEDS },
	[USE_SIGNATURE_SOURCE] = { "signature", "--source", READS_DOWNLOADS, NEEDS },
	[USE_ATTEST]         = { "attest", "DIR", READS_NAMES, NEEDS },
	[USE_TENSORS]        = { "tensors", "OUT", READS_DOWNLOADS, NEEDS },
	[USE_PARITY]         = { "parity", "OUT", READS_DOWNLOADS, NEEDS },
	[USE_ATLAS_SOURCE]   = { "atlas", "SOURCE", READS_ALL, NEEDS },
	[USE_ATLAS]          = { "atlas", "OUT", READS_ALL, NEEDS },
	[USE_SCORE]          = { "score", "DIR", READS_ALL, NEEDS },
	[USE_DELTA]          = { "delta", "OLD, NEW", READS_ALL, NEEDS },
};

#define U(name) (1u << USE_##name)
/* Signatures are over files, whatever they hold. */
#define SIGNING (U(SIGN) | U(SIGNATURE) | U(ATTEST))
/* What computes with the weights; the folder is a whole model by itself, or a set. */
#define COMPUTING (U(LOGITS_SOURCE) | U(LOGITS) | U(RECORD) | U(REPLAY))
/* What a whole checkpoint is good for. */
#define MODEL (U(RUN) | U(PLAN) | U(SCORE) | U(INSPECT) | U(SLICE) | U(CHECK) | U(COMPARE_SOURCE) | U(DIFF) | U(DOCTOR) | \
	COMPUTING | U(TOKENS) | SIGNING | U(SIGNATURE_SOURCE) | U(ATLAS_SOURCE) | U(ATLAS) | U(DELTA))
/* What libdsv4 opens, which asks for the first. */
#define LIBRARY (U(TENSORS) | U(PARITY))
/* What a finished conversion is good for: whether it can go back, restore finds out in its manifest. */
#define MADE (U(CHECK) | U(COMPARE) | U(DIFF) | U(RESTORE) | U(RESHARD) | LIBRARY | SIGNING)
/* What is left for the checkpoint of another model: its files, index, headers and digests, and its tokenizer where it is
 * that of V4. */
#define FILES (U(CHECK) | U(DIFF) | U(TOKENS) | SIGNING)

const struct kind_row kind_rows[KINDS] = {
	[KIND_UNKNOWN]    = { "unknown", "a folder without weights", "no .safetensors file, and nothing else that is known", RULE_KIND_UNKNOWN, MODEL, false, true, false },
	[KIND_FILE]       = { "file", "a file", "no folder", RULE_KIND_FILE, U(CHECK), false, false, false },

	[KIND_DOWNLOAD]   = { "download", "a checkpoint as it is published", ".safetensors files without a manifest.json of ours", RULE_KIND_DOWNLOAD, MODEL, false, true, false },
	[KIND_SNAPSHOT]   = { "snapshot", "a snapshot of the hub's cache", "the same, as links to ../../blobs/HASH", RULE_KIND_DOWNLOAD, MODEL, false, true, false },
	[KIND_CACHE]      = { "cache", "a folder of the hub's cache above its snapshots", "snapshots/, or folders called models--*", RULE_KIND_CACHE, 0, false, false, false },
	[KIND_PARTIAL]    = { "partial", "a download that did not end", "NAME.aria2 and the like beside a file; *.incomplete of the hub; files in ModelScope's ._____temp", RULE_KIND_PARTIAL, U(CHECK) | U(SIGNATURE), false, false, false },
	[KIND_RECLAIMED]  = { "reclaimed", "a checkpoint of which run --reclaim has freed shards", "dsv4-reclaim.json, and shards that it names are not there; if it is damaged, shards that the index names", RULE_KIND_RECLAIMED, 0, false, false, false },

	[KIND_HF]         = { "hf", "a conversion of target hf", "manifest.json: target hf, no folder source", RULE_COUNT, MODEL | MADE, true, true, false },
	[KIND_HF_SOURCE]  = { "hf-source", "a conversion of target hf with what the way back needs", "the same, with source/", RULE_COUNT, MODEL | MADE, true, true, false },
	[KIND_QUANT]      = { "quant", "a conversion to a number format that is no checkpoint's", "manifest.json: target one of dsv4-quant formats", RULE_KIND_QUANT, MADE | U(DOCTOR) | U(RUN) | U(PLAN) | U(SCORE) | U(TOKENS) | COMPUTING | U(ATLAS), true, false, false },
	[KIND_QUANT_GGUF] = { "quant-gguf", "a conversion to GGUF", "manifest.json: target gguf", RULE_KIND_QUANT, MADE | U(INSPECT) | U(DOCTOR) | U(RUN) | U(PLAN) | U(SCORE) | U(LOGITS) | U(RECORD) | U(REPLAY) | U(ATLAS), true, false, false },
	[KIND_SLICE]      = { "slice", "a slice of a checkpoint", "manifest.json: target slice", RULE_COUNT, MODEL | MADE, true, true, false },
	[KIND_RESTORED]   = { "restored", "a checkpoint that restore has made", "manifest.json: target restore", RULE_COUNT, MODEL | MADE, true, true, false },
	[KIND_OFFICIAL]   = { "official", "a conversion of target official", "manifest.json: target official", RULE_KIND_OFFICIAL, MADE | U(DOCTOR) | U(LOGITS) | U(TOKENS), true, false, false },
	[KIND_VLLM]       = { "vllm-sharded", "a conversion for vLLM's sharded_state loader", "manifest.json: target vllm-sharded", RULE_KIND_VLLM_SHARDED, MADE | U(DOCTOR) | COMPUTING | U(TOKENS), true, false, false },
	[KIND_SGLANG]     = { "sglang-presharded", "a conversion for SGLang's presharded loader", "manifest.json: target sglang-presharded", RULE_KIND_SGLANG_PRESHARDED, MADE | U(DOCTOR) | U(LOGITS) | U(TOKENS), true, false, false },
	[KIND_PART]       = { "part", "a conversion of some layers only", "manifest.json: options.layers", RULE_KIND_PART, MADE, true, false, false },
	[KIND_SET]        = { "set", "a set of folders for an engine", "manifest.json: folders", RULE_KIND_SET, MADE | U(DOCTOR) | COMPUTING | U(TOKENS), true, false, false },
	[KIND_RANK]       = { "rank", "the folder of one rank of a set", "manifest.json: the target is an engine", RULE_KIND_RANK, U(CHECK) | U(DIFF) | LIBRARY | SIGNING | U(TOKENS), true, false, false },
	[KIND_STAGE]      = { "stage", "the folder of one stage of a set", "folders rank-R-of-N, each with its manifest.json, and none above them", RULE_KIND_RANK, SIGNING, false, false, false },
	[KIND_SOURCE]     = { "source", "what a conversion keeps of its source: headers and small files", "manifest.json: target source", RULE_KIND_SOURCE, U(CHECK) | SIGNING, true, false, false },
	[KIND_UNFINISHED] = { "unfinished", "a conversion that did not end", ".dsv4-plan, or folders of a set of which some are not finished, and no manifest.json", RULE_KIND_UNFINISHED, U(CHECK) | SIGNING, false, false, false },
	[KIND_BROKEN]     = { "broken", "a conversion whose manifest.json is not as it was written", "manifest.json: its digest of itself, or its form", RULE_SET_MANIFEST, U(CHECK) | U(SIGNATURE), true, false, false },
	[KIND_BARE]       = { "bare", "a conversion whose manifest.json is gone", "NAME.manifest.json and no manifest.json", RULE_KIND_BARE, U(CHECK) | U(SIGNATURE), false, false, false },
	[KIND_ARCHIVE]    = { "archive", "an archive that pack has made", "dsv4-archive.json; verbs that read archives in place see the folder that it restores, whatever kind that is", RULE_KIND_ARCHIVE, SIGNING, false, false, false },
	[KIND_ARCHIVE_PART] = { "archive-part", "a folder of archives without their list", "NAME.safetensors.zst, NAME.safetensors.zst-e8m0, NAME.gguf.zst or manifest.json.zst, no dsv4-archive.json, and no weights", RULE_ARCHIVE_UNFINISHED, 0, false, false, false },

	[KIND_RANKS]      = { "ranks", "rank files of the official converter", "modelR-mpN.safetensors and no manifest.json", RULE_KIND_RANKS, U(DOCTOR) | U(LOGITS) | SIGNING, false, false, false },
	[KIND_PREFIXED]   = { "prefixed", "a checkpoint whose tensor names all begin with \"model.\"", "names that are the model's behind \"model.\"", RULE_KIND_PREFIXED, FILES, false, true, true },
	[KIND_TRANSFORMERS] = { "transformers", "a checkpoint with the names of transformers", "tensors model.embed_tokens.*, *.self_attn.*", RULE_KIND_TRANSFORMERS, FILES, false, true, true },
	[KIND_SHARDED]    = { "sharded", "a distributed checkpoint that was not consolidated: every file has a part of every tensor", "shard-R-model-*.safetensors, DCP_SHARDING_INFO, or *.distcp", RULE_KIND_SHARDED, SIGNING, false, false, false },
	[KIND_GGUF]       = { "gguf", "GGUF", "*.gguf and no .safetensors file", RULE_KIND_GGUF, SIGNING | U(INSPECT) | U(CHECK) | U(DIFF) | U(DOCTOR) | U(LOGITS) | U(RECORD) | U(REPLAY) | U(ATLAS), false, false, false },
	[KIND_MLX]        = { "mlx", "a checkpoint quantized for MLX", "tensors *.scales of weights in U32; \"quantization\" in config.json", RULE_KIND_MLX, FILES, false, true, true },
	[KIND_NVFP4]      = { "nvfp4", "a checkpoint quantized to NVFP4", "tensors *.weight_scale_2 or *.weight_global_scale", RULE_KIND_NVFP4, FILES | U(DOCTOR) | U(ATLAS), false, true, true },
	[KIND_QUARK]      = { "quark", "a checkpoint quantized by AMD Quark", "quant_method quark", RULE_KIND_QUARK, FILES, false, true, true },
	[KIND_COMPRESSED] = { "compressed-tensors", "a checkpoint of compressed-tensors", "quant_method compressed-tensors; tensors *.weight_packed", RULE_KIND_COMPRESSED, FILES | U(DOCTOR) | U(ATLAS), false, true, true },
	[KIND_QUANTIZED]  = { "quantized", "a checkpoint in another quantization", "another quant_method, with tensors that are not the model's; tensors *.qweight", RULE_KIND_QUANTIZED, FILES, false, true, true },
	[KIND_BF16]       = { "bf16", "a checkpoint whose experts are not quantized", "every expert matrix is BF16, F16 or F32", RULE_KIND_BF16, FILES | U(ATLAS), false, true, true },
	[KIND_VISION]     = { "vision", "a checkpoint that sees images, and does not say how", "tensors vision.*, aligner.*, *.gate.bias_vl, and no vision_* fields that describe them", RULE_KIND_VISION, FILES, false, true, true },
	[KIND_V41]        = { "v4.1", "a checkpoint of V4.1 whose config.json does not say how it is made up", "tensors *.engram.* under another model_type, or a model_type like deepseek_v41 that is not known", RULE_KIND_V41, FILES, false, true, true },
	[KIND_OTHER]      = { "other", "another model than V4", "another model_type", RULE_CONFIG_MODEL_TYPE, FILES, false, true, true },
};
/* clang-format on */

bool kind_takes(enum kind k, enum use u)
{
	return kind_rows[k].takes >> u & 1;
}

int kind_refuse(enum kind k, const char *path, const char *more, struct err *e)
{
	enum rule_id r = kind_rows[k].rule;

	return err_rule(e, r, ERR_NOPOS, "%s is %s%s%s%s: %s", text_quote(path).s,
		kind_rows[k].text, *more ? " (" : "", more, *more ? ")" : "", rules[r].remedy);
}

/* Whether the verb takes a folder for another use as well. */
static bool two(unsigned u)
{
	unsigned i, n = 0;

	for (i = 0; i < USES; i++)
		n += !strcmp(use_rows[i].verb, use_rows[u].verb);
	return n > 1;
}

/* "run plan inspect"; both arguments of a verb that takes two are named. */
static void put_verbs(struct text *out, const struct kind_row *k)
{
	const char *sep = "";
	unsigned u;

	for (u = 0; u < USES; u++) {
		if (!(k->takes >> u & 1))
			continue;
		text_fmt(out, "%s%s%s%s", sep, use_rows[u].verb, two(u) ? ":" : "",
			two(u) ? use_rows[u].arg : "");
		sep = " ";
	}
	if (!*sep)
		text_str(out, "none");
}

void kind_put_text(struct text *out)
{
	const struct kind_row *k;

	for (k = kind_rows; k < kind_rows + KINDS; k++) {
		text_fmt(out, "%s: %s\n  recognised by  %s\n  taken by       ", k->id, k->text,
			k->seen);
		put_verbs(out, k);
		if (k->rule != RULE_COUNT)
			text_fmt(out, "\n  refused with   %s, exit status %d", rules[k->rule].id,
				err_exit_code(&(struct err){ .kind = rules[k->rule].kind }));
		text_str(out, "\n");
	}
}

void kind_put_json(struct text *out)
{
	const struct kind_row *k;
	struct jwrite o;
	unsigned u;

	jwrite_begin(&o, out, 2);
	jwrite_open(&o, NULL, '{');
	jwrite_str(&o, "format", FORMAT_KINDS_JSON);
	jwrite_open(&o, "kinds", '[');
	for (k = kind_rows; k < kind_rows + KINDS; k++) {
		jwrite_open(&o, NULL, '{');
		jwrite_str(&o, "id", k->id);
		jwrite_str(&o, "meaning", k->text);
		jwrite_str(&o, "recognised_by", k->seen);
		if (k->rule != RULE_COUNT)
			jwrite_str(&o, "rule", rules[k->rule].id);
		jwrite_open(&o, "taken_by", '[');
		for (u = 0; u < USES; u++) {
			if (!(k->takes >> u & 1))
				continue;
			jwrite_open(&o, NULL, '{');
			jwrite_str(&o, "argument", use_rows[u].arg);
			jwrite_str(&o, "verb", use_rows[u].verb);
			jwrite_close(&o, '}');
		}
		jwrite_close(&o, ']');
		jwrite_close(&o, '}');
	}
	jwrite_close(&o, ']');
	jwrite_close(&o, '}');
}
