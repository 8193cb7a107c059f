#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# Runs each given libFuzzer program (fuzz_NAME) for some seconds on a copy of its corpus tests/fuzz/corpus/NAME. A finding
# ends the run, and the input that makes it is kept beside the program.
# Usage: scripts/fuzz.sh SECONDS PROGRAM...
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

for program in "$@"; do
    name=$(basename "$program")
    corpus=$root/tests/fuzz/corpus/${name#fuzz_}
    [[ -d $corpus && -n $(ls -A "$corpus") ]] || {
        echo "fuzz: $name has no corpus in $corpus" >&2
        exit 1
    }
    cp -r "$corpus" "$work/$name"
    echo "fuzz: $name, $seconds s from $(find "$corpus" -type f | wc -l) inputs"
    "$program" -max_total_time="$seconds" -timeout=5 -rss_limit_mb=1024 -print_final_stats=1 -verbosity=0 \
        -artifact_prefix="$program." "$work/$name" >"$work/log" 2>&1 || {
        cat "$work/log" >&2
        echo "fuzz: $name FAILED" >&2
        exit 1
    }
    sed -n 's/^stat::number_of_executed_units: */fuzz: inputs tried: /p' "$work/log"
done
