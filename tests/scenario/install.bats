#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-2-Clause
# make install and make uninstall: what goes where, and that nobody else's keyctl is overwritten or shadowed.
# shellcheck disable=SC2154 # bats sets status and output

load helper

setup()
{
    T=$(mktemp -d /tmp/keygate-test.XXXXXX)
    export DESTDIR=$T/root KEYGATE_BUILD=$BUILD
    # Nothing of this machine has these names.
    export KEYCTL=kgt-keyctl
    unset PREFIX SYSCONFDIR
}

teardown()
{
    rm -rf "$T"
}

files()
{
    (cd "$DESTDIR" && find . -type f | sort)
}

# other_keyctl FOLDER: somebody else's program of the same name.
other_keyctl()
{
    mkdir -p "$1"
    printf '#!/bin/sh\necho keyutils\n' >"$1/$KEYCTL"
    chmod 755 "$1/$KEYCTL"
}

@test "programs, settings and completions go where they belong, under the chosen name" {
    "$TOP/scripts/install"
    same './etc/keygate/keygate.yaml
./usr/local/bin/kgt-keyctl
./usr/local/sbin/keygated
./usr/local/share/bash-completion/completions/kgt-keyctl
./usr/local/share/fish/vendor_completions.d/kgt-keyctl.fish
./usr/local/share/zsh/site-functions/_kgt-keyctl' "$(files)"
    like '^keyctl [0-9]' "$("$DESTDIR/usr/local/bin/kgt-keyctl" --version)"
    grep -q '^complete -F _kgt_keyctl kgt-keyctl$' "$DESTDIR/usr/local/share/bash-completion/completions/kgt-keyctl"
    grep -q '^#compdef kgt-keyctl$' "$DESTDIR/usr/local/share/zsh/site-functions/_kgt-keyctl"
    "$DESTDIR/usr/local/sbin/keygated" --check --config "$DESTDIR/etc/keygate/keygate.yaml"
}

@test "again: what is keygate's is renewed, settings stay" {
    PREFIX=/usr SYSCONFDIR=/usr/etc "$TOP/scripts/install"
    echo '# mine' >"$DESTDIR/usr/etc/keygate/keygate.yaml"
    truncate -s 10 "$DESTDIR/usr/share/bash-completion/completions/kgt-keyctl"
    printf '# bash completion for kgt-keyctl, printed by `old`\n' >"$DESTDIR/usr/share/bash-completion/completions/kgt-keyctl"
    PREFIX=/usr SYSCONFDIR=/usr/etc run "$TOP/scripts/install"
    same 0 "$status"
    like 'keygate\.yaml \(yours, left as it is\)' "$output"
    same '# mine' "$(<"$DESTDIR/usr/etc/keygate/keygate.yaml")"
    grep -q '^complete ' "$DESTDIR/usr/share/bash-completion/completions/kgt-keyctl"
}

@test "another keyctl on the path: nothing is installed, and it says how to choose another name" {
    other_keyctl "$T/bin"
    PATH=$T/bin:$PATH run "$TOP/scripts/install"
    same 1 "$status"
    like "there is another kgt-keyctl already: $T/bin/kgt-keyctl" "$output"
    like 'make install KEYCTL=kgctl' "$output"
    [[ ! -e $DESTDIR ]]
    KEYCTL=kgt-other PATH=$T/bin:$PATH "$TOP/scripts/install"
    [[ -x $DESTDIR/usr/local/bin/kgt-other ]]
}

@test "a file of somebody else's in its place is not overwritten, and not uninstalled" {
    other_keyctl "$DESTDIR/usr/local/bin"
    run "$TOP/scripts/install"
    same 1 "$status"
    like "is not keygate's" "$output"
    same './usr/local/bin/kgt-keyctl' "$(files)"
    "$TOP/scripts/install" uninstall
    same './usr/local/bin/kgt-keyctl' "$(files)"
}

@test "names that are none are refused" {
    local name

    for name in ../x 'a b' -x keygated; do
        KEYCTL=$name run "$TOP/scripts/install"
        same 1 "$status"
        like 'is no name for a program' "$output"
    done
    [[ ! -e $DESTDIR ]]
}

@test "uninstall takes away all but settings" {
    "$TOP/scripts/install"
    "$TOP/scripts/install" uninstall
    same './etc/keygate/keygate.yaml' "$(files)"
}

@test "make hands its words on" {
    local line

    # A make that runs these tests has handed on words of its own.
    line=$(command env -u MAKEFLAGS -u VARIANT make --no-print-directory -C "$TOP" -n install DESTDIR=/d PREFIX=/p KEYCTL=k V=1 | tail -n 1)
    same "KEYGATE_BUILD=build DESTDIR='/d' PREFIX='/p' SYSCONFDIR='' KEYCTL='k' scripts/install" "$line"
}
