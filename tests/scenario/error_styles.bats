#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-2-Clause
# errors.style: whose error answers keygate's own look like, to the byte; and what the environment says about the key's header.
# shellcheck disable=SC2154 # bats sets status, output and lines

load helper

setup_file()
{
    export BATS_NO_PARALLELIZE_WITHIN_FILE=true
    file_begin
    start_upstream
    printf 'a key' >"$T/key"
    start_styled kong
    make service --name up --url http://127.0.0.1:8001
    make route --service up --name keyed --paths /keyed
    make plugin --name key-auth --route keyed
    make route --service up --name realm --paths /realm
    make plugin --name key-auth --route realm --config 'realm=a "b"' --config key_names=apikey
    make consumer --username alice
    kctl key create --consumer alice --key-file "$T/key"
    make route --name lost --paths /lost
    make service --name dead --url http://127.0.0.1:9 --retries 0
    make route --service dead --name dead --paths /dead
}

teardown_file()
{
    file_end
}

teardown()
{
    show_log
}

# start_styled STYLE [NAME=VALUE...]: with these in its environment.
start_styled()
{
    local STYLE=$1

    if [[ -e $T/pids/keygated ]]; then
        stop_keygated
    fi
    in_background keygated env "${@:2}" "$KEYGATED" --config "$CONFIG" --set guard.threshold=0 \
        --set 'http.trusted_proxies=[127.0.0.1]' --set "errors.style=$STYLE"
    ready keygated "$KEYCTL" status
}

# says STATUS TYPE BODY CURL…: an answer of keygate's own with this Content-Type and exactly this body; its head is in $T/head.
says()
{
    gw_curl "${@:4}" -D "$T/head" -o "$T/body"
    like "^HTTP/1\.1 $1 " "$(head -n 1 "$T/head")"
    same "$2" "$(header Content-Type "$T/head")"
    printf %b "$3" | cmp - "$T/body" || same "$3" "$(<"$T/body")"
    same "$(stat -c %s "$T/body")" "$(header Content-Length "$T/head")"
    like '^keygate' "$(header Server "$T/head")"
    like '^[0-9a-f]{32}$' "$(header X-Request-Id "$T/head")"
}

default_names()
{
    admin /schemas/plugins/key-auth | jq -c '.. | objects | select(has("key_names")).key_names.default'
}

@test "kong: 96 bytes for a missing key and 81 for a wrong one, to HEAD too" {
    local options

    for options in '' --head; do
        # shellcheck disable=SC2086 # none or one
        gw_curl /keyed/echo $options -D "$T/head" -o "$T/body"
        same 96 "$(header Content-Length "$T/head")"
        same Key "$(header WWW-Authenticate "$T/head")"
        # shellcheck disable=SC2086 # none or one
        gw_curl /keyed/echo $options -H 'apikey:12' -D "$T/head" -o "$T/body"
        same 81 "$(header Content-Length "$T/head")"
        same 'application/json; charset=utf-8' "$(header Content-Type "$T/head")"
    done
    gw_curl /keyed/echo -o "$T/body"
    kong_error 'No API key found in request' "$T/body"
    gw_curl /keyed/echo -H 'apikey: 12' -o "$T/body"
    kong_error Unauthorized "$T/body"
}

@test "apisix: its messages, one line each, as text, whatever Accept says" {
    local type='text/plain; charset=utf-8'

    start_styled apisix
    says 401 "$type" '{"message":"Missing API key found in request"}\n' /keyed/echo
    same 'apikey realm="key"' "$(header WWW-Authenticate "$T/head")"
    says 401 "$type" '{"message":"Invalid API key in request"}\n' /keyed/echo -H 'apikey: bad' -H 'Accept: text/html'
    says 401 "$type" '{"message":"Invalid API key in request"}\n' '/keyed/echo?apikey=1&apikey=2'
    says 401 "$type" '{"message":"Missing API key found in request"}\n' /realm/echo
    same 'apikey realm="a \"b\""' "$(header WWW-Authenticate "$T/head")"
    says 404 "$type" '{"error_msg":"404 Route Not Found"}\n' /nowhere
    says 503 "$type" '{"error_msg":"no Service found with those values"}\n' /lost
    says 502 "$type" '{"error_msg":"An invalid response was received from the upstream server"}\n' /dead
    says 405 "$type" '{"error_msg":"Method not allowed"}\n' /keyed -X TRACE
    same 200 "$(status_of gw_curl /keyed/echo -H "apikey: $(<"$T/key")")"
}

@test "apisix: a client behind a trusted proxy that is banned is told so in its words" {
    kctl ban create 203.0.113.7 --ttl 1h
    says 403 'text/plain; charset=utf-8' '{"message":"Your IP address is not allowed"}\n' /keyed -H 'X-Forwarded-For: 203.0.113.7'
    kctl ban delete 203.0.113.7
}

@test "apisix: what explain tells is what a client sees" {
    answers 200 '.answer == {status: 401, message: "Missing API key found in request", www_authenticate: "apikey realm=\"key\""}' \
        /explain -H "$JSON" -d '{"url": "/keyed/echo"}'
}

@test "apim: message and status, and one message for whoever is not let in" {
    local refused='{\n"message": "Invalid authentication credentials",\n"status": 401\n}'

    start_styled apim
    says 401 application/json "$refused" /keyed/echo
    same Key "$(header WWW-Authenticate "$T/head")"
    says 401 application/json "$refused" /keyed/echo -H 'apikey: bad' -H 'Accept: text/plain'
    says 401 application/json "$refused" '/keyed/echo?apikey=1&apikey=2'
    says 404 application/json '{\n"message": "no Route matched with those values",\n"status": 404\n}' /nowhere
    says 502 application/json '{\n"message": "An invalid response was received from the upstream server",\n"status": 502\n}' /dead
}

@test "the default of key_names is apikey, of style apim x-apim-key, and what KEYGATE_KEY_HEADER says before both" {
    start_styled kong
    same '["apikey"]' "$(default_names)"
    start_styled kong KEYGATE_KEY_HEADER=
    same '["apikey"]' "$(default_names)"
    start_styled apim KEYGATE_KEY_HEADER=
    same '["x-apim-key"]' "$(default_names)"
    start_styled kong KEYGATE_KEY_HEADER=X-Token
    same '["X-Token"]' "$(default_names)"
    start_styled apim KEYGATE_KEY_HEADER=X-Token
    same '["X-Token"]' "$(default_names)"
}

@test "it holds for plugins that are made from then on; those that are there keep theirs" {
    start_styled kong KEYGATE_KEY_HEADER=X-Token
    make route --service up --name later --paths /later
    make plugin --name key-auth --route later
    same 200 "$(status_of gw_curl /later/echo -H "x-token: $(<"$T/key")")"
    same 401 "$(status_of gw_curl /later/echo -H "apikey: $(<"$T/key")")"
    same 200 "$(status_of gw_curl /keyed/echo -H "apikey: $(<"$T/key")")"
    start_styled kong
    same 200 "$(status_of gw_curl /later/echo -H "x-token: $(<"$T/key")")"
    kctl route delete later
}

@test "a KEYGATE_KEY_HEADER that is no header's name ends the start with a sentence" {
    stop_keygated
    KEYGATE_KEY_HEADER='x key' refuses_to_start
    same "keygated: the environment variable KEYGATE_KEY_HEADER: expected a header's name, 1 to 64 of A-Z, a-z, 0-9, '_' and '-'" "$sentence"
    KEYGATE_KEY_HEADER='x key' refuses_to_start --check
    start_styled kong
}

@test "another style is refused by name" {
    refuses_to_start --check --set errors.style=nginx
    same 'keygated: --set errors.style: expected one of kong, apisix, apim, got "nginx"' "$sentence"
}
