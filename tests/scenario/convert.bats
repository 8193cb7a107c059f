#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-2-Clause
# keyctl convert: an apisix.yaml as a declarative file that routes the same; what is not in it is said, and nothing is open
# that was shut.
# shellcheck disable=SC2154,SC2016,SC2030,SC2031,SC2088 # bats sets status and output; dollars in single quotes are jq's, or APISIX's

load helper

JSON='Content-Type: application/json'

setup_file()
{
    file_begin
    start_upstream
    start_keygated
}

teardown_file()
{
    file_end
}

setup()
{
    FILE=$T/apisix.yaml
}

teardown()
{
    show_log
}

# is_valid FILE: the daemon would take it; variables are set to what a key may be.
is_valid()
{
    local name
    [[ -s $1 ]] || return 0
    (
        while read -r name; do
            [[ -v $name ]] || export "$name=value-of-$name"
        done < <(grep -o 'DECK_[A-Za-z0-9_]*' "$1" | sort -u)
        kctl validate "$1"
    )
}

# converts STATUS [FLAG...]: the file on standard input, with #END behind it, is converted with this status: to $T/out, which the
# daemon would take; what is said to $T/said.
converts()
{
    local seen=0

    { cat; echo '#END'; } >"$FILE"
    kctl convert --from apisix "$FILE" -o json "${@:2}" >"$T/out" 2>"$T/said" || seen=$?
    same "$1" "$seen" || {
        cat "$T/said"
        return 1
    }
    is_valid "$T/out"
}

# says SENTENCE: it is on a line of its own, behind the file's name and a place in it.
says()
{
    sed "s|^$FILE:[0-9]*:[0-9]*: ||" "$T/said" | grep -qxF "$1" || {
        printf 'wanted: %s\nseen:\n%s\n' "$1" "$(<"$T/said")"
        return 1
    }
}

out_holds()
{
    holds "$1" "$(<"$T/out")"
}

put()
{
    [[ $(admin_status "$1" -H "$JSON" -d "$2") == 201 ]] || {
        printf '%s %s: %s\n' "$1" "$2" "$(<"$T/body")"
        return 1
    }
}

# put_all FILTER PATH: what the filter lists of $T/out; the object's own path in .at, if it has one.
put_all()
{
    local line

    while read -r line; do
        put "$(jq -r --arg all "$2" '.at // $all' <<<"$line")" "$(jq -c 'del(.at)' <<<"$line")" || return
    done < <(jq -c "$1" "$T/out")
}

# load_out: what was converted, into the daemon, in its order.
load_out()
{
    put_all '.upstreams[]? | del(.targets)' /upstreams
    put_all '.upstreams[]? | .name as $u | .targets[] | .at = "/upstreams/\($u)/targets"' -
    put_all '.services[]? | del(.plugins)' /services
    put_all '.services[]? | .name as $s | .plugins[]? | .at = "/services/\($s)/plugins"' -
    put_all '.routes[]? | del(.plugins) | if .service then .service = {name: .service} else . end' /routes
    put_all '.routes[]? | .name as $r | .plugins[]? | .at = "/routes/\($r)/plugins"' -
    put_all '.consumers[]? | {username, custom_id}' /consumers
    put_all '.consumers[]? | .username as $c | .keyauth_credentials[]? | .at = "/consumers/\($c)/key-auth"' -
}

forget_all()
{
    local path id

    for path in plugins routes services upstreams consumers; do
        for id in $(admin "/$path?size=1000" | jq -r '.data[].id'); do
            admin "/$path/$id" -X DELETE
        done
    done
}

# goes_to ROUTE PATH [CURL OPTION...]: each route of these tests has an upstream that is called by its name.
goes_to()
{
    same "$1.example" "$(gw_curl "$2" "${@:3}" | jq -r '.headers[] | select(.[0] == "Host") | .[1]')"
}

# upstream_of NAME: an inline upstream that tells whose it is.
upstream_of()
{
    printf '{nodes: {"127.0.0.1:8001": 1}, type: roundrobin, pass_host: rewrite, upstream_host: %s.example}' "$1"
}

@test "the guide's service, route, consumer and credential work as they did" {
    # What the Admin API of APISIX takes, as JSON.
    converts 0 <<'YAML'
{"services": [{"id": "key-auth-httpbin-service", "name": "key-auth-httpbin-service",
   "upstream": {"type": "roundrobin", "scheme": "http", "nodes": [{"host": "127.0.0.1", "port": 8001, "weight": 100}]}}],
 "routes": [{"name": "key-auth-route", "paths": ["/anything/key-auth"], "methods": ["GET"],
   "service_id": "key-auth-httpbin-service", "plugins": {"key-auth": {"header": "apikey"}}}],
 "consumers": [{"username": "key-auth-consumer", "credentials":
   [{"name": "key-auth-consumer-cred", "plugins": {"key-auth": {"key": "secret-api-key"}}}]}]}
YAML
    same '' "$(<"$T/said")"
    load_out
    same 401 "$(status_of gw_curl /anything/key-auth)"
    same 200 "$(status_of gw_curl /anything/key-auth -H 'apikey: secret-api-key')"
    same 404 "$(status_of gw_curl /anything/key-auth/more -H 'apikey: secret-api-key')"
    same 404 "$(status_of gw_curl /anything/key-auth -X POST -H 'apikey: secret-api-key')"
    holds '.headers[] | select(. == ["X-Consumer-Username", "key-auth-consumer"])' \
        "$(gw_curl /anything/key-auth -H 'apikey: secret-api-key')"
    holds '.line == "GET /anything/key-auth HTTP/1.1" or .target == "/anything/key-auth"' \
        "$(gw_curl /anything/key-auth -H 'apikey: secret-api-key')"
    forget_all
}

@test "ADC's nested form and its spellings are read" {
    converts 0 <<'YAML'
services:
  - name: key-auth-app
    hosts: [auth.httpbin.org]
    path_prefix: /v1
    upstream: {scheme: https, nodes: [{host: httpbin.org, port: 443, weight: 1}]}
    routes:
      - name: json
        uris: [/json]
        methods: [GET]
        plugins: {key-auth: {header: Authorization, query: Authorization, hide_credentials: true}}
consumers:
  - username: alex
    credentials:
      - name: first
        type: key-auth
        config: {key: ec8e8fa78d4e271b368d}
YAML
    out_holds '.services[0].protocol == "https" and .upstreams[0].targets[0].target == "httpbin.org:443"'
    out_holds '.routes[0] | .hosts == ["auth.httpbin.org"] and .paths == ["~/v1/json$"] and .strip_path == false'
    out_holds '.routes[0].plugins[0].config == {key_names: ["Authorization"], hide_credentials: true}'
    out_holds '.consumers[0].keyauth_credentials == [{key: "ec8e8fa78d4e271b368d", name: "first"}]'
    says 'note: upstream "key-auth-app": scheme: as in APISIX the certificate is not verified; take tls_verify away to have it verified'
}

@test "requests go where they went: exact before prefix, the longer path, priority, methods, hosts, headers" {
    {
        echo 'routes:'
        echo "- {id: all, uri: /*, upstream: $(upstream_of all)}"
        echo "- {id: exact, uri: /a/b, upstream: $(upstream_of exact)}"
        echo "- {id: get, uri: /a/*, methods: [GET], upstream: $(upstream_of get)}"
        echo "- {id: deep, uri: /a/b/*, upstream: $(upstream_of deep)}"
        echo "- {id: low, uri: /p*, upstream: $(upstream_of low)}"
        echo "- {id: high, uri: /p*, priority: 5, upstream: $(upstream_of high)}"
        echo "- {id: host, uri: /*, host: a.test, upstream: $(upstream_of host)}"
        echo "- {id: wild, uri: /*, host: '*.a.test', upstream: $(upstream_of wild)}"
        echo "- {id: blue, uri: /*, vars: [[http_x_team, '==', blue]], priority: 1, upstream: $(upstream_of blue)}"
        echo "- {id: dots, uri: /v1.0+/x, upstream: $(upstream_of dots)}"
        echo "- {id: blank, uris: ['/s p*', '/ü'], upstream: $(upstream_of blank)}"
    } | converts 4
    says 'route "get": a route with vars and a shorter path is tried before it; APISIX looks at the path first'
    says 'note: route "deep": it gets all methods, lest a route with methods and a shorter path is tried first'
    load_out
    goes_to exact /a/b
    goes_to get /a/c
    goes_to get /a/
    goes_to all /a
    goes_to all /a/c -X POST
    goes_to deep /a/b/c
    goes_to deep /a/b/c -X POST
    goes_to high /path
    goes_to host /a/b -H 'Host: A.test:9080'
    goes_to wild /a/b -H 'Host: x.y.a.test'
    goes_to blue /other -H 'X-Team: blue'
    goes_to all /other -H 'X-Team: red'
    goes_to dots /v1.0+/x
    goes_to all /v1x0+/x
    goes_to all /v1.0+/x/
    goes_to blank /s%20pace
    goes_to blank /%c3%bc
    goes_to all /%c3%bcx
    forget_all
}

@test "an upstream keeps its targets, weights, balancing, checks, retries and times" {
    converts 0 <<'YAML'
upstreams:
  - id: 7
    nodes: [{host: 10.0.0.1, port: 80, weight: 3}, {host: "::1", port: 81, weight: 0}]
    type: chash
    hash_on: vars
    key: cookie_sid
    retries: 2
    timeout: {connect: 0.5, send: 2, read: 3}
    checks:
      active: {type: https, http_path: /up, host: s.example, https_verify_certificate: false, timeout: 2,
               req_headers: ["X-Probe: yes"], healthy: {interval: 5}, unhealthy: {http_failures: 1, http_statuses: [500]}}
      passive: {unhealthy: {timeouts: 9}}
  - {id: u8, name: "Two Words", nodes: {"a.example": 1, "[::1]:90": 2}, type: least_conn, pass_host: node}
  - {id: u9, nodes: {"a.example:80": 1}, type: chash, key: remote_addr}
  - {id: u10, discovery_type: dns, service_name: "d.example:8080", type: roundrobin}
services:
  - {id: 1, upstream_id: 7}
YAML
    out_holds '.upstreams[0] | .name == "upstream-7" and .algorithm == "consistent-hashing" and .hash_on_cookie == "sid"'
    out_holds '.upstreams[0].targets == [{target: "10.0.0.1:80", weight: 3}, {target: "[::1]:81", weight: 0}]'
    out_holds '.upstreams[0].healthchecks.active | .type == "https" and .https_sni == "s.example" and .timeout == 2
        and .https_verify_certificate == false and .headers == {"X-Probe": ["yes"]}
        and .healthy == {interval: 5, successes: 2}
        and .unhealthy == {interval: 1, http_failures: 1, tcp_failures: 2, timeouts: 3, http_statuses: [500]}'
    out_holds '.upstreams[0].healthchecks.passive.unhealthy == {http_failures: 5, tcp_failures: 2, timeouts: 9}'
    out_holds '.services[0] | .name == "service-1" and .host == "upstream-7" and .retries == 2
        and .connect_timeout == 500 and .write_timeout == 2000 and .read_timeout == 3000'
    out_holds '.upstreams[1] | .name == "two-words" and .algorithm == "least-connections"
        and .targets == [{target: "a.example:80", weight: 1}, {target: "[::1]:90", weight: 2}]'
    out_holds '.upstreams[2] | .hash_on == "ip" and .hash_fallback == null'
    out_holds '.upstreams[3].targets == [{target: "d.example:8080", weight: 1}]'
    load_out
    forget_all
}

@test "plugins of a plugin_config, a service, a consumer and a group go where they were in force" {
    converts 0 <<'YAML'
plugin_configs:
  - {id: p, plugins: {key-auth: {}, limit-count: {count: 9, time_window: 1}}}
consumer_groups:
  - {id: gold, plugins: {limit-count: {count: 100, time_window: 86400, key: consumer_name, show_limit_quota_header: false}}}
global_rules:
  - {id: 1, plugins: {ip-restriction: {blacklist: [192.0.2.66, 198.51.100.0/24], message: no}}}
services:
  - {id: s, upstream: {nodes: {"a.example:80": 1}}, plugins: {key-auth: {}}}
routes:
  - {id: r1, uri: /1, service_id: s, plugin_config_id: p, plugins: {limit-count:
      {count: 5, time_window: 60, key: http_x_org, rejected_code: 429, rejected_msg: slow down}}}
  - {id: r2, uri: /2, service_id: s, plugins: {consumer-restriction: {whitelist: [jack]}}}
  - {id: r3, uri: /3, service_id: s, plugins: {consumer-restriction: {type: consumer_group_id, blacklist: [gold]}}}
  - {id: r4, uri: /4, service_id: s, plugins: {key-auth: {_meta: {disable: true}}}}
consumers:
  - {username: jack, group_id: gold, labels: {custom_id: c7, team: blue}, plugins: {key-auth: {key: "0123"}}}
  - {username: rose, plugins: {limit-count: {count: 2, time_window: 3600}}}
  - {id: rose/credentials/laptop, plugins: {key-auth: {key: $env://ROSE}}}
YAML
    out_holds '.plugins == [{name: "ip-restriction", config: {deny: ["192.0.2.66", "198.51.100.0/24"], message: "no"}}]'
    out_holds '.routes[0].plugins | map(.name) == ["key-auth", "rate-limiting"]'
    out_holds '.routes[0].plugins[1].config == {minute: 5, limit_by: "header", header_name: "x-org", policy: "local",
        error_code: 429, error_message: "slow down"}'
    out_holds '.routes[1].plugins == [{name: "acl", config: {allow: ["jack"]}}]'
    out_holds '.routes[2].plugins == [{name: "acl", config: {deny: ["group:gold"]}}]'
    # It switched the service's key-auth off, so it is not that service's any more.
    out_holds '.routes[3] | .service == "r4" and .plugins == null'
    out_holds '.services | map({name, plugins: (.plugins // [] | map(.name))})
        == [{name: "s", plugins: ["key-auth"]}, {name: "r4", plugins: []}]'
    out_holds '.consumers[0] | .custom_id == "c7" and .tags == ["team:blue"] and .acls == [{group: "jack"}, {group: "group:gold"}]'
    out_holds '.consumers[0].plugins[0].config == {day: 100, limit_by: "consumer", policy: "local", error_code: 503,
        hide_client_headers: true}'
    out_holds '.consumers[0].keyauth_credentials == [{key: "0123"}]'
    out_holds '.consumers[1].keyauth_credentials == [{key: "${{ env \"DECK_ROSE\" }}", name: "laptop"}]'
    says 'note: consumer "rose/credentials/laptop": key-auth: key: set DECK_ROSE to what ROSE held'
}

@test "what cannot be carried over is said by its name, and the exit status is 4" {
    converts 4 <<'YAML'
routes:
  - {id: r1, uri: /1, plugins: {cors: {}, limit-count: {count: 1, time_window: 7}}, upstream_id: u, colour: red}
  - {id: off, uri: /off, status: 0, upstream_id: u}
upstreams:
  - {id: u, nodes: {"a.example:80": 1}, type: ewma, retry_timeout: 3}
consumers:
  - {username: bob, labels: {team: "a,b"}, plugins: {basic-auth: {username: b, password: topsecret}}}
ssls:
  - {id: cert1, sni: a.example, cert: x, key: topsecret}
  - {id: cert2, sni: a.example, type: client, cert: x, key: topsecret}
  - {id: cert3, sni: a.example, status: 0, cert: x, key: topsecret}
stream_routes:
  - {id: tcp1}
YAML
    says 'route "r1": plugin "cors": keygate has none'
    says 'route "r1": plugin "limit-count": time_window: keygate counts by the second, minute, hour, day, month or year, not by 7 seconds'
    says 'route "r1": colour: keygate has no such field'
    says 'route "off": status: it is switched off; it is left out'
    says 'upstream "u": type: keygate has no such balancing; targets take turns'
    says 'upstream "u": retry_timeout: keygate has no such field'
    says 'consumer "bob": plugin "basic-auth": keygate has none'
    says 'consumer "bob": label "team": it cannot be a tag, which is short text without , and /'
    says 'ssl "cert1": cert: expected PEM'
    says 'ssl "cert1": key: expected PEM'
    says 'ssl "cert1": it is left out'
    says 'ssl "cert2": type: shown to upstreams; give their services a client_certificate instead'
    says 'ssl "cert3": status: it is switched off; it is left out'
    says 'stream_routes "tcp1": not carried over'
    out_holds '.routes | map(.name) == ["r1"]'
    unlike topsecret "$(<"$T/said")$(<"$T/out")"
    same "$FILE:2:33: route \"r1\": plugin \"cors\": keygate has none" "$(grep cors "$T/said")"
}

@test "what would be open to more than before is left out" {
    converts 4 <<'YAML'
services:
  - {id: jwt, upstream: {nodes: {"a.example:80": 1}}, plugins: {jwt-auth: {}}}
routes:
  - {id: r1, uri: /1, upstream_id: u, plugins: {openid-connect: {}}}
  - {id: r2, uri: /2, upstream_id: u, vars: [[arg_canary, "==", "1"]]}
  - {id: r3, uri: /3, upstream_id: u, remote_addrs: [10.0.0.0/8]}
  - {id: r4, uri: /4, service_id: jwt}
  - {id: r5, uri: /5, service_id: nobody}
  - {id: r6, uri: /6, upstream_id: u, plugin_config_id: nothing}
  - {id: r7, uri: /7, upstream_id: u, vars: [["OR", [http_a, "==", b], [http_c, "==", d]]]}
  - {id: r8, uri: /8, upstream_id: u}
  - {id: r9, uri: /9, upstream_id: u, plugins: {key-auth: {header: "a b"}}}
upstreams:
  - {id: u, nodes: {"a.example:80": 1}}
YAML
    out_holds '.routes | map(.name) == ["r8"]'
    out_holds '.services | map(.name) == ["r8"]'
    says 'route "r1": plugin "openid-connect": keygate has none'
    says 'route "r2": vars: arg_canary ==: keygate has only ==, in and ~* on http_ variables'
    says 'route "r3": remote_addrs: keygate has no such field'
    says 'service "jwt": it is left out with its routes, for they would be open to more than before'
    says 'route "r4": its service is left out'
    says 'route "r5": service_id: there is no such service'
    says 'route "r6": plugin_config_id: there is no such plugin_config'
    local name
    for name in r1 r2 r3 r4 r5 r6 r7 r9; do
        says "route \"$name\": it is left out, for it would answer other requests than before"
    done
}

# new_certificate NAME: $T/NAME.pem and $T/NAME.key.
new_certificate()
{
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 9 -subj "/CN=$1" -keyout "$T/$1.key" \
        -out "$T/$1.pem" 2>/dev/null
}

@test "ssls become certificates with their server names" {
    new_certificate one
    new_certificate two
    DECK_TWO_KEY=$(<"$T/two.key")
    export DECK_TWO_KEY
    converts 4 < <(jq -n --rawfile one "$T/one.pem" --rawfile key "$T/one.key" --rawfile two "$T/two.pem" '{ssls: [
        {id: "1", snis: ["One.example", "*.one.example"], cert: $one, key: $key, labels: {team: "a"}},
        {id: "2", sni: "two.example", certificates: [{certificate: $two, key: "$env://TWO_KEY"}]},
        {id: "3", snis: ["one.example", "more.example"], cert: $one, key: $key, certs: [$two], keys: [$key], client: {ca: $two}}]}')
    out_holds '.certificates | map(.snis | map(.name)) == [["one.example", "*.one.example", "more.example"], ["two.example"]]'
    out_holds '.certificates[0].tags == ["team:a"] and .certificates[1].key == "${{ env \"DECK_TWO_KEY\" }}"'
    says 'note: ssl "2": key: set DECK_TWO_KEY to what TWO_KEY held'
    says 'ssl "3": one.example is shown another certificate already'
    says 'ssl "3": it has more than one certificate; give the other to keygate as its cert_alt and key_alt'
    grep -q 'ssl "3": client: keygate asks' "$T/said"
    kctl sync "$T/out" >/dev/null
    holds '[.data[].name] | sort == ["*.one.example", "more.example", "one.example", "two.example"]' "$(admin /snis)"
    printf '_format_version: "3.0"\n' | kctl sync - >/dev/null
}

@test "names are valid and no two are the same" {
    converts 0 <<'YAML'
upstreams:
  - {id: 1, name: 10.0.0.1, nodes: {"a.example:80": 1}}
  - {id: 2, name: Same, nodes: {"a.example:80": 1}}
  - {id: 3, name: same, nodes: {"a.example:80": 1}}
routes:
  - {id: 11, uri: /1, upstream_id: 1}
  - {id: 12, name: "läuft / immer", uri: /2, upstream_id: 2}
  - {id: 13, name: twice, uri: /3, upstream_id: 3}
  - {id: 14, name: twice, uri: /4, upstream_id: 3}
  - {id: 15, name: twice-2, uri: /5, upstream_id: 3}
  - {uri: /6, upstream_id: 3}
YAML
    out_holds '.routes | map(.name) == ["route-11", "l--uft---immer", "twice", "twice-2", "twice-2-2", "route"]'
    out_holds '.upstreams | map(.name) == ["upstream-10-0-0-1", "same", "same-2"]'
    load_out
    forget_all
}

@test "values that YAML could misread are quoted, and --out is for its owner alone" {
    converts 0 --out "$T/entities.yaml" -o yaml <<'YAML'
routes:
  - {id: "yes", uri: /a.b, upstream: {nodes: {"a.example:80": 1}}}
consumers:
  - {username: "on", plugins: {key-auth: {key: "012"}}}
  - {username: "null", plugins: {key-auth: {key: "1:30"}}}
  - {username: c, plugins: {key-auth: {key: "${{KEY_OF_C}}"}}}
YAML
    same '' "$(<"$T/out")"
    same 600 "$(stat -c %a "$T/entities.yaml")"
    local line
    for line in '_format_version": "3.0"' 'name: "yes"' "~/a\\.b\$'" 'username: "on"' 'username: "null"' 'key: "012"' \
        'key: "1:30"' "key: '\${{ env \"DECK_KEY_OF_C\" }}'"; do
        grep -qF "$line" "$T/entities.yaml" || same "$line" "$(<"$T/entities.yaml")"
    done
    run ! kctl convert --from apisix "$FILE" --out "$T/no/such/folder"
    like 'no/such/folder: cannot be written: No such file or directory' "$output"
}

# refuses SENTENCE: the file on standard input, within bounds of memory and time. A sanitizer's own memory has none.
refuses()
{
    local most=600000

    if grep -qa __asan_init "$KEYCTL"; then
        most=unlimited
    fi
    cat >"$T/bad"
    run bash -c 'ulimit -v "$2" && timeout -k 5 60 "$0" convert --from apisix "$1"' "$KEYCTL" "$T/bad" "$most"
    same "keyctl: $T/bad$1" "$output"
    [[ $status -eq 1 ]]
}

@test "hostile and broken files are refused with their place" {
    head -c 100000000 /dev/zero | tr '\0' '-' | refuses ': larger than 32 MiB'
    /usr/bin/python3 -c 'print("routes:\n" + "- {id: a}\n" * 3000000)' | refuses ':666667:8: more than 2000000 values, with all aliases followed'
    {
        echo 'a0: &a0 [x, x, x, x, x, x, x, x, x, x]'
        local i
        for ((i = 1; i < 10; i++)); do
            echo "a$i: &a$i [$(printf "*a$((i - 1)), %.0s" 1 2 3 4 5 6 7 8 9)*a$((i - 1))]"
        done
    } | refuses ':7:10: more than 2000000 values, with all aliases followed'
    /usr/bin/python3 -c 'print("[" * 100000)' | refuses ':1:65: nested more than 64 deep'
    printf 'routes:\n- &r {again: *r}\n' | refuses ':2:14: an alias inside what it stands for'
    printf 'routes: *r\n' | refuses ':1:9: an alias without an anchor'
    printf 'routes: []\nroutes: []\n' | refuses ':2:1: repeated field'
    printf 'routes: []\n--- \nroutes: []\n' | refuses ':2:1: more than one document'
    printf 'routes: "a\\0b"\n' | refuses ':1:9: a NUL character'
    printf 'routes:\n  - {id: \n' | refuses ':3:1: not valid YAML: did not find expected node content'
    printf '\377\376\377' | refuses ':1:1: not text: incomplete UTF-16 character at or after byte 3'
    printf -- '- routes\n' | refuses ':1:1: expected a map of routes, services, upstreams, consumers'
    printf '' | refuses ':1:1: expected a map of routes, services, upstreams, consumers'
    run kctl convert --from apisix "$T/nowhere"
    same "1 keyctl: $T/nowhere: cannot be read: No such file or directory" "$status $output"
}

@test "no random bytes crash it" {
    local i
    for ((i = 0; i < 30; i++)); do
        head -c 4000 /dev/urandom >"$T/bad"
        run kctl convert --from apisix "$T/bad"
        [[ $status -eq 1 ]]
    done
}

@test "a file without #END is converted with a word about it, one from standard input too" {
    run kctl convert --from apisix - <<<'consumers: [{username: a}]'
    [[ $status -eq 0 ]]
    like 'note: no #END behind the last line: is the file whole\?' "$output"
    like 'username: a' "$output"
}

@test "a format that it does not know is wrong usage" {
    run kctl convert --from nginx "$T/x"
    same '2 keyctl: convert needs --from apisix, the one format that it reads' "$status $output"
    run kctl convert "$T/x"
    [[ $status -eq 2 ]]
    run kctl convert --from apisix
    [[ $status -eq 2 ]]
}
