# Finds places of the sources that say the same twice: runs of more than LINES lines that are equal (SHAPE=0), or equal
# but for names, numbers and strings (SHAPE=1). Comments, blank lines, lines of punctuation alone, guards, includes,
# strings, enumerators, rows of tables and members of tables of functions do not count. awk -f tests/twins.awk -v LINES=12 -v SHAPE=1 FILE...
function code(line,   n, out) { # without comments and blanks; a comment may go on in the next line
	out = ""
	while (line != "") {
		if (inside) {
			n = index(line, "*/")
			if (!n) return out
			line = substr(line, n + 2)
			inside = 0
		} else if ((n = index(line, "/*"))) {
			out = out substr(line, 1, n - 1)
			line = substr(line, n + 2)
			inside = 1
		} else {
			out = out line
			line = ""
		}
	}
	sub(/\/\/.*/, "", out)
	gsub(/[ \t]+/, " ", out)
	sub(/^ /, "", out)
	sub(/ $/, "", out)
	return out
}
function shape(s,   kept, result, word) {
	gsub(/"([^"\\]|\\.)*"/, "S", s)
	gsub(/'([^'\\]|\\.)*'/, "0", s)
	gsub(/[A-Za-z_0-9.]*[0-9][A-Za-z_0-9.]*/, "n", s)
	kept = s
	result = ""
	while (match(kept, /[A-Za-z_]+/)) {
		word = substr(kept, RSTART, RLENGTH)
		result = result substr(kept, 1, RSTART - 1) (word in keyword ? word : "n")
		kept = substr(kept, RSTART + RLENGTH)
	}
	return result kept
}
BEGIN {
	split("if else for while switch case default break continue return goto struct enum union static const inline " \
		"int void char bool size_t unsigned long double float sizeof", k, " ")
	for (i in k) keyword[k[i]] = 1
}
FNR == 1 { inside = 0; start = n_lines + 1 }
{
	s = code($0)
	if (s == "" || s ~ /^[][{}()<>;, ]*$/ || s ~ /^#(include|if|endif|define)/ || s == "extern \"C\" {" || s ~ /^\"/ || s ~ /^[A-Z_0-9]+( = [^;]*)?,?$/ || s ~ /^\[.*\] = / || s ~ /^\{ .*\},?( \{ 0 \} \};| \\)?$/ || s ~ /^\.[a-z_0-9]+ = / || s ~ /^[a-z_0-9 ]+ \**\(\*[a-z_0-9]+\)\(.*\);$/ || s ~ /^SPDX/)
		next
	text[++n_lines] = SHAPE ? shape(s) : s
	where[n_lines] = FILENAME
	row[n_lines] = FNR
	if (n_lines - start < LINES)
		next
	key = ""
	for (i = n_lines - LINES; i <= n_lines; i++)
		key = key text[i] "\n"
	first = n_lines - LINES
	if (!(key in seen)) {
		seen[key] = first
		next
	}
	old = seen[key]
	if (old + LINES >= first && where[old] == where[first]) next # a run that repeats itself
	pair = where[old] " " where[first] " " (first - old)
	if (last[pair] == first - 1) { last[pair] = first; length_of[pair]++; next }
	last[pair] = first
	if (!(pair in length_of)) { order[++n] = pair; at_old[pair] = row[old]; at_new[pair] = row[first] }
	length_of[pair] += LINES + 1
}
END {
	for (i = 1; i <= n; i++) {
		split(order[i], part, " ")
		printf "%s:%d ~ %s:%d: %d lines\n", part[1], at_old[order[i]], part[2], at_new[order[i]], length_of[order[i]]
	}
}
