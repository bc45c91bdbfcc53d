#!/bin/sh
# Runs the unit test programs given as arguments, each in a folder of its own, and prints one closing line over all.
set -u
bad=0 good=0
for t in "$@"; do
    dir=$(mktemp -d) || exit 1
    if (cd "$dir" && TEST_SOURCE="${TEST_SOURCE:-$OLDPWD}" "$OLDPWD/$t") > "$dir/log" 2>&1; then
        good=$((good + $(grep -c '^\[       OK' "$dir/log")))
    else
        bad=$((bad + 1))
        echo "FAILED: $t"
        cat "$dir/log"
    fi
    rm -rf "$dir"
done
echo "unit tests: $# programs"
echo "$good passed, $bad failed"
[ "$bad" -eq 0 ]
