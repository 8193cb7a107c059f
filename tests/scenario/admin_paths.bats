#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-2-Clause
# What the daemon says about itself and its paths, what decK asks for, and Kong's error objects one by one.
# shellcheck disable=SC2154,SC2016 # bats sets status and output; dollars in single quotes are jq's

load helper

UUID=aaaaaaaa-1111-4111-8111-11111111111

setup_file()
{
    file_begin
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

# refuses STATUS MESSAGE PATH [CURL OPTION...]
refuses()
{
    answers "$1" .code "${@:3}"
    same "$2" "$(jq -r .message "$T/body")"
}

@test "/ has version, host, node and plugins; those that are used are enabled in the cluster" {
    answers 200 '(.version | test("^[0-9]+\\.[0-9]+\\.[0-9]+$")) and (.node_id | length == 36) and .hostname and .pids.master > 0
        and .tagline and .plugins.available_on_server["key-auth"].priority == 1250 and .plugins.enabled_in_cluster == []' /
    local node
    node=$(jq -r .node_id "$T/body")
    answers 201 .id /plugins -d name=key-auth
    answers 200 '.plugins.enabled_in_cluster == ["key-auth"]' /
    same "$node" "$(jq -r .node_id "$T/body")"
    kctl plugin delete "$(kctl plugin list -o json | jq -r '.data[0].id')"
}

@test "/status has Kong's figures that keygate has" {
    answers 200 '.database.reachable and (.server | .connections_accepted >= 0 and .connections_active >= 0 and .total_requests >= 0)' /status
}

@test "/endpoints lists every path, sorted by segments" {
    local path
    answers 200 '.data | length > 60 and length == (unique | length)' /endpoints
    for path in / /services '/services/{services}' '/services/{services}/routes/{routes}' '/routes/{routes}/service' \
        '/consumers/{consumers}/key-auth/{keyauth_credentials}' '/consumers/{consumers}/jwt' '/acls/{acls}' \
        '/upstreams/{upstreams}/targets/{targets}/{address}/healthy' '/schemas/{schemas}/validate' '/tags/{tags}' /endpoints; do
        holds '.data | index($path) != null' "$(<"$T/body")" --arg path "$path"
    done
    holds '.data | index("/targets") == null' "$(<"$T/body")"
    same "$(jq -r '.data[]' "$T/body")" "$(jq -r '.data[]' "$T/body" | tr / '\001' | LC_ALL=C sort | tr '\001' /)"
    # Each that has no name in it is there.
    while read -r path; do
        same 200 "$(status_of admin "$path")"
    done < <(jq -r '.data[] | select(contains("{") or . == "/events" or . == "/metrics" or . == "/config" or . == "/explain" | not)' "$T/body")
}

@test "decK: every entity is made and changed by PUT with an id of the client's, listed, and deleted by id" {
    local path n=0
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 9 -subj /CN=x -keyout "$T/key.pem" -out "$T/cert.pem" 2>/dev/null
    put()
    {
        for _ in 1 2; do
            answers 200 .id "$1/$UUID$n" -X PUT -H "$JSON" -d "$2"
            holds '.id == $id' "$(<"$T/body")" --arg id "$UUID$n"
        done
        holds 'any(.data[]; .id == $id)' "$(admin "$1?size=1000")" --arg id "$UUID$n"
        n=$((n + 1))
    }
    put /services '{"name":"s","host":"h"}'
    put /routes '{"name":"r","paths":["/r"],"service":{"id":"'"$UUID"'0"}}'
    put /consumers '{"username":"c"}'
    put /key-auths '{"consumer":{"id":"'"$UUID"'2"},"key":"the-key"}'
    put /jwts '{"consumer":{"id":"'"$UUID"'2"},"key":"the-issuer"}'
    put /acls '{"consumer":{"id":"'"$UUID"'2"},"group":"g"}'
    put /plugins '{"name":"key-auth","route":{"id":"'"$UUID"'1"}}'
    put /upstreams '{"name":"u"}'
    put /certificates "$(jq -n --rawfile cert "$T/cert.pem" --rawfile key "$T/key.pem" '{$cert, $key}')"
    put /ca_certificates "$(jq -n --rawfile cert "$T/cert.pem" '{$cert}')"
    same 10 "$n"
    same 201 "$(admin_status "/upstreams/${UUID}7/targets" -H "$JSON" -d '{"id":"'"$UUID"'f","target":"127.0.0.1:1"}')"
    same 200 "$(admin_status "/upstreams/${UUID}7/targets/${UUID}f" -X PUT -H "$JSON" -d '{"target":"127.0.0.1:2"}')"
    same 404 "$(status_of admin /consumer_groups)"
    for path in plugins/${UUID}6 consumers/${UUID}2/acls/${UUID}5 consumers/${UUID}2/jwt/${UUID}4 consumers/${UUID}2/key-auth/${UUID}3 routes/${UUID}1 services/${UUID}0 \
        consumers/${UUID}2 upstreams/${UUID}7 certificates/${UUID}8 ca_certificates/${UUID}9; do
        same "204 $path" "$(admin_status "/$path" -X DELETE) $path"
    done
}

@test "errors: schema violations, one and several, of fields in records and lists and of the whole" {
    refuses 400 'schema violation (host: required field missing)' /services -X POST
    refuses 400 '2 schema violations (host: required field missing; port: expected an integer)' /services -H "$JSON" -d '{"port":"x"}'
    refuses 400 'schema violation (healthchecks.active.healthy.interval: expected a number)' /upstreams -H "$JSON" \
        -d '{"name":"x","healthchecks":{"active":{"healthy":{"interval":"often"}}}}'
    holds '.name == "schema violation" and .code == 2
        and .fields == {"healthchecks":{"active":{"healthy":{"interval":"expected a number"}}}}' "$(<"$T/body")"
    refuses 400 'schema violation (tags.2: expected a string)' /consumers -H "$JSON" -d '{"username":"x","tags":["a",1,"b"]}'
    holds '.fields == {"tags":[null,"expected a string"]}' "$(<"$T/body")"
    refuses 400 "schema violation (at least one of these fields must be non-empty: 'custom_id', 'username')" /consumers -X POST
    holds '.fields == {"@entity":["at least one of these fields must be non-empty: '"'custom_id', 'username'"'"]}' "$(<"$T/body")"
    refuses 400 'schema violation (id: expected a valid UUID)' /consumers -d username=x -d id=1
    refuses 400 'schema violation (username: length must be at least 1)' /consumers -H "$JSON" -d '{"username":""}'
    refuses 400 'schema violation (retries: value should be between 0 and 32767)' /services -d host=h -d retries=32768
    refuses 400 "schema violation (name: plugin 'cors' not enabled; add it to the 'plugins' configuration property)" /plugins -d name=cors
}

@test "errors: keys that are taken or lead nowhere" {
    answers 201 .id /services -d name=one -d host=h -d "id=${UUID}a"
    refuses 409 "UNIQUE violation detected on '{name=\"one\"}'" /services -d name=one -d host=h
    holds '.code == 5 and .name == "unique constraint violation" and .fields == {"name":"one"}' "$(<"$T/body")"
    refuses 400 "primary key violation on key '{id=\"${UUID}a\"}'" /services -d host=h -d "id=${UUID}a"
    holds '.code == 3 and .name == "primary key violation"' "$(<"$T/body")"
    answers 201 .id /services/one/plugins -d name=key-auth
    refuses 409 "UNIQUE violation detected on '{consumer=null,name=\"key-auth\",route=null,service={id=\"${UUID}a\"}}'" /services/one/plugins -d name=key-auth
    refuses 400 "the foreign key '{id=\"${UUID}b\"}' does not reference an existing 'services' entity." /routes -d paths=/x -d "service.id=${UUID}b"
    holds '.code == 4 and .name == "foreign key violation" and (.fields.service.id | length == 36)' "$(<"$T/body")"
    refuses 400 "foreign key unresolved (service.name: the foreign key cannot be resolved with '{name=\"two\"}' for an existing 'services' entity)" \
        /routes -d paths=/x -d service.name=two
    holds '.code == 13 and .name == "foreign keys unresolved"' "$(<"$T/body")"
    answers 201 .id /services/one/routes -d paths=/x
    refuses 400 "an existing 'routes' entity references this 'services' entity" /services/one -X DELETE
    holds '.code == 4 and .fields == {"@referenced_by":"routes"}' "$(<"$T/body")"
}
