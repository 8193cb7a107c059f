#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-2-Clause
# README.md and docs/*.md: every example runs and shows what the page says, every link leads somewhere, and what the pages
# list is what the programs have. One gateway for all pages, in this order; each page goes on with what README.md made.
# shellcheck disable=SC2154 # bats sets status, output and lines

load helper

PAGES=(README.md docs/keyctl.md docs/declarative.md docs/admin-api.md docs/guard.md docs/operating.md docs/errors.md docs/walkthroughs.md docs/migrating-from-apisix.md docs/internals.md docs/testing.md
    docs/benchmarks.md docs/policies.md docs/policies/ip-restriction.md docs/policies/acl.md docs/policies/jwt.md docs/policies/rate-limiting.md docs/policies/key-auth.md
    docs/policies/request-size-limiting.md docs/policies/correlation-id.md docs/policies/request-termination.md)

setup_file()
{
    export BATS_NO_PARALLELIZE_WITHIN_FILE=true
    file_begin
    start_httpbin
    # As `make run` does, so that its reader sees the same.
    start_keygated --set 'listen=["127.0.0.1:9080", "127.0.0.1:9443 ssl"]' --set 'xdp.interfaces=[lo]'
}

teardown_file()
{
    if [[ -e $BPF_DIR-second ]]; then
        "$KEYGATED" --detach --config "$CONFIG" --set "xdp.bpf_dir=$BPF_DIR-second"
    fi
    file_end
}

setup()
{
    cd "$TOP" || return
}

teardown()
{
    show_log
}

docs()
{
    /usr/bin/python3 "$BATS_TEST_DIRNAME/docs.py" "$@"
}

# run_page PAGE: in the gateway's namespace, where its reader's terminal would be.
run_page()
{
    PATH=$BUILD:$PATH ns_run "$GW" /usr/bin/python3 "$BATS_TEST_DIRNAME/docs.py" run "$1"
}

@test "no page is left out" {
    same "$(printf '%s\n' "${PAGES[@]}" | sort)" "$(find README.md docs -name '*.md' | sort)"
}

# What is not run is here, line by line: an example that nobody runs cannot slip in.
@test "the examples that are not run are known" {
    docs list "${PAGES[@]}" >"$T/blocks"
    same "$(sort <<'LINES'
make make bench
make make bench-control
make make demo
make make fuzz-smoke
make make lint
make make run
make make test
make make test
make make test VARIANT=asan
not-run DOCS_SHOW=1 bats --show-output-of-passing-tests tests/scenario/readme.bats
not-run KEYGATE_SEED=7 KEYGATE_ROUNDS=10000000 build/unit/http/test_differential
not-run build/fuzz/fuzz_head -merge=1 tests/fuzz/corpus/head build/fuzz/found/head
not-run make fuzz
not-run make fuzz FUZZ_SECONDS=300 FUZZ_TARGETS='head uri'
not-run BENCH_CASES='get_64 answer_64k' BENCH_ROUNDS=9 BENCH_SECONDS=3 make bench
not-run bats --filter 'at the threshold' tests/scenario/ban.bats
not-run ip netns list
not-run FAULT_PROFILE=rough FAULT_SEED=7 FAULT_TRACE=1 build/fault/test_fault
not-run make bpf-test && build/bpf-test/test_xdp
not-run make fault && FAULT_SCHEDULES=5000 build/fault/test_fault
not-run make build/fuzz/fuzz_head && build/fuzz/fuzz_head -max_total_time=60 tests/fuzz/corpus/head
not-run make unit && build/unit/http/test_framing
not-run nsenter --net=/run/netns/kgt-XXXXXX-gw bash
not-run tests/run build tests/scenario/ban.bats
LINES
)" "$(grep -vE '^(run|walkthrough) ' "$T/blocks" | sort)"
    [[ $(grep -c '^run ' "$T/blocks") -ge 41 ]]
}

@test "every step of a walkthrough is one that its scenario takes" {
    local name

    grep '^walkthrough ' "$T/blocks" | cut -d' ' -f2 | sort >"$T/steps"
    [[ -s $T/steps ]]
    while read -r name; do
        grep -qE "^ *step $name\$" tests/scenario/walkthrough_"${name%%-*}"_*.bats || same "step $name" 'is taken by no scenario'
    done <"$T/steps"
}

# has_target NAME: a rule of the Makefile makes it, perhaps along with others.
has_target()
{
    grep -qE "^([a-z-]+ )*$1( [a-z-]+)*:" Makefile || same "a target $1" 'none'
}

@test "every make target that a page names is there" {
    local target
    while read -r target; do
        has_target "$target"
    done < <(grep -oh '`make [a-z-]*' "${PAGES[@]}" | cut -d' ' -f2 | grep . | sort -u)
    for target in run test demo bench bench-control lint fuzz-smoke; do
        has_target "$target"
    done
}

@test "the first screen says what it is, the commands, and what you will see" {
    head -n 40 README.md >"$T/screen"
    like 'API gateway' "$(head -n 6 "$T/screen")"
    local line
    for line in 'make run' 'make test' 'make demo'; do
        grep -qx "$line" "$T/screen" || same "$line" "$(<"$T/screen")"
    done
    like 'passed, 0 failed' "$(<"$T/screen")"
    # The excerpts are what the scripts say.
    for line in 'in front of httpbin. Try, in another terminal:' 'the next connection attempt times out: the kernel' \
        'client goes on getting 200'; do
        grep -qF "$line" "$T/screen" || same "$line" "$(<"$T/screen")"
    done
    grep -qF 'in front of httpbin. Try, in another terminal:' scripts/run
    grep -qF 'the next connection attempt times out: the kernel' scripts/demo
}

@test "every link leads somewhere" {
    docs links "${PAGES[@]}"
}

@test "README.md" {
    run_page README.md
}

@test "docs/keyctl.md" {
    run_page docs/keyctl.md
}

@test "docs/declarative.md" {
    run_page docs/declarative.md
}

@test "docs/admin-api.md" {
    run_page docs/admin-api.md
}

@test "docs/guard.md" {
    run_page docs/guard.md
}

@test "docs/policies/rate-limiting.md" {
    run_page docs/policies/rate-limiting.md
}

@test "docs/operating.md" {
    run_page docs/operating.md
}

@test "docs/policies/key-auth.md" {
    run_page docs/policies/key-auth.md
}

@test "docs/errors.md" {
    run_page docs/errors.md
}

@test "docs/migrating-from-apisix.md" {
    run_page docs/migrating-from-apisix.md
}

@test "docs/policies.md" {
    run_page docs/policies.md
}

@test "docs/policies/ip-restriction.md" {
    run_page docs/policies/ip-restriction.md
}

@test "docs/policies/acl.md" {
    run_page docs/policies/acl.md
}

@test "docs/policies/request-size-limiting.md" {
    run_page docs/policies/request-size-limiting.md
}

@test "docs/policies/correlation-id.md" {
    run_page docs/policies/correlation-id.md
}

@test "docs/policies/request-termination.md" {
    run_page docs/policies/request-termination.md
}

@test "docs/policies/jwt.md" {
    run_page docs/policies/jwt.md
}

# in_page PAGE WORD...: each stands in the page in backticks.
in_page()
{
    local word missing=0

    for word in "${@:2}"; do
        grep -qF "\`$word\`" "$1" || {
            echo "$1 does not have \`$word\`"
            missing=1
        }
    done
    return "$missing"
}

@test "operating.md has every field of the status" {
    local fields
    mapfile -t fields < <(kctl status -o json | jq -r '
        (.database | keys[] | "database." + .), (.server | keys[] | "server." + .), (.guard | keys[] | "guard." + .),
        (.xdp.interfaces[0] | keys[] | "xdp.interfaces[N]." + .)')
    [[ ${#fields[@]} -ge 17 ]]
    in_page docs/operating.md "${fields[@]}"
    same '["packets"]' "$(kctl status -o json | jq -c '[.xdp | keys[] | select(. != "interfaces")]')"
}

@test "guard.md has every verdict and every pin" {
    local names
    mapfile -t names < <(kctl status -o json | jq -r '.xdp.packets | keys[]')
    same 8 "${#names[@]}"
    in_page docs/guard.md "${names[@]}"
    mapfile -t names < <(find "$BPF_DIR" -mindepth 1 -printf '%f\n' | sed 's/^link_lo$/link_NAME/')
    same 8 "${#names[@]}"
    in_page docs/guard.md "${names[@]}"
}

@test "admin-api.md has every field of every entity" {
    local fields
    mapfile -t fields < <({
        kctl service create --name fields --url http://127.0.0.1:8000 -o json
        kctl route create --name fields --service fields --paths /fields -o json
        kctl plugin create --name key-auth --route fields -o json
        kctl upstream create --name fields -o json
        kctl target create 127.0.0.1:8000 --upstream fields -o json
        kctl consumer create --username fields -o json
        kctl key create --consumer fields -o json
        kctl jwt create --consumer fields -o json
        kctl acl create fields --consumer fields -o json
        openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 9 -subj /CN=fields -keyout "$T/key.pem" \
            -out "$T/cert.pem" 2>/dev/null
        kctl certificate create --cert-file "$T/cert.pem" --key-file "$T/key.pem" -o json
        kctl sni create --name fields --certificate "$(kctl certificate list -o json | jq -r '.data[0].id')" -o json
        kctl ca-certificate create --cert-file "$T/cert.pem" -o json
        kctl ban create 203.0.113.99 -o json
        kctl stats -o json | jq '.data[0]'
    } | jq -r 'keys[], (.config? // {} | keys[])' | grep -v '^status_[34]' | sort -u)
    [[ ${#fields[@]} -ge 50 ]]
    in_page docs/admin-api.md "${fields[@]}"
}

# has_config PAGE PLUGIN: the page has a row for each field of the plugin's config.
has_config()
{
    local fields

    mapfile -t fields < <(admin "/schemas/plugins/$2" | jq -r '.fields[].config? // empty | .fields[] | keys[0]')
    [[ ${#fields[@]} -gt 0 ]]
    in_page "$1" "${fields[@]}"
}

@test "each policy's page has every field of its config" {
    local page
    for page in docs/policies/*.md; do
        has_config "$page" "$(basename "$page" .md)"
    done
}

@test "policies.md has every plugin there is, in the order of their priorities" {
    local there
    there=$(admin / | jq -r '.plugins.available_on_server | to_entries | map("\(.value.priority) \(.key)") | .[]' | sort -rn | cut -d' ' -f2)
    # ip-restriction stands where it runs for all.
    same "$(grep -v '^ip-restriction$' <<<"$there")" \
        "$(sed -n 's/^| \[\([a-z-]*\)\].*/\1/p' docs/policies.md | grep -v '^ip-restriction$')"
}

# help_list HEADING: the names that keyctl --help lists under it.
help_list()
{
    "$KEYCTL" --help | sed -n "/^$1:/,/^\$/s/^  \([a-z-]*\) .*/\1/p"
}

@test "keyctl.md has every noun and every command, and no other" {
    same "$(help_list Nouns)" "$(sed -n '/^| noun /,/^$/s/^| `\([a-z-]*\)`.*/\1/p' docs/keyctl.md)"
    same "$(help_list Commands)" "$(sed -n '/^| command /,/^$/s/^| `\([a-z-]*\)`.*/\1/p' docs/keyctl.md)"
    [[ $(help_list Nouns | wc -l) -ge 12 && $(help_list Commands | wc -l) -ge 2 ]]
}

@test "constants and settings that the pages name are there" {
    local word
    while read -r word; do
        grep -rqw "$word" user include || same "$word" 'is nowhere in user/ and include/'
    done < <(grep -ohE '\bKG_[A-Z0-9_]+' "${PAGES[@]}" | grep -v '^KG_BAN_' | sort -u)
    while read -r word; do
        "$KEYGATED" --check --config "$CONFIG" --set "$word=[[x]]" 2>&1 | grep -q 'unknown setting' && same "$word" 'unknown'
    done < <(grep -ohE '`(http|guard|xdp|upstream|admin|tls|errors)\.[a-z_]+`' "${PAGES[@]}" | tr -d '`' | grep -vE '^(guard\.bans|xdp\.packets)$|\.(c|h|py|md|dict)$' | sort -u)
    return 0
}
