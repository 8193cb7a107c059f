#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-2-Clause
# Which route a request belongs to, as a client sees it: headers, regular expressions, protocols.
# shellcheck disable=SC2154 # bats sets status and output

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
