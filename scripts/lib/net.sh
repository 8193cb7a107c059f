# shellcheck shell=bash
# SPDX-License-Identifier: BSD-2-Clause
# Network namespaces joined by veth pairs.

# ns_run NS COMMAND...: COMMAND in the network namespace NS. Not `ip netns exec`: that mounts a sysfs of its own,
# which hides /sys/fs/bpf. It replaces the shell it is called in, so that "ns_run … &" leaves the program's own id in $!.
ns_exec()
{
    local ns=$1

    shift
    exec nsenter --net="/run/netns/$ns" -- "$@"
}

ns_run()
{
    nsenter --net="/run/netns/$1" -- "${@:2}"
}

ns_add()
{
    ip netns add "$1"
    ip -n "$1" link set lo up
}

# ns_join GATEWAY INTERFACE PEER: a veth pair; INTERFACE on the gateway's end, eth0 on the peer's.
ns_join()
{
    ip -n "$1" link add name "$2" type veth peer name eth0 netns "$3"
    ip -n "$1" link set "$2" up
    ip -n "$3" link set eth0 up
}

# ns_address NS INTERFACE ADDRESS/LENGTH...: ready at once: no duplicate address detection.
ns_address()
{
    local ns=$1 interface=$2 address

    shift 2
    for address in "$@"; do
        if [[ $address == *:* ]]; then
            ip -n "$ns" addr add "$address" dev "$interface" nodad
        else
            ip -n "$ns" addr add "$address" dev "$interface"
        fi
    done
}

ns_exists()
{
    [[ -e /run/netns/$1 ]]
}

ns_delete()
{
    if ns_exists "$1"; then
        ip netns del "$1"
    fi
}

# xdp_mode NS INTERFACE: native, generic, or none.
xdp_mode()
{
    ip -n "$1" -d -j link show dev "$2" |
        jq -r '.[0].xdp.mode // 0 | if . == 1 then "native" elif . == 2 then "generic" else "none" end'
}

# need_bpffs: the file system that BPF pins live in; systemd mounts it, a bare machine may not.
need_bpffs()
{
    if ! mountpoint -q /sys/fs/bpf; then
        mount -t bpf bpf /sys/fs/bpf
    fi
}
