#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-2-Clause
# Declarative files on the wire: keyctl validate, diff, sync and dump, /config, the setting declarative_config.
# shellcheck disable=SC2154,SC2016 # bats sets status and output; dollars in single quotes are jq's and the files'

load helper

setup_file()
{
    file_begin
    start_upstream
    start_keygated --set admin.config_max_size=2m
}

teardown_file()
{
    file_end
}

setup()
{
    cd "$T" || return
}

teardown()
{
    show_log
}

# file NAME: standard input behind the version becomes this file.
file()
{
    {
        echo '_format_version: "3.0"'
        cat
    } >"$T/$1"
}

# summary CREATED UPDATED DELETED COMMAND...: keyctl's last line says so.
summary()
{
    run kctl "${@:4}"
    echo "$output"
    [[ $status -eq 0 ]]
    same "Created: $1, Updated: $2, Deleted: $3" "${lines[-1]}"
}

# refused REGEX... -- COMMAND...: keyctl ends with 1 and its words are like each of these; nothing has changed.
refused()
{
    local before wanted=()

    while [[ $1 != -- ]]; do
        wanted+=("$1")
        shift
    done
    before=$(kctl dump --with-id)
    run kctl "${@:2}"
    echo "$output"
    same 1 "$status"
    local regex
    for regex in "${wanted[@]}"; do
        like "$regex" "$output"
    done
    same "$before" "$(kctl dump --with-id)"
}

# nothing: all that was declared is gone.
nothing()
{
    file nothing.yaml </dev/null
    kctl sync nothing.yaml >/dev/null
}

full()
{
    file full.yaml <<'YAML'
_plugin_configs:
  keys: {key_names: [x-key]}
services:
- name: web
  url: http://127.0.0.1:8001
  tags: [front]
  routes:
  - name: keyed
    paths: [/keyed]
    plugins:
    - name: key-auth
      _config: keys
      config: {hide_credentials: true}
  - paths: [/open]
routes:
- name: flat
  service: web
  paths: [/flat]
consumers:
- username: ann
  keyauth_credentials:
  - key: key-of-ann
  - key: short-lived
    ttl: 3600
  acls:
  - group: friends
- custom_id: "17"
keyauth_credentials:
- consumer: ann
  key: second-of-ann
upstreams:
- name: many
  targets:
  - target: 127.0.0.1:8001
YAML
}

@test "a sync serves what the file says, and the second one changes nothing" {
    full
    summary 13 0 0 sync full.yaml
    same 200 "$(status_of gw_curl /open)"
    same 200 "$(status_of gw_curl /flat)"
    same 401 "$(status_of gw_curl /keyed)"
    same 200 "$(status_of gw_curl /keyed -H 'x-key: key-of-ann')"
    same 200 "$(status_of gw_curl /keyed -H 'x-key: second-of-ann')"
    same 401 "$(status_of gw_curl /keyed -H 'apikey: key-of-ann')"
    summary 0 0 0 sync full.yaml
    summary 0 0 0 diff full.yaml
}

@test "a sync of the dump changes nothing, and from it everything comes back" {
    full
    kctl sync full.yaml >/dev/null
    kctl dump >dump.yaml
    like 'key: key-of-ann' "$(<dump.yaml)"
    summary 0 0 0 sync dump.yaml
    nothing
    same 404 "$(status_of gw_curl /open)"
    summary 13 0 0 sync dump.yaml
    same 200 "$(status_of gw_curl /keyed -H 'x-key: key-of-ann')"
    same "$(<dump.yaml)" "$(kctl dump)"
}

@test "a dump as JSON says the same" {
    full
    summary 0 0 0 sync --dry-run full.yaml || kctl sync full.yaml >/dev/null
    kctl dump -o json >dump.json
    holds '._format_version == "3.0" and (.services | length) > 0 and (.consumers[0].username | type) == "string"' "$(<dump.json)"
    summary 0 0 0 diff dump.json
    kctl dump --no-keys -o json | jq -e '[.. | .key? // empty] == []' >/dev/null
    file template.yaml <<'YAML'
consumers:
- username: ! ${{ x }}
YAML
    kctl sync template.yaml >/dev/null
    refused 'a value has \$\{\{ in it, which a sync of JSON would fill in; dump YAML' -- dump -o json
}

@test "a dump without keys keeps them when it is synced" {
    full
    kctl sync full.yaml >/dev/null
    kctl dump --no-keys >dump.yaml
    unlike 'key-of-ann|short-lived' "$(<dump.yaml)"
    summary 0 0 0 sync dump.yaml
    same 200 "$(status_of gw_curl /keyed -H 'x-key: key-of-ann')"
    nothing
    refused 'key-auth: key: required field missing' -- sync dump.yaml
}

@test "what has been made by hand is dumped, and goes when the file does not have it" {
    nothing
    kctl service create --name byhand --url http://127.0.0.1:8001 >/dev/null
    kctl route create --service byhand --paths /byhand >/dev/null
    kctl dump >dump.yaml
    summary 0 0 0 sync dump.yaml
    same 200 "$(status_of gw_curl /byhand)"
    full
    run kctl sync full.yaml
    like 'deleting service byhand' "$output"
    same 404 "$(status_of gw_curl /byhand)"
}

@test "diff names each change, shows no key, changes nothing and has no colour in a pipe" {
    full
    kctl sync full.yaml >/dev/null
    sed -e 's|paths: \[/flat\]|paths: [/round]|; s/second-of-ann/third-of-ann/; /^upstreams/,$d' full.yaml >other.yaml
    summary 1 1 3 diff other.yaml
    like 'updating route flat
-  paths: \["/flat"\]
\+  paths: \["/round"\]' "$output"
    like 'creating key-auth \*\*\*\*\* for consumer ann' "$output"
    like 'deleting target 127.0.0.1:8001 for upstream many' "$output"
    unlike 'of-ann' "$output"
    unlike $'\033' "$output"
    summary 0 0 0 diff full.yaml
    run kctl diff --non-zero-exit-code other.yaml
    same 2 "$status"
    run kctl diff --non-zero-exit-code full.yaml
    same 0 "$status"
    holds '.dry_run and .summary == {created: 1, updated: 1, deleted: 3} and (.changes | length) == 5' \
        "$(kctl diff -o json other.yaml)"
    summary 1 1 3 sync --dry-run other.yaml
    summary 0 0 0 diff full.yaml
}

@test "diff is coloured on a terminal, unless NO_COLOR is set" {
    full
    kctl sync full.yaml >/dev/null
    sed 's|paths: \[/flat\]|paths: [/round]|' full.yaml >other.yaml
    like $'\033''\[33mupdating' "$(TERM=xterm script -qec "$KEYCTL diff other.yaml" /dev/null </dev/null)"
    unlike $'\033' "$(NO_COLOR=1 TERM=xterm script -qec "$KEYCTL diff other.yaml" /dev/null </dev/null)"
}

@test "every error is told at once, with its file, line, column, entity and field" {
    file bad.yaml <<'YAML'
services:
- name: one
  url: http://127.0.0.1:8001
  retries: many
  routes:
  - name: first
    paths: [/a, nope]
    colour: red
consumers:
- username: ann
- username: ann
plugins:
- name: cors
- name: key-auth
  service: nowhere
vaults: []
YAML
    refused 'bad.yaml:5:3: service "one": retries: expected an integer' \
        'bad.yaml:8:17: route "first": paths.2: should start with: /' \
        'bad.yaml:9:5: route "first": colour: unknown field' \
        "bad.yaml:12:3: consumer \"ann\": username: uniqueness violation: 'consumers' entity with username set to 'ann' already declared" \
        "bad.yaml:14:3: plugin \"cors\": name: plugin 'cors' not enabled" \
        "bad.yaml:16:12: plugin \"key-auth\": service: invalid reference 'service: nowhere' \(no such entry in 'services'\)" \
        'bad.yaml:17:1: vaults: unknown field' 'is invalid: 7 errors' -- sync bad.yaml
    refused 'is invalid: 7 errors' -- validate bad.yaml
    same 7 "$(kctl validate -o json bad.yaml 2>/dev/null | jq '.errors | length')"
}

@test "a parent with errors does not make its children's references wrong" {
    file bad.yaml <<'YAML'
services:
- name: one
  url: http://127.0.0.1:8001
  retries: many
routes:
- name: first
  service: one
  paths: [/a]
YAML
    refused 'service "one": retries' 'is invalid: 1 error$' -- validate bad.yaml
}

@test "several files make one state, and - is standard input" {
    file services.yaml <<'YAML'
services:
- name: apart
  url: http://127.0.0.1:8001
YAML
    file routes.yaml <<'YAML'
routes:
- name: apart
  service: apart
  paths: [/apart]
YAML
    run kctl sync services.yaml - <routes.yaml
    [[ $status -eq 0 ]]
    same 200 "$(status_of gw_curl /apart)"
    summary 0 0 0 diff routes.yaml services.yaml
    refused 'routes.yaml:4:12: route "apart": service: invalid reference' -- sync routes.yaml
}

@test "environment variables are filled in, as values and never as YAML" {
    file env.yaml <<'YAML'
services:
- name: env
  host: ${{ env "DECK_HOST" }}
  port: ${{ env "DECK_PORT" }}
  path: "/${{ env "DECK_PATH" }}/x"
consumers:
- username: ${{ env "DECK_NAME" }}
  keyauth_credentials:
  - key: ${{ env "DECK_KEY" }}
YAML
    sed -i 's|"/${{ env "DECK_PATH" }}/x"|'"'"'/${{ env "DECK_PATH" }}/x'"'"'|' env.yaml
    export DECK_HOST=127.0.0.1 DECK_PORT=8001 DECK_PATH=deep DECK_NAME='x
  tags: [evil]' DECK_KEY=12345
    refused 'username: must not contain control characters' -- sync env.yaml
    DECK_NAME='[a, b]: {c}' kctl sync env.yaml >/dev/null
    holds '.host == "127.0.0.1" and .port == 8001 and .path == "/deep/x"' "$(kctl service get env -o json)"
    holds '.data[0].username == "[a, b]: {c}"' "$(kctl consumer list -o json)"
    holds '.data[0].key == "12345"' "$(kctl key list -o json)"
    unset DECK_KEY
    refused 'the environment variable DECK_KEY is not set' -- sync env.yaml
    sed -i 's/DECK_KEY/HOME/' env.yaml
    refused 'only environment variables whose names begin with DECK_ are filled in' -- sync env.yaml
}

@test "what looks like a template is dumped so that it stays what it is" {
    nothing
    kctl consumer create --username '${{ env "DECK_X" }}' >/dev/null
    kctl dump >dump.yaml
    summary 0 0 0 sync dump.yaml
}

@test "with select tags only what carries them is looked at" {
    nothing
    kctl service create --name other --url http://127.0.0.1:8001 >/dev/null
    file team.yaml <<'YAML'
services:
- name: mine
  url: http://127.0.0.1:8001
routes:
- name: mine
  service: other
  paths: [/mine]
YAML
    summary 2 0 0 sync --select-tag team-a team.yaml
    holds '.tags == ["team-a"]' "$(kctl route get mine -o json)"
    summary 0 0 0 sync --select-tag team-a team.yaml
    kctl dump --select-tag team-a >dump.yaml
    unlike 'name: other' "$(<dump.yaml)"
    summary 0 0 0 sync dump.yaml
    file empty.yaml </dev/null
    summary 0 0 2 sync --select-tag team-a empty.yaml
    kctl service get other >/dev/null
    file clash.yaml <<'YAML'
services:
- name: other
  url: http://127.0.0.1:8001
YAML
    refused 'service "other": is there already, but without the selected tags' -- sync --select-tag team-a clash.yaml
}

@test "a select tag that is empty or has no room selects nothing, and deletes nothing" {
    local many=() i

    nothing
    kctl service create --name other --url http://127.0.0.1:8001 >/dev/null
    file empty.yaml </dev/null
    run -2 kctl sync --select-tag '' empty.yaml
    like 'keyctl: --select-tag' "$output"
    run -2 kctl sync --select-tag , empty.yaml
    run -2 kctl sync --select-tag '' --select-tag team-a empty.yaml
    run -2 kctl sync --select-tag team-a --select-tag '' empty.yaml
    run -2 kctl dump --select-tag ''
    for ((i = 0; i < 40; i++)); do
        many+=(--select-tag "tag-$i-$(printf '%080d' 0)")
    done
    run -2 kctl sync "${many[@]}" empty.yaml
    kctl service get other >/dev/null
}

@test "names and keys move from one entity to another within one sync" {
    nothing
    a=11111111-1111-4111-8111-111111111111 b=22222222-2222-4222-8222-222222222222
    for order in 'one two key-one key-two' 'two one key-two key-one' 'two three key-new key-two'; do
        read -r first second key1 key2 <<<"$order"
        file move.yaml <<YAML
services:
- {id: $a, name: $first, url: "http://127.0.0.1:8001"}
- {id: $b, name: $second, url: "http://127.0.0.1:8001"}
upstreams:
- {id: $a, name: $first.x}
- {id: $b, name: $second.x}
consumers:
- {id: $a, username: $first, keyauth_credentials: [{id: $a, key: $key1}]}
- {id: $b, username: $second, keyauth_credentials: [{id: $b, key: $key2}]}
YAML
        kctl sync move.yaml
        same "$first" "$(kctl service get $a -o json | jq -r .name)"
        same "$second" "$(kctl service get $b -o json | jq -r .name)"
        same "$key2" "$(kctl key get $b --consumer "$second" -o json | jq -r .key)"
        summary 0 0 0 diff move.yaml
    done
    # A name of one that goes, for one that comes.
    file move.yaml <<YAML
services:
- {id: $b, name: two, url: "http://127.0.0.1:8001"}
YAML
    summary 0 1 7 sync move.yaml
}

@test "a unique value that two entities want changes nothing, whatever else the file says" {
    nothing
    file twice.yaml <<'YAML'
services:
- {name: fine, url: "http://127.0.0.1:8001"}
consumers:
- username: ann
  custom_id: "7"
- username: bob
  custom_id: "7"
YAML
    refused "uniqueness violation: 'consumers' entity with custom_id set to '7' already declared" -- sync twice.yaml
}

@test "a lifetime counts from the creation, so the same file stays the same" {
    nothing
    file ttl.yaml <<'YAML'
consumers:
- username: ann
  keyauth_credentials:
  - key: some-key
    ttl: 600
YAML
    summary 2 0 0 sync ttl.yaml
    sleep 2.1 # so that what is left is no longer what was given
    summary 0 0 0 sync ttl.yaml
    kctl dump >dump.yaml
    summary 0 0 0 sync dump.yaml
    holds '.data[0].ttl < 599' "$(kctl key list -o json)"
    sed -i 's/600/6000/' ttl.yaml
    summary 0 1 0 sync ttl.yaml
    file ended.yaml <<'YAML'
consumers:
- username: ann
  keyauth_credentials:
  - {key: some-key, ttl: 600, created_at: 1000}
YAML
    summary 0 0 1 sync ended.yaml
}

@test "defaults of _info, anchors and merge keys, and the older formats" {
    nothing
    cat >old.yaml <<'YAML'
_format_version: "1.1"
_konnect:
  control_plane_name: elsewhere
_info:
  defaults:
    service: {retries: 3}
    route: {strip_path: false}
_ignore:
- &base {protocols: [http], tags: [all]}
services:
- name: old
  url: http://127.0.0.1:8001
  _comment: from long ago
  routes:
  - {<<: *base, name: a, paths: ["/a/\\d+$"]}
  - {<<: *base, name: b, paths: [/b], tags: [own]}
YAML
    summary 3 0 0 sync old.yaml
    holds '.retries == 3' "$(kctl service get old -o json)"
    holds '.paths == ["~/a/\\d+$"] and .protocols == ["http"] and .tags == ["all"] and (.strip_path | not)' \
        "$(kctl route get a -o json)"
    holds '.tags == ["own"] and .paths == ["/b"]' "$(kctl route get b -o json)"
}

@test "a file that is too long, random bytes, a bomb of anchors and deep nesting are refused in little memory" {
    local before
    nothing
    before=$(memory VmRSS)
    forget_peak
    head -c 104857600 /dev/zero | tr '\0' 'a' >long.yaml
    refused 'Request Entity Too Large|Content Too Large|config_max_size' -- sync long.yaml
    head -c 1000000 /dev/urandom >random.yaml
    refused 'random.yaml:[0-9]+:[0-9]+: not valid YAML' -- sync random.yaml
    {
        echo '_format_version: "3.0"'
        echo '_ignore:'
        echo '- &x0 [lol, lol, lol, lol, lol, lol, lol, lol, lol, lol]'
        for i in {1..12}; do
            echo "- &x$i [$(for j in {1..10}; do printf '*x%d%s' $((i - 1)) "$([[ $j -eq 10 ]] || echo ', ')"; done)]"
        done
        echo 'services:'
        echo '- {name: bomb, host: h, tags: *x12}'
    } >bomb.yaml
    refused 'its aliases make more of it than 65536 values' -- sync bomb.yaml
    {
        echo '_format_version: "3.0"'
        echo '_ignore:'
        echo '- &y0 {a: 1}'
        for i in {1..30}; do
            echo "- &y$i {k$i: *y$((i - 1)), <<: [*y$((i - 1)), *y$((i - 1)), *y$((i - 1))]}"
        done
    } >merge.yaml
    kctl validate merge.yaml
    {
        echo '_format_version: "3.0"'
        printf 'services: '
        head -c 1000000 /dev/zero | tr '\0' '['
    } >deep.yaml
    refused 'deep.yaml:2:[0-9]+: lists and maps lie too deep in each other' -- sync deep.yaml
    {
        echo '_format_version: "3.0"'
        printf '_ignore: [1'
        head -c 1900000 /dev/zero | sed 's/\x0/,1/g' | head -c 1900000
        echo ']'
    } >values.yaml
    refused 'too many values' -- sync values.yaml
    stayed_small "$before"
}

@test "POST /config takes YAML, JSON, the text in JSON, and forms; GET gives it back" {
    nothing
    local body
    body='{"_format_version":"3.0","consumers":[{"username":"viajson"}]}'
    same 200 "$(admin_status '/config?dry_run=1' --json "$body")"
    holds '.summary.created == 1 and .dry_run' "$(<"$T/body")"
    same 404 "$(admin_status /consumers/viajson)"
    same 201 "$(admin_status /config --json "$body")"
    holds '.summary == {created: 1, updated: 0, deleted: 0} and .changes[0].name == "viajson"' "$(<"$T/body")"
    same 201 "$(admin_status /config --json "$(jq -n --arg config "$body" '{config: $config}')")"
    holds '.summary.created == 0' "$(<"$T/body")"
    admin /config | jq -re .config >dump.yaml
    same 201 "$(admin_status /config -H 'Content-Type: text/yaml' --data-binary @dump.yaml)"
    same 201 "$(admin_status /config -F config=@dump.yaml)"
    holds '.summary == {created: 0, updated: 0, deleted: 0}' "$(<"$T/body")"
    same 400 "$(admin_status /config -X POST)"
    holds '.message == "expected a declarative configuration"' "$(<"$T/body")"
    same 400 "$(admin_status /config --json '{"_format_version": 3, "servces": []}')"
    holds '.code == 14 and (.errors | map(.field)) == ["_format_version", "servces"]' "$(<"$T/body")"
    same 415 "$(admin_status /config -H 'Content-Type: text/plain' -d x)"
    same 400 "$(admin_status /config -H 'Content-Type: multipart/form-data; boundary=x' -d '--x')"
    same 405 "$(admin_status /config -X DELETE)"
}

@test "POST /config takes a form, and says 304 when ?check_hash=1 asks and nothing had to change" {
    nothing
    file form.yaml <<'YAML'
consumers:
- username: form & co
YAML
    same 201 "$(admin_status /config --data-urlencode config@form.yaml)"
    holds '.changes[0].name == "form & co"' "$(<"$T/body")"
    same 201 "$(admin_status /config --data-urlencode config@form.yaml)"
    same '304 0' "$(admin '/config?check_hash=1' --data-urlencode config@form.yaml -o /dev/null -w '%{http_code} %{size_download}')"
    # What was made by hand is no part of it.
    kctl consumer create --username hand >/dev/null
    same 201 "$(admin_status '/config?check_hash=1' --data-urlencode config@form.yaml)"
    same 304 "$(admin_status '/config?check_hash=1' -F config=@form.yaml)"
    same 400 "$(admin_status '/config?check_hash=1' -d config=x)"
    same 400 "$(admin_status /config -d other=x)"
    holds '.message == "expected a declarative configuration"' "$(<"$T/body")"
}

@test "?flatten_errors=1 tells the errors of each entity" {
    nothing
    file flat-errors.yaml <<'YAML'
services:
- name: s
  host: h
  retries: many
  nope: 1
  tags: [a, b]
  routes:
  - id: 11111111-1111-4111-8111-111111111111
    strip_path: false
plugins:
- name: cors
bad: 1
YAML
    same 400 "$(admin_status '/config?flatten_errors=1' -F config=@flat-errors.yaml)"
    holds '.code == 14 and (.errors | length) == 5 and (.flattened_errors | length) == 3' "$(<"$T/body")"
    holds '.flattened_errors[] | select(.entity_type == "service")
        | .entity_name == "s" and .entity_tags == ["a", "b"] and (has("entity_id") | not)
        and (.errors | sort_by(.field)) == [{type: "field", field: "nope", message: "unknown field"},
            {type: "field", field: "retries", message: "expected an integer"}]' "$(<"$T/body")"
    holds '.flattened_errors[] | select(.entity_type == "route")
        | .entity_id == "11111111-1111-4111-8111-111111111111" and (.errors | map(.type)) == ["entity"]' "$(<"$T/body")"
    holds '.flattened_errors[] | select(.entity_type == "plugin") | .errors[0].field == "name"' "$(<"$T/body")"
    same 400 "$(admin_status /config -F config=@flat-errors.yaml)"
    holds 'has("flattened_errors") | not' "$(<"$T/body")"
}

@test "a sync is told to those who listen, entity by entity" {
    nothing
    file told.yaml <<'YAML'
services:
- {name: told, host: h, routes: [{paths: [/told]}]}
consumers:
- {username: tom, keyauth_credentials: [{key: the-key-of-tom}]}
YAML
    kctl sync told.yaml >/dev/null
    admin '/events?follow=0&past=4&type=entity' >told.log
    holds '[.action, .entity, .name] | . == ["created", "services", "told"]' "$(grep '"services"' told.log)"
    holds '.action == "created" and (has("name") | not)' "$(grep '"key-auths"' told.log)"
    same 4 "$(jq -r .id told.log | sort -u | grep -cE '^[0-9a-f-]{36}$')"
    same 0 "$(grep -c the-key-of-tom told.log)"
    kctl sync --yes told.yaml >/dev/null
    sed -i 's/host: h,/host: i,/; /username: tom/d; /^consumers/d' told.yaml
    kctl sync --yes told.yaml >/dev/null
    admin '/events?follow=0&past=3&type=entity' >told.log
    holds '[.action, .entity, .name] | . == ["updated", "services", "told"]' "$(head -n 1 told.log)"
    same 'consumers deleted
key-auths deleted' "$(tail -n 2 told.log | jq -r '"\(.entity) \(.action)"' | sort)"
}

# In hundredths of a second.
cpu_time()
{
    awk '{ print $14 + $15 }' "/proc/$(pid_of keygated)/stat"
}

has_worked()
{
    [[ $(cpu_time) -ge $(($1 + 3)) ]]
}

# By its time too: a log that is begun anew does not grow.
wal_version()
{
    stat -c '%s %y' "$T/state/keygate.db-wal"
}

has_written()
{
    [[ $(wal_version) != "$1" ]]
}

@test "a kill during a sync leaves all or nothing" {
    nothing
    local i moment consumers syncing worked written
    {
        echo 'consumers:'
        for i in {1..2000}; do
            echo "- {username: u$i, keyauth_credentials: [{key: key-of-u$i}]}"
        done
    } | file many.yaml
    # While it works on the files, while or after it writes, and after it has answered.
    for moment in has_worked has_written answered; do
        worked=$(cpu_time)
        written=$(wal_version)
        (kctl sync many.yaml >synced.log 2>&1 || true) &
        syncing=$!
        case $moment in
            has_worked) wait_for has_worked "$worked" ;;
            has_written) wait_for has_written "$written" ;;
            *) wait "$syncing" ;;
        esac
        kill_keygated
        wait "$syncing" || true
        start_keygated --set admin.config_max_size=2m
        consumers=$(kctl dump | grep -c '^- username: u' || true)
        [[ $consumers -eq 0 || $consumers -eq 2000 ]] || same '0 or 2000' "$consumers"
        # What was answered is there.
        if grep -q '^Created: ' synced.log; then
            same 2000 "$consumers"
        fi
        same "$consumers" "$(kctl dump | grep -c 'key: key-of-u' || true)"
        nothing
    done
}

@test "declarative_config is read at the start and on SIGHUP, and a bad one changes nothing" {
    stop_keygated
    full
    chmod 644 full.yaml
    start_keygated --set "declarative_config=$T/full.yaml"
    same 200 "$(status_of gw_curl /flat)"
    summary 0 0 0 diff full.yaml
    sed -i 's|paths: \[/flat\]|paths: [/round]|' full.yaml
    kill -HUP "$(pid_of keygated)"
    wait_for has_status 200 gw_curl /round
    sed -i 's|paths: \[/round\]|paths: [round]|' full.yaml
    kill -HUP "$(pid_of keygated)"
    wait_for grep -q 'full.yaml:[0-9]*:[0-9]*: route flat: paths.1: should start with' "$T/keygated.log"
    same 200 "$(status_of gw_curl /round)"
    holds '.action == "updated" and .entity == "routes" and .name == "flat"' "$(admin '/events?follow=0&past=1&type=entity')"
    stop_keygated
    refuses_to_start --set "declarative_config=$T/full.yaml"
    like 'full.yaml has errors, so nothing of it counts' "$sentence"
    refuses_to_start --set "declarative_config=$T/nosuch.yaml"
    like 'nosuch.yaml: cannot be read' "$sentence"
    start_keygated
    same 200 "$(status_of gw_curl /round)"
}

key_was_used()
{
    holds '[.data[].last_used_at] | all(. != null)' "$(admin /key-auths)"
}

@test "a sync changes nothing of keys of which only the hash is kept, nor of keys that were used" {
    stop_keygated
    start_keygated --set keys.at_rest=hashed
    file hashed.yaml <<'YAML'
services:
- name: hashed
  url: http://127.0.0.1:8001
  routes:
  - name: hashed
    paths: [/hashed]
    plugins:
    - name: key-auth
consumers:
- username: hana
  keyauth_credentials:
  - key: a-key-of-hana
YAML
    nothing
    summary 5 0 0 sync hashed.yaml
    same 200 "$(status_of gw_curl /hashed -H 'apikey: a-key-of-hana')"
    wait_for key_was_used
    summary 0 0 0 sync hashed.yaml
    kctl dump >hashed-dump.yaml
    unlike a-key-of-hana "$(<hashed-dump.yaml)"
    unlike last_used_at "$(<hashed-dump.yaml)"
    summary 0 0 0 sync hashed-dump.yaml
    same 200 "$(status_of gw_curl /hashed -H 'apikey: a-key-of-hana')"
    key_was_used
    sed -i 's/a-key-of-hana/another-of-hana/' hashed.yaml
    summary 1 0 1 sync hashed.yaml
    same 401 "$(status_of gw_curl /hashed -H 'apikey: a-key-of-hana')"
    same 200 "$(status_of gw_curl /hashed -H 'apikey: another-of-hana')"
}
