#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-2-Clause
# The benchmark itself: short runs of it give figures of the promised form, and it leaves nothing behind.
# shellcheck disable=SC2030,SC2031,SC2154 # bats sets status, output and lines; each test has an environment of its own

load helper

setup()
{
    export KEYGATE_BUILD=$BUILD BENCH_OUT=$BATS_TEST_TMPDIR/http.json
    export BENCH_CASES=get_64 BENCH_KEYS=20 BENCH_ROUTES=20 BENCH_ROUNDS=1 BENCH_SECONDS=1
    traces >"$BATS_TEST_TMPDIR/before"
}

# Folders, pins and processes of any benchmark.
traces()
{
    find /tmp /sys/fs/bpf -mindepth 1 -maxdepth 1 -name 'keygate-bench*'
    grep -la 'keygate-bench\.' /proc/[0-9]*/cmdline 2>/dev/null || true
}

nothing_left()
{
    traces >"$BATS_TEST_TMPDIR/after"
    diff "$BATS_TEST_TMPDIR/before" "$BATS_TEST_TMPDIR/after"
}

bench()
{
    timeout -k 10 100 "$TOP/scripts/bench"
}

in_round()
{
    gone "$1" || grep -q 'round 1 of' "$BATS_TEST_TMPDIR/err"
}

@test "a short run has positive figures of every subject, in the promised form" {
    run --separate-stderr bench
    echo "$stderr"
    [[ $status -eq 0 ]]
    like '\| get_64 \| keygate \|' "$output"
    local figures
    figures=$(<"$BENCH_OUT")
    holds 'all(.[]; keys == ["case", "max", "median", "metric", "min", "subject", "unit"])' "$figures"
    holds 'all(.[]; .case == "get_64" and .min > 0 and .min <= .median and .median <= .max)' "$figures"
    holds '([.[] | [.subject, .metric]] | sort) == ([["keygate", "nginx", "haproxy", "relay"],
        ["cpu_us_per_request", "requests_per_second", "p50_ms", "p99_ms"]] | [combinations] | sort)' "$figures"
    nothing_left
}

@test "what a policy adds to a request is measured by itself" {
    export BENCH_CASES='policy_key_auth policy_jwt_hs256 policy_rate_limiting policy_acl' BENCH_MANY_KEYS=200 BENCH_ROUNDS=2
    run --separate-stderr bench
    echo "$stderr"
    [[ $status -eq 0 ]]
    like '\| policy_key_auth \| added_cpu_us \| - \| [0-9.]+ \| 0\.60 \| (met|missed) \|' "$output"
    holds '[.[] | [.case, .subject, .metric, .unit]] == [("key_auth", "jwt_hs256", "rate_limiting", "acl")
        | ["policy_" + ., "keygate", "added_cpu_us", "us"]]' "$(<"$BENCH_OUT")"
    nothing_left
}

@test "a short run of the control plane has its figures, in the same form" {
    export BENCH_CASES='' BENCH_MANY_KEYS=500
    run --separate-stderr timeout -k 10 100 "$TOP/scripts/bench" control
    echo "$stderr"
    [[ $status -eq 0 ]]
    like '\| start \| start_s \| s \| [0-9.]+ ' "$output"
    local figures
    figures=$(<"$BENCH_OUT")
    holds 'all(.[]; keys == ["case", "max", "median", "metric", "min", "subject", "unit"] and .subject == "keygate")' "$figures"
    holds 'all(.[]; .case == "memory" or .min > 0) and all(.[]; .min <= .median and .median <= .max)' "$figures"
    holds '[.[] | [.case, .metric] | join(" ")] == (["import import_s", "import import_cpu_s", "start start_s", "start start_cpu_s",
        "memory rss_bytes_per_consumer"] +
        ([["add", "add_to_auth", "delete", "delete_to_refuse"], ["p50", "p99", "max"]] | [combinations] |
            map("writes " + join("_") + "_ms")) +
        ["writes writes_per_second", "load p99_ms", "load p99_with_writes_ms", "load p99_ratio"])' "$figures"
    nothing_left
}

@test "a signal ends it early, and nothing is left behind" {
    BENCH_SECONDS=60 "$TOP/scripts/bench" >/dev/null 2>"$BATS_TEST_TMPDIR/err" 3>&- 4>&- &
    local pid=$! status=0
    wait_for -t 60 in_round "$pid"
    kill -TERM "$pid"
    wait "$pid" || status=$?
    cat "$BATS_TEST_TMPDIR/err"
    same 130 "$status"
    [[ ! -e $BENCH_OUT ]]
    nothing_left
}

@test "what cannot be measured is refused by name" {
    BENCH_CASES='get_64 nonsense' run --separate-stderr bench
    [[ $status -ne 0 ]]
    like 'BENCH_CASES: no case nonsense; there are get_1 .* idle' "$stderr"
    BENCH_CASES=get_64 BENCH_ROUNDS=0 run --separate-stderr bench
    [[ $status -ne 0 ]]
    like 'BENCH_ROUNDS=0: a whole number from 1 on is wanted' "$stderr"
    run --separate-stderr timeout 100 "$TOP/scripts/bench" control
    [[ $status -ne 0 ]]
    like 'BENCH_CASES: no case get_64; there are import start writes load' "$stderr"
    run --separate-stderr timeout 100 "$TOP/scripts/bench" nonsense
    [[ $status -ne 0 ]]
    like "nonsense: 'measure' or 'control' is wanted" "$stderr"
    nothing_left
}
