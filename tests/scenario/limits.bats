#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-2-Clause
# What a client may ask for and how long it may take: bodies, slow senders, slow readers, idle connections, requests for each
# connection, connections in all and for each source.
# shellcheck disable=SC2154 # bats sets status and output

load helper

setup_file()
{
    file_begin
    join_client
    start_upstream
    start_limited
    make service --name up --url http://127.0.0.1:8001
    make route --service up --name up --paths /up
}

# start_limited [OPTION...]: a keygated with short times.
start_limited()
{
    start_keygated --set workers=2 --set http.client_max_body_size=1m --set http.header_timeout=1s \
        --set http.keepalive_timeout=2s --set http.client_body_timeout=2s --set http.send_timeout=2s --set http.min_body_rate=1000 \
        --set http.min_read_rate=1000 --set http.rate_window=500ms --set http.keepalive_requests=3 --set guard.threshold=0 "$@"
}

restart_limited()
{
    stop_keygated
    start_limited "$@"
}

teardown_file()
{
    file_end
}

teardown()
{
    show_log
}

slow()
{
    ns_run "$GW" /usr/bin/python3 "$BATS_TEST_DIRNAME/slow.py" "$1" 127.0.0.1 9080 "${@:2}"
}

# server FIELD: a figure of the status.
server()
{
    kctl status -o json | jq ".server.$1"
}

seen()
{
    upstream_curl /counts | jq ".requests.\"$1\" // 0"
}

# --- bodies -----------------------------------------------------------------------------------------------------------------

@test "a longer Content-Length is answered 413 at once, before the service hears of it" {
    same '413 closed' "$(raw 127.0.0.1 9080 'POST /up/status:201 HTTP/1.1\r\nHost: a\r\nContent-Length: 1048577\r\n\r\n')"
    same '413 closed' "$(raw 127.0.0.1 9080 \
        'POST /up/status:201 HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 9223372036854775807\r\n\r\n')"
    same 0 "$(seen status:201)"
    head -c 1100000 /dev/zero >"$T/large"
    gw_curl /up/sink --data-binary "@$T/large" -o "$T/body"
    kong_error 'Payload too large' "$T/body"
}

@test "a body of exactly client_max_body_size passes" {
    head -c 1048576 /dev/zero >"$T/fits"
    same 1048576 "$(gw_curl /up/sink --data-binary "@$T/fits" | jq .body)"
    same 1048576 "$(gw_curl /up/sink -H 'Transfer-Encoding: chunked' --data-binary "@$T/fits" | jq .body)"
}

@test "a chunked body is answered 413 as soon as it is longer, and its connection ends in order" {
    same '413 closed' "$(raw 127.0.0.1 9080 'POST /up/sink HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n' \
        '100000\r\n{1048576*x}\r\n1\r\ny\r\n')"
    # Also when it goes on and on.
    head -c 3000000 /dev/zero >"$T/endless"
    same 413 "$(status_of gw_curl /up/sink -H 'Transfer-Encoding: chunked' --data-binary "@$T/endless")"
}

# --- times ------------------------------------------------------------------------------------------------------------------

@test "a connection on which nothing comes ends after header_timeout, not after keepalive_timeout" {
    same '50 closed after 1' "$(slow silent 50)"
}

@test "the time for the first head runs from connecting on" {
    same '10 408 closed after 1' "$(slow silent 10 'GET /up/echo HTTP/1.1\r\n')"
}

@test "between two requests keepalive_timeout counts" {
    same '10 404 closed after 2' "$(slow silent 10 'GET /none HTTP/1.1\r\nHost: a\r\n\r\n')"
}

@test "a client that owes body bytes and sends none is answered 408 after client_body_timeout" {
    restart_limited --set http.min_body_rate=0
    same '408 closed' "$(raw 127.0.0.1 9080 'POST /up/sink HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n12345')"
    restart_limited
}

@test "a client that takes nothing of its answer is reset after send_timeout" {
    restart_limited --set http.min_read_rate=0
    local before
    before=$(server clients_too_slow)
    same reset "$(slow read /up/bytes:50000000 0)"
    same $((before + 1)) "$(server clients_too_slow)"
    restart_limited
}

# --- rates ------------------------------------------------------------------------------------------------------------------

@test "a body that drips in is answered 408, after a first window for nothing" {
    local before
    before=$(server clients_too_slow)
    same 408 "$(slow send /up/sink 100)"
    same 408 "$(slow send-chunked /up/sink 10)"
    same $((before + 2)) "$(server clients_too_slow)"
}

@test "a body that comes slowly, but faster than min_body_rate, passes" {
    same 200 "$(slow send /up/sink 5000 3)"
    same 200 "$(slow send-chunked /up/sink 5000 3)"
}

@test "a body that waits because its service does not read does not count against the client" {
    restart_limited --set http.client_max_body_size=0
    head -c 30000000 /dev/zero >"$T/much"
    (ns_exec "$GW" curl -s -o /dev/null -w '%{http_code}' -H Expect: --data-binary "@$T/much" "$PROXY/up/gate-sink:slow") \
        >"$T/much.status" 2>&1 3>&- 4>&- &
    local uploader=$!
    # Longer than two windows and client_body_timeout, from when the service has been asked.
    wait_for -t 10 asked gate-sink:slow
    same '20 closed after 1' "$(slow silent 20)"
    same '20 closed after 1' "$(slow silent 20)"
    same '20 closed after 1' "$(slow silent 20)"
    same "" "$(<"$T/much.status")"
    upstream_curl /open:slow >/dev/null
    wait "$uploader"
    same 200 "$(<"$T/much.status")"
    restart_limited
}

@test "a client that waits for 100 Continue waits for its service" {
    (ns_exec "$GW" curl -s -o /dev/null -w '%{http_code}' -H 'Expect: 100-continue' --expect100-timeout 30 -d hello \
        "$PROXY/up/gate-sink:expect") >"$T/expect" 2>&1 3>&- 4>&- &
    local uploader=$!
    wait_for asked gate-sink:expect
    for _ in 1 2 3; do
        same '5 closed after 1' "$(slow silent 5)"
    done
    same '' "$(<"$T/expect")"
    upstream_curl /open:expect >/dev/null
    wait "$uploader"
    same 200 "$(<"$T/expect")"
    # Once it has been told to go on, it is its turn again.
    same '100 408 closed' "$(raw 127.0.0.1 9080 'POST /up/sink HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n')"
}

asked()
{
    [[ $(seen "$1") -gt 0 ]]
}

@test "a client that reads its answer too slowly is reset" {
    local before
    before=$(server clients_too_slow)
    same reset "$(slow read /up/bytes:50000000 200)"
    same $((before + 1)) "$(server clients_too_slow)"
}

@test "a client that reads slowly, but faster than min_read_rate, gets all of it" {
    same 200 "$(slow read /up/bytes:100000 20000)"
}

@test "an answer that its service sends slowly does not count against the client" {
    same 200 "$(slow read /up/trickle:30 100000)"
}

# --- requests for each connection -------------------------------------------------------------------------------------------

@test "the last of keepalive_requests says close and is it" {
    raw --show 127.0.0.1 9080 'GET /up/echo HTTP/1.1\r\nHost: a\r\n\r\n' 'GET /none HTTP/1.1\r\nHost: a\r\n\r\n' \
        'GET /up/echo HTTP/1.1\r\nHost: a\r\n\r\n' 'GET /up/echo HTTP/1.1\r\nHost: a\r\n\r\n' >"$T/raw"
    same 3 "$(grep -ao 'HTTP/1\.1 [0-9]' "$T/raw" | wc -l)"
    same 1 "$(grep -aic '^Connection: close' "$T/raw")"
    same '200 404 200 closed' "$(raw 127.0.0.1 9080 'GET /up/echo HTTP/1.1\r\nHost: a\r\n\r\n' \
        'GET /none HTTP/1.1\r\nHost: a\r\n\r\n' 'GET /up/echo HTTP/1.1\r\nHost: a\r\n\r\n' \
        'GET /up/echo HTTP/1.1\r\nHost: a\r\n\r\n')"
}

@test "with keepalive_requests 0 a connection carries any number" {
    restart_limited --set http.keepalive_requests=0
    same $'1\n1000' "$(ns_run "$GW" curl -s -w '%{num_connects}\n' -o /dev/null "$PROXY/none?[1-1001]" | sort | uniq -c |
        awk '$2 == 1 { print $1 } $2 == 0 { print $1 }' | sort -n)"
    restart_limited
}

# --- connections ------------------------------------------------------------------------------------------------------------

@test "more connections than max_connections_total are reset, over all workers, and counted" {
    restart_limited --set http.max_connections_total=10
    same $'10 closed after 1\n5 reset after 0' "$(slow silent 15)"
    same 5 "$(server connections_limited)"
    wait_for has_active 0
    same $'10 closed after 1' "$(slow silent 10)"
    restart_limited
}

@test "more connections of one source than max_connections_per_source are reset, over all workers, and counted" {
    restart_limited --set http.max_connections_per_source=4
    same $'4 closed after 1\n3 reset after 0' "$(slow silent 7)"
    same 3 "$(server connections_limited)"
    wait_for has_active 0
    # One source at its limit is none of another's business.
    (ns_exec "$GW" /usr/bin/python3 "$BATS_TEST_DIRNAME/slow.py" silent 127.0.0.1 9080 4) >"$T/four" 2>&1 3>&- 4>&- &
    local holder=$!
    wait_for has_active 4
    same 404 "$(status_of client_curl /none)"
    wait "$holder"
    same '4 closed after 1' "$(<"$T/four")"
    same 404 "$(status_of gw_curl /none)"
    restart_limited
}

@test "a trusted proxy may have any number of connections, each client that its PROXY headers name has not" {
    restart_limited --set http.max_connections_per_source=2 --set 'http.trusted_proxies=[127.0.0.1]' \
        --set 'listen=["0.0.0.0:9080", "0.0.0.0:9082 proxy_protocol"]'
    same '20 closed after 1' "$(slow silent 20)"
    same $'2 closed after 1\n3 reset after 0' \
        "$(ns_run "$GW" /usr/bin/python3 "$BATS_TEST_DIRNAME/slow.py" silent 127.0.0.1 9082 5 'PROXY TCP4 203.0.113.4 127.0.0.1 1 9082\r\n')"
    same '5 closed after 1' \
        "$(ns_run "$GW" /usr/bin/python3 "$BATS_TEST_DIRNAME/slow.py" silent 127.0.0.1 9082 5 'PROXY UNKNOWN\r\n')"
    wait_for has_active 0
    same '200 closed' "$(raw 127.0.0.1 9082 'PROXY TCP4 203.0.113.4 127.0.0.1 1 9082\r\nGET /up/echo HTTP/1.0\r\n\r\n')"
    restart_limited
}

has_active()
{
    [[ $(server connections_active) -eq $1 ]]
}
