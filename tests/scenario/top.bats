#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-2-Clause
# keyctl top: what the screen shows, its keys, and that the terminal comes back whole however it ends.
# shellcheck disable=SC2154 # bats sets status and output

load helper

setup_file()
{
    file_begin
    start_upstream
    start_keygated
    kctl service create --name echo --url http://127.0.0.1:8001
    kctl route create --name shown --service echo --paths /a
    kctl plugin create --name key-auth --route shown
    kctl consumer create --username busy
    kctl consumer create --username calm
    printf 'key-of-busy' | kctl key create --consumer busy --key-file -
    printf 'key-of-calm' | kctl key create --consumer calm --key-file -
    for key in busy busy busy calm; do
        gw_curl /a/echo -o /dev/null -H "apikey: key-of-$key"
    done
    kctl ban create 203.0.113.77 --ttl 1h
    wait_for sees_stats
}

sees_stats()
{
    kctl stats -o json | jq -e 'any(.data[]; .name == "busy" and .requests == 3)' >/dev/null
}

teardown_file()
{
    file_end
}

teardown()
{
    show_log
}

top()
{
    /usr/bin/python3 "$BATS_TEST_DIRNAME/top.py" "$KEYCTL" top
}

@test "consumers, routes and bans, by 1, 2, 3 and Tab" {
    top <<'STEPS'
see ^consumers \([0-9]+\)
see connections, [0-9]+ requests, .* 1 bans
see ^busy +[0-9]+ +3 +3
type 2
see ^routes \(1\)
see counted by consumer, not by route
see ^shown .* /a$
type 3
see ^bans \(1\)
see ^203\.0\.113\.77 +manual
type \t
see ^consumers
type q
end 0
STEPS
}

@test "the column to sort by, and which way" {
    top <<'STEPS'
see ^busy
type <
order ^busy ^calm
type r
order ^calm ^busy
type >>
order ^calm ^busy
type r
order ^busy ^calm
type q
end 0
STEPS
}

@test "it goes on asking: what is new comes by itself" {
    (
        sleep 1
        kctl ban create 203.0.113.78 >/dev/null
    ) 3>&- &
    top <<'STEPS'
type 3
see ^203\.0\.113\.77
see ^203\.0\.113\.78
type q
end 0
STEPS
    kctl ban delete 203.0.113.78
}

@test "a terminal that becomes smaller and larger" {
    top <<'STEPS'
see ^busy
size 10 40
see ^busy
size 3 10
size 30 100
see ^busy .* 3
type q
end 0
STEPS
}

@test "signals end it and give the terminal back" {
    local name number

    while read -r name number; do
        printf 'see ^busy\nsignal %s\nend -%s\n' "$name" "$number" | top
    done <<'SIGNALS'
SIGTERM 15
SIGHUP 1
SIGINT 2
SIGQUIT 3
SIGNALS
}

@test "without a terminal, on an unknown one, without a daemon" {
    run "$KEYCTL" top </dev/null
    same 2 "$status"
    same 'keyctl: top needs a terminal; for machines there is keyctl stats -o json' "$output"
    TERM=no-such run /usr/bin/python3 "$BATS_TEST_DIRNAME/terminal.py" 80 '' "$KEYCTL" top
    same 2 "$status"
    like 'top cannot use this terminal' "$output"
    run /usr/bin/python3 "$BATS_TEST_DIRNAME/terminal.py" 80 '' "$KEYCTL" top --socket /nobody
    same 3 "$status"
    like 'cannot reach the daemon at /nobody' "$output"
    run /usr/bin/python3 "$BATS_TEST_DIRNAME/terminal.py" 80 '' "$KEYCTL" top --interval 0
    same 2 "$status"
}

@test "a daemon that goes away: its words, and the terminal as it was" {
    (
        sleep 1
        end_of keygated
    ) 3>&- &
    top <<'STEPS'
see ^busy
see cannot reach the daemon
end 3
STEPS
}
