/* cuda_main.h -- the end of a test program whose kernels run in three ways (test_cuda.c).
 *
 * SPDX-License-Identifier: MIT */
#ifndef TESTS_CUDA_MAIN_H
#define TESTS_CUDA_MAIN_H
#include "tests/check.h"
#include "tests/fiber/fiber.h"
#include "tests/ptx/hook.h"

/* No device: a failure where one is required. */
static inline int cuda_no_device(const char *why)
{
	bool required = getenv("REQUIRE_GPU") && !strcmp(getenv("REQUIRE_GPU"), "1");

	printf(required ? "FAIL device: %s\n" : "SKIP device: %s\n", why);
	return required;
}

static inline int cuda_main(const struct test *list, int argc, char **argv)
{
	struct err e = { 0 };
	int rc;

	if (getenv("PTX") && hook_ptx(getenv("PTX"), &e)) {
		printf("FAIL ptx: %s\n", e.text);
		return 1;
	}
	rc = check_main(list, argc, argv);
	if (getenv("PTX"))
		fprintf(stderr, "%lu launches, %lu of them PTX, %llu warp instructions\n",
			fiber_launches, fiber_replaced, (unsigned long long)hook_count());
	return rc;
}
#endif
