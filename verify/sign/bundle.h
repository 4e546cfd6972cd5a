/* bundle.h -- a Sigstore bundle (v0.3, JSON) with a DSSE envelope, made with a bare public key.
 *
 *	{"mediaType": ..., "verificationMaterial": {"publicKey": {"hint": ...}, "tlogEntries": []},
 *	 "dsseEnvelope": {"payload": base64, "payloadType": ..., "signatures": [{"sig": base64, "keyid": ""}]}}
 *
 * What is signed is DSSE's encoding of type and payload (PAE); the payload is bytes, nothing in it is
 * looked at before its signature was found true. Members beyond these are refused.
 *
 * SPDX-License-Identifier: MIT */
#ifndef VERIFY_SIGN_BUNDLE_H
#define VERIFY_SIGN_BUNDLE_H
#include "verify/sign/eckey.h"

#include "core/text.h"

#ifdef __cplusplus
extern "C" {
#endif

#define BUNDLE_TYPE "application/vnd.in-toto+json"
#define BUNDLE_MEDIA "application/vnd.dev.sigstore.bundle.v0.3+json"
/* Bytes of a bundle; 20,000 files need 6 MB. */
#define BUNDLE_CAP (16u << 20)

/* Zeroed = none. */
struct bundle {
	uint8_t *payload; /* owns */
	size_t payload_n;
	uint8_t sig[ECKEY_SIG_MAX];
	size_t sig_n;
	char hint[ECKEY_HINT + 1];
};
/* Form alone: nothing is known of the payload then. */
int bundle_read(struct bundle *b, const struct text *t, struct err *e);
/* Payload and signature belong to this key. */
int bundle_verify(const struct bundle *b, const struct eckey *k, struct err *e);
/* Signs, and puts the bundle. */
int bundle_put(struct text *out, const struct text *payload, const struct eckey *k, struct err *e);
void bundle_free(struct bundle *b);

#ifdef __cplusplus
}
#endif
#endif
