#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-2-Clause
# Carrying requests and answers: framing, streaming, connections, upstreams that fail, headers.
# shellcheck disable=SC2154,SC2016 # bats sets status and output; dollars in single quotes are jq's

load helper

GIB=1073741824

setup_file()
{
    file_begin
    join_client
    start_upstream
    # A neighbour that never answers: its address resolves to nobody.
    ip -n "$GW" neigh add 192.0.2.200 lladdr 02:00:00:00:00:01 dev to-client nud permanent
    start_keygated --set workers=2
    make service --name up --url http://127.0.0.1:8001
    make route --service up --name up --paths /up
    make route --service up --name kept --paths /kept --strip-path false
    make route --service up --name hosted --paths /hosted --preserve-host true
    make service --name based --url http://127.0.0.1:8001/base
    make route --service based --name based --paths /based
    make service --name named --url http://localhost:8001
    make route --service named --name named --paths /named
    make service --name refused --url http://127.0.0.1:1
    make route --service refused --name refused --paths /refused
    make service --name lost --url http://192.0.2.200:80 --connect-timeout 300
    make route --service lost --name lost --paths /lost
    make service --name unknown --url http://no-such-host.invalid
    make route --service unknown --name unknown --paths /unknown
    make service --name slow --url http://127.0.0.1:8001 --read-timeout 300
    make route --service slow --name slow --paths /slow
}

teardown_file()
{
    file_end
}

teardown()
{
    show_log
}

# fails_with STATUS MESSAGE PATH
fails_with()
{
    gw_curl "$3" -D "$T/head" -o "$T/body" "${@:4}"
    like "^HTTP/1\.1 $1 " "$(head -n 1 "$T/head")"
    kong_error "$2" "$T/body"
    same "$(stat -c %s "$T/body")" "$(header Content-Length "$T/head")"
    like '^keygate' "$(header Server "$T/head")"
    same "$(jq -r .request_id "$T/body")" "$(header X-Request-Id "$T/head")"
}

# --- connections ----------------------------------------------------------------------------------------------------------

@test "a client's connection is used again" {
    same $'200 1\n200 0\n200 0' "$(ns_run "$GW" curl -s -w '%{http_code} %{num_connects}\n' \
        -o /dev/null -o /dev/null -o /dev/null "$PROXY/up/echo" "$PROXY/up/chunked:10" "$PROXY/up/echo")"
}

@test "Connection: close and HTTP/1.0 end the connection after the answer" {
    same '200 closed' "$(raw 127.0.0.1 9080 'GET /up/echo HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n')"
    same '200 closed' "$(raw 127.0.0.1 9080 'GET /up/echo HTTP/1.0\r\n\r\n')"
}

@test "pipelined requests are answered in their order" {
    raw --show 127.0.0.1 9080 'GET /up/echo?n=1 HTTP/1.1\r\nHost: a\r\n\r\n' 'GET /up/chunked:70000 HTTP/1.1\r\nHost: a\r\n\r\n' \
        'GET /up/echo?n=2 HTTP/1.1\r\nHost: a\r\n\r\n' 'GET /nowhere HTTP/1.1\r\nHost: a\r\n\r\n' \
        'GET /up/echo?n=3 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n' >"$T/raw"
    same $'/echo?n=1\n/echo?n=2\nno Route\n/echo?n=3' "$(grep -aoE '/echo\?n=[0-9]|no Route' "$T/raw")"
    same 5 "$(grep -aoE 'HTTP/1\.1 [0-9]{3} ' "$T/raw" | wc -l)"
}

@test "pipelined requests cut anywhere are put together again" {
    same '200 200 200 closed' "$(raw --split 127.0.0.1 9080 'GE' 'T /up/echo HT' 'TP/1.1\r' '\nHos' 't: a\r\n\r' \
        '\nPOST /up/sink HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1' '\r' '\na\r\n2\r\nb' 'c\r\n0' '\r\n\r' \
        '\nGET /up/echo HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n')"
}

@test "upstream connections are kept and used again" {
    local before after
    before=$(upstream_curl /counts | jq .connections)
    ns_run "$GW" curl -s -o /dev/null -o /dev/null "$PROXY/up/echo?[1-20]" -o /dev/null
    after=$(upstream_curl /counts | jq .connections)
    # One of the two is that of the second question itself, another one may be new.
    [[ $((after - before)) -le 2 ]] || same 'at most 2 connections for 20 requests' "$((after - before))"
}

@test "an upstream connection that was closed while idle does no harm" {
    for _ in 1 2 3; do
        same 200 "$(status_of gw_curl /up/until-close:100)"
        same 200 "$(status_of gw_curl /up/echo)"
    done
}

@test "200 clients at once" {
    ns_run "$GW" curl -s --no-progress-meter -Z --parallel-max 200 -o /dev/null -w '%{http_code}\n' \
        "$PROXY/up/echo?[1-1000]" >"$T/codes"
    same 1000 "$(wc -l <"$T/codes")"
    same 200 "$(sort -u "$T/codes")"
}

@test "two seconds of wrk without one error" {
    run ns_run "$GW" wrk -t 2 -c 64 -d 2 --timeout 10 "$PROXY/up/bytes:1000"
    same 0 "$status"
    unlike 'Non-2xx|Socket errors' "$output"
    like '[1-9][0-9]* requests in' "$output"
}

# --- framing ----------------------------------------------------------------------------------------------------------------

@test "HEAD tells the length and sends no body" {
    same '200 200 closed' "$(raw --methods HEAD,GET 127.0.0.1 9080 'HEAD /up/bytes:1000 HTTP/1.1\r\nHost: a\r\n\r\n' \
        'GET /up/echo HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n')"
    gw_curl /up/bytes:1000 -I >"$T/head"
    same 1000 "$(header Content-Length "$T/head")"
}

@test "HEAD of a chunked answer and HEAD of an error have no body either" {
    same '200 404 200 closed' "$(raw --methods HEAD,HEAD,GET 127.0.0.1 9080 \
        'HEAD /up/chunked:1000 HTTP/1.1\r\nHost: a\r\n\r\n' 'HEAD /nowhere HTTP/1.1\r\nHost: a\r\n\r\n' \
        'GET /up/echo HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n')"
}

@test "204 and 304 have no body and no framing" {
    local code
    for code in 204 304; do
        gw_curl "/up/status:$code" -D "$T/head" -o "$T/body"
        like "^HTTP/1\.1 $code " "$(head -n 1 "$T/head")"
        same yes "$(header X-Up "$T/head")"
        same '' "$(header Transfer-Encoding "$T/head")"
        same "$code 200 closed" "$(raw 127.0.0.1 9080 "GET /up/status:$code HTTP/1.1\r\nHost: a\r\n\r\n" \
            'GET /up/echo HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n')"
    done
    gw_curl /up/status:204 -D "$T/head"
    same '' "$(header Content-Length "$T/head")"
}

@test "empty answers and error answers of the upstream pass as they are" {
    same 200 "$(status_of gw_curl /up/bytes:0)"
    same 500 "$(status_of gw_curl /up/status:500)"
    same 404 "$(status_of gw_curl /up/status:404)"
    same 201 "$(status_of gw_curl /up/status:201)"
}

@test "chunked answers come whole" {
    gw_curl /up/chunked:3000000 -D "$T/head" -o "$T/body"
    same chunked "$(header Transfer-Encoding "$T/head")"
    same '' "$(header Content-Length "$T/head")"
    ns_run "$GW" curl -s "http://127.0.0.1:8001/bytes:3000000" -o "$T/straight"
    cmp "$T/body" "$T/straight"
}

@test "a client that speaks HTTP/1.0 gets a chunked answer without chunks" {
    gw_curl /up/chunked:300000 -0 -D "$T/head" -o "$T/body"
    same '' "$(header Transfer-Encoding "$T/head")"
    ns_run "$GW" curl -s "http://127.0.0.1:8001/bytes:300000" -o "$T/straight"
    cmp "$T/body" "$T/straight"
}

@test "an answer that ends by closing comes whole" {
    gw_curl /up/until-close:300000 -o "$T/body"
    ns_run "$GW" curl -s "http://127.0.0.1:8001/bytes:300000" -o "$T/straight"
    cmp "$T/body" "$T/straight"
}

@test "chunked requests come whole" {
    holds '.body == 3000000 and .is_pattern' "$(bulk put-chunked "$PROXY/up/sink" 3000000)"
    holds '.body == 0' "$(gw_curl /up/sink -X POST -H 'Transfer-Encoding: chunked' --data-binary '')"
}

@test "requests with Content-Length come whole, whatever the method" {
    holds '.body == 3000000 and .is_pattern' "$(bulk put "$PROXY/up/sink" 3000000)"
    local method
    for method in POST PUT PATCH DELETE GET OPTIONS; do
        holds '.body == 5 and .method == $m' "$(gw_curl /up/sink -X "$method" -d hello)" --arg m "$method"
    done
}

# trailers_of HEADER... : what upstream.py got of a chunked request with these trailers.
trailers_of()
{
    local trailer text=''

    for trailer in "$@"; do
        text+="$trailer\r\n"
    done
    raw --show 127.0.0.1 9080 "POST /up/sink HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum, Cookie\r\nConnection: X-Secret, close\r\n\r\n" \
        "5\r\nhello\r\n0\r\n$text\r\n" | tail -n 1
}

@test "trailers of a request reach the upstream, written anew" {
    local seen
    seen=$(trailers_of 'X-Sum:  abc ' 'Content-Digest: sha-256=:x:' 'X-Empty:' 'X-Secret: 1')
    holds '.body == 5 and .trailers == ["X-Sum: abc", "Content-Digest: sha-256=:x:", "X-Empty: "]' "$seen"
    same X-Sum "$(upstream_header Trailer "$seen")"
    holds '.body == 5 and .trailers == []' "$(trailers_of)"
    # Without data in the piece they come in, and without a body at all.
    raw --split --show 127.0.0.1 9080 'POST /up/sink HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n' \
        '5\r\nhello\r\n0\r\nX-S' 'um: a\r\nX-Other: b\r\n\r' '\n' \
        'POST /up/sink HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX-Sum: c\r\n\r\n' \
        "GET /up/echo HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n" >"$T/raw"
    same '["X-Sum: a", "X-Other: b"] ["X-Sum: c"] []' "$(grep -ao '"trailers": \[[^]]*\]' "$T/raw" | cut -d' ' -f2- | paste -sd' ')"
}

# answer_with_trailers NAME HEADER...: the answer's bytes to $T/raw.
answer_with_trailers()
{
    local header text=''

    for header in "${@:2}"; do
        text+="$header\r\n"
    done
    raw --show 127.0.0.1 9080 "GET /up/trailers:$1 HTTP/1.1\r\nHost: a\r\nConnection: close, TE\r\n$text\r\n" >"$T/raw"
}

@test "trailers of an answer reach a client that asks for them with TE" {
    answer_with_trailers good 'TE: trailers'
    same $'0\r\nX-Sum: abc\r\nServer-Timing: db;dur=5\r\n\r' "$(tail -n 4 "$T/raw")"
    same X-Sum "$(header Trailer "$T/raw")"
    answer_with_trailers good 'TE: gzip, trailers'
    same X-Sum "$(header Trailer "$T/raw")"
    like '^X-Sum: abc' "$(tail -n 3 "$T/raw")"
    same 'hello abc' "$(gw_curl /up/trailers:good -H 'TE: trailers' -H 'Connection: TE' -D "$T/head" -o "$T/body"; echo "$(<"$T/body") $(header X-Sum "$T/head")")"
}

@test "trailers of an answer are dropped for a client that does not ask for them" {
    local te
    for te in 'X-None: 1' 'TE: gzip' 'TE: trailer'; do
        answer_with_trailers good "$te"
        same $'0\r\n\r' "$(tail -n 2 "$T/raw")"
        same '' "$(header Trailer "$T/raw")"
        unlike X-Sum "$(<"$T/raw")"
    done
    raw --show 127.0.0.1 9080 'GET /up/trailers:good HTTP/1.0\r\nTE: trailers\r\n\r\n' >"$T/raw"
    same hello "$(tail -n 1 "$T/raw")"
    unlike 'X-Sum' "$(<"$T/raw")"
}

@test "trailers that an answer may not have are dropped, and too many cut it" {
    answer_with_trailers bad 'TE: trailers'
    same $'0\r\nX-Kept: yes\r\n\r' "$(tail -n 3 "$T/raw")"
    answer_with_trailers none 'TE: trailers'
    same $'0\r\n\r' "$(tail -n 2 "$T/raw")"
    answer_with_trailers many 'TE: trailers'
    unlike $'\n0\r' "$(<"$T/raw")"
}

@test "TE goes to the upstream with the connection option that belongs to it" {
    local seen
    seen=$(gw_curl /up/echo -H 'TE: trailers' -H 'Connection: TE')
    same 'trailers keep-alive, TE' "$(upstream_header TE "$seen") $(upstream_header Connection "$seen")"
    seen=$(gw_curl /up/echo -0 -H 'TE: trailers')
    same ' keep-alive' "$(upstream_header TE "$seen") $(upstream_header Connection "$seen")"
}

@test "Expect: 100-continue is answered before the body is sent" {
    same '100 200 closed' "$(raw --wait-100 127.0.0.1 9080 \
        'POST /up/sink HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n' 'hello')"
    holds '.body == 5' "$(gw_curl /up/sink -H 'Expect: 100-continue' -d hello)"
}

@test "a refusal needs no 100 Continue" {
    raw --show 127.0.0.1 9080 'POST /nowhere HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n' \
        >"$T/raw"
    like '^HTTP/1\.1 404 ' "$(head -n 1 "$T/raw")"
}

@test "interim answers of the upstream do not confuse" {
    gw_curl /up/early -o "$T/body" -D "$T/head"
    like 'HTTP/1\.1 200 ' "$(<"$T/head")"
    holds '.method == "GET"' "$(<"$T/body")"
}

@test "an Upgrade that the upstream does not take makes no tunnel" {
    same '200 404 closed' "$(raw 127.0.0.1 9080 \
        'GET /up/no-upgrade HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n' \
        'GET /nowhere HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n')"
}

# --- large bodies -----------------------------------------------------------------------------------------------------------

@test "1 GiB down in constant memory, every byte right" {
    local before
    before=$(memory VmRSS)
    forget_peak
    same "$GIB" "$(bulk get "$PROXY/up/bytes:$GIB")"
    stayed_small "$before"
}

@test "1 GiB up in constant memory, every byte right" {
    local before
    before=$(memory VmRSS)
    forget_peak
    holds ".body == $GIB and .is_pattern" "$(bulk put "$PROXY/up/sink" "$GIB")"
    stayed_small "$before"
}

@test "256 MiB in chunks both ways in constant memory" {
    local before
    before=$(memory VmRSS)
    forget_peak
    holds '.body == 268435456 and .is_pattern' "$(bulk put-chunked "$PROXY/up/sink" 268435456)"
    same 268435456 "$(gw_curl /up/chunked:268435456 -o /dev/null -w '%{size_download}')"
    stayed_small "$before"
}

# stands_still: upstream.py has sent nothing more for half a second.
stands_still()
{
    local now

    now=$(upstream_curl /counts | jq .sent)
    if [[ $now != "${sent_last:-}" ]]; then
        sent_last=$now
        sent_since=$(now_ms)
    fi
    [[ $(($(now_ms) - sent_since)) -ge 500 ]]
}

@test "a client that does not read holds the upstream back, and gets all once it reads" {
    local before sent_before
    before=$(memory VmRSS)
    forget_peak
    sent_before=$(upstream_curl /counts | jq .sent)
    (ns_exec "$GW" /usr/bin/python3 "$BATS_TEST_DIRNAME/bulk.py" get "$PROXY/up/bytes:268435456" "$T/gate") \
        </dev/null >"$T/slow.log" 2>&1 3>&- 4>&- &
    echo $! >"$T/pids/slow"
    sent_any()
    {
        [[ $(upstream_curl /counts | jq .sent) -gt $sent_before ]]
    }
    wait_for sent_any
    wait_for -t 20 stands_still
    local sent=$(($(upstream_curl /counts | jq .sent) - sent_before))
    [[ $sent -lt 67108864 ]] || same 'less than 64 MiB sent while nobody reads' "$sent bytes"
    stayed_small "$before"
    same 200 "$(status_of gw_curl /up/echo)"
    touch "$T/gate"
    wait_for -t 60 gone "$(pid_of slow)"
    rm "$T/pids/slow"
    same 268435456 "$(<"$T/slow.log")"
}

@test "an upstream that does not read holds the client back, and gets all once it reads" {
    local before
    before=$(memory VmRSS)
    forget_peak
    (ns_exec "$GW" /usr/bin/python3 "$BATS_TEST_DIRNAME/bulk.py" put "$PROXY/up/gate-sink:one" 268435456) \
        </dev/null >"$T/slow.log" 2>&1 3>&- 4>&- &
    echo $! >"$T/pids/slow"
    gate_reached()
    {
        upstream_curl /counts | jq -e '.requests["gate-sink:one"] == 1'
    }
    wait_for gate_reached
    wait_for -t 20 sending_stands_still
    run gone "$(pid_of slow)"
    same 1 "$status"
    stayed_small "$before"
    upstream_curl /open:one
    wait_for -t 60 gone "$(pid_of slow)"
    rm "$T/pids/slow"
    holds '.body == 268435456 and .is_pattern' "$(<"$T/slow.log")"
}

# --- what goes wrong ----------------------------------------------------------------------------------------------------------

@test "no route: 404" {
    fails_with 404 'no Route matched with those values' /nowhere
}

@test "a route without a service: 503" {
    same 201 "$(admin_status /routes -d name=lonely -d paths=/lonely)"
    fails_with 503 'no Service found with those values' /lonely
}

@test "an upstream that refuses the connection: 502" {
    fails_with 502 'An invalid response was received from the upstream server' /refused
}

@test "an upstream whose address answers nothing: 504 after connect_timeout" {
    local started
    started=$(now_ms)
    fails_with 504 'The upstream server is timing out' /lost
    [[ $(($(now_ms) - started)) -ge 280 && $(($(now_ms) - started)) -lt 5000 ]]
}

@test "an upstream that says nothing: 504 after read_timeout" {
    local started
    started=$(now_ms)
    fails_with 504 'The upstream server is timing out' /slow/silent
    [[ $(($(now_ms) - started)) -ge 280 && $(($(now_ms) - started)) -lt 5000 ]]
}

@test "an upstream that takes no more of a request: 504 after write_timeout" {
    make service --name stuffed --url http://127.0.0.1:8001 --write-timeout 300 --retries 0
    make route --service stuffed --name stuffed --paths /stuffed
    head -c 33554432 /dev/zero >"$T/zeros"
    fails_with 504 'The upstream server is timing out' /stuffed/gate-sink:never -H Expect: --data-binary "@$T/zeros"
}

@test "an upstream name that does not resolve: an error in the usual shape, and the gateway lives" {
    gw_curl /unknown -D "$T/head" -o "$T/body"
    like '^HTTP/1\.1 50[23] ' "$(head -n 1 "$T/head")"
    holds '.message and (.request_id | length == 32)' "$(<"$T/body")"
    same 200 "$(status_of gw_curl /up/echo)"
}

@test "an upstream by name is found" {
    wait_for has_status 200 gw_curl /named/echo
}

@test "an upstream that dies in the middle of a body: the client sees that it is cut" {
    run gw_curl /up/die:100000 -o /dev/null
    [[ $status -eq 18 || $status -eq 56 ]]
    run gw_curl /up/die-chunked -o /dev/null
    [[ $status -eq 18 || $status -eq 56 ]]
    raw --show 127.0.0.1 9080 'GET /up/die-chunked HTTP/1.1\r\nHost: a\r\n\r\n' >"$T/raw"
    unlike $'0\r\n\r' "$(tail -c 5 "$T/raw")"
}

@test "malformed answers of an upstream: 502" {
    local what
    for what in both two-lengths signed-length coding garbage bare-lf obs-fold big-head nothing head-cut; do
        gw_curl "/up/raw:$what" -D "$T/head" -o "$T/body"
        like "^$what HTTP/1\.1 502 " "$what $(head -n 1 "$T/head")"
        kong_error 'An invalid response was received from the upstream server' "$T/body"
    done
}

@test "a malformed chunk in an answer cuts it" {
    run gw_curl /up/raw:bad-chunk -o "$T/body"
    [[ $status -ne 0 ]]
    unlike world "$(<"$T/body")"
}

@test "bytes after an answer are never taken for the next one's" {
    for _ in 1 2 3 4 5; do
        same hello "$(gw_curl /up/raw:extra)"
        holds '.method == "GET"' "$(gw_curl /up/echo)"
    done
}

@test "a client that leaves in the middle harms nobody" {
    for _ in 1 2 3 4 5; do
        ns_run "$GW" curl -s --max-time 0.2 --limit-rate 1k "$PROXY/up/bytes:10000000" -o /dev/null || true
        ns_run "$GW" curl -s --max-time 0.2 "$PROXY/up/silent" || true
    done
    same 200 "$(status_of gw_curl /up/echo)"
}

# --- routes and headers -------------------------------------------------------------------------------------------------------

@test "strip_path takes the matched part away, or not" {
    holds '.target == "/echo?q=1"' "$(gw_curl '/up/echo?q=1')"
    holds '.target == "/kept/echo"' "$(gw_curl /kept/echo)"
    holds '.target == "/base/echo"' "$(gw_curl /based/echo)"
    holds '.target == "/base"' "$(gw_curl /based)"
    holds '.target == "/echo?"' "$(gw_curl '/up/echo?')"
}

@test "paths are normalised before they match" {
    holds '.target == "/echo"' "$(gw_curl '/x/../up//./echo' --path-as-is)"
    holds '.target == "/echo"' "$(gw_curl '/%75p/echo')"
    same 404 "$(status_of gw_curl '/up/../../nowhere' --path-as-is)"
}

@test "the longest path wins; hosts and methods narrow" {
    make route --service up --name longer --paths /up/longer
    holds '.target == "/echo"' "$(gw_curl /up/longer/echo)"
    make route --service up --name by-host --hosts api.example.com --paths /by-host
    same 404 "$(status_of gw_curl /by-host/echo)"
    same 200 "$(status_of gw_curl /by-host/echo -H 'Host: API.example.com')"
    same 200 "$(status_of gw_curl /by-host/echo -H 'Host: api.example.com:9080')"
    make route --service up --name by-method --methods POST --paths /by-method
    same 404 "$(status_of gw_curl /by-method/echo)"
    same 200 "$(status_of gw_curl /by-method/echo -d x)"
}

@test "the upstream's own Host, or the client's with preserve_host" {
    same 127.0.0.1:8001 "$(upstream_header Host "$(gw_curl /up/echo -H 'Host: shop.example')")"
    same shop.example:9080 "$(upstream_header Host "$(gw_curl /hosted/echo -H 'Host: shop.example:9080')")"
}

@test "OPTIONS * goes to the service as it is, whatever path the service has" {
    make route --service based --name star --hosts star.test
    raw --show 127.0.0.1 9080 'OPTIONS * HTTP/1.1\r\nHost: star.test\r\nConnection: close\r\n\r\n' >"$T/raw"
    holds '.method == "OPTIONS" and .target == "*"' "$(sed '1,/^\r$/d' "$T/raw")"
    kctl route delete star
}

@test "hop-by-hop headers of a request stay here" {
    local seen
    seen=$(gw_curl /up/echo -H 'Connection: X-Internal, keep-alive' -H 'X-Internal: secret' -H 'Keep-Alive: timeout=9' \
        -H 'Proxy-Connection: keep-alive' -H 'TE: gzip, trailers' -H 'Trailer: X-Late' -H 'Upgrade: h2c' -H 'X-Kept: yes')
    local name
    for name in X-Internal Keep-Alive Proxy-Connection Trailer Upgrade; do
        same "$name: " "$name: $(upstream_header "$name" "$seen")"
    done
    same yes "$(upstream_header X-Kept "$seen")"
    unlike gzip "$(upstream_header TE "$seen")"
}

@test "hop-by-hop headers of an answer stay here" {
    gw_curl /up/hop -D "$T/head" -o "$T/body"
    local name
    for name in X-Internal Proxy-Connection Trailer; do
        same "$name: " "$name: $(header "$name" "$T/head")"
    done
    unlike 77 "$(header Keep-Alive "$T/head")"
    same yes "$(header X-Kept "$T/head")"
    same hop "$(<"$T/body")"
}

@test "Connection cannot name Host or Content-Length away" {
    holds '.body == 5' "$(gw_curl /up/sink -H 'Connection: Host, Content-Length' -d hello)"
}

@test "the upstream learns who asked, how and where" {
    local seen
    seen=$(client_curl /up/echo -H 'Host: gw.test')
    same 192.0.2.10 "$(upstream_header X-Real-IP "$seen")"
    same 192.0.2.10 "$(upstream_header X-Forwarded-For "$seen")"
    same http "$(upstream_header X-Forwarded-Proto "$seen")"
    like '^gw\.test(:9080)?$' "$(upstream_header X-Forwarded-Host "$seen")"
    same 9080 "$(upstream_header X-Forwarded-Port "$seen")"
    same /up/echo "$(upstream_header X-Forwarded-Path "$seen")"
    same /up "$(upstream_header X-Forwarded-Prefix "$seen")"
    like '1\.1 keygate' "$(upstream_header Via "$seen")"
    like '^[0-9a-f]{32}$' "$(upstream_header X-Request-Id "$seen")"
}

@test "a Via that came along goes on, with our own behind it" {
    same '1.0 before, 1.1 keygate' "$(upstream_header Via "$(gw_curl /up/echo -H 'Via: 1.0 before')")"
}

@test "a stranger's forwarding headers are not believed" {
    local seen
    seen=$(client_curl /up/echo -H 'X-Forwarded-For: 10.9.8.7' -H 'X-Real-IP: 10.9.8.7' -H 'X-Forwarded-Proto: https' \
        -H 'X-Forwarded-Host: evil' -H 'X-Forwarded-Port: 443' -H 'X-Request-Id: mine')
    same '10.9.8.7, 192.0.2.10' "$(upstream_header X-Forwarded-For "$seen")"
    same 192.0.2.10 "$(upstream_header X-Real-IP "$seen")"
    same http "$(upstream_header X-Forwarded-Proto "$seen")"
    unlike evil "$(upstream_header X-Forwarded-Host "$seen")"
    same 9080 "$(upstream_header X-Forwarded-Port "$seen")"
    like '^[0-9a-f]{32}$' "$(upstream_header X-Request-Id "$seen")"
}

@test "nor are their twins with underscores, which many services take for the same" {
    local seen
    seen=$(client_curl /up/echo -H 'X_Forwarded_For: 10.9.8.7' -H 'X_Real_IP: 10.9.8.7' -H 'X-Forwarded_Proto: https' \
        -H 'X_FORWARDED-HOST: evil' -H 'x_forwarded_port: 443' -H 'X_Forwarded_Prefix: /evil' -H 'X_Forwarded_Path: /evil' \
        -H 'X_Request_Id: mine' -H 'X_Forwarded_Else: stays')
    holds '[.headers[] | .[0] | select(contains("_"))] == ["X_Forwarded_Else"]' "$seen"
}

@test "answers carry Via, the request's id and the latencies, and the upstream's Server" {
    gw_curl /up/echo -D "$T/head" -o "$T/body"
    like 'keygate' "$(header Via "$T/head")"
    like '^[0-9]+$' "$(header X-Keygate-Upstream-Latency "$T/head")"
    like '^[0-9]+$' "$(header X-Keygate-Proxy-Latency "$T/head")"
    same testbed "$(header Server "$T/head")"
    same "$(upstream_header X-Request-Id "$(<"$T/body")")" "$(header X-Request-Id "$T/head")"
}

@test "other headers pass in their order, repeated ones too" {
    local seen
    seen=$(gw_curl /up/echo -H 'X-B: 1' -H 'X-A: 2' -H 'X-B: 3')
    holds '[.headers[] | select(.[0] == "X-A" or .[0] == "X-B") | join(" ")] == ["X-B 1", "X-A 2", "X-B 3"]' "$seen"
}

@test "a change of a route or a service is seen at once" {
    make service --name moving --url http://127.0.0.1:8001/one
    make route --service moving --name moving --paths /moving
    holds '.target == "/one/echo"' "$(gw_curl /moving/echo)"
    kctl service update moving --path /two
    holds '.target == "/two/echo"' "$(gw_curl /moving/echo)"
    kctl route delete moving
    same 404 "$(status_of gw_curl /moving/echo)"
}

# --- the end -----------------------------------------------------------------------------------------------------------------

@test "an orderly stop lets running requests end, says close, ends idle connections, and takes no new one" {
    (ns_exec "$GW" /usr/bin/python3 "$BATS_TEST_DIRNAME/bulk.py" put "$PROXY/up/gate-sink:last" 100000) \
        </dev/null >"$T/last.log" 2>&1 3>&- 4>&- &
    echo $! >"$T/pids/last"
    last_reached()
    {
        upstream_curl /counts | jq -e '.requests["gate-sink:last"] == 1'
    }
    wait_for last_reached
    in_background told curl -s -D "$T/told" -o /dev/null "$PROXY/up/gate-sink:last"
    told_reached()
    {
        upstream_curl /counts | jq -e '.requests["gate-sink:last"] == 2'
    }
    wait_for told_reached
    in_background idle /usr/bin/python3 "$BATS_TEST_DIRNAME/bulk.py" hold "$PROXY/up/echo"
    wait_for grep -q ready "$T/idle.log"
    kill -TERM "$(pid_of keygated)"
    refused()
    {
        run gw_curl /up/echo
        [[ $status -eq 7 ]]
    }
    wait_for refused
    wait_for gone "$(pid_of idle)"
    same closed "$(tail -n 1 "$T/idle.log")"
    upstream_curl /open:last
    wait_for gone "$(pid_of last)"
    holds '.body == 100000 and .is_pattern' "$(<"$T/last.log")"
    wait_for gone "$(pid_of told)"
    same close "$(header Connection "$T/told")"
    rm "$T/pids/"{last,idle,told}
    wait_for -t 15 gone "$(pid_of keygated)"
    rm "$T/pids/keygated"
    run kctl status
    same 3 "$status"
}
