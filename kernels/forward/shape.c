/* SPDX-License-Identifier: MIT */
#include "kernels/forward/shape.h"

#include "kernels/dev.h"

int shape_fits(const struct params *p, const struct config *c, struct err *e)
{
	const char *no = NULL;

	if (c->hc != 4)
		no = "hc_mult is not 4";
	else if (c->D % DEV_ACT || c->QL % DEV_ACT || c->I % DEV_ACT || c->R % DEV_ACT ||
		c->hd % DEV_LANES || c->H % c->G || c->H * c->hd / c->G % DEV_ACT)
		no = "a size is no multiple of 128 columns";
	else if (c->hd <= p->rope_dim || (c->hd - p->rope_dim) % DEV_KEY || c->IHD <= p->rope_dim ||
		(c->IHD & (c->IHD - 1)) || c->IHD % DEV_LANES)
		no = "head sizes and rope do not go together";
	return no ? err_rule(e, RULE_FORWARD_SHAPE, ERR_NOPOS, "config.json: %s", no) : 0;
}
