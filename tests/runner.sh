# tests/runner.c counts what tests print, and takes what dies, hangs, or says nothing for a failure. B= names the
# build folder. Prints "ok   name" or "FAIL name".
set -u
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
put() { # put NAME LINES: a test that is a script
	printf '%s\n' "$2" >"$tmp/$1.sh"
}
# expect NAME LAST STATUS TEXT OPTIONS...: what the runner says of the scripts that are there, which it then removes
expect() {
	name=$1 last=$2 status=$3 text=$4
	shift 4
	"$B/runner" "$@" "$tmp"/*.sh >"$tmp/out" 2>&1
	got=$?
	rm -f "$tmp"/*.sh
	if [ "$got" = "$status" ] && [ "$(tail -n 1 "$tmp/out")" = "$last" ] && grep -qF -- "$text" "$tmp/out"; then
		echo "ok   $name"
	else
		echo "FAIL $name: status $got"
		sed 's/^/     /' "$tmp/out"
	fi
}

put a 'echo "ok   one"; echo "ok   two"; echo "SKIP three: why"'
put b 'echo "     not a result"; echo "ok   four"'
expect runner_counts "3 passed, 0 failed, 1 skipped" 0 "ok   four ("
put a 'echo "ok   one"; echo "FAIL two: why"; exit 1'
expect runner_failure "1 passed, 1 failed, 0 skipped" 1 "FAIL a.sh: two: why"
put a 'echo "ok   one"; kill -SEGV $$'
expect runner_dies "1 passed, 1 failed, 0 skipped" 1 "FAIL a.sh: ended by signal 11"
put a 'echo "ok   one"; exit 3'
expect runner_status "1 passed, 1 failed, 0 skipped" 1 "FAIL a.sh: ended with status 3"
put a 'echo nothing'
expect runner_silent "0 passed, 1 failed, 0 skipped" 1 "FAIL a.sh: printed no result"
put a 'sleep 100 & echo "ok   one"; wait'
expect runner_hangs "1 passed, 1 failed, 0 skipped" 1 "FAIL a.sh: not done after 3 s" -t 3
put a 'echo "ok   one"; sleep 100 &' # it does not wait for what a test left behind
expect runner_left_behind "1 passed, 0 failed, 0 skipped" 0 "ok   one"
put a 'head -c 3000000 /dev/zero | tr "\0" x; echo; echo "ok   one"'
expect runner_floods "0 passed, 1 failed, 0 skipped" 1 "FAIL a.sh: printed"
put a 'printf "ok   no end of line"'
expect runner_last_line "1 passed, 0 failed, 0 skipped" 0 "no end of line"
put one 'echo "ok   one"'
put two 'echo "FAIL two"'
expect runner_filter "1 passed, 0 failed, 0 skipped" 0 "ok   one" -f one
put one 'echo "ok   one"'
put two 'echo "ok   two"'
expect runner_filter_of_no_test "2 passed, 1 failed, 0 skipped" 1 "FAIL filter three: no test has it in its name" -f one -f two -f three
printf 'st.cut\ta.sh\n' >"$tmp/rules"
put a 'echo "rule st.cut"; echo "ok   one"'
expect runner_rule "1 passed, 0 failed, 0 skipped" 0 "ok   one (" -p "$tmp/rules"
put a 'echo "rule st.cuts"; echo "ok   one"'
expect runner_rule_not_produced "1 passed, 1 failed, 0 skipped" 1 "FAIL a.sh: did not produce rule st.cut" -p "$tmp/rules"
put a 'echo "SKIP one: why"'
expect runner_rule_skipped "0 passed, 0 failed, 1 skipped" 0 "SKIP one" -p "$tmp/rules"
put b 'echo "ok   one"'
expect runner_rule_of_no_test "1 passed, 1 failed, 0 skipped" 1 "FAIL rule st.cut: there is no a.sh" -p "$tmp/rules"
put a 'printf "FAIL <&\001\n"'
expect runner_junit "0 passed, 1 failed, 0 skipped" 1 "FAIL" -x "$tmp/junit.xml"
if grep -q '<testsuite name="dsv4-tools" tests="1" failures="1" skipped="0"' "$tmp/junit.xml" &&
	grep -q '<testcase classname="a.sh" name="&#60;&#38;?" ' "$tmp/junit.xml"; then
	echo "ok   runner_junit_file"
else
	echo "FAIL runner_junit_file"
fi
# two that wait for each other end only if they run at the same time
put a "until [ -e $tmp/b ]; do sleep 0.01; done; touch $tmp/a; echo 'ok   one'"
put b "touch $tmp/b; until [ -e $tmp/a ]; do sleep 0.01; done; echo 'ok   two'"
expect runner_parallel "2 passed, 0 failed, 0 skipped" 0 "ok   two" -j 2 -t 20
