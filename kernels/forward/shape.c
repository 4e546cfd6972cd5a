/* SPDX-License-Identifier: MIT */
#include "kernels/forward/shape.h"

int shape_fits(const struct params *p, const struct config *c, struct err *e)
{
	const char *no = NULL;

	if (c->hc != 4)
		no = "hc_mult is not 4";
	else if (c->D % 128 || c->QL % 128 || c->I % 128 || c->R % 128 || c->hd % 32 ||
		c->H % c->G || c->H * c->hd / c->G % 128)
		no = "a size is no multiple of 128 columns";
	else if (c->hd <= p->rope_dim || (c->hd - p->rope_dim) % 64 || c->IHD <= p->rope_dim ||
		(c->IHD & (c->IHD - 1)) || c->IHD % 32)
		no = "head sizes and rope do not go together";
	return no ? err_rule(e, RULE_FORWARD_SHAPE, ERR_NOPOS, "config.json: %s", no) : 0;
}
