#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-2-Clause
# Key authentication as clients and upstreams see it.
# shellcheck disable=SC2154,SC2016 # bats sets status and output; dollars in single quotes are jq's

load helper

setup_file()
{
    file_begin
    start_httpbin
    start_upstream
    start_keygated --set guard.threshold=0
    make service --name httpbin --url http://127.0.0.1:8000
    make route --service httpbin --name anything --paths /anything --strip-path false
    make plugin --name key-auth --route anything
    make service --name upstream --url http://127.0.0.1:8001
    make route --service upstream --name keyed --paths /keyed
    make plugin --name key-auth --route keyed
    make route --service upstream --name open --paths /open
    make consumer --username alice --custom-id 42
    make_key alice >"$T/alice.key"
}

teardown_file()
{
    file_end
}

setup()
{
    ALICE=$(<"$T/alice.key")
}

teardown()
{
    show_log
}

# no_identity JSON: upstream.py saw no identity header at all, in whatever spelling.
no_identity()
{
    holds '[.headers[][0] | ascii_downcase | gsub("_"; "-")
        | select(startswith("x-consumer-") or . == "x-credential-identifier" or . == "x-anonymous-consumer")] == []' "$1"
}

# refused_with MESSAGE BYTES CURL…: 401 in the one right shape.
refused_with()
{
    gw_curl "${@:3}" -D "$T/head" -o "$T/body"
    like '^HTTP/1\.1 401 Unauthorized' "$(head -n 1 "$T/head")"
    kong_error "$1" "$T/body"
    same "$2" "$(stat -c %s "$T/body")"
    same "$2" "$(header Content-Length "$T/head")"
    same Key "$(header WWW-Authenticate "$T/head")"
    same 'application/json; charset=utf-8' "$(header Content-Type "$T/head")"
    like '^keygate' "$(header Server "$T/head")"
    like '^[0-9]+$' "$(header X-Keygate-Response-Latency "$T/head")"
    same "$(jq -r .request_id "$T/body")" "$(header X-Request-Id "$T/head")"
}

@test "no key: 401, No API key found in request" {
    refused_with 'No API key found in request' 96 /anything
}

@test "an empty key is no key" {
    refused_with 'No API key found in request' 96 /anything -H 'apikey;'
}

@test "a wrong key: 401, Unauthorized" {
    refused_with 'Unauthorized' 81 /anything -H 'apikey: wrong'
}

@test "a key that is right but for its case or its length is wrong" {
    refused_with 'Unauthorized' 81 /anything -H "apikey: $(tr a-zA-Z A-Za-z <<<"$ALICE")"
    refused_with 'Unauthorized' 81 /anything -H "apikey: ${ALICE:0:31}"
    refused_with 'Unauthorized' 81 /anything -H "apikey: ${ALICE}x"
}

@test "two keys of one name: 401, Duplicate API key found" {
    gw_curl /anything -H "apikey: $ALICE" -H 'apikey: other' -D "$T/head" -o "$T/body"
    like '^HTTP/1\.1 401 ' "$(head -n 1 "$T/head")"
    kong_error 'Duplicate API key found' "$T/body"
}

@test "errors follow Accept" {
    gw_curl /anything -H 'Accept: text/plain' -D "$T/head" -o "$T/body"
    like '^text/plain' "$(header Content-Type "$T/head")"
    same 'No API key found in request' "$(head -n 1 "$T/body")"
    gw_curl /anything -H 'Accept: text/html;q=0.1, application/json' -D "$T/head" -o "$T/body"
    kong_error 'No API key found in request' "$T/body"
}

@test "the right key in the header: 200, and httpbin's own answer shows the identity headers" {
    gw_curl /anything/x -H "apikey: $ALICE" -D "$T/head" -o "$T/body"
    like '^HTTP/1\.1 200 ' "$(head -n 1 "$T/head")"
    local id
    id=$(kctl consumer get alice -o json | jq -r .id)
    holds '.headers["X-Consumer-Username"] == "alice"' "$(<"$T/body")"
    holds '.headers["X-Consumer-Custom-Id"] == "42"' "$(<"$T/body")"
    holds '.headers["X-Consumer-Id"] == $id' "$(<"$T/body")" --arg id "$id"
    holds '.headers["X-Credential-Identifier"] == $id' "$(<"$T/body")" \
        --arg id "$(kctl key list --consumer alice -o json | jq -r '(.data? // .)[0].id')"
}

@test "the right key in the query: 200" {
    same 200 "$(status_of gw_curl "/anything?a=1&apikey=$ALICE")"
    same 200 "$(status_of gw_curl "/anything?api%6Bey=$ALICE")"
}

@test "a wrong key in the header beats a right one in the query" {
    same 401 "$(status_of gw_curl "/anything?apikey=$ALICE" -H 'apikey: wrong')"
}

@test "header names ignore case, query names do not" {
    same 200 "$(status_of gw_curl /anything -H "APIKEY: $ALICE")"
    same 401 "$(status_of gw_curl "/anything?APIKEY=$ALICE")"
}

@test "a client's identity headers never reach an open route's upstream" {
    local seen
    seen=$(gw_curl /open/echo -H 'X-Consumer-Username: root' -H 'X-Consumer-ID: 1' -H 'X-Consumer-Custom-ID: 2' \
        -H 'X-Consumer-Groups: admins' -H 'X-Credential-Identifier: 3' -H 'X-Anonymous-Consumer: true')
    no_identity "$seen"
}

@test "nor do their twins with underscores, mixed or in capitals" {
    local seen
    seen=$(gw_curl /open/echo -H 'X_Consumer_Username: root' -H 'X-Consumer_ID: 1' -H 'X_CONSUMER-CUSTOM_ID: 2' \
        -H 'x_consumer_groups: admins' -H 'X_Credential_Identifier: 3' -H 'x-anonymous_consumer: true')
    no_identity "$seen"
}

@test "with a key, upstream sees the true identity once and nothing of the client's" {
    local seen
    seen=$(gw_curl /keyed/echo -H "apikey: $ALICE" -H 'X-Consumer-Username: root' -H 'X_Consumer_Username: root' \
        -H 'x-consumer-custom_id: 1' -H 'X_Credential_Identifier: 3' -H 'X-Anonymous-Consumer: true' \
        -H 'X_Consumer_Groups: admins')
    same alice "$(upstream_header X-Consumer-Username "$seen")"
    same 42 "$(upstream_header X-Consumer-Custom-ID "$seen")"
    same '' "$(upstream_header X-Anonymous-Consumer "$seen")"
    same '' "$(upstream_header X-Consumer-Groups "$seen")"
    like '^[0-9a-f-]{36}$' "$(upstream_header X-Credential-Identifier "$seen")"
}

@test "a consumer without custom_id has no X-Consumer-Custom-ID, whatever the client sends" {
    make consumer --username nocustom
    local key seen
    key=$(make_key nocustom)
    seen=$(gw_curl /keyed/echo -H "apikey: $key" -H 'X-Consumer-Custom-ID: 42' -H 'X_Consumer_Custom_ID: 42')
    same nocustom "$(upstream_header X-Consumer-Username "$seen")"
    same '' "$(upstream_header X-Consumer-Custom-ID "$seen")"
}

@test "Connection cannot name an identity header away" {
    local seen
    seen=$(gw_curl /keyed/echo -H "apikey: $ALICE" -H 'Connection: X-Consumer-Username, X-Credential-Identifier' \
        -H 'X-Consumer-Username: root')
    same alice "$(upstream_header X-Consumer-Username "$seen")"
    like '^[0-9a-f-]{36}$' "$(upstream_header X-Credential-Identifier "$seen")"
}

@test "httpbin, a WSGI server that folds underscores, sees alice and nobody else" {
    gw_curl /anything -H "apikey: $ALICE" -H 'X_Consumer_Username: root' -H 'X-Consumer-Username: root' -o "$T/body"
    holds '.headers["X-Consumer-Username"] == "alice"' "$(<"$T/body")"
}

@test "a key works from the answer to its creation on, and no longer from that to its deletion" {
    make consumer --username bob
    kctl key create --consumer bob -o json >"$T/bob.json"
    local key id
    key=$(jq -r .key "$T/bob.json")
    id=$(jq -r .id "$T/bob.json")
    same 200 "$(status_of gw_curl /keyed/echo -H "apikey: $key")"
    kctl key delete "$id" --consumer bob
    same 401 "$(status_of gw_curl /keyed/echo -H "apikey: $key")"
}

@test "deleting a consumer ends its keys" {
    make consumer --username carol
    local key
    key=$(make_key carol)
    same 200 "$(status_of gw_curl /keyed/echo -H "apikey: $key")"
    kctl consumer delete carol
    same 401 "$(status_of gw_curl /keyed/echo -H "apikey: $key")"
}

@test "a key of one's own, read from a file or from standard input" {
    make consumer --username dave
    printf 'correct horse battery' >"$T/dave.key"
    kctl key create --consumer dave --key-file "$T/dave.key"
    same 200 "$(status_of gw_curl /keyed/echo -H 'apikey: correct horse battery')"
    printf 'another-one\n' | kctl key create --consumer dave --key-file -
    same 200 "$(status_of gw_curl /keyed/echo -H 'apikey: another-one')"
}

@test "a key with a ttl stops working when its time is over" {
    make consumer --username erin
    local key
    key=$(make_key erin --ttl 2)
    same 200 "$(status_of gw_curl /keyed/echo -H "apikey: $key")"
    wait_for has_status 401 gw_curl /keyed/echo -H "apikey: $key"
    gw_curl /keyed/echo -H "apikey: $key" -o "$T/body"
    kong_error Unauthorized "$T/body"
    holds '[(.data? // .)[]] == []' "$(kctl key list --consumer erin -o json)"
}

@test "without hide_credentials the key goes upstream, with it neither header nor query argument does" {
    local seen id
    seen=$(gw_curl /keyed/echo -H "apikey: $ALICE")
    same "$ALICE" "$(upstream_header apikey "$seen")"

    make route --service upstream --name hidden --paths /hidden
    id=$(make plugin --name key-auth --route hidden --config hide_credentials=true)
    seen=$(gw_curl /hidden/echo -H "apikey: $ALICE")
    same '' "$(upstream_header apikey "$seen")"
    same alice "$(upstream_header X-Consumer-Username "$seen")"

    seen=$(gw_curl "/hidden/echo?a=%7e&apikey=$ALICE&b=1+2&c&d=")
    holds '.target == "/echo?a=%7e&b=1+2&c&d="' "$seen"
    unlike "$ALICE" "$seen"
    seen=$(gw_curl "/hidden/echo?apikey=$ALICE")
    unlike "$ALICE" "$seen"
    kctl plugin delete "$id"
    kctl route delete hidden
}

@test "key_names are looked at in their order" {
    make route --service upstream --name named --paths /named
    make plugin --name key-auth --route named --config key_names=x-key,token
    same 200 "$(status_of gw_curl /named/echo -H "X-Key: $ALICE")"
    same 200 "$(status_of gw_curl "/named/echo?token=$ALICE")"
    same 401 "$(status_of gw_curl /named/echo -H "apikey: $ALICE")"
    same 401 "$(status_of gw_curl /named/echo -H "token: $ALICE" -H 'X-Key: wrong')"
    kctl route delete named
}

@test "key_in_header and key_in_query can be switched off" {
    make route --service upstream --name header-only --paths /header-only
    make plugin --name key-auth --route header-only --config key_in_query=false
    same 200 "$(status_of gw_curl /header-only/echo -H "apikey: $ALICE")"
    same 401 "$(status_of gw_curl "/header-only/echo?apikey=$ALICE")"
    kctl route delete header-only
}

@test "the plugin on a service guards all its routes and no others" {
    make service --name guarded --url http://127.0.0.1:8001
    make route --service guarded --name g1 --paths /g1
    make route --service guarded --name g2 --paths /g2
    same 200 "$(status_of gw_curl /g1/echo)"
    make plugin --name key-auth --service guarded
    same 401 "$(status_of gw_curl /g1/echo)"
    same 401 "$(status_of gw_curl /g2/echo)"
    same 200 "$(status_of gw_curl /g2/echo -H "apikey: $ALICE")"
    same 200 "$(status_of gw_curl /open/echo)"
}

@test "the plugin on a route goes before the one on its service" {
    make service --name both --url http://127.0.0.1:8001
    make route --service both --name both --paths /both
    make plugin --name key-auth --service both --config key_names=svc-key
    make plugin --name key-auth --route both --config key_names=route-key
    same 200 "$(status_of gw_curl /both/echo -H "route-key: $ALICE")"
    same 401 "$(status_of gw_curl /both/echo -H "svc-key: $ALICE")"
}

@test "a plugin that is deleted or disabled asks for no key" {
    make route --service upstream --name once --paths /once
    local id
    id=$(make plugin --name key-auth --route once)
    same 401 "$(status_of gw_curl /once/echo)"
    kctl plugin update "$id" --enabled false
    same 200 "$(status_of gw_curl /once/echo)"
    kctl plugin update "$id" --enabled true
    same 401 "$(status_of gw_curl /once/echo)"
    kctl plugin delete "$id"
    same 200 "$(status_of gw_curl /once/echo)"
}

@test "a refused request reaches no upstream, and its connection lives on" {
    local before after
    before=$(upstream_curl /counts | jq '.requests.keyecho // 0')
    same 401 "$(status_of gw_curl /keyed/keyecho)"
    after=$(upstream_curl /counts | jq '.requests.keyecho // 0')
    same "$before" "$after"
    same $'401 1\n401 0' "$(ns_run "$GW" curl -s -w '%{http_code} %{num_connects}\n' -o /dev/null -o /dev/null \
        "$PROXY/keyed/echo" "$PROXY/keyed/echo")"
}

@test "a request with a body and a wrong key is answered, and the next one on the connection is understood" {
    same '401 200 closed' "$(raw 127.0.0.1 9080 'POST /keyed/sink HTTP/1.1\r\nHost: a\r\napikey: wrong\r\n' \
        'Content-Length: 43\r\n\r\nGET /open/echo HTTP/1.1\r\nHost: smuggled\r\n\r\n' \
        'GET /open/echo HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n' | sed 's/^401 closed$/401 200 closed/')"
}

@test "the consumer's counters in the kernel map add up" {
    make consumer --username frank
    local key
    key=$(make_key frank)
    for path in echo echo status:500 status:404; do
        gw_curl "/keyed/$path" -H "apikey: $key" -o /dev/null
    done
    frank_counted()
    {
        bpftool -j map dump pinned "$BPF_DIR/consumer_stats" | jq -e 'any(.[].formatted.value; .name == "frank"
            and .requests == 4 and .status_2xx == 2 and .status_4xx == 1 and .status_5xx == 1
            and .bytes_in > 200 and .bytes_out > 200 and .last_seen > 1700000000)'
    }
    wait_for frank_counted
    holds 'any((.data? // .)[]; .name == "frank" and .requests == 4)' "$(kctl stats -o json)"
}

@test "no key is in the log, the database in clear, or the process list" {
    run grep -rF "$ALICE" "$T/keygated.log" "$T/state"
    same 1 "$status"
    run grep -F "$ALICE" "/proc/$(pid_of keygated)/cmdline"
    same 1 "$status"
}

@test "anonymous: without a good key a request goes on as that consumer, and the service is told so" {
    local seen plugin

    make consumer --username visitor --custom-id v1
    make route --service upstream --name lax --paths /lax
    plugin=$(make plugin --name key-auth --route lax --config anonymous=visitor)
    for header in 'Accept: */*' 'apikey: wrong' 'apikey;'; do
        seen=$(gw_curl /lax/echo -H "$header" -H 'X-Anonymous-Consumer: false')
        same visitor "$(upstream_header X-Consumer-Username "$seen")"
        same v1 "$(upstream_header X-Consumer-Custom-ID "$seen")"
        same true "$(upstream_header X-Anonymous-Consumer "$seen")"
        same '' "$(upstream_header X-Credential-Identifier "$seen")"
    done
    seen=$(gw_curl /lax/echo -H "apikey: $ALICE" -H 'X-Anonymous-Consumer: true')
    same alice "$(upstream_header X-Consumer-Username "$seen")"
    same '' "$(upstream_header X-Anonymous-Consumer "$seen")"
    # By its id as well.
    kctl plugin update "$plugin" --config "anonymous=$(kctl consumer get visitor -o json | jq -r .id)"
    same visitor "$(upstream_header X-Consumer-Username "$(gw_curl /lax/echo)")"
    kctl plugin update "$plugin" --config hide_credentials=true
    same '' "$(upstream_header apikey "$(gw_curl /lax/echo -H 'apikey: wrong')")"
}

@test "anonymous names nobody: 500 for those without a good key" {
    make route --service upstream --name ghost --paths /ghost
    make plugin --name key-auth --route ghost --config anonymous=ghost
    gw_curl /ghost/echo -D "$T/head" -o "$T/body"
    like '^HTTP/1\.1 500 ' "$(head -n 1 "$T/head")"
    same '' "$(header WWW-Authenticate "$T/head")"
    kong_error "anonymous consumer ghost is configured but doesn't exist" "$T/body"
    same 200 "$(status_of gw_curl /ghost/echo -H "apikey: $ALICE")"
    # From the moment on in which it is there.
    make consumer --username ghost
    same 200 "$(status_of gw_curl /ghost/echo)"
    kctl consumer delete ghost
    same 500 "$(status_of gw_curl /ghost/echo)"
}
