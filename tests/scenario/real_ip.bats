#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-2-Clause
# Whose request it is behind proxies: trusted ones are believed, by headers and by the PROXY protocol, all others are not; bans
# hit the client and never the proxy.
# shellcheck disable=SC2154 # bats sets status and output

load helper

# 127.0.0.1 and 198.51.100.66 are proxies, 192.0.2.10 and 198.51.100.67 strangers.
TRUSTED='[127.0.0.1, 198.51.100.66, 10.0.0.0/8]'

setup_file()
{
    file_begin
    join_client
    join_abuser
    start_upstream
    start_behind_proxies
    make service --name up --url http://127.0.0.1:8001
    make route --service up --name up --paths /up
    make route --service up --name safe --paths /safe --protocols https
    make route --service up --name moved --paths /moved --protocols https --https-redirect-status-code 308
    make route --service up --name locked --paths /locked
    make plugin --name key-auth --route locked
    make consumer --username alice
    make_key alice --key alice-key
}

start_behind_proxies()
{
    start_keygated --set 'listen=["0.0.0.0:9080", "0.0.0.0:9082 proxy_protocol"]' --set workers=1 --set http.header_timeout=1s \
        --set "http.trusted_proxies=$TRUSTED" --set guard.threshold=3 "$@"
}

teardown_file()
{
    file_end
}

teardown()
{
    show_log
}

# echoed NAME JSON: what the service got of this header.
echoed()
{
    upstream_header "$@"
}

# from_proxy CLIENT PATH [OPTION...]: by the trusted 127.0.0.1, on behalf of CLIENT.
from_proxy()
{
    gw_curl "$2" -H "X-Forwarded-For: $1" "${@:3}"
}

# with_header HEADER: a request by the trusted 127.0.0.1 behind a PROXY protocol header; prints what the service got.
with_header()
{
    raw --show 127.0.0.1 9082 "$1" "GET /up/echo HTTP/1.1\r\nHost: a\r\n${2-}Connection: close\r\n\r\n" | sed '1,/^\r$/d'
}

# server FIELD: a figure of the status.
server()
{
    kctl status -o json | jq ".server.$1"
}

V2='\r\n\r\n\0\r\nQUIT\n'

# --- headers ----------------------------------------------------------------------------------------------------------------

@test "a trusted proxy names the client, and the list of proxies goes on" {
    local got
    got=$(from_proxy '203.0.113.9, 203.0.113.7, 10.1.1.1' /up/echo)
    same 203.0.113.7 "$(echoed X-Real-IP "$got")"
    same '203.0.113.9, 203.0.113.7, 10.1.1.1, 127.0.0.1' "$(echoed X-Forwarded-For "$got")"
    got=$(from_proxy '2001:db8:5::1' /up/echo)
    same '2001:db8:5::1' "$(echoed X-Real-IP "$got")"
    got=$(from_proxy 'nobody' /up/echo)
    same 127.0.0.1 "$(echoed X-Real-IP "$got")"
}

@test "a stranger names nobody" {
    local got
    got=$(client_curl /up/echo -H 'X-Forwarded-For: 203.0.113.9')
    same 192.0.2.10 "$(echoed X-Real-IP "$got")"
    same '203.0.113.9, 192.0.2.10' "$(echoed X-Forwarded-For "$got")"
}

@test "scheme, host, port and request id are kept from a trusted proxy" {
    local got id=00112233445566778899aabbccddeeff
    got=$(gw_curl /up/echo -H 'X-Forwarded-Proto: https' -H 'X-Forwarded-Host: shop.example' -H 'X-Forwarded-Port: 8443' \
        -H "X-Request-Id: $id" -H 'X-Forwarded-Path: /forged' -D "$T/head")
    same https "$(echoed X-Forwarded-Proto "$got")"
    same shop.example "$(echoed X-Forwarded-Host "$got")"
    same 8443 "$(echoed X-Forwarded-Port "$got")"
    same /up/echo "$(echoed X-Forwarded-Path "$got")"
    same "$id" "$(echoed X-Request-Id "$got")"
    same "$id" "$(header X-Request-Id "$T/head")"
    got=$(gw_curl /up/echo -H 'X-Request-Id: not-hex-digits')
    like '^[0-9a-f]{32}$' "$(echoed X-Request-Id "$got")"
    got=$(gw_curl /up/echo)
    same http "$(echoed X-Forwarded-Proto "$got")"
    same 127.0.0.1 "$(echoed X-Forwarded-Host "$got")"
    same 9080 "$(echoed X-Forwarded-Port "$got")"
}

@test "Forwarded goes on from a trusted proxy, and from nobody else" {
    same 'for=203.0.113.9' "$(echoed Forwarded "$(gw_curl /up/echo -H 'Forwarded: for=203.0.113.9')")"
    same '' "$(echoed Forwarded "$(client_curl /up/echo -H 'forwarded: for=203.0.113.9')")"
}

@test "scheme, host, port and request id of a stranger are replaced" {
    local got id=00112233445566778899aabbccddeeff
    got=$(client_curl /up/echo -H 'X-Forwarded-Proto: https' -H 'X-Forwarded-Host: shop.example' -H 'X-Forwarded-Port: 8443' \
        -H "X-Request-Id: $id")
    same http "$(echoed X-Forwarded-Proto "$got")"
    same 192.0.2.1 "$(echoed X-Forwarded-Host "$got")"
    same 9080 "$(echoed X-Forwarded-Port "$got")"
    unlike "$id" "$(echoed X-Request-Id "$got")"
}

@test "a route for https alone takes a trusted proxy's word for it, and nobody else's" {
    same 200 "$(status_of gw_curl /safe/echo -H 'X-Forwarded-Proto: https')"
    same 426 "$(status_of gw_curl /safe/echo -H 'X-Forwarded-Proto: http')"
    same 426 "$(status_of gw_curl /safe/echo)"
    same 426 "$(status_of client_curl /safe/echo -H 'X-Forwarded-Proto: https')"
    gw_curl /moved/echo?a=1 -H 'X-Forwarded-Host: shop.example' -D "$T/head"
    same 'https://shop.example/moved/echo?a=1' "$(header Location "$T/head")"
}

@test "real_ip_header may be any header, real_ip_recursive may be off" {
    local got
    stop_keygated
    start_behind_proxies --set http.real_ip_header=CF-Connecting-IP --set http.real_ip_recursive=false
    got=$(from_proxy 203.0.113.9 /up/echo -H 'CF-Connecting-IP: 203.0.113.1, 10.0.0.7')
    same 10.0.0.7 "$(echoed X-Real-IP "$got")"
    stop_keygated
    start_behind_proxies
}

# --- bans -------------------------------------------------------------------------------------------------------------------

@test "failures behind a proxy ban the client there, whose requests are answered 403, and nobody else" {
    local before
    before=$(server requests_banned)
    for _ in 1 2 3; do
        same 401 "$(status_of from_proxy 203.0.113.50 /locked/echo -H 'apikey: wrong')"
    done
    wait_for kctl ban get 203.0.113.50
    # On one connection: the banned client, another, the banned one again with a good key.
    same $'403 1\n200 0\n403 0' "$(ns_run "$GW" curl -s -w '%{http_code} %{num_connects}\n' \
        -H 'X-Forwarded-For: 203.0.113.50' -o /dev/null "$PROXY/up/echo" --next \
        -s -w '%{http_code} %{num_connects}\n' -H 'X-Forwarded-For: 203.0.113.51' -o /dev/null "$PROXY/up/echo" --next \
        -s -w '%{http_code} %{num_connects}\n' -H 'X-Forwarded-For: 203.0.113.50' -H 'apikey: alice-key' -o /dev/null \
        "$PROXY/locked/echo")"
    from_proxy 203.0.113.50 /up/echo -o "$T/body"
    kong_error 'Address is banned' "$T/body"
    same $((before + 3)) "$(server requests_banned)"
    same '["203.0.113.50"]' "$(bans | jq -c 'map(.address)')"
    kctl ban delete 203.0.113.50
    same 200 "$(status_of from_proxy 203.0.113.50 /up/echo)"
}

@test "a ban of a client behind a proxy leaves the proxy's connections alone" {
    (ns_exec "$GW" curl -s -o /dev/null -w '%{http_code}' -H 'X-Forwarded-For: 203.0.113.60' "$PROXY/up/trickle:20") \
        >"$T/trickle" 2>&1 3>&- 4>&- &
    local reader=$!
    wait_for asked trickle:20
    kctl ban create 203.0.113.60
    wait_for has_status 403 from_proxy 203.0.113.60 /up/echo
    wait "$reader"
    same 200 "$(<"$T/trickle")"
    kctl ban delete 203.0.113.60
}

asked()
{
    [[ $(upstream_curl /counts | jq ".requests.\"$1\" // 0") -gt 0 ]]
}

@test "a trusted proxy can never be banned" {
    run -1 kctl ban create 198.51.100.66
    like '198\.51\.100\.66 cannot be banned: 198\.51\.100\.66 is in http\.trusted_proxies' "$output"
    for _ in 1 2 3 4 5 6; do
        same 401 "$(status_of abuser_curl 198.51.100.66 /locked/echo -H 'apikey: wrong')"
    done
    for _ in 1 2 3; do
        same 401 "$(status_of abuser_curl 198.51.100.67 /locked/echo -H 'apikey: wrong')"
    done
    # The stranger's signals came after the proxy's, so those have been judged as well.
    wait_for kctl ban get 198.51.100.67
    same '["198.51.100.67"]' "$(bans | jq -c 'map(.address)')"
    same 401 "$(status_of abuser_curl 198.51.100.66 /locked/echo -H 'apikey: wrong')"
    kctl ban delete 198.51.100.67
}

# --- the PROXY protocol -----------------------------------------------------------------------------------------------------

@test "version 1 as curl sends it" {
    local got
    got=$(ns_run "$GW" curl -s --haproxy-protocol http://127.0.0.1:9082/up/echo)
    same 127.0.0.1 "$(echoed X-Real-IP "$got")"
    same 9082 "$(echoed X-Forwarded-Port "$got")"
}

@test "versions 1 and 2 name the client" {
    local got
    got=$(with_header 'PROXY TCP4 203.0.113.4 127.0.0.1 1 9082\r\n')
    same 203.0.113.4 "$(echoed X-Real-IP "$got")"
    same 203.0.113.4 "$(echoed X-Forwarded-For "$got")"
    got=$(with_header 'PROXY TCP6 2001:db8:5::4 ::1 1 9082\r\n')
    same '2001:db8:5::4' "$(echoed X-Real-IP "$got")"
    got=$(with_header "$V2"'!\x11\0\x0c\xcb\0q\x05\x7f\0\0\x01\0\x01#z')
    same 203.0.113.5 "$(echoed X-Real-IP "$got")"
    # With an extension of 3 bytes.
    got=$(with_header "$V2"'!\x11\0\x12\xcb\0q\x06\x7f\0\0\x01\0\x01#z\x04\0\x03abc')
    same 203.0.113.6 "$(echoed X-Real-IP "$got")"
}

@test "a header that names nobody leaves the connection's own address" {
    same 127.0.0.1 "$(echoed X-Real-IP "$(with_header 'PROXY UNKNOWN\r\n')")"
    same 127.0.0.1 "$(echoed X-Real-IP "$(with_header "$V2"' \0\0\0')")"
}

@test "a header may come in pieces, and with the whole request" {
    same '200 closed' "$(raw --split 127.0.0.1 9082 'PRO' 'XY TCP4 203.0.113.4 127.0.0.1 1' ' 9082\r' '\nGET /up/e' \
        'cho HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n')"
    same '200 closed' "$(raw 127.0.0.1 9082 'PROXY UNKNOWN\r\nGET /up/echo HTTP/1.0\r\n\r\n')"
    same '200 closed' "$(raw 127.0.0.1 9082 \
        'PROXY UNKNOWN\r\nPOST /up/sink HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello')"
}

@test "without a header, or with a malformed one, the connection is closed and counted" {
    local before
    before=$(server malformed_requests)
    like '^(reset|closed)$' "$(raw 127.0.0.1 9082 'GET /up/echo HTTP/1.1\r\nHost: a\r\n\r\n')"
    like '^(reset|closed)$' "$(raw 127.0.0.1 9082 'PROXY TCP4 203.0.113.4 127.0.0.1 1\r\n')"
    like '^(reset|closed)$' "$(raw 127.0.0.1 9082 "$V2"'!\x99\0\0')"
    same $((before + 3)) "$(server malformed_requests)"
}

@test "a header that does not come in time ends the connection" {
    same closed "$(raw 127.0.0.1 9082 'PROXY TCP4 ')"
    same '408 closed' "$(raw 127.0.0.1 9082 'PROXY UNKNOWN\r\nGET / HTTP/1.1\r\n')"
}

@test "a header on a listener without the protocol is a malformed request" {
    same '400 closed' "$(raw 127.0.0.1 9080 'PROXY TCP4 203.0.113.4 127.0.0.1 1 9080\r\nGET /up/echo HTTP/1.1\r\nHost: a\r\n\r\n')"
}

@test "a stranger's header is read and not believed" {
    ns_run "$ID-client" /usr/bin/python3 "$BATS_TEST_DIRNAME/raw.py" --show 192.0.2.1 9082 \
        'PROXY TCP4 203.0.113.4 192.0.2.1 1 9082\r\n' 'GET /up/echo HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n' >"$T/raw"
    same 192.0.2.10 "$(echoed X-Real-IP "$(sed '1,/^\r$/d' "$T/raw")")"
}

@test "whom a PROXY header names is believed no more than if he had come himself" {
    local got
    got=$(with_header 'PROXY TCP4 203.0.113.4 127.0.0.1 1 9082\r\n' 'X-Forwarded-For: 203.0.113.9\r\nX-Forwarded-Proto: https\r\n')
    same 203.0.113.4 "$(echoed X-Real-IP "$got")"
    same http "$(echoed X-Forwarded-Proto "$got")"
    same '203.0.113.9, 203.0.113.4' "$(echoed X-Forwarded-For "$got")"
    got=$(with_header 'PROXY TCP4 10.0.0.4 127.0.0.1 1 9082\r\n' 'X-Forwarded-For: 203.0.113.9\r\nX-Forwarded-Proto: https\r\n')
    same 203.0.113.9 "$(echoed X-Real-IP "$got")"
    same https "$(echoed X-Forwarded-Proto "$got")"
}

@test "with real_ip_header proxy_protocol no header of a request names anybody" {
    local got
    stop_keygated
    start_behind_proxies --set http.real_ip_header=proxy_protocol
    got=$(with_header 'PROXY TCP4 10.0.0.4 127.0.0.1 1 9082\r\n' 'X-Forwarded-For: 203.0.113.9\r\n')
    same 10.0.0.4 "$(echoed X-Real-IP "$got")"
    got=$(from_proxy 203.0.113.9 /up/echo)
    same 127.0.0.1 "$(echoed X-Real-IP "$got")"
    stop_keygated
    start_behind_proxies
}

@test "whom a PROXY header names is banned without harm to the proxy" {
    local hello='PROXY TCP4 203.0.113.70 127.0.0.1 1 9082\r\n'
    for _ in 1 2 3; do
        same '401 closed' "$(raw 127.0.0.1 9082 "$hello" \
            'GET /locked/echo HTTP/1.1\r\nHost: a\r\napikey: wrong\r\nConnection: close\r\n\r\n')"
    done
    wait_for is_reset "$hello"
    same '"203.0.113.70"' "$(bans | jq -c '.[].address')"
    [[ $(server connections_banned) -gt 0 ]]
    same '200 closed' "$(raw 127.0.0.1 9082 'PROXY UNKNOWN\r\nGET /up/echo HTTP/1.0\r\n\r\n')"
    kctl ban delete 203.0.113.70
}

@test "a ban of whom a PROXY header names resets his connections, and not the proxy's others" {
    local his others
    trickled his 203.0.113.71 &
    his=$!
    trickled others 203.0.113.72 &
    others=$!
    wait_for -t 5 asked_twice trickle:21
    kctl ban create 203.0.113.71
    wait "$his" "$others"
    like 'reset$' "$(<"$T/his")"
    same '200 closed' "$(<"$T/others")"
    kctl ban delete 203.0.113.71
}

# trickled NAME ADDRESS: a slow answer to whom a PROXY header names; how it ended goes to $T/NAME.
trickled()
{
    ns_exec "$GW" /usr/bin/python3 "$BATS_TEST_DIRNAME/raw.py" 127.0.0.1 9082 "PROXY TCP4 $2 127.0.0.1 1 9082\r\n" \
        'GET /up/trickle:21 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n' >"$T/$1" 2>&1 3>&- 4>&-
}

asked_twice()
{
    [[ $(upstream_curl /counts | jq ".requests.\"$1\" // 0") -eq 2 ]]
}

is_reset()
{
    [[ $(raw 127.0.0.1 9082 "$1" 'GET /up/echo HTTP/1.1\r\nHost: a\r\n\r\n') == reset ]]
}
