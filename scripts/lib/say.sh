# shellcheck shell=bash
# SPDX-License-Identifier: BSD-2-Clause
# What the scripts say, and how they fail. Sourced by scripts/demo and scripts/run.

if [[ -t 1 && -z ${NO_COLOR:-} ]]; then
    bold=$'\e[1m' green=$'\e[32m' red=$'\e[31m' dim=$'\e[2m' plain=$'\e[0m'
else
    bold='' green='' red='' dim='' plain=''
fi

# title TEXT: a new step.
title()
{
    printf '\n%s%s%s\n' "$bold" "$*" "$plain"
}

say()
{
    printf '%s\n' "$*"
}

# indent: what a program printed, set off from what we say ourselves.
indent()
{
    tr -d '\r' | sed "s/^/    $dim/; s/\$/$plain/"
}

# good TEXT: an expectation that held.
good()
{
    printf '  %sok%s  %s\n' "$green" "$plain" "$*"
}

# fail TEXT [SEEN]: ends the script; the traps clean up.
fail()
{
    printf '%sFAILED%s  %s\n' "$red" "$plain" "$1" >&2
    if [[ $# -gt 1 ]]; then
        printf '        seen: %s\n' "${2:-(nothing)}" >&2
    fi
    exit 1
}

# expect TEXT WANTED SEEN: SEEN must match the extended regular expression WANTED.
expect()
{
    if ! [[ $3 =~ $2 ]]; then
        fail "$1: expected to see '$2'" "$3"
    fi
    good "$1"
}

# need PROGRAM...: one sentence for all that is missing.
need()
{
    local program missing=()

    for program in "$@"; do
        command -v "$program" >/dev/null || missing+=("$program")
    done
    if [[ ${#missing[@]} -gt 0 ]]; then
        fail "missing: ${missing[*]} (scripts/deps.sh installs what is needed)"
    fi
}

need_root()
{
    if [[ $EUID -ne 0 ]]; then
        fail "$1 must be run as root: it makes network namespaces and loads an XDP program"
    fi
}

# need_build: sets keygated and keyctl to the programs of the build folder KEYGATE_BUILD (build/ without it).
need_build()
{
    local build=${KEYGATE_BUILD:-build}

    [[ $build == /* ]] || build=$1/$build
    keygated=$build/keygated
    keyctl=$build/keyctl
    if [[ ! -x $keygated || ! -x $keyctl ]]; then
        fail "$build holds no keygated and keyctl: run make first"
    fi
}
