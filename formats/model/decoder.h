/* decoder.h -- what the text models of V4 and V4.1 have alike: rows for a family's tables, and readers of config.json that
 * its config_read calls.
 *
 * SPDX-License-Identifier: MIT */
#ifndef FORMATS_MODEL_DECODER_H
#define FORMATS_MODEL_DECODER_H
#include "formats/model/config.h"
#include "formats/model/role.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Blocks that a model can have; published models have up to 64, stages of drafts included. */
enum { BLOCKS_MAX = 4096 };

/* clang-format off */
/* Rows of struct config_field. */
#define DECODER_FIELDS \
	{ "num_hidden_layers",     "L",      offsetof(struct config, L),      1, BLOCKS_MAX, FIELD_ALL }, \
	{ "hidden_size",           "D",      offsetof(struct config, D),      1, 1 << 20, FIELD_ALL }, \
	{ "num_attention_heads",   "H",      offsetof(struct config, H),      1, 1 << 16, FIELD_ALL }, \
	{ "head_dim",              "hd",     offsetof(struct config, hd),     1, 1 << 16, FIELD_ALL }, \
	{ "q_lora_rank",           "QL",     offsetof(struct config, QL),     1, 1 << 20, FIELD_ALL }, \
	{ "o_groups",              "G",      offsetof(struct config, G),      1, 1 << 16, FIELD_ALL }, \
	{ "o_lora_rank",           "R",      offsetof(struct config, R),      1, 1 << 20, FIELD_ALL }, \
	{ "moe_intermediate_size", "I",      offsetof(struct config, I),      1, 1 << 20, FIELD_ALL }, \
	{ "n_routed_experts",      "E",      offsetof(struct config, E),      1, 1 << 16, FIELD_ALL }, \
	{ "n_shared_experts",      "S",      offsetof(struct config, S),      1, 64, FIELD_ALL }, \
	{ "num_experts_per_tok",   "K",      offsetof(struct config, K),      1, 1 << 10, FIELD_ALL }, \
	{ "vocab_size",            "V",      offsetof(struct config, V),      1, 1 << 24, FIELD_ALL }, \
	{ "hc_mult",               "hc",     offsetof(struct config, hc),     1, 64, FIELD_ALL }, \
	{ "index_n_heads",         "IH",     offsetof(struct config, IH),     1, 1 << 16, FIELD_ALL }, \
	{ "index_head_dim",        "IHD",    offsetof(struct config, IHD),    1, 1 << 16, FIELD_ALL }, \
	{ "num_nextn_predict_layers", "n_mtp", offsetof(struct config, n_mtp), 0, BLOCKS_MAX, FIELD_ALL }, \
	{ "dspark_markov_rank",    "MR",     offsetof(struct config, MR),     1, 1 << 20, FIELD_SPARK }

/* Rows of struct role: what is in front of the blocks and behind them. */
#define DECODER_ENDS \
	{ "embed.weight",   IN_GLOBAL, STORE_PLAIN, DT_BF16, "V,D", SPLIT_ROWS, NULL, "token embedding" }, \
	{ "head.weight",    IN_GLOBAL, STORE_PLAIN, DT_BF16, "V,D", SPLIT_ROWS, NULL, "output projection" }

/* The mixes of the residual streams, norms, and attention, of every block. */
#define DECODER_BLOCK \
	{ "hc_attn_base",   IN_BLOCK, STORE_PLAIN, DT_F32, "hc*hc+2*hc", SPLIT_NONE, NULL, "attention mix, offset" }, \
	{ "hc_attn_fn",     IN_BLOCK, STORE_PLAIN, DT_F32, "hc*hc+2*hc,hc*D", SPLIT_NONE, NULL, "attention mix, matrix" }, \
	{ "hc_attn_scale",  IN_BLOCK, STORE_PLAIN, DT_F32, "3", SPLIT_NONE, NULL, "attention mix, gains" }, \
	{ "hc_ffn_base",    IN_BLOCK, STORE_PLAIN, DT_F32, "hc*hc+2*hc", SPLIT_NONE, NULL, "feed-forward mix, offset" }, \
	{ "hc_ffn_fn",      IN_BLOCK, STORE_PLAIN, DT_F32, "hc*hc+2*hc,hc*D", SPLIT_NONE, NULL, "feed-forward mix, matrix" }, \
	{ "hc_ffn_scale",   IN_BLOCK, STORE_PLAIN, DT_F32, "3", SPLIT_NONE, NULL, "feed-forward mix, gains" }, \
	{ "attn_norm.weight", IN_BLOCK, STORE_PLAIN, DT_BF16, "D", SPLIT_NONE, NULL, "norm before attention" }, \
	{ "ffn_norm.weight",  IN_BLOCK, STORE_PLAIN, DT_BF16, "D", SPLIT_NONE, NULL, "norm before feed-forward" }, \
	{ "attn.attn_sink",      IN_BLOCK, STORE_PLAIN, DT_F32, "H", SPLIT_ROWS, "H", "attention sink, by head" }, \
	{ "attn.q_norm.weight",  IN_BLOCK, STORE_PLAIN, DT_BF16, "QL", SPLIT_NONE, NULL, "query norm" }, \
	{ "attn.kv_norm.weight", IN_BLOCK, STORE_PLAIN, DT_BF16, "hd", SPLIT_NONE, NULL, "key-value norm" }, \
	{ "attn.wq_a.weight",    IN_BLOCK, STORE_DENSE, DT_F8_E4M3, "QL,D", SPLIT_NONE, NULL, "query, down" }, \
	{ "attn.wq_b.weight",    IN_BLOCK, STORE_DENSE, DT_F8_E4M3, "H*hd,QL", SPLIT_ROWS, "H", "query, up" }, \
	{ "attn.wkv.weight",     IN_BLOCK, STORE_DENSE, DT_F8_E4M3, "hd,D", SPLIT_NONE, NULL, "key-value" }, \
	{ "attn.wo_a.weight",    IN_BLOCK, STORE_DENSE, DT_F8_E4M3, "G*R,H*hd/G", SPLIT_ROWS, "G", "output, down, by group" }, \
	{ "attn.wo_b.weight",    IN_BLOCK, STORE_DENSE, DT_F8_E4M3, "D,G*R", SPLIT_COLS, "G", "output, up" }

/* What routes a token by score, and the experts, of every block. */
#define DECODER_ROUTER \
	{ "ffn.gate.weight",  IN_BLOCK, STORE_PLAIN, DT_BF16, "E,D", SPLIT_NONE, NULL, "router" }, \
	{ "ffn.gate.bias",    IN_SCORE, STORE_PLAIN, DT_F32, "E", SPLIT_NONE, NULL, "router, selection bias" }
#define DECODER_EXPERTS \
	{ "ffn.shared_experts.w1.weight", IN_BLOCK, STORE_DENSE, DT_F8_E4M3, "S*I,D", SPLIT_NONE, NULL, "shared expert, gate" }, \
	{ "ffn.shared_experts.w2.weight", IN_BLOCK, STORE_DENSE, DT_F8_E4M3, "D,S*I", SPLIT_NONE, NULL, "shared expert, down" }, \
	{ "ffn.shared_experts.w3.weight", IN_BLOCK, STORE_DENSE, DT_F8_E4M3, "S*I,D", SPLIT_NONE, NULL, "shared expert, up" }, \
	{ "ffn.experts.#.w1.weight", IN_BLOCK, STORE_EXPERT, DT_I8, "I,D", SPLIT_EXPERTS, "E", "routed expert, gate" }, \
	{ "ffn.experts.#.w2.weight", IN_BLOCK, STORE_EXPERT, DT_I8, "D,I", SPLIT_EXPERTS, "E", "routed expert, down" }, \
	{ "ffn.experts.#.w3.weight", IN_BLOCK, STORE_EXPERT, DT_I8, "I,D", SPLIT_EXPERTS, "E", "routed expert, up" }

/* What a DSpark drafter takes from the layers. */
#define DECODER_SPARK \
	{ "main_proj.weight", IN_SPARK_FIRST, STORE_DENSE, DT_F8_E4M3, "D,NT*D", SPLIT_NONE, NULL, "DSpark, target projection" }, \
	{ "main_norm.weight", IN_SPARK_FIRST, STORE_PLAIN, DT_BF16, "D", SPLIT_NONE, NULL, "DSpark, target norm" }
/* clang-format on */

/* Both return 0, or -1 with an error that names a rule of config.json. o is its object, c->family is set.
 *
 * That quantization_config says the FP8 of the family's dense weights, in its blocks. */
int decoder_quant(const struct config *c, const struct json_t *o, struct err *e);
/* That the sizes in c, of which all fields are set, divide where shapes do, and make a number of tensors that can be held. */
int decoder_divides(const struct config *c, struct err *e);

#ifdef __cplusplus
}
#endif
#endif
