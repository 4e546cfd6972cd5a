/* SPDX-License-Identifier: MIT */
#include "convert/batch/slot.h"

#include "core/text.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Index = (index - first) / step; with ranks it becomes index * ranks + rank, and the count is that times ranks. */
struct slot_row {
	const char *index;
	const char *count;        /* NULL: the scheduler does not say it */
	const char *first, *step; /* variables, or NULL */
	uint64_t from;            /* what the index counts from where there is no variable first */
	const char *last; /* of schedulers that say the last index in place of the count; or NULL */
	const char *only_with;    /* the row counts only where this variable is set; NULL: always */
	const char *ranks, *rank; /* further tasks inside of each, or NULL */
	const char *launcher; /* the row counts only with --launcher of that word; NULL: always */
};

/* clang-format off */
static const struct slot_row slot_rows[] = {
	{ .index = "DSV4_TASK_INDEX", .count = "DSV4_TASK_COUNT" },
	{ .index = "SLURM_ARRAY_TASK_ID", .count = "SLURM_ARRAY_TASK_COUNT", .first = "SLURM_ARRAY_TASK_MIN",
		.step = "SLURM_ARRAY_TASK_STEP", .ranks = "SLURM_NTASKS", .rank = "SLURM_PROCID" },
	/* Outside of srun the rank is 0 and means nothing. */
	{ .index = "SLURM_PROCID", .count = "SLURM_NTASKS", .only_with = "SLURM_STEP_ID" },
	{ .index = "JOB_COMPLETION_INDEX" },
	{ .index = "AWS_BATCH_JOB_ARRAY_INDEX", .count = "AWS_BATCH_JOB_ARRAY_SIZE" },
	{ .index = "OMPI_COMM_WORLD_RANK", .count = "OMPI_COMM_WORLD_SIZE" },
	{ .index = "PMI_RANK", .count = "PMI_SIZE" },
	{ .index = "RANK", .count = "WORLD_SIZE", .launcher = "torchrun" },
	{ .index = "CLOUD_RUN_TASK_INDEX", .count = "CLOUD_RUN_TASK_COUNT" },
	{ .index = "BATCH_TASK_INDEX", .count = "BATCH_TASK_COUNT" },
	{ .index = "PBS_ARRAY_INDEX" },
	{ .index = "PBS_ARRAYID" },
	{ .index = "LSB_JOBINDEX", .step = "LSB_JOBINDEX_STEP", .from = 1 },
	{ .index = "SGE_TASK_ID", .first = "SGE_TASK_FIRST", .step = "SGE_TASK_STEPSIZE", .last = "SGE_TASK_LAST", .from = 1 },
};
/* clang-format on */

/* A decimal number without sign; false for all else. */
static bool number(const char *s, uint64_t *v)
{
	char *end;

	if (!*s || strspn(s, "0123456789") != strlen(s) || strlen(s) > 18)
		return false;
	*v = strtoull(s, &end, 10);
	return !*end;
}

/* The number that a variable holds. Returns 1, 0 where it is not set, -1 where it holds something else. */
static int get(slot_env *env, const char *name, uint64_t *v, struct err *e)
{
	const char *s = name ? env(name) : NULL;

	if (!s || !*s || !strcmp(s, "undefined")) /* SGE says so outside of arrays */
		return 0;
	if (number(s, v))
		return 1;
	return err_rule(e, RULE_JOB_INDEX, ERR_NOPOS, "%s is %s, which is no number", name,
		text_quote(s).s);
}

/* Counts the index of a row from 0, and what the array is long. Returns -1 where the variables contradict each other. */
static int count_from_0(struct slot *s, const struct slot_row *r, slot_env *env, struct err *e)
{
	uint64_t first = r->from, step = 1, last = 0;

	if (get(env, r->first, &first, e) < 0 || get(env, r->step, &step, e) < 0 ||
		get(env, r->last, &last, e) < 0)
		return -1;
	step = step ? step : 1;
	if (s->index < first || (s->index - first) % step)
		return err_rule(e, RULE_JOB_INDEX, ERR_NOPOS,
			"%s is %llu, and the array begins at %llu in steps of %llu", r->index,
			(unsigned long long)s->index, (unsigned long long)first,
			(unsigned long long)step);
	s->index = (s->index - first) / step;
	if (last >= first && r->last && last)
		s->count = (last - first) / step + 1;
	return 0;
}

/* Tasks of srun inside of the tasks of an array. */
static int add_ranks(struct slot *s, const struct slot_row *r, slot_env *env, struct err *e)
{
	uint64_t ranks = 1, rank = 0;

	if (!r->ranks || !env("SLURM_STEP_ID"))
		return 0;
	if (get(env, r->ranks, &ranks, e) < 0 || get(env, r->rank, &rank, e) < 0)
		return -1;
	if (ranks < 2 || ranks > UINT32_MAX || s->index > UINT32_MAX)
		return 0;
	s->index = s->index * ranks + rank;
	s->count *= s->count <= UINT32_MAX ? ranks : 0;
	return 0;
}

/* Reads a row. Returns 1, 0 where it is not set, -1. */
static int read_row(struct slot *s, const struct slot_row *r, const char *launcher, slot_env *env,
	struct err *e)
{
	uint64_t raw;
	int rc;

	*s = (struct slot){ 0 };
	if (r->launcher && (!launcher || strcmp(r->launcher, launcher) != 0))
		return 0;
	if (r->only_with && !env(r->only_with))
		return 0;
	rc = get(env, r->index, &s->index, e);
	if (rc <= 0)
		return rc;
	raw = s->index;
	if (!strcmp(r->index, "LSB_JOBINDEX") && !raw)
		return 0; /* LSF says so outside of arrays */
	if (get(env, r->count, &s->count, e) < 0)
		return -1;
	if (s->count)
		snprintf(s->from, sizeof s->from, "%s %llu of %s %llu", r->index,
			(unsigned long long)raw, r->count, (unsigned long long)s->count);
	else
		snprintf(s->from, sizeof s->from, "%s %llu", r->index, (unsigned long long)raw);
	return count_from_0(s, r, env, e) || add_ranks(s, r, env, e) ? -1 : 1;
}

static int from_env(struct slot *s, const char *launcher, slot_env *env, struct err *e)
{
	struct slot other;
	bool found = false;
	size_t i;
	int rc;

	for (i = 0; i < sizeof slot_rows / sizeof *slot_rows; i++) {
		/* srun inside an array is the row of the array. */
		if (slot_rows[i].only_with && env("SLURM_ARRAY_TASK_ID"))
			continue;
		rc = read_row(found ? &other : s, &slot_rows[i], launcher, env, e);
		if (rc < 0)
			return -1;
		if (found && rc &&
			(other.index != s->index ||
				(other.count && s->count && other.count != s->count)))
			return err_rule(e, RULE_JOB_INDEX, ERR_NOPOS,
				"%s and %s say different things; say --task i/N", s->from,
				other.from);
		found = found || rc;
	}
	return found
		? 0
		: err_rule(e, RULE_JOB_INDEX, ERR_NOPOS,
			  "nothing says which task this is: say --task i/N, or set DSV4_TASK_INDEX");
}

int slot_find(struct slot *s, const char *task, const char *launcher, slot_env *env, struct err *e)
{
	char word[64];
	char *slash;

	*s = (struct slot){ 0 };
	if (!task)
		return from_env(s, launcher, env, e);
	snprintf(word, sizeof word, "%s", task);
	slash = strchr(word, '/');
	if (slash)
		*slash = 0;
	if (strlen(task) >= sizeof word || !slash || !number(word, &s->index) ||
		!number(slash + 1, &s->count) || !s->count)
		return err_rule(e, RULE_JOB_INDEX, ERR_NOPOS,
			"--task %s: it is i/N, the index from 0 and the number of tasks",
			text_quote(task).s);
	snprintf(s->from, sizeof s->from, "--task %s", task);
	return 0;
}

int slot_hold(const struct slot *s, uint64_t count, struct err *e)
{
	if (s->count && s->count != count)
		return err_rule(e, RULE_JOB_INDEX, ERR_NOPOS,
			"%s: there are %llu tasks, and the job was planned for %llu; start it with as many, or say "
			"--task i/%llu",
			s->from, (unsigned long long)s->count, (unsigned long long)count,
			(unsigned long long)count);
	if (s->index >= count)
		return err_rule(e, RULE_JOB_INDEX, ERR_NOPOS,
			"%s: there is no task %llu, the job has tasks 0 to %llu", s->from,
			(unsigned long long)s->index, (unsigned long long)count - 1);
	return 0;
}
