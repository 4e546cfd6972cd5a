# Builds the Debian packages of this tree in build/deb with dpkg-buildpackage, and holds them to lintian where it is
# installed. Called by make deb, in the top folder of the sources. DEB_OUT names another folder for them.
set -eu
out=${DEB_OUT:-build/deb}
for c in dpkg-buildpackage dh; do
	command -v $c >/dev/null 2>&1 || {
		echo "make deb: there is no $c; apt-get install --no-install-recommends dpkg-dev debhelper lintian fakeroot" >&2
		exit 1
	}
done
name=$(dpkg-parsechangelog -l contrib/debian/changelog -S Source)-$(dpkg-parsechangelog -l contrib/debian/changelog -S Version)
rm -rf "$out"
mkdir -p "$out/$name"
# The tree as it is: what git knows, or in an unpacked tarball everything but what was built.
{ git ls-files -z 2>/dev/null || find . -path ./build -prune -o -type f -print0; } | tar -c --null -T - | tar -x -C "$out/$name"
cp -R "$out/$name/contrib/debian" "$out/$name/debian"
(cd "$out/$name" && unset MAKEFLAGS MAKELEVEL && dpkg-buildpackage -us -uc -b -J"$(nproc)") >"$out/log" 2>&1 || {
	tail -n 40 "$out/log" >&2
	exit 1
}
rm -rf "${out:?}/$name"
if command -v lintian >/dev/null 2>&1; then
	lintian --allow-root --fail-on error,warning --suppress-tags initial-upload-closes-no-bugs "$out"/*.changes
else
	echo "no lintian here: the packages were not looked at"
fi
ls "$out"/*.deb
