# Looks for what building and testing need. "sh tests/setup.sh" installs it where it can, else prints the line that
# does; "sh tests/setup.sh look" installs nothing, and looks only for what building needs.
# Called by make with CC= and CPPFLAGS=; quick and silent where everything is there.
set -u
CC=${CC:-gcc}

# header, Debian's package, Fedora's package
headers='stdint.h libc6-dev glibc-devel
jansson.h libjansson-dev jansson-devel
xxhash.h libxxhash-dev xxhash-devel
openssl/evp.h libssl-dev openssl-devel
zstd.h libzstd-dev libzstd-devel'

missing= elsewhere=
need() { # need DEBIAN FEDORA
	missing="$missing $1" elsewhere="$elsewhere $2"
}
compiler=$CC
if ! command -v "${CC%% *}" >/dev/null 2>&1; then
	case ${CC##*/} in
	gcc | clang) need "${CC##*/}" "${CC##*/}" ;;
	*)
		echo "setup: there is no compiler named $CC" >&2
		exit 1
		;;
	esac
	compiler=cc # for the headers
	command -v cc >/dev/null 2>&1 || compiler=false
fi
while read -r header debian fedora; do
	# shellcheck disable=SC2086 # flags
	printf '#include <%s>\n' "$header" | $compiler ${CPPFLAGS:-} ${CFLAGS:-} -E -x c - >/dev/null 2>&1 || need "$debian" "$fedora"
done <<EOF
$headers
EOF
if [ "${1:-}" != look ]; then
	for tool in openssl strace; do # for tests
		command -v $tool >/dev/null 2>&1 || need $tool $tool
	done
	command -v pkg-config >/dev/null 2>&1 || need pkg-config pkgconf-pkg-config
fi
[ -z "$missing" ] && exit 0

line="apt-get update && apt-get install -y --no-install-recommends$missing"
command -v apt-get >/dev/null 2>&1 || line=
if [ "${1:-}" = look ] || [ -z "$line" ]; then
	{
		echo "setup: these packages are missing (Debian):$missing"
		echo "       (Fedora and its kin):$elsewhere"
		[ -z "$line" ] || echo "       make setup installs them. A header elsewhere: CPPFLAGS=-I... LDFLAGS=-L..."
	} >&2
	exit 1
fi
if [ "$(id -u)" = 0 ]; then
	as="env"
elif command -v sudo >/dev/null 2>&1 && sudo -n true 2>/dev/null; then
	as="sudo env"
else
	echo "setup: please run: sudo sh -c '$line'" >&2
	exit 1
fi
echo "setup: $line"
# Some source of packages may be out of reach and the rest enough: what counts is the install.
$as DEBIAN_FRONTEND=noninteractive sh -c 'apt-get update -q >/dev/null'
# shellcheck disable=SC2086 # several packages
$as DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends $missing >/dev/null || {
	echo "setup: that failed; please run: sudo sh -c '$line'" >&2
	exit 1
}
