# What dsv4-quant score measures and --budget chooses, held to numpy and the package gguf (score.py). Read by run.sh, whose
# functions and variables it uses.
#
# A small model of rows of 256 is measured twice, with an importance and without. Of each type a file is written that has all matrices in it
# that can be: what it loses must be what the score says. Then sizes from the smallest choice to more than the exact one: what is chosen
# must be within its bound of the least error that any choice has.

scored=$work/scored
quant=$B/dsv4-quant

# written NAME [OPTIONS]: a file of that recipe; 1 with the reason in the log
written() {
    of=$1
    shift
    "$quant" run "$scored" -o "$work/written/$of" --to gguf "$@" -q >"$work/log" 2>&1
}

# chosen SCORE SIZES [OPTIONS]: a plan and a recipe of each size; leaves their names in $pairs
chosen() {
    of=$1 sizes=$2 pairs=
    shift 2
    for size in $sizes; do
        "$quant" plan "$scored" -o "$work/none" --to gguf --budget "$size" --score "$of" --recipe-out "$of.$size.recipe" --json "$@" \
            >"$of.$size.json" 2>"$work/log" || return 1
        pairs="$pairs $of.$size.json $of.$size.recipe"
    done
}

score_and_choose() {
    seq 160 | awk '{ printf "%s%d", (NR > 1 ? "," : ""), ($1 * $1 * 31 + $1 * 7) % 512 }' >"$work/ids"
    with="--imatrix $work/imatrix"
    mkdir "$work/written" "$work/alone" &&
        "$mkmodel" "$scored" --config tests/configs/small4.json --set head_dim=256 >"$work/log" 2>&1 &&
        "$quant" imatrix "$scored" --tokens "$work/ids" -o "$work/imatrix" -q >"$work/log" 2>&1 &&
        "$quant" score "$scored" -o "$work/weighed" $with -q >"$work/log" 2>&1 &&
        "$quant" score "$scored" -o "$work/plain" --types q2_k,q4_k,iq4_nl -q >"$work/log" 2>&1 &&
        $python $here/score.py recipes "$work/weighed" "$work/recipes" >"$work/log" 2>&1 || return 1
    for type in f16 q8_0 q2_k q3_k q4_k q5_k q6_k iq2_xxs iq3_xxs iq4_nl; do
        case $type in # of these two nothing is weighed, and run refuses a file that nothing would read
        f16 | q8_0) written $type --recipe "$work/recipes/$type.recipe" ;;
        *) written $type --recipe "$work/recipes/$type.recipe" $with ;;
        esac || return 1
    done
    written gguf || return 1
    check "score: with importance" $python $here/score.py errors "$scored" "$work/weighed" "$work/imatrix" "$work"/written/*
    mv "$work/written/gguf" "$work/alone"
    rm -rf "$work"/written/*
    for type in q2_k q4_k iq4_nl; do
        written $type --recipe "$work/recipes/$type.recipe" || return 1
    done
    check "score: without importance" $python $here/score.py errors "$scored" "$work/plain" none "$work"/written/*
    chosen "$work/weighed" "6018016 6100000 7M 8M 10M 12000001 14M 17M" $with || return 1
    check "budget: with importance" $python $here/score.py choice "$work/weighed" "$work/alone/gguf" $pairs
    chosen "$work/plain" "14220256 14300000 15000001 15800000 17000000" || return 1
    check "budget: without importance" $python $here/score.py choice "$work/plain" "$work/alone/gguf" $pairs
}

if [ -x "$quant" ] && [ -x "$mkmodel" ]; then
    score_and_choose || fail "score and --budget" "$work/log"
else
    skip "score and --budget (no $quant or no $mkmodel)"
fi
