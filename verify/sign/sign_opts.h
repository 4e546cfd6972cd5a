/* sign_opts.h -- what sign, signature and attest are asked to do, and the names that signatures have.
 *
 * SPDX-License-Identifier: MIT */
#ifndef VERIFY_SIGN_SIGN_OPTS_H
#define VERIFY_SIGN_SIGN_OPTS_H
#include "core/io.h"
#include "verify/sign/keyfile.h"

#ifdef __cplusplus
extern "C" {
#endif

#define SIGN_BUNDLE "model.sig"
#define SIGN_MINISIGN "manifest.json.minisig"

struct sign_opts {
	const struct io *io;
	const char *dir;
	struct keyfile_at key, password;
	/* "model-signing", "minisign", or NULL: what the key is for; of attest "slsa", or NULL or "conversion" */
	const char *format;
	const char
		*file; /* of the signature or statement; NULL: the name that its kind has, in dir */
	const char *source; /* signature: a download to hold the lineage to; NULL: none */
	bool overwrite;
	unsigned threads, features;
};

#ifdef __cplusplus
}
#endif
#endif
