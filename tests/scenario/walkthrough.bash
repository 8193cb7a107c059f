# shellcheck shell=bash
# SPDX-License-Identifier: BSD-2-Clause
# shellcheck disable=SC2154 # bats sets status and output
# What the walkthroughs share: scenarios that follow documents which describe other gateways, step by step, as
# docs/walkthroughs.md puts each step. Every host name leads to this namespace, whose ports are the file's own, so services keep
# the names, and mostly the ports, that the documents give them.

load helper

# step NAME: runs the page's block of this name, as its reader would, in the gateway's namespace. What it prints is in $output.
step()
{
    local block

    block=$(/usr/bin/python3 "$BATS_TEST_DIRNAME/docs.py" step "$TOP/docs/walkthroughs.md" "$1")
    run env -C "$T" "PATH=$BUILD:$PATH" "TOP=$TOP" nsenter --net="/run/netns/$GW" -- bash -eo pipefail -c "$block"
    if [[ $status -ne 0 ]]; then
        printf 'step %s ended with %s:\n%s\n' "$1" "$status" "$output"
        return 1
    fi
}

# start_httpbin_at NAME PORT [GUNICORN OPTION...]: its access log is in $T/NAME.log.
start_httpbin_at()
{
    in_background "$1" bash -c "$(declare -f httpbin_exec); httpbin_exec \"\$@\"" - "127.0.0.1:$2" --access-logfile - "${@:3}"
    ready "$1" port_answers "$2"
}

port_answers()
{
    ns_run "$GW" nc -z 127.0.0.1 "$1"
}

# start_walk [NAME=VALUE...] [OPTION...]: keygated with these in its environment and on its command line, in a world in which
# every name is 127.0.0.1.
start_walk()
{
    local -a environment=()

    while [[ ${1:-} == [A-Z]*=* ]]; do
        environment+=("$1")
        shift
    done
    if [[ ! -e $T/resolv.conf ]]; then
        echo 127.0.0.1 >"$T/addresses"
        echo 'nameserver 127.0.0.53' >"$T/resolv.conf"
        in_background dns /usr/bin/python3 "$BATS_TEST_DIRNAME/dns.py" 127.0.0.53 "$T/addresses" 60
    fi
    # shellcheck disable=SC2016 # its own shell sees to the parameters
    in_background keygated env "${environment[@]}" unshare --mount bash -c \
        'mount --bind "$1" /etc/resolv.conf && exec "${@:2}"' - "$T/resolv.conf" \
        "$KEYGATED" --config "$CONFIG" --set guard.threshold=0 "$@"
    ready keygated "$KEYCTL" status
}

# asks CURL…: as somebody at a terminal of the gateway's machine would; the answer's head is in $T/head, its body in $T/body.
asks()
{
    ns_run "$GW" curl -s --max-time 30 -D "$T/head" -o "$T/body" "$@"
}

# answered STATUS: what the last asks saw.
answered()
{
    local line

    line=$(head -n 1 "$T/head" | tr -d '\r')
    same "HTTP/1.1 $1" "${line%"${line##*[![:space:]]}"}" || {
        cat "$T/body"
        return 1
    }
}

# saw_header NAME VALUE
saw_header()
{
    same "$2" "$(header "$1" "$T/head")"
}

# saw_body TEXT: the body is this, to the byte; backslashes as in printf %b.
saw_body()
{
    printf %b "$1" | cmp - "$T/body" || same "$1" "$(<"$T/body")"
}

# when_known CURL…: waits until the name server has told the address of a service that has just been made.
when_known()
{
    wait_for not_unknown "$@"
}

not_unknown()
{
    asks "$@"
    ! grep -qE '^HTTP/1\.1 503 ' "$T/head"
}
