/* SPDX-License-Identifier: MIT */
#include "quant/preset.h"

#include <stddef.h>
#include <string.h>

const char *preset_text(const char *name)
{
	const struct preset *p;

	for (p = presets; p->name; p++)
		if (!strcmp(p->name, name))
			return p->text;
	return NULL;
}
