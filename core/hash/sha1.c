/* SPDX-License-Identifier: MIT */
#include "core/hash/sha1.h"

#include <openssl/evp.h>

int sha1_of(const void *p, size_t n, uint8_t out[20], struct err *e)
{
	if (EVP_Digest(p, n, out, NULL, EVP_sha1(), NULL) == 1)
		return 0;
	return err_set(e, ERR_UNSUPPORTED, "this machine's libcrypto has no SHA-1");
}
