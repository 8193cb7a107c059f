#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-2-Clause
# scripts/demo and scripts/run, as a person starts them.
# shellcheck disable=SC2154 # bats sets status and output

load helper

setup_file()
{
    file_begin
}

teardown_file()
{
    file_end
}

# nothing_of DEMO|RUN: no namespace, no pin, no folder, no process.
nothing_of()
{
    local ns

    for ns in keygate-gw keygate-client keygate-abuser; do
        [[ ! -e /run/netns/$ns ]]
    done
    [[ ! -e /sys/fs/bpf/keygate-$1 ]]
    compgen -G "/tmp/keygate-$1.*" && return 1
    if pgrep -f "/tmp/keygate-$1\." >"$T/pgrep"; then
        xargs -n 1 ps -fp <"$T/pgrep"
        return 1
    fi
}

# script_in_background NAME: as from a terminal, where SIGINT is not ignored.
script_in_background()
{
    in_background "$1" env --default-signal=INT,QUIT KEYGATE_BUILD="$BUILD" "$TOP/scripts/$1"
}

@test "demo shows its six steps and leaves nothing behind" {
    run env KEYGATE_BUILD="$BUILD" "$TOP/scripts/demo"
    echo "$output"
    same 0 "$status"
    local n
    for n in 1 2 3 4 5 6; do
        like $'\n'"$n\\. " "$output"
    done
    like 'All six steps went as they should' "$output"
    unlike $'\e' "$output"
    nothing_of demo
}

@test "demo that is ended in the middle leaves nothing behind and does not end with 0" {
    local signal
    for signal in INT TERM; do
        script_in_background demo
        wait_for -t 60 grep -q '^3\. ' "$T/demo.log"
        kill -"$signal" "$(pid_of demo)"
        wait_for -t 30 gone "$(pid_of demo)"
        rm "$T/pids/demo"
        unlike 'All six steps' "$(<"$T/demo.log")"
        like 'did not finish' "$(<"$T/demo.log")"
        nothing_of demo
    done
}

@test "demo fails loudly when something is not as it should be" {
    # A keygated that never gets ready.
    mkdir "$T/build"
    printf '#!/bin/sh\ncase "$*" in *--detach*) exit 0;; esac\necho "no way" >&2\nexit 1\n' >"$T/build/keygated"
    printf '#!/bin/sh\nexit 3\n' >"$T/build/keyctl"
    chmod +x "$T/build/keygated" "$T/build/keyctl"
    run env KEYGATE_BUILD="$T/build" "$TOP/scripts/demo"
    echo "$output"
    [[ $status -ne 0 ]]
    like 'FAILED.*keygated did not start' "$output"
    like 'no way' "$output"
    nothing_of demo
}

@test "demo is for root, and says so" {
    cp -r "$TOP/scripts" "$T/scripts"
    chmod -R a+rX "$T/scripts"
    run setpriv --reuid 65534 --regid 65534 --clear-groups "$T/scripts/demo"
    [[ $status -ne 0 ]]
    like 'root' "$output"
}

@test "run serves its three curl lines and ends on Ctrl-C" {
    script_in_background run
    wait_for -t 60 grep -q 'Ctrl-C ends all of it' "$T/run.log" || {
        cat "$T/run.log"
        return 1
    }
    local line n=0
    local wanted=(401 401 200)
    while read -r line; do
        like "^HTTP/1\\.1 ${wanted[n]} " "$(ns_run "$GW" bash -c "${line/curl /curl -s }" | head -n 1)"
        n=$((n + 1))
    done < <(grep -E '^ +curl -i ' "$T/run.log")
    same 3 "$n"
    # The lines to look with work as they are printed.
    while read -r line; do
        ns_run "$GW" bash -o pipefail -c "$line" >"$T/out" || same "0 from: $line" "$? $(<"$T/out")"
    done < <(grep -E '^ +(/[^ ]*/keyctl|bpftool) ' "$T/run.log")
    same generic "$(xdp_mode "$GW" lo)"

    kill -INT "$(pid_of run)"
    wait_for -t 30 gone "$(pid_of run)"
    rm "$T/pids/run"
    like 'nothing left behind' "$(<"$T/run.log")"
    same none "$(xdp_mode "$GW" lo)"
    nothing_of run
}

@test "run says in one sentence that the port is taken" {
    in_background taker /usr/bin/python3 -c 'import socket, time
s = socket.create_server(("127.0.0.1", 9080))
time.sleep(600)'
    port_taken()
    {
        [[ -n $(ns_run "$GW" ss -Hltn 'sport = :9080') ]]
    }
    wait_for port_taken
    run ns_run "$GW" env KEYGATE_BUILD="$BUILD" "$TOP/scripts/run"
    end_of taker
    [[ $status -ne 0 ]]
    same 1 "${#lines[@]}"
    like '9080 is taken' "$output"
    nothing_of run
}
