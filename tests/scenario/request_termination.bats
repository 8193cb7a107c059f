#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-2-Clause
# request-termination on the wire: what a client gets instead of the service's answer.
# shellcheck disable=SC2154 # bats sets status, output and lines

load helper

setup_file()
{
    export BATS_NO_PARALLELIZE_WITHIN_FILE=true
    file_begin
    start_upstream
    start_keygated --set guard.threshold=0
    make service --name up --url http://127.0.0.1:8001
    local route
    for route in plain said page json debug status keyed; do
        make route --service up --name "$route" --paths "/$route"
    done
    make plugin --name request-termination --route plain
    make plugin --name request-termination --route said --config status_code=403 --config 'message=So long'
    make plugin --name request-termination --route page --config status_code=200 --config 'body=<p>Back at 5.</p>' \
        --config content_type=text/html
    make plugin --name request-termination --route json --config 'body={"closed":true}'
    make plugin --name request-termination --route debug --config status_code=200 --config echo=true --config trigger=X-Debug
    make plugin --name request-termination --route status >"$T/status"
    make plugin --name key-auth --route keyed --config hide_credentials=true
}

teardown_file()
{
    file_end
}

teardown()
{
    show_log
}

@test "503 in the gateway's own form, and nothing goes upstream" {
    local before
    before=$(upstream_curl /counts | jq '.requests.echo // 0')
    gw_curl /plain/echo -D "$T/head" -o "$T/body"
    like '^HTTP/1\.1 503 ' "$(head -n 1 "$T/head")"
    kong_error 'Service unavailable' "$T/body"
    gw_curl /plain/echo -H 'Accept: text/plain' -o "$T/body"
    same 'Service unavailable' "$(head -n 1 "$T/body")"
    same "$before" "$(upstream_curl /counts | jq '.requests.echo // 0')"
}

@test "status and message that were said" {
    gw_curl /said/echo -D "$T/head" -o "$T/body"
    like '^HTTP/1\.1 403 ' "$(head -n 1 "$T/head")"
    kong_error 'So long' "$T/body"
}

@test "a body is sent as it is, with its type" {
    gw_curl /page/echo -D "$T/head" -o "$T/body"
    same '<p>Back at 5.</p>' "$(<"$T/body")"
    same text/html "$(header Content-Type "$T/head")"
    same 17 "$(header Content-Length "$T/head")"
    gw_curl /json/echo -H 'Accept: text/html' -D "$T/head" -o "$T/body"
    same '{"closed":true}' "$(<"$T/body")"
    same 'application/json; charset=utf-8' "$(header Content-Type "$T/head")"
    same '' "$(gw_curl /page/echo -I | tail -n 1 | tr -d '\r\n')"
}

@test "a large body, and one that a client sends along, do no harm to what follows" {
    local body
    body=$(printf '%032768d' 7)
    answers 200 '.config.status_code == 503' "/plugins/$(<"$T/status")" -X PATCH --data-urlencode "config.body=$body"
    same "$body" "$(gw_curl /status/echo)"
    ns_run "$GW" curl -s "$PROXY/status/echo" "$PROXY/status/echo" >"$T/two"
    same 65536 "$(stat -c %s "$T/two")"
    head -c 100000 /dev/zero >"$T/zeros"
    has_status 503 gw_curl /status/echo --data-binary "@$T/zeros"
    answers 200 '.config.body == null' "/plugins/$(<"$T/status")" -X PATCH -d config.body=
}

# ends_as STATUS HEAD: two requests on one connection both get it, so the answer ended where the client took it to end.
ends_as()
{
    answers 200 ".config.status_code == $1" "/plugins/$(<"$T/status")" -X PATCH -d "config.status_code=$1"
    same "$1 $1 closed" "$(raw 127.0.0.1 9080 'GET /status/echo HTTP/1.1\r\nHost: a\r\n\r\n' \
        'GET /status/echo HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n')"
    rm -f "$T/body"
    gw_curl /status/echo -D "$T/head" -o "$T/body"
}

@test "a status without a body has none, and no length of one" {
    local status
    for status in 204 304; do
        ends_as "$status"
        same '' "$(header Content-Length "$T/head")$(header Content-Type "$T/head")"
        [[ ! -s $T/body ]] || same nothing "$(<"$T/body")"
    done
    ends_as 205
    same 0 "$(header Content-Length "$T/head")"
    ends_as 418
    same 0 "$(header Content-Length "$T/head")"
    ends_as 401
    same Key "$(header WWW-Authenticate "$T/head")"
    kong_error Unauthorized "$T/body"
}

@test "a trigger: only requests that carry it are answered" {
    has_status 200 gw_curl /debug/echo
    holds '.target == "/echo"' "$(gw_curl /debug/echo)"
    holds '.request.method == "GET"' "$(gw_curl /debug/echo -H 'X-Debug: 1')"
    holds '.request.query["X-Debug"] == true' "$(gw_curl '/debug/echo?X-Debug')"
}

@test "an echo tells what the gateway has made of the request" {
    local echo
    echo=$(gw_curl '/debug/a/../b%20c?x=1&x=2&y=%22' -X PATCH -H 'X-Debug: on' -H 'X-Two: 1' -H 'X-Two: 2')
    holds '.request | .scheme == "http" and .host == "127.0.0.1" and .port == 9080 and .method == "PATCH"' "$echo"
    holds '.request.path == "/debug/b%20c" and .request.query == {"x": ["1", "2"], "y": "\""}' "$echo"
    holds '.request.headers["x-two"] == ["1", "2"] and .request.headers["x-debug"] == "on"' "$echo"
    holds '.matched_route.name == "debug" and .matched_service.name == "up"' "$echo"
}

@test "it comes last: who has no key gets 401, and one for a consumer is for that one alone" {
    local key other
    make consumer --username alice
    make consumer --username bob
    key=$(make_key alice) other=$(make_key bob)
    make plugin --name request-termination --consumer alice --route keyed --config status_code=402 --config echo=true
    has_status 401 gw_curl /keyed/echo
    has_status 402 gw_curl "/keyed/echo?apikey=$key"
    has_status 200 gw_curl "/keyed/echo?apikey=$other"
    # A key that is hidden is hidden here too.
    unlike "$key" "$(gw_curl "/keyed/echo?apikey=$key")$(gw_curl /keyed/echo -H "apikey: $key")"
}

@test "what contradicts itself is refused when it is written" {
    answers 400 '.fields == {config: {"@entity": ["message cannot be used with content_type or body"]}}' \
        /plugins -d name=request-termination -d config.message=a -d config.body=b
    answers 400 '.fields == {config: {"@entity": ["content_type requires a body"]}}' \
        /plugins -d name=request-termination -d config.content_type=text/plain
    answers 400 '.message == "schema violation (config.status_code: value should be between 200 and 599)"' \
        /plugins -d name=request-termination -d config.status_code=100
}
