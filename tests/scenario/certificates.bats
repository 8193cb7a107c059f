#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-2-Clause
# Managing certificates, their SNIs and CA certificates, made by openssl(1), and what a restart and the disk hold of them.
# shellcheck disable=SC2154,SC2016 # bats sets status and output; dollars in single quotes are jq's

load helper

setup_file()
{
    file_begin
    start_upstream
    start_keygated
    new_pair rsa rsa:2048 /CN=rsa.example
    new_pair ec ec /CN=ec.example -addext basicConstraints=critical,CA:FALSE
    new_pair ca ec /CN=ca
    export KEY_LINE
    KEY_LINE=$(sed -n 2p "$T/rsa.key")
}

teardown_file()
{
    file_end
}

teardown()
{
    show_log
}

# new_pair NAME TYPE SUBJECT [OPTION...]: $T/NAME.pem, signed by itself, and $T/NAME.key.
new_pair()
{
    local type=(-newkey "$2")

    if [[ $2 == ec ]]; then
        type=(-newkey ec -pkeyopt ec_paramgen_curve:P-256)
    fi
    openssl req -x509 "${type[@]}" -nodes -days 9 -subj "$3" -keyout "$T/$1.key" -out "$T/$1.pem" "${@:4}" 2>/dev/null
}

# new_certificate NAME [FLAG...]: from $T/NAME.pem; prints its id.
new_certificate()
{
    make certificate --cert-file "$T/$1.pem" --key-file "$T/$1.key" "${@:2}"
}

# no_key TEXT: a line of the private key is nowhere in it.
no_key()
{
    if [[ $1 == *"$KEY_LINE"* ]]; then
        echo "a private key is in: $1"
        return 1
    fi
}

# refused MESSAGE KEYCTL-ARGUMENT...: exit status 1 with this on standard error, and not a line of a key.
refused()
{
    run --separate-stderr kctl "${@:2}"
    same 1 "$status"
    same "keyctl: $1" "$stderr"
    no_key "$stderr"
}

@test "a certificate is made from files, with its names, and addressed by any of them" {
    local id
    id=$(new_certificate rsa --snis 'one.example,*.one.example')
    holds '.id == $id and .snis == ["one.example", "*.one.example"] and .cert == $cert and .key == $key' \
        "$(kctl certificate get '*.one.example' -o json)" --arg id "$id" --arg cert "$(<"$T/rsa.pem")
" --arg key "$(<"$T/rsa.key")
"
    like 'one.example,\*.one.example' "$(kctl certificate list)"
    # Tables are looked at over shoulders.
    unlike PRIVATE "$(kctl certificate list)"
    kctl certificate update one.example --cert-file "$T/ec.pem" --key-file "$T/ec.key"
    holds '.id == $id and .cert == $cert' "$(kctl certificate get "$id" -o json)" --arg id "$id" --arg cert "$(<"$T/ec.pem")
"
    kctl certificate delete one.example
    holds '.data == []' "$(kctl sni list -o json)"
}

@test "names are made, moved and removed by themselves" {
    local rsa ec
    rsa=$(new_certificate rsa --snis rsa.example)
    ec=$(new_certificate ec)
    kctl sni create --name A.example --certificate rsa.example
    holds '.name == "a.example" and .certificate.id == $rsa' "$(kctl sni get a.example -o json)" --arg rsa "$rsa"
    refused "UNIQUE violation detected on '{name=\"a.example\"}'" sni create --name a.example --certificate "$ec"
    refused "schema violation (snis: a.example already associated with existing certificate '$rsa')" \
        certificate update "$ec" --snis a.example
    kctl sni update a.example --certificate "$ec"
    holds '.snis == ["a.example"]' "$(kctl certificate get "$ec" -o json)"
    holds '[.data[].name] == ["a.example"]' "$(kctl sni list --certificate "$ec" -o json)"
    kctl sni delete a.example
    kctl certificate delete "$rsa"
    kctl certificate delete "$ec"
}

@test "an alternative of another type goes with a certificate" {
    new_certificate rsa --snis two.example --cert-alt-file "$T/ec.pem" --key-alt-file "$T/ec.key"
    holds '.cert_alt != null and .key_alt != null' "$(kctl certificate get two.example -o json)"
    kctl certificate update two.example --cert-alt-file '' --key-alt-file ''
    holds '.cert_alt == null and .key_alt == null' "$(kctl certificate get two.example -o json)"
    kctl certificate delete two.example
}

@test "what does not fit is refused with Kong's words and changes nothing" {
    refused 'schema violation (certificate does not match key)' \
        certificate create --cert-file "$T/ec.pem" --key-file "$T/rsa.key"
    cat "$T/rsa.pem" "$T/rsa.key" >"$T/both"
    refused 'schema violation (cert: invalid certificate: it holds a private key too)' \
        certificate create --cert-file "$T/both" --key-file "$T/rsa.key"
    refused "schema violation (all or none of these fields must be set: 'cert_alt', 'key_alt')" \
        certificate create --cert-file "$T/rsa.pem" --key-file "$T/rsa.key" --cert-alt-file "$T/ec.pem"
    openssl pkey -in "$T/rsa.key" -aes128 -passout pass:word -out "$T/locked.key"
    refused 'schema violation (key: invalid key: it cannot be read as PEM without a passphrase)' \
        certificate create --cert-file "$T/rsa.pem" --key-file "$T/locked.key"
    refused 'schema violation (certificate does not appear to be a CA because it is missing the "CA" basic constraint)' \
        ca-certificate create --cert-file "$T/ec.pem"
    refused 'schema violation (snis.1: must not be an IP)' \
        certificate create --cert-file "$T/rsa.pem" --key-file "$T/rsa.key" --snis 192.0.2.1
    holds '.data == []' "$(kctl certificate list -o json)"
    holds '.data == []' "$(kctl ca-certificate list -o json)"
}

@test "keyctl takes no key as an argument and no file that is none" {
    run --separate-stderr kctl certificate create --cert-file "$T/rsa.pem" --key "$KEY_LINE"
    same 2 "$status"
    like 'a key is never an argument' "$stderr"
    no_key "$stderr"
    run --separate-stderr kctl certificate create --cert-file /etc/passwd --key-file "$T/rsa.key"
    same 2 "$status"
    same 'keyctl: /etc/passwd is no PEM file' "$stderr"
    run kctl certificate create --cert-file "$T/rsa.pem"
    same 2 "$status"
    kctl certificate create --cert-file "$T/rsa.pem" --key-file - --snis three.example <"$T/rsa.key"
    kctl certificate delete three.example
}

@test "a service of https names its CAs and its own certificate, which stay as long as it" {
    local ca rsa
    ca=$(make ca-certificate --cert-file "$T/ca.pem")
    holds '.cert_digest == $digest' "$(kctl ca-certificate get "$ca" -o json)" \
        --arg digest "$(openssl x509 -in "$T/ca.pem" -outform DER | sha256sum | cut -d' ' -f1)"
    rsa=$(new_certificate rsa --snis four.example)
    kctl service create --name secure --url https://127.0.0.1/x --ca-certificates "$ca" --client-certificate four.example \
        --tls-verify true --tls-verify-depth 3 -o json >"$T/out"
    holds '.protocol == "https" and .port == 443 and .tls_verify and .tls_verify_depth == 3 and .ca_certificates == [$ca]
        and .client_certificate.id == $rsa' "$(<"$T/out")" --arg ca "$ca" --arg rsa "$rsa"
    refused "ca certificate $ca is still referenced by services (id = $(jq -r .id "$T/out"))" ca-certificate delete "$ca"
    refused "an existing 'services' entity references this 'certificates' entity" certificate delete "$rsa"
    refused "2 schema violations (failed conditional validation given value of field 'protocol'; tls_verify: value must be null)" \
        service create --name plain --url http://127.0.0.1/ --tls-verify false
    refused "the foreign key '{id=\"$rsa\"}' does not reference an existing 'ca_certificates' entity." \
        service create --name other --url https://127.0.0.1/ --ca-certificates "$rsa"
    kctl service delete secure
    kctl certificate delete "$rsa"
    kctl ca-certificate delete "$ca"
}

@test "a route with server names takes plain requests by the rest of it" {
    make service --name plain --url http://127.0.0.1:8001
    kctl route create --service plain --name named --snis five.example --paths /named
    same 200 "$(ns_run "$GW" curl -s -o /dev/null -w '%{http_code}' "$PROXY/named")"
    kctl route update named --protocols https
    same 426 "$(ns_run "$GW" curl -s -o /dev/null -w '%{http_code}' "$PROXY/named")"
    kctl route delete named
    kctl service delete plain
}

@test "a restart keeps all of it, and no key is on the disk or in the log in clear" {
    local before
    new_certificate rsa --snis six.example,six.*
    make ca-certificate --cert-file "$T/ca.pem"
    before=$(kctl certificate list -o json; kctl sni list -o json; kctl ca-certificate list -o json)
    stop_keygated
    start_keygated
    same "$before" "$(kctl certificate list -o json; kctl sni list -o json; kctl ca-certificate list -o json)"
    # The search itself is proved by the certificate, which is there in clear.
    grep -raqF "$(sed -n 2p "$T/rsa.pem")" "$T/state"
    run grep -raF "$KEY_LINE" "$T/state" "$T/keygated.log" "$T/keygated.all"
    same 1 "$status"
    kctl certificate delete six.example
}
