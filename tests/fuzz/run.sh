#!/bin/sh
# run.sh SECONDS|replay PROGRAM…: gives each fuzzer its time, or replays its kept inputs (tests/fuzz/corpus/<name>/).
set -u
how=$1
shift
good=0 bad=0
for p in "$@"; do
    name=$(basename "$p" | sed 's/^fuzz_//')
    kept=tests/fuzz/corpus/$name
    mkdir -p "$(dirname "$p")/found/$name"
    if [ "$how" = replay ]; then
        find "$kept" -type f 2> /dev/null | sort | xargs "$p" > "$p.log" 2>&1
    else
        "$p" -max_total_time="$how" -timeout=10 -rss_limit_mb=2048 -artifact_prefix="$(dirname "$p")/found/$name/crash-" \
            "$(dirname "$p")/found/$name" $( [ -d "$kept" ] && echo "$kept") > "$p.log" 2>&1
    fi
    if [ $? -eq 0 ]; then
        good=$((good + 1))
        echo "fuzz $name: $(tail -n 1 "$p.log")"
    else
        bad=$((bad + 1))
        echo "fuzz $name FAILED:"
        tail -n 40 "$p.log"
    fi
done
echo "fuzzers: $good passed, $bad failed"
[ "$bad" -eq 0 ]
