/* SPDX-License-Identifier: MIT */
#include "convert/out/options.h"

#include "convert/plan/inputs.h"

#include <stdio.h>

unsigned options_list(const struct plan *p, struct option_words *w,
	struct man_option v[OPTIONS_MAX])
{
	const struct share *h = &p->opts.share;
	bool input = p->recipe && p->recipe->input && p->opts.inputs;
	unsigned n = 0;

	snprintf(w->ranks, sizeof w->ranks, "%llu",
		(unsigned long long)(h->ranks ? h->ranks : p->opts.ranks));
	snprintf(w->size, sizeof w->size, "%llu", (unsigned long long)p->opts.shard_size);
	snprintf(w->share, sizeof w->share,
		"rank %llu of %llu, stage %llu of %llu, experts %s, attention %s",
		(unsigned long long)h->rank, (unsigned long long)h->ranks,
		(unsigned long long)h->stage, (unsigned long long)h->stages,
		h->experts_tp ? "tp" : "ep", h->attention_tp ? "tp" : "replicate");
	if (p->recipe && p->recipe->container == CONTAINER_GGUF)
		v[n++] = (struct man_option){ "dense", gguf_dense_names[p->opts.dense] };
	v[n++] = (struct man_option){ "experts", plan_experts(p) };
	if (input)
		v[n++] = (struct man_option){ "input_scale", p->opts.inputs->said };
	v[n++] = (struct man_option){ "layers", p->opts.layers };
	v[n++] = (struct man_option){ "lossy", p->opts.lossy ? "yes" : "no" };
	v[n++] = (struct man_option){ "ranks", w->ranks };
	if (p->f32_scales)
		v[n++] = (struct man_option){ "scale_dtype", "f32" };
	v[n++] = (struct man_option){ h->ranks ? "share" : "shard_size",
		h->ranks ? w->share : w->size };
	if (p->recipe && codecs[p->forms.experts].second.name)
		v[n++] = (struct man_option){ "signed_zero", p->opts.drop_signs ? "drop" : "keep" };
	return n;
}
