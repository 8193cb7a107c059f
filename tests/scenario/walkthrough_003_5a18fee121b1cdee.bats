#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-2-Clause
# Kong Konnect's workshop, "API Key Authentication", its decK files as they stand: docs/walkthroughs.md. Nothing of them is
# changed: this namespace has a httpbin on port 8000 of httpbin.kong.svc.cluster.local.
# shellcheck disable=SC2154 # bats sets status, output and lines

load walkthrough

URL=http://127.0.0.1:9080/key-auth-route/get

setup_file()
{
    export BATS_NO_PARALLELIZE_WITHIN_FILE=true
    file_begin
    start_httpbin_at httpbin 8000
    start_walk
}

teardown_file()
{
    file_end
}

teardown()
{
    show_log
}

# syncs N SUMMARY: the document's N-th key-auth.yaml, which is what follows our first line.
syncs()
{
    sed 1d "$BATS_TEST_DIRNAME/walkthrough_003/$1"-*.yaml >"$T/key-auth.yaml"
    step 003-sync
    like "$2\$" "$output"
}

# refused LENGTH: the last answer was a 401 as the document prints it.
refused()
{
    answered '401 Unauthorized'
    saw_header Content-Type 'application/json; charset=utf-8'
    saw_header WWW-Authenticate Key
    saw_header Content-Length "$1"
    like '^[0-9a-f]{32}$' "$(header X-Request-Id "$T/head")"
}

@test "the route with the plugin on its service: 401 without a key, 96 bytes" {
    syncs 1 'Created: 3, Updated: 0, Deleted: 0'
    asks "$URL"
    refused 96
    kong_error 'No API key found in request' "$T/body"
}

@test "consumer1: HEAD with its key 200, with a wrong one 401 and the length of 81 bytes" {
    syncs 2 'Created: 2, Updated: 0, Deleted: 0'
    when_known --head "$URL" -H 'apikey:123456'
    answered '200 OK'
    saw_header Content-Type application/json
    saw_header Server gunicorn/20.1.0 || saw_header Server gunicorn
    saw_header Access-Control-Allow-Credentials true
    like '^[0-9]+$' "$(header Content-Length "$T/head")"
    asks --head "$URL" -H 'apikey:12'
    refused 81
    asks "$URL" -H 'apikey:12'
    refused 81
    kong_error Unauthorized "$T/body"
}

@test "consumer2 with a key of its own" {
    syncs 3 'Created: 2, Updated: 0, Deleted: 0'
    asks --head "$URL" -H 'apikey:123456'
    answered '200 OK'
    asks --head "$URL" -H 'apikey:987654'
    answered '200 OK'
}

# limits LIMIT REMAINING: what the last answer told of them, with the same time to wait.
limits()
{
    saw_header X-RateLimit-Limit-Minute "$1"
    saw_header X-RateLimit-Remaining-Minute "$2"
    saw_header RateLimit-Limit "$1"
    saw_header RateLimit-Remaining "$2"
    like '^([1-9]|[1-5][0-9]|60)$' "$(header RateLimit-Reset "$T/head")"
}

early_in_a_minute()
{
    [[ $((10#$(date +%S))) -le 40 ]]
}

@test "limits of 5 and 8 a minute: each consumer's own, 429 for one while the other goes on" {
    local left

    syncs 4 'Created: 2, Updated: 0, Deleted: 0'
    # All that follows belongs to one minute by the clock.
    wait_for -t 30 early_in_a_minute
    for left in 4 3 2 1 0; do
        asks --head "$URL" -H 'apikey:123456'
        answered '200 OK'
        limits 5 "$left"
    done
    asks --head "$URL" -H 'apikey:987654'
    answered '200 OK'
    limits 8 7
    asks --head "$URL" -H 'apikey:123456'
    answered '429 Too Many Requests'
    limits 5 0
    same "$(header RateLimit-Reset "$T/head")" "$(header Retry-After "$T/head")"
    saw_header Content-Length 92
    saw_header Content-Type 'application/json; charset=utf-8'
    asks "$URL" -H 'apikey:123456'
    kong_error 'API rate limit exceeded' "$T/body"
    asks --head "$URL" -H 'apikey:987654'
    answered '200 OK'
    limits 8 6
}
