# Makes a C table of recipe files: {name, text} rows, ended by NULL. The name is that of the file.
function name(f) { sub(/.*\//, "", f); sub(/\.recipe$/, "", f); return f }
BEGIN {
	print "/* Made by quant/recipes/embed.awk of quant/recipes/. */"
	print "#include \"quant/preset.h\""
	print "const struct preset presets[] = {"
}
FNR == 1 { if (NR > 1) print "\t},"; printf "\t{ \"%s\",\n", name(FILENAME) }
{ gsub(/\\/, "\\\\"); gsub(/"/, "\\\""); gsub(/\t/, "\\t"); printf "\t\t\"%s\\n\"\n", $0 }
END { if (NR) print "\t},"; print "\t{ 0, 0 },\n};" }
