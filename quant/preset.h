/* preset.h -- the recipe files of quant/recipes/ (formats/model/mix.h), compiled in: names of dsv4-quant that are mixes.
 *
 * They are installed as files too, to be read and copied. The table is made of the files when this is built.
 *
 * SPDX-License-Identifier: MIT */
#ifndef QUANT_PRESET_H
#define QUANT_PRESET_H
#ifdef __cplusplus
extern "C" {
#endif

struct preset {
	const char *name; /* of the file without ".recipe", and of a row of recipes.h */
	const char *text; /* all of the file */
};
extern const struct preset presets[]; /* ends with a NULL name */

/* Returns the text of the recipe of that name, NULL where there is none. */
const char *preset_text(const char *name);

#ifdef __cplusplus
}
#endif
#endif
