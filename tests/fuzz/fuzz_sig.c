/* fuzz_sig.c -- libFuzzer target: any bytes as a bundle, a statement, or a file of minisign; the first byte says
 * which. What is accepted must be what it claims: a bundle that another reader of JSON takes too, whose payload is the
 * base64 in it; a statement about files that stay in their folder, each once. README.md has the commands.
 *
 * SPDX-License-Identifier: MIT */
#include "verify/sign/base64.h"
#include "verify/sign/bundle.h"
#include "verify/sign/minisign.h"
#include "verify/sign/statement.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

static void need(bool true_, const char *what)
{
	if (!true_) {
		fprintf(stderr, "fuzz_sig: %s\n", what);
		abort();
	}
}

static void as_bundle(const struct text *t)
{
	struct bundle b;
	struct err e = { 0 };
	struct text again = { 0 };
	json_t *v, *payload;

	if (bundle_read(&b, t, &e)) {
		need(e.kind != ERR_NONE, "refused without a report");
		return;
	}
	v = json_loadb(t->s, t->n, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, NULL);
	payload = json_object_get(json_object_get(v, "dsseEnvelope"), "payload");
	need(json_is_string(payload), "jansson does not read this bundle");
	base64_put(&again, b.payload, b.payload_n);
	need(again.n == json_string_length(payload) &&
			!memcmp(again.s, json_string_value(payload), again.n),
		"the payload is not the base64");
	text_free(&again);
	json_decref(v);
	bundle_free(&b);
}

static void as_statement(const struct text *t)
{
	struct statement s;
	struct err e = { 0 };
	size_t i;

	if (statement_read(&s, t->s, t->n, "own.sig", &e)) {
		need(e.kind != ERR_NONE, "refused without a report");
		return;
	}
	need(s.files.n > 0, "a statement about nothing");
	for (i = 0; i < s.files.n; i++) {
		const char *name = s.files.v[i].name;

		need(tree_plain(name, strlen(name)), "a name that leads away");
		need(name[0] != '/' && strcmp(name, "..") != 0 && strncmp(name, "../", 3) != 0 &&
				!strstr(name, "/../"),
			"a path up");
		need(!i || strcmp(s.files.v[i - 1].name, name) < 0, "a name twice");
		need(s.files.v[i].hashed, "a file without a digest");
	}
	for (i = 0; i < s.n_ignored; i++)
		need(!strchr(s.ignored[i], '/') && strlen(s.ignored[i]) < 32, "ignores anything");
	statement_free(&s);
}

static void as_minisig(const struct text *t)
{
	static const struct minisign_public k = { .id = "12345678",
		.key = "any 32 bytes, no key of anybody" };
	char comment[MINISIGN_COMMENT + 1];
	struct err e = { 0 };

	need(minisign_verify(&k, t, "x", 1, comment, &e) && e.kind != ERR_NONE,
		"a signature that nobody made");
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	struct text t = { 0 };

	text_put(&t, n ? p + 1 : p, n ? n - 1 : 0);
	if (t.failed)
		return 0;
	switch (n ? p[0] % 3 : 0) {
	case 0:
		as_bundle(&t);
		break;
	case 1:
		as_statement(&t);
		break;
	default:
		as_minisig(&t);
	}
	text_free(&t);
	return 0;
}
