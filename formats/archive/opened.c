/* SPDX-License-Identifier: MIT */
#include "formats/archive/opened.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct opened *opened_of(struct opened_table *t, int fd)
{
	struct opened *o;

	if (fd < 0)
		return NULL;
	pthread_rwlock_rdlock(&t->lock);
	o = (size_t)fd < t->n ? t->v[fd] : NULL;
	pthread_rwlock_unlock(&t->lock);
	return o;
}

struct opened *opened_new(struct opened_table *t, struct opened_list *list, const char *path)
{
	struct opened *o = calloc(1, sizeof *o);

	if (!o)
		return NULL;
	if (!list)
		list = calloc(1, sizeof *list);
	if (!list) {
		free(o);
		return NULL;
	}
	snprintf(o->path, sizeof o->path, "%s", path);
	pthread_rwlock_wrlock(&t->lock);
	list->refs++;
	pthread_rwlock_unlock(&t->lock);
	o->list = list;
	return o;
}

void opened_free(struct opened_table *t, struct opened *o)
{
	bool last;

	if (!o)
		return;
	pthread_rwlock_wrlock(&t->lock);
	last = !--o->list->refs;
	pthread_rwlock_unlock(&t->lock);
	if (last) {
		listing_free(&o->list->l);
		free(o->list);
	}
	seek_free(&o->seek);
	free(o);
}

int opened_note(struct opened_table *t, int fd, struct opened *o)
{
	struct opened **more;
	size_t n = (size_t)fd + 64;
	int rc = 0;

	pthread_rwlock_wrlock(&t->lock);
	if ((size_t)fd >= t->n) {
		more = realloc(t->v, n * sizeof *more);
		if (more) {
			memset(more + t->n, 0, (n - t->n) * sizeof *more);
			t->v = more;
			t->n = n;
		}
		rc = more ? 0 : -1;
	}
	if (!rc) {
		o->serial = ++t->serial;
		t->v[fd] = o;
	}
	pthread_rwlock_unlock(&t->lock);
	return rc;
}

void opened_drop(struct opened_table *t, int fd)
{
	struct opened *o = opened_of(t, fd);

	if (!o)
		return;
	pthread_rwlock_wrlock(&t->lock);
	t->v[fd] = NULL;
	pthread_rwlock_unlock(&t->lock);
	opened_free(t, o);
}

void opened_end(struct opened_table *t)
{
	size_t i;

	for (i = 0; i < t->n; i++)
		opened_drop(t, (int)i);
	free(t->v);
	t->v = NULL;
	t->n = 0;
}

void opened_blame(struct opened_table *t, struct opened *o, const struct err *why)
{
	pthread_rwlock_wrlock(&t->lock);
	*(o ? &o->why : &t->why) = *why;
	pthread_rwlock_unlock(&t->lock);
}

int opened_fault(struct opened_table *t, struct opened *o, struct err *e)
{
	struct err why;

	pthread_rwlock_rdlock(&t->lock);
	why = o ? o->why : t->why;
	pthread_rwlock_unlock(&t->lock);
	return err_move(e, &why);
}
