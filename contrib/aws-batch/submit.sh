#!/bin/sh
# A conversion of eight tasks as an array job of AWS Batch: submit.sh QUEUE JOB. The plan was made on the file system that
# job-definition.json names. The second job makes what the tasks have left; the third finishes. A job whose parent has failed
# does not begin: submit the last two once more then. SPDX-License-Identifier: MIT
set -eu
queue=$1 job=$2
cd "$(dirname "$0")"
batch() { aws batch submit-job --job-queue "$queue" --job-definition dsv4 --query jobId --output text "$@"; }
# begin
aws batch register-job-definition --cli-input-json file://job-definition.json
id=$(batch --job-name dsv4 --parameters job="$job" --array-properties size=8)
id=$(batch --job-name dsv4-rest --depends-on jobId="$id" \
	--container-overrides "command=dsv4-convert,run,$job,--task,0/8,--steal")
batch --job-name dsv4-end --depends-on jobId="$id" --container-overrides "command=dsv4-convert,finalize,$job"
