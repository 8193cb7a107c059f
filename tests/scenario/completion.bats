#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-2-Clause
# What the Tab key brings, in the shells themselves: bash, zsh and fish complete from keyctl's tables and from the live daemon.
# shellcheck disable=SC2016 # dollars in single quotes are other shells'

load helper

setup_file()
{
    file_begin
    start_upstream
    start_keygated
    mkdir "$T/bin"
    ln -s "$KEYCTL" "$T/bin/keyctl"
    export PATH=$T/bin:$PATH HOME=$T
    kctl service create --name httpbin --url http://127.0.0.1:8001
    kctl service create --name other --url http://127.0.0.1:8001
    kctl consumer create --username 'alice in space'
    kctl upstream create --name pool
    kctl target create 127.0.0.1:8001 --upstream pool
    keyctl completion bash >"$T/keyctl.bash"
    keyctl completion zsh >"$T/_keyctl"
    keyctl completion fish >"$T/keyctl.fish"
    touch "$T/a file.pem"
}

teardown_file()
{
    file_end
}

teardown()
{
    show_log
}

# in_bash LINE: what bash offers at its end, one a line, sorted.
in_bash()
{
    bash --norc -c 'cd "$HOME" && source keyctl.bash && COMP_LINE=$1 COMP_POINT=${#1}
        "$(complete -p keyctl | sed "s/.*-F \([^ ]*\).*/\1/")" && printf "%s\n" "${COMPREPLY[@]}"' bash "$1" | sort
}

# in_zsh WORD...: the same in zsh, for the words typed so far, the last of them being the one to complete.
in_zsh()
{
    zsh -f -c 'cd "$HOME"
        compdef() { : }
        compset() { PREFIX=${PREFIX#--*=} }
        _files() { print -rl -- ${PREFIX}*(N) }
        _describe() { print -rl -- ${${(P)2}%:*} }
        source ./_keyctl
        words=("$@") CURRENT=$# PREFIX=$argv[-1]
        _keyctl' zsh "$@" | sort
}

in_fish()
{
    fish --no-config -c 'cd $HOME; source keyctl.fish; complete -C $argv[1]' -- "$1" | cut -f 1 | sort
}

lines()
{
    printf '%s\n' "$@"
}

@test "nouns, commands, verbs and flags" {
    same "$(lines service)" "$(in_bash 'keyctl ser')"
    same "$(lines create delete get health list update)" "$(in_bash 'keyctl upstream ')"
    same "$(lines --dry-run --yes)" "$(in_bash 'keyctl consumer delete x --' | grep -v -e '--[hosv]')"
    same "$(lines stats status)" "$(in_bash 'keyctl sta')"
    same "$(lines service)" "$(in_zsh keyctl ser)"
    same "$(lines create delete get health list update)" "$(in_zsh keyctl upstream '')"
    same "$(lines --hash-fallback --hash-fallback-header --hash-fallback-query-arg)" "$(in_zsh keyctl upstream create --hash-f)"
    same "$(lines service)" "$(in_fish 'keyctl ser')"
    same "$(lines create delete get health list update)" "$(in_fish 'keyctl upstream ')"
    same "$(lines --strip-path)" "$(in_fish 'keyctl route create --strip')"
}

@test "values of flags: enums, also behind an equals sign" {
    same "$(lines false true)" "$(in_bash 'keyctl route create --strip-path ')"
    same "$(lines consistent-hashing)" "$(in_bash 'keyctl upstream create --algorithm=co')"
    same "$(lines json)" "$(in_bash 'keyctl service list -o j')"
    same "$(lines bash fish zsh)" "$(in_bash 'keyctl completion ')"
    same "$(lines --algorithm=consistent-hashing)" "$(in_zsh keyctl upstream create --algorithm=co)"
    same "$(lines --algorithm=consistent-hashing)" "$(in_fish 'keyctl upstream create --algorithm=co')"
    same "$(lines key-auth)" "$(in_bash 'keyctl plugin create --name key-a')"
}

@test "names from the live daemon" {
    same "$(lines httpbin other)" "$(in_bash 'keyctl service get ')"
    same "$(lines httpbin)" "$(in_bash 'keyctl route create --service h')"
    same 'alice\ in\ space' "$(in_bash 'keyctl consumer delete a')"
    same 'alice in space' "$(in_zsh keyctl consumer delete a)"
    same "$(lines httpbin other)" "$(in_zsh keyctl service get '')"
    same "$(lines httpbin other)" "$(in_fish 'keyctl service get ')"
}

@test "a target of an upstream, whose colon is nobody's word break" {
    same '127.0.0.1:8001' "$(in_bash 'keyctl target delete --upstream pool 127')"
    same '8001' "$(in_bash 'keyctl target delete --upstream pool 127.0.0.1:80')"
    same '127.0.0.1\:8001' "$(in_zsh keyctl target delete --upstream pool 127)"
    same '127.0.0.1:8001' "$(in_fish 'keyctl target delete --upstream pool 127')"
    same '' "$(in_bash 'keyctl target delete ')"
}

@test "files where a file is wanted" {
    like 'a file.pem' "$(in_bash 'keyctl ca-certificate create --cert-file a')"
    same 'a file.pem' "$(in_zsh keyctl ca-certificate create --cert-file 'a ')"
    like 'a file.pem|a\\ file.pem' "$(in_fish 'keyctl ca-certificate create --cert-file a')"
}

@test "without a daemon it is quiet and quick" {
    local begun=$SECONDS

    same '' "$(KEYGATE_SOCKET=/nobody in_bash 'keyctl service get ' 2>&1)"
    # One that takes the call and says nothing.
    nc -lU "$T/mute.sock" >/dev/null 2>&1 </dev/zero 3>&- &
    echo $! >"$T/pids/nc"
    wait_for test -S "$T/mute.sock"
    same '' "$(KEYGATE_SOCKET=$T/mute.sock in_bash 'keyctl service get ' 2>&1)"
    end_of nc
    [[ $((SECONDS - begun)) -lt 10 ]]
}

@test "the scripts carry the name that keyctl goes by" {
    local shell

    for shell in bash zsh fish; do
        keyctl completion "$shell" --name kgctl >"$T/named"
        unlike '[^a-z]keyctl' "$(grep -v '^#' "$T/named")"
        like kgctl "$(<"$T/named")"
    done
    run keyctl completion tcsh
    same 2 "$status"
}

@test "the scripts are good text for their shells" {
    bash -n "$T/keyctl.bash"
    zsh -n "$T/_keyctl"
    fish --no-execute "$T/keyctl.fish"
    shellcheck -s bash -e SC2162,SC2207 "$T/keyctl.bash"
}
