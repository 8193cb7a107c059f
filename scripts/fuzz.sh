#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# Runs each given libFuzzer program (fuzz_NAME) for some seconds, from its inputs in tests/fuzz/corpus/NAME and with the words of
# tests/fuzz/http.dict or, where there is one, tests/fuzz/NAME.dict. What it finds new on the way goes to KEEP/NAME, where the next run starts from
# too, and without KEEP nowhere; the tree is never written to. An input that a check fails on, or that takes too long, is kept
# beside the program as PROGRAM.crash-…; the other programs still run, and the end is a failure.
# Usage: scripts/fuzz.sh SECONDS PROGRAM...   (KEEP: a folder outside the tree)
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
seconds=${1:?usage: scripts/fuzz.sh SECONDS PROGRAM...}
shift
[[ $# -gt 0 ]] || {
    echo "fuzz: no programs given" >&2
    exit 2
}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

run_one()
{
    local program=$1 name corpus dict found status=0
    name=$(basename "$program")
    corpus=$root/tests/fuzz/corpus/${name#fuzz_}
    dict=$root/tests/fuzz/${name#fuzz_}.dict
    found=${KEEP:-$work}/${name#fuzz_}

    [[ -d $corpus && -n $(ls -A "$corpus") ]] || {
        echo "fuzz: $name has no corpus in $corpus" >&2
        return 1
    }
    [[ -e $dict ]] || dict=$root/tests/fuzz/http.dict
    mkdir -p "$found"
    echo "fuzz: $name, $seconds s from $(find "$corpus" "$found" -type f | wc -l) inputs"
    # New inputs go to the first folder only.
    "$program" -max_total_time="$seconds" -timeout=30 -rss_limit_mb=1024 -print_final_stats=1 -verbosity=0 -dict="$dict" \
        -artifact_prefix="$program." "$found" "$corpus" >"$work/log" 2>&1 || status=$?
    if [[ $status -ne 0 ]]; then
        cat "$work/log" >&2
        echo "fuzz: $name FAILED" >&2
        return 1
    fi
    sed -n 's/^stat::number_of_executed_units: */fuzz: inputs tried: /p' "$work/log"
}

failed=0
for program in "$@"; do
    run_one "$program" || failed=1
done
exit "$failed"
