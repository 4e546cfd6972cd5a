/* SPDX-License-Identifier: MIT */
#include "quant/cli/gain.h"

#include <string.h>

/* Sub-blocks in the order in which they add to the stream: roles that begin so, and the last matrix of each. Routed and shared experts
 * add at once. */
static const struct sub_block {
	const char *begins, *last;
	unsigned when;
} sub_blocks[] = {
	{ "attn.", "attn.wo_b", 0 },
	{ "ffn.experts.", "ffn.experts.#.w2", 1 },
	{ "ffn.shared_experts.", "ffn.shared_experts.w2", 1 },
};
enum { BLOCKS = sizeof sub_blocks / sizeof *sub_blocks };

static bool is_layer(const struct unit *x)
{
	return x->block[0] >= '0' && x->block[0] <= '9';
}

/* The sub-block of a unit, BLOCKS where it is of none. */
static unsigned block_of(const struct unit *x)
{
	unsigned k;

	for (k = 0; k < BLOCKS &&
		strncmp(x->role, sub_blocks[k].begins, strlen(sub_blocks[k].begins)) != 0;
		k++)
		;
	return k;
}

/* The unit of that role in the block at place; u->n: there is none. */
static size_t find(const struct units *u, uint32_t place, const char *role)
{
	size_t i;

	for (i = 0; i < u->n && (u->v[i].place != place || strcmp(u->v[i].role, role) != 0); i++)
		;
	return i;
}

/* The powers of the sub-blocks of the layer at place. */
static bool powers(double power[BLOCKS], const struct units *u, const struct gain_of *v,
	uint32_t place)
{
	size_t attn = find(u, place, sub_blocks[0].last), i;
	unsigned k;

	for (k = 0; k < BLOCKS; k++) {
		i = find(u, place, sub_blocks[k].last);
		if (i == u->n || attn == u->n || !v[i].weighted || !(v[attn].tokens > 0))
			return false;
		power[k] = v[i].energy / v[attn].tokens;
	}
	return true;
}

/* Sets the gains of the units of the layer at place, and adds its sub-blocks to *stream. */
static bool take_layer(double *gain, const struct units *u, const struct gain_of *v, uint32_t place,
	double *stream, double sum[BLOCKS])
{
	double power[BLOCKS], part[BLOCKS];
	unsigned k, when;
	size_t i;

	if (!powers(power, u, v, place))
		return false;
	for (when = 0; when < 2; when++) {
		for (k = 0; k < BLOCKS; k++)
			*stream += sub_blocks[k].when == when ? power[k] : 0;
		for (k = 0; k < BLOCKS; k++)
			if (sub_blocks[k].when == when)
				part[k] = *stream > 0 ? power[k] / *stream : 0;
	}
	for (k = 0; k < BLOCKS; k++)
		sum[k] += part[k];
	for (i = 0; i < u->n; i++)
		if (u->v[i].place == place && block_of(&u->v[i]) < BLOCKS)
			gain[i] = part[block_of(&u->v[i])];
	return true;
}

bool gain_find(double *gain, const struct units *u, const struct gain_of *v)
{
	size_t embed = find(u, 0, "embed"), i;
	double stream = embed < u->n ? v[embed].energy / (double)u->v[embed].rows : 0,
	       sum[BLOCKS] = { 0 };
	uint32_t place = 0, layers = 0;

	for (i = 0; i < u->n; i++) /* sorted by place */
		gain[i] = 1;
	for (i = 0; i < u->n; i++) {
		if (!is_layer(&u->v[i]) || u->v[i].place == place)
			continue;
		place = u->v[i].place;
		layers++;
		if (!take_layer(gain, u, v, place, &stream, sum))
			return false;
	}
	for (i = 0; layers && i < u->n; i++)
		if (!is_layer(&u->v[i]) && block_of(&u->v[i]) < BLOCKS)
			gain[i] = sum[block_of(&u->v[i])] / layers;
	return layers > 0;
}
