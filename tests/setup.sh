# Installs what build and tests need where it can, else says the line that does.
# Called by make with CC=; quick and silent where everything is there.
set -u
CC=${CC:-gcc}
have_header() { printf '#include <%s>\n' "$1" | $compiler -E -x c - >/dev/null 2>&1; }

missing=
compiler=$CC
if ! command -v "${CC%% *}" >/dev/null 2>&1; then
	case ${CC##*/} in
	gcc | clang) missing=" ${CC##*/}" ;;
	*)
		echo "setup: there is no compiler named $CC" >&2
		exit 1
		;;
	esac
	compiler=cc # for the headers
	command -v cc >/dev/null 2>&1 || compiler=false
fi
have_header stdint.h || missing="$missing libc6-dev"
have_header jansson.h || missing="$missing libjansson-dev"
have_header xxhash.h || missing="$missing libxxhash-dev"
have_header openssl/evp.h || missing="$missing libssl-dev"
have_header zstd.h || missing="$missing libzstd-dev"
for tool in openssl strace; do # for tests
	command -v $tool >/dev/null 2>&1 || missing="$missing $tool"
done
[ -z "$missing" ] && exit 0

line="apt-get update && apt-get install -y --no-install-recommends$missing"
if ! command -v apt-get >/dev/null 2>&1; then
	echo "setup: these packages are missing (Debian's names):$missing" >&2
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
