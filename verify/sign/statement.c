/* SPDX-License-Identifier: MIT */
#include "verify/sign/statement.h"

#include "core/hash/sha256.h"
#include "core/hash/xxh.h"
#include "formats/json/jwrite.h"
#include "verify/sign/members.h"

#include <stdio.h>
#include <string.h>

enum { DEPTH = 16 };

const char *const statement_ignored[] = { ".DS_Store", ".cache", ".git", ".gitattributes",
	".github", ".gitignore", ".huggingface", "lost+found", "manifest.json.minisig", "model.sig",
	NULL };

void statement_free(struct statement *s)
{
	tree_free(&s->files);
	memset(s, 0, sizeof *s);
}

/* One statement while it is read. */
struct reading {
	struct statement *s;
	struct jread j;
	const char *own;
	struct tree subjects; /* names and digests, in their order */
	struct sha256 root;   /* over the digests of the resources */
	struct err *e;
};

static bool is(const struct jread *j, const char *word)
{
	return j->str.n == strlen(word) && !memcmp(j->str.s, word, j->str.n);
}

/* A string that must be this one. */
static int want(struct reading *o, const char *text, enum rule_id rule, const char *what)
{
	if (jread_string(&o->j, 4096))
		return -1;
	return is(&o->j, text) ? 0
			       : err_rule(o->e, rule, o->j.str_pos, "%s is %s, not %s", what,
					 text_quote_n(o->j.str.s, o->j.str.n).s, text);
}

static int get_name(struct reading *o, char name[TREE_PATH + 1])
{
	if (jread_string(&o->j, TREE_PATH))
		return -1;
	if (!tree_plain(o->j.str.s, o->j.str.n))
		return err_rule(o->e, RULE_SIG_NAME, o->j.str_pos,
			"the file name %s could lead out of the folder",
			text_quote_n(o->j.str.s, o->j.str.n).s);
	memcpy(name, o->j.str.s, o->j.str.n);
	name[o->j.str.n] = 0;
	return 0;
}

static int get_digest(struct reading *o, uint8_t sha256[32])
{
	if (jread_string(&o->j, 4096))
		return -1;
	if (o->j.str.n != 64 || strspn(o->j.str.s, "0123456789abcdef") != 64 ||
		!hex_to(o->j.str.s, sha256, 32))
		return err_rule(o->e, RULE_SIG_DIGEST, o->j.str_pos,
			"%s is no SHA-256 in lower-case hex",
			text_quote_n(o->j.str.s, o->j.str.n).s);
	return 0;
}

/* --- subjects --- */

static int get_digests(struct reading *o, uint8_t sha256[32])
{
	static const char *const names[] = { "sha256", NULL };
	struct members m = { .names = names, .what = "the digest of a subject" };
	unsigned which;
	int more;

	if (jread_object(&o->j))
		return -1;
	while ((more = members_next(&m, &o->j, &which, o->e)) == 1)
		if (get_digest(o, sha256))
			return -1;
	return more ? -1 : members_need(&m, 1, o->e);
}

static int get_subject(struct reading *o)
{
	static const char *const names[] = { "name", "digest", NULL };
	struct members m = { .names = names, .what = "a subject" };
	struct tree_file f = { .hashed = true };
	char name[TREE_PATH + 1] = "";
	unsigned which;
	int more;

	if (jread_object(&o->j))
		return -1;
	while ((more = members_next(&m, &o->j, &which, o->e)) == 1)
		if (which == 0 ? get_name(o, name) : get_digests(o, f.sha256))
			return -1;
	if (more || members_need(&m, 3, o->e))
		return -1;
	return tree_add(&o->subjects, name, strlen(name), &f, o->e);
}

static int get_list(struct reading *o, int (*one)(struct reading *))
{
	int more;

	if (jread_array(&o->j))
		return -1;
	while ((more = jread_item(&o->j)) == 1)
		if (one(o))
			return -1;
	return more;
}

/* --- Model Signing's predicate --- */

static int get_resource(struct reading *o)
{
	static const char *const names[] = { "name", "digest", "algorithm", NULL };
	struct members m = { .names = names, .what = "a resource", .loose = true };
	struct tree_file f = { .hashed = true };
	struct sha256 *root = &o->root;
	const void *p = f.sha256;
	char name[TREE_PATH + 1] = "";
	unsigned which;
	int more;

	if (jread_object(&o->j))
		return -1;
	while ((more = members_next(&m, &o->j, &which, o->e)) == 1)
		if (which == 0 ? get_name(o, name)
				: which == 1
				? get_digest(o, f.sha256)
				: want(o, "sha256", RULE_SIG_METHOD, "the algorithm of a digest"))
			return -1;
	if (more || members_need(&m, 7, o->e) || sha256_update(&root, &p, 32, 1, o->e))
		return -1;
	return tree_add(&o->s->files, name, strlen(name), &f, o->e);
}

static int get_ignored(struct reading *o)
{
	struct statement *s = o->s;
	const char *name = NULL;
	unsigned i;

	if (jread_string(&o->j, TREE_PATH))
		return -1;
	for (i = 0; statement_ignored[i]; i++)
		if (is(&o->j, statement_ignored[i]))
			name = statement_ignored[i];
	if (!name && o->own && is(&o->j, o->own))
		name = o->own;
	if (!name || s->n_ignored == STATEMENT_IGNORED_MAX)
		return err_rule(o->e, RULE_SIG_IGNORE, o->j.str_pos,
			"the signature leaves out %s, which could be anything",
			text_quote_n(o->j.str.s, o->j.str.n).s);
	s->ignored[s->n_ignored++] = name;
	return 0;
}

/* The word true or false, which must be false. */
static int get_symlinks(struct reading *o)
{
	int c = jread_peek(&o->j);

	if (c != 'f')
		return c < 0 ? -1
			     : err_rule(o->e, RULE_SIG_METHOD, jread_pos(&o->j),
				       "the signature follows symbolic links");
	return jread_skip(&o->j);
}

static int get_serialization(struct reading *o)
{
	static const char *const names[] = { "method", "hash_type", "allow_symlinks",
		"ignore_paths", NULL };
	struct members m = { .names = names, .what = "serialization" };
	unsigned which;
	int more, rc;

	if (jread_object(&o->j))
		return -1;
	while ((more = members_next(&m, &o->j, &which, o->e)) == 1) {
		if (which == 0)
			rc = want(o, "files", RULE_SIG_METHOD, "the method");
		else if (which == 1)
			rc = want(o, "sha256", RULE_SIG_METHOD, "hash_type");
		else
			rc = which == 2 ? get_symlinks(o) : get_list(o, get_ignored);
		if (rc)
			return -1;
	}
	return more ? -1 : members_need(&m, 7, o->e);
}

static int get_signing(struct reading *o)
{
	static const char *const names[] = { "resources", "serialization", NULL };
	struct members m = { .names = names, .what = "the predicate" };
	unsigned which;
	int more;

	if (jread_object(&o->j))
		return -1;
	while ((more = members_next(&m, &o->j, &which, o->e)) == 1)
		if (which == 0 ? get_list(o, get_resource) : get_serialization(o))
			return -1;
	return more ? -1 : members_need(&m, 3, o->e);
}

/* --- the whole --- */

/* The predicate's type may stand behind the predicate, so it is looked for first. */
static int find_type(struct reading *o)
{
	bool known = false;
	int more;

	if (jread_object(&o->j))
		return -1;
	while ((more = jread_key(&o->j)) == 1) {
		if (!is(&o->j, "predicateType")) {
			if (jread_skip(&o->j))
				return -1;
			continue;
		}
		if (jread_string(&o->j, 4096))
			return -1;
		known = true;
		o->s->conversion = is(&o->j, STATEMENT_CONVERSION);
		if (!o->s->conversion && !is(&o->j, STATEMENT_SIGNING))
			return err_rule(o->e, RULE_SIG_PREDICATE_TYPE, o->j.str_pos,
				"a statement of type %s, not one about a folder of files",
				text_quote_n(o->j.str.s, o->j.str.n).s);
	}
	if (!more && !known)
		return err_rule(o->e, RULE_SIG_FORM, ERR_NOPOS,
			"the statement has no predicateType");
	return more;
}

static int get_statement(struct reading *o)
{
	static const char *const names[] = { "_type", "subject", "predicateType", "predicate",
		NULL };
	struct members m = { .names = names, .what = "the statement" };
	unsigned which;
	int more, rc;

	if (jread_object(&o->j))
		return -1;
	while ((more = members_next(&m, &o->j, &which, o->e)) == 1) {
		if (which == 0)
			rc = want(o, STATEMENT_TYPE, RULE_SIG_STATEMENT_TYPE, "_type");
		else if (which == 1)
			rc = get_list(o, get_subject);
		else if (which == 2)
			rc = jread_skip(&o->j);
		else
			rc = o->s->conversion ? jread_skip(&o->j) : get_signing(o);
		if (rc)
			return -1;
	}
	return more || members_need(&m, 15, o->e) || jread_end(&o->j, true) ? -1 : 0;
}

/* What Model Signing's members must be to each other. */
static int settle_signing(struct reading *o)
{
	uint8_t root[32];

	if (sha256_final(&o->root, root, o->e))
		return -1;
	if (o->subjects.n != 1)
		return err_rule(o->e, RULE_SIG_SUBJECT, ERR_NOPOS,
			"the statement has %zu subjects, not one", o->subjects.n);
	if (!o->s->files.n)
		return err_rule(o->e, RULE_SIG_FORM, ERR_NOPOS, "the statement is about no files");
	if (memcmp(root, o->subjects.v[0].sha256, 32) != 0)
		return err_rule(o->e, RULE_SIG_ROOT, ERR_NOPOS,
			"the digest of the subject is not the one of the files' digests");
	snprintf(o->s->subject, sizeof o->s->subject, "%.200s", o->subjects.v[0].name);
	return 0;
}

/* The first finding of sorting is an error here. */
static int settle_names(struct statement *s, struct err *e)
{
	struct err first = { .pos = ERR_NOPOS };
	struct report r;

	report_begin(&r, "", "", NULL, NULL);
	tree_sort(&s->files, "the signature", &r, e);
	if (r.n) {
		first.kind = r.findings[0].kind;
		first.rule = r.findings[0].rule;
		snprintf(first.text, sizeof first.text, "%s", r.findings[0].cause);
		err_move(e, &first);
	}
	report_free(&r);
	return e->kind == ERR_NONE ? 0 : -1;
}

static int settle(struct reading *o)
{
	if (!o->s->conversion && settle_signing(o))
		return -1;
	if (o->s->conversion) {
		tree_free(&o->s->files);
		o->s->files = o->subjects;
		memset(&o->subjects, 0, sizeof o->subjects);
	}
	if (!o->s->files.n)
		return err_rule(o->e, RULE_SIG_FORM, ERR_NOPOS, "the statement is about no files");
	return settle_names(o->s, o->e);
}

int statement_read(struct statement *s, const void *p, size_t n, const char *own, struct err *e)
{
	struct reading o = { .s = s, .own = own, .e = e };
	int rc;

	memset(s, 0, sizeof *s);
	if (sha256_init(&o.root, NULL, e))
		return -1;
	jread_open_mem(&o.j, p, n, DEPTH, e);
	rc = find_type(&o);
	jread_close(&o.j);
	if (!rc) {
		jread_open_mem(&o.j, p, n, DEPTH, e);
		rc = get_statement(&o) || settle(&o) ? -1 : 0;
	}
	jread_close(&o.j);
	sha256_free(&o.root);
	tree_free(&o.subjects);
	if (rc)
		statement_free(s);
	return rc;
}

/* --- writing --- */

int statement_root(const struct tree *files, uint8_t root[32], struct err *e)
{
	struct sha256 s = { 0 }, *one = &s;
	const void *p;
	size_t i;

	if (sha256_init(&s, NULL, e))
		return -1;
	for (i = 0; i < files->n; i++) {
		p = files->v[i].sha256;
		if (sha256_update(&one, &p, 32, 1, e)) {
			sha256_free(&s);
			return -1;
		}
	}
	return sha256_final(&s, root, e);
}

static void put_subject(struct jwrite *o, const char *name, const uint8_t sha256[32])
{
	jwrite_open(o, NULL, '{');
	jwrite_str(o, "name", name);
	jwrite_open(o, "digest", '{');
	jwrite_hex(o, "sha256", sha256, 32);
	jwrite_close(o, '}');
	jwrite_close(o, '}');
}

/* tree_sort sorts by bytes, which for UTF-8 is by code point, as the specification has it. */
int statement_put_signing(struct text *out, const char *subject, const struct tree *files,
	const char *own, struct err *e)
{
	struct jwrite o;
	uint8_t root[32];
	size_t i;
	bool named = !own;

	if (statement_root(files, root, e))
		return -1;
	jwrite_begin(&o, out, 3);
	jwrite_open(&o, NULL, '{');
	jwrite_str(&o, "_type", STATEMENT_TYPE);
	jwrite_open(&o, "subject", '[');
	put_subject(&o, subject, root);
	jwrite_close(&o, ']');
	jwrite_str(&o, "predicateType", STATEMENT_SIGNING);
	jwrite_open(&o, "predicate", '{');
	jwrite_open(&o, "serialization", '{');
	jwrite_str(&o, "method", "files");
	jwrite_str(&o, "hash_type", "sha256");
	jwrite_bool(&o, "allow_symlinks", false);
	jwrite_open(&o, "ignore_paths", '[');
	for (i = 0; statement_ignored[i]; i++) {
		jwrite_str(&o, NULL, statement_ignored[i]);
		named = named || !strcmp(own, statement_ignored[i]);
	}
	if (!named)
		jwrite_str(&o, NULL, own);
	jwrite_close(&o, ']');
	jwrite_close(&o, '}');
	jwrite_open(&o, "resources", '[');
	for (i = 0; i < files->n; i++) {
		jwrite_open(&o, NULL, '{');
		jwrite_str(&o, "name", files->v[i].name);
		jwrite_hex(&o, "digest", files->v[i].sha256, 32);
		jwrite_str(&o, "algorithm", "sha256");
		jwrite_close(&o, '}');
	}
	jwrite_close(&o, ']');
	jwrite_close(&o, '}');
	jwrite_close(&o, '}');
	return out->failed ? err_nomem(e) : 0;
}

static void put_materials(struct jwrite *o, const struct lineage *l)
{
	const struct tree_file *f;
	size_t i;

	jwrite_open(o, "source", '{');
	jwrite_u64(o, "bytes", l->bytes);
	jwrite_str(o, "sha256", l->verified ? "verified" : "unverified");
	jwrite_open(o, "shards", '[');
	for (i = 0; i < l->shards.n; i++) {
		f = &l->shards.v[i];
		jwrite_open(o, NULL, '{');
		jwrite_str(o, "name", f->name);
		jwrite_u64(o, "bytes", f->bytes);
		if (f->hashed) {
			jwrite_open(o, "digest", '{');
			jwrite_hex(o, "sha256", f->sha256, 32);
			jwrite_close(o, '}');
		}
		jwrite_close(o, '}');
	}
	jwrite_close(o, ']');
	jwrite_u64(o, "tensors", l->tensors);
	jwrite_close(o, '}');
}

int statement_put_conversion(struct text *out, const struct tree *files, const struct lineage *l,
	struct err *e)
{
	struct jwrite o;
	size_t i;

	jwrite_begin(&o, out, 4);
	jwrite_open(&o, NULL, '{');
	jwrite_str(&o, "_type", STATEMENT_TYPE);
	o.flat = 2;
	jwrite_open(&o, "subject", '[');
	for (i = 0; i < files->n; i++)
		put_subject(&o, files->v[i].name, files->v[i].sha256);
	jwrite_close(&o, ']');
	o.flat = 4;
	jwrite_str(&o, "predicateType", STATEMENT_CONVERSION);
	jwrite_open(&o, "predicate", '{');
	jwrite_str(&o, "format", l->format);
	if (l->options.n) /* as it stands in the manifest, which is JSON already */
		jwrite_raw(&o, "options", l->options.s, l->options.n);
	jwrite_str(&o, "plan", l->plan);
	put_materials(&o, l);
	jwrite_str(&o, "target", l->target);
	jwrite_str(&o, "tool", l->tool);
	jwrite_close(&o, '}');
	jwrite_close(&o, '}');
	return out->failed ? err_nomem(e) : 0;
}
