# The page dsv4(3), made of dsv4.h: its head, and each declaration with the comment before it. Nothing is written down
# twice. awk -f manual.awk -v VERSION=0.1.0 dsv4.h
function escaped(s) {
	gsub(/\\/, "\\e", s)
	gsub(/-/, "\\-", s)
	sub(/^[.']/, "\\\\\\&&", s)
	return s
}
# A comment as roff: empty lines part paragraphs, lines that begin with a tab stay lines.
function put_text(s,    n, line, i, kept) {
	n = split(s, line, "\n")
	kept = 0
	for (i = 1; i <= n; i++) {
		if (line[i] ~ /^\t/ && !kept) print ".nf"
		if (line[i] !~ /^\t/ && kept) print ".fi"
		kept = line[i] ~ /^\t/
		if (line[i] == "") print ".PP"
		else print escaped(line[i])
	}
	if (kept) print ".fi"
}
function put_item() {
	if (code != "") {
		print ".PP"
		print ".nf"
		gsub(/\n+$/, "", code)
		n = split(code, row, "\n")
		for (k = 1; k <= n; k++) print escaped(row[k])
		print ".fi"
		if (text != "") {
			print ".RS 4"
			put_text(text)
			print ".RE"
		}
	}
	code = text = ""
}
BEGIN {
	print ".\\\" Made by manual.awk of dsv4.h."
	print ".TH DSV4 3 \"\" \"libdsv4 " VERSION "\" \"dsv4-tools\""
	print ".SH NAME"
	print "dsv4 \\- read conversions of DeepSeek\\-V4 checkpoints into memory"
	print ".SH SYNOPSIS"
	print ".nf"
	print "#include <dsv4.h>"
	print ""
	print "cc t.c $(pkg\\-config \\-\\-cflags \\-\\-libs dsv4)"
	print ".fi"
	print ".SH DESCRIPTION"
}
/^\/\* --- .* --- \*\/$/ {
	put_item()
	title = substr($0, 8, length($0) - 14)
	print ".SH " toupper(title)
	next
}
/^#/ && !/^#define DSV4_[A-Z]+ / { if (text != "" && !head) text = ""; next }
/^extern "C"|^}$/ { next }
# a comment that stands at the left margin
/^\/\*/ { put_item(); inside = 1; sub(/^\/\* ?/, "") }
inside {
	last = /\*\/$/
	sub(/ ?\*\/$/, "")
	sub(/^ \* ?/, "")
	if (!/SPDX/) text = text (text == "" ? "" : "\n") $0
	if (last) {
		inside = 0
		if (!head++) {
			sub(/^dsv4.h -- [^\n]*\n/, "", text)
			put_text(text)
			text = ""
		}
	}
	next
}
/^$/ { put_item(); next }
{ code = code $0 "\n" }
END {
	put_item()
	print ".SH SEE ALSO"
	print "dsv4\\-convert(1), dsv4\\-verify(1), pkg\\-config(1)"
}
