#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-2-Clause
# Upstreams and targets from the outside: keyctl and the Admin API, what they refuse, and what a restart keeps.
# shellcheck disable=SC2154,SC2016 # bats sets status and output; dollars in single quotes are jq's

load helper

setup_file()
{
    file_begin
    start_upstream
    start_keygated
}

teardown_file()
{
    file_end
}

teardown()
{
    show_log
}

# refused STATUS REGEX KEYCTL-ARGUMENT...: keyctl ends with this status and says something like this.
refused()
{
    run kctl "${@:3}"
    same "$1" "$status"
    like "$2" "$output"
}

@test "keyctl makes, shows, changes and deletes an upstream" {
    kctl upstream create --name u1 --hash-on header --hash-on-header x-team --slots 100 --host-header app.example \
        --healthchecks active.timeout=0.5 --healthchecks 'active.healthy.http_statuses=[200,204]' \
        --healthchecks threshold=20 --tags a,b -o json >"$T/out"
    holds '.algorithm == "consistent-hashing" and .hash_on == "header" and .slots == 100 and .tags == ["a", "b"]
        and .healthchecks.active.timeout == 0.5 and .healthchecks.active.healthy.http_statuses == [200, 204]
        and .healthchecks.threshold == 20 and .healthchecks.passive.unhealthy.http_statuses == [429, 500, 503]' "$(<"$T/out")"
    holds '.healthchecks.threshold == 20 and .healthchecks.active.http_path == "/up"' \
        "$(kctl upstream update U1 --healthchecks active.http_path=/up -o json)"
    holds '.algorithm == "least-connections" and .hash_on == "none"' \
        "$(kctl upstream update u1 --algorithm least-connections -o json)"
    like '^NAME +ALGORITHM.*u1 +least-connections' "$(kctl upstream list)"
    kctl upstream delete u1
    refused 1 'upstream u1: Not found' upstream get u1
}

@test "keyctl makes, shows, changes and deletes targets of an upstream" {
    make upstream --name u2
    make upstream --name u3
    holds '.target == "app.example:8000" and .weight == 100' "$(kctl target create App.example --upstream u2 -o json)"
    make target app.example:8000 --upstream u3
    holds '.target == "[::1]:9000"' "$(kctl target create '[::1]:9000' --upstream u2 --weight 7 -o json)"
    holds '.weight == 0' "$(kctl target update '[::1]:9000' --upstream u2 --weight 0 -o json)"
    holds '.weight == 100' "$(kctl target get app.example:8000 --upstream u3 -o json)"
    holds '[.data[].target] == ["app.example:8000", "[::1]:9000"]' "$(kctl target list --upstream u2 -o json)"
    refused 1 'UNIQUE violation detected' target create APP.example:8000 --upstream u2
    kctl target delete app.example:8000 --upstream u2
    holds '.data | length == 1' "$(kctl target list --upstream u2 -o json)"
    holds '.data | length == 1' "$(kctl target list --upstream u3 -o json)"
    kctl upstream delete u2
    refused 1 'upstream u2: Not found' target list --upstream u2
}

@test "keyctl says what is missing and what is refused" {
    refused 2 'target create needs --upstream NAME' target create 127.0.0.1
    refused 2 'target list needs --upstream NAME' target list
    refused 2 'upstream create needs --name NAME' upstream create --slots 10
    refused 2 'upstream health needs the NAME' upstream health
    refused 2 'target has no verb "health"' target health x
    refused 2 'healthchecks takes NAME=VALUE' upstream create --name x --healthchecks nonsense
    refused 2 'given twice' upstream create --name x --healthchecks threshold=1 --healthchecks threshold=2
    refused 1 'algorithm: expected one of' upstream create --name x --algorithm latency
    refused 1 'hash_on_header: required field missing' upstream create --name x --hash-on header
    refused 1 'name: Invalid name; no ip addresses allowed' upstream create --name 10.0.0.1
    refused 1 'healthchecks.active.nope: unknown field' upstream create --name x --healthchecks active.nope=1
    make upstream --name u4
    refused 1 'not a valid hostname or ip address' target create 'a b' --upstream u4
    refused 1 'upstream nowhere: Not found' target create 10.0.0.1 --upstream nowhere
    same 404 "$(admin_status /targets)"
    holds '.data | all(.name != "x")' "$(kctl upstream list -o json)"
}

@test "health shows each address, and an operator's word" {
    make upstream --name u5 --healthchecks passive.unhealthy.tcp_failures=3
    make target 127.0.0.1:8001 --upstream u5
    make target nowhere.invalid --upstream u5
    make target localhost:8002 --upstream u5
    wait_for lists_health '127.0.0.1:8002 HEALTHY'
    kctl upstream health u5 >"$T/out"
    like '127.0.0.1:8001 +100 +HEALTHY +127.0.0.1:8001 HEALTHY' "$(<"$T/out")"
    like 'nowhere.invalid:8000 +100 +DNS_ERROR +-' "$(<"$T/out")"
    same 204 "$(admin_status /upstreams/u5/targets/localhost:8002/127.0.0.1:8002/unhealthy -X PUT)"
    like 'localhost:8002 +100 +UNHEALTHY +127.0.0.1:8002 UNHEALTHY' "$(kctl upstream health u5)"
    same 204 "$(admin_status /upstreams/u5/targets/localhost:8002/healthy -X PUT)"
    lists_health '127.0.0.1:8002 HEALTHY'
    refused 1 'upstream nowhere: Not found' upstream health nowhere
}

lists_health()
{
    kctl upstream health u5 | grep -qF "$1"
}

@test "upstreams and targets outlive a restart and kill -9" {
    make upstream --name u6 --hash-on ip --healthchecks active.timeout=0.1
    make target 127.0.0.1:8001 --upstream u6 --weight 3
    make service --name s6 --url http://U6 --retries 2
    kctl upstream get u6 -o json >"$T/upstream"
    kctl target list --upstream u6 -o json >"$T/targets"
    kill_keygated
    start_keygated
    same "$(<"$T/upstream")" "$(kctl upstream get u6 -o json)"
    same "$(<"$T/targets")" "$(kctl target list --upstream u6 -o json)"
    holds '.retries == 2' "$(kctl service get s6 -o json)"
    stop_keygated
    start_keygated
    same "$(<"$T/targets")" "$(kctl target list --upstream u6 -o json)"
    like '127.0.0.1:8001 +3 +HEALTHCHECKS_OFF' "$(kctl upstream health u6)"
}

# many_names DATABASE: 1000 services, each with a host name of its own, n0.test to n999.test, and 4000 routes.
many_names()
{
    /usr/bin/python3 - "$1" <<'PYTHON'
import sqlite3, sys, uuid

db = sqlite3.connect(sys.argv[1])
services = [str(uuid.uuid4()) for _ in range(1000)]
db.executemany("INSERT INTO services (id, name, protocol, host, port, retries, connect_timeout, write_timeout, read_timeout, enabled,"
               " created_at, updated_at) VALUES (?, ?, 'http', ?, 8001, 0, 1000, 1000, 1000, 1, 1, 1)",
               [(id, f"many{n}", f"n{n}.test") for n, id in enumerate(services)])
db.executemany("INSERT INTO routes (id, name, service, protocols, paths, regex_priority, https_redirect_status_code, strip_path,"
               " preserve_host, created_at, updated_at) VALUES (?, ?, ?, '[\"http\"]', ?, 0, 426, 1, 0, 1, 1)",
               [(str(uuid.uuid4()), f"many{n}", services[n % 1000], f'["/r{n}/"]') for n in range(4000)])
db.commit()
PYTHON
}

@test "a thousand host names that get their addresses at once are one change" {
    local most=131072

    stop_keygated
    many_names "$T/state/keygate.db"
    printf '127.0.0.1 n%d.test\n' {0..999} >"$T/hosts"
    # shellcheck disable=SC2016 # its own shell sees to the parameters
    in_background keygated unshare --mount bash -c 'mount --bind "$1" /etc/hosts && exec "${@:2}"' - "$T/hosts" \
        "$KEYGATED" --config "$CONFIG"
    ready keygated "$KEYCTL" status
    same 200 "$(status_of gw_curl /r3999/echo)"
    same 200 "$(status_of gw_curl /r1000/echo)"
    ! is_sanitized || most=1048576
    [[ $(memory VmHWM) -lt $most ]] || {
        echo "memory went up to $(memory VmHWM) KiB"
        return 1
    }
}

# addresses_are ADDRESS...: what the name server says from now on.
addresses_are()
{
    printf '%s\n' "$@" >"$T/addresses.new"
    mv "$T/addresses.new" "$T/addresses"
}

# The statuses of so many requests to the named host, each once.
statuses()
{
    local _

    for _ in {1..8}; do
        printf '%s\n' "$(status_of gw_curl /several/echo)"
    done | sort -u | tr '\n' ' '
}

answers_are()
{
    [[ $(statuses) == "$1 " ]]
}

# Something answers at 127.0.0.1 alone, and nothing is tried twice.
@test "all addresses of a name take turns, and the name server's news are taken over when the TTL ends" {
    stop_keygated
    addresses_are 127.0.0.1 127.0.0.2
    in_background dns /usr/bin/python3 "$BATS_TEST_DIRNAME/dns.py" 127.0.0.53 "$T/addresses" 1
    echo 'nameserver 127.0.0.53' >"$T/resolv.conf"
    # shellcheck disable=SC2016 # its own shell sees to the parameters
    in_background keygated unshare --mount bash -c 'mount --bind "$1" /etc/resolv.conf && exec "${@:2}"' - "$T/resolv.conf" \
        "$KEYGATED" --config "$CONFIG" --set workers=1
    ready keygated "$KEYCTL" status
    make service --name several --url http://several.test:8001 --retries 0
    make route --service several --name several --paths /several
    wait_for answers_are '200 502'
    addresses_are 127.0.0.1
    wait_for answers_are 200
    addresses_are 127.0.0.2
    wait_for answers_are 502
}
