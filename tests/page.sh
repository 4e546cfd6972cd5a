# The HTML page of dsv4-verify in a real browser, where there is one: it shows the verdict and all findings, runs
# nothing, asks nothing of the network. B= names the build folder. "sh tests/page.sh keep FOLDER" leaves the page
# and a screenshot there.
set -u
browser=$(command -v chromium || command -v chromium-browser || command -v google-chrome || true)
if [ -z "$browser" ]; then
	echo "SKIP page_in_a_browser: no chromium here"
	exit 0
fi
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
chrome() {
	timeout 60 "$browser" --headless --no-sandbox --disable-gpu --disable-dev-shm-usage --user-data-dir="$tmp/profile" \
		--virtual-time-budget=2000 "$@" 2>/dev/null
}
"$B/dsv4-convert" run tests/golden/tiny-flash -o "$tmp/out" --target official --mp 2 -q >/dev/null || echo "FAIL page: no folder"
printf x | dd of="$tmp/out/model1-mp2.safetensors" bs=1 seek=300000 conv=notrunc 2>/dev/null
: >"$tmp/out/<script>document.title='run'<"
"$B/dsv4-verify" check "$tmp/out" -q --report "$tmp/page.html" --json >"$tmp/report.json"
status=$?
chrome --dump-dom "file://$tmp/page.html" >"$tmp/dom"
want=$(grep -c '"like"' "$tmp/report.json")
got=$(grep -o 'class="finding ' "$tmp/dom" | wc -l)
if [ $status = 1 ] && [ "$want" -gt 1 ] && [ "$want" = "$got" ] && grep -q 'id="verdict">false<' "$tmp/dom" &&
	! grep -q '<script' "$tmp/dom" && grep -q '<title>false: check ' "$tmp/dom" && grep -q 'class="bar"' "$tmp/dom"; then
	echo "ok   page_in_a_browser"
else
	echo "FAIL page_in_a_browser: status $status, $want findings, $got on the page"
fi
# At three widths nothing reaches beyond the window: a copy of the page, which may run a script, says so in its title.
{
	sed 's/<meta http-equiv="Content-Security-Policy"[^>]*>//' "$tmp/page.html"
	echo '<script>document.title = document.documentElement.scrollWidth <= innerWidth ? "fits" : "overflows"</script>'
} >"$tmp/probe.html"
bad=
for width in 500 900 1600; do
	chrome --window-size=$width,900 --dump-dom "file://$tmp/probe.html" | grep -q '<title>fits<' || bad="$bad $width"
done
[ -z "$bad" ] && echo "ok   page_fits_windows" || echo "FAIL page_fits_windows: not at$bad pixels"
if [ "${1:-}" = keep ]; then
	chrome --screenshot="$2/page.png" --window-size=1100,1600 "file://$tmp/page.html"
	cp "$tmp/page.html" "$2/"
fi
