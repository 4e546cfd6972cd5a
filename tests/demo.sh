# make demo: what dsv4-convert does, on a small model with the shape of V4-Flash. Everything is made in
# build/demo, which is emptied first. B= names the build folder.
set -eu
tool=build/dsv4-convert
d=build/demo
rm -rf $d
mkdir -p $d

say() {
	printf '\n\033[1m%s\033[0m\n' "# $*"
}
show() {
	printf '$ %s\n' "$*"
	"$@"
}
short() { # short HEAD TAIL: so many lines of stdin, and how many are left out
	awk -v h="$1" -v t="$2" '{ l[NR] = $0 } END { for (i = 1; i <= NR; i++)
		if (i <= h || i > NR - t) print l[i]; else if (i == h + 1) print "  ... " NR - h - t " more lines" }'
}
again() {
	echo "\$ $tool run $d/flash -o $d/mp2 --target official --mp 2"
	$tool run $d/flash -o $d/mp2 --target official --mp 2 >/dev/null
}
[ -t 1 ] || say() { printf '\n# %s\n' "$*"; }

say "A checkpoint in the official form: 6 layers, 32 experts, random weights (128 MB)"
show "$B/mkmodel" $d/flash --config tests/configs/flash.json --seed 4 \
	--set num_hidden_layers=6 --set 'compress_ratios=[0,0,4,128,4,128,0]' --set hidden_size=512 \
	--set moe_intermediate_size=512 --set n_routed_experts=32 --set vocab_size=4096 \
	--set num_attention_heads=16 --set head_dim=128 --set q_lora_rank=256 --set o_lora_rank=256 \
	--set o_groups=4 --set index_n_heads=16

say "What is in it, from its headers alone"
show $tool inspect $d/flash | short 14 22

say "What a conversion for 2 ranks would do; nothing is written"
show $tool plan $d/flash -o $d/mp2 --target official --mp 2

say "Done: model0-mp2 and model1-mp2 as the official converter writes them, digests on stdout"
printf '$ %s\n' "$tool run $d/flash -o $d/mp2 --target official --mp 2 > $d/SHA256SUMS"
$tool run $d/flash -o $d/mp2 --target official --mp 2 >$d/SHA256SUMS
(cd $d/mp2 && show sha256sum -c ../SHA256SUMS)

say "manifest.json is written last; a folder without it is unfinished"
show cat $d/mp2/manifest.json | short 13 14

say "The same call again finds everything in place; a damaged file is made anew, and only that"
again
printf 'x' | dd of=$d/mp2/model1-mp2.safetensors bs=1 seek=5000000 conv=notrunc 2>/dev/null
echo "(byte 5000000 of model1-mp2.safetensors is damaged)"
again
(cd $d/mp2 && sha256sum --quiet -c ../SHA256SUMS) && echo "digests as before"

say "The experts as FP8, as a Hugging Face folder again; every block of the cast is checked"
echo "\$ $tool run $d/flash -o $d/fp8 --target hf --experts fp8"
$tool run $d/flash -o $d/fp8 --target hf --experts fp8 >/dev/null
$tool inspect $d/fp8 | sed -n '2,3p;$p'

say "A shard cut short is found before anything is written"
cp -r $d/flash $d/cut
truncate -s -1000 $d/cut/model-00003-of-00009.safetensors
show $tool run $d/cut -o $d/never --target official --mp 2 || echo "exit status $?"

say "All of this lies in $d (560 MB); make clean removes it"
