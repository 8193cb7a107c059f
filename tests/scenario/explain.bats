#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-2-Clause
# POST /explain and keyctl explain: what they say would happen is what happens, and nothing comes of asking.
# shellcheck disable=SC2153,SC2154 # JSON is helper.bash's; bats sets status, output and lines

load helper

setup_file()
{
    export BATS_NO_PARALLELIZE_WITHIN_FILE=true
    file_begin
    start_upstream
    start_keygated --set 'http.trusted_proxies=[127.0.0.9]' --set 'guard.threshold=3'
    make service --name api --url http://127.0.0.1:8001/base
    make route --name wide --service api --paths /a >/dev/null
    make route --name narrow --service api --paths /a/b --methods GET >/dev/null
    make route --name lost --service api --paths /a/b/c >/dev/null
    make route --name secure --service api --paths /secure --protocols https --https-redirect-status-code 301 >/dev/null
    make service --name off --url http://127.0.0.1:8001 --enabled false >/dev/null
    make route --name off --service off --paths /a >/dev/null
    make route --name bare --paths /bare >/dev/null
    make plugin --name key-auth --route narrow >/dev/null
    make plugin --name key-auth --service api --enabled false >/dev/null
    make plugin --name key-auth >/dev/null
    make consumer --username alice >/dev/null
    make_key alice >"$T/key"
    printf 'apikey: %s\n' "$(<"$T/key")" >"$T/headers"
}

teardown_file()
{
    file_end
}

# explained METHOD URL [FLAG...]: the whole answer.
explained()
{
    kctl explain "$@" -o json
}

@test "it names the route that wins, and by which rule, and why the others do not match" {
    local json
    json=$(explained GET http://gw.example/a/b/c -H "@$T/headers")
    holds '.route.name == "narrow" and .route.matched_path == "/a/b"' "$json"
    holds '[.candidates[] | select(.matches) | .name] == ["narrow", "lost", "wide"]' "$json"
    holds '.candidates[1].beaten_by == "more kinds of conditions"' "$json"
    holds '[.candidates[] | select(.name == "bare") | .fails] == [["path"]]' "$json"
    holds '[.candidates[] | select(.name == "off") | .fails] == [["service disabled"]]' "$json"
    json=$(explained POST http://gw.example/a/b/c -H "@$T/headers")
    holds '.route.name == "lost" and .candidates[1].beaten_by == "longer path"' "$json"
    holds '[.candidates[] | select(.name == "narrow") | .fails] == [["method"]]' "$json"
}

@test "what it says would be sent is what is sent" {
    local json sent
    json=$(explained GET 'http://127.0.0.1:9080/a/b/c/echo?x=1' -H "@$T/headers" -H 'X-Twice: 1' -H 'X-Twice: 2' -H 'X-Consumer-Id: me')
    holds '.outcome == "forward" and .upstream.path == "/base/c/echo?x=1" and .upstream.host == "127.0.0.1:8001"' "$json"
    sent=$(gw_curl '/a/b/c/echo?x=1' -H "@$T/headers" -H 'X-Twice: 1' -H 'X-Twice: 2' -H 'X-Consumer-Id: me' -H 'User-Agent:' -H 'Accept:')
    same "$(jq -c '[.headers[] | select(.[0] != "X-Request-Id" and .[0] != "apikey")] | sort' <<<"$sent")" \
        "$(jq -c '[.upstream.headers[] | select(.[0] != "X-Request-Id" and .[0] != "apikey")] | sort' <<<"$json")"
    same "$(jq -r .target <<<"$sent")" "$(jq -r .upstream.path <<<"$json")"
}

@test "plugins: which runs, from which scope, what it overrides, what is switched off" {
    local json
    json=$(explained GET http://gw.example/a/b -H "@$T/headers")
    holds '[.plugins[] | .scope + " " + .state] | sort == ["global overridden", "route runs", "service disabled"]' "$json"
    holds '.plugins[0].id == (.plugins[] | select(.scope == "global") | .overridden_by)' "$json"
    holds '.consumer.username == "alice"' "$json"
    json=$(explained GET http://gw.example/a/b)
    holds '.outcome == "answer" and .answer.status == 401 and .answer.message == "No API key found in request"' "$json"
    holds '.answer.www_authenticate == "Key" and .plugins[0].state == "answers" and .consumer == null and .upstream == null' "$json"
}

@test "plugins of a consumer: in which scope, and what they override, once it is known who it is" {
    local json own
    own=$(make plugin --name request-size-limiting --consumer alice --config allowed_payload_size=1)
    make plugin --name request-size-limiting --consumer alice --route narrow --config allowed_payload_size=2
    make plugin --name request-size-limiting --service api --config allowed_payload_size=3
    make plugin --name correlation-id --consumer alice --config echo_downstream=true
    make plugin --name ip-restriction --consumer alice --service api --route narrow --config deny=203.0.113.0/24
    make plugin --name ip-restriction --config deny=198.51.100.0/24
    json=$(explained GET http://gw.example/a/b -H "@$T/headers")
    holds '[.plugins[] | [.name, .scope, .state]] == [
        ["ip-restriction", "global", "runs"],
        ["key-auth", "route", "runs"],
        ["ip-restriction", "consumer, route and service", "runs"],
        ["request-size-limiting", "consumer and route", "runs"],
        ["correlation-id", "consumer", "too late"],
        ["key-auth", "service", "disabled"],
        ["key-auth", "global", "overridden"],
        ["request-size-limiting", "consumer", "overridden"],
        ["request-size-limiting", "service", "overridden"]]' "$json"
    holds '[.plugins[] | select(.name == "request-size-limiting") | .overridden_by] | .[0] == null and .[1] == .[2] and .[1] != null' "$json"
    holds '.body_limit == 2097152' "$json"
    # It is somebody else, or nobody: then they are not there.
    json=$(explained GET http://gw.example/a/b)
    holds '[.plugins[] | select(.state == "answers" or .state == "not reached") | [.name, .scope, .state]] == [
        ["key-auth", "route", "answers"], ["request-size-limiting", "service", "not reached"]]' "$json"
    holds '[.plugins[] | select(.scope | startswith("consumer"))] == []' "$json"
    # Who is turned away after the key was looked at does not come to what is behind.
    json=$(explained GET http://gw.example/a/b --source 203.0.113.9 -H "@$T/headers")
    holds '.answer.message == "IP address not allowed: 203.0.113.9"' "$json"
    holds '[.plugins[] | select(.scope == "consumer, route and service") | .state] == ["answers"]' "$json"
    holds '[.plugins[] | select(.scope == "consumer and route") | .state] == ["not reached"]' "$json"
    holds '[.plugins[] | select(.scope == "consumer" and .name == "request-size-limiting") | .state] == ["overridden"]' "$json"
    holds '[.plugins[] | select(.name == "correlation-id") | .state] == ["too late"]' "$json"
    like 'consumer, route and service +answers' "$(kctl explain GET http://gw.example/a/b --source 203.0.113.9 -H "@$T/headers" | tr -s ' ')"
    kctl plugin list -o json | jq -r '.data[] | select(.name != "key-auth") | .id' >"$T/ids"
    while read -r own; do
        kctl plugin delete "$own"
    done <"$T/ids"
}

@test "what plugins do to a request and to its answer is shown" {
    local json id
    make acl staff --consumer alice
    make plugin --name acl --route narrow --config allow=staff >"$T/ids"
    make plugin --name correlation-id --route narrow --config header_name=X-Trace --config echo_downstream=true >>"$T/ids"
    json=$(explained GET http://gw.example/a/b -H "@$T/headers" -H 'X-Trace: mine')
    holds '[.upstream.headers[] | select(.[0] == "X-Trace" or .[0] == "X-Consumer-Groups")] == [["X-Trace", "mine"], ["X-Consumer-Groups", "staff"]]' "$json"
    holds '.answer_headers == [["X-Trace", "mine"]] and .body_limit == null' "$json"
    make plugin --name request-termination --route narrow --config 'body=<p>' --config content_type=text/html --config status_code=200 >>"$T/ids"
    json=$(explained GET http://gw.example/a/b -H "@$T/headers")
    holds '.answer.status == 200 and .answer.content_type == "text/html"' "$json"
    while read -r id; do
        kctl plugin delete "$id"
    done <"$T/ids"
    kctl acl delete staff --consumer alice
}

@test "no key is repeated, in a header or in the query" {
    local key
    key=$(<"$T/key")
    run -0 explained GET "http://gw.example/a/b?x=1&apikey=$key&y=2" -H "@$T/headers" -H 'Authorization: Basic c2VjcmV0'
    unlike "$key|c2VjcmV0" "$output"
    holds '.consumer.username == "alice" and .upstream.path == "/base?x=1&apikey=***&y=2"' "$output"
    holds '[.upstream.headers[] | select(.[0] == "apikey") | .[1]] == ["***"]' "$output"
    run -0 kctl explain GET "http://gw.example/a/b?%61pikey=$key"
    unlike "$key" "$output"
}

@test "a body is looked into, where there is one, and its key is taken out of it" {
    local key json

    key=$(<"$T/key")
    make route --name bodied --service api --paths /bodied >/dev/null
    make plugin --name key-auth --route bodied --config key_in_body=true --config hide_credentials=true >/dev/null
    jq -n --arg body "a=1&apikey=$key" '{method: "POST", url: "/bodied", body: $body,
        headers: {"Content-Type": "application/x-www-form-urlencoded"}}' >"$T/bodied"
    json=$(admin /explain -H "$JSON" -d "@$T/bodied")
    unlike "$key" "$json"
    holds '.outcome == "forward" and .consumer.username == "alice"' "$json"
    holds '[.upstream.headers[] | select(.[0] == "Content-Length") | .[1]] == ["3"]' "$json"
    json=$(jq '.body = "a=1"' "$T/bodied" | admin /explain -H "$JSON" -d @-)
    holds '.answer.message == "No API key found in request"' "$json"
    json=$(jq '.headers["Content-Length"] = "50" | del(.body)' "$T/bodied" | admin /explain -H "$JSON" -d @-)
    holds '.answer.message == "No API key found in request"' "$json"
    json=$(jq '.body = "apikey=\(.body)\("x" * 65536)"' "$T/bodied" | admin /explain -H "$JSON" -d @-)
    holds '.answer.message == "No API key found in request"' "$json"
    kctl route delete bodied
}

@test "answers of the gateway's own: 404, 503, 301, 400, 431" {
    holds '.answer.status == 404 and .route == null and .candidates_left_out == 4' "$(explained GET http://gw.example/zzz --candidates 2)"
    holds '.answer == {"status":503,"message":"no Service found with those values"}' "$(explained GET /bare -H "@$T/headers")"
    holds '.answer.status == 301 and .answer.location == "https://gw.example/secure?q"' "$(explained GET 'http://gw.example/secure?q')"
    holds '.outcome == "forward" and .source.scheme == "https"' "$(explained GET https://gw.example/secure -H "@$T/headers")"
    holds '.answer.status == 400 and .candidates == []' "$(explained GET http://gw.example/%zz)"
    holds '.answer.status == 400' "$(explained POST http://gw.example/a -H 'Content-Length: 1' -H 'Transfer-Encoding: chunked')"
    head -c 60000 /dev/zero | tr '\0' a >"$T/long"
    { printf 'x: '; cat "$T/long"; echo; } >"$T/long-header"
    holds '.answer.status == 431' "$(explained GET http://gw.example/a -H "@$T/long-header")"
}

@test "a trusted proxy's word for the client counts, another's does not" {
    local json
    json=$(explained GET http://gw.example/a --source 127.0.0.9 -H 'X-Forwarded-For: 203.0.113.7' -H 'X-Forwarded-Proto: https')
    holds '.source.trusted_proxy and .source.client == "203.0.113.7" and .source.scheme == "https"' "$json"
    json=$(explained GET http://gw.example/a --source 127.0.0.8 -H 'X-Forwarded-For: 203.0.113.7')
    holds '(.source.trusted_proxy | not) and .source.client == "127.0.0.8"' "$json"
    like "is this host's own" "$(jq -r .source.never_banned <<<"$json")"
}

@test "a banned source: dropped, or 403 behind a trusted proxy; with its reason and its end" {
    local json
    kctl ban create 203.0.113.8 --ttl 300 >/dev/null
    json=$(explained GET http://gw.example/a --source 203.0.113.8)
    holds '.outcome == "drop" and .source.ban.reason == "manual" and .source.ban.expires_in > 200 and .route == null' "$json"
    like 'dropped' "$(kctl explain GET http://gw.example/a --source 203.0.113.8)"
    json=$(explained GET http://gw.example/a --source 127.0.0.9 -H 'X-Forwarded-For: 203.0.113.8')
    holds '.answer == {"status":403,"message":"Address is banned"}' "$json"
    kctl allow create 198.18.0.0/15 >/dev/null
    like 'allow-list' "$(explained GET http://gw.example/a --source 198.18.0.1 | jq -r .source.never_banned)"
}

@test "nothing comes of it: no request, no signal, no ban, no counter" {
    local before i
    before=$(kctl status -o json | jq -c '[.server.total_requests, .server.malformed_requests, .server.upstream_connects, .guard.bans]')
    for ((i = 0; i < 10; i++)); do
        explained GET http://gw.example/a/b --source 203.0.113.77 -H 'apikey: wrong' >/dev/null
        explained GET http://gw.example/%zz --source 203.0.113.77 >/dev/null
    done
    same "$before" "$(kctl status -o json | jq -c '[.server.total_requests, .server.malformed_requests, .server.upstream_connects, .guard.bans]')"
    holds '.source.ban == null' "$(explained GET http://gw.example/a/b --source 203.0.113.77)"
}

@test "an upstream's targets with their health, and how one is chosen" {
    kctl upstream create --name pool --hash-on header --hash-on-header X-User >/dev/null
    kctl target create 127.0.0.1:8001 --upstream pool --weight 30 >/dev/null
    kctl target create 127.0.0.1:8002 --upstream pool --weight 70 >/dev/null
    make service --name pooled --url http://pool >/dev/null
    make route --name pooled --service pooled --hosts pooled.example >/dev/null
    local json
    json=$(explained GET http://pooled.example/ -H "@$T/headers" -H 'X-User: u')
    holds '.balancer.upstream.name == "pool" and .balancer.algorithm == "consistent-hashing" and .balancer.chosen_by == "hash"' "$json"
    holds '[.balancer.targets[].weight] | sort == [30, 70]' "$json"
    holds '.balancer.chosen_by == "turns"' "$(explained GET http://pooled.example/ -H "@$T/headers")"
}

@test "the words for people say the same" {
    run -0 kctl explain GET http://127.0.0.1:9080/a/b/c -H "@$T/headers"
    like 'outcome +goes to http://127.0.0.1:8001' "$output"
    like 'route +narrow \(' "$output"
    like 'consumer +alice \(' "$output"
    like 'lost \([0-9a-f-]+\)  matches, beaten by: more kinds of conditions' "$output"
    like 'X-Consumer-Username: alice' "$output"
}

@test "what it cannot read is refused by field, as everywhere" {
    same 400 "$(admin_status /explain -d url=ftp://x)"
    like 'expected http://HOST/PATH' "$(<"$T/body")"
    same 400 "$(admin_status /explain -d url=/ -d source=nobody -d nope=1)"
    holds '.fields | keys == ["nope", "source"]' "$(<"$T/body")"
    same 400 "$(admin_status /explain -H 'Content-Type: application/json' -d '{"url":"/","headers":{"a b":"1"}}')"
    same 400 "$(admin_status /explain -H 'Content-Type: application/json' -d '{"url":"/","headers":{"a":"1\r\nb: 2"}}')"
    same 405 "$(admin_status /explain)"
    run -2 kctl explain GET
    run -2 kctl explain GET / -H nocolon
    like 'a header is NAME: VALUE' "$output"
    run -2 kctl explain GET / -H @/nowhere
    run -1 kctl explain GET / --source nobody
}
