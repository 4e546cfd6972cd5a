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
# Error atlases: drawings of two results of one source are there, nothing runs or is fetched, letters lie on no other
# letters, and nothing reaches beyond the window, dark or light.
{
	"$B/mkmodel" "$tmp/m" --config tests/configs/small4.json --set head_dim=256 &&
		"$B/dsv4-quant" run "$tmp/m" -o "$tmp/q2" --to gguf-q2 -q && "$B/dsv4-quant" run "$tmp/m" -o "$tmp/q4" --to gguf-q4 -q &&
		"$B/dsv4-verify" atlas "$tmp/m" "$tmp/q2" -o "$tmp/q2.jsonl" -q && "$B/dsv4-verify" atlas "$tmp/m" "$tmp/q4" -o "$tmp/q4.jsonl" -q &&
		"$B/dsv4-verify" atlas "$tmp/q2.jsonl" "$tmp/q4.jsonl" --report "$tmp/atlas.html" -q &&
		"$B/dsv4-quant" score "$tmp/m" -o "$tmp/score" -q &&
		"$B/dsv4-quant" plan "$tmp/m" -o "$tmp/none" --to gguf --score "$tmp/score" --budget 15000000 --json >"$tmp/plan.json" &&
		"$B/dsv4-verify" atlas "$tmp/m" "$tmp/q4" --frontier "$tmp/plan.json" --report "$tmp/curve.html" -q &&
		"$B/dsv4-quant" run "$tmp/m" -o "$tmp/chosen" --to gguf --score "$tmp/score" --budget 15000000 --atlas --report "$tmp/run.html" -q
} >"$tmp/log" 2>&1 || { echo "FAIL atlas_in_a_browser: no page"; tail -n 3 "$tmp/log"; }
chrome --dump-dom "file://$tmp/atlas.html" >"$tmp/dom"
if [ "$(grep -c '<svg class="heat atlas"' "$tmp/dom")" = 6 ] && ! grep -q '<script' "$tmp/dom" && ! grep -qE 'https?:|url\(' "$tmp/dom" &&
	grep -q 'is none of the model' "$tmp/dom" && [ "$(grep -c '<path class="d' "$tmp/dom")" -ge 12 ] && grep -q 'in dB' "$tmp/dom"; then
	echo "ok   atlas_in_a_browser"
else
	echo "FAIL atlas_in_a_browser"
fi
# Size against weighted error: the curve, a mark for each name, axes with their units.
chrome --dump-dom "file://$tmp/curve.html" >"$tmp/dom"
if [ "$(grep -c '<svg class="heat curve"' "$tmp/dom")" = 1 ] && [ "$(grep -c 'class="name"' "$tmp/dom")" = 4 ] && grep -q 'class="front"' "$tmp/dom" &&
	grep -q 'files of weights, MB' "$tmp/dom" && grep -q '<title>OUT: ' "$tmp/dom" && ! grep -q '<script' "$tmp/dom" && ! grep -qE 'https?:|url\(' "$tmp/dom"; then
	echo "ok   curve_in_a_browser"
else
	echo "FAIL curve_in_a_browser"
fi
# The page of a run has all of it at once.
chrome --dump-dom "file://$tmp/run.html" >"$tmp/dom"
if [ "$(grep -c '<svg class="heat curve"' "$tmp/dom")" = 1 ] && [ "$(grep -c '<svg class="heat atlas"' "$tmp/dom")" -ge 3 ] && grep -q 'in dB' "$tmp/dom" &&
	grep -q '<title>OUT: ' "$tmp/dom" && grep -q 'is none of the model' "$tmp/dom" && ! grep -q '<script' "$tmp/dom" && ! grep -qE 'https?:|url\(' "$tmp/dom"; then
	echo "ok   run_in_a_browser"
else
	echo "FAIL run_in_a_browser"
fi
for page in atlas curve run; do
	{
		sed 's/<meta http-equiv="Content-Security-Policy"[^>]*>//' "$tmp/$page.html"
		cat <<-'END'
			<script>
			var bad = document.documentElement.scrollWidth <= innerWidth ? "" : "overflows", n = 0;
			for (var svg of document.querySelectorAll("svg")) {
				var r = [...svg.querySelectorAll("text")].map(t => t.getBoundingClientRect());
				n += r.length;
				for (var i = 0; i < r.length; i++)
					for (var k = 0; k < i; k++)
						if (r[i].left < r[k].right && r[k].left < r[i].right && r[i].top + 1 < r[k].bottom && r[k].top + 1 < r[i].bottom)
							bad = "letters on letters";
			}
			document.title = bad || (n > 30 ? "fits" : "no letters");
			</script>
		END
	} >"$tmp/probe.html"
	bad=
	for width in 500 900 1600; do
		chrome --window-size=$width,900 --dump-dom "file://$tmp/probe.html" | grep -q '<title>fits<' || bad="$bad $width"
	done
	chrome --blink-settings=preferredColorScheme=0 --dump-dom "file://$tmp/probe.html" | grep -q '<title>fits<' || bad="$bad dark"
	[ -z "$bad" ] && echo "ok   ${page}_fits_windows" || echo "FAIL ${page}_fits_windows: not at$bad"
done
if [ "${1:-}" = keep ]; then
	chrome --screenshot="$2/atlas.png" --window-size=1100,2000 "file://$tmp/atlas.html"
	cp "$tmp/atlas.html" "$2/"
	chrome --screenshot="$2/curve.png" --window-size=1100,2000 "file://$tmp/curve.html"
	cp "$tmp/curve.html" "$2/"
	chrome --screenshot="$2/run.png" --window-size=1100,2600 "file://$tmp/run.html"
	cp "$tmp/run.html" "$2/"
	chrome --screenshot="$2/page.png" --window-size=1100,1600 "file://$tmp/page.html"
	cp "$tmp/page.html" "$2/"
fi
