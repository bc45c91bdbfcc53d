#!/bin/sh
# Runs the unit test programs given as arguments, each in a folder of its own and two at a time, and prints what failed and one
# closing line over all.
set -u
if [ "${1-}" = --one ]; then
    dir=$(mktemp -d "$2/XXXXXX") || exit 1
    if (cd "$dir" && TEST_SOURCE="${TEST_SOURCE:-$OLDPWD}" "$OLDPWD/$3") > "$dir.log" 2>&1 < /dev/null; then
        mv "$dir.log" "$dir.good"
    else
        (echo "FAILED: $3" && cat "$dir.log") > "$dir.bad"
        rm "$dir.log"
    fi
    rm -rf "$dir"
    exit 0
fi
all=$(mktemp -d) || exit 1
trap 'rm -rf "$all"' EXIT
printf '%s\n' "$@" | xargs -P 2 -n 1 sh "$0" --one "$all"
cat "$all"/*.bad 2> /dev/null
good=$(cat "$all"/*.good 2> /dev/null | grep -c '^\[       OK')
done=$(find "$all" -name '*.good' | wc -l)
echo "unit tests: $# programs"
echo "$good passed, $(($# - done)) failed"
[ "$done" -eq $# ]
