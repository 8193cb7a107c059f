#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-2-Clause
# Which route a request belongs to, as a client sees it: headers, regular expressions, protocols.
# shellcheck disable=SC2154,SC2088 # bats sets status and output; a regex path begins with a tilde

load helper

setup_file()
{
    file_begin
    start_upstream
    start_keygated --set workers=2
    local name
    for name in plain blue both pattern; do
        make service --name "$name" --url "http://127.0.0.1:8001/$name"
    done
    make route --service plain --name plain --paths /echo
    make route --service blue --name blue --paths /echo --headers x-team=blue --headers x-team=navy
    make route --service both --name both --paths /e --headers X-Team=blue --headers x-stage=beta --strip-path false
    make route --service pattern --name pattern --paths /echo --headers 'x-version=~*^v[0-9]+$'
}

teardown_file()
{
    file_end
}

teardown()
{
    show_log
}

# sent_to STATUS LOCATION PATH [CURL OPTION...]: a redirection without a body.
sent_to()
{
    gw_curl "$3" -D "$T/head" -o "$T/body" "${@:4}"
    same "$1" "$(head -n 1 "$T/head" | cut -d' ' -f2)"
    same "$2" "$(header Location "$T/head")"
    same 0 "$(header Content-Length "$T/head")"
    same '' "$(header Content-Type "$T/head")"
}

# goes_to SERVICE PATH [CURL OPTION...]: the request reached the service of this name.
goes_to()
{
    gw_curl "$2" -o "$T/body" -D "$T/head" "${@:3}"
    same "200 /$1" "$(head -n 1 "$T/head" | cut -d' ' -f2) $(jq -r .target "$T/body" | grep -o '^/[a-z]*')"
}

@test "a header's value picks the route, its case does not" {
    goes_to plain /echo
    goes_to plain /echo -H 'X-Team: green'
    goes_to blue /echo -H 'X-Team: blue'
    goes_to blue /echo -H 'x-team: NAVY'
    goes_to plain /echo -H 'x-team: blue, navy'
    goes_to blue /echo -H 'x-team: green' -H 'x-team: navy'
}

@test "more names of headers win over a longer path" {
    goes_to both /echo -H 'X-Team: blue' -H 'X-Stage: Beta'
    goes_to blue /echo -H 'X-Team: navy' -H 'X-Stage: beta'
}

@test "a regex alone in its list is looked for in the value" {
    goes_to pattern /echo -H 'X-Version: V12'
    goes_to plain /echo -H 'X-Version: 12'
}

@test "headers are shown, replaced by PATCH, and come back after a restart" {
    same '{"x-team":["blue","navy"]}' "$(kctl route get blue -o json | jq -c .headers)"
    kctl route update blue --headers x-team=red -o json
    same '{"x-team":["red"]}' "$(kctl route get blue -o json | jq -c .headers)"
    goes_to plain /echo -H 'X-Team: blue'
    goes_to blue /echo -H 'X-Team: red'
    kill_keygated
    start_keygated --set workers=2
    goes_to blue /echo -H 'X-Team: red'
    same 200 "$(admin_status /routes/blue -X PATCH -d 'headers.x-team=blue' -d 'headers[x-team]=navy')"
    same '{"x-team":["blue","navy"]}' "$(jq -c .headers "$T/body")"
    goes_to blue /echo -H 'X-Team: blue'
}

@test "a regex path takes off what it matched, and goes before a longer path" {
    make service --name numbered --url http://127.0.0.1:8001/echo
    make route --service numbered --name numbered --paths '~/r/[0-9]{1,3}/(?:x|y)' --paths /s
    make route --service plain --name longer --paths /r/12/x/echo
    same /echo/z "$(gw_curl /r/123/y/z | jq -r .target)"
    same /echo/echo "$(gw_curl /r/12/x/echo | jq -r .target)"
    same /echo "$(gw_curl /s | jq -r .target)"
    same 404 "$(status_of gw_curl /r/1234/x)"
    same 404 "$(status_of gw_curl /a/r/1/x)"
    same '["~/r/[0-9]{1,3}/(?:x|y)","/s"]' "$(kctl route get numbered -o json | jq -c .paths)"
}

@test "regex_priority decides between regexes" {
    make route --service plain --name low --paths '~/p/.*'
    make route --service blue --name high --paths '~/p/echo' --regex-priority 1 --strip-path false
    same /blue/p/echo "$(gw_curl /p/echo -o /dev/null -w '' && gw_curl /p/echo | jq -r .target)"
    kctl route update high --regex-priority -1
    same 404 "$(status_of gw_curl /nowhere)"
    like '^/plain' "$(gw_curl /p/echo | jq -r .target)"
}

@test "a regex that is none, or without end, harms nobody" {
    run kctl route create --paths '~/a['
    same 1 "$status"
    like 'invalid regex: missing terminating' "$output"
    make route --service plain --name endless --paths '~/endless/(a+)+$'
    local long
    long=$(printf 'a%.0s' {1..4000})
    same 404 "$(status_of gw_curl "/endless/$long!")"
    same 200 "$(status_of gw_curl "/endless/aaa" -d '')"
}

@test "headers that no request could have are refused" {
    run kctl route create --paths /x --headers Host=a
    same 1 "$status"
    like "'hosts' attribute" "$output"
    run kctl route create --paths /x --headers 'x=~*('
    same 1 "$status"
    like 'invalid regex' "$output"
    run kctl route create --paths /x --headers x
    same 2 "$status"
}

@test "a route for https alone asks for it, before any plugin" {
    make route --service plain --name secure --paths /secure --protocols https
    make plugin --name key-auth --route secure
    gw_curl /secure -D "$T/head" -o "$T/body"
    same 'HTTP/1.1 426 Upgrade Required' "$(head -n 1 "$T/head" | tr -d '\r')"
    kong_error 'Please use HTTPS protocol' "$T/body"
    same Upgrade "$(header Connection "$T/head")"
    same 'TLS/1.2, HTTP/1.1' "$(header Upgrade "$T/head")"
    gw_curl /secure -D "$T/head" -o "$T/body" -d body -H 'Transfer-Encoding: chunked'
    like '^HTTP/1.1 426 ' "$(head -n 1 "$T/head")"
    # Nobody but a trusted proxy could say so.
    same 426 "$(status_of gw_curl /secure -H 'X-Forwarded-Proto: https')"
}

@test "a route for https alone redirects when it says so" {
    make route --service plain --name moved --paths /moved --protocols https --https-redirect-status-code 301
    sent_to 301 'https://a.example/moved/%7Ex/../y?q=1&r=%20' '/moved/%7Ex/../y?q=1&r=%20' --path-as-is -H 'Host: a.example:9080'
    local status
    for status in 302 307 308; do
        kctl route update moved --https-redirect-status-code "$status"
        sent_to "$status" 'https://127.0.0.1/moved?' '/moved?'
    done
    # Without a Host there is nowhere to go.
    same 426 "$(status_of gw_curl /moved -0 -H 'Host:')"
    kctl route update moved --protocols http,https
    same 200 "$(status_of gw_curl /moved)"
}

@test "protocols that keygate cannot serve are refused" {
    local protocol
    for protocol in grpc grpcs tcp tls udp; do
        run kctl route create --paths /x --protocols "$protocol"
        same 1 "$status"
        like 'expected one of: http, https' "$output"
    done
    run kctl route create --paths /x --https-redirect-status-code 303
    same 1 "$status"
}
