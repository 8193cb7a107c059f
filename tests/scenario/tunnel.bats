#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-2-Clause
# Tunnels: a request that asks for WebSocket, an upstream that takes it with 101, and from then on bytes both ways (RFC 9110, 7.8).
# tunnel.py is both sides as raw sockets, websocket.py speaks the real protocol.
# shellcheck disable=SC2154 # bats sets status and output

load helper

setup_file()
{
    file_begin
    join_abuser
    start_upstream
    in_background websocket /usr/bin/python3 "$BATS_TEST_DIRNAME/websocket.py" serve 8003
    ready websocket ns_run "$GW" bash -c 'echo >/dev/tcp/127.0.0.1/8003'
    start_gateway
    make service --name up --url http://127.0.0.1:8001
    make route --service up --name up --paths /up
    make service --name raw --url http://127.0.0.1:8002 --read-timeout 1000
    make route --service raw --name raw --paths /tunnel
    make service --name chat --url http://127.0.0.1:8003
    make route --service chat --name chat --paths /chat
    make route --service chat --name keyed --paths /keyed
    make plugin --name key-auth --route keyed
    make consumer --username alice
    make_key alice >"$T/alice.key"
}

start_gateway()
{
    start_keygated --set workers=1 --set drain_timeout=3s --set 'http.trusted_proxies=[127.0.0.1]'
}

teardown_file()
{
    file_end
}

teardown()
{
    show_log
}

tunnel()
{
    ns_run "$GW" /usr/bin/python3 "$BATS_TEST_DIRNAME/tunnel.py" "$1" 9080 8002
}

websocket()
{
    ns_run "$GW" /usr/bin/python3 "$BATS_TEST_DIRNAME/websocket.py" "$@"
}

# hold NAME [HEADER...]: opens a tunnel in the background; $T/NAME.log says what becomes of it.
hold()
{
    in_background "$1" /usr/bin/python3 "$BATS_TEST_DIRNAME/websocket.py" hold 127.0.0.1:9080/chat "${@:2}"
    wait_for says "$1" open
}

# says NAME WORD: the last line of the program's output so far.
says()
{
    [[ $(tail -n 1 "$T/$1.log") == "$2" ]]
}

tunnels()
{
    [[ $(kctl status -o json | jq .server.tunnels_active) == "$1" ]]
}

# --- before the 101 -----------------------------------------------------------------------------------------------------

@test "each side of an upgrade gets its own head, the Sec-WebSocket headers as they are" {
    tunnel heads
}

@test "client bytes behind the request wait for the 101, then go on in their order" {
    tunnel client-early
}

@test "upstream bytes behind the 101 reach the client" {
    tunnel upstream-early
}

@test "a 101 may come in pieces" {
    tunnel upstream-cut
}

@test "a refused upgrade leaves the connection HTTP, and the next request may ask again" {
    tunnel refused
}

@test "frames sent before a refusal are no request, and reach nobody" {
    tunnel refused-frames
}

@test "a 101 that nobody asked for: 502" {
    tunnel not-asked
}

@test "a 101 for another protocol than the one asked for: 502" {
    tunnel other-protocol
}

@test "HTTP/1.0, a body or another method than GET makes no tunnel" {
    tunnel not-now
}

@test "policies run before an upgrade" {
    same 401 "$(websocket talk 127.0.0.1:9080/keyed)"
    same 'echoed 1140515' "$(websocket talk 127.0.0.1:9080/keyed "apikey: $(<"$T/alice.key")")"
}

# --- the tunnel ------------------------------------------------------------------------------------------------------------

@test "WebSocket as it is spoken: messages of every size, ping, an orderly Close" {
    same 'echoed 1140515' "$(websocket talk 127.0.0.1:9080/chat)"
}

@test "bytes that look like HTTP pass like all others" {
    tunnel bytes-pass
}

@test "one side may end and the other go on" {
    tunnel half-close-client
    tunnel half-close-upstream
}

@test "a client may end its side even before the 101" {
    tunnel half-close-early
}

@test "the end of one side comes behind all of its bytes" {
    tunnel half-close-full
}

@test "a reset is passed on" {
    tunnel reset-client
    tunnel reset-upstream
}

@test "a tunnel in which nothing moves ends after read_timeout" {
    tunnel idle
}

@test "bytes in either direction keep a tunnel open" {
    tunnel not-idle
}

@test "the upstream connection of a tunnel is never used again" {
    tunnel not-pooled
}

@test "a reader who does not read holds the sender back, in constant memory, and gets all once it reads" {
    local before gate=$T/flood.gate
    before=$(memory VmRSS)
    forget_peak
    in_background flood /usr/bin/python3 "$BATS_TEST_DIRNAME/websocket.py" flood 127.0.0.1:9080/chat 67108864 "$gate"
    wait_for -t 20 sending_stands_still
    [[ ${most_sent#*:} -lt 67108864 ]] || same 'less than was to be sent' "$most_sent"
    stayed_small "$before"
    same 200 "$(status_of gw_curl /up/echo)"
    touch "$gate"
    wait_for -t 60 gone "$(pid_of flood)"
    rm "$T/pids/flood"
    same 'echoed 67108864' "$(<"$T/flood.log")"
    stayed_small "$before"
}

@test "status shows how many tunnels are open" {
    wait_for tunnels 0
    hold one
    hold two
    wait_for tunnels 2
    end_of one
    wait_for tunnels 1
    end_of two
    wait_for tunnels 0
    same 'echoed 1140515' "$(websocket talk 127.0.0.1:9080/chat)"
    wait_for tunnels 0
}

@test "the bytes of a tunnel count for its consumer" {
    local before
    used()
    {
        kctl stats -o json | jq -r "(.data? // .)[] | select(.name == \"alice\" or .consumer == \"alice\") | .$1"
    }
    before=$(used bytes_in)
    websocket talk 127.0.0.1:9080/keyed "apikey: $(<"$T/alice.key")"
    counted()
    {
        local in out
        in=$(used bytes_in)
        out=$(used bytes_out)
        [[ $((in - ${before:-0})) -gt 1140515 && $((in - ${before:-0})) -lt 1142515 && $out -gt 1140515 ]]
    }
    wait_for counted
}

# --- the end ---------------------------------------------------------------------------------------------------------------

@test "a ban ends the tunnels of its source" {
    (ns_exec "$ID-abuser" /usr/bin/python3 "$BATS_TEST_DIRNAME/websocket.py" hold 198.51.100.1:9080/chat) \
        </dev/null >"$T/abuser.log" 2>&1 3>&- 4>&- &
    echo $! >"$T/pids/abuser"
    disown
    wait_for says abuser open
    hold other
    kctl ban create 198.51.100.66
    wait_for says abuser reset
    wait_for gone "$(pid_of abuser)"
    rm "$T/pids/abuser"
    wait_for tunnels 1
    says other open
    end_of other
}

@test "a ban of a client behind a trusted proxy ends its tunnels, and nobody else's" {
    hold banned 'X-Forwarded-For: 203.0.113.5'
    hold other 'X-Forwarded-For: 203.0.113.6'
    kctl ban create 203.0.113.5
    wait_for says banned reset
    wait_for tunnels 1
    rm "$T/pids/banned"
    says other open
    end_of other
    kctl ban delete 203.0.113.5
}

@test "an orderly stop leaves a tunnel its time, and is over when the tunnel is" {
    local started
    hold last
    kill -TERM "$(pid_of keygated)"
    refused()
    {
        run gw_curl /up/echo
        [[ $status -eq 7 ]]
    }
    wait_for refused
    says last open
    started=$(now_ms)
    end_of last
    wait_for -t 15 gone "$(pid_of keygated)"
    [[ $(($(now_ms) - started)) -lt 2500 ]]
    rm "$T/pids/keygated"
    like 'stopped: every request ended' "$(tail -n 1 "$T/keygated.log")"
    start_gateway
}

@test "a tunnel that nobody ends is cut after drain_timeout" {
    local started
    hold stubborn
    started=$(now_ms)
    kill -TERM "$(pid_of keygated)"
    wait_for -t 15 gone "$(pid_of keygated)"
    [[ $(($(now_ms) - started)) -ge 2900 ]]
    rm "$T/pids/keygated"
    wait_for says stubborn closed
    wait_for gone "$(pid_of stubborn)"
    rm "$T/pids/stubborn"
}
