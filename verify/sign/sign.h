/* sign.h -- the verbs sign, signature and attest: a folder, a key, and a file that says they belong
 * together.
 *
 *	sign       hashes every file, holds them to manifest.json if there is one, signs
 *	signature  verifies first and reads later, then holds every file to what was signed
 *	attest     as sign, but what it writes is a statement of what was made of what
 *
 * The kind of key decides the format: a PEM key on an elliptic curve makes an OpenSSF Model Signing
 * bundle (model.sig) over all files; a minisign key signs manifest.json (manifest.json.minisig), which
 * has the digests of all files, or of manifests that have.
 *
 * SPDX-License-Identifier: MIT */
#ifndef VERIFY_SIGN_SIGN_H
#define VERIFY_SIGN_SIGN_H
#include "verify/report/report.h"
#include "verify/sign/sign_opts.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Findings go to r. -1 only where there is nothing more to find; whether it is true, r knows. No file is
 * written if there are findings. */
int sign_make(const struct sign_opts *o, struct report *r, struct err *e);
int sign_check(const struct sign_opts *o, struct report *r, struct err *e);
/* Without a key the statement itself, else a bundle of it. */
int sign_attest(const struct sign_opts *o, struct report *r, struct err *e);

#ifdef __cplusplus
}
#endif
#endif
