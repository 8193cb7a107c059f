#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-2-Clause
# Several targets behind one service: who gets a request, what happens when one fails, how it is taken out and comes back.
# shellcheck disable=SC2154,SC2016 # bats sets status and output; dollars in single quotes are jq's

load helper

setup_file()
{
    file_begin
    start_target 8001
    start_target 8002
    openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=target.test -addext subjectAltName=DNS:target.test -days 2 \
        -keyout "$T/key.pem" -out "$T/cert.pem" 2>/dev/null
    start_keygated --set workers=2 --set "upstream.trusted_certificates=$T/cert.pem"
}

teardown_file()
{
    file_end
}

# Each test has an upstream of its own, named by its number, so that nothing is left of the one before.
setup()
{
    UP=up$BATS_TEST_NUMBER
    start_target 8001
    start_target 8002
}

teardown()
{
    show_log
}

# start_target PORT: upstream.py there, unless it is running.
start_target()
{
    local name=target-$1

    if [[ -e $T/pids/$name ]]; then
        return
    fi
    in_background "$name" /usr/bin/python3 "$BATS_TEST_DIRNAME/upstream.py" "$1"
    ready "$name" ns_run "$GW" curl -s -o /dev/null "http://127.0.0.1:$1/echo"
}

# kill_target PORT: at once, with all its connections.
kill_target()
{
    kill -KILL "$(pid_of "target-$1")"
    wait_for gone "$(pid_of "target-$1")"
    rm "$T/pids/target-$1"
}

target_curl()
{
    ns_run "$GW" curl -s --max-time 20 "http://127.0.0.1:$1$2"
}

# counted PATH: how many requests for it the two targets have seen.
counted()
{
    jq -s --arg path "$1" 'map(.requests[$path] // 0) | add' <<<"$(target_curl 8001 /counts) $(target_curl 8002 /counts)"
}

# post PATH JSON: through the Admin API; must be created.
post()
{
    same 201 "$(admin_status "$1" -H 'Content-Type: application/json' -d "$2")" || {
        cat "$T/body"
        return 1
    }
}

patch()
{
    same 200 "$(admin_status "$1" -X PATCH -H 'Content-Type: application/json' -d "$2")" || {
        cat "$T/body"
        return 1
    }
}

# upstream JSON SERVICE-JSON [TARGET…]: an upstream with these fields, its targets (8001 and 8002 unless said otherwise), a service
# and the route /$UP.
upstream()
{
    local fields=$1 service=$2 target

    shift 2
    [[ $# -gt 0 ]] || set -- 127.0.0.1:8001 127.0.0.1:8002
    post /upstreams "$(jq -c --arg name "$UP.test" '. + {name: $name}' <<<"$fields")"
    for target; do
        post "/upstreams/$UP.test/targets" "{\"target\": \"${target%=*}\", \"weight\": $([[ $target == *=* ]] && echo "${target#*=}" || echo 100)}"
    done
    post /services "$(jq -c --arg name "$UP" '{name: $name, host: ($name + ".test"), port: 80} + .' <<<"$service")"
    make route --service "$UP" --name "$UP" --paths "/$UP"
}

# ports COUNT PATH [CURL OPTION...]: which target answered each of so many requests on one connection, which is one worker's.
ports()
{
    gw_curl "/$UP$2?n=[1-$1]" "${@:3}" | jq .port
}

# tally PORTS: how many of each, "PORT COUNT" a line.
tally()
{
    sort <<<"$1" | uniq -c | awk '{ print $2, $1 }'
}

# has_more PATH COUNT: the targets have seen more requests for it than that.
has_more()
{
    (($(counted "$1") > $2))
}

# share TALLY: so 20 requests are shared.
share()
{
    [[ $(tally "$(ports 20 /echo)") == "$1" ]]
}

has_lines()
{
    (($(wc -l <"$2") >= $1))
}

# statuses COUNT PATH [CURL OPTION...]: their tally.
statuses()
{
    tally "$(gw_curl "/$UP$2?n=[1-$1]" -o /dev/null -w '%{http_code}\n' "${@:3}")"
}

logged()
{
    grep -q "upstream $UP.test: $1" "$T/keygated.log"
}

# fresh_targets: no connection to them is kept any more.
fresh_targets()
{
    kill_target 8001
    kill_target 8002
    start_target 8001
    start_target 8002
}

# leave_by_reset PATH: a client that asks and is gone once the target has the request.
leave_by_reset()
{
    local before
    before=$(counted "${1##*/}")
    in_background leaving /usr/bin/python3 -c '
import socket, struct, sys
sock = socket.create_connection(("127.0.0.1", 9080))
sock.sendall(b"GET %b HTTP/1.1\r\nHost: a\r\n\r\n" % sys.argv[1].encode())
sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
sock.recv(1)' "$1"
    wait_for has_more "${1##*/}" "$before"
    kill -KILL "$(pid_of leaving)"
    rm "$T/pids/leaving"
}

server_figure()
{
    kctl status -o json | jq ".server.$1"
}

# --- who gets a request ---------------------------------------------------------------------------------------------------

@test "requests go to the targets by their weights" {
    upstream '{}' '{}' 127.0.0.1:8001=300 127.0.0.1:8002=100
    same $'8001 75\n8002 25' "$(tally "$(ports 100 /echo)")"
}

@test "the Host is that of the target chosen, or the upstream's, or the client's" {
    upstream '{}' '{}'
    holds '.port == 8001 or .port == 8002' "$(gw_curl "/$UP/echo")"
    for _ in 1 2 3 4; do
        holds '(.headers[] | select(.[0] == "Host") | .[1]) == "127.0.0.1:\(.port)"' "$(gw_curl "/$UP/echo")"
    done
    patch "/upstreams/$UP.test" '{"host_header": "one.example"}'
    same one.example "$(upstream_header host "$(gw_curl "/$UP/echo")")"
    patch "/routes/$UP" '{"preserve_host": true}'
    same asked.example "$(upstream_header host "$(gw_curl "/$UP/echo" -H 'Host: asked.example')")"
}

@test "least-connections leaves a busy target alone" {
    local busy others

    upstream '{"algorithm": "least-connections"}' '{}'
    in_background waiting curl -s --max-time 60 "$PROXY/$UP/gate-sink:$UP"
    wait_for has_more "gate-sink:$UP" 0
    others=$(tally "$(ports 20 /echo)")
    same 20 "${others#* }"
    target_curl "${others%% *}" "/open:$UP" >/dev/null
    busy=$((8001 + 8002 - ${others%% *}))
    target_curl "$busy" "/open:$UP" >/dev/null
    wait_for gone "$(pid_of waiting)"
    rm "$T/pids/waiting"
    # Idle again: as many for each.
    same $'8001 10\n8002 10' "$(tally "$(ports 20 /echo)")"
}

@test "a request whose client has left, or that got no answer, is no load" {
    upstream '{"algorithm": "least-connections"}' '{"retries": 2, "read_timeout": 200}'
    same 504 "$(status_of gw_curl "/$UP/silent")"
    same 502 "$(status_of gw_curl "/$UP/raw:nothing")"
    patch "/services/$UP" '{"read_timeout": 60000}'
    for _ in 1 2 3; do
        leave_by_reset "/$UP/silent"
    done
    wait_for share $'8001 10\n8002 10'
}

@test "hashing by a header is sticky, and spreads" {
    local user port seen=''

    upstream '{"algorithm": "consistent-hashing", "hash_on": "header", "hash_on_header": "X-User"}' '{}'
    for user in {1..12}; do
        port=$(gw_curl "/$UP/echo" -H "X-User: $user" | jq .port)
        same "$port 5" "$(tally "$(ports 5 /echo -H "X-User: $user")")"
        seen+=$port$'\n'
    done
    same 2 "$(tally "${seen%$'\n'}" | wc -l)"
    # Who lacks the header takes turns.
    same $'8001 10\n8002 10' "$(tally "$(ports 20 /echo)")"
}

@test "a client without the cookie is given one, and comes back to the same target with it" {
    local port cookie

    upstream '{"algorithm": "consistent-hashing", "hash_on": "cookie", "hash_on_cookie": "place", "hash_on_cookie_path": "/x"}' '{}'
    for _ in 1 2 3 4 5; do
        port=$(gw_curl "/$UP/echo" -D "$T/head" | jq .port)
        cookie=$(header Set-Cookie "$T/head")
        like '^place=[0-9a-f]{16}; Path=/x; HttpOnly$' "$cookie"
        same "$port 5" "$(tally "$(ports 5 /echo -H "Cookie: a=b; ${cookie%%;*}" -D "$T/head")")"
        same '' "$(header Set-Cookie "$T/head")"
    done
}

@test "an upstream whose targets are all out: 503" {
    upstream '{}' '{}' 127.0.0.1:8001=0
    gw_curl "/$UP/echo" -D "$T/head" -o "$T/body"
    like '^HTTP/1\.1 503 ' "$(head -n 1 "$T/head")"
    kong_error 'failure to get a peer from the ring-balancer' "$T/body"
}

# --- a target that fails ----------------------------------------------------------------------------------------------------

@test "a target that is gone costs nobody an answer while another try is left" {
    local before

    upstream '{}' '{"retries": 1}'
    same '200 20' "$(statuses 20 /echo)"
    before=$(server_figure upstream_retries)
    kill_target 8002
    same '200 20' "$(statuses 20 /echo)"
    # Each second one had to be sent to the other target, and with its name.
    same "$((before + 10))" "$(server_figure upstream_retries)"
    for _ in 1 2 3 4; do
        same 127.0.0.1:8001 "$(upstream_header host "$(gw_curl "/$UP/echo")")"
    done
    # Nothing was sent to the one that refuses: POST may try another one as well, with its body.
    same $'8001 10' "$(tally "$(ports 10 /echo -d abc)")"
}

@test "the Host of each try fits in a longer or shorter place" {
    upstream '{}' '{"retries": 1}' 127.0.0.1:8001 localhost:1
    for _ in 1 2 3 4; do
        same 'POST 3' "$(gw_curl "/$UP/echo" -d abc -o "$T/body" && jq -r '"\(.method) \(.body)"' "$T/body")"
        same 127.0.0.1:8001 "$(upstream_header host "$(<"$T/body")")"
    done
}

@test "a target that dies in the middle of a request: 502, and the next request goes elsewhere" {
    local victim

    upstream '{"healthchecks": {"passive": {"unhealthy": {"tcp_failures": 1}}}}' '{"retries": 0}'
    in_background waiting curl -s -o /dev/null -w '%{http_code}' --max-time 60 "$PROXY/$UP/gate-sink:$UP"
    wait_for has_more "gate-sink:$UP" 0
    victim=8001
    (($(target_curl 8001 /counts | jq ".requests[\"gate-sink:$UP\"] // 0") == 1)) || victim=8002
    kill_target "$victim"
    wait_for gone "$(pid_of waiting)"
    rm "$T/pids/waiting"
    same 502 "$(<"$T/waiting.log")"
    same "$((8001 + 8002 - victim)) 20" "$(tally "$(ports 20 /echo)")"
    wait_for logged "127.0.0.1 (127.0.0.1:$victim) is unhealthy"
}

@test "a target killed in the middle of traffic costs one answer at most, without any retry" {
    local seen

    upstream '{"healthchecks": {"passive": {"unhealthy": {"tcp_failures": 1}}}}' '{"retries": 0}'
    in_background traffic curl -s -o /dev/null -w '%{http_code}\n' --max-time 60 "$PROXY/$UP/echo?n=[1-3000]"
    wait_for has_lines 100 "$T/traffic.log"
    kill_target 8001
    wait_for -t 60 gone "$(pid_of traffic)"
    rm "$T/pids/traffic"
    seen=$(tally "$(<"$T/traffic.log")")
    like $'^200 (3000|2999\n502 1)$' "$seen"
}

@test "POST is not sent twice, GET is" {
    fresh_targets
    upstream '{}' '{"retries": 1}'
    same 502 "$(status_of gw_curl "/$UP/raw:nothing" -X POST)"
    same 502 "$(status_of gw_curl "/$UP/raw:nothing" -d abc)"
    same 502 "$(status_of gw_curl "/$UP/raw:nothing" -X PATCH -d abc)"
    same 3 "$(counted raw:nothing)"
    same 502 "$(status_of gw_curl "/$UP/raw:nothing")"
    same 5 "$(counted raw:nothing)"
    same 502 "$(status_of gw_curl "/$UP/raw:nothing" -X PUT)"
    same 7 "$(counted raw:nothing)"
    # Its body has gone out with the first try.
    same 502 "$(status_of gw_curl "/$UP/raw:nothing" -X PUT -d abc)"
    same 8 "$(counted raw:nothing)"
}

@test "an answer that has begun is no longer tried again" {
    local before

    upstream '{}' '{"retries": 5}'
    before=$(counted raw:head-cut)
    same 502 "$(status_of gw_curl "/$UP/raw:head-cut")"
    same 502 "$(status_of gw_curl "/$UP/raw:garbage")"
    same "$((before + 1))" "$(counted raw:head-cut)"
    same 1 "$(counted raw:garbage)"
}

@test "a target that says nothing: GET is sent to the other one too, POST is not" {
    local before

    before=$(counted silent)
    upstream '{}' '{"retries": 1, "read_timeout": 300}'
    same 504 "$(status_of gw_curl "/$UP/silent")"
    same "$((before + 2))" "$(counted silent)"
    same 504 "$(status_of gw_curl "/$UP/silent" -X POST)"
    same "$((before + 3))" "$(counted silent)"
}

@test "no retries are none, and one target is tried as often as retries say" {
    local before

    fresh_targets
    upstream '{}' '{"retries": 0}' 127.0.0.1:8001
    before=$(counted raw:nothing)
    same 502 "$(status_of gw_curl "/$UP/raw:nothing")"
    same "$((before + 1))" "$(counted raw:nothing)"
    patch "/services/$UP" '{"retries": 3}'
    same 502 "$(status_of gw_curl "/$UP/raw:nothing")"
    same "$((before + 5))" "$(counted raw:nothing)"
}

# --- health -------------------------------------------------------------------------------------------------------------------

@test "bad answers in a row take a target out, and none left is 503" {
    upstream '{"healthchecks": {"passive": {"unhealthy": {"http_failures": 3, "http_statuses": [500]}}}}' '{"retries": 0}' 127.0.0.1:8001
    same '500 2' "$(statuses 2 /status:500)"
    same '200 1' "$(statuses 1 /echo)"
    same '500 2' "$(statuses 2 /status:500)"
    same '200 1' "$(statuses 1 /echo)"
    same '500 3' "$(statuses 3 /status:500)"
    gw_curl "/$UP/echo" -o "$T/body"
    kong_error 'failure to get a peer from the ring-balancer' "$T/body"
    wait_for logged '127.0.0.1 (127.0.0.1:8001) is unhealthy and gets no requests (in a row: 3 bad statuses'
}

@test "a client that waits for 100 Continue and sends no body takes no target out" {
    local waits='Host: a\r\nContent-Length: 5\r\n'

    upstream '{"healthchecks": {"passive": {"unhealthy": {"timeouts": 1}}}}' '{"retries": 0, "read_timeout": 300}' 127.0.0.1:8001
    like '^504' "$(raw 127.0.0.1 9080 "POST /$UP/silent HTTP/1.1\r\n${waits}Expect: 100-continue\r\n\r\n")"
    same '200 1' "$(statuses 1 /echo)"
    like '^504' "$(raw 127.0.0.1 9080 "POST /$UP/silent HTTP/1.1\r\n$waits\r\nhello")"
    same '503 1' "$(statuses 1 /echo)"
}

@test "an active check takes a target out and brings it back" {
    upstream '{"healthchecks": {"active": {"http_path": "/health", "timeout": 1, "healthy": {"interval": 0.1, "successes": 2},
        "unhealthy": {"interval": 0.1, "http_failures": 2, "tcp_failures": 2, "timeouts": 2}}}}' '{"retries": 0}'
    share $'8001 10\n8002 10'
    target_curl 8002 /set-health:500 >/dev/null
    wait_for share '8001 20'
    wait_for logged '127.0.0.1 (127.0.0.1:8002) is unhealthy and gets no requests (in a row: 2 bad statuses'
    target_curl 8002 /set-health:200 >/dev/null
    wait_for share $'8001 10\n8002 10'
    wait_for logged '127.0.0.1 (127.0.0.1:8002) is healthy again'
    kill_target 8001
    wait_for share '8002 20'
    start_target 8001
    wait_for share $'8001 10\n8002 10'
}

@test "a probe by https checks the certificate by the settings' CA and the name, unless told not to" {
    in_background secure openssl s_server -accept 127.0.0.1:8443 -www -quiet -cert "$T/cert.pem" -key "$T/key.pem"
    ready secure ns_run "$GW" curl -sk -o /dev/null https://127.0.0.1:8443/
    upstream '{"healthchecks": {"active": {"type": "https", "timeout": 2, "healthy": {"interval": 0.1, "successes": 1, "http_statuses": [200]},
        "unhealthy": {"interval": 0.1, "tcp_failures": 2}}}}' '{}' 127.0.0.1:8443
    becomes() { logged "127.0.0.1 (127.0.0.1:8443) is $1" && [[ $(grep -c "upstream $UP.test: .* is " "$T/keygated.log") == "$2" ]]; }
    wait_for becomes 'unhealthy and gets no requests (in a row: 0 bad statuses, 2 broken' 1
    patch "/upstreams/$UP.test" '{"healthchecks": {"active": {"https_sni": "target.test"}}}'
    wait_for becomes 'healthy again' 2
    patch "/upstreams/$UP.test" '{"healthchecks": {"active": {"https_sni": "other.test"}}}'
    wait_for becomes 'unhealthy' 3
    patch "/upstreams/$UP.test" '{"healthchecks": {"active": {"https_verify_certificate": false}}}'
    wait_for becomes 'healthy again' 4
    end_of secure
}

@test "an upstream that is deleted or changed is probed accordingly at once" {
    local before

    upstream '{"healthchecks": {"active": {"http_path": "/first", "healthy": {"interval": 0.05}}}}' '{}'
    wait_for has_more first 4
    patch "/upstreams/$UP.test" '{"healthchecks": {"active": {"http_path": "/second"}}}'
    wait_for has_more second 0
    before=$(counted first)
    wait_for has_more second 6
    same "$before" "$(counted first)"
    same 204 "$(admin_status "/routes/$UP" -X DELETE)"
    same 204 "$(admin_status "/services/$UP" -X DELETE)"
    same 204 "$(admin_status "/upstreams/$UP.test" -X DELETE)"
    before=$(counted second)
    # The time in which twenty more would have come.
    sleep 0.5
    same "$before" "$(counted second)"
}
