#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-2-Clause
# Rate limits as clients and operators see them.
# shellcheck disable=SC2154,SC2016 # bats sets status and output; dollars in single quotes are jq's

load helper

setup_file()
{
    export BATS_NO_PARALLELIZE_WITHIN_FILE=true
    file_begin
    start_httpbin
    start_upstream
    start_limiting
    make service --name api --url http://127.0.0.1:8001
    make route --name keyed --service api --paths /keyed
    make plugin --name key-auth --route keyed
    for name in alice bob carol dave; do
        make consumer --username "$name"
        make_key "$name" >"$T/$name.key"
    done
}

start_limiting()
{
    start_keygated --set guard.threshold=0 --set workers=4 --set http.keepalive_requests=0 "$@"
}

teardown_file()
{
    file_end
}

teardown()
{
    show_log
}

# hour_is_long: for the next 30 seconds it is the same hour, and so are the counters.
hour_is_long()
{
    [[ $(($(date +%s) % 3600)) -lt 3570 ]]
}

# limited_route NAME CONFIG...: a route /NAME with rate-limiting; and an hour that does not end at once.
limited_route()
{
    local config=() setting

    for setting in "${@:2}"; do
        config+=(--config "$setting")
    done
    make route --name "$1" --service api --paths "/$1"
    make plugin --name rate-limiting --route "$1" "${config[@]}"
    wait_for -t 40 hour_is_long
}

hammer()
{
    ns_run "$GW" /usr/bin/python3 "$BATS_TEST_DIRNAME/hammer.py" 9080 "$@"
}

# asks N PATH [CURL OPTION...]: the statuses of N requests, one after the other, on one line.
asks()
{
    local i all=()

    for ((i = 0; i < $1; i++)); do
        all+=("$(status_of gw_curl "${@:2}")")
    done
    echo "${all[*]}"
}

as()
{
    printf 'apikey: %s' "$(<"$T/$1.key")"
}

# limit_headers FILE: those that are about limits, in their order, seconds as N.
limit_headers()
{
    tr -d '\r' <"$1" | grep -iE '^(X-RateLimit-|RateLimit-|Retry-After)' |
        sed -E 's/^(RateLimit-Reset|Retry-After): [0-9]+$/\1: N/'
}

# in_this_hour SECONDS: what was just said to be left of it.
in_this_hour()
{
    local left=$((3600 - $(date +%s) % 3600))

    [[ $1 -ge $left && $1 -le $((left + 5)) ]] || same "$left" "$1"
}

@test "64 connections that hammer at 1,000 a minute get exactly 1,000 answers, over all workers" {
    limited_route hammered minute=1000 limit_by=header header_name=X-Run
    local minute run
    # In a minute that ends meanwhile, some more belong to the next one: once more, in that one, by another name.
    for run in 1 2 3; do
        minute=$(date +%Y-%m-%dT%H:%M)
        hammer /hammered/echo 64 2600 "X-Run: $run" >"$T/statuses"
        [[ $(date +%Y-%m-%dT%H:%M) != "$minute" ]] || break
    done
    same $'200 1000\n429 1600' "$(<"$T/statuses")"
}

@test "of three windows that 64 connections hammer at, none is exceeded" {
    limited_route windows hour=300 day=310 month=320
    same $'200 300\n429 900' "$(hammer /windows/echo 64 1200)"
    gw_curl /windows/echo -D "$T/head" -o "$T/body"
    same $'300\n310\n320\n0\n10\n20' "$(for window in Hour Day Month; do
        header "X-RateLimit-Limit-$window" "$T/head"
    done; for window in Hour Day Month; do
        header "X-RateLimit-Remaining-$window" "$T/head"
    done)"
}

@test "an answer says what is left, a refusal when to come again, byte for byte" {
    limited_route told hour=2 day=100
    gw_curl /told/echo -D "$T/head" -o "$T/body"
    like '^HTTP/1\.1 200 OK' "$(head -n 1 "$T/head")"
    same 'X-RateLimit-Limit-Hour: 2
X-RateLimit-Remaining-Hour: 1
X-RateLimit-Limit-Day: 100
X-RateLimit-Remaining-Day: 99
RateLimit-Limit: 2
RateLimit-Remaining: 1
RateLimit-Reset: N' "$(limit_headers "$T/head")"
    in_this_hour "$(header RateLimit-Reset "$T/head")"
    same 200 "$(asks 1 /told/echo)"
    gw_curl /told/echo -D "$T/head" -o "$T/body"
    like '^HTTP/1\.1 429 Too Many Requests' "$(head -n 1 "$T/head")"
    same 'X-RateLimit-Limit-Hour: 2
X-RateLimit-Remaining-Hour: 0
X-RateLimit-Limit-Day: 100
X-RateLimit-Remaining-Day: 98
RateLimit-Limit: 2
RateLimit-Remaining: 0
RateLimit-Reset: N
Retry-After: N' "$(limit_headers "$T/head")"
    in_this_hour "$(header Retry-After "$T/head")"
    same "$(header RateLimit-Reset "$T/head")" "$(header Retry-After "$T/head")"
    kong_error 'API rate limit exceeded' "$T/body"
    same 'application/json; charset=utf-8' "$(header Content-Type "$T/head")"
}

@test "HEAD requests count, and get the same head without a body" {
    limited_route heads hour=1
    same 200 "$(asks 1 /heads/echo -I)"
    gw_curl /heads/echo -I -D "$T/head" -o "$T/body"
    like '^HTTP/1\.1 429 ' "$(head -n 1 "$T/head")"
    same 0 "$(header X-RateLimit-Remaining-Hour "$T/head")"
    same "$(gw_curl /heads/echo | wc -c)" "$(header Content-Length "$T/head")"
}

@test "the gateway's figures replace those of a service with the same name" {
    make service --name httpbin --url http://127.0.0.1:8000
    make route --name names --service httpbin --paths /response-headers --strip-path false
    make plugin --name rate-limiting --route names --config hour=7
    gw_curl '/response-headers?X-RateLimit-Limit-Hour=1&RateLimit-Reset=never&X-Other=kept' -D "$T/head" -o "$T/body"
    same 7 "$(header X-RateLimit-Limit-Hour "$T/head")"
    like '^[0-9]+$' "$(header RateLimit-Reset "$T/head")"
    same kept "$(header X-Other "$T/head")"
}

@test "each consumer has a limit of its own, and 429 for one is 200 for the other" {
    make plugin --name rate-limiting --consumer alice --config hour=5
    make plugin --name rate-limiting --consumer bob --config hour=8
    wait_for -t 40 hour_is_long
    same '200 200 200 200 200 429 429' "$(asks 7 /keyed/echo -H "$(as alice)")"
    same '200 200 200 200 200 200 200 200 429' "$(asks 9 /keyed/echo -H "$(as bob)")"
    gw_curl /keyed/echo -H "$(as bob)" -D "$T/head" -o "$T/body"
    same 8 "$(header X-RateLimit-Limit-Hour "$T/head")"
    gw_curl /keyed/echo -H "$(as carol)" -D "$T/head" -o "$T/body"
    like '^HTTP/1\.1 200 ' "$(head -n 1 "$T/head")"
    same '' "$(header X-RateLimit-Limit-Hour "$T/head")"
}

@test "what key-auth answers with 401 is not counted" {
    make route --name guarded --service api --paths /guarded
    make plugin --name key-auth --route guarded
    make plugin --name rate-limiting --route guarded --config hour=2 --config limit_by=ip
    wait_for -t 40 hour_is_long
    same '401 401 401 401' "$(asks 4 /guarded/echo -H 'apikey: wrong')"
    same '200 200 429' "$(asks 3 /guarded/echo -H "$(as carol)")"
}

@test "one plugin for all routes is one counter for all of them" {
    make route --name first --service api --paths /first
    make route --name second --service api --paths /second
    local plugin
    plugin=$(make plugin --name rate-limiting --service api --config hour=3 --config limit_by=service)
    wait_for -t 40 hour_is_long
    same '200 200' "$(asks 2 /first/echo)"
    same '200 429' "$(asks 2 /second/echo)"
    # More is allowed from now on, and what was counted stays.
    kctl plugin update "$plugin" --config hour=4
    same '200 429' "$(asks 2 /first/echo)"
    kctl plugin delete "$plugin" --yes
    same '200 200' "$(asks 2 /first/echo)"
}

@test "a header names who is counted; it cannot name an address" {
    limited_route teams hour=1 limit_by=header header_name=X-Team
    same '200 429' "$(asks 2 /teams/echo -H 'X-Team: red')"
    same '200 429' "$(asks 2 /teams/echo -H 'X-Team: blue')"
    same '200 429' "$(asks 2 /teams/echo -H 'X-Team: 127.0.0.1')"
    same '200 429' "$(asks 2 /teams/echo)"
}

@test "hide_client_headers hides all of them" {
    limited_route hidden hour=1 hide_client_headers=true
    gw_curl /hidden/echo -D "$T/head" -o "$T/body"
    like '^HTTP/1\.1 200 ' "$(head -n 1 "$T/head")"
    same '' "$(limit_headers "$T/head")"
    gw_curl /hidden/echo -D "$T/head" -o "$T/body"
    like '^HTTP/1\.1 429 ' "$(head -n 1 "$T/head")"
    same '' "$(limit_headers "$T/head")"
}

@test "error_code and error_message are what the client gets, and the consumer's rate_limited counts it" {
    make route --name closed --service api --paths /closed
    make plugin --name key-auth --route closed
    make plugin --name rate-limiting --route closed --config hour=1 --config error_code=403 --config 'error_message=Try "gold"'
    wait_for -t 40 hour_is_long
    same '200 403' "$(asks 2 /closed/echo -H "$(as dave)")"
    gw_curl /closed/echo -H "$(as dave)" -H 'Accept: text/plain' -D "$T/head" -o "$T/body"
    like '^Try "gold"' "$(<"$T/body")"
    gw_curl /closed/echo -H "$(as dave)" -o "$T/body"
    kong_error 'Try \"gold\"' "$T/body"
    dave_was_limited()
    {
        holds '.[] | select(.name == "dave") | .rate_limited == 3 and .denied == 0' "$(admin /stats | jq -c .data)" >/dev/null
    }
    wait_for dave_was_limited
}

@test "explain tells what would be and counts nothing" {
    limited_route asked hour=1
    local i
    for i in 1 2 3; do
        like '^outcome +goes to ' "$(kctl explain GET /asked/echo | head -n 1)"
    done
    same '200 429' "$(asks 2 /asked/echo)"
    like '^outcome +answered 429 API rate limit exceeded' "$(kctl explain GET /asked/echo | head -n 1)"
}

@test "a config that cannot be is refused, and says why" {
    make route --name refused --service api --paths /refused
    for case in \
        'minute=0|config.minute: value must be greater than 0' \
        'error_code=200|config.error_code: value should be between 400 and 599' \
        'minute=1 policy=redis|keygate does not have policy '\''redis'\''' \
        'minute=1 limit_by=path|config.path: required field missing' \
        'hour=1 minute=2|config: The limit for hour(1.0) cannot be lower than the limit for minute(2.0)' \
        'limit_by=ip|at least one of these fields must be non-empty: '\''config.second'\'''; do
        local config=() setting
        for setting in ${case%%|*}; do
            config+=(--config "$setting")
        done
        run kctl plugin create --name rate-limiting --route refused "${config[@]}"
        same 1 "$status"
        [[ $output == *"${case#*|}"* ]] || same "${case#*|}" "$output"
    done
}

@test "a restart begins with fresh counters" {
    limited_route restarted hour=1
    same '200 429' "$(asks 2 /restarted/echo)"
    stop_keygated
    start_limiting
    wait_for -t 40 hour_is_long
    same '200 429' "$(asks 2 /restarted/echo)"
}

# With room for 1,024 counters, of which strangers may have 768.
@test "strangers who fill the table lift nobody else's limit, and are counted" {
    make route --name known --service api --paths /known
    make plugin --name key-auth --route known
    make plugin --name rate-limiting --route known --config hour=1
    stop_keygated
    start_limiting --set rate_limiting.max_counters=1024
    limited_route flooded hour=1 limit_by=header header_name=X-Team
    same '200 429' "$(asks 2 /flooded/echo -H 'X-Team: first')"
    same '200 1500' "$(hammer /flooded/echo 16 1500 'X-Team: %d')"
    local full
    full=$(admin /status | jq .server.rate_counters_full)
    [[ $full -ge 730 ]] || same 730 "$full"
    same '768 true' "$(admin /status | jq -r '.server | "\(.rate_counters_used) \(.rate_counters_full > 0)"')"
    like 'keygate_rate_counters_full_total [1-9]' "$(admin /metrics | grep rate_counters_full_total)"
    # Who has a counter is still held to it, and who is known gets one.
    same 429 "$(asks 1 /flooded/echo -H 'X-Team: first')"
    same '200 429' "$(asks 2 /known/echo -H "$(as carol)")"
    # Whoever comes now passes without a limit, or, where that is not wanted, not at all.
    same '200 200' "$(asks 2 /flooded/echo -H 'X-Team: late')"
    limited_route strict hour=1 limit_by=header header_name=X-Team fault_tolerant=false
    gw_curl /strict/echo -H 'X-Team: late' -D "$T/head" -o "$T/body"
    like '^HTTP/1\.1 500 ' "$(head -n 1 "$T/head")"
    kong_error 'An unexpected error occurred' "$T/body"
}
