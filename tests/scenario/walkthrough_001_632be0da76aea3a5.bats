#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-2-Clause
# API7 Gateway's "Configure Key Authentication", step by step: docs/walkthroughs.md.
# shellcheck disable=SC2154 # bats sets status, output and lines

load walkthrough

URL=http://127.0.0.1:9080/anything/key-auth

setup_file()
{
    export BATS_NO_PARALLELIZE_WITHIN_FILE=true
    file_begin
    start_httpbin_at httpbin 80
    start_httpbin_at second 81
    start_walk --set errors.style=apisix --set workers=1
    step 001-service
    step 001-route
    step 001-consumer
}

teardown_file()
{
    file_end
}

teardown()
{
    show_log
}

@test "without the key: 401 Unauthorized" {
    asks -i "$URL"
    answered '401 Unauthorized'
    asks "$URL"
    saw_body '{"message":"Missing API key found in request"}\n'
}

@test "with it: 200 OK, and the upstream sees key, consumer and credential by name" {
    when_known "$URL" -H 'apikey: secret-api-key'
    answered '200 OK'
    holds '.headers | .Apikey == "secret-api-key" and .["X-Consumer-Username"] == "key-auth-consumer"
        and .["X-Credential-Identifier"] == "key-auth-consumer-cred"' "$(<"$T/body")"
}

@test "other paths and methods find no route" {
    asks "$URL/x" -H 'apikey: secret-api-key'
    answered '404 Not Found'
    asks -X POST "$URL" -H 'apikey: secret-api-key'
    answered '404 Not Found'
}

# served NAME: requests in httpbin's access log.
served()
{
    grep -c 'GET /anything/key-auth HTTP/1.1" 200' "$T/$1.log" || true
}

@test "a second node of weight 300 takes three requests of four" {
    local first second

    kctl target create httpbin.org:81 --upstream key-auth-httpbin --weight 300
    first=$(served httpbin)
    for _ in {1..8}; do
        asks "$URL" -H 'apikey: secret-api-key'
        answered '200 OK'
    done
    second=$(served second)
    same '2 6' "$(($(served httpbin) - first)) $second"
}

@test "the guide's own objects, in an apisix.yaml that is converted and synced, do the same" {
    cat >"$T/apisix.yaml" <<'YAML'
services:
  - {"id": "key-auth-httpbin-service", "name": "key-auth-httpbin-service", "upstream": {"type": "roundrobin", "scheme": "http",
    "nodes": [{"host": "httpbin.org", "port": 80, "weight": 100}]}}
routes:
  - {"id": "key-auth-route", "name": "key-auth-route", "paths": ["/anything/key-auth"], "methods": ["GET"],
    "service_id": "key-auth-httpbin-service", "plugins": {"key-auth": {"header": "apikey"}}}
consumers:
  - {"username": "key-auth-consumer"}
  - {"id": "key-auth-consumer/credentials/key-auth-consumer-cred", "name": "key-auth-consumer-cred",
    "plugins": {"key-auth": {"key": "secret-api-key"}}}
#END
YAML
    kctl convert --from apisix "$T/apisix.yaml" --out "$T/kong.yaml"
    kctl sync "$T/kong.yaml"
    asks "$URL"
    answered '401 Unauthorized'
    when_known "$URL" -H 'apikey: secret-api-key'
    answered '200 OK'
    holds '.headers | .Apikey == "secret-api-key" and .["X-Consumer-Username"] == "key-auth-consumer"
        and .["X-Credential-Identifier"] == "key-auth-consumer-cred"' "$(<"$T/body")"
}
