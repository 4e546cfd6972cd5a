# An OCI layout of a folder, read by what others wrote: skopeo copies it, whole and with every digest, and shows its manifest.
# Where there is no skopeo, that is said and nothing is tested; .ci/run installs Debian's.
#
# SPDX-License-Identifier: MIT
set -eu
B=${B:-build/gcc-opt}
if ! command -v skopeo >/dev/null; then
	echo "SKIP oci: no skopeo here"
	exit 0
fi
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
bad=
from=tests/golden/tiny-flash
"$B/dsv4-convert" pack "$from" -o "$tmp/layout" --oci -q
skopeo copy -q --insecure-policy "oci:$tmp/layout" "dir:$tmp/copy" >"$tmp/log" 2>&1 || bad="$bad copy: $(cat "$tmp/log")"
for f in "$from"/*; do
	cmp -s "$f" "$tmp/copy/$(sha256sum "$f" | cut -d' ' -f1)" || bad="$bad $f"
done
skopeo inspect --raw "oci:$tmp/layout" >"$tmp/manifest" 2>"$tmp/log" || bad="$bad inspect: $(cat "$tmp/log")"
cmp -s "$tmp/manifest" "$tmp/copy/manifest.json" || bad="$bad manifest"
grep -q '"artifactType": "application/vnd.cncf.model.manifest.v1+json"' "$tmp/manifest" || bad="$bad artifactType"
# a blob that is not what its name says is found
blob=$(ls "$tmp/layout/blobs/sha256" | head -n 1)
printf x >>"$tmp/layout/blobs/sha256/$blob"
skopeo copy -q --insecure-policy "oci:$tmp/layout" "dir:$tmp/other" >/dev/null 2>&1 && bad="$bad damage-unseen"
if [ -z "$bad" ]; then
	echo "ok   oci: $(skopeo --version)"
else
	echo "FAIL oci:$bad"
	exit 1
fi
