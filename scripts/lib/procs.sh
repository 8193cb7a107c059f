# shellcheck shell=bash
# SPDX-License-Identifier: BSD-2-Clause
# Starting programs in the background and ending exactly those again. Needs wait.sh and net.sh.

# stop_pid PID [SECONDS]: TERM, and KILL when that is not enough within SECONDS (10). 1 when it took KILL.
stop_pid()
{
    gone "$1" && return 0
    kill -TERM "$1" 2>/dev/null || return 0
    wait_for -t "${2:-10}" gone "$1" && return 0
    kill -KILL "$1" 2>/dev/null
    wait_for gone "$1"
    return 1
}

# httpbin_port LOG: the port that gunicorn says it listens on.
httpbin_port()
{
    sed -n 's/.*Listening at: http:\/\/[^ ]*:\([0-9]*\) .*/\1/p' "$1"
}

# httpbin_exec ADDRESS:PORT [GUNICORN OPTION...]: becomes the real httpbin under gunicorn. Debian's Python, whatever else PATH
# holds.
httpbin_exec()
{
    exec /usr/bin/python3 /usr/bin/gunicorn --bind "$1" --workers 1 --graceful-timeout 1 "${@:2}" httpbin:app
}
