#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-2-Clause
# GET /status: what connections are doing; GET /status/ready: whether requests are served.
# shellcheck disable=SC2154 # bats sets status and output

load helper

setup_file()
{
    export BATS_NO_PARALLELIZE_WITHIN_FILE=true
    file_begin
    start_upstream
    start_keygated --set http.max_connections_total=8 --set drain_timeout=30s
    make service --name up --url http://127.0.0.1:8001 >/dev/null
    make route --name up --service up --paths /up >/dev/null
}

teardown_file()
{
    file_end
}

teardown()
{
    show_log
}

# shows FILTER: of the status.
shows()
{
    admin /status | jq -e "$1" >/dev/null
}

# hold NAME COUNT [TEXT]: so many connections that send TEXT, and then nothing.
hold()
{
    in_background "$1" /usr/bin/python3 "$BATS_TEST_DIRNAME/slow.py" silent 127.0.0.1 9080 "${@:2}"
}

@test "connections are counted by what they do" {
    hold idle 1
    hold half 3 'GET / HT'
    hold asking 2 'GET /up/gate-sink:a HTTP/1.1\r\nHost: a\r\n\r\n'
    wait_for shows '.server | [.connections_active, .connections_waiting, .connections_reading, .connections_writing] == [6, 1, 3, 2]'
    shows '.server | .connections_handled == .connections_accepted and .connections_accepted == 6'
    end_of half
    wait_for shows '.server | [.connections_active, .connections_waiting, .connections_reading, .connections_writing] == [3, 1, 0, 2]'
    gw_curl /up/open:a >/dev/null
    # Answered, they wait for what comes next.
    wait_for shows '.server | [.connections_active, .connections_waiting, .connections_reading, .connections_writing] == [3, 3, 0, 0]'
    end_of asking
    end_of idle
    wait_for shows '.server | [.connections_active, .connections_waiting, .connections_reading, .connections_writing] == [0, 0, 0, 0]'
}

@test "what a limit resets is not handled" {
    hold many 10
    wait_for shows '.server | .connections_limited == 2 and .connections_accepted - .connections_handled == 2'
    end_of many
}

@test "a daemon that serves is ready, one that stops is not" {
    answers 200 '.message == "ready"' /status/ready
    same 405 "$(admin_status /status/ready -X POST)"
    hold last 1 'GET /up/gate-sink:b HTTP/1.1\r\nHost: a\r\n\r\n'
    wait_for shows '.server.connections_writing == 1'
    kill -TERM "$(pid_of keygated)"
    unready()
    {
        [[ $(admin_status /status/ready) == 503 ]]
    }
    wait_for unready
    holds '.message == "stopping"' "$(<"$T/body")"
    ns_run "$GW" curl -s -o /dev/null http://127.0.0.1:8001/open:b
    wait_for gone "$(pid_of keygated)"
    wait_for gone "$(pid_of last)"
    rm "$T/pids/keygated" "$T/pids/last"
}
