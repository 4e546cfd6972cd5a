/* version.h -- the version of all tools, as manifests and "version" have it.
 * SPDX-License-Identifier: MIT */
#ifndef CORE_VERSION_H
#define CORE_VERSION_H
#define DSV4_VERSION "0.1.0"
#endif
