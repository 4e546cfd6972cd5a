/* meaning.h -- what names, types and config.json say together: a table of checks on headers alone.
 *
 * The audit (formats/model/audit.h) says what of the tensors does not fit config.json. These checks are about the
 * rest: what stands in place of a shard, stages among layers, a list of exceptions that names what is quantized all
 * the same.
 *
 * SPDX-License-Identifier: MIT */
#ifndef VERIFY_DOCTOR_MEANING_H
#define VERIFY_DOCTOR_MEANING_H
#include "formats/model/audit.h"
#include "verify/doctor/implied.h"
#include "verify/report/report.h"

#ifdef __cplusplus
extern "C" {
#endif

struct meaning {
	const struct ckpt *c;
	const struct audit *a;   /* may be zeroed: no usable config.json */
	const json_t *o;         /* config.json; NULL: no object */
	const struct implied *v; /* zeroed where there is no o */
	struct report *r;
};

void meaning_judge(const struct meaning *m);
/* Those of the checks on config.json that hold in whatever number format the model is. It reads c, o and r. */
void meaning_config(const struct meaning *m);

#ifdef __cplusplus
}
#endif
#endif
