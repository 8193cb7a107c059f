#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-2-Clause
# Keys in bodies, on the wire: how bodies come in, how large they may be, and what of them goes on.
# shellcheck disable=SC2154,SC2016 # bats sets status and output; dollars in single quotes are jq's

load helper

setup_file()
{
    file_begin
    start_httpbin
    start_upstream
    start_bodies
    make service --name upstream --url http://127.0.0.1:8001
    make route --service upstream --name keyed --paths /keyed
    make plugin --name key-auth --route keyed --config key_in_body=true
    make route --service upstream --name hidden --paths /hidden
    make plugin --name key-auth --route hidden --config key_in_body=true --config hide_credentials=true
    make service --name httpbin --url http://127.0.0.1:8000
    make route --service httpbin --name anything --paths /anything --strip-path false
    make plugin --name key-auth --route anything --config key_in_body=true --config hide_credentials=true
    make service --name nobody --url http://127.0.0.1:8009
    make route --service nobody --name nobody --paths /nobody
    make plugin --name key-auth --route nobody --config key_in_body=true
    make consumer --username alice
    make_key alice >"$T/alice.key"
}

start_bodies()
{
    start_keygated --set workers=1 --set guard.threshold=0 "$@"
}

restart_bodies()
{
    stop_keygated
    start_bodies "$@"
}

teardown_file()
{
    file_end
}

setup()
{
    ALICE=$(<"$T/alice.key")
}

teardown()
{
    show_log
}

# post PATH BODY-LENGTH-OR-HEADERS TEXT…: raw bytes of a form; prints statuses and how it ended.
post()
{
    raw 127.0.0.1 9080 "POST $1 HTTP/1.1\r\nHost: a\r\nContent-Type: application/x-www-form-urlencoded\r\n$2\r\n\r\n" "${@:3}"
}

# form_head PATH HEADERS: the same head by itself.
form_head()
{
    printf '%s' "POST $1 HTTP/1.1\r\nHost: a\r\nContent-Type: application/x-www-form-urlencoded\r\n$2\r\n\r\n"
}

# padded LENGTH: a form of exactly so many bytes with alice's key at its end, for raw.py.
padded()
{
    local key="&apikey=$ALICE"

    echo "a={$(($1 - 2 - ${#key}))*x}$key"
}

# chunk TEXT: one chunk, for raw.py.
chunk()
{
    printf '%x\\r\\n%s\\r\\n' "${#1}" "$1"
}

bodies()
{
    ns_run "$GW" /usr/bin/python3 "$BATS_TEST_DIRNAME/bodies.py" "$1" 127.0.0.1 9080 "${@:2}"
}

server()
{
    kctl status -o json | jq ".server.$1"
}

seen()
{
    upstream_curl /counts | jq ".requests.\"$1\" // 0"
}

# --- the three formats --------------------------------------------------------------------------------------------------------

@test "a key in a form, in JSON and in a multipart form opens, a wrong one and none do not" {
    same 200 "$(status_of gw_curl /keyed/echo -d "a=1&apikey=$ALICE")"
    same 200 "$(status_of gw_curl /keyed/echo -H "$JSON" -d "{\"a\": [1], \"apikey\": \"$ALICE\"}")"
    same 200 "$(status_of gw_curl /keyed/echo -F a=1 -F "apikey=$ALICE")"
    gw_curl /keyed/echo -d apikey=wrong -o "$T/body"
    kong_error Unauthorized "$T/body"
    gw_curl /keyed/echo -H "$JSON" -d '{"apikey": ["a"]}' -o "$T/body"
    kong_error 'Duplicate API key found' "$T/body"
    gw_curl /keyed/echo -F a=1 -o "$T/body"
    kong_error 'No API key found in request' "$T/body"
    gw_curl /keyed/echo -H 'Content-Type: text/plain' -d "apikey=$ALICE" -o "$T/body"
    kong_error 'No API key found in request' "$T/body"
}

@test "any method may have the key in its body" {
    local method

    for method in GET PUT PATCH DELETE OPTIONS; do
        same 200 "$(status_of gw_curl /keyed/echo -X "$method" -d "apikey=$ALICE")"
    done
    same '200 closed' "$(raw --methods HEAD 127.0.0.1 9080 \
        "HEAD /keyed/echo HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 39\r\n\r\napikey=$ALICE")"
    same '200 closed' "$(raw 127.0.0.1 9080 \
        "POST /keyed/echo HTTP/1.0\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 39\r\n\r\napikey=$ALICE")"
}

@test "a body with a key reaches the service as it came, of whatever type" {
    local boundary='Content-Type: multipart/form-data; boundary=b'

    printf 'b=%%7e&apikey=%s&&c' "$ALICE" >"$T/form"
    gw_curl /keyed/mirror --data-binary "@$T/form" | cmp - "$T/form"
    gw_curl /keyed/mirror --data-binary "@$T/form" -H 'Transfer-Encoding: chunked' | cmp - "$T/form"
    printf '{ "z":1.0,\n"apikey" :"%s" }\n' "$ALICE" >"$T/json"
    gw_curl /keyed/mirror --data-binary "@$T/json" -H "$JSON" | cmp - "$T/json"
    printf -- '--b\r\nContent-Disposition: form-data; name=apikey\r\nX: y\r\n\r\n%s\r\n--b--\r\n' "$ALICE" >"$T/parts"
    gw_curl /keyed/mirror --data-binary "@$T/parts" -H "$boundary" | cmp - "$T/parts"
    head -c 60000 /dev/urandom >"$T/noise"
    gw_curl /keyed/mirror --data-binary "@$T/noise" -H "$JSON" -H "apikey: $ALICE" | cmp - "$T/noise"
}

@test "hide_credentials cuts the key out of the body and changes nothing else of it" {
    gw_curl /hidden/mirror -d "b=%7e&apikey=$ALICE&&c=valu%651" >"$T/seen"
    printf 'b=%%7e&&c=valu%%651' | cmp - "$T/seen"
    gw_curl /hidden/mirror -H "$JSON" -d "{ \"z\":1.0, \"apikey\" : \"$ALICE\",
\"a\":\"\\u0041\" }" >"$T/seen"
    printf '{ "z":1.0,\n"a":"\\u0041" }' | cmp - "$T/seen"
    printf -- '--b\r\nContent-Disposition: form-data; name=apikey\r\n\r\n%s\r\n' "$ALICE" >"$T/part"
    printf -- '--b\r\nContent-Disposition: form-data; name=f; filename="x.bin"\r\nContent-Type: a/b\r\n\r\n\x01\x02\r\n--b--\r\n' \
        >"$T/rest"
    cat "$T/part" "$T/rest" >"$T/parts"
    gw_curl /hidden/mirror -H 'Content-Type: multipart/form-data; boundary=b' --data-binary "@$T/parts" | cmp - "$T/rest"
}

@test "the length that the service is told is the one of what is left, in chunks it is told none" {
    local seen

    seen=$(gw_curl /hidden/echo -d "a=1&apikey=$ALICE")
    same 3 "$(upstream_header Content-Length "$seen")"
    holds '.body == 3' "$seen"
    seen=$(gw_curl /hidden/echo -d "apikey=$ALICE")
    same 0 "$(upstream_header Content-Length "$seen")"
    holds '.body == 0' "$seen"
    seen=$(gw_curl /hidden/echo -d "a=1&apikey=$ALICE" -H 'Transfer-Encoding: chunked')
    same "" "$(upstream_header Content-Length "$seen")"
    same chunked "$(upstream_header Transfer-Encoding "$seen")"
    holds '.body == 3' "$seen"
    holds '.body == 0' "$(gw_curl /hidden/echo -d "apikey=$ALICE" -H 'Transfer-Encoding: chunked')"
}

@test "hide_credentials also cuts out of the body what is there under the name when the key came by header or query" {
    same 'a=1' "$(gw_curl /hidden/mirror -H "apikey: $ALICE" -d 'a=1&apikey=x')"
    same '{"a":1}' "$(gw_curl "/hidden/mirror?apikey=$ALICE" -H "$JSON" -d '{"a":1,"apikey":"x"}')"
    same '{"apikey":"x"' "$(gw_curl /hidden/mirror -H "apikey: $ALICE" -H "$JSON" -d '{"apikey":"x"')"
}

@test "httpbin sees a form, JSON and the parts of a multipart form without the key" {
    holds '.form == {"a": "1", "b": "2"}' "$(gw_curl /anything -d "a=1&apikey=$ALICE&b=2")"
    holds '.json == {"a": "1"}' "$(gw_curl /anything -H "$JSON" -d "{\"apikey\":\"$ALICE\",\"a\":\"1\"}")"
    holds '.form == {"a": "1"} and .files == {"f": "file"}' \
        "$(gw_curl /anything -F a=1 -F "apikey=$ALICE" -F 'f=file;filename=x.txt;type=text/plain')"
}

# --- how it comes ---------------------------------------------------------------------------------------------------------------

@test "a body that comes behind its head, or in pieces, is waited for" {
    same '200 open' "$(raw --split 127.0.0.1 9080 "$(form_head /keyed/echo 'Content-Length: 43')" 'a=1' '&apike' "y=$ALICE")"
    same '401 open' "$(raw --split 127.0.0.1 9080 "$(form_head /keyed/echo 'Content-Length: 43')" 'a=1' '&apikex' "=$ALICE")"
}

@test "a chunked body is put together, however it is cut" {
    local head pieces=() byte

    head=$(form_head /keyed/mirror 'Transfer-Encoding: chunked\r\nConnection: close')
    same '200 closed' "$(raw --split 127.0.0.1 9080 "$head" "$(chunk api)" '4;x=y\r\nkey=\r\n' "$(chunk "$ALICE")" '0\r' '\n\r\n')"
    for ((byte = 0; byte < ${#ALICE}; byte++)); do
        pieces+=("$(chunk "${ALICE:byte:1}")")
    done
    like "apikey=$ALICE" "$(raw --show 127.0.0.1 9080 "$head" "$(chunk apikey=)" "${pieces[@]}" '0\r\n\r\n')"
    same '401 open' "$(post /keyed/echo 'Transfer-Encoding: chunked' '0\r\n\r\n')"
    same '400 closed' "$(post /keyed/echo 'Transfer-Encoding: chunked' "$(chunk "apikey=$ALICE")" 'x\r\n')"
}

@test "the trailers of a chunked body with a key go on, whatever is left of the body" {
    local head='Transfer-Encoding: chunked\r\nTrailer: X-Sum' route

    for route in keyed hidden; do
        holds '.trailers == ["X-Sum: 7"] and .is_pattern != null' "$(raw --show 127.0.0.1 9080 \
            "$(form_head "/$route/echo" "$head\r\nConnection: close")" "$(chunk "apikey=$ALICE")" '0\r\nX-Sum: 7\r\n\r\n' |
            sed '1,/^\r$/d')"
    done
}

@test "a client that waits for 100 Continue gets it, and the service is not asked for one" {
    same '100 200 open' "$(raw --wait-100 127.0.0.1 9080 "$(form_head /keyed/echo 'Content-Length: 39\r\nExpect: 100-continue')" \
        "apikey=$ALICE")"
    same "" "$(upstream_header Expect "$(gw_curl /keyed/echo -H 'Expect: 100-continue' -d "apikey=$ALICE")")"
    # With the body there already there is nothing to wait for.
    same '200 open' "$(post /keyed/echo 'Content-Length: 39\r\nExpect: 100-continue' "apikey=$ALICE")"
    same '100 200 open' "$(raw --wait-100 127.0.0.1 9080 \
        "$(form_head /keyed/echo 'Transfer-Encoding: chunked\r\nExpect: 100-continue')" "$(chunk "apikey=$ALICE")" '0\r\n\r\n')"
}

@test "what comes behind a body is the next request" {
    local one two

    one="$(form_head /keyed/echo 'Content-Length: 39')apikey=$ALICE"
    two="$(form_head /keyed/echo 'Transfer-Encoding: chunked')$(chunk "apikey=$ALICE")0\r\n\r\n"
    same '200 200 401 200 401 open' "$(raw 127.0.0.1 9080 "$one" "$two" 'GET /keyed/echo HTTP/1.1\r\nHost: a\r\n\r\n' "$one" \
        "$(form_head /keyed/echo 'Content-Length: 39')apikey={32*x}")"
    same '200 200 401 200 open' "$(raw --split 127.0.0.1 9080 "${one:0:120}" "${one:120}${two:0:100}" "${two:100}GET" \
        " /keyed/echo HTTP/1.1\r\nHost: a\r\n\r\n$one")"
}

@test "a service that is not there is tried with a body that was looked into, and answered for" {
    same 502 "$(status_of gw_curl /nobody -d "apikey=$ALICE")"
    same 401 "$(status_of gw_curl /nobody -d apikey=wrong)"
    same '502 401 open' "$(raw 127.0.0.1 9080 "$(form_head /nobody 'Content-Length: 39')" "apikey=$ALICE" \
        "$(form_head /nobody 'Content-Length: 8')" 'apikey=x')"
}

# --- limits -----------------------------------------------------------------------------------------------------------------------

@test "a body of 64 KiB is looked into, one of a byte more holds no key and passes with one from elsewhere" {
    local len

    for len in 65535 65536; do
        same '200 open' "$(post /keyed/echo "Content-Length: $len" "$(padded "$len")")"
        same '200 open' "$(post /hidden/echo 'Transfer-Encoding: chunked' "$(printf '%x' "$len")\r\n$(padded "$len")\r\n0\r\n\r\n")"
    done
    same '401 closed' "$(post /keyed/echo 'Content-Length: 65537' "$(padded 65537)")"
    same '401 open' "$(post /keyed/echo 'Transfer-Encoding: chunked' "10001\r\n$(padded 65537)\r\n0\r\n\r\n")"
    same '200 open' "$(post /hidden/echo "Content-Length: 65537\r\napikey: $ALICE" "$(padded 65537)")"
}

@test "a body that is too large goes on whole, what was collected of it first" {
    PYTHONPATH=$BATS_TEST_DIRNAME python3 -c "import pattern, sys; sys.stdout.buffer.write(b''.join(map(bytes, map(pattern.piece, range(0, 3000000, 1000000), [1000000] * 3))))" >"$T/large"
    local options=(-H 'Content-Type: application/x-www-form-urlencoded' -H "apikey: $ALICE" --data-binary "@$T/large")

    gw_curl /hidden/mirror "${options[@]}" | cmp - "$T/large"
    gw_curl /hidden/mirror "${options[@]}" -H 'Transfer-Encoding: chunked' | cmp - "$T/large"
    holds '.is_pattern and .body == 3000000' "$(gw_curl /hidden/echo "${options[@]}" -H 'Transfer-Encoding: chunked')"
}

@test "key_auth.max_body moves the limit, with 0 no body is looked into" {
    restart_bodies --set key_auth.max_body=39
    same '200 open' "$(post /keyed/echo 'Content-Length: 39' "apikey=$ALICE")"
    same '401 closed' "$(post /keyed/echo 'Content-Length: 41' "a&apikey=$ALICE")"
    same '401 open' "$(post /keyed/echo 'Transfer-Encoding: chunked' "$(chunk "a&apikey=$ALICE")" '0\r\n\r\n')"
    restart_bodies --set key_auth.max_body=0
    same '401 closed' "$(post /keyed/echo 'Content-Length: 39' "apikey=$ALICE")"
    restart_bodies --set key_auth.max_body=1m
    same '200 open' "$(post /keyed/echo 'Content-Length: 1048576' "$(padded 1048576)")"
    same '200 open' "$(post /hidden/echo 'Transfer-Encoding: chunked' "100000\r\n$(padded 1048576)\r\n0\r\n\r\n")"
    restart_bodies
}

@test "client_max_body_size counts while a body is collected" {
    restart_bodies --set http.client_max_body_size=50
    same '413 closed' "$(post /keyed/echo 'Content-Length: 51' "$(padded 51)")"
    same '413 closed' "$(post /keyed/echo 'Transfer-Encoding: chunked' "33\r\n$(padded 51)\r\n")"
    same '200 open' "$(post /keyed/echo 'Transfer-Encoding: chunked' "32\r\n$(padded 50)\r\n0\r\n\r\n")"
    restart_bodies
}

@test "a client that owes the rest of a body, or drips it, is answered 408, and nobody was asked" {
    local before asked

    restart_bodies --set http.client_body_timeout=2s --set http.min_body_rate=1000 --set http.rate_window=500ms
    before=$(server clients_too_slow)
    asked=$(seen slow)
    same '408 closed' "$(post /keyed/slow 'Content-Length: 39' 'apikey=')"
    same '408 closed' "$(post /keyed/slow 'Transfer-Encoding: chunked' "$(chunk apikey=)")"
    same 408 "$(bodies drip "$(form_head /keyed/slow 'Content-Length: 10000')" 100)"
    same $((before + 3)) "$(server clients_too_slow)"
    same "$asked" "$(seen slow)"
    restart_bodies
}

no_connection_is_open()
{
    [[ $(server connections_active) -eq 0 ]]
}

@test "a client that goes away in the middle of its body leaves nothing behind" {
    local asked

    asked=$(seen gone)
    bodies gone "$(form_head /keyed/gone 'Content-Length: 1000')apikey=" 50
    wait_for -t 10 no_connection_is_open
    same "$asked" "$(seen gone)"
    same 200 "$(status_of gw_curl /keyed/echo -d "apikey=$ALICE")"
}

@test "an old connection that holds a body back holds up nobody else" {
    local gate=$T/other.gate

    in_background other /usr/bin/python3 "$BATS_TEST_DIRNAME/bodies.py" late 127.0.0.1 9080 \
        "$(form_head /keyed/echo 'Content-Length: 39')" "$gate" "apikey=$ALICE"
    wait_for -t 10 has_open_connections 1
    wait_for -t 10 are_busy '0 1'
    same 200 "$(status_of gw_curl /keyed/echo -d "apikey=$ALICE")"
    same 401 "$(status_of gw_curl /keyed/echo -d apikey=wrong)"
    touch "$gate"
    wait_for -t 10 grep -qx 200 "$T/other.log"
    rm "$T/pids/other"
    wait_for -t 10 are_busy '0 0'
}

# are_busy 'READING WRITING': so many connections are.
are_busy()
{
    [[ "$(server connections_reading) $(server connections_writing)" == "$1" ]]
}

has_open_connections()
{
    [[ $(server connections_active) -ge $1 ]]
}

@test "a key that is deleted while its body comes opens nothing" {
    local key id gate=$T/late.gate

    kctl key create --consumer alice -o json >"$T/late.json"
    key=$(jq -re .key "$T/late.json")
    id=$(jq -re .id "$T/late.json")
    in_background late /usr/bin/python3 "$BATS_TEST_DIRNAME/bodies.py" late 127.0.0.1 9080 \
        "$(form_head /keyed/echo 'Content-Length: 39')" "$gate" "apikey=$key"
    wait_for -t 10 has_open_connections 1
    same 200 "$(status_of gw_curl /keyed/echo -d "apikey=$key")"
    kctl key delete "$id" --consumer alice
    wait_for -t 5 has_status 401 gw_curl /keyed/echo -d "apikey=$key"
    touch "$gate"
    wait_for -t 10 grep -qx 401 "$T/late.log"
    rm "$T/pids/late"
}
