#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-2-Clause
# acl on the wire: who may come in by the groups that consumers are in, and what of them the upstream is told.
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
    for route in allow deny hidden open; do
        make route --service up --name "$route" --paths "/$route"
        [[ $route == open ]] || make plugin --name key-auth --route "$route"
    done
    make plugin --name acl --route allow --config allow=staff,on-call
    make plugin --name acl --route deny --config deny=banned --config always_use_authenticated_groups=true
    make plugin --name acl --route hidden --config allow=staff --config hide_groups_header=true
    make plugin --name acl --route open --config deny=banned
    make consumer --username alice
    make consumer --username bob
    make_key alice >"$T/alice"
    make_key bob >"$T/bob"
    make acl staff --consumer alice
    make acl all --consumer alice
}

teardown_file()
{
    file_end
}

teardown()
{
    show_log
}

# as NAME PATH [CURL OPTION...]
as()
{
    gw_curl "$2" -H "apikey: $(<"$T/$1")" "${@:3}"
}

@test "allow: a member passes, and the upstream is told all its groups" {
    same 'all, staff' "$(upstream_header X-Consumer-Groups "$(as alice /allow/echo)")"
}

@test "allow: who is in no group, or in others, is refused with 403" {
    as bob /allow/echo -D "$T/head" -o "$T/body"
    like '^HTTP/1\.1 403 Forbidden' "$(head -n 1 "$T/head")"
    same '' "$(header WWW-Authenticate "$T/head")"
    kong_error 'You cannot consume this service' "$T/body"
    kctl acl create guests --consumer bob
    has_status 403 as bob /allow/echo
    kctl acl delete guests --consumer bob
}

@test "deny: who is in no group passes, and the upstream is told of none" {
    same '' "$(upstream_header X-Consumer-Groups "$(as bob /deny/echo)")"
    has_status 200 as alice /deny/echo
}

@test "deny: a member is refused as soon as it is one, and passes when it is one no more" {
    kctl acl create banned --consumer alice
    wait_for has_status 403 as alice /deny/echo
    kctl acl delete banned --consumer alice
    wait_for has_status 200 as alice /deny/echo
}

@test "hide_groups_header: the upstream is told of none" {
    same '' "$(upstream_header X-Consumer-Groups "$(as alice /hidden/echo)")"
}

@test "a client's own X-Consumer-Groups goes nowhere, in whatever spelling" {
    local forged=(-H 'X-Consumer-Groups: admin' -H 'x_consumer_groups: admin')
    same 'all, staff' "$(upstream_header X-Consumer-Groups "$(as alice /allow/echo "${forged[@]}")")"
    same '' "$(upstream_header X-Consumer-Groups "$(as alice /hidden/echo "${forged[@]}")")"
    same '' "$(upstream_header X-Consumer-Groups "$(as bob /deny/echo "${forged[@]}")")"
    has_status 403 as bob /allow/echo -H 'X-Consumer-Groups: staff'
}

@test "where nothing asks for a credential nobody passes: 401 with a challenge" {
    gw_curl /open/echo -D "$T/head" -o "$T/body"
    like '^HTTP/1\.1 401 Unauthorized' "$(head -n 1 "$T/head")"
    same Key "$(header WWW-Authenticate "$T/head")"
    kong_error Unauthorized "$T/body"
}

@test "a refused key is key-auth's affair: its 401 comes first" {
    gw_curl /allow/echo -o "$T/body"
    kong_error 'No API key found in request' "$T/body"
}

@test "groups survive a restart, and go with their consumer" {
    stop_keygated
    start_keygated --set guard.threshold=0
    same 'all, staff' "$(upstream_header X-Consumer-Groups "$(as alice /allow/echo)")"
    make consumer --username carol
    make_key carol >"$T/carol"
    make acl staff --consumer carol
    has_status 200 as carol /allow/echo
    kctl consumer delete carol --yes
    make consumer --username carol
    make_key carol >"$T/carol"
    has_status 403 as carol /allow/echo
    kctl consumer delete carol --yes
}

@test "groups of a declarative file count at once" {
    cat >"$T/groups.yaml" <<'YAML'
_format_version: "3.0"
_info: { select_tags: [groups] }
consumers:
- username: dave
  keyauth_credentials: [{ key: daves-own-key }]
  acls: [{ group: on-call }]
YAML
    kctl sync "$T/groups.yaml"
    echo daves-own-key >"$T/dave"
    same on-call "$(upstream_header X-Consumer-Groups "$(as dave /allow/echo)")"
    sed -i 's/on-call/others/' "$T/groups.yaml"
    kctl sync "$T/groups.yaml"
    wait_for has_status 403 as dave /allow/echo
    printf '_format_version: "3.0"\n' | kctl sync --select-tag groups -
}

@test "a header with more groups than fit is no reason to let anybody pass without it" {
    local i
    make consumer --username erin
    make_key erin >"$T/erin"
    make acl staff --consumer erin
    for ((i = 0; i < 17; i++)); do
        kctl acl create "$(printf '%0500d' "$i")" --consumer erin
    done
    has_status 500 as erin /allow/echo
    has_status 200 as erin /hidden/echo
    kctl consumer delete erin --yes
}
