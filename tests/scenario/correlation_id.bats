#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-2-Clause
# correlation-id on the wire: what the upstream and the client see of it.
# shellcheck disable=SC2154 # bats sets status, output and lines

load helper

UUID='[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}'

setup_file()
{
    file_begin
    start_upstream
    start_keygated --set workers=1 --set guard.threshold=0
    make service --name up --url http://127.0.0.1:8001
    local route
    for route in counted uuid tracker echoed request-id; do
        make route --service up --name "$route" --paths "/$route"
    done
    make plugin --name correlation-id --route counted
    make plugin --name correlation-id --route uuid --config generator=uuid --config header_name=X-Trace
    make plugin --name correlation-id --route tracker --config generator=tracker
    make plugin --name correlation-id --route echoed --config echo_downstream=true
    make plugin --name key-auth --route echoed
    make plugin --name correlation-id --route request-id --config header_name=X-Request-ID --config echo_downstream=true
}

teardown_file()
{
    file_end
}

teardown()
{
    show_log
}

# told PATH NAME [CURL OPTION...]: what the upstream is told in this header.
told()
{
    upstream_header "$2" "$(gw_curl "$1" "${@:3}")"
}

@test "an id of its worker and a number that rises" {
    local first second
    first=$(told /counted/echo Kong-Request-ID)
    second=$(told /counted/echo Kong-Request-ID)
    like "^$UUID#[0-9]+\$" "$first"
    same "${first%#*}#$((${first#*#} + 1))" "$second"
}

@test "a uuid, under the name that was asked for" {
    local first
    first=$(told /uuid/echo X-Trace)
    like "^$UUID\$" "$first"
    [[ $(told /uuid/echo X-Trace) != "$first" ]]
    same '' "$(told /uuid/echo Kong-Request-ID)"
}

@test "a tracker: address, port, process, connection, request on it, time" {
    local tracker
    tracker=$(told /tracker/echo Kong-Request-ID)
    like "^127\.0\.0\.1-9080-$(pid_of keygated)-[0-9]+-1-[0-9]{10}\.[0-9]{3}\$" "$tracker"
    ns_run "$GW" curl -s "$PROXY/tracker/echo" "$PROXY/tracker/echo" >"$T/two"
    tracker=$(jq -rs '.[1].headers[] | select(.[0] == "Kong-Request-ID")[1]' <"$T/two")
    like '-2-[0-9]{10}\.' "$tracker"
}

@test "what the client sends stays, unless it is too long or no text" {
    same mine "$(told /counted/echo Kong-Request-ID -H 'kong-request-id: mine')"
    same mine "$(told /counted/echo Kong-Request-ID -H 'Kong-Request-ID: mine' -H 'Kong-Request-ID: too')"
    like "^$UUID#" "$(told /counted/echo Kong-Request-ID -H "Kong-Request-ID: $(printf '%0257d' 0)")"
    like "^$UUID#" "$(told /counted/echo Kong-Request-ID -H $'Kong-Request-ID: caf\xe9')"
}

@test "the client is told nothing of it, unless echo_downstream says so" {
    gw_curl /counted/echo -D "$T/head" -o "$T/body"
    same '' "$(header Kong-Request-ID "$T/head")"
}

@test "echo_downstream: also of a request that is refused" {
    local key
    make consumer --username alice
    key=$(make_key alice)
    gw_curl /echoed/echo -H "apikey: $key" -D "$T/head" -o "$T/body"
    like "^$UUID#[0-9]+\$" "$(header Kong-Request-ID "$T/head")"
    same "$(upstream_header Kong-Request-ID "$(<"$T/body")")" "$(header Kong-Request-ID "$T/head")"
    gw_curl /echoed/echo -H 'Kong-Request-ID: mine' -D "$T/head" -o "$T/body"
    like '^HTTP/1\.1 401' "$(head -n 1 "$T/head")"
    same mine "$(header Kong-Request-ID "$T/head")"
}

@test "as X-Request-Id it takes the place of the gateway's own" {
    gw_curl /request-id/echo -H 'X-Request-Id: mine' -D "$T/head" -o "$T/body"
    same mine "$(header X-Request-Id "$T/head")"
    same mine "$(upstream_header X-Request-Id "$(<"$T/body")")"
    gw_curl /request-id/echo -D "$T/head" -o "$T/body"
    like "^$UUID#" "$(header X-Request-Id "$T/head")"
    like "^$UUID#" "$(upstream_header X-Request-Id "$(<"$T/body")")"
    # Where no plugin asks for it, it is what it always is.
    gw_curl /counted/echo -H 'X-Request-Id: mine' -D "$T/head" -o "$T/body"
    like '^[0-9a-f]{32}$' "$(header X-Request-Id "$T/head")"
}

@test "a header of the gateway's own is refused when it is written" {
    answers 400 '.message == "schema violation (config.header_name: '\''Host'\'' is written by the gateway itself)"' \
        /plugins -d name=correlation-id -d config.header_name=Host
}
