/* SPDX-License-Identifier: MIT */
#include "formats/model/recipes.h"

#include "formats/model/recipe_config.h"

#include <string.h>

/* clang-format off */
static const struct recipe_small native[] = { { "config.json", recipe_config_native }, { NULL, NULL } };
static const struct recipe_small plain[] = { { "config.json", recipe_config_plain }, { NULL, NULL } };
static const struct recipe_small modelopt_nvfp4[] = { { "config.json", recipe_config_nvfp4 }, { "hf_quant_config.json", recipe_hf_quant_nvfp4 }, { NULL, NULL } };
static const struct recipe_small modelopt_mxfp8[] = { { "config.json", recipe_config_mxfp8 }, { "hf_quant_config.json", recipe_hf_quant_mxfp8 }, { NULL, NULL } };
static const struct recipe_small compressed[] = { { "config.json", recipe_config_compressed }, { NULL, NULL } };
static const struct recipe_small mlx_packed[] = { { "config.json", recipe_config_mlx_packed }, { NULL, NULL } };
static const struct recipe_small mlx[] = { { "config.json", recipe_config_mlx }, { NULL, NULL } };

#define NONE { CODEC_NONE, CODEC_NONE }
const struct recipe recipes[] = {
	/* name, what, formats of dense and experts, the same with E8M0 scales, container, input scales, native, mix, rounds, stacked, need, small files, loaders, how that was found out */
	{ "fp8", "all quantized matrices in E4M3 with a scale for 128 x 128: F32 scales, or E8M0 with --scale-dtype e8m0 (V4.1: for 32 x 32, E8M0)",
		{ CODEC_FP8_F32, CODEC_FP8_F32 }, { CODEC_FP8, CODEC_FP8 }, CONTAINER_SHARDS, NULL, true, false, false, false, NEED_CAST, native,
		"vLLM, SGLang, the official code (e8m0), transformers",
		"parameters in vLLM 0.32 (run), its loader in 0.33 (read); logits of transformers 5.23 (run)" },
	{ "bf16", "all matrices in BF16, as they were multiplied out",
		{ CODEC_BF16, CODEC_BF16 }, NONE, CONTAINER_SHARDS, NULL, false, false, false, false, NEED_RECIPE, plain,
		"trainers, transformers, other quantizers", "logits of transformers 5.23 (run)" },
	{ "mxfp8", "all quantized matrices in E4M3 with an E8M0 scale for 32 columns",
		{ CODEC_MXFP8, CODEC_MXFP8 }, NONE, CONTAINER_SHARDS, NULL, false, false, false, false, NEED_RECIPE, modelopt_mxfp8,
		"vLLM, torchao", "torchao 0.18 and ModelOpt 0.47 read and write the same bytes (run)" },
	{ "nvfp4", "routed experts in NVFP4, drafts included, as ModelOpt has them; the rest as it is",
		{ CODEC_NONE, CODEC_NVFP4 }, NONE, CONTAINER_SHARDS, "input_scale", false, false, false, false, NEED_EXPERTS, modelopt_nvfp4,
		"vLLM, SGLang, TensorRT-LLM", "ModelOpt 0.47 writes the same bytes (run); no engine was run" },
	{ "ct-mxfp4", "routed experts in MXFP4, the rest in FP8 with F32 scales, as compressed-tensors has them",
		{ CODEC_FP8_CT, CODEC_MXFP4_CT }, NONE, CONTAINER_SHARDS, NULL, false, false, false, false, NEED_COMPRESSED, compressed,
		"vLLM", "compressed-tensors 0.20.0 reads and writes the same bytes (run); its names are passed over by transformers 5.23 (run)" },
	{ "ct-mxfp8", "routed experts in MXFP8, the rest in FP8 with F32 scales, as compressed-tensors has them",
		{ CODEC_FP8_CT, CODEC_MXFP8 }, NONE, CONTAINER_SHARDS, NULL, false, false, false, false, NEED_COMPRESSED, compressed,
		"vLLM", "compressed-tensors 0.20.0 reads and writes the same bytes (run); its names are passed over by transformers 5.23 (run)" },
	{ "ct-nvfp4a16", "routed experts in NVFP4 without scales of activations, the rest in FP8 with F32 scales, as compressed-tensors has them",
		{ CODEC_FP8_CT, CODEC_NVFP4_CT }, NONE, CONTAINER_SHARDS, NULL, false, false, false, false, NEED_COMPRESSED, compressed,
		"vLLM", "compressed-tensors 0.20.0 reads and writes the same bytes (run); its names are passed over by transformers 5.23 (run)" },
	{ "gguf", "a file for llama.cpp: routed experts MXFP4, dense matrices BF16 (--dense), norms F32; drafts beside it",
		NONE, NONE, CONTAINER_GGUF, NULL, false, false, false, false, NEED_GGUF, NULL,
		"llama.cpp", "logits in llama.cpp 2026.10 on a CPU (run); the GGUF of its own converter, tensor by tensor (run)" },
	{ "mlx", "the published bytes, and in config.json what they are for MLX",
		NONE, NONE, CONTAINER_SHARDS, NULL, true, false, false, false, NEED_MLX, mlx,
		"MLX (mlx-vlm)", "logits of mlx-vlm 0.7.10 on the packed bytes (run)" },
	{ "mlx-stack", "the same with the experts of a layer in one tensor for each projection (--to mlx --stack)",
		NONE, NONE, CONTAINER_SHARDS, NULL, false, false, false, true, NEED_MLX, mlx,
		"MLX (mlx-vlm)", "logits of mlx-vlm 0.7.10 on the packed bytes (run)" },
	{ "mlx-packed", "the published bits by MLX's own names and types: E4M3 with a scale for 32 columns, experts in MXFP4",
		{ CODEC_MXFP8_MLX, CODEC_MXFP4_MLX }, NONE, CONTAINER_SHARDS, NULL, false, false, false, false, NEED_MLX_NAMES, mlx_packed,
		"MLX (mlx-vlm)", "mlx-vlm 0.7.10 loads them packed, and computes what it computes of the download (run)" },
	{ "gguf-q2", "a file for llama.cpp with 2 bits: routed experts IQ2_XXS (gate, up) and Q2_K (down), dense matrices Q8_0",
		NONE, NONE, CONTAINER_GGUF, NULL, false, true, true, false, NEED_GGUF, NULL,
		"llama.cpp", "llama.cpp 2026.10 computes it on a CPU (run)" },
	{ "gguf-q3", "the same with 3 bits: routed experts IQ3_XXS and Q3_K",
		NONE, NONE, CONTAINER_GGUF, NULL, false, true, true, false, NEED_GGUF, NULL,
		"llama.cpp", "llama.cpp 2026.10 computes it on a CPU (run)" },
	{ "gguf-q4", "the same with routed experts Q4_K, which has more bits and less values than the MXFP4 of gguf: for engines without that",
		NONE, NONE, CONTAINER_GGUF, NULL, false, true, true, false, NEED_GGUF, NULL,
		"llama.cpp", "llama.cpp 2026.10 computes it on a CPU (run)" },
	{ "ds4-q2", "the types that ds4 takes, with 2 bits: routed experts IQ2_XXS and Q2_K, dense matrices Q8_0, the rest F16",
		NONE, NONE, CONTAINER_GGUF, NULL, false, true, true, false, NEED_GGUF, NULL,
		"ds4 (Flash alone), llama.cpp", "the types that its loader asks for (read); llama.cpp 2026.10 computes it on a CPU (run)" },
	{ "ds4-q4", "the same with routed experts Q4_K",
		NONE, NONE, CONTAINER_GGUF, NULL, false, true, true, false, NEED_GGUF, NULL,
		"ds4 (Flash alone), llama.cpp", "the types that its loader asks for (read); llama.cpp 2026.10 computes it on a CPU (run)" },
	{ "w4a16", "routed experts in whole numbers of 4 bits, a BF16 scale for 128 columns, found by their squared error; the rest in FP8 with F32 scales, as compressed-tensors has them",
		{ CODEC_FP8_CT, CODEC_INT4_128 }, NONE, CONTAINER_SHARDS, NULL, false, false, true, false, NEED_COMPRESSED, compressed,
		"vLLM", "compressed-tensors 0.20.0 unpacks the same values, and with its own scales has no smaller error (run); the experts of vLLM 0.33 take the scheme (read)" },
	{ "w4a16-g32", "the same with a scale for 32 columns",
		{ CODEC_FP8_CT, CODEC_INT4_32 }, NONE, CONTAINER_SHARDS, NULL, false, false, true, false, NEED_COMPRESSED, compressed,
		"vLLM", "compressed-tensors 0.20.0 unpacks the same values, and with its own scales has no smaller error (run); the experts of vLLM 0.33 take the scheme (read)" },
	{ "w4a16-asym", "w4a16 with a zero point beside each scale: asymmetric, as llm-compressor's W4A16_ASYM has it",
		{ CODEC_FP8_CT, CODEC_INT4_128_ASYM }, NONE, CONTAINER_SHARDS, NULL, false, false, true, false, NEED_COMPRESSED, compressed,
		"vLLM", "compressed-tensors 0.20.0 unpacks the same values, and with its own scales has no smaller error (run); the experts of vLLM 0.32.0 take zero points (read), those of older versions refuse them" },
	{ "w4a16-g32-asym", "the same with a scale and a zero point for 32 columns",
		{ CODEC_FP8_CT, CODEC_INT4_32_ASYM }, NONE, CONTAINER_SHARDS, NULL, false, false, true, false, NEED_COMPRESSED, compressed,
		"vLLM", "compressed-tensors 0.20.0 unpacks the same values, and with its own scales has no smaller error (run); the experts of vLLM 0.32.0 take zero points (read), those of older versions refuse them" },
	{ "w8a8", "routed experts in whole numbers of 8 bits, a BF16 scale for each row, activations of 8 bits by token; the rest in FP8 with F32 scales, as compressed-tensors has them",
		{ CODEC_FP8_CT, CODEC_INT8_ROW }, NONE, CONTAINER_SHARDS, NULL, false, false, true, false, NEED_COMPRESSED, compressed,
		"vLLM", "compressed-tensors 0.20.0 unpacks the same values, and with its own scales has no smaller error (run); the experts of vLLM 0.33 take the scheme (read)" },
	{ "w8a8-fp8", "routed experts in E4M3, a BF16 scale for each row, activations of 8 bits by token; the rest in FP8 with F32 scales, as compressed-tensors has them",
		{ CODEC_FP8_CT, CODEC_FP8_CHANNEL }, NONE, CONTAINER_SHARDS, NULL, false, false, true, false, NEED_COMPRESSED, compressed,
		"vLLM", "compressed-tensors 0.20.0 unpacks the same values, and with its own scales has no smaller error (run); the experts of vLLM 0.33 take the scheme (read)" },
	{ .name = NULL },
};
/* clang-format on */

const struct recipe *recipe_find(const char *name)
{
	const struct recipe *r;

	for (r = recipes; r->name; r++)
		if (!strcmp(r->name, name))
			return r;
	return NULL;
}

static enum codec in_family(enum codec c, const struct family *f)
{
	bool fp8 = c == CODEC_FP8 || c == CODEC_FP8_F32;

	return fp8 && family_fp8(f) != CODEC_FP8 ? family_fp8(f) : c;
}

struct model_forms recipe_forms(const struct recipe *r, const struct family *f, bool e8m0)
{
	struct model_forms m = e8m0 && r->e8m0.experts != CODEC_NONE ? r->e8m0 : r->forms;

	return (struct model_forms){ in_family(m.dense, f), in_family(m.experts, f) };
}

int recipe_small_put(const struct recipe_small *s, struct text *out, const struct recipe_made *m,
	struct err *e)
{
	if (s->put(out, m, e))
		return -1;
	return m->drafts == DRAFTS_DROP && !strcmp(s->name, "config.json")
		? drafts_config(out, m->config, e)
		: 0;
}
