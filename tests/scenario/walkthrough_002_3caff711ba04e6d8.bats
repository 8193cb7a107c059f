#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-2-Clause
# Kong's getting started, "Secure your Services Using Authentication", with its own commands: docs/walkthroughs.md.
# shellcheck disable=SC2154 # bats sets status, output and lines

load walkthrough

MOCK=http://127.0.0.1:8000/mock

setup_file()
{
    export BATS_NO_PARALLELIZE_WITHIN_FILE=true
    file_begin
    start_httpbin_at httpbin 80
    start_walk --set 'listen=["127.0.0.1:8000"]'
    step 002-before
    when_known "$MOCK"
}

teardown_file()
{
    file_end
}

teardown()
{
    show_log
}

# created STATUS: the step's answer has this status line; its body is in $T/body.
created()
{
    same "HTTP/1.1 $1" "$(head -n 1 <<<"$output" | tr -d '\r')"
    tr -d '\r' <<<"$output" | sed '1,/^$/d' >"$T/body"
}

@test "the plugin on the route: 201, and /mock asks for a key" {
    asks "$MOCK"
    answered '200 OK'
    step 002-plugin
    created '201 Created'
    holds '.name == "key-auth" and .enabled and .config.key_names == ["apikey"]' "$(<"$T/body")"
    asks "$MOCK"
    answered '401 Unauthorized'
    kong_error 'No API key found in request' "$T/body"
}

@test "a consumer with a custom_id: 201" {
    step 002-consumer
    created '201 Created'
    holds '.username == "consumer" and .custom_id == "consumer"' "$(<"$T/body")"
    jq -r .id "$T/body" >"$T/consumer"
}

@test "its key, given: 201, shown with the consumer's id, its own and the time" {
    step 002-key
    created '201 Created'
    holds '.key == "apikey" and .consumer == {id: $id} and (.id | length) == 36 and (.created_at | type) == "number"' \
        "$(<"$T/body")" --arg id "$(<"$T/consumer")"
}

@test "its key, generated when none is entered: 201, 32 letters and digits that work" {
    local key

    step 002-generated
    created '201 Created'
    key=$(jq -r .key "$T/body")
    like '^[A-Za-z0-9]{32}$' "$key"
    asks "$MOCK/request" -H "apikey:$key"
    answered '200 OK'
}

@test "200 by the header apikey, and by ?apikey= as a browser would" {
    asks "$MOCK/request" -H 'apikey:apikey'
    answered '200 OK'
    holds '.url == "http://httpbin.org/anything/mock/request" and .headers["X-Consumer-Custom-Id"] == "consumer"' "$(<"$T/body")"
    asks "$MOCK/?apikey=apikey"
    answered '200 OK'
    asks "$MOCK/request" -H 'apikey:other'
    answered '401 Unauthorized'
    kong_error Unauthorized "$T/body"
}

@test "the plugin is found on the route and disabled by PATCH: 200, and /mock is open again" {
    step 002-disable
    created '200 OK'
    holds '.name == "key-auth" and .enabled == false' "$(<"$T/body")"
    asks "$MOCK"
    answered '200 OK'
}
