/* format_id.h -- the names of all formats that these tools write, each of them here and nowhere else.
 *
 * A name ends with the version of its format: a change to what a document of that name may hold is a new
 * version. docs/format.md describes the files, docs/verify.md the report. tests/layers.sh counts that no
 * source spells one of them a second time.
 *
 * SPDX-License-Identifier: MIT */
#ifndef FORMATS_FORMAT_ID_H
#define FORMATS_FORMAT_ID_H

/* Files of a conversion. */
#define FORMAT_MANIFEST "dsv4-manifest-1" /* manifest.json of a folder with weights */
#define FORMAT_SET "dsv4-set-1"           /* manifest.json above the folders of a set */
#define FORMAT_SIDECAR "dsv4-sidecar-1"   /* NAME.manifest.json beside a file of weights */
#define FORMAT_SGLANG "dsv4-sglang-1" /* what a launch of SGLang says, by loaders/sglang_probe.py */
#define FORMAT_STATE "dsv4-state-1"   /* what an engine holds, by loaders/probe.py */
#define FORMAT_ARCHIVE "dsv4-archive-1" /* dsv4-archive.json of a folder that pack has made */
#define FORMAT_ARCHIVE_FILTERED "dsv4-archive-2" /* the same, some of whose files have a filter */
#define FORMAT_PARTIAL "dsv4-partial-1"          /* beside a file of weights that is not finished */
#define FORMAT_RECLAIM "dsv4-reclaim-1"          /* dsv4-reclaim.json of a source */

/* The first word of a recipe file (formats/model/mix.h). */
#define FORMAT_RECIPE "dsv4-recipe-1"

/* Files of a job folder. */
#define FORMAT_JOB "dsv4-job-1"         /* job.json */
#define FORMAT_RECEIPT "dsv4-receipt-1" /* of a file of weights that a task has made */
#define FORMAT_LEASE "dsv4-lease-1"     /* who works on a task or on a file */

/* First lines of the texts whose SHA-256 names a plan. Another first line would give every plan another
 * name, and no conversion that was begun before could be taken up again. */
#define FORMAT_PLAN_HASH "dsv4-plan-1"
#define FORMAT_SET_HASH FORMAT_SET

/* Errors of matrices in every type, as dsv4-quant score keeps them (quant/cli/score_file.h), and its file on the way. */
#define FORMAT_SCORE "dsv4-score-1"
#define FORMAT_SCORE_PART "dsv4-score-part-1"

/* Figures of prompts as dsv4-verify logits keeps them. */
#define FORMAT_RESULTS "dsv4-results-2"
#define FORMAT_ATLAS "dsv4-atlas-1" /* errors of each tensor, by dsv4-verify atlas */

/* What the verbs print with --json. */
#define FORMAT_PLAN_JSON "dsv4-plan-json-1"
#define FORMAT_DELTA_JSON "dsv4-delta-1"
#define FORMAT_PACK_JSON "dsv4-pack-1"
#define FORMAT_RUN_JSON "dsv4-run-1"
#define FORMAT_TASK_JSON "dsv4-task-1"
#define FORMAT_STATUS_JSON "dsv4-status-1"
#define FORMAT_INSPECT_JSON "dsv4-inspect-1"
#define FORMAT_ROLES_JSON "dsv4-roles-1"
#define FORMAT_TARGETS_JSON "dsv4-targets-1"
#define FORMAT_LAYOUTS_JSON "dsv4-layouts-1"
#define FORMAT_FORMATS_JSON "dsv4-formats-1"
#define FORMAT_KINDS_JSON "dsv4-kinds-1"
#define FORMAT_IMATRIX_JSON "dsv4-imatrix-1"
#define FORMAT_SCORE_JSON "dsv4-scored-1"
#define FORMAT_RULES_JSON "dsv4-rules-1"
#define FORMAT_TENSORS_JSON "dsv4-tensors-1"
#define FORMAT_TOKENS_JSON "dsv4-tokens-1"
#define FORMAT_VERSION_JSON "dsv4-version-1"
#define FORMAT_ERROR_JSON "dsv4-error-1"   /* all verbs, where nothing else could be printed */
#define FORMAT_REPORT_JSON "dsv4-report-2" /* all verbs of dsv4-verify */

#endif
