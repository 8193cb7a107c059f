#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-2-Clause
# /schemas: what entities and plugins consist of, as decK reads it, and whether an entity would be taken.
# shellcheck disable=SC2154,SC2016 # bats sets status and output; dollars in single quotes are jq's

load helper

setup_file()
{
    file_begin
    start_keygated
    make service --name s --host h
    make route --service s --name r --paths /r
    make upstream --name u
    make target 127.0.0.1 --upstream u
    make consumer --username c
}

teardown_file()
{
    file_end
}

teardown()
{
    show_log
}

# What decK fills in: the default of each field, records within records.
DEFAULTS='def defaults: [.fields[] | to_entries[] | select(.value | has("default") or .type == "record")
    | {key, value: (if .value.type == "record" then (.value | defaults) else .value.default end)}] | from_entries;'

# defaults_hold ENTITY PATH: what /schemas says is the default is what an entity has that was given nothing else.
defaults_hold()
{
    admin "/schemas/$1" >"$T/schema"
    admin "$2" >"$T/entity"
    jq -S "$DEFAULTS"' defaults' "$T/schema" >"$T/wanted"
    jq -S --slurpfile wanted "$T/wanted" 'def pick(w): . as $e | w | with_entries(.value = (if (.value | type) == "object"
        then (.key as $k | .value as $v | $e[$k] | pick($v)) else $e[.key] end)); pick($wanted[0])' "$T/entity" >"$T/seen"
    same "$(<"$T/wanted")" "$(<"$T/seen")"
    [[ $(jq length "$T/wanted") -gt 0 ]]
}

@test "every entity has a schema of the fields that it shows" {
    local entity path
    while read -r entity path; do
        admin "$path" | jq -c keys >"$T/keys"
        answers 200 '[.fields[] | keys[]] | sort' "/schemas/$entity"
        same "$(<"$T/keys")" "$(jq -c '[.fields[] | keys[]] | sort' "$T/body")"
    done <<'LINES'
services /services/s
routes /routes/r
consumers /consumers/c
upstreams /upstreams/u
targets /upstreams/u/targets/127.0.0.1
LINES
    for entity in keyauth_credentials jwt_secrets acls plugins certificates snis ca_certificates; do
        answers 200 '(.fields | length) > 3 and (.entity_checks | type) == "array"' "/schemas/$entity"
    done
}

@test "the defaults of a schema are those that an entity gets" {
    defaults_hold services /services/s
    defaults_hold upstreams /upstreams/u
    defaults_hold targets /upstreams/u/targets/127.0.0.1
    defaults_hold routes /routes/r
}

@test "types, constraints and references in Kong's words" {
    answers 200 'def field(name): .fields[] | select(has(name))[name];
        field("id") == {"type": "string", "uuid": true, "required": true, "auto": true, "immutable": true}
        and field("name") == {"type": "string", "unique": true}
        and field("protocol") == {"type": "string", "default": "http", "required": true, "one_of": ["http", "https"]}
        and field("retries") == {"type": "integer", "default": 5, "required": true, "between": [0, 32767]}
        and field("enabled") == {"type": "boolean", "default": true, "required": true}
        and field("tags") == {"type": "set", "elements": {"type": "string"}}
        and field("ca_certificates") == {"type": "set", "elements": {"type": "string", "uuid": true}}
        and field("client_certificate") == {"type": "foreign", "reference": "certificates"}
        and field("created_at") == {"type": "integer", "timestamp": true, "required": true, "auto": true}' /schemas/services
    answers 200 'def field(name): .fields[] | select(has(name))[name];
        field("headers") == {"type": "map", "keys": {"type": "string"}, "values": {"type": "array", "elements": {"type": "string"}}}
        and field("protocols") == {"type": "set", "elements": {"type": "string", "one_of": ["http", "https"]},
            "default": ["http", "https"], "required": true}' /schemas/routes
    answers 200 'any(.fields[]; .secret == {"type": "string", "required": true, "auto": true, "encrypted": true})
        and any(.fields[]; .consumer == {"type": "foreign", "reference": "consumers", "on_delete": "cascade", "required": true})' \
        /schemas/jwt_secrets
    answers 200 '.entity_checks == [{"at_least_one_of": ["custom_id", "username"]}]' /schemas/consumers
}

@test "a plugin's schema, whole and of its config alone" {
    answers 200 'def field(name): .fields[] | select(has(name))[name];
        [.fields[] | keys[]] == ["service", "route", "consumer", "protocols", "config"]
        and (field("consumer") | has("eq") and .eq == null)
        and field("config").type == "record"
        and any(field("config").fields[]; .key_names == {"type": "set", "elements": {"type": "string"}, "default": ["apikey"], "required": true})' \
        /schemas/plugins/key-auth
    jq -S '.fields[] | select(has("config")).config.fields' "$T/body" >"$T/config"
    answers 200 .fields /plugins/schema/key-auth
    same "$(<"$T/config")" "$(jq -S .fields "$T/body")"
}

@test "what there is no schema of is told by name" {
    answers 404 '.message == "No entity named '"'nonsense'"'"' /schemas/nonsense
    answers 404 '.message == "No entity named '"'vaults'"'"' /schemas/vaults/validate -X POST
    answers 404 '.message == "No plugin named '"'cors'"'"' /schemas/plugins/cors
    answers 404 '.message == "No plugin named '"'cors'"'"' /plugins/schema/cors
    answers 404 '.message == "Not found"' /schemas
    answers 405 .message /schemas/services -X POST
    answers 405 .message /schemas/services/validate
}

@test "validate says whether an entity would be taken, and makes none" {
    local before
    before=$(admin /services; admin /routes; admin /plugins; admin /consumers)
    answers 200 '. == {"message": "schema validation successful"}' /schemas/services/validate -H "$JSON" -d '{"host":"h"}'
    answers 200 .message /schemas/services/validate -d host=h -d port=81
    answers 200 .message /schemas/consumers/validate -d username=new
    answers 200 .message /schemas/routes/validate -H "$JSON" -d '{"paths":["/x"],"service":{"id":"11111111-1111-4111-8111-111111111111"}}'
    answers 200 .message /schemas/keyauth_credentials/validate -H "$JSON" -d '{"consumer":{"id":"11111111-1111-4111-8111-111111111111"}}'
    answers 200 .message /schemas/plugins/validate -d name=key-auth -d config.key_names=a
    answers 400 '.code == 2 and .fields == {"host": "required field missing"}' /schemas/services/validate -X POST
    answers 400 '.code == 2 and .fields == {"port": "expected an integer"}' /schemas/services/validate -d host=h -d port=http
    answers 400 '.code == 2 and .fields.config.nope == "unknown field"' /schemas/plugins/validate -d name=key-auth -d config.nope=1
    answers 400 '.message == "schema violation (name: plugin '"'cors'"' not enabled; add it to the '"'plugins'"' configuration property)"' \
        /schemas/plugins/validate -d name=cors
    same "$before" "$(admin /services; admin /routes; admin /plugins; admin /consumers)"
}
