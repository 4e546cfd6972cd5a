# Installs what the build needs where it can, else says the one line that does.
# Called by make; does nothing where everything is there.
set -u
have_header() { printf '#include <%s>\n' "$1" | ${CC:-cc} -E -x c - >/dev/null 2>&1; }

missing=
command -v gcc >/dev/null 2>&1 || missing="$missing gcc libc6-dev"
have_header jansson.h || missing="$missing libjansson-dev"
have_header xxh_x86dispatch.h || have_header xxhash.h || missing="$missing libxxhash-dev"
have_header openssl/evp.h || missing="$missing libssl-dev"
command -v openssl >/dev/null 2>&1 || missing="$missing openssl"
command -v strace >/dev/null 2>&1 || missing="$missing strace"
[ -z "$missing" ] && exit 0

line="apt-get install -y$missing"
if ! command -v apt-get >/dev/null 2>&1; then
	echo "setup: these packages are missing (Debian's names):$missing" >&2
	exit 1
fi
if [ "$(id -u)" = 0 ]; then
	sudo=
elif command -v sudo >/dev/null 2>&1 && sudo -n true 2>/dev/null; then
	sudo=sudo
else
	echo "setup: please run: sudo $line" >&2
	exit 1
fi
echo "setup: $line"
$sudo apt-get update -q >/dev/null 2>&1
DEBIAN_FRONTEND=noninteractive $sudo $line -q >/dev/null || {
	echo "setup: that failed; please run: sudo $line" >&2
	exit 1
}
