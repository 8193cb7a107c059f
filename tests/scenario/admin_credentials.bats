#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-2-Clause
# Managing what consumers have besides API keys: secrets and public keys for JWTs, and groups.
# shellcheck disable=SC2154,SC2016 # bats sets status and output; dollars in single quotes are jq's

load helper

setup_file()
{
    file_begin
    start_keygated
    make consumer --username alice
    make consumer --username bob
    openssl genrsa 2048 2>/dev/null >"$T/rsa.key"
    openssl pkey -in "$T/rsa.key" -pubout >"$T/rsa.pem"
    openssl ecparam -name prime256v1 -genkey -noout | openssl pkey -pubout >"$T/ec.pem"
    openssl genpkey -algorithm ed25519 | openssl pkey -pubout >"$T/ed.pem"
}

teardown_file()
{
    file_end
}

teardown()
{
    show_log
}

# pem_field NAME FILE: a JSON object with the file's text under the name.
pem_field()
{
    jq -n --arg name "$1" --rawfile text "$2" '{($name): $text}'
}

@test "a JWT credential has Kong's fields, and a key and secret made for it" {
    answers 201 '(keys == ["algorithm", "consumer", "created_at", "id", "key", "rsa_public_key", "secret", "tags"])
        and (.key | test("^[A-Za-z0-9]{32}$")) and (.secret | test("^[A-Za-z0-9]{32}$")) and .key != .secret
        and .algorithm == "HS256" and .rsa_public_key == null and .tags == null and (.consumer.id | length == 36)' \
        /consumers/alice/jwt -X POST
    answers 201 '.key == "iss-1" and .secret == "hush" and .algorithm == "HS512" and .tags == ["a"]' \
        /jwts -H "$JSON" -d '{"consumer":{"username":"alice"},"key":"iss-1","secret":"hush","algorithm":"HS512","tags":["a"]}'
}

@test "a JWT credential is found by key and by id, below its consumer and at the top" {
    local id
    id=$(admin /jwts/iss-1 | jq -r .id)
    answers 200 .id /consumers/alice/jwt/iss-1
    holds '.id == $id' "$(<"$T/body")" --arg id "$id"
    answers 200 '.key == "iss-1"' "/consumers/alice/jwt/$id"
    answers 404 '.message == "Not found"' /consumers/bob/jwt/iss-1
    answers 200 '.username == "alice"' /jwts/iss-1/consumer
    answers 200 '[.data[].key] | index("iss-1") != null' /consumers/alice/jwt
    answers 200 '.data == [] and .next == null' /consumers/bob/jwt
    answers 200 '(.data | length) == 2' /jwts
}

@test "PUT makes and replaces a JWT credential, PATCH changes it, DELETE takes it away" {
    answers 200 '.key == "iss-2" and .secret == "s2"' /consumers/bob/jwt/iss-2 -X PUT -d secret=s2
    answers 200 '.id == "11111111-1111-4111-8111-111111111111" and (.consumer.id | length == 36)' \
        /consumers/bob/jwt/11111111-1111-4111-8111-111111111111 -X PUT -H "$JSON" -d '{"key":"iss-3"}'
    answers 200 '.secret == "s2" and .algorithm == "HS384"' /jwts/iss-2 -X PATCH -d algorithm=HS384
    answers 200 '.secret != "s2" and .algorithm == "HS256"' /jwts/iss-2 -X PUT -H "$JSON" -d '{"consumer":{"username":"bob"}}'
    same 204 "$(admin_status /consumers/bob/jwt/iss-2 -X DELETE)"
    same 404 "$(admin_status /consumers/bob/jwt/iss-2 -X DELETE)"
    same 204 "$(admin_status /jwts/iss-3 -X DELETE)"
}

@test "a JWT credential that cannot be is refused" {
    answers 409 '.code == 5 and .fields == {"key":"iss-1"}' /consumers/bob/jwt -d key=iss-1
    answers 400 '.message == "schema violation (consumer: required field missing)"' /jwts -d key=x
    answers 400 '.fields.algorithm | startswith("expected one of: HS256, HS384, ")' /consumers/bob/jwt -d algorithm=none
    answers 400 '.fields.ttl == "unknown field"' /consumers/bob/jwt -d ttl=5
    answers 400 '.fields == {"@entity": ["failed conditional validation given value of field '"'algorithm'"'"], "rsa_public_key": "required field missing"}' \
        /consumers/bob/jwt -d algorithm=RS256
    answers 400 '.fields.rsa_public_key == "invalid key"' /consumers/bob/jwt -d algorithm=RS256 -d rsa_public_key=nonsense
    answers 404 '.message == "Not found"' /consumers/nobody/jwt -X POST
    answers 200 '.data == []' /consumers/bob/jwt
}

@test "public keys: those that suit the algorithm, and no private ones" {
    local algorithm
    for algorithm in RS256 PS512; do
        answers 201 '.rsa_public_key | startswith("-----BEGIN PUBLIC KEY-----")' /consumers/bob/jwt -d "algorithm=$algorithm" \
            --data-urlencode "rsa_public_key@$T/rsa.pem"
    done
    answers 201 '.algorithm == "ES256"' /consumers/bob/jwt -d algorithm=ES256 --data-urlencode "rsa_public_key@$T/ec.pem"
    answers 201 '.algorithm == "EdDSA"' /consumers/bob/jwt -d algorithm=EdDSA --data-urlencode "rsa_public_key@$T/ed.pem"
    answers 400 '.fields.rsa_public_key == "not a key for algorithm '"'ES256'"'"' /consumers/bob/jwt -d algorithm=ES256 \
        --data-urlencode "rsa_public_key@$T/rsa.pem"
    answers 400 '.fields.rsa_public_key == "invalid key: it is a private key"' /consumers/bob/jwt -d algorithm=RS256 \
        --data-urlencode "rsa_public_key@$T/rsa.key"
}

@test "a secret is on disk only sealed" {
    answers 201 '.key == "search-key"' /consumers/alice/jwt -d key=search-key -d secret=search-for-this-secret
    grep -qa search-key "$T"/state/keygate.db*
    run grep -la search-for-this-secret -r "$T/state" "$T/keygated.log"
    same 1 "$status"
}

@test "a group has Kong's fields" {
    answers 201 '(keys == ["consumer", "created_at", "group", "id", "tags"]) and .group == "staff" and .tags == ["t"]' \
        /consumers/alice/acls -d group=staff -d 'tags[]=t'
    answers 201 '.group == "guests"' /acls -H "$JSON" -d '{"consumer":{"username":"bob"},"group":"guests"}'
    answers 201 '.group == "staff"' /consumers/bob/acls -d group=staff
}

@test "a group's name is one below its consumer alone" {
    local id
    answers 200 '.group == "staff" and .tags == ["t"]' /consumers/alice/acls/staff
    answers 200 '.group == "staff" and .tags == null' /consumers/bob/acls/staff
    id=$(jq -r .id "$T/body")
    answers 404 '.message == "Not found"' /consumers/alice/acls/guests
    answers 404 '.message == "Not found"' "/consumers/alice/acls/$id"
    answers 404 '.message == "Not found"' /acls/staff
    answers 404 '.message == "Not found"' /acls/staff -X PUT -H "$JSON" -d '{"consumer":{"username":"bob"}}'
    answers 200 '.group == "staff"' "/acls/$id"
    answers 200 '.username == "bob"' "/acls/$id/consumer"
    answers 200 '[.data[].group] == ["guests", "staff"]' /consumers/bob/acls
    answers 200 '(.data | length) == 3' /acls
}

@test "PUT by a group's name puts the consumer into it, DELETE takes it out" {
    answers 200 '.group == "new"' /consumers/alice/acls/new -X PUT
    answers 200 '.group == "new" and .tags == ["x"]' /consumers/alice/acls/new -X PUT -d 'tags[]=x'
    answers 200 '.id == "22222222-2222-4222-8222-222222222222" and .group == "byid"' \
        /acls/22222222-2222-4222-8222-222222222222 -X PUT -H "$JSON" -d '{"consumer":{"username":"alice"},"group":"byid"}'
    answers 200 '.group == "renamed" and .tags == ["x"]' /consumers/alice/acls/new -X PATCH -d group=renamed
    same 204 "$(admin_status /consumers/alice/acls/renamed -X DELETE)"
    same 404 "$(admin_status /consumers/alice/acls/renamed -X DELETE)"
    same 204 "$(admin_status /acls/22222222-2222-4222-8222-222222222222 -X DELETE)"
}

@test "a group that cannot be is refused" {
    local id
    id=$(admin /consumers/alice | jq -r .id)
    answers 409 '.code == 5 and .fields.group == "staff"' /consumers/alice/acls -d group=staff
    same "UNIQUE violation detected on '{consumer={id=\"$id\"},group=\"staff\"}'" "$(jq -r .message "$T/body")"
    answers 400 '.message == "schema violation (group: required field missing)"' /consumers/alice/acls -X POST
    answers 400 '.message == "schema violation (consumer: required field missing)"' /acls -d group=x
}

@test "deleting a consumer takes its JWT credentials and groups along" {
    make consumer --username leaver
    answers 201 .id /consumers/leaver/jwt -d key=leaver-key
    answers 201 .id /consumers/leaver/acls -d group=leavers
    local acl
    acl=$(jq -r .id "$T/body")
    same 204 "$(admin_status /consumers/leaver -X DELETE)"
    same 404 "$(status_of admin /jwts/leaver-key)"
    same 404 "$(status_of admin "/acls/$acl")"
}

@test "keyctl: JWT credentials" {
    printf 'from a file\n' >"$T/secret"
    holds '.key == "ctl" and .secret == "from a file" and .algorithm == "HS256"' \
        "$(kctl jwt create --consumer bob --key ctl --secret-file "$T/secret" -o json)"
    like 'ctl +HS256 ' "$(kctl jwt list --consumer bob)"
    unlike 'from a file' "$(kctl jwt list --consumer bob)"
    holds '.secret == "from a file"' "$(kctl jwt get ctl -o json)"
    holds '.algorithm == "RS256" and .secret == "from a file"' \
        "$(kctl jwt update ctl --algorithm RS256 --rsa-public-key-file "$T/rsa.pem" -o json)"
    like '[A-Za-z0-9]{32} +HS256 +[A-Za-z0-9]{32} ' "$(kctl jwt create --consumer bob)"
    same 'jwt ctl deleted' "$(kctl jwt delete ctl)"
    run kctl jwt get ctl
    same 1 "$status"
    run kctl jwt create --consumer bob --secret hush
    same 2 "$status"
    unlike hush "$output"
    run kctl jwt create --key nobodys
    same 2 "$status"
}

@test "keyctl: groups" {
    holds '.group == "ops" and .tags == ["night"]' "$(kctl acl create ops --consumer bob --tags night -o json)"
    like '^ops ' "$(kctl acl list --consumer bob | grep ops)"
    like '^ops ' "$(kctl acl list | grep ops)"
    same "$(admin '/acls?size=1000' | jq '.data | length')" "$(kctl acl list -o json | jq '.data | length')"
    unlike needed "$(kctl acl list --help)"
    holds '.group == "ops"' "$(kctl acl get ops --consumer bob -o json)"
    holds '.group == "dev" and .tags == ["night"]' "$(kctl acl update ops --consumer bob --group dev -o json)"
    same 'acl dev deleted' "$(kctl acl delete dev --consumer bob)"
    run kctl acl get dev --consumer bob
    same 1 "$status"
    run kctl acl get dev
    same 2 "$status"
}

@test "a restart brings back all of it as it was" {
    local before
    before=$(admin /jwts | jq -S .data; admin /acls | jq -S .data)
    stop_keygated
    start_keygated
    same "$before" "$(admin /jwts | jq -S .data; admin /acls | jq -S .data)"
}
