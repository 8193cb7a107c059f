#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-2-Clause
# Clients and an upstream that break every rule, at random (chaos.py) and one at a time (wire.py), against a keygated with hardly
# any buffers and short time-outs: no answer to the wrong request, no half body that looks whole, no crash, no leak, no hang.
# CHAOS_SEED=n repeats a run's decisions; every run prints its own.

load helper

setup_file()
{
    file_begin
    start_small
    make service --name chaos --url http://127.0.0.1:8001 --retries 1 --read-timeout 1000 --write-timeout 1000 \
        --connect-timeout 1000
    make route --service chaos --name chaos --paths /chaos --strip-path false
    make service --name wire --url http://127.0.0.1:8002 --read-timeout 1000
    make route --service wire --name wire --paths /wire
}

start_small()
{
    start_keygated --set workers=1 --set http.buffers=16 --set http.buffer_size=1k --set http.max_head=8k \
        --set http.max_request_line=4k --set http.header_timeout=1s --set http.keepalive_timeout=2s --set upstream.max_idle=4 \
        --set upstream.idle_timeout=500ms --set guard.threshold=0 --set drain_timeout=300ms
}

teardown_file()
{
    file_end
}

teardown()
{
    show_log
}

chaos()
{
    ns_run "$GW" /usr/bin/python3 "$BATS_TEST_DIRNAME/chaos.py" 9080 8001 "$(pid_of keygated)" "$KEYGATE_SOCKET"
}

wire()
{
    ns_run "$GW" /usr/bin/python3 "$BATS_TEST_DIRNAME/wire.py" "$1" 9080 8002 "$(pid_of keygated)"
}

# Stops keygated, whose last words must be of an orderly end: no sanitizer's, and no leak's. $1 is what it says.
stops_well()
{
    stop_keygated
    like "$1; bans stay in force in the kernel\$" "$(tail -n 1 "$T/keygated.log")"
    unlike 'broken invariant|Sanitizer|runtime error' "$(<"$T/keygated.log")"
}

@test "an upstream's flood of interim answers leaves room for the answer" {
    wire interim-flood
}

@test "an upstream's endless interim answers are given up" {
    wire interim-endless
}

@test "bytes left in a kept connection are not the answer to the next request" {
    wire stale-answer
}

@test "a kept connection that has ended is not picked for a request that cannot be sent twice" {
    wire stale-post
}

@test "an upstream's early answer reaches the client although the connection was reset behind it" {
    wire early-answer
}

@test "a body delimited by the connection's end has no clean end when the upstream breaks off or falls silent" {
    wire cut-until-close
    wire stall-until-close
}

@test "a request is sent again only when the kept connection ended without a word" {
    wire retry
    wire interim-then-gone
}

@test "a head that comes byte by byte has one deadline, also behind another request" {
    wire slow-head
    wire slow-head-pipelined
}

@test "bytes behind the last request do not destroy its answer" {
    wire pipelined-close
    wire pipelined-post
}

@test "a client that ends its side after the request gets the answer" {
    wire half-close
}

@test "random clients and a random upstream: every answer is to its request, and keygated is as before" {
    chaos
    stops_well 'stopped: every request ended'
    start_small
}

@test "a stop in the middle of it is an end in time and without leaks" {
    local clients began

    CHAOS_SECONDS=60 chaos >"$T/chaos.log" 2>&1 3>&- &
    clients=$!
    wait_for has_requests 200
    began=$SECONDS
    stops_well 'stopped: (every request ended|requests were still running)'
    ((SECONDS - began < 8))
    wait "$clients" || true
    # Clients that find nobody to connect to are the only ones with something to complain about.
    same "" "$(sed -n "s/^fault: //p" "$T/chaos.log" | grep -vE "cannot connect|does not answer|in vain|came whole")"
}

has_requests()
{
    (($(kctl status -o json | jq .server.total_requests) >= $1))
}
