#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-2-Clause
# keyctl as a person meets it: help, suggestions, tables on a terminal, dry runs, questions before something is destroyed.
# shellcheck disable=SC2154,SC2016 # bats sets status and output; dollars in single quotes are jq's

load helper

setup_file()
{
    file_begin
    start_upstream
    start_keygated
}

teardown_file()
{
    file_end
}

teardown()
{
    show_log
}

# on_terminal COLUMNS INPUT ARGUMENT...: keyctl on a terminal of so many columns, which is typed INPUT; output: what it shows.
on_terminal()
{
    (
        unset COLUMNS
        export TERM=xterm
        exec /usr/bin/python3 "$BATS_TEST_DIRNAME/terminal.py" "$1" "$2" "$KEYCTL" "${@:3}"
    )
}

# names HEADING: what keyctl --help lists under it.
names()
{
    "$KEYCTL" --help | sed -n "/^$1:/,/^\$/s/^  \([a-z-]*\) .*/\1/p"
}

# all_commands: each "NOUN VERB" and each command, one a line.
all_commands()
{
    local noun

    names Commands
    for noun in $(names Nouns); do
        "$KEYCTL" "$noun" --help | sed -n "1,/^\$/d; /^\$/q; s/^  keyctl \([a-z-]* [a-z]*\).*/\1/p"
    done
}

# --- help -----------------------------------------------------------------------------------------------------------------

@test "every command has help with an example, and help WORDS is WORDS --help" {
    local words count=0

    all_commands >"$T/commands"
    while read -ra words; do
        "$KEYCTL" "${words[@]}" --help >"$T/help"
        same "$(<"$T/help")" "$("$KEYCTL" help "${words[@]}")"
        grep -qx '  -h, --help .*' "$T/help" || same "${words[*]}" 'help of its flags'
        sed -n '/^Examples\?:/,$p' "$T/help" | grep -qE "^  keyctl ${words[*]}( |\$)" || same "${words[*]}" 'an example'
        count=$((count + 1))
    done <"$T/commands"
    [[ $count -ge 58 ]]
}

# Where there is no daemon, a command line that is right ends with 3 (or 0, where none is asked) and one that is wrong with 2.
@test "every example of the help is a right command line" {
    local line words count=0

    mkdir -p "$T/examples"
    cd "$T/examples" || return
    printf secret >new.secret
    printf 'X-Team: blue\n' >headers.txt
    for words in kong services consumers team-a; do
        echo '_format_version: "3.0"' >"$words.yaml"
    done
    printf 'routes: []\n#END\n' >apisix.yaml
    for words in example new ca; do
        printf -- '-----BEGIN CERTIFICATE-----\n' >"$words.pem"
        printf -- '-----BEGIN PRIVATE KEY-----\n' >"$words.key"
    done
    while read -ra words; do
        while read -r line; do
            run env KEYCTL="$KEYCTL" bash -c "\"\$KEYCTL\" $line --socket /nobody" </dev/null
            [[ $status -eq 3 || ($status -eq 0 && $line =~ ^(completion|convert)) ]] || same 'exit status 3' "$line: $status $output"
            count=$((count + 1))
        done < <("$KEYCTL" "${words[@]}" --help | sed -n '/^Examples\?:/,$s/^  keyctl //p')
    done < <(all_commands | grep -vx top)
    [[ $count -ge 60 ]]
}

@test "mistyped nouns, commands, verbs and flags are met with what was meant" {
    local case

    while IFS='|' read -r -a case; do
        # shellcheck disable=SC2086 # words
        run "$KEYCTL" ${case[0]}
        same 2 "$status"
        same "keyctl: ${case[1]}" "$output"
    done <<'CASES'
servcie list|there is no "servcie"; did you mean "service"?
consumers list|there is no "consumers"; did you mean "consumer"?
satus|there is no "satus"; did you mean "status"?
route crate|route has no verb "crate"; did you mean "create"?
ban update|ban has no verb "update"; it has create, list, get, delete
route create --pathes /x|route create has no flag --pathes; did you mean --paths?
consumer delete x --dryrun|consumer delete has no flag --dryrun; did you mean --dry-run?
route list --ouput json|route list has no flag --ouput; did you mean --output?
status --soket /x|status has no flag --soket; did you mean --socket?
xyzzy|there is no "xyzzy"; see keyctl --help
status now|status takes no argument
consumer delete x --yes=no|--yes takes no value
CASES
}

# --- tables -----------------------------------------------------------------------------------------------------------------

@test "a table fits the terminal: long cells end in an ellipsis, ids stay whole" {
    local line id

    id=$(kctl consumer create --username "$(printf 'ü%.0s' {1..60})" --custom-id "$(printf '東%.0s' {1..40})" -o json | jq -r .id)
    on_terminal 100 '' consumer list >"$T/out"
    while read -r line; do
        [[ $(/usr/bin/python3 -c 'import sys, unicodedata as u
print(sum(2 if u.east_asian_width(c) in "WF" else 1 for c in sys.argv[1]))' "$line") -le 100 ]] || same '100 columns' "$line"
    done < <(sed 's/\x1b\[[0-9;]*m//g' "$T/out")
    like 'ü…' "$(<"$T/out")"
    like '東…' "$(<"$T/out")"
    like "$id" "$(<"$T/out")"
    # Not on a terminal: nothing is cut, also when something exports COLUMNS.
    like "$(printf 'ü%.0s' {1..60})" "$(COLUMNS=40 kctl consumer list)"
    kctl consumer delete "$id"
}

@test "a key that is shown once is whole on the smallest terminal" {
    kctl consumer create --username small >/dev/null
    like '[A-Za-z0-9]{32}' "$(on_terminal 40 '' key create --consumer small)"
    kctl consumer delete small
}

@test "a name with controls of the terminal in it reaches none, however it is printed" {
    local csi=$'\u009b31m'

    kctl consumer create --username "red$csi" >/dev/null
    for out in table json yaml; do
        kctl consumer list -o "$out" >"$T/printed"
        run ! grep -aq $'\xc2\x9b' "$T/printed"
    done
    same "red$csi" "$(kctl consumer list -o json | jq -r '.data[].username | select(startswith("red"))')"
    kctl events --type entity >"$T/printed"
    run ! grep -aq $'\xc2\x9b' "$T/printed"
    same "red$csi" "$(jq -r '.name | select(startswith("red"))' "$T/printed")"
    kctl consumer delete "red$csi" --yes
}

# impostor JSON: a daemon that says this to whatever it is asked; its socket is $T/impostor.sock.
impostor()
{
    in_background impostor /usr/bin/python3 -c '
import socket, sys
server = socket.socket(socket.AF_UNIX)
server.bind(sys.argv[1])
server.listen()
while True:
    client, _ = server.accept()
    client.recv(65536)
    body = sys.argv[2].encode()
    client.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s" % (len(body), body))
    while client.recv(65536):
        pass
    client.close()
' "$T/impostor.sock" "$1"
    ready impostor test -S "$T/impostor.sock"
}

@test "what answers without what keyctl looks for ends in no crash" {
    local words

    impostor '{"changes": [{}, 1, {"fields": {"a": 1}}], "data": [{}, 1, null], "candidates": [{"fails": [1]}], "upstream": {"headers": [[], 1]}, "plugins": [1], "balancer": {"targets": [1]}, "enabled_plugins": [1]}'
    for words in 'diff /dev/null' 'sync --yes /dev/null' 'service list' 'service list -o yaml' 'plugin get x' stats status \
        'explain GET /' 'upstream health x' 'completion words -- service get ' 'completion words -- plugin create --name '; do
        # shellcheck disable=SC2086 # words
        run timeout 10 "$KEYCTL" $words --socket "$T/impostor.sock"
        [[ $status -le 4 ]] || return 1
        unlike 'Sanitizer|runtime error' "$output"
    done
    end_of impostor
}

@test "colours are for terminals, and not against NO_COLOR" {
    like $'\x1b\\[1m' "$(on_terminal 80 '' consumer list)"
    unlike $'\x1b' "$(NO_COLOR=1 on_terminal 80 '' consumer list)"
    unlike $'\x1b' "$(kctl consumer list)"
}

# --- dry runs ---------------------------------------------------------------------------------------------------------------

@test "a dry run says what would be, and changes nothing" {
    kctl service create --name dry --url http://127.0.0.1:8001 >/dev/null
    kctl consumer create --username dry >/dev/null
    kctl key create --consumer dry >/dev/null
    kctl key create --consumer dry >/dev/null
    local before
    before=$(for noun in service route consumer key; do kctl "$noun" list -o json; done)

    run --separate-stderr kctl service create --name dry2 --url http://127.0.0.1:8001 --dry-run
    same 0 "$status"
    like '^dry2 +http +127' "${lines[1]}"
    same 'keyctl: a dry run: nothing was changed' "$stderr"
    holds '.read_timeout == 7' "$(kctl service update dry --read-timeout 7 --dry-run -o json 2>/dev/null)"
    holds '.key == null and .ttl == 60' "$(kctl key create --consumer dry --ttl 1m --dry-run -o json 2>/dev/null)"
    same 'would delete consumer dry and with it 2 keys' "$(kctl consumer delete dry --dry-run)"
    same '{"consumers":1,"key-auths":2}' "$(kctl consumer delete dry --dry-run -o json | jq -cS .deletes)"
    same "$before" "$(for noun in service route consumer key; do kctl "$noun" list -o json; done)"
    kctl consumer delete dry
    kctl service delete dry
}

@test "a dry run is refused as the write would be" {
    kctl service create --name real --url http://127.0.0.1:8001 >/dev/null
    kctl route create --service real --name real --paths /real >/dev/null
    run --separate-stderr kctl service create --name real --url http://127.0.0.1:8001 --dry-run
    same 1 "$status"
    same "keyctl: UNIQUE violation detected on '{name=\"real\"}'" "$stderr"
    run --separate-stderr kctl service update real --connect-timeout 0 --dry-run
    same 1 "$status"
    like 'schema violation \(connect_timeout' "$stderr"
    run --separate-stderr kctl route create --service nowhere --paths /x --dry-run
    same 1 "$status"
    run --separate-stderr kctl service delete real --dry-run
    same 1 "$status"
    like 'routes' "$stderr"
    run --separate-stderr kctl consumer delete nobody --dry-run
    same 1 "$status"
    same 'keyctl: consumer nobody: Not found' "$stderr"
    kctl route delete real
    kctl service delete real
}

@test "the Admin API refuses a dry_run that it does not understand or cannot do" {
    same 400 "$(admin_status '/consumers?dry_run=perhaps' -d username=maybe)"
    same 404 "$(admin_status /consumers/maybe)"
    same 201 "$(admin_status '/consumers?dry_run=1' -d username=maybe)"
    same 201 "$(admin_status '/consumers?dry_run' -d username=maybe)"
    same 404 "$(admin_status /consumers/maybe)"
    same 400 "$(admin_status '/bans?dry_run=1' -d address=203.0.113.1)"
    same 400 "$(admin_status '/allow?dry_run=1' -d network=203.0.113.0/24)"
    holds '.data == []' "$(admin /bans)"
    same 201 "$(admin_status '/consumers?dry_run=0' -d username=maybe)"
    same 200 "$(admin_status '/consumers/maybe?dry_run=true' -X DELETE)"
    same 204 "$(admin_status /consumers/maybe -X DELETE)"
}

# --- questions ----------------------------------------------------------------------------------------------------------------

@test "on a terminal a deletion is asked about, with all that goes with it" {
    kctl consumer create --username asked >/dev/null
    kctl key create --consumer asked >/dev/null
    run on_terminal 80 $'n\n' consumer delete asked
    same 1 "$status"
    like 'This deletes consumer asked and with it 1 key\. Go on\? \[y/N\]' "$output"
    like 'nothing was deleted' "$output"
    run on_terminal 80 $'\n' consumer delete asked
    same 1 "$status"
    kctl consumer get asked
    run on_terminal 80 $'y\n' consumer delete asked
    same 0 "$status"
    like 'consumer asked deleted' "$output"
    run kctl consumer get asked
    same 1 "$status"
}

@test "--yes does not ask, nor does anybody who is no terminal" {
    kctl consumer create --username first >/dev/null
    kctl consumer create --username second >/dev/null
    run on_terminal 80 '' consumer delete first --yes
    same 0 "$status"
    unlike 'Go on' "$output"
    run kctl consumer delete second </dev/null
    same 0 "$status"
    same 'consumer second deleted' "$output"
}

@test "a ban that is lifted on a terminal is asked about as well" {
    kctl ban create 203.0.113.5 >/dev/null
    run on_terminal 80 $'n\n' ban delete 203.0.113.5
    same 1 "$status"
    like 'This deletes ban 203\.0\.113\.5\. Go on\?' "$output"
    kctl ban get 203.0.113.5
    kctl ban delete 203.0.113.5
}
