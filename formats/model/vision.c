/* SPDX-License-Identifier: MIT */
#include "formats/model/vision.h"

#include <string.h>

bool vision_has(const char *name)
{
	static const char *const begins[] = { "vision.", "aligner.", "image_" };
	size_t i;

	for (i = 0; i < sizeof begins / sizeof *begins; i++)
		if (!strncmp(name, begins[i], strlen(begins[i])))
			return true;
	return false;
}
