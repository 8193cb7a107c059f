#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-2-Clause
# What lies on disk: the master key and its change, the check of the database, keys of which only the hash is kept.
# shellcheck disable=SC2154,SC2016 # bats sets status and output; dollars in single quotes are jq's

load helper

setup_file()
{
    file_begin
    start_upstream
    start_keygated --set guard.threshold=0
    make service --name upstream --url http://127.0.0.1:8001
    make route --service upstream --name keyed --paths /keyed
    make plugin --name key-auth --route keyed
    make consumer --username alice
}

teardown_file()
{
    file_end
}

teardown()
{
    show_log
}

# with_key KEY: the status of a request that shows it.
with_key()
{
    status_of gw_curl /keyed -H "apikey: $1"
}

# on_disk TEXT: any file of the state directory holds it.
on_disk()
{
    grep -qaF "$1" "$T"/state/*
}

check_store()
{
    run "$KEYGATED" --check-store --config "$CONFIG" "$@"
}

# --- checking -----------------------------------------------------------------------------------------------------------------

@test "--check-store finds a whole database whole, beside the daemon and after its end" {
    local key
    key=$(make_key alice)
    check_store
    same 0 "$status"
    like 'consumers: 1' "$output"
    like 'faults: 0' "$output"
    same 200 "$(with_key "$key")"
    same 201 "$(admin_status /consumers -d username=bob)"
    stop_keygated
    check_store
    same 0 "$status"
    like 'consumers: 2' "$output"
    start_keygated --set guard.threshold=0
    same 200 "$(with_key "$key")"
}

@test "--check-store names what is damaged, with status 1, and leaves it as it is" {
    stop_keygated
    cp -a "$T/state" "$T/damaged"
    python3 - "$T/damaged/keygate.db" <<'PY'
import sqlite3, sys
db = sqlite3.connect(sys.argv[1])
db.execute("UPDATE keyauth_credentials SET key_sealed = randomblob(60)")
db.execute("UPDATE services SET port = 0")
db.commit()
PY
    sha256sum "$T/damaged/keygate.db" >"$T/sum"
    check_store --set "state_dir=$T/damaged"
    same 1 "$status"
    like 'keyauth_credentials [0-9a-f-]{36}: key: it does not open' "$output"
    like 'services [0-9a-f-]{36}: .*port: value should be between 1 and 65535' "$output"
    sha256sum -c "$T/sum"
    check_store --set "state_dir=$T/none"
    same 1 "$status"
    like 'there is no database in' "$output"
    start_keygated --set guard.threshold=0
}

# --- the master key -------------------------------------------------------------------------------------------------------------

@test "a new master key leaves every client's key as it was, and opens nothing with the old one" {
    local key
    key=$(make_key alice)
    cp "$T/state/master.key" "$T/old.key"
    run "$KEYGATED" --rotate-master-key --config "$CONFIG"
    same 1 "$status"
    like 'another keygated is using the state directory' "$output"
    stop_keygated
    run "$KEYGATED" --rotate-master-key --config "$CONFIG"
    same 0 "$status"
    like 'has a new master key: secrets encrypted anew: [1-9]' "$output"
    run cmp -s "$T/old.key" "$T/state/master.key"
    same 1 "$status"
    start_keygated --set guard.threshold=0
    same 200 "$(with_key "$key")"
    holds '.key == $key' "$(admin "/consumers/alice/key-auth/$key")" --arg key "$key"
    check_store
    same 0 "$status"
    cp -a "$T/state" "$T/stolen"
    cp "$T/old.key" "$T/stolen/master.key"
    refuses_to_start --set "state_dir=$T/stolen"
    like 'master.key is not the key that' "$sentence"
    rm "$T/stolen/master.key"
    refuses_to_start --set "state_dir=$T/stolen"
    like 'master.key is missing' "$sentence"
}

@test "keys.master_key puts the master key elsewhere" {
    local key
    key=$(make_key alice)
    stop_keygated
    mkdir -p "$T/keys"
    mv "$T/state/master.key" "$T/keys/gate.key"
    refuses_to_start --set guard.threshold=0
    like 'master.key is missing' "$sentence"
    start_keygated --set guard.threshold=0 --set "keys.master_key=$T/keys/gate.key"
    same 200 "$(with_key "$key")"
    stop_keygated
    run "$KEYGATED" --rotate-master-key --config "$CONFIG" --set "keys.master_key=$T/keys/gate.key"
    same 0 "$status"
    chmod 640 "$T/keys/gate.key"
    refuses_to_start --set "keys.master_key=$T/keys/gate.key"
    like 'gate.key is open to others' "$sentence"
    chmod 600 "$T/keys/gate.key"
    mv "$T/keys/gate.key" "$T/state/master.key"
    start_keygated --set guard.threshold=0
    same 200 "$(with_key "$key")"
}

# --- hashed keys ----------------------------------------------------------------------------------------------------------------

@test "keys.at_rest: hashed shows a key once, finds it ever after, and keeps it through writes" {
    local old key id
    old=$(make_key alice)
    stop_keygated
    start_keygated --set guard.threshold=0 --set keys.at_rest=hashed
    # What was kept before is dropped, and works on.
    same 200 "$(with_key "$old")"
    holds '.key == null' "$(admin "/consumers/alice/key-auth/$old")"
    key=$(make_key alice)
    same 32 "${#key}"
    same 200 "$(with_key "$key")"
    holds '.key == null and (.id | length == 36)' "$(admin "/consumers/alice/key-auth/$key")"
    id=$(admin "/consumers/alice/key-auth/$key" | jq -r .id)
    holds '[.data[].key] | unique == [null]' "$(admin /key-auths)"
    holds '.key == null and .tags == ["t"]' "$(admin "/consumers/alice/key-auth/$id" -X PATCH -d 'tags[]=t')"
    same 200 "$(with_key "$key")"
    holds '.key == null and .tags == null' "$(admin "/consumers/alice/key-auth/$id" -X PUT -H 'Content-Type: application/json' -d '{}')"
    same 200 "$(with_key "$key")"
    same 409 "$(admin_status /consumers/alice/key-auth -d "key=$key")"
    unlike "$key" "$(<"$T/body")"
    holds '.key == "given-once"' "$(admin /consumers/alice/key-auth/given-once -X PUT -H 'Content-Type: application/json' -d '{}')"
    holds '.key == null' "$(admin /consumers/alice/key-auth/given-once)"
    holds '.key == "given-twice"' "$(admin "/consumers/alice/key-auth/$id" -X PATCH -d key=given-twice)"
    same 401 "$(with_key "$key")"
    same 200 "$(with_key given-twice)"
    check_store
    same 0 "$status"
    same 204 "$(admin_status /consumers/alice/key-auth/given-once -X DELETE)"
    same 401 "$(with_key given-once)"
    stop_keygated
    start_keygated --set guard.threshold=0
    same 200 "$(with_key given-twice)"
    holds '.key == null' "$(admin "/consumers/alice/key-auth/$id")"
    old=$(make_key alice)
    holds '.key == $key' "$(admin "/consumers/alice/key-auth/$old")" --arg key "$old"
}

# --- a new key ------------------------------------------------------------------------------------------------------------------

# identifier KEY: what the service is told.
identifier()
{
    upstream_header x-credential-identifier "$(gw_curl /keyed/echo -H "apikey: $1")"
}

@test "key rotate: both keys work until the grace is over, then the new one alone" {
    local old new id
    kctl key create --consumer alice --name laptop --description 'of the lab' -o json >"$T/made"
    old=$(jq -r .key "$T/made")
    id=$(jq -r .id "$T/made")
    same laptop "$(identifier "$old")"
    kctl key rotate "$id" --consumer alice --grace 2s -o json >"$T/made"
    new=$(jq -r .key "$T/made")
    holds '.id == $id and (.key | length == 32) and .key != $old and .name == "laptop" and .description == "of the lab" and .ttl == null
        and (.previous.id | length == 36) and .previous.id != $id and .previous.ttl >= 1' "$(<"$T/made")" --arg id "$id" --arg old "$old"
    same laptop "$(identifier "$new")"
    same laptop "$(identifier "$old")"
    wait_for -t 10 has_status 401 gw_curl /keyed -H "apikey: $old"
    same 200 "$(with_key "$new")"
    same 404 "$(admin_status "/consumers/alice/key-auth/$old")"
    # Without grace the old one is gone at once.
    holds '.previous == null and .key == "mine"' "$(admin "/consumers/alice/key-auth/$id/rotate" -d grace=0 -d key=mine)"
    same 401 "$(with_key "$new")"
    same 200 "$(with_key mine)"
    # By its key, at the top, with a life of its own.
    holds '.previous.ttl >= 3590 and .ttl == 60' "$(admin /key-auths/mine/rotate -H 'Content-Type: application/json' -d '{"ttl":60}')"
}

@test "key rotate refuses what is wrong and changes nothing" {
    local key id
    key=$(make_key alice)
    id=$(admin "/consumers/alice/key-auth/$key" | jq -r .id)
    same 404 "$(admin_status /consumers/alice/key-auth/none/rotate -X POST)"
    same 404 "$(admin_status "/consumers/nobody/key-auth/$id/rotate" -X POST)"
    same 405 "$(admin_status "/consumers/alice/key-auth/$id/rotate")"
    same 400 "$(admin_status "/key-auths/$id/rotate" -d grace=-1)"
    like 'value should be between 0 and 100000000' "$(<"$T/body")"
    same 400 "$(admin_status "/key-auths/$id/rotate" -d nope=1)"
    like 'nope: unknown field' "$(<"$T/body")"
    same 409 "$(admin_status "/key-auths/$id/rotate" -d "key=$key")"
    unlike "$key" "$(<"$T/body")"
    same 200 "$(with_key "$key")"
    run kctl key rotate
    same 2 "$status"
    run kctl key rotate "$id" --consumer alice --key "$key"
    same 2 "$status"
}

# --- when a key was last used ---------------------------------------------------------------------------------------------------

was_used()
{
    holds '.last_used_at != null' "$(admin "/key-auths/$1")"
}

@test "last_used_at says to the minute when a key last let a request in, and outlives a restart and kill -9" {
    local used idle id before
    used=$(make_key alice)
    idle=$(make_key alice)
    same 401 "$(with_key wrong)"
    before=$(date +%s)
    same 200 "$(with_key "$used")"
    wait_for -t 10 was_used "$used"
    holds '.last_used_at % 60 == 0 and .last_used_at >= $before - 60 and .last_used_at <= $before + 60' \
        "$(admin "/key-auths/$used")" --argjson before "$before"
    holds '.last_used_at == null' "$(admin "/key-auths/$idle")"
    id=$(admin "/key-auths/$used" | jq -r .id)
    before=$(admin "/key-auths/$used" | jq .last_used_at)
    # A write neither sets nor loses it.
    holds '.last_used_at == $before' "$(admin "/key-auths/$id" -X PATCH -d last_used_at=5 -d 'tags[]=t')" --argjson before "$before"
    like LAST_USED "$(kctl key list --consumer alice)"
    kill_keygated
    start_keygated --set guard.threshold=0
    was_used "$used"
    # Told just before an orderly end.
    same 200 "$(with_key "$idle")"
    stop_keygated
    start_keygated --set guard.threshold=0
    was_used "$idle"
}
