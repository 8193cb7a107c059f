#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-2-Clause
# ip-restriction on the wire. Clients are whom the trusted proxy 127.0.0.1 names.
# shellcheck disable=SC2154 # bats sets status, output and lines

load helper

setup_file()
{
    export BATS_NO_PARALLELIZE_WITHIN_FILE=true
    file_begin
    start_upstream
    start_keygated --set 'http.trusted_proxies=[127.0.0.1]' --set 'guard.threshold=3'
    make service --name up --url http://127.0.0.1:8001
    local route
    for route in allow deny both said open keyed; do
        make route --service up --name "$route" --paths "/$route"
    done
    make plugin --name ip-restriction --route allow --config allow=192.0.2.0/24,2001:db8::/32
    make plugin --name ip-restriction --route deny --config deny=198.51.100.7
    make plugin --name ip-restriction --route both --config allow=198.51.100.7 --config deny=198.51.100.0/24
    make plugin --name ip-restriction --route said --config deny=0.0.0.0/0 --config status=404 \
        --config 'message=Not "here"'
    make consumer --username alice
    make_key alice >"$T/key"
}

teardown_file()
{
    file_end
}

teardown()
{
    show_log
}

# from ADDRESS PATH [CURL OPTION...]
from()
{
    gw_curl "$2" -H "X-Forwarded-For: $1" "${@:3}"
}

@test "allow lets those pass that it names, and nobody else" {
    has_status 200 from 192.0.2.9 /allow/echo
    has_status 200 from 2001:db8::9 /allow/echo
    has_status 200 from ::ffff:192.0.2.9 /allow/echo
    has_status 403 from 192.0.3.9 /allow/echo
    from 2001:db9::9 /allow/echo -D "$T/head" -o "$T/body"
    like '^HTTP/1\.1 403 Forbidden' "$(head -n 1 "$T/head")"
    same '' "$(header WWW-Authenticate "$T/head")"
    kong_error 'IP address not allowed: 2001:db9::9' "$T/body"
}

@test "deny turns away those that it names, and nobody else" {
    has_status 403 from 198.51.100.7 /deny/echo
    has_status 200 from 198.51.100.8 /deny/echo
}

@test "deny wins over an allow that says more" {
    has_status 403 from 198.51.100.7 /both/echo
    has_status 403 from 192.0.2.9 /both/echo
}

@test "status and message are the ones that were said" {
    from 192.0.2.9 /said/echo -D "$T/head" -o "$T/body"
    like '^HTTP/1\.1 404' "$(head -n 1 "$T/head")"
    kong_error 'Not \"here\"' "$T/body"
}

@test "an address that only a stranger names is not believed" {
    # 127.0.0.2 is nobody's proxy: what counts is where the connection comes from.
    make plugin --name ip-restriction --route open --config deny=127.0.0.2 >"$T/id"
    has_status 403 ns_run "$GW" curl -s --interface 127.0.0.2 "$PROXY/open/echo" -H 'X-Forwarded-For: 192.0.2.9'
    has_status 200 from 127.0.0.3 /open/echo
    kctl plugin delete "$(<"$T/id")"
}

@test "what can be no address is refused when it is written" {
    answers 400 '.message == "schema violation (config.allow.2: invalid ip or cidr range: '\''10.0.0.0/33'\'')"' \
        /routes/open/plugins -d name=ip-restriction -d 'config.allow[]=10.0.0.0/8' -d 'config.allow[]=10.0.0.0/33'
    answers 400 '.fields["@entity"] == ["at least one of these fields must be non-empty: '\''config.allow'\'', '\''config.deny'\''"]' \
        /routes/open/plugins -d name=ip-restriction
    answers 200 '.entity_checks == [{"at_least_one_of":["config.allow","config.deny"]}]' /schemas/plugins/ip-restriction
}

# banned_at_all: whether anybody is.
banned_at_all()
{
    holds 'length > 0' "$(bans)"
}

@test "a denied source is turned away before its key is looked up, and gathers no score" {
    local i
    make plugin --name key-auth --route keyed
    make plugin --name ip-restriction --route keyed --config deny=198.51.100.0/24 >"$T/id"
    for ((i = 0; i < 8; i++)); do
        from 198.51.100.9 /keyed/echo -H 'apikey: wrong' -o "$T/body"
        kong_error 'IP address not allowed: 198.51.100.9' "$T/body"
    done
    # Another one's wrong keys do count, and were heard of after those.
    for ((i = 0; i < 3; i++)); do
        from 192.0.2.77 /keyed/echo -H 'apikey: wrong' -o "$T/body"
    done
    wait_for banned_at_all
    holds '[.[].address] == ["192.0.2.77"]' "$(bans)"
    kctl ban delete 192.0.2.77
    kctl plugin delete "$(<"$T/id")"
}

@test "one for a consumer runs besides, and after the key has told who it is" {
    kctl plugin create --name ip-restriction --route keyed --config deny=198.51.100.0/24 -o json | jq -r .id >"$T/id"
    make plugin --name ip-restriction --consumer alice --config allow=192.0.2.0/24 >"$T/own"
    from 203.0.113.5 /keyed/echo -o "$T/body"
    kong_error 'No API key found in request' "$T/body"
    from 203.0.113.5 /keyed/echo -H "apikey: $(<"$T/key")" -o "$T/body"
    kong_error 'IP address not allowed: 203.0.113.5' "$T/body"
    has_status 200 from 192.0.2.5 /keyed/echo -H "apikey: $(<"$T/key")"
    # That of the route stays what it is.
    has_status 403 from 198.51.100.5 /keyed/echo -H "apikey: $(<"$T/key")"
    # Others are not restricted by alice's.
    has_status 200 from 203.0.113.5 /open/echo
    kctl plugin delete "$(<"$T/id")"
    kctl plugin delete "$(<"$T/own")"
}

@test "twenty thousand networks are taken at once and each of them counts" {
    local address
    make plugin --name ip-restriction --route open --config deny=203.0.113.1 >"$T/id"
    jq -nc '{config: {deny: [range(20000) | "10.\(. / 256 | floor).\(. % 256).0/25"]}}' >"$T/many.json"
    answers 200 '.config.deny | length == 20000' "/plugins/$(<"$T/id")" -X PATCH -H "$JSON" -d "@$T/many.json" --max-time 5
    for address in 10.0.0.0 10.39.7.100 10.78.31.127; do
        has_status 403 from "$address" /open/echo
    done
    for address in 10.0.0.128 10.39.7.200 10.78.31.128 10.78.32.0; do
        has_status 200 from "$address" /open/echo
    done
    kctl plugin delete "$(<"$T/id")"
}
