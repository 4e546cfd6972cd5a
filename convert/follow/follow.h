/* follow.h -- a conversion that begins while its source still arrives.
 *
 *	look --> digest shards that are whole --> make the files whose shards are all verified --> sleep until something changes
 *	  ^                                                                                           |
 *	  +-------------------------------------------------------------------------------------------+
 *	all verified, and the folder at rest --> plan what is there, as any run does --> put the files in place, manifests last
 *
 * Until the end files are made in OUT/.dsv4-work/follow-HASH, by a plan whose headers are foreseen (foreseen.h) where shards
 * are not verified yet. HASH is that of all files that are made: headers, steps and their sources. At the end the plan that is
 * made of the whole source must have the same hash; then these files are its files, and their sidecars get its hash. Where it
 * has not, because headers are not what config.json and the index let expect, files are made when all shards are there.
 *
 * No payload of a shard is read but to digest it before it is verified, and a file is only finished where its shards are then
 * still what they were when they were digested.
 *
 * SPDX-License-Identifier: MIT */
#ifndef CONVERT_FOLLOW_FOLLOW_H
#define CONVERT_FOLLOW_FOLLOW_H
#include "convert/follow/follow_opts.h"
#include "convert/run/run.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Does all of it. Fills *j, the job that was opened at the end, and *r, which the caller closes and frees after 0. Returns -1
 * with follow.missing where the source does not get whole, source.sha256 where a shard has another digest and no better one
 * comes, follow.stopped, or what a run says; then both are zeroed, and what was made stays for the same call again. */
int follow_run(const struct follow_opts *o, struct job *j, struct run_result *r, struct err *e);

#ifdef __cplusplus
}
#endif
#endif
