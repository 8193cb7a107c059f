#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-2-Clause
# TLS to the byte: what shares a record or a segment, who says close_notify and when. tls_wire.py is both sides.

load helper

setup_file()
{
    file_begin
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 -subj /CN=upstream \
        -keyout "$T/up.key" -out "$T/up.crt" 2>/dev/null
    start_gateway
    make service --name wire --url https://127.0.0.1:8444 --tls-verify false --read-timeout 2000 --connect-timeout 2000 --retries 1
    make route --service wire --name wire --paths /wire
}

start_gateway()
{
    start_keygated --set workers=1 --set 'listen=["0.0.0.0:9080","0.0.0.0:9443 ssl","0.0.0.0:9444 ssl proxy_protocol"]' \
        --set 'http.trusted_proxies=["127.0.0.1/32"]' --set http.header_timeout=50s
}

teardown_file()
{
    file_end
}

teardown()
{
    show_log
}

wire()
{
    ns_run "$GW" /usr/bin/python3 "$BATS_TEST_DIRNAME/tls_wire.py" "$1" 9443 8444 "$T/up.crt" "$T/up.key" "$(pid_of keygated)"
}

# --- whose answer it is ---------------------------------------------------------------------------------------------------

@test "records behind an answer are never the next answer: in one segment with it" {
    wire stray-together
}

@test "records behind an answer are never the next answer: while nobody asks" {
    wire stray-later
}

@test "records behind an answer are never the next answer: behind a full receive buffer, with a request waiting" {
    wire stray-large
}

@test "requests may share a record, or have one for each byte" {
    wire records
}

# --- ends -------------------------------------------------------------------------------------------------------------------

@test "an answer that comes before the request's end arrives whole, close_notify behind it" {
    wire early-answer
}

@test "close_notify ends an answer of HTTP/1.0 also for a client that reads slowly" {
    wire slow-reader
}

@test "an upstream that ends without close_notify has cut its answer, and the client sees that" {
    wire cut-upstream
}

@test "an upstream that ends with close_notify has ended its answer" {
    wire whole-upstream
}

@test "a client may say close_notify behind its request; without it is cut off" {
    wire client-ends
}

@test "a failed handshake with an upstream is a failed try, and the next one has the whole request" {
    wire failed-handshake
}

@test "a session with an upstream is resumed, also when the connection it came from has gone" {
    wire resumption
}

@test "the PROXY protocol comes before TLS, in one segment with it or byte by byte" {
    wire proxy-header
}

@test "a handshake that is not finished does not hold up an orderly stop" {
    local started

    in_background held /usr/bin/python3 "$BATS_TEST_DIRNAME/tls_wire.py" hold 9443 8444 "$T/up.crt" "$T/up.key" 0
    wait_for grep -q held "$T/held.log"
    started=$(now_ms)
    stop_keygated
    [[ $(($(now_ms) - started)) -lt 5000 ]]
    wait_for gone "$(pid_of held)"
    rm "$T/pids/held"
    like '^(closed|reset)$' "$(tail -n 1 "$T/held.log")"
    start_gateway
}

@test "an orderly stop ends idle connections with close_notify and running requests with their answers" {
    wire drain
    wait_for -t 15 gone "$(pid_of keygated)"
    rm "$T/pids/keygated"
    like 'stopped: every request ended' "$(tail -n 1 "$T/keygated.log")"
    start_gateway
}

# --- tunnels --------------------------------------------------------------------------------------------------------------

@test "through a tunnel each end's close_notify goes on by itself, behind its last byte" {
    wire tunnel-half-close
}

@test "an end without close_notify breaks a tunnel" {
    wire tunnel-cut
}

@test "a slow reader at either end of a tunnel holds the other one back, and loses nothing" {
    wire tunnel-back-pressure
}
