#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-2-Clause
# JWTs as clients and upstreams see them, signed by jwt.py and openssl.
# shellcheck disable=SC2154,SC2016 # bats sets status and output; dollars in single quotes are jq's

load helper

setup_file()
{
    file_begin
    start_upstream
    start_keygated --set guard.threshold=0
    make service --name upstream --url http://127.0.0.1:8001
    make consumer --username alice --custom-id 42
    make consumer --username bob
    make consumer --username guest
    guarded plain
    guarded times --config claims_to_verify=exp,nbf
    guarded short --config claims_to_verify=exp --config maximum_expiration=60
    guarded places --config cookie_names=session --config uri_param_names=jwt,token --config header_names=authorization,x_token
    guarded realm --config realm=example
    guarded guests --config anonymous=guest
    guarded both
    make plugin --name key-auth --route both
    secret alice-app alice-secret alice
}

teardown_file()
{
    file_end
}

teardown()
{
    show_log
}

# guarded NAME [FLAG...]: a route /NAME with the plugin jwt.
guarded()
{
    make route --service upstream --name "$1" --paths "/$1"
    make plugin --name jwt --route "$1" "${@:2}"
}

# secret KEY SECRET CONSUMER [FLAG...]: a credential.
secret()
{
    printf %s "$2" >"$T/secret"
    make jwt --consumer "$3" --key "$1" --secret-file "$T/secret" "${@:4}"
}

token()
{
    /usr/bin/python3 "$BATS_TEST_DIRNAME/jwt.py" "$@"
}

# good [CLAIMS]: alice's, with more claims.
good()
{
    token HS256 alice-secret "{\"iss\":\"alice-app\"${1:+,$1}}"
}

# status_with PATH TOKEN [CURL…]
status_with()
{
    status_of gw_curl "$1/echo" -H "Authorization: Bearer $2" "${@:3}"
}

# refused_with MESSAGE CHALLENGE CURL…: 401 in the one right shape.
refused_with()
{
    gw_curl "${@:3}" -D "$T/head" -o "$T/body"
    like '^HTTP/1\.1 401 Unauthorized' "$(head -n 1 "$T/head")"
    kong_error "$1" "$T/body"
    same "$2" "$(header WWW-Authenticate "$T/head")"
    same 'application/json; charset=utf-8' "$(header Content-Type "$T/head")"
}

BAD='Bearer error="invalid_token"'

@test "a good token: 200, and the upstream is told who it is" {
    local seen
    seen=$(gw_curl /plain/echo -H "Authorization: Bearer $(good)" -H 'X-Consumer-Username: root')
    same alice "$(upstream_header X-Consumer-Username "$seen")"
    same 42 "$(upstream_header X-Consumer-Custom-ID "$seen")"
    same alice-app "$(upstream_header X-Credential-Identifier "$seen")"
    same "$(kctl consumer get alice -o json | jq -r .id)" "$(upstream_header X-Consumer-ID "$seen")"
}

@test "no token: 401 with the bare challenge, and with a realm" {
    refused_with Unauthorized Bearer /plain
    refused_with Unauthorized Bearer /plain -H 'Authorization: Basic YTpi'
    refused_with Unauthorized 'Bearer realm="example"' /realm
    refused_with 'Bad token; invalid JSON' 'Bearer realm="example", error="invalid_token"' /realm -H 'Authorization: Bearer x'
}

@test "a token comes in the header, in the query or in a cookie" {
    local token
    token=$(good)
    same 200 "$(status_with /places "$token")"
    same 200 "$(status_of gw_curl /places/echo -H "X-Token: bearer $token")"
    same 200 "$(status_of gw_curl "/places/echo?a=1&token=$token")"
    same 200 "$(status_of gw_curl /places/echo -b "a=1; session=$token")"
    same 200 "$(status_of gw_curl "/places/echo?jwt=$token" -b "session=$token" -H "Authorization: Bearer $token")"
    same 401 "$(status_of gw_curl /plain/echo -b "session=$token")"
    refused_with 'Multiple tokens provided' "$BAD" "/places?jwt=$token" -b session=other
}

@test "what is wrong with a token is said" {
    refused_with 'Bad token; invalid alg' "$BAD" /plain -H "Authorization: Bearer $(token none x '{"iss":"alice-app"}')"
    refused_with "No mandatory 'iss' in claims" "$BAD" /plain -H "Authorization: Bearer $(token HS256 x '{}')"
    refused_with "Invalid 'iss' in claims" "$BAD" /plain -H "Authorization: Bearer $(token HS256 x '{"iss":""}')"
    refused_with "No credentials found for given 'iss'" "$BAD" /plain -H "Authorization: Bearer $(token HS256 x '{"iss":"eve"}')"
    refused_with 'Invalid algorithm' "$BAD" /plain -H "Authorization: Bearer $(token HS384 alice-secret '{"iss":"alice-app"}')"
    refused_with 'Invalid signature' "$BAD" /plain -H "Authorization: Bearer $(token HS256 guessed '{"iss":"alice-app"}')"
}

@test "errors follow Accept" {
    gw_curl /plain -H 'Accept: text/plain' -D "$T/head" -o "$T/body"
    like '^text/plain' "$(header Content-Type "$T/head")"
    same Unauthorized "$(head -n 1 "$T/body")"
}

@test "every algorithm, with a key that openssl made" {
    local algorithm key
    openssl genpkey -algorithm rsa -pkeyopt rsa_keygen_bits:2048 -out "$T/R.key" 2>/dev/null
    for key in 256 384 521; do
        openssl genpkey -algorithm ec -pkeyopt "ec_paramgen_curve:P-$key" -out "$T/E${key/521/512}.key"
    done
    openssl genpkey -algorithm ed25519 -out "$T/d.key"
    for algorithm in HS256 HS384 HS512; do
        secret "$algorithm" s3cret bob --algorithm "$algorithm"
        same 200 "$(status_with /plain "$(token "$algorithm" s3cret "{\"iss\":\"$algorithm\"}")")"
    done
    for algorithm in RS256 RS384 RS512 PS256 PS384 PS512 ES256 ES384 ES512 EdDSA; do
        case $algorithm in
            [RP]S*) key=R ;;
            ES*) key=E${algorithm#ES} ;;
            *) key=d ;;
        esac
        openssl pkey -in "$T/$key.key" -pubout -out "$T/public.pem"
        make jwt --consumer bob --key "$algorithm" --algorithm "$algorithm" --rsa-public-key-file "$T/public.pem"
        same 200 "$(status_with /plain "$(token "$algorithm" "$T/$key.key" "{\"iss\":\"$algorithm\"}")")"
        # A public key is known to everybody: it is no secret to sign with.
        refused_with 'Invalid algorithm' "$BAD" /plain \
            -H "Authorization: Bearer $(token HS256 "$(<"$T/public.pem")" "{\"iss\":\"$algorithm\"}")"
    done
    refused_with 'Invalid signature' "$BAD" /plain \
        -H "Authorization: Bearer $(token RS256 "$T/R.key" '{"iss":"PS256"}' '{"alg":"PS256"}')"
}

@test "an ES algorithm's key lies on its curve" {
    openssl ecparam -name secp384r1 -genkey -noout | openssl pkey -pubout -out "$T/384.pem"
    answers 400 '.fields.rsa_public_key == "not a key for algorithm '"'ES256'"'"' /consumers/bob/jwt -d algorithm=ES256 \
        --data-urlencode "rsa_public_key@$T/384.pem"
}

@test "expired, not valid yet, and neither" {
    local now
    now=$(date +%s)
    same 200 "$(status_with /times "$(good "\"exp\":$((now + 60)),\"nbf\":$((now - 5))")")"
    refused_with 'exp: token expired' "$BAD" /times -H "Authorization: Bearer $(good "\"exp\":$((now - 5)),\"nbf\":1")"
    refused_with 'nbf: token not valid yet' "$BAD" /times \
        -H "Authorization: Bearer $(good "\"exp\":$((now + 60)),\"nbf\":$((now + 60)).5")"
    refused_with 'exp: must be a number, nbf: must be a number' "$BAD" /times -H "Authorization: Bearer $(good)"
    same 200 "$(status_with /plain "$(good '"exp":1')")"
}

@test "a token that is good ends when its time comes" {
    local token
    token=$(good "\"nbf\":1,\"exp\":$(($(date +%s) + 2))")
    same 200 "$(status_with /times "$token")"
    wait_for -t 5 has_status 401 gw_curl /times/echo -H "Authorization: Bearer $token"
}

@test "no token may last longer than maximum_expiration" {
    local now
    now=$(date +%s)
    same 200 "$(status_with /short "$(good "\"exp\":$((now + 50))")")"
    refused_with 'exp: exceeds maximum allowed expiration' "$BAD" /short -H "Authorization: Bearer $(good "\"exp\":$((now + 120))")"
    run -1 kctl plugin create --name jwt --service upstream --config maximum_expiration=60
    like 'expected to contain: exp' "$output"
}

@test "secret_is_base64 and key_claim_name" {
    guarded encoded --config secret_is_base64=true --config key_claim_name=kid
    secret encoded-app "$(printf 'in the clear' | base64)" bob
    same 200 "$(status_with /encoded "$(token HS256 'in the clear' '{"kid":"encoded-app"}')")"
    same 200 "$(status_with /encoded "$(token HS256 'in the clear' '{}' '{"kid":"encoded-app"}')")"
    secret no-base64 'no base64!' bob
    refused_with 'Invalid key/secret' "$BAD" /encoded -H "Authorization: Bearer $(token HS256 'no base64!' '{"kid":"no-base64"}')"
    refused_with "No mandatory 'kid' in claims" "$BAD" /encoded -H "Authorization: Bearer $(good)"
}

@test "preflights pass unasked where run_on_preflight is off" {
    guarded preflight --config run_on_preflight=false
    same 200 "$(status_of gw_curl /preflight/echo -X OPTIONS)"
    same 401 "$(status_of gw_curl /preflight/echo)"
    same 401 "$(status_of gw_curl /plain/echo -X OPTIONS)"
}

@test "anonymous: whoever has no good token is the guest" {
    local seen
    for seen in "$(gw_curl /guests/echo)" "$(gw_curl /guests/echo -H 'Authorization: Bearer x')"; do
        same guest "$(upstream_header X-Consumer-Username "$seen")"
        same true "$(upstream_header X-Anonymous-Consumer "$seen")"
        same '' "$(upstream_header X-Credential-Identifier "$seen")"
    done
    seen=$(gw_curl /guests/echo -H "Authorization: Bearer $(good)")
    same alice "$(upstream_header X-Consumer-Username "$seen")"
    same '' "$(upstream_header X-Anonymous-Consumer "$seen")"
}

@test "jwt and key-auth both required: the token first, and the key says who it is" {
    local key seen
    key=$(make_key bob)
    refused_with Unauthorized Bearer /both -H "apikey: $key"
    refused_with 'No API key found in request' Key /both -H "Authorization: Bearer $(good)"
    refused_with 'Invalid signature' "$BAD" /both -H "apikey: $key" -H "Authorization: Bearer $(token HS256 x '{"iss":"alice-app"}')"
    seen=$(gw_curl /both/echo -H "apikey: $key" -H "Authorization: Bearer $(good)")
    same bob "$(upstream_header X-Consumer-Username "$seen")"
}

@test "a secret is rotated, and a credential deleted, at once" {
    local old new
    secret rotating first bob
    old=$(token HS256 first '{"iss":"rotating"}')
    new=$(token HS256 second '{"iss":"rotating"}')
    same '200 401' "$(status_with /plain "$old") $(status_with /plain "$new")"
    same 200 "$(admin_status /jwts/rotating -X PATCH -d secret=second)"
    same '401 200' "$(status_with /plain "$old") $(status_with /plain "$new")"
    kctl jwt delete rotating
    refused_with "No credentials found for given 'iss'" "$BAD" /plain -H "Authorization: Bearer $new"
}

@test "a credential goes with its consumer, and follows it when it gets another name" {
    local token
    make consumer --username leaver
    secret leaving s leaver
    token=$(token HS256 s '{"iss":"leaving"}')
    same leaver "$(upstream_header X-Consumer-Username "$(gw_curl /plain/echo -H "Authorization: Bearer $token")")"
    kctl consumer update leaver --username left
    same left "$(upstream_header X-Consumer-Username "$(gw_curl /plain/echo -H "Authorization: Bearer $token")")"
    kctl consumer delete left
    same 401 "$(status_with /plain "$token")"
}

@test "credentials come with a declarative file too" {
    cat >"$T/more.yaml" <<YAML
_format_version: "3.0"
consumers:
- username: declared
  jwt_secrets:
  - key: declared-app
    secret: declared-secret
YAML
    kctl dump >"$T/before.yaml"
    kctl sync "$T/before.yaml" "$T/more.yaml" --yes
    same 200 "$(status_with /plain "$(token HS256 declared-secret '{"iss":"declared-app"}')")"
}

@test "nobody is shown a token" {
    local token said
    token=$(good)
    said=$(kctl explain GET "/places/echo?token=$token" -H "Authorization: Bearer $token" -H "Cookie: session=$token" -o json)
    holds '.outcome == "forward"' "$said"
    unlike "${token##*.}" "$said"
    unlike "${token##*.}" "$(kctl explain GET "/places/echo?token=$token" -H "Authorization: Bearer $token")"
    said=$(kctl explain GET /plain/echo -H 'Authorization: Bearer x' -o json)
    holds '.answer.status == 401 and .answer.message == "Bad token; invalid JSON"' "$said"
    run -1 grep -F "${token##*.}" "$T/keygated.log"
    run -1 grep -F alice-secret "$T/keygated.log"
}

@test "credentials are there again after a restart, and after a crash" {
    local token
    token=$(good)
    stop_keygated
    start_keygated --set guard.threshold=0
    same 200 "$(status_with /plain "$token")"
    kill_keygated
    start_keygated --set guard.threshold=0
    same 200 "$(status_with /plain "$token")"
    same 401 "$(status_with /plain "$(token HS256 x '{"iss":"alice-app"}')")"
}

@test "with hashed keys at rest a JWT's secret still works" {
    stop_keygated
    start_keygated --set guard.threshold=0 --set keys.at_rest=hashed
    same 200 "$(status_with /plain "$(good)")"
}

@test "wrong tokens count toward a ban, good ones do not" {
    stop_keygated
    join_abuser
    start_keygated --set guard.threshold=5
    local i token
    token=$(good)
    for ((i = 0; i < 8; i++)); do
        same 200 "$(status_of abuser_curl 198.51.100.66 /plain/echo -H "Authorization: Bearer $token")"
    done
    for ((i = 0; i < 5; i++)); do
        abuser_curl 198.51.100.67 /plain/echo -H "Authorization: Bearer ${token%??}AA" -o /dev/null || true
    done
    wait_for -t 10 holds_ban 198.51.100.67
    same 200 "$(status_of abuser_curl 198.51.100.66 /plain/echo -H "Authorization: Bearer $token")"
}

holds_ban()
{
    [[ $(bans | jq --arg a "$1" '[.[] | select(.address == $a)] | length') -eq 1 ]]
}
