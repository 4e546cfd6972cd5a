#!/bin/sh
# A conversion of eight tasks on Kubernetes: submit.sh. The plan was made on the volume dsv4-data, which run.yaml and
# finalize.yaml name. SPDX-License-Identifier: MIT
set -eu
cd "$(dirname "$0")"
# begin
kubectl apply -f run.yaml
kubectl wait --for=condition=complete --timeout=24h job/dsv4-run || kubectl describe job/dsv4-run
kubectl apply -f finalize.yaml
kubectl wait --for=condition=complete --timeout=24h job/dsv4-finalize
