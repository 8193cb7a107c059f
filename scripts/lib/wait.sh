# shellcheck shell=bash
# SPDX-License-Identifier: BSD-2-Clause
# Waiting for conditions. Nothing here or above sleeps for a fixed time where a condition can be asked for.

# now_ms: milliseconds of the monotonic clock.
now_ms()
{
    local up rest

    read -r up rest </proc/uptime
    printf '%s\n' "$((10#${up/./} * 10))"
}

# wait_for [-t SECONDS] COMMAND...: tries again until COMMAND succeeds; 1 when the time (10 s) is over before.
wait_for()
{
    local seconds=10 deadline

    if [[ $1 == -t ]]; then
        seconds=$2
        shift 2
    fi
    deadline=$(($(now_ms) + seconds * 1000))
    until "$@"; do
        if [[ $(now_ms) -ge $deadline ]]; then
            return 1
        fi
        sleep 0.05
    done
}

# gone PID: no such process, or a zombie that nobody has asked for yet.
gone()
{
    local state

    [[ -d /proc/$1 ]] || return 0
    state=$(sed -n 's/^State:[[:space:]]*//p' "/proc/$1/status" 2>/dev/null) || return 0
    [[ -z $state || $state == Z* || $state == X* ]]
}
