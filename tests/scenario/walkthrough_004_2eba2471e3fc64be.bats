#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-2-Clause
# An APIM's "Key Authentication (Key Auth)", step by step: docs/walkthroughs.md.
# shellcheck disable=SC2154 # bats sets status, output and lines

load walkthrough

URL=http://127.0.0.1:9080/api/resource

setup_file()
{
    export BATS_NO_PARALLELIZE_WITHIN_FILE=true
    file_begin
    start_httpbin_at httpbin 80
    start_walk --set errors.style=apim
}

teardown_file()
{
    file_end
}

teardown()
{
    show_log
}

# refused: the last answer was the document's, to the byte.
refused()
{
    answered '401 Unauthorized'
    saw_header Content-Type application/json
    saw_body '{\n"message": "Invalid authentication credentials",\n"status": 401\n}'
}

@test "a key is made from a description: 32 letters and digits" {
    step 004-key
    kctl key list --consumer mobile -o json | jq -r '.data[0].key' >"$T/key"
    like '^[A-Za-z0-9]{32}$' "$(<"$T/key")"
    like "$(<"$T/key")" "$output"
}

@test "it is shown again later, also after a restart" {
    step 004-view
    like "$(<"$T/key")" "$output"
    like 'Key for Mobile App Access' "$output"
    stop_keygated
    start_walk --set errors.style=apim
    step 004-view
    like "$(<"$T/key")" "$output"
}

@test "the header is x-apim-key: with the key 200, without one and with a wrong one the document's 401" {
    step 004-policy
    when_known "$URL" -H 'Host: api.example.com' -H "x-apim-key: $(<"$T/key")"
    answered '200 OK'
    holds '.headers["X-Apim-Key"] and .headers["X-Consumer-Username"] == "mobile"' "$(<"$T/body")"
    asks "$URL" -H 'Host: api.example.com'
    refused
    asks "$URL" -H 'Host: api.example.com' -H 'x-apim-key: 202cb962ac59075b964b07152d234b70'
    refused
    asks "$URL" -H 'Host: api.example.com' -H "apikey: $(<"$T/key")"
    refused
}

@test "another header by the environment: plugins that are made under it take that one" {
    stop_keygated
    start_walk KEYGATE_KEY_HEADER=X-Token --set errors.style=apim
    make plugin --name key-auth --service resource
    make route --service resource --name token --paths /token
    when_known http://127.0.0.1:9080/token -H "x-token: $(<"$T/key")"
    answered '200 OK'
    asks http://127.0.0.1:9080/token -H "x-apim-key: $(<"$T/key")"
    refused
}

# token: by mobile's JWT credential.
token()
{
    local head payload secret

    secret=$(kctl jwt get mobile-app -o json | jq -r .secret)
    head=$(printf '{"alg":"HS256","typ":"JWT"}' | base64url).$(printf '{"iss":"mobile-app"}' | base64url)
    payload=$(printf %s "$head" | openssl dgst -sha256 -hmac "$secret" -binary | base64url)
    echo "$head.$payload"
}

base64url()
{
    base64 -w0 | tr '+/' '-_' | tr -d =
}

@test "with jwt beside it, key and token must both be there" {
    step 004-jwt
    asks "$URL" -H 'Host: api.example.com' -H "x-apim-key: $(<"$T/key")" -H "Authorization: Bearer $(token)"
    answered '200 OK'
    asks "$URL" -H 'Host: api.example.com' -H "x-apim-key: $(<"$T/key")"
    refused
    asks "$URL" -H 'Host: api.example.com' -H "Authorization: Bearer $(token)"
    refused
}
