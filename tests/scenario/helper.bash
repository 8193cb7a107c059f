# shellcheck shell=bash
# SPDX-License-Identifier: BSD-2-Clause
# shellcheck disable=SC2154,SC2034 # status, output and lines come from bats, sentence goes to the tests
# What the scenarios share. Each .bats file gets network namespaces of its own, so ports are always the same inside: keygated on
# 9080, httpbin on 8000, upstream.py on 8001. Processes are started once a file where possible (setup_file) and ended by
# their ids; nothing is skipped, nothing is left behind.
#
# Set by file_begin, for all tests of the file: T (a temporary folder), ID (unique), GW (the gateway's namespace), CONFIG,
# BPF_DIR, KEYGATE_SOCKET, KEYGATED, KEYCTL.

bats_require_minimum_version 1.5.0

TOP=$(cd "$BATS_TEST_DIRNAME/../.." && pwd)
# shellcheck disable=SC1091 source=scripts/lib/wait.sh
source "$TOP/scripts/lib/wait.sh"
# shellcheck disable=SC1091 source=scripts/lib/net.sh
source "$TOP/scripts/lib/net.sh"
# shellcheck disable=SC1091 source=scripts/lib/procs.sh
source "$TOP/scripts/lib/procs.sh"

BUILD=${KEYGATE_BUILD:-build}
[[ $BUILD == /* ]] || BUILD=$TOP/$BUILD
KEYGATED=$BUILD/keygated
KEYCTL=$BUILD/keyctl
PROXY=http://127.0.0.1:9080
JSON='Content-Type: application/json'
export PYTHONDONTWRITEBYTECODE=1
unset http_proxy https_proxy all_proxy HTTP_PROXY HTTPS_PROXY ALL_PROXY

# --- the file's world ---------------------------------------------------------------------------------------------------

file_begin()
{
    if [[ $EUID -ne 0 || ! -x $KEYGATED || ! -x $KEYCTL ]]; then
        echo "needs root, $KEYGATED and $KEYCTL" >&2
        return 1
    fi
    T=$(mktemp -d /tmp/keygate-test.XXXXXX)
    chmod 755 "$T" # keygated gives up root and must still reach its state
    ID=kgt-${T##*.}
    GW=$ID-gw
    CONFIG=$T/keygate.yaml
    BPF_DIR=/sys/fs/bpf/$ID
    KEYGATE_SOCKET=$T/admin.sock
    export T ID GW CONFIG BPF_DIR KEYGATE_SOCKET
    mkdir "$T/pids"
    need_bpffs
    ns_add "$GW"
    cat >"$CONFIG" <<YAML
listen: ["0.0.0.0:9080", "[::]:9080"]
state_dir: $T/state
admin:
  socket: $KEYGATE_SOCKET
xdp:
  bpf_dir: $BPF_DIR
YAML
}

file_end()
{
    local pid_file ns left=0

    for pid_file in "$T"/pids/*; do
        if [[ -e $pid_file ]]; then
            stop_pid "$(<"$pid_file")" 15 || left=1
        fi
    done
    # What a sanitizer or a broken invariant has to say, also at the very end.
    if grep -ahE -A 20 'Sanitizer|runtime error:|broken invariant|unexpected at ' "$T"/keygated.log "$T"/keygated.all 2>/dev/null; then
        left=1
    fi
    if [[ -e $BPF_DIR ]]; then
        "$KEYGATED" --detach --config "$CONFIG" || left=1
    fi
    for ns in "$ID-client" "$ID-abuser" "$GW"; do
        ns_delete "$ns"
    done
    rm -rf "$T"
    [[ $left -eq 0 && ! -e $BPF_DIR ]]
}

# The client and the abuser, each on a veth pair. The abuser owns 198.51.100.66 to .90, two addresses of 2001:db8:bad:1::/64 and
# one of its neighbour 2001:db8:bad:2::/64; the gateway's own IPv6 addresses are in neither.
join_client()
{
    ns_add "$ID-client"
    ns_join "$GW" to-client "$ID-client"
    ns_address "$GW" to-client 192.0.2.1/24
    ns_address "$ID-client" eth0 192.0.2.10/24
}

join_abuser()
{
    local n

    ns_add "$ID-abuser"
    ns_join "$GW" to-abuser "$ID-abuser"
    ns_address "$GW" to-abuser 198.51.100.1/24 fd00:66::1/64
    for ((n = 66; n <= 90; n++)); do
        ns_address "$ID-abuser" eth0 "198.51.100.$n/24"
    done
    ns_address "$ID-abuser" eth0 fd00:66::2/64 2001:db8:bad:1::66/128 2001:db8:bad:1::67/128 2001:db8:bad:2::1/128
    ip -n "$GW" route add 2001:db8:bad::/48 via fd00:66::2
}

# --- programs ------------------------------------------------------------------------------------------------------------

# in_background NAME COMMAND...: in the gateway's namespace; its output in $T/NAME.log, its id in $T/pids/NAME.
in_background()
{
    local name=$1

    shift
    (ns_exec "$GW" "$@") </dev/null >"$T/$name.log" 2>&1 3>&- 4>&- &
    echo $! >"$T/pids/$name"
    disown # its end is no news to the shell
}

pid_of()
{
    cat "$T/pids/$1"
}

end_of()
{
    stop_pid "$(pid_of "$1")" 15
    rm "$T/pids/$1"
}

# ready NAME COMMAND...: waits for COMMAND, but no longer than NAME lives; shows its log when it never came.
ready()
{
    local name=$1

    shift
    if ! wait_for -t 30 answers_or_dead "$name" "$@" || gone "$(pid_of "$name")"; then
        echo "$name did not get ready:"
        cat "$T/$name.log"
        return 1
    fi
}

answers_or_dead()
{
    gone "$(pid_of "$1")" || "${@:2}" >/dev/null 2>&1
}

start_httpbin()
{
    in_background httpbin bash -c "$(declare -f httpbin_exec); httpbin_exec 127.0.0.1:8000"
    ready httpbin ns_run "$GW" curl -s -o /dev/null http://127.0.0.1:8000/status/200
}

start_upstream()
{
    in_background upstream /usr/bin/python3 "$BATS_TEST_DIRNAME/upstream.py" 8001
    ready upstream ns_run "$GW" curl -s -o /dev/null http://127.0.0.1:8001/echo
}

# start_keygated [OPTION...]: returns when the Admin API answers. Its log is kept over restarts of the same file.
start_keygated()
{
    local log=$T/keygated.log

    if [[ -s $log ]]; then
        cat "$log" >>"$T/keygated.all"
    fi
    in_background keygated "$KEYGATED" --config "$CONFIG" "$@"
    ready keygated "$KEYCTL" status
}

# stop_keygated: TERM, and an orderly end. kill_keygated: KILL.
stop_keygated()
{
    end_of keygated
}

kill_keygated()
{
    kill -KILL "$(pid_of keygated)"
    wait_for gone "$(pid_of keygated)"
    rm "$T/pids/keygated"
}

# refuses_to_start [OPTION...]: runs keygated, which must end by itself with a status other than 0; its words in $output, its
# last line, without the time in front, in $sentence.
refuses_to_start()
{
    run timeout -k 5 20 nsenter --net="/run/netns/$GW" -- "$KEYGATED" --config "$CONFIG" "$@"
    echo "$output"
    [[ $status -ne 0 ]]
    [[ $status -ne 124 && $status -lt 126 ]]
    sentence=${lines[-1]}
}

# --- asking -----------------------------------------------------------------------------------------------------------------

kctl()
{
    "$KEYCTL" "$@"
}

# make NOUN …: keyctl NOUN create …, quiet; prints the new entity's id.
make()
{
    kctl "$1" create "${@:2}" -o json | jq -re .id
}

# make_key CONSUMER [FLAG...]: prints the generated key.
make_key()
{
    kctl key create --consumer "$1" "${@:2}" -o json | jq -re .key
}

# admin PATH [CURL OPTION...]: the Admin API as curl sees it.
admin()
{
    curl -s --max-time 20 --unix-socket "$KEYGATE_SOCKET" "${@:2}" "http://localhost$1"
}

# admin_status PATH [CURL OPTION...]: the body goes to $T/body, the status is printed.
admin_status()
{
    admin "$@" -o "$T/body" -w '%{http_code}'
}

# answers STATUS FILTER PATH [CURL OPTION...]: the Admin API answers with this status, and the jq filter is true of the body.
answers()
{
    local seen

    seen=$(admin_status "${@:3}")
    if [[ $seen != "$1" ]]; then
        printf 'wanted: %s\nseen:   %s %s\n' "$1" "$seen" "$(<"$T/body")"
        return 1
    fi
    holds "$2" "$(<"$T/body")"
}

# gw_curl PATH [CURL OPTION...]: through the proxy, from the gateway's own loopback, whose address can never be banned.
gw_curl()
{
    ns_run "$GW" curl -s --max-time 60 "${@:2}" "$PROXY$1"
}

client_curl()
{
    ns_run "$ID-client" curl -s --max-time 20 --connect-timeout 2 "${@:2}" "http://192.0.2.1:9080$1"
}

# abuser_curl ADDRESS PATH [CURL OPTION...]: from one of the abuser's addresses.
abuser_curl()
{
    local gateway=198.51.100.1

    [[ $1 != *:* ]] || gateway='[fd00:66::1]'
    ns_run "$ID-abuser" curl -s --max-time 20 --connect-timeout 2 --interface "$1" "${@:3}" "http://$gateway:9080$2"
}

# status_of COMMAND...: one of the three above with its words thrown away; prints the HTTP status.
status_of()
{
    "$@" -o /dev/null -w '%{http_code}'
}

has_status()
{
    [[ $(status_of "${@:2}") == "$1" ]]
}

# upstream_curl PATH: straight to upstream.py, past the proxy.
upstream_curl()
{
    ns_run "$GW" curl -s --max-time 20 "http://127.0.0.1:8001$1"
}

raw()
{
    ns_run "$GW" /usr/bin/python3 "$BATS_TEST_DIRNAME/raw.py" "$@"
}

bulk()
{
    ns_run "$GW" /usr/bin/python3 "$BATS_TEST_DIRNAME/bulk.py" "$@"
}

# --- checking -----------------------------------------------------------------------------------------------------------------

# same WANTED SEEN
same()
{
    if [[ $1 != "$2" ]]; then
        printf 'wanted: %s\nseen:   %s\n' "$1" "$2"
        return 1
    fi
}

# like REGEX SEEN
like()
{
    if ! [[ $2 =~ $1 ]]; then
        printf 'wanted something like: %s\nseen: %s\n' "$1" "$2"
        return 1
    fi
}

unlike()
{
    if [[ $2 =~ $1 ]]; then
        printf 'not wanted: %s\nseen: %s\n' "$1" "$2"
        return 1
    fi
}

# holds FILTER JSON [JQ OPTION...]: the jq filter is true of the JSON.
holds()
{
    if ! jq -e "${@:3}" "$1" <<<"$2" >/dev/null; then
        printf 'wanted: %s\nof:     %s\n' "$1" "$2"
        return 1
    fi
}

# kong_error MESSAGE FILE: the file holds exactly keygate's error body with this message.
kong_error()
{
    local id

    id=$(sed -n 's/^  "request_id":"\([0-9a-f]\{32\}\)"$/\1/p' "$2")
    [[ ${#id} -eq 32 ]] || {
        printf 'no request_id in: %s\n' "$(<"$2")"
        return 1
    }
    printf '{\n  "message":"%s",\n  "request_id":"%s"\n}' "$1" "$id" | cmp - "$2"
}

# header NAME FILE: the value in a file of curl -D, empty when it is not there.
header()
{
    tr -d '\r' <"$2" | sed -n "s/^$1: //Ip"
}

# upstream_header NAME JSON: all values of the header in an answer of upstream.py /echo, one a line; the name is compared with
# '_' as '-', as CGI and WSGI servers do.
upstream_header()
{
    jq -r --arg name "$1" \
        '.headers[] | select((.[0] | ascii_downcase | gsub("_"; "-")) == ($name | ascii_downcase)) | .[1]' <<<"$2"
}

# bans: the JSON array of live bans.
bans()
{
    kctl ban list -o json | jq -c 'if type == "array" then . else .data end'
}

# sending_stands_still: the client that has sent the most to the gateway has a full socket: for half a second nothing more of it
# went out. Its bytes so far are in $most_sent.
sending_stands_still()
{
    local now

    now=$(ns_run "$GW" ss -Htin state established 'dport = :9080' | grep -o 'bytes_sent:[0-9]*' | sort -t: -k2n | tail -n 1)
    if [[ $now != "${most_sent:-}" ]]; then
        most_sent=$now
        most_sent_since=$(now_ms)
    fi
    [[ -n $now && $(($(now_ms) - most_sent_since)) -ge 500 ]]
}

is_sanitized()
{
    grep -qa __asan_init "$KEYGATED"
}

# memory FIELD: of the daemon, in KiB; VmHWM is the highest since forget_peak.
memory()
{
    sed -n "s/^$1:[[:space:]]*\([0-9]*\) kB/\1/p" "/proc/$(pid_of keygated)/status"
}

forget_peak()
{
    echo 5 >"/proc/$(pid_of keygated)/clear_refs"
}

# stayed_small BEFORE: memory grew by at most 16 MiB beyond the receive buffers (of two workers 32 MiB, untouched until they are
# used) and is below 96 MiB. A sanitizer keeps up to 256 MiB of freed memory and a shadow of all of it.
stayed_small()
{
    local peak more=49152 most=98304

    peak=$(memory VmHWM)
    if is_sanitized; then
        more=327680 most=786432
    fi
    if [[ $((peak - $1)) -gt $more || $peak -gt $most ]]; then
        echo "memory went from $1 KiB up to $peak KiB"
        return 1
    fi
}

# Said on failure only.
show_log()
{
    if [[ -z ${BATS_TEST_COMPLETED:-} && -e $T/keygated.log ]]; then
        echo "--- the last lines of keygated's log"
        tail -n 20 "$T/keygated.log"
    fi
}
