/* SPDX-License-Identifier: MIT */
#include "convert/out/options.h"

#include "convert/plan/inputs.h"
#include "convert/plan/shard_config.h"
#include "formats/model/sglang_name.h"

#include <stdio.h>
#include <string.h>

/* How many experts of a slice stay, or by which engram_vocab_size its tables are cut; word stands for 0, all of them. */
static void put_cut(struct jwrite *o, const char *key, uint64_t n, const char *word)
{
	char s[32];

	snprintf(s, sizeof s, "%llu", (unsigned long long)n);
	jwrite_str(o, key, n ? s : word);
}

void options_put(const struct plan *p, struct text *t)
{
	const struct share *h = &p->opts.share;
	char s[160];
	const bool slice = !strcmp(p->opts.target, "slice");
	bool vllm = rank_target(p->opts.target); /* all ranks are in the folder */
	struct jwrite o;

	manifest_options(&o, t);
	if (p->recipe && p->recipe->container == CONTAINER_GGUF)
		jwrite_str(&o, "dense", gguf_dense_names[p->opts.dense]);
	if (p->recipe || p->opts.drafts != DRAFTS_SAME)
		jwrite_str(&o, "drafts", drafts_names[p->opts.drafts]);
	if (p->opts.engram != ENGRAM_KEEP)
		jwrite_str(&o, "engram", engram_names[p->opts.engram]);
	if (p->opts.record)
		jwrite_str(&o, "engram_layout", p->opts.record->name);
	if (slice && p->ckpt->config.engram)
		put_cut(&o, "engram_vocab", p->opts.engram_vocab, MANIFEST_WHOLE);
	jwrite_str(&o, "experts", plan_experts(p));
	if (p->opts.experts_from)
		jwrite_str(&o, "experts_from", p->opts.experts_from);
	if (vllm)
		jwrite_str(&o, "experts_by", h->experts_tp ? "tp" : "ep");
	if (slice)
		put_cut(&o, "experts_kept", p->opts.keep, MANIFEST_ALL);
	if (p->opts.file_size)
		jwrite_u64(&o, "file_size", p->opts.file_size);
	if (p->opts.imatrix)
		jwrite_str(&o, "imatrix", p->opts.imatrix_sha256);
	if (p->recipe && p->recipe->input && p->opts.inputs)
		jwrite_str(&o, "input_scale", p->opts.inputs->said);
	if (p->opts.layers)
		jwrite_str(&o, "layers", p->opts.layers);
	else
		jwrite_null(&o, "layers");
	jwrite_str(&o, "lossy",
		p->opts.lossy || p->opts.mix || (p->opts.record && p->opts.record->bits < 8)
			? "yes"
			: "no");
	snprintf(s, sizeof s, "%llu", (unsigned long long)(h->ranks ? h->ranks : p->opts.ranks));
	jwrite_str(&o, "ranks", s);
	if (p->opts.mix)
		jwrite_str(&o, "recipe", p->opts.mix->text.s);
	if (p->f32_scales)
		jwrite_str(&o, "scale_dtype", "f32");
	if (h->ranks && !vllm)
		snprintf(s, sizeof s,
			"rank %llu of %llu, stage %llu of %llu, experts %s, attention %s",
			(unsigned long long)h->rank, (unsigned long long)h->ranks,
			(unsigned long long)h->stage, (unsigned long long)h->stages,
			h->experts_tp ? "tp" : "ep", h->attention_tp ? "tp" : "replicate");
	else
		snprintf(s, sizeof s, "%llu", (unsigned long long)p->opts.shard_size);
	jwrite_str(&o, h->ranks && !vllm ? "share" : "shard_size", s);
	if (p->opts.shard_config)
		jwrite_str(&o, "shard_config", p->opts.shard_config->text);
	if (p->recipe && codecs[p->forms.experts].second.name)
		jwrite_str(&o, "signed_zero", p->opts.drop_signs ? "drop" : "keep");
	manifest_options_end(&o);
}
