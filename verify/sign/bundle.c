/* SPDX-License-Identifier: MIT */
#include "verify/sign/bundle.h"

#include "verify/sign/base64.h"
#include "verify/sign/members.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DEPTH = 6 };

/* A string that must be this one. */
static int want(struct jread *j, const char *text, enum rule_id rule, const char *what,
	struct err *e)
{
	if (jread_string(j, 256))
		return -1;
	if (j->str.n != strlen(text) || memcmp(j->str.s, text, j->str.n) != 0)
		return err_rule(e, rule, j->str_pos, "%s is %s, not %s", what,
			text_quote_n(j->str.s, j->str.n).s, text);
	return 0;
}

static int wrong_base64(const struct jread *j, const char *what, struct err *e)
{
	return err_rule(e, RULE_SIG_BASE64, j->str_pos,
		"byte %llu: %s is not base64 in its one form", (unsigned long long)j->str_pos,
		what);
}

static int get_payload(struct jread *j, struct bundle *b, struct err *e)
{
	if (jread_string(j, BUNDLE_CAP))
		return -1;
	b->payload = malloc(BASE64_ROOM(j->str.n) + 1);
	if (!b->payload)
		return err_nomem(e);
	if (!j->str.n || !base64_decode(j->str.s, j->str.n, b->payload, &b->payload_n))
		return wrong_base64(j, "the payload", e);
	return 0;
}

static int get_sig(struct jread *j, struct bundle *b, struct err *e)
{
	if (jread_string(j, ECKEY_SIG_MAX / 3 * 4))
		return -1;
	if (!j->str.n || !base64_decode(j->str.s, j->str.n, b->sig, &b->sig_n))
		return wrong_base64(j, "the signature", e);
	return 0;
}

/* "" or null. What it says is not looked at: it proves nothing. */
static int get_keyid(struct jread *j)
{
	return jread_peek(j) == 'n' ? jread_skip(j) : jread_string(j, 256);
}

static int get_signature(struct jread *j, struct bundle *b, struct err *e)
{
	static const char *const names[] = { "sig", "keyid", NULL };
	struct members m = { .names = names, .what = "the signature" };
	unsigned which;
	int more;

	if (jread_object(j))
		return -1;
	while ((more = members_next(&m, j, &which, e)) == 1)
		if (which == 0 ? get_sig(j, b, e) : get_keyid(j))
			return -1;
	return more ? -1 : members_need(&m, 1, e);
}

static int get_signatures(struct jread *j, struct bundle *b, struct err *e)
{
	int more, n = 0;

	if (jread_array(j))
		return -1;
	while ((more = jread_item(j)) == 1)
		if (n++ ? err_rule(e, RULE_SIG_COUNT, ERR_NOPOS,
				  "the envelope has more than one signature")
			: get_signature(j, b, e))
			return -1;
	if (!more && !n)
		return err_rule(e, RULE_SIG_COUNT, ERR_NOPOS, "the envelope has no signature");
	return more;
}

static int get_envelope(struct jread *j, struct bundle *b, struct err *e)
{
	static const char *const names[] = { "payload", "payloadType", "signatures", NULL };
	struct members m = { .names = names, .what = "the envelope" };
	unsigned which;
	int more;

	if (jread_object(j))
		return -1;
	while ((more = members_next(&m, j, &which, e)) == 1)
		if (which == 0 ? get_payload(j, b, e)
				: which == 1
				? want(j, BUNDLE_TYPE, RULE_SIG_PAYLOAD_TYPE, "payloadType", e)
				: get_signatures(j, b, e))
			return -1;
	return more ? -1 : members_need(&m, 7, e);
}

static int get_public_key(struct jread *j, struct bundle *b, struct err *e)
{
	static const char *const names[] = { "hint", NULL };
	struct members m = { .names = names, .what = "publicKey" };
	unsigned which;
	int more;

	if (jread_object(j))
		return -1;
	while ((more = members_next(&m, j, &which, e)) == 1) {
		if (jread_string(j, ECKEY_HINT))
			return -1;
		if (j->str.n != ECKEY_HINT || memchr(j->str.s, 0, ECKEY_HINT))
			return err_rule(e, RULE_SIG_FORM, j->str_pos,
				"the hint is no SHA-256 in hex");
		memcpy(b->hint, j->str.s, ECKEY_HINT);
	}
	return more ? -1 : members_need(&m, 1, e);
}

/* Entries of a log belong to keys that live for minutes; there are none with a key of one's own. */
static int get_tlog(struct jread *j, struct err *e)
{
	int more;

	if (jread_array(j))
		return -1;
	more = jread_item(j);
	return more == 1
		? err_rule(e, RULE_SIG_MATERIAL, j->str_pos,
			  "the bundle has entries of a transparency log, which are not looked at here")
		: more;
}

static int get_material(struct jread *j, struct bundle *b, struct err *e)
{
	static const char *const names[] = { "publicKey", "tlogEntries", "certificate",
		"x509CertificateChain", "timestampVerificationData", NULL };
	struct members m = { .names = names, .what = "verificationMaterial" };
	unsigned which;
	int more;

	if (jread_object(j))
		return -1;
	while ((more = members_next(&m, j, &which, e)) == 1)
		if (which == 0 ? get_public_key(j, b, e)
				: which == 1
				? get_tlog(j, e)
				: err_rule(e, RULE_SIG_MATERIAL, j->str_pos,
					  "the bundle was made with %s; only keys are known here",
					  names[which]))
			return -1;
	return more ? -1 : members_need(&m, 1, e);
}

static int get_bundle(struct jread *j, struct bundle *b, struct err *e)
{
	static const char *const names[] = { "mediaType", "verificationMaterial", "dsseEnvelope",
		NULL };
	struct members m = { .names = names, .what = "the bundle" };
	unsigned which;
	int more;

	if (jread_object(j))
		return -1;
	while ((more = members_next(&m, j, &which, e)) == 1)
		if (which == 0 ? want(j, BUNDLE_MEDIA, RULE_SIG_MEDIA_TYPE, "mediaType", e)
				: which == 1 ? get_material(j, b, e)
					     : get_envelope(j, b, e))
			return -1;
	return more || members_need(&m, 7, e) || jread_end(j, true) ? -1 : 0;
}

int bundle_read(struct bundle *b, const struct text *t, struct err *e)
{
	struct jread j;
	int rc;

	memset(b, 0, sizeof *b);
	jread_open_mem(&j, t->s, t->n, DEPTH, e);
	rc = get_bundle(&j, b, e);
	jread_close(&j);
	if (rc)
		bundle_free(b);
	return rc;
}

/* DSSE's pre-authentication encoding, up to the payload. */
static size_t pae(char head[80], size_t payload)
{
	return (size_t)snprintf(head, 80, "DSSEv1 %zu %s %zu ", sizeof BUNDLE_TYPE - 1, BUNDLE_TYPE,
		payload);
}

int bundle_verify(const struct bundle *b, const struct eckey *k, struct err *e)
{
	char head[80];
	struct eckey_text t = { head, b->payload, pae(head, b->payload_n), b->payload_n };

	if (strcmp(b->hint, k->hint) != 0)
		return err_rule(e, RULE_SIG_OTHER_KEY, ERR_NOPOS,
			"signed with the key of hint %.16s..., the key given has %.16s...",
			text_quote(b->hint).s, k->hint);
	return eckey_verify(k, &t, b->sig, b->sig_n, e);
}

int bundle_put(struct text *out, const struct text *payload, const struct eckey *k, struct err *e)
{
	char head[80];
	struct eckey_text t = { head, payload->s, pae(head, payload->n), payload->n };
	uint8_t sig[ECKEY_SIG_MAX];
	size_t n;

	if (eckey_sign(k, &t, sig, &n, e))
		return -1;
	text_fmt(out,
		"{\"mediaType\":\"%s\",\"verificationMaterial\":{\"publicKey\":{\"hint\":\"%s\"},"
		"\"tlogEntries\":[]},\"dsseEnvelope\":{\"payload\":\"",
		BUNDLE_MEDIA, k->hint);
	base64_put(out, payload->s, payload->n);
	text_fmt(out, "\",\"payloadType\":\"%s\",\"signatures\":[{\"sig\":\"", BUNDLE_TYPE);
	base64_put(out, sig, n);
	text_str(out, "\",\"keyid\":\"\"}]}}\n");
	if (!out->failed && out->n > BUNDLE_CAP)
		return err_rule(e, RULE_SIG_TREE, ERR_NOPOS,
			"too many files for a signature of %u MiB", BUNDLE_CAP >> 20);
	return out->failed ? err_nomem(e) : 0;
}

void bundle_free(struct bundle *b)
{
	free(b->payload);
	memset(b, 0, sizeof *b);
}
