#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-2-Clause
# GET /events and keyctl events: what happens is told, to whoever listens, and harms nobody.
# shellcheck disable=SC2154 # bats sets status, output and lines

load helper

setup_file()
{
    export BATS_NO_PARALLELIZE_WITHIN_FILE=true
    file_begin
    join_abuser
    start_upstream
    start_keygated --set 'guard.threshold=3'
    make service --name api --url http://127.0.0.1:8001 >/dev/null
    make route --name api --service api --paths / >/dev/null
    make plugin --name key-auth --route api >/dev/null
}

teardown_file()
{
    file_end
}

teardown()
{
    local pid_file
    for pid_file in "$T"/pids/listen*; do
        if [[ -e $pid_file ]]; then
            stop_pid "$(<"$pid_file")" 5
            rm "$pid_file"
        fi
    done
}

# listen NAME FLAG...: keyctl events -f in the background; its lines are in $T/NAME.log.
listen()
{
    in_background "$1" "$KEYCTL" events -f "${@:2}"
    wait_for listening "$1"
}

# A first event of its own, so that it is known to listen.
listening()
{
    local id
    id=$(make consumer --username "hello-$RANDOM$RANDOM") && kctl consumer delete "$id" >/dev/null
    [[ -s $T/$1.log ]]
}

# told NAME FILTER: some line fits.
told()
{
    jq -e -s "any(.[]; $2)" "$T/$1.log" >/dev/null
}

@test "writes are told, with names and without secrets" {
    local id key
    listen listen
    id=$(make consumer --username ann)
    key=$(make_key ann)
    kctl consumer update ann --custom-id c1 >/dev/null
    kctl consumer delete ann >/dev/null
    wait_for told listen ".type == \"entity\" and .action == \"deleted\" and .id == \"$id\" and .name == \"ann\""
    told listen ".action == \"created\" and .entity == \"consumers\" and .id == \"$id\""
    told listen ".action == \"updated\" and .id == \"$id\" and .time > 1600000000"
    told listen '.entity == "key-auths" and .action == "created" and (has("name") | not)'
    same 0 "$(grep -c "$key" "$T/listen.log")"
}

@test "a ban is told with its reason, its lifting too, and signals beforehand" {
    local i
    listen listen --type ban,signal,entity
    for ((i = 0; i < 3; i++)); do
        status_of abuser_curl 198.51.100.66 /echo -H 'apikey: wrong' >/dev/null || true
    done
    wait_for told listen '.type == "ban" and .action == "added" and .address == "198.51.100.66" and .reason == "wrong_key" and .expires > 0'
    told listen '.type == "signal" and .source == "198.51.100.66" and .kind == "wrong_key"'
    kctl ban delete 198.51.100.66 >/dev/null
    wait_for told listen '.type == "ban" and .action == "lifted" and .address == "198.51.100.66"'
    kctl ban create 203.0.113.9 --ttl 1 >/dev/null
    wait_for told listen '.action == "expired" and .address == "203.0.113.9" and .reason == "manual"'
    # -f begins with the last ten of these types alone.
    in_background listen-bans "$KEYCTL" events -f --type ban
    wait_for told listen-bans '.action == "expired"'
    same '["ban"]' "$(jq -cs 'map(.type) | unique' "$T/listen-bans.log")"
}

@test "a target's health is told when it changes" {
    kctl upstream create --name pool --healthchecks passive.unhealthy.tcp_failures=1 >/dev/null
    kctl target create 127.0.0.1:8009 --upstream pool >/dev/null
    make service --name pooled --url http://pool --retries 0 >/dev/null
    make route --name pooled --service pooled --hosts pooled.example >/dev/null
    listen listen --type health,entity
    admin_status /upstreams/pool/targets/127.0.0.1:8009/unhealthy -X PUT >/dev/null
    wait_for told listen '.type == "health" and .upstream == "pool" and .address == "127.0.0.1:8009" and .health == "UNHEALTHY"'
    admin_status /upstreams/pool/targets/127.0.0.1:8009/healthy -X PUT >/dev/null
    wait_for told listen '.type == "health" and .health == "HEALTHY"'
}

@test "the addresses that a host name has now are told" {
    listen listen --type dns,entity
    make service --name named --url http://localhost:8001 >/dev/null
    wait_for told listen '.type == "dns" and .host == "localhost" and .addresses >= 1'
}

@test "SIGHUP is told" {
    kill -HUP "$(pid_of keygated)"
    wait_for grep -q . <(kctl events --type reload)
}

@test "without -f the last ones come, and no more" {
    make consumer --username last >/dev/null
    run -0 kctl events --type entity
    same 'last created' "$(tail -n 1 <<<"$output" | jq -r '.name + " " + .action')"
    run -0 admin '/events?follow=0&past=2'
    same 2 "${#lines[@]}"
    admin '/events?follow=0' -D "$T/head" -o /dev/null
    same application/x-ndjson "$(header Content-Type "$T/head")"
}

@test "only eight listen at a time, and others are served meanwhile" {
    local i
    for ((i = 1; i <= 8; i++)); do
        in_background "listen$i" "$KEYCTL" events -f
    done
    wait_for has_too_many
    run -1 kctl events -f
    like 'too many listeners' "$output"
    kctl status >/dev/null
    stop_pid "$(pid_of listen3)" 5
    rm "$T/pids/listen3"
    listen listen9
}

has_too_many()
{
    [[ $(timeout 1 "$KEYCTL" events -f 2>&1 >/dev/null) == *'too many listeners'* ]]
}

@test "a listener that does not read loses events, is told how many, and delays nobody" {
    local i
    listen listen
    kill -STOP "$(pid_of listen)"
    for ((i = 0; i < 6; i++)); do
        bans_at_once "$i"
    done
    kctl status >/dev/null
    kill -CONT "$(pid_of listen)"
    wait_for told listen '.type == "lost" and .count > 0'
}

# Some hundred bans and their end, by one connection.
bans_at_once()
{
    local n urls=()
    for ((n = 1; n < 250; n++)); do
        urls+=("http://localhost/bans/100.64.$1.$n" -o /dev/null)
    done
    for ((n = 1; n < 250; n++)); do
        printf 'next\nurl = "http://localhost/bans"\nunix-socket = "%s"\ndata = "address=100.64.%s.%s"\noutput = /dev/null\n' \
            "$KEYGATE_SOCKET" "$1" "$n"
    done | sed 1d >"$T/curl"
    curl -s -K "$T/curl"
    curl -s --unix-socket "$KEYGATE_SOCKET" -X DELETE "${urls[@]}"
}

@test "what it cannot read is refused" {
    same 400 "$(admin_status '/events?past=257')"
    same 400 "$(admin_status '/events?follow=maybe')"
    same 405 "$(admin_status /events -X POST)"
    run -2 kctl events --type 'a&b'
    run -2 kctl events nothing
    run -3 kctl events --socket /nowhere
}
