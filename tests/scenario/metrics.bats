#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-2-Clause
# GET /metrics and keyctl metrics: Prometheus' text format, with what /status and /stats say.
# shellcheck disable=SC2154 # bats sets status, output and lines

load helper

setup_file()
{
    export BATS_NO_PARALLELIZE_WITHIN_FILE=true
    file_begin
    start_upstream
    start_keygated --set 'guard.threshold=0' --set 'xdp.interfaces=[lo]'
    make service --name api --url http://127.0.0.1:8001 >/dev/null
    make route --name api --service api --paths / >/dev/null
    make plugin --name key-auth --route api >/dev/null
    kctl consumer create --username 'a"b\c' >/dev/null
    make_key 'a"b\c' >"$T/key"
}

teardown_file()
{
    file_end
}

# samples: each as NAME LABELS VALUE.
samples()
{
    admin /metrics | /usr/bin/python3 "$BATS_TEST_DIRNAME/prometheus.py"
}

# value NAME LABELS
value()
{
    awk -v want="$1 $2 " 'index($0, want) == 1 { print $NF }' "$T/samples"
}

consumer_has()
{
    samples >"$T/samples"
    grep -F "$1" "$T/samples" | grep -q " $2\$"
}

@test "every line is of the format, and each figure of the status is there" {
    local key
    samples >"$T/samples"
    while read -r key; do
        grep -qE "^keygate_$key(_total)? " "$T/samples" || same "$key" 'not among the metrics'
    done < <(kctl status -o json | jq -r '.server | keys[]' | sed 's/^total_requests$/requests/')
    same 1 "$(value keygate_build_info "{\"version\": \"$(kctl --version | cut -d' ' -f2)\"}")"
    same 1 "$(value keygate_database_reachable '{}')"
    same 0 "$(grep -c 'As in /status' <(admin /metrics))"
}

@test "it says what it is" {
    admin /metrics -D "$T/head" -o /dev/null
    same 'text/plain; version=0.0.4; charset=utf-8' "$(header Content-Type "$T/head")"
    same 405 "$(admin_status /metrics -X POST)"
    admin /metrics -I >"$T/head"
    like '^HTTP/1.1 200 ' "$(<"$T/head")"
}

@test "requests are counted for each consumer, and a name is escaped" {
    local before
    before=$(kctl status -o json | jq .server.total_requests)
    for _ in 1 2 3; do
        has_status 200 gw_curl /echo -H "apikey: $(<"$T/key")"
    done
    has_status 401 gw_curl /echo
    wait_for consumer_has 'keygate_consumer_requests_total {"consumer": "a\"b\\c"' 3
    consumer_has '"class": "2xx", "consumer": "a\"b\\c"' 3
    consumer_has '"class": "4xx", "consumer": "(none)"' 1
    grep -F keygate_consumer_denied_total "$T/samples" | grep -F '"(none)"' | grep -q ' 1$'
    same $((before + 4)) "$(value keygate_requests_total '{}')"
}

@test "bans by reason, packets by verdict, interfaces" {
    kctl ban create 203.0.113.5 >/dev/null
    samples >"$T/samples"
    same 1 "$(value keygate_bans '{"reason": "manual"}')"
    same 0 "$(value keygate_bans '{"reason": "wrong_key"}')"
    same 8 "$(grep -c '^keygate_xdp_packets_total ' "$T/samples")"
    grep '^keygate_xdp_attached {"interface": "lo", "mode": ' "$T/samples" | grep -q ' 1$'
}

@test "keyctl metrics prints the same" {
    run -0 kctl metrics
    /usr/bin/python3 "$BATS_TEST_DIRNAME/prometheus.py" <<<"$output" >"$T/samples"
    same 1 "$(value keygate_database_reachable '{}')"
    run -3 kctl metrics --socket /nowhere
}
