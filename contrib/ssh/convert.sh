#!/bin/sh
# A conversion by several machines that share a file system: HOSTS="a b c" convert.sh MODEL OUT JOB OPTIONS...
# Paths are the same on all of them. SPDX-License-Identifier: MIT
set -eu
model=$1 out=$2 job=$3 n=$(echo "$HOSTS" | wc -w)
shift 3
# begin
dsv4-convert plan "$model" -o "$out" "$@" --job "$job" --tasks "$n"
i=0
for host in $HOSTS; do
	ssh -n "$host" dsv4-convert run "$job" --task "$i/$n" --steal &
	i=$((i + 1))
done
wait
dsv4-convert finalize "$job"
