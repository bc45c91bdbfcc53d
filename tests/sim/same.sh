#!/bin/sh
# The same seeds under gcc and clang, without and with optimisation: one digest over all states and effects, or status 1.
set -u
first=
for cc in gcc clang; do
    command -v $cc > /dev/null || { echo "sim-same: no $cc here"; continue; }
    for opt in -O0 -O2; do
        dir=build-same$opt-$cc
        make -s --no-print-directory BUILD=$dir CC=$cc OPT="$opt" $dir/tests/sim-alone || exit 1
        got=$($dir/tests/sim-alone -d -n "$1" | tail -n 1)
        echo "sim-same: $cc $opt: $got"
        [ -z "$first" ] && first=$got
        [ "$got" = "$first" ] || { echo "sim-same: the bytes differ"; exit 1; }
    done
done
