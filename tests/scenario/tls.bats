#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-2-Clause
# TLS with clients and with upstreams, by curl and openssl: versions, names, certificates that change, resumption, mutual TLS.
# shellcheck disable=SC2154 # bats sets status, output and lines

load helper

setup_file()
{
    file_begin
    export PKI=$T/pki
    mkdir "$PKI"
    make_ca ca 'Test CA'
    make_ca other-ca 'Another CA'
    issue server ca api.example.com api.example.com
    issue named ca one.example.com one.example.com
    issue wild ca wildcard '*.example.com'
    issue client ca 'Client One' client.invalid
    issue stranger other-ca 'Client Two' client.invalid
    issue upstream ca localhost localhost 127.0.0.1 ::1
    chmod -R a+rX "$PKI"
    start_upstream
    start_secure_upstream
    start_secure
    make service --name plain --url http://127.0.0.1:8001/plain
    make route --service plain --name plain --paths /up
    make route --service plain --name only-https --paths /secret --protocols https
    trust ca >"$T/ca"
    make service --name secure --url https://localhost:8443/secure --ca-certificates "$(<"$T/ca")" --retries 0
    make route --service secure --name secure --paths /tls
}

teardown_file()
{
    file_end
}

teardown()
{
    show_log
}

# --- certificates -----------------------------------------------------------------------------------------------------------

make_ca()
{
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 -subj "/CN=$2" \
        -addext basicConstraints=critical,CA:TRUE -keyout "$PKI/$1.key" -out "$PKI/$1.crt" 2>/dev/null
}

# issue NAME CA COMMON_NAME ALTERNATIVE_NAME [ADDRESS...]
issue()
{
    local address names=DNS:$4

    for address in "${@:5}"; do
        names+=,IP:$address
    done
    openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "/CN=$3" \
        -keyout "$PKI/$1.key" -out "$PKI/$1.csr" 2>/dev/null
    openssl x509 -req -in "$PKI/$1.csr" -CA "$PKI/$2.crt" -CAkey "$PKI/$2.key" -CAcreateserial -days 30 \
        -extfile <(printf 'subjectAltName=%s\n' "$names") -out "$PKI/$1.crt" 2>/dev/null
}

# trust CA: the id of its CA certificate entity.
trust()
{
    make ca-certificate --cert-file "$PKI/$1.crt"
}

# --- programs ---------------------------------------------------------------------------------------------------------------

start_secure()
{
    start_keygated --set workers=2 --set 'listen=["0.0.0.0:9080","0.0.0.0:9443 ssl"]' \
        --set "tls.certificate=$PKI/server.crt" --set "tls.certificate_key=$PKI/server.key" "$@"
}

start_secure_upstream()
{
    in_background secure /usr/bin/python3 "$BATS_TEST_DIRNAME/upstream.py" 8443 \
        --tls "$PKI/upstream.crt" "$PKI/upstream.key" "$PKI/ca.crt"
    ready secure ns_run "$GW" curl -sk -o /dev/null https://127.0.0.1:8443/echo
}

# tls_curl NAME PATH [CURL OPTION...]: as somebody who knows the gateway by this name, and trusts the CA.
tls_curl()
{
    ns_run "$GW" curl -s --max-time 30 --cacert "$PKI/ca.crt" --resolve "$1:9443:127.0.0.1" "${@:3}" "https://$1:9443$2"
}

# hello [S_CLIENT OPTION...]: one handshake and no request.
hello()
{
    hello_to -servername api.example.com "$@"
}

# hello_to [S_CLIENT OPTION...]: the same, to whatever name the options say.
hello_to()
{
    ns_run "$GW" openssl s_client -connect 127.0.0.1:9443 -CAfile "$PKI/ca.crt" "$@" </dev/null 2>&1
}

subject_of()
{
    sed -n 's/^subject=CN = //p' <<<"$1" | head -n 1
}

figure()
{
    kctl status -o json | jq ".server.$1"
}

# --- clients ----------------------------------------------------------------------------------------------------------------

@test "a request over TLS is answered, and the upstream is told so" {
    tls_curl api.example.com /up/echo -o "$T/body" -D "$T/head"
    same 'HTTP/1.1 200 OK' "$(head -n 1 "$T/head" | tr -d '\r')"
    same https "$(upstream_header X-Forwarded-Proto "$(<"$T/body")")"
    same 9443 "$(upstream_header X-Forwarded-Port "$(<"$T/body")")"
    same api.example.com "$(upstream_header X-Forwarded-Host "$(<"$T/body")")"
}

@test "the same route without TLS says http" {
    same http "$(upstream_header X-Forwarded-Proto "$(gw_curl /up/echo)")"
}

@test "TLS 1.2 and 1.3 are spoken, older versions are not" {
    like 'Protocol *(version)?: TLSv1.2|New, TLSv1.2' "$(hello -tls1_2)"
    like 'New, TLSv1.3' "$(hello -tls1_3)"
    run hello -tls1_1 -cipher 'ALL:@SECLEVEL=0'
    [[ $status -ne 0 ]]
}

@test "http/1.1 is agreed on by ALPN; a client that only speaks h2 is told so" {
    like 'ALPN protocol: http/1.1' "$(hello -alpn h2,http/1.1)"
    run hello -alpn h2
    [[ $status -ne 0 ]]
    like 'no application protocol' "$output"
}

@test "one connection carries many requests, and large bodies arrive whole" {
    head -c 8388608 /dev/urandom >"$T/big"
    tls_curl api.example.com /up/sink --data-binary "@$T/big" -o "$T/body"
    same 8388608 "$(jq .body "$T/body")"
    tls_curl api.example.com '/up/bytes:8388608' -o "$T/got" -w '%{size_download}'
    gw_curl '/up/bytes:8388608' -o "$T/plain"
    cmp "$T/plain" "$T/got"
    same '1 0 0 ' "$(tls_curl api.example.com '/up/{echo,chunked:70000,echo}' -o "$T/out.#1" -w '%{num_connects} ')"
    same 70000 "$(stat -c %s "$T/out.chunked:70000")"
}

@test "plain HTTP on the TLS address is no request, and counted" {
    local before

    before=$(figure tls_errors)
    run raw 127.0.0.1 9443 'GET /up/echo HTTP/1.1\r\nHost: a\r\n\r\n'
    unlike '200' "$output"
    same $((before + 1)) "$(figure tls_errors)"
}

@test "a session is resumed by its ticket, in TLS 1.2 and 1.3, whichever worker answers" {
    local version before

    for version in tls1_2 tls1_3; do
        printf 'GET /up/echo HTTP/1.1\r\nHost: api.example.com\r\nConnection: close\r\n\r\n' |
            ns_run "$GW" openssl s_client -connect 127.0.0.1:9443 -servername api.example.com "-$version" -ign_eof \
                -sess_out "$T/$version.session" >/dev/null 2>&1
        before=$(figure tls_resumed)
        like 'Reused, TLSv1' "$(hello "-$version" -sess_in "$T/$version.session")"
        like 'Reused, TLSv1' "$(hello "-$version" -sess_in "$T/$version.session")"
        same $((before + 2)) "$(figure tls_resumed)"
    done
}

@test "a route for https alone is served over TLS, and answered 426 without" {
    same 426 "$(status_of gw_curl /secret/echo)"
    same 200 "$(status_of tls_curl api.example.com /secret/echo)"
}

@test "the certificate goes by the server's name; without one it is that of the settings" {
    local id wild

    id=$(make certificate --cert-file "$PKI/named.crt" --key-file "$PKI/named.key" --snis one.example.com)
    wild=$(make certificate --cert-file "$PKI/wild.crt" --key-file "$PKI/wild.key" --snis '*.example.com')
    same one.example.com "$(subject_of "$(hello_to -servername one.example.com)")"
    same wildcard "$(subject_of "$(hello_to -servername two.example.com)")"
    same one.example.com "$(subject_of "$(hello_to -servername ONE.example.com)")"
    same api.example.com "$(subject_of "$(hello_to -noservername)")"
    same api.example.com "$(subject_of "$(hello_to -servername other.invalid)")"
    kctl certificate delete "$id"
    same wildcard "$(subject_of "$(hello_to -servername one.example.com)")"
    kctl certificate delete "$wild"
    same api.example.com "$(subject_of "$(hello_to -servername one.example.com)")"
}

@test "a certificate changes, and no connection is dropped" {
    local id

    id=$(make certificate --cert-file "$PKI/named.crt" --key-file "$PKI/named.key" --snis swap.example.com)
    ns_run "$GW" /usr/bin/python3 "$BATS_TEST_DIRNAME/hold_tls.py" 127.0.0.1 9443 swap.example.com /up/echo "$T/go" \
        >"$T/held" 2>&1 3>&- 4>&- &
    local held=$!
    wait_for grep -q ready "$T/held"
    same one.example.com "$(subject_of "$(hello_to -servername swap.example.com)")"
    kctl certificate update "$id" --cert-file "$PKI/wild.crt" --key-file "$PKI/wild.key"
    same wildcard "$(subject_of "$(hello_to -servername swap.example.com)")"
    : >"$T/go"
    wait "$held"
    same 'ready 200 200' "$(tr '\n' ' ' <"$T/held" | sed 's/ $//')"
    kctl certificate delete "$id"
}

@test "a route may ask for a server name" {
    make route --service plain --name by-name --paths /up --snis special.example.com --protocols https
    kctl route update by-name --strip-path false
    same /plain/up/echo "$(tls_curl special.example.com /up/echo -k | jq -r .target)"
    same /plain/echo "$(tls_curl api.example.com /up/echo | jq -r .target)"
    same 426 "$(status_of gw_curl /up/echo)" # without TLS there is no name to go by
    kctl route delete by-name
}

@test "a handshake that is not finished in time is ended" {
    kill_keygated
    start_secure --set http.header_timeout=1s
    run raw --split 127.0.0.1 9443 '\x16\x03\x01' '\x02'
    like '^(closed|reset)$' "${lines[-1]}"
    same 200 "$(status_of tls_curl api.example.com /up/echo)"
}

# reused FILE, refused FILE: the session in it is taken again, or no more.
reused()
{
    [[ $(hello -tls1_2 -sess_in "$1") == *'Reused, TLSv1'* ]]
}

refused()
{
    [[ $(hello -tls1_2 -sess_in "$1") == *'New, TLSv1'* ]]
}

@test "the key of session tickets changes: a ticket opens for a while, then no more" {
    kill_keygated
    start_secure --set tls.ticket_rotation=5s
    hello -tls1_2 -sess_out "$T/rotated.session" >/dev/null
    reused "$T/rotated.session"
    wait_for -t 30 refused "$T/rotated.session"
    same 200 "$(status_of tls_curl api.example.com /up/echo)"
}

# --- mutual TLS -------------------------------------------------------------------------------------------------------------

@test "client certificates: needed, of the right CA, or nobody gets in" {
    kill_keygated
    start_secure --set tls.verify_client=on --set "tls.client_ca=$PKI/ca.crt"
    same 200 "$(status_of tls_curl api.example.com /up/echo --cert "$PKI/client.crt" --key "$PKI/client.key")"
    run status_of tls_curl api.example.com /up/echo
    same 000 "$output"
    run status_of tls_curl api.example.com /up/echo --cert "$PKI/stranger.crt" --key "$PKI/stranger.key"
    same 000 "$output"
    same 200 "$(status_of gw_curl /up/echo)"
}

@test "client certificates: optional means none, or a right one" {
    kill_keygated
    start_secure --set tls.verify_client=optional --set "tls.client_ca=$PKI/ca.crt"
    same 200 "$(status_of tls_curl api.example.com /up/echo --cert "$PKI/client.crt" --key "$PKI/client.key")"
    same 200 "$(status_of tls_curl api.example.com /up/echo)"
    run status_of tls_curl api.example.com /up/echo --cert "$PKI/stranger.crt" --key "$PKI/stranger.key"
    same 000 "$output"
}

# --- settings ---------------------------------------------------------------------------------------------------------------

@test "without a certificate one is made at the start; files that do not fit are refused by name" {
    kill_keygated
    start_keygated --set workers=1 --set 'listen=["0.0.0.0:9080","0.0.0.0:9443 ssl"]'
    same keygate "$(subject_of "$(hello)")"
    kill_keygated
    refuses_to_start --set 'listen=["0.0.0.0:9443 ssl"]' --set "tls.certificate=$PKI/server.crt" \
        --set "tls.certificate_key=$PKI/client.key"
    like "$PKI/server.crt and $PKI/client.key: " "$sentence"
    refuses_to_start --set "tls.certificate=$PKI/server.crt"
    like 'tls.certificate and tls.certificate_key need each other' "$sentence"
    refuses_to_start --set tls.verify_client=on
    like 'tls.verify_client needs tls.client_ca' "$sentence"
    refuses_to_start --set "upstream.trusted_certificates=$T/nowhere"
    like "$T/nowhere: cannot be read" "$sentence"
    start_secure
}

# --- upstreams --------------------------------------------------------------------------------------------------------------

@test "an upstream over https is verified, and told the name it is asked by" {
    gw_curl /tls/echo -o "$T/body" -D "$T/head"
    same 'HTTP/1.1 200 OK' "$(head -n 1 "$T/head" | tr -d '\r')"
    same /secure/echo "$(jq -r .target "$T/body")"
    same localhost "$(jq -r .tls.server_name "$T/body")"
    same localhost:8443 "$(upstream_header Host "$(<"$T/body")")"
}

@test "connections over https are kept and used again, and large bodies arrive whole" {
    local before

    before=$(figure upstream_reuses)
    gw_curl '/tls/bytes:8388608' -o "$T/got"
    gw_curl '/up/bytes:8388608' -o "$T/plain"
    cmp "$T/plain" "$T/got"
    head -c 8388608 /dev/urandom >"$T/big"
    same 8388608 "$(gw_curl /tls/sink --data-binary "@$T/big" | jq .body)"
    [[ $(figure upstream_reuses) -gt $before ]]
}

@test "an upstream whose certificate does not lead to the CA, or is for another name, gets no request" {
    local other before

    other=$(trust other-ca)
    before=$(ns_run "$GW" curl -sk https://127.0.0.1:8443/counts | jq '.requests.echo // 0')
    kctl service update secure --ca-certificates "$other"
    same 502 "$(status_of gw_curl /tls/echo)"
    kctl service update secure --ca-certificates '' # the system's: they do not know it
    same 502 "$(status_of gw_curl /tls/echo)"
    wait_for grep -q 'service secure: no TLS with its upstream localhost: .*certificate' "$T/keygated.log"
    kctl service update secure --ca-certificates "$(<"$T/ca")" --host 127.0.0.2
    same 502 "$(status_of gw_curl /tls/echo)"
    same "$before" "$(ns_run "$GW" curl -sk https://127.0.0.1:8443/counts | jq '.requests.echo // 0')"
    kctl service update secure --host 127.0.0.2 --tls-verify false
    same 200 "$(status_of gw_curl /tls/echo)"
    kctl service update secure --host localhost --tls-verify ''
    same 200 "$(status_of gw_curl /tls/echo)"
    kctl ca-certificate delete "$other"
}

@test "a service shows its client certificate to an upstream that wants one" {
    local id

    same null "$(gw_curl /tls/echo | jq .tls.client)"
    id=$(make certificate --cert-file "$PKI/client.crt" --key-file "$PKI/client.key")
    kctl service update secure --client-certificate "$id"
    same '"Client One"' "$(gw_curl /tls/echo | jq .tls.client)"
    kctl service update secure --client-certificate ''
    same null "$(gw_curl /tls/echo | jq .tls.client)"
    kctl certificate delete "$id"
}

@test "an upstream that speaks no TLS is answered 502, one that does not finish the handshake 504" {
    make service --name mistaken --url https://127.0.0.1:9080/x --tls-verify false --retries 0
    make route --service mistaken --name mistaken --paths /mistaken
    same 502 "$(status_of gw_curl /mistaken/echo)"
    kctl service update mistaken --port 8001 --connect-timeout 300
    same 504 "$(status_of gw_curl /mistaken/echo)"
    kctl route delete mistaken
    kctl service delete mistaken
}

# health TARGET: what is said of it as a whole.
health()
{
    admin /upstreams/probed/health | jq -r --arg target "$1" '.data[] | select(.target == $target) | .health'
}

has_health()
{
    [[ $(health "$2") == "$1" ]]
}

@test "a health check over https believes whom the settings name, and knows a name from an address" {
    local target

    kill_keygated
    start_secure --set "upstream.trusted_certificates=$PKI/ca.crt"
    make upstream --name probed --healthchecks active.type=https --healthchecks active.http_path=/echo \
        --healthchecks active.timeout=5 --healthchecks active.healthy.successes=1 \
        --healthchecks active.healthy.interval=0.1 --healthchecks active.unhealthy.interval=0.1 \
        --healthchecks active.unhealthy.tcp_failures=1
    for target in localhost:8443 127.0.0.1:8443 '[::1]:8443' 127.0.0.2:8443; do
        kctl target create "$target" --upstream probed
    done
    wait_for has_health UNHEALTHY 127.0.0.2:8443 # the certificate is not for this one
    for target in localhost:8443 127.0.0.1:8443 '[::1]:8443'; do
        same 204 "$(admin_status "/upstreams/probed/targets/$target/unhealthy" -g -X PUT)"
        wait_for has_health HEALTHY "$target"
    done
    has_health UNHEALTHY 127.0.0.2:8443
    kctl upstream delete probed
}
