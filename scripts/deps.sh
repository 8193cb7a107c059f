#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# Installs the Debian packages that are missing for one of: build, demo, bench, test, lint. Says nothing when none is.
# Usage: scripts/deps.sh [build|demo|bench|test|lint]...
set -euo pipefail

# libc6-dev and linux-libc-dev (asm/types.h for the BPF side) are only recommended by the compilers.
build=(gcc make clang bpftool pkg-config libc6-dev linux-libc-dev zlib1g-dev libelf-dev libbpf-dev liburing-dev
    libssl-dev libsqlite3-dev libyaml-dev libjansson-dev libc-ares-dev libpcre2-dev
    libncurses-dev)
demo=("${build[@]}" python3-httpbin gunicorn curl iproute2 jq)
# nginx-light brings the echo module, by which the upstream reads a body to its end before it answers.
bench=("${build[@]}" nginx-light haproxy wrk python3 openssl iproute2 util-linux)
# The linters are tested too.
lint=("${build[@]}" clang-format clang-tidy cppcheck shellcheck)
# libclang-rt holds the fuzzer and sanitizer libraries of clang; bats needs procps for its time limit. node-llhttp (the sources of
# llhttp) and python3-h11 are parsers to compare ours with; zsh and fish complete keyctl's words.
test=("${demo[@]}" "${bench[@]}" "${lint[@]}" libcmocka-dev libclang-rt-14-dev bats procps ethtool netcat-openbsd
    node-llhttp python3-h11 zsh fish)

die()
{
    echo "deps: $*" >&2
    exit 1
}

# Prints those of the given packages that are not installed.
missing()
{
    local name status

    for name in "$@"; do
        status=$(dpkg-query -W -f '${db:Status-Status}\n' "$name" 2>/dev/null || true)
        grep -qx installed <<<"$status" || echo "$name"
    done
}

# Whether the package lists on this machine know a version of every given package.
known()
{
    local name

    for name in "$@"; do
        apt-cache show --no-all-versions "$name" >/dev/null 2>&1 || return 1
    done
}

# nginx and HAProxy come as services that would listen at once; what is installed here is only for our own use of it.
policy=/usr/sbin/policy-rc.d
made_policy=''

keep_services_off()
{
    [[ ! -e $policy ]] || return 0
    made_policy=1
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod 755 "$policy"
}

clean_up()
{
    [[ -z $made_policy ]] || rm -f "$policy"
    rm -f "$log"
}

install()
{
    DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends \
        -o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0 "$@" >"$log" 2>&1
}

update()
{
    apt-get update -qq -o DPkg::Lock::Timeout=300 >"$log" 2>&1 || {
        cat "$log" >&2
        die "apt-get update failed"
    }
}

install_missing()
{
    local -a names=("$@")

    echo "deps: installing ${names[*]}"
    if known "${names[@]}" && install "${names[@]}"; then
        return
    fi
    # The lists are absent or older than the archive.
    update
    install "${names[@]}" && return
    cat "$log" >&2
    die "apt-get install failed"
}

main()
{
    local group
    local -a wanted=() names=()

    command -v dpkg-query >/dev/null || die "this is no Debian system: dpkg-query is not here"
    for group in "${@:-build}"; do
        case $group in
        build) wanted+=("${build[@]}") ;;
        demo) wanted+=("${demo[@]}") ;;
        bench) wanted+=("${bench[@]}") ;;
        test) wanted+=("${test[@]}") ;;
        lint) wanted+=("${lint[@]}") ;;
        *) die "unknown group '$group'; there are build, demo, bench, test and lint" ;;
        esac
    done
    mapfile -t wanted < <(printf '%s\n' "${wanted[@]}" | sort -u)
    mapfile -t names < <(missing "${wanted[@]}")
    [[ ${#names[@]} -gt 0 ]] || return 0
    command -v apt-get >/dev/null || die "missing are ${names[*]}, and there is no apt-get to install them"
    [[ $EUID -eq 0 ]] || die "missing are ${names[*]}, and only root can install them: sudo scripts/deps.sh $*"
    log=$(mktemp)
    trap clean_up EXIT
    trap 'exit 130' INT TERM
    keep_services_off
    install_missing "${names[@]}"
}

main "$@"
