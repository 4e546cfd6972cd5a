# make demo: what the tools do, on a small model with the shape of V4-Flash. Everything is made in
# build/demo, which is emptied first. B= names the build folder.
set -eu
tool=build/dsv4-convert
quant=build/dsv4-quant
verify=build/dsv4-verify
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

say "For an engine: what vLLM's Marlin kernels read, two ranks, each with half of the experts"
echo "\$ $tool run $d/flash -o $d/marlin --target marlin-mxfp4 --ranks 2"
$tool run $d/flash -o $d/marlin --target marlin-mxfp4 --ranks 2 >/dev/null
echo "\$ $tool restore $d/marlin -o $d/back"
$tool restore $d/marlin -o $d/back >/dev/null
for f in "$d"/flash/*; do cmp "$f" "$d/back/${f##*/}"; done && echo "every file of the download again, byte for byte"

say "In another number format: NVFP4 as vLLM and SGLang load it, exact, and the download back"
echo "\$ $quant run $d/flash -o $d/nvfp4 --to nvfp4 --input-scale 0.01"
$quant run $d/flash -o $d/nvfp4 --to nvfp4 --input-scale 0.01 2>&1 >/dev/null | grep -v '^plan'
sed -n '/blocks_by_role/,/^ \]/p' $d/nvfp4/manifest.json | short 12 0
show $verify check $d/nvfp4 -q | short 6 2
show $verify compare $d/flash $d/nvfp4 -q | short 6 2
show $verify logits $d/flash $d/nvfp4 --tokens 1,2,3,5,8,13,21,34 -q
echo "\$ $quant restore $d/nvfp4 -o $d/back4"
$quant restore $d/nvfp4 -o $d/back4 >/dev/null
for f in "$d"/flash/*; do cmp "$f" "$d/back4/${f##*/}"; done && echo "every file of the download again, byte for byte"

say "Is it whole, and as it was made? Digests of every file and every 16 MiB"
show $verify check $d/marlin -q --report $d/check.html | short 6 2

say "Was it made of that download? Every tensor made once more by plain code, and compared"
show $verify compare $d/flash $d/marlin -q | short 12 2

say "Does it compute the same? Both models run side by side, layer by layer, from the bytes as they lie"
show $verify logits $d/flash $d/marlin --tokens 1,2,3,5,8,13,21,34 -q

say "For llama.cpp: a GGUF, exact too; its drafts are files of their own"
echo "\$ $quant run $d/flash -o $d/gguf --to gguf"
$quant run $d/flash -o $d/gguf --to gguf >/dev/null
show $verify check $d/gguf -q
show $verify compare $d/flash $d/gguf -q
show $verify logits $d/flash $d/gguf --tokens 1,2,3,5,8,13,21,34 -q
echo "\$ $quant restore $d/gguf -o $d/back5"
$quant restore $d/gguf -o $d/back5 >/dev/null
for f in "$d"/flash/*; do cmp "$f" "$d/back5/${f##*/}"; done && echo "every file of the download again, byte for byte"

say "Signed, so that others can tell: an OpenSSF Model Signing bundle"
show openssl ecparam -name prime256v1 -genkey -noout -out $d/key.pem
chmod 600 $d/key.pem
openssl pkey -in $d/key.pem -pubout -out $d/key.pub.pem
show $verify sign $d/marlin --key $d/key.pem -q | short 6 2
show $verify signature $d/marlin --key $d/key.pub.pem -q | short 6 2

say "One bit is flipped"
f=$d/marlin/rank-1-of-2/model-00004-of-00009.safetensors
byte=$(dd if=$f bs=1 skip=3000000 count=1 2>/dev/null | od -An -tu1 | tr -d ' ')
printf "$(printf '\\%03o' $((byte ^ 4)))" | dd of=$f bs=1 seek=3000000 conv=notrunc 2>/dev/null
found() { # found COMMAND...: must find it
	status=0
	echo "\$ $*"
	"$@" >$d/log 2>&1 || status=$?
	sed -n '/^error/,/remedy:/p; $p' $d/log | short 12 1
	[ $status = 1 ] || { echo "exit status $status: the bit was not found"; exit 1; }
}
found $verify check $d/marlin -q
found $verify compare $d/flash $d/marlin -q
found $verify signature $d/marlin --key $d/key.pub.pem -q

say "All of this lies in $d (1.3 GB); make clean removes it"
