#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-2-Clause
# Settings and the start: what is wrong is named in one sentence, and nothing half-done stays behind.
# shellcheck disable=SC2154 # bats sets status, output and lines; refuses_to_start sets sentence

load helper

setup_file()
{
    file_begin
    join_client
}

teardown_file()
{
    file_end
}

setup()
{
    BAD=$T/bad.yaml
}

teardown()
{
    show_log
    if [[ -e $T/pids/keygated ]]; then
        stop_keygated
    fi
    if [[ -e $BPF_DIR ]]; then
        "$KEYGATED" --detach --config "$CONFIG"
    fi
}

# nothing_behind: no pins, no program on the interface, no socket.
nothing_behind()
{
    [[ ! -e $BPF_DIR ]] || same "no $BPF_DIR" "$(ls "$BPF_DIR")"
    same none "$(xdp_mode "$GW" to-client)"
    [[ ! -S $KEYGATE_SOCKET ]]
}

# check_refuses REGEX TEXT: --check names file, line and field of what is wrong in this file, and so does a start.
check_refuses()
{
    printf '%s\n' "$2" >"$BAD"
    run "$KEYGATED" --check --config "$BAD"
    echo "$output"
    same 1 "$status"
    same 1 "${#lines[@]}"
    like "bad\.yaml$1" "$output"
    local said=$output
    run timeout 10 "$KEYGATED" --config "$BAD"
    same 1 "$status"
    same "$said" "$output"
    nothing_behind
}

# --- the file ---------------------------------------------------------------------------------------------------------------

@test "--check accepts the shipped file, and every setting of it by itself" {
    run "$KEYGATED" --check --config "$TOP/conf/keygate.yaml"
    echo "$output"
    same 0 "$status"
    printf '\n' >"$BAD"
    run "$KEYGATED" --check --config "$BAD"
    echo "$output"
    same 0 "$status"
    nothing_behind
}

@test "a file that is not there is named" {
    run "$KEYGATED" --check --config "$T/no-such.yaml"
    same 1 "$status"
    like 'no-such\.yaml' "$output"
}

@test "an unknown setting: file, line and field" {
    check_refuses ':2: .*threshhold' $'listen: ["127.0.0.1:9080"]\nthreshhold: 3'
    check_refuses ':3: .*guard\.threshhold' $'# a comment\nguard:\n  threshhold: 3'
    check_refuses ':2: .*htttp' $'workers: 1\nhtttp:\n  max_head: 32k'
}

@test "a setting of the wrong kind: file, line, field and what was expected" {
    check_refuses ':2: guard\.threshold: .*expected' $'guard:\n  threshold: many'
    check_refuses ':1: workers: .*expected' 'workers: [1]'
    check_refuses ':2: http\.header_timeout: .*expected' $'http:\n  header_timeout: soon'
    check_refuses ':2: http\.max_head: .*expected' $'http:\n  max_head: 32 apples'
    check_refuses ':1: log_level: .*expected' 'log_level: loud'
    check_refuses ':1: listen: .*expected' 'listen: "127.0.0.1:9080"'
    check_refuses ':1: listen.*expected' 'listen: ["127.0.0.1"]'
    check_refuses ':1: listen.*expected' 'listen: ["localhost:80:80"]'
    check_refuses ':2: guard\.allow.*expected' $'guard:\n  allow: [10.0.0.0/33]'
    check_refuses ':1: guard: .*expected' 'guard: 5'
    check_refuses ':1: state_dir: .*expected' 'state_dir: relative/path'
}

@test "a setting out of range: file, line, field" {
    check_refuses ':1: workers: ' 'workers: -1'
    check_refuses ':1: workers: ' 'workers: 100000'
    check_refuses ':1: listen' 'listen: ["127.0.0.1:0"]'
    check_refuses ':1: listen' 'listen: ["127.0.0.1:65536"]'
    check_refuses ':1: listen' 'listen: []'
    check_refuses ':2: http\.max_headers: ' $'http:\n  max_headers: 0'
    check_refuses ':2: guard\.window: ' $'guard:\n  window: 999999999999999999999s'
}

@test "a setting given twice: file, line, field" {
    check_refuses ':2: .*workers' $'workers: 1\nworkers: 2'
    check_refuses ':4: .*guard\.window' $'guard:\n  window: 60s\n  threshold: 3\n  window: 30s'
}

@test "what is no YAML: file and line" {
    check_refuses ':2: ' $'workers: 1\n\tlisten: x'
    check_refuses ':[12]: ' 'listen: ["127.0.0.1:9080"'
}

@test "--set overrides the file, and is checked as strictly" {
    run "$KEYGATED" --check --config "$CONFIG" --set guard.threshold=3 --set 'xdp.interfaces=[lo]'
    same 0 "$status"
    run "$KEYGATED" --check --config "$CONFIG" --set guard.threshold=many
    same 1 "$status"
    like 'guard\.threshold: .*expected' "$output"
    run "$KEYGATED" --check --config "$CONFIG" --set guard.threshhold=3
    same 1 "$status"
    like 'guard\.threshhold' "$output"
    run "$KEYGATED" --check --config "$CONFIG" --set nonsense
    same 1 "$status"
    like 'nonsense' "$output"
}

@test "wrong arguments are wrong usage; --help and --version answer" {
    run "$KEYGATED" --nonsense
    same 2 "$status"
    run "$KEYGATED" --config "$CONFIG" stray
    same 2 "$status"
    run "$KEYGATED" --help
    same 0 "$status"
    like -- '--check' "$output"
    run "$KEYGATED" --version
    same 0 "$status"
    like '^keygated [0-9]' "$output"
}

# --- the start ---------------------------------------------------------------------------------------------------------------

@test "the start says what it listens on, where XDP is and how, and what is missing" {
    start_keygated --set 'xdp.interfaces=[to-client]' --set user=kg-no-such-user
    local log
    log=$(<"$T/keygated.log")
    like 'listening on 0\.0\.0\.0:9080' "$log"
    like 'listening on \[::\]:9080' "$log"
    like "to-client: native" "$log"
    like "kg-no-such-user" "$log"
    like "$KEYGATE_SOCKET" "$log"
    like 'ready' "$log"
    [[ $(wc -l <"$T/keygated.log") -le 12 ]]
}

@test "without interfaces the start says that bans are enforced in user space only" {
    start_keygated
    like 'user space only' "$(<"$T/keygated.log")"
}

@test "an interface that cannot do native XDP gets generic, and the log says so" {
    start_keygated --set 'xdp.interfaces=[lo]'
    like 'lo: generic' "$(<"$T/keygated.log")"
    same generic "$(xdp_mode "$GW" lo)"
}

@test "native mode on an interface that cannot is refused" {
    refuses_to_start --set 'xdp.interfaces=[lo]' --set xdp.mode=native
    like 'lo' "$sentence"
    like 'native' "$sentence"
    same none "$(xdp_mode "$GW" lo)"
    nothing_behind
}

@test "one of two interfaces that cannot: nothing stays on the other" {
    refuses_to_start --set 'xdp.interfaces=[to-client, lo]' --set xdp.mode=native
    nothing_behind
}

@test "an interface that does not exist is named" {
    refuses_to_start --set 'xdp.interfaces=[to-client, kgnone0]'
    like 'kgnone0 does not exist' "$sentence"
    nothing_behind
}

@test "an XDP program of somebody else is left in peace" {
    cat >"$T/foreign.bpf.c" <<'SRC'
#define SEC(name) __attribute__((section(name), used))
SEC("xdp") int foreign(void *ctx)
{
    return 2; /* XDP_PASS */
}
char _license[] SEC("license") = "GPL";
SRC
    clang -target bpf -O2 -g -c -o "$T/foreign.bpf.o" "$T/foreign.bpf.c"
    bpftool prog load "$T/foreign.bpf.o" "/sys/fs/bpf/$ID-foreign"
    ns_run "$GW" bpftool net attach xdpdrv pinned "/sys/fs/bpf/$ID-foreign" dev to-client
    rm "/sys/fs/bpf/$ID-foreign"
    local before
    before=$(ip -n "$GW" -d -j link show to-client | jq '.[0].xdp.prog.id')
    refuses_to_start --set 'xdp.interfaces=[to-client]'
    like 'to-client' "$sentence"
    like 'XDP' "$sentence"
    same "$before" "$(ip -n "$GW" -d -j link show to-client | jq '.[0].xdp.prog.id')"
    ns_run "$GW" bpftool net detach xdpdrv dev to-client
    nothing_behind
}

@test "somebody who is not root is told so" {
    cp "$KEYGATED" "$T/keygated"
    run timeout 10 setpriv --reuid 65534 --regid 65534 --clear-groups "$T/keygated" --config "$CONFIG"
    echo "$output"
    same 1 "$status"
    like 'root' "${lines[-1]}"
    nothing_behind
}

@test "a kernel without BPF is named" {
    run timeout 20 nsenter --net="/run/netns/$GW" -- /usr/bin/python3 "$BATS_TEST_DIRNAME/without.py" bpf \
        "$KEYGATED" --config "$CONFIG" --set 'xdp.interfaces=[to-client]'
    echo "$output"
    same 1 "$status"
    like 'BPF' "${lines[-1]}"
    nothing_behind
}

@test "a kernel without io_uring is named" {
    run timeout 20 nsenter --net="/run/netns/$GW" -- /usr/bin/python3 "$BATS_TEST_DIRNAME/without.py" io_uring \
        "$KEYGATED" --config "$CONFIG" --set 'xdp.interfaces=[to-client]'
    echo "$output"
    same 1 "$status"
    like 'io_uring' "${lines[-1]}"
    nothing_behind
}

@test "a worker that cannot start ends the whole start, and XDP does not stay on without a daemon" {
    run timeout 20 nsenter --net="/run/netns/$GW" -- /usr/bin/python3 "$BATS_TEST_DIRNAME/without.py" io_uring_register \
        "$KEYGATED" --config "$CONFIG" --set 'xdp.interfaces=[to-client]' --set user=nobody
    echo "$output"
    same 1 "$status"
    like 'the kernel refuses a provided-buffer ring' "${lines[-1]}"
    nothing_behind
}

@test "the same where the BPF folder was there, but empty" {
    mkdir "$BPF_DIR"
    run timeout 20 nsenter --net="/run/netns/$GW" -- /usr/bin/python3 "$BATS_TEST_DIRNAME/without.py" io_uring_register \
        "$KEYGATED" --config "$CONFIG" --set 'xdp.interfaces=[to-client]'
    same 1 "$status"
    nothing_behind
}

@test "a port that another program has is named" {
    in_background taker /usr/bin/python3 -c 'import socket, time
s = socket.create_server(("0.0.0.0", 9080))
time.sleep(600)'
    port_taken()
    {
        [[ -n $(ns_run "$GW" ss -Hltn 'sport = :9080') ]]
    }
    wait_for port_taken
    refuses_to_start --set 'xdp.interfaces=[to-client]'
    like '9080' "$sentence"
    end_of taker
    nothing_behind
}

@test "a port that another keygated has is named, and that one goes on" {
    start_keygated
    refuses_to_start --set "state_dir=$T/state2" --set "admin.socket=$T/second.sock" --set "xdp.bpf_dir=$BPF_DIR-second"
    like '9080' "$sentence"
    [[ ! -e $BPF_DIR-second && ! -e $T/second.sock ]]
    kctl status
    has_status 404 gw_curl /
}

@test "an admin socket that a live daemon answers on is not taken over" {
    start_keygated
    refuses_to_start --set "state_dir=$T/state2" --set 'listen=["127.0.0.1:9081"]' --set "xdp.bpf_dir=$BPF_DIR-second"
    like 'admin\.sock' "$sentence"
    [[ ! -e $BPF_DIR-second ]]
    kctl status
}

@test "a state folder that a live daemon uses is not shared" {
    start_keygated
    refuses_to_start --set 'listen=["127.0.0.1:9081"]' --set "admin.socket=$T/second.sock" --set "xdp.bpf_dir=$BPF_DIR-second"
    like 'state' "$sentence"
    [[ ! -e $BPF_DIR-second && ! -e $T/second.sock ]]
    kctl status
}

@test "a BPF folder that a live daemon uses is not shared, and its XDP program stays on" {
    start_keygated --set 'xdp.interfaces=[to-client]'
    refuses_to_start --set 'listen=["127.0.0.1:9081"]' --set "admin.socket=$T/second.sock" --set "state_dir=$T/state2"
    like "$BPF_DIR" "$sentence"
    [[ ! -e $T/second.sock ]]
    holds '.xdp.interfaces[0].attached' "$(kctl status -o json)"
    stop_keygated
    start_keygated --set 'xdp.interfaces=[to-client]'
}

@test "SIGHUP ends nothing, and says why nothing changes" {
    start_keygated
    kill -HUP "$(pid_of keygated)"
    wait_for grep -q 'SIGHUP: the settings are read at start only' "$T/keygated.log"
    "$KEYCTL" status >/dev/null
    stop_keygated
}

@test "the daemon gives up root before it lets anybody in" {
    start_keygated --set user=nobody
    same 'nobody' "$(ps -o user= -p "$(pid_of keygated)")"
    # Every thread, not only the first: the workers are there before the change.
    for task in /proc/"$(pid_of keygated)"/task/*; do
        same '65534 65534 65534 65534' "$(awk '/^Uid:/ { print $2, $3, $4, $5 }' "$task/status")"
        same '0000000000000000 0000000000000000 1' "$(awk '/^Cap(Prm|Eff):|^NoNewPrivs:/ { printf "%s%s", s, $2; s = " " }' "$task/status")"
    done
    same 404 "$(ns_run "$GW" curl -s -o /dev/null -w '%{http_code}' "$PROXY/nothing")"
    stop_keygated
}

@test "the socket that a killed daemon left is taken over" {
    start_keygated
    kill_keygated
    [[ -S $KEYGATE_SOCKET ]]
    start_keygated
    kctl status
}

@test "a state folder that cannot be made is named" {
    touch "$T/file"
    refuses_to_start --set "state_dir=$T/file/state" --set 'xdp.interfaces=[to-client]'
    like "$T/file" "$sentence"
    nothing_behind
}

@test "a database without its master key is refused, not opened with a new one" {
    start_keygated --set "state_dir=$T/state3"
    stop_keygated
    mv "$T/state3/master.key" "$T/aside"
    refuses_to_start --set "state_dir=$T/state3" --set 'xdp.interfaces=[to-client]'
    like 'master\.key' "$sentence"
    [[ ! -e $T/state3/master.key ]]
}

@test "state and key are for the daemon alone" {
    start_keygated
    same 600 "$(stat -c %a "$T/state/master.key")"
    same 600 "$(stat -c %a "$T/state/keygate.db")"
    same 700 "$(stat -c %a "$T/state")"
}

@test "--detach where there is nothing is no failure" {
    run "$KEYGATED" --detach --config "$CONFIG"
    same 0 "$status"
    nothing_behind
}
