#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-2-Clause
# What is not HTTP/1.1 to the letter is refused and the connection closed, so that no two servers can read one request
# differently (RFC 9112, 11). Every malformed request carries a second one, GET /up/smuggled, that must never get through.

load helper

END='Connection: close\r\n\r\n'
SMUGGLED='GET /up/smuggled HTTP/1.1\r\nHost: a\r\n\r\n'

setup_file()
{
    file_begin
    start_upstream
    start_keygated
    make service --name up --url http://127.0.0.1:8001
    make route --service up --name up --paths /up
}

teardown_file()
{
    file_end
}

teardown()
{
    show_log
    nothing_smuggled
}

nothing_smuggled()
{
    same 0 "$(upstream_curl /counts | jq '.requests.smuggled // 0')"
}

# refused STATUS TEXT: the answer to these bytes is this one alone, and then the connection ends. RST is an end too: it is what
# close(2) makes of bytes that nobody has read.
refused()
{
    local seen

    seen=$(raw 127.0.0.1 9080 "$2" "$SMUGGLED")
    like "^($1) (closed|reset)\$" "$seen" || {
        echo "after: $2"
        return 1
    }
}

# accepted TEXT: these bytes are a good request.
accepted()
{
    same '200 closed' "$(raw 127.0.0.1 9080 "$1")" || {
        echo "after: $1"
        return 1
    }
}

@test "0: good requests of the same shapes pass" {
    accepted "GET /up/echo HTTP/1.1\r\nHost: a\r\n$END"
    accepted "GET /up/echo HTTP/1.1\r\nHost:a\r\nX-Empty:\r\nX-Tab:\t b \t\r\n$END"
    accepted "POST /up/sink HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n${END}hello"
    accepted "POST /up/sink HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n${END}5\r\nhello\r\n0\r\n\r\n"
    accepted "POST /up/sink HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n${END}00a;ext=1\r\nhello12345\r\n0\r\nX-Trailer: b\r\n\r\n"
    accepted "GET http://a/up/echo HTTP/1.1\r\nHost: a\r\n$END"
    accepted 'GET /up/echo HTTP/1.0\r\n\r\n'
}

@test "a refusal has the usual shape" {
    raw --show 127.0.0.1 9080 'GET /up/echo HTTP/1.1\r\n\r\n' >"$T/raw"
    like '^HTTP/1\.1 400 Bad Request' "$(head -n 1 "$T/raw")"
    like '"message":"Bad request"' "$(tail -n 4 "$T/raw")"
    like '"request_id":"[0-9a-f]{32}"' "$(tail -n 4 "$T/raw")"
    like '[Cc]onnection: close' "$(<"$T/raw")"
}

@test "1: a bare LF ends no line" {
    refused 400 "GET /up/echo HTTP/1.1\nHost: a\n\n"
    refused 400 "GET /up/echo HTTP/1.1\r\nHost: a\nX: b\r\n\r\n"
    refused 400 "GET /up/echo HTTP/1.1\r\nHost: a\r\n\n"
}

@test "1: no bare CR, NUL or other control byte in a head" {
    refused 400 'GET /up/echo HTTP/1.1\r\nHost: a\r\nX: a\rb\r\n\r\n'
    refused 400 'GET /up/echo HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n'
    refused 400 'GET /up/echo HTTP/1.1\r\nHost: a\r\nX: a\x01b\r\n\r\n'
    refused 400 'GET /up/echo HTTP/1.1\r\nHost: a\r\nX: a\x7fb\r\n\r\n'
    refused 400 'GET /up/ec\0ho HTTP/1.1\r\nHost: a\r\n\r\n'
    refused 400 'GET /up/echo HTTP/1.1\r\nHost: a\r\nX\0: b\r\n\r\n'
    refused 400 '\0\0\0\0\r\n\r\n'
}

@test "2: exactly one SP between the parts of the request line" {
    refused 400 'GET  /up/echo HTTP/1.1\r\nHost: a\r\n\r\n'
    refused 400 'GET /up/echo  HTTP/1.1\r\nHost: a\r\n\r\n'
    refused 400 'GET\t/up/echo HTTP/1.1\r\nHost: a\r\n\r\n'
    refused 400 ' GET /up/echo HTTP/1.1\r\nHost: a\r\n\r\n'
    refused 400 'GET /up/echo HTTP/1.1 \r\nHost: a\r\n\r\n'
    refused 400 'GET /up/ec ho HTTP/1.1\r\nHost: a\r\n\r\n'
    refused 400 'GET /up/echo\r\nHost: a\r\n\r\n'
    refused 400 'GET\r\nHost: a\r\n\r\n'
}

@test "2: versions 1.0 and 1.1 only" {
    refused '400|505' 'GET /up/echo HTTP/2.0\r\nHost: a\r\n\r\n'
    refused '400|505' 'GET /up/echo HTTP/0.9\r\nHost: a\r\n\r\n'
    refused '400|505' 'GET /up/echo HTTP/1.2\r\nHost: a\r\n\r\n'
    refused 400 'GET /up/echo http/1.1\r\nHost: a\r\n\r\n'
    refused 400 'GET /up/echo HTTP/1.10\r\nHost: a\r\n\r\n'
    refused 400 'GET /up/echo HTTP/11\r\nHost: a\r\n\r\n'
    refused '400|505' 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'
}

@test "2: methods are tokens, targets fit their method" {
    refused 400 'G(T /up/echo HTTP/1.1\r\nHost: a\r\n\r\n'
    refused 400 'GET up/echo HTTP/1.1\r\nHost: a\r\n\r\n'
    refused 400 'GET * HTTP/1.1\r\nHost: a\r\n\r\n'
    refused 400 'GET /up/echo#fragment HTTP/1.1\r\nHost: a\r\n\r\n'
    refused 400 'GET /up/\xff HTTP/1.1\r\nHost: a\r\n\r\n'
    refused 400 'GET /up/%zz HTTP/1.1\r\nHost: a\r\n\r\n'
    refused 400 'GET /up/%00 HTTP/1.1\r\nHost: a\r\n\r\n'
    refused 400 'GET http://b/up/echo HTTP/1.1\r\nHost: a\r\n\r\n'
    refused 400 'GET http://u:p@a/up/echo HTTP/1.1\r\nHost: a\r\n\r\n'
    refused '400|405' 'CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n'
}

@test "2: TRACE and CONNECT are not for us" {
    same '405' "$(raw 127.0.0.1 9080 "TRACE /up/echo HTTP/1.1\r\nHost: a\r\n$END" | cut -d' ' -f1)"
    same '405' "$(raw 127.0.0.1 9080 "CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n$END" | cut -d' ' -f1)"
}

@test "3: no white space before the colon, no empty name, no name that is no token" {
    refused 400 'GET /up/echo HTTP/1.1\r\nHost : a\r\n\r\n'
    refused 400 'GET /up/echo HTTP/1.1\r\nHost: a\r\nX : b\r\n\r\n'
    refused 400 'GET /up/echo HTTP/1.1\r\nHost: a\r\nX\t: b\r\n\r\n'
    refused 400 'GET /up/echo HTTP/1.1\r\nHost: a\r\n: b\r\n\r\n'
    refused 400 'GET /up/echo HTTP/1.1\r\nHost: a\r\nX Y: b\r\n\r\n'
    refused 400 'GET /up/echo HTTP/1.1\r\nHost: a\r\nX(Y): b\r\n\r\n'
    refused 400 'GET /up/echo HTTP/1.1\r\nHost: a\r\nnothing\r\n\r\n'
}

@test "3: no folded lines" {
    refused 400 'GET /up/echo HTTP/1.1\r\nHost: a\r\nX: b\r\n c\r\n\r\n'
    refused 400 'GET /up/echo HTTP/1.1\r\nHost: a\r\nX: b\r\n\tc\r\n\r\n'
    refused 400 'GET /up/echo HTTP/1.1\r\n Host: a\r\n\r\n'
    refused 400 'POST /up/sink HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n'
}

@test "3: a head has its limits: 431, and 414 for the request line" {
    refused 431 'GET /up/echo HTTP/1.1\r\nHost: a\r\nX: {40000*x}\r\n\r\n'
    refused 414 'GET /up/echo?{9000*x} HTTP/1.1\r\nHost: a\r\n\r\n'
    # Also while it is incomplete, and without end.
    refused 431 'GET /up/echo HTTP/1.1\r\nHost: a\r\nX: {300000*x}'
    refused 414 'GET /{300000*x}'
    local many='' n
    for ((n = 0; n < 101; n++)); do
        many+="X-$n: b\r\n"
    done
    refused 431 "GET /up/echo HTTP/1.1\r\nHost: a\r\n$many\r\n"
}

@test "4: exactly one Host in HTTP/1.1, and a valid one" {
    refused 400 'GET /up/echo HTTP/1.1\r\n\r\n'
    refused 400 'GET /up/echo HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n'
    refused 400 'GET /up/echo HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n'
    refused 400 'GET /up/echo HTTP/1.1\r\nHost: a b\r\n\r\n'
    refused 400 'GET /up/echo HTTP/1.1\r\nHost: a/b\r\n\r\n'
    refused 400 'GET /up/echo HTTP/1.1\r\nHost: a, b\r\n\r\n'
    refused 400 'GET /up/echo HTTP/1.1\r\nHost: u@a\r\n\r\n'
}

@test "5: Content-Length is digits and nothing else" {
    local value
    for value in +5 -5 0x5 '5 5' 5.0 '"5"' five '5;' '5,' ',5' '' 18446744073709551621 99999999999999999999999; do
        refused 400 "POST /up/sink HTTP/1.1\r\nHost: a\r\nContent-Length: $value\r\n\r\nhello"
    done
}

@test "5: Content-Lengths that differ are refused, in one header or in two" {
    refused 400 'POST /up/sink HTTP/1.1\r\nHost: a\r\nContent-Length: 5, 6\r\n\r\nhello'
    refused 400 'POST /up/sink HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello'
    refused 400 'POST /up/sink HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: +5\r\n\r\nhello'
}

@test "5: the same Content-Length twice becomes one" {
    local seen
    seen=$(raw --show 127.0.0.1 9080 "POST /up/sink HTTP/1.1\r\nHost: a\r\nContent-Length: 5, 5\r\nContent-Length: 5\r\n${END}hello")
    if [[ $seen == 'HTTP/1.1 200'* ]]; then
        holds '[.headers[] | select(.[0] | ascii_downcase == "content-length") | .[1]] == ["5"] and .body == 5' \
            "$(tail -n 1 <<<"$seen")"
    else
        like '^HTTP/1\.1 400' "$seen"
    fi
}

@test "6: Transfer-Encoding is chunked, once and alone" {
    local value
    for value in gzip 'gzip, chunked' 'chunked, gzip' 'chunked, chunked' identity 'xchunked' 'chunked;q=1' '"chunked"' \
        'chunked,' ',chunked' '' '\x0bchunked' 'chunked\0'; do
        refused '400|501' "POST /up/sink HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: $value\r\n\r\n0\r\n\r\n"
    done
    refused '400|501' 'POST /up/sink HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n'
    refused '400|501' 'POST /up/sink HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n'
}

@test "6: no Transfer-Encoding in HTTP/1.0" {
    refused 400 'POST /up/sink HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n'
    refused 400 'POST /up/sink HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n'
}

@test "7: Content-Length and Transfer-Encoding together are refused" {
    refused 400 'POST /up/sink HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n'
    refused 400 'POST /up/sink HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n'
    refused '400|501' 'POST /up/sink HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\nContent-Length: 5\r\n\r\nhello'
    refused 400 'POST /up/sink HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer_Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n'
}

# chunks TEXT: a chunked request whose body this is. The upstream waits for the whole of it, so that the answer is ours.
chunks()
{
    refused 400 "POST /up/sink HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n$1"
}

@test "8: a chunk's size is hex digits and nothing else" {
    chunks '0x5\r\nhello\r\n0\r\n\r\n'
    chunks '+5\r\nhello\r\n0\r\n\r\n'
    chunks '-5\r\nhello\r\n0\r\n\r\n'
    chunks ' 5\r\nhello\r\n0\r\n\r\n'
    chunks '5 \r\nhello\r\n0\r\n\r\n'
    chunks '\r\nhello\r\n0\r\n\r\n'
    chunks ';ext\r\nhello\r\n0\r\n\r\n'
    chunks 'g\r\nhello\r\n0\r\n\r\n'
    chunks '5\0\r\nhello\r\n0\r\n\r\n'
}

@test "8: a chunk's size cannot overflow" {
    chunks 'fffffffffffffffff\r\nhello\r\n0\r\n\r\n'
    chunks '10000000000000005\r\nhello\r\n0\r\n\r\n'
    chunks '00000000000000000000000000000000000005\r\nhello\r\n0\r\n\r\n'
}

@test "8: chunks end in CRLF and have the length they say" {
    chunks '5\nhello\r\n0\r\n\r\n'
    chunks '5\r\nhello\n0\r\n\r\n'
    chunks '5\r\nhelloX\r\n0\r\n\r\n'
    chunks '5\r\nhello0\r\n\r\n'
    chunks '5\rhello\r\n0\r\n\r\n'
    chunks '5\r\nhello\r\n0\r\nX\n\r\n'
}

@test "8: extensions and trailers are bounded and checked" {
    chunks '5;{5000*x}\r\nhello\r\n0\r\n\r\n'
    chunks '5;a\nb\r\nhello\r\n0\r\n\r\n'
    chunks '5\r\nhello\r\n0\r\nX: {20000*x}\r\n\r\n'
    chunks '5\r\nhello\r\n0\r\nX : b\r\n\r\n'
    chunks '5\r\nhello\r\n0\r\n folded\r\n\r\n'
}

# with_trailers TRAILER...: what the upstream got of a chunked request with these trailers, as JSON.
with_trailers()
{
    local trailer text=''

    for trailer in "$@"; do
        text+="$trailer\r\n"
    done
    raw --show 127.0.0.1 9080 "POST /up/sink HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n${END}5;evil=1\r\nhello\r\n0\r\n$text\r\n" |
        tail -n 1
}

@test "8: extensions and forbidden trailers do not reach the upstream" {
    local name
    for name in X-Consumer-Username x_consumer_id X-Consumer-Groups X-Credential-Identifier x-credential_identifier X-Anonymous-Consumer \
        X-Forwarded-For X_Forwarded_Proto Forwarded X-Real-IP X_Real-IP X-Request-Id Via Host Transfer-Encoding Transfer_Encoding \
        Content-Length Content_Length Content-Type Content-Encoding Content-Range Trailer TE Connection Keep-Alive Upgrade Proxy \
        Proxy-Connection Proxy-Authorization Authorization WWW-Authenticate Cookie Set-Cookie Expect Range If-Match If_None_Match \
        Cache-Control Pragma Max-Forwards X-HTTP-Method-Override; do
        holds '.body == 5 and .trailers == ["X-Kept: yes"] and ([.headers[][1]] | index("forged") | not)' \
            "$(with_trailers "$name: forged" 'X-Kept: yes')" || {
            echo "with: $name"
            return 1
        }
    done
    holds '.trailers == []' "$(with_trailers 'X-Consumer-ID: forged')"
}

@test "8: trailers have the limits of headers" {
    local many='' n
    for ((n = 0; n < 101; n++)); do
        many+="X-$n: b\r\n"
    done
    chunks "5\r\nhello\r\n0\r\n$many\r\n"
    chunks "5\r\nhello\r\n0\r\nX-A: b\r\nX B: c\r\n\r\n"
    chunks "5\r\nhello\r\n0\r\nX-A: b\r\nX-B: \x01\r\n\r\n"
    holds '(.trailers | length) == 100' "$(with_trailers "${many%X-100: b\\r\\n}")"
}

@test "8: a request behind a trailer section is a request of its own" {
    same '200 200 closed' "$(raw 127.0.0.1 9080 \
        'POST /up/sink HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX-A: GET /up/smuggled HTTP/1.1\r\n\r\n' \
        "GET /up/echo HTTP/1.1\r\nHost: a\r\n$END")"
}

@test "8: more framing than data is cut off" {
    local tiny='1;{200*x}\r\na\r\n' many='' n
    for ((n = 0; n < 600; n++)); do
        many+=$tiny
    done
    chunks "${many}0\r\n\r\n"
}

@test "an expectation that nobody knows is refused" {
    refused 417 'POST /up/sink HTTP/1.1\r\nHost: a\r\nExpect: miracles\r\nContent-Length: 5\r\n\r\nhello'
}

@test "what is no HTTP at all is refused" {
    refused 400 '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n'
    refused 400 'hello\r\n\r\n'
}

@test "after all that the gateway is well" {
    accepted "GET /up/echo HTTP/1.1\r\nHost: a\r\n$END"
    run gone "$(pid_of keygated)"
    # shellcheck disable=SC2154 # bats sets status
    same 1 "$status"
}
