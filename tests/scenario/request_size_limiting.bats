#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-2-Clause
# request-size-limiting on the wire: announced lengths, chunked bodies, and who waits for 100 Continue.
# shellcheck disable=SC2154 # bats sets status, output and lines

load helper

setup_file()
{
    file_begin
    start_upstream
    start_keygated --set http.client_max_body_size=1m --set guard.threshold=0
    make service --name up --url http://127.0.0.1:8001
    local route
    for route in limited strict wide none; do
        make route --service up --name "$route" --paths "/$route"
    done
    make plugin --name request-size-limiting --route limited --config allowed_payload_size=2 --config size_unit=kilobytes
    make plugin --name request-size-limiting --route strict --config allowed_payload_size=2 --config size_unit=kilobytes \
        --config require_content_length=true
    make plugin --name request-size-limiting --route wide
    make plugin --name request-size-limiting --route none --config allowed_payload_size=0
    head -c 2048 /dev/zero >"$T/fits"
    head -c 2049 /dev/zero >"$T/long"
    head -c 300000 /dev/zero >"$T/longer"
    head -c 1048577 /dev/zero >"$T/longest"
}

teardown_file()
{
    file_end
}

teardown()
{
    show_log
}

# refused STATUS MESSAGE PATH [CURL OPTION...]
refused()
{
    gw_curl "${@:3}" -D "$T/head" -o "$T/body"
    like "^HTTP/1\.1 $1" "$(tail -n +1 "$T/head" | grep '^HTTP' | tail -n 1)"
    kong_error "$2" "$T/body"
}

# requests NAME: how many the upstream has had by this last part of the path.
requests()
{
    upstream_curl /counts | jq ".requests.\"$1\" // 0"
}

@test "a body of the limit passes, one byte more is 413" {
    holds '.body == 2048' "$(gw_curl /limited/echo --data-binary "@$T/fits" -H 'Expect:')"
    refused 413 'Request size limit exceeded' /limited/echo --data-binary "@$T/long" -H 'Expect:'
    has_status 200 gw_curl /limited/echo
}

@test "the upstream never hears of a body that is announced to be too long" {
    local before
    before=$(requests sink)
    refused 413 'Request size limit exceeded' /limited/sink --data-binary "@$T/longer" -H 'Expect:'
    same "$before" "$(requests sink)"
}

@test "who waits for 100 Continue gets 417, and has sent nothing of its body" {
    refused 417 'Request size limit exceeded' /limited/echo --data-binary "@$T/long" -H 'Expect: 100-continue' -w '%{size_upload}' >"$T/sent"
    same 0 "$(<"$T/sent")"
    holds '.body == 2048' "$(gw_curl /limited/echo --data-binary "@$T/fits" -H 'Expect: 100-continue')"
}

@test "who was told to send its body, since a key may be in it, gets 413" {
    make route --service up --name collected --paths /collected
    make plugin --name request-size-limiting --route collected --config allowed_payload_size=9 --config size_unit=bytes
    make consumer --username alice
    make plugin --name key-auth --route collected --config key_in_body=true
    make_key alice >"$T/key"
    local form head='POST /collected/sink HTTP/1.1\r\nHost: a\r\nContent-Type: application/x-www-form-urlencoded\r\n'
    form="apikey=$(<"$T/key")"
    same '100 413 open' "$(raw --wait-100 127.0.0.1 9080 "${head}Content-Length: ${#form}\r\nExpect: 100-continue\r\n\r\n" "$form")"
}

@test "a chunked body is cut off at the limit while it comes" {
    holds '.body == 2048' "$(gw_curl /limited/echo --data-binary "@$T/fits" -H 'Transfer-Encoding: chunked')"
    refused 413 'Request size limit exceeded' /limited/sink --data-binary "@$T/long" -H 'Transfer-Encoding: chunked'
    refused 413 'Request size limit exceeded' /limited/sink --data-binary "@$T/longer" -H 'Transfer-Encoding: chunked'
}

@test "many small chunks are added up" {
    local chunks seen
    chunks=$(printf '%0205d' 0)
    chunks=${chunks//0/'a\r\n0123456789\r\n'} # 2,050 bytes
    seen=$(raw 127.0.0.1 9080 'POST /limited/sink HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n' "$chunks" '0\r\n\r\n')
    same '413 closed' "$seen"
}

@test "require_content_length: a chunked body is 411, no body at all is none to measure" {
    refused 411 'A valid Content-Length header is required' /strict/echo --data-binary "@$T/fits" -H 'Transfer-Encoding: chunked'
    has_status 200 gw_curl /strict/echo --data-binary "@$T/fits"
    refused 413 'Request size limit exceeded' /strict/echo --data-binary "@$T/long" -H 'Expect:'
    has_status 200 gw_curl /strict/echo
}

@test "a limit of nothing lets requests without a body pass alone" {
    has_status 200 gw_curl /none/echo
    refused 413 'Request size limit exceeded' /none/echo -d x
    refused 413 'Request size limit exceeded' /none/echo -d x -H 'Transfer-Encoding: chunked'
}

@test "the limit of the settings stays, and says so itself" {
    refused 413 'Payload too large' /wide/echo --data-binary "@$T/longest" -H 'Expect:'
    refused 413 'Payload too large' /wide/sink --data-binary "@$T/longest" -H 'Transfer-Encoding: chunked'
}
