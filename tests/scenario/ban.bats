#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-2-Clause
# Bans: who gets one, what it does in the kernel, and what outlives what. Each test uses an abuser's address of its own.
# shellcheck disable=SC2154,SC2016 # bats sets status and output; dollars in single quotes are jq's

load helper

setup_file()
{
    file_begin
    join_client
    join_abuser
    start_upstream
    start_gateway
    make service --name upstream --url http://127.0.0.1:8001
    make route --service upstream --name keyed --paths /keyed
    make plugin --name key-auth --route keyed
    make route --service upstream --name open --paths /open
    make consumer --username alice
    make_key alice >"$T/alice.key"
}

teardown_file()
{
    file_end
}

setup()
{
    ALICE=$(<"$T/alice.key")
}

teardown()
{
    show_log
}

start_gateway()
{
    start_keygated --set 'xdp.interfaces=[to-client, to-abuser]' --set guard.threshold=5 "$@"
}

# fail_times N ADDRESS: N requests with wrong keys.
fail_times()
{
    local n

    for ((n = 1; n <= $1; n++)); do
        abuser_curl "$2" /keyed/echo -H "apikey: guess-$n" -o /dev/null || true
    done
}

banned()
{
    kctl ban get "$1" >/dev/null 2>&1
}

# times_out ADDRESS: a connection attempt gets no answer at all.
times_out()
{
    run abuser_curl "$1" /open/echo
    same 28 "$status"
}

client_is_well()
{
    same 200 "$(status_of client_curl /keyed/echo -H "apikey: $ALICE")"
}

# ban_field4 ADDRESS FIELD: from the kernel's map.
ban_field4()
{
    bpftool -j map dump pinned "$BPF_DIR/ban_v4" |
        jq -e --argjson a "[${1//./,}]" --arg f "$2" '.[].formatted | select(.key.addr == $a) | .value[$f]'
}

drops_above()
{
    [[ $(ban_field4 "$1" drops) -gt $2 ]]
}

@test "XDP is native on both interfaces, and status says so" {
    same native "$(xdp_mode "$GW" to-client)"
    same native "$(xdp_mode "$GW" to-abuser)"
    holds '[.xdp.interfaces[] | {name, attached, mode}] == [
        {"name": "to-client", "attached": true, "mode": "native"},
        {"name": "to-abuser", "attached": true, "mode": "native"}]' "$(kctl status -o json)"
    for pin in prog link_to-client link_to-abuser ban_v4 ban_v6 allow_net4 allow_net6 consumer_stats xdp_stats; do
        [[ -e $BPF_DIR/$pin ]] || same "$pin is pinned" "$(ls "$BPF_DIR")"
    done
}

@test "below the threshold nobody is banned" {
    fail_times 4 198.51.100.67
    same 200 "$(status_of abuser_curl 198.51.100.67 /open/echo)"
    run banned 198.51.100.67
    same 1 "$status"
}

@test "at the threshold the source is banned: its connections time out, others are served" {
    fail_times 4 198.51.100.68
    same 401 "$(status_of abuser_curl 198.51.100.68 /keyed/echo -H 'apikey: guess-5')"
    wait_for banned 198.51.100.68
    times_out 198.51.100.68
    client_is_well
    same 200 "$(status_of abuser_curl 198.51.100.69 /open/echo)"
}

@test "missing keys count as much as wrong ones" {
    local n
    for n in 1 2 3 4 5; do
        abuser_curl 198.51.100.70 /keyed/echo -o /dev/null || true
    done
    wait_for banned 198.51.100.70
}

@test "right keys and open routes never count" {
    local n
    for n in 1 2 3 4 5 6 7 8; do
        same 200 "$(status_of abuser_curl 198.51.100.71 /keyed/echo -H "apikey: $ALICE")"
        same 200 "$(status_of abuser_curl 198.51.100.71 /open/echo)"
    done
    run banned 198.51.100.71
    same 1 "$status"
}

@test "the kernel's map holds the ban with reason and rising drops, keyctl tells the same" {
    fail_times 5 198.51.100.72
    wait_for banned 198.51.100.72
    same '"KG_BAN_WRONG_KEY"' "$(ban_field4 198.51.100.72 reason)"
    times_out 198.51.100.72
    local drops
    drops=$(ban_field4 198.51.100.72 drops)
    [[ $drops -ge 1 ]]
    times_out 198.51.100.72
    wait_for drops_above 198.51.100.72 "$drops"
    holds 'any(.[]; .address == "198.51.100.72" and .reason == "wrong_key" and .drops > 0 and .offences == 1
        and .expires_in > 200 and .expires_in <= 300 and .expires - .since == 300)' "$(bans)"
    holds '.address == "198.51.100.72" and .drops > 0' "$(kctl ban get 198.51.100.72 -o json)"
    holds '.xdp.packets.drop_ban4.packets > 0 and .xdp.packets.drop_ban4.bytes > 0 and .guard.bans > 0' \
        "$(kctl status -o json)"
}

@test "deleting a ban opens the door at once; deleting none is refused" {
    kctl ban create 198.51.100.73
    times_out 198.51.100.73
    kctl ban delete 198.51.100.73
    same 200 "$(status_of abuser_curl 198.51.100.73 /open/echo)"
    run kctl ban delete 198.51.100.73
    same 1 "$status"
    run kctl ban get 198.51.100.73
    same 1 "$status"
}

@test "a ban by hand for three seconds is in force at once and ends by itself" {
    local started
    started=$(now_ms)
    kctl ban create 198.51.100.74 --ttl 3s
    times_out 198.51.100.74
    wait_for has_status 200 abuser_curl 198.51.100.74 /open/echo --connect-timeout 1
    [[ $(($(now_ms) - started)) -ge 2900 ]]
    ban_reaped()
    {
        ! banned 198.51.100.74 && ! ban_field4 198.51.100.74 drops
    }
    wait_for ban_reaped
    holds 'all(.[]; .address != "198.51.100.74")' "$(bans)"
}

@test "a ban for ever has no end" {
    kctl ban create 198.51.100.75 --ttl 0s
    holds '.expires == null and .expires_in == null and .reason == "manual"' "$(kctl ban get 198.51.100.75 -o json)"
    same 0 "$(ban_field4 198.51.100.75 expires_ns)"
    times_out 198.51.100.75
    kctl ban delete 198.51.100.75
}

@test "a repeat offender's ban is twice as long" {
    stop_keygated
    start_gateway --set guard.ban_time=2s
    fail_times 5 198.51.100.76
    wait_for banned 198.51.100.76
    holds '.offences == 1 and .expires - .since == 2' "$(kctl ban get 198.51.100.76 -o json)"
    wait_for has_status 200 abuser_curl 198.51.100.76 /open/echo --connect-timeout 1
    fail_times 5 198.51.100.76
    wait_for banned 198.51.100.76
    holds '.offences == 2 and .expires - .since == 4' "$(kctl ban get 198.51.100.76 -o json)"
    wait_for has_status 200 abuser_curl 198.51.100.76 /open/echo --connect-timeout 1
    stop_keygated
    start_gateway --set guard.ban_time=2s
    fail_times 5 198.51.100.76
    wait_for banned 198.51.100.76
    holds '.offences == 3 and .expires - .since == 8' "$(kctl ban get 198.51.100.76 -o json)"
    kctl ban delete 198.51.100.76
    stop_keygated
    start_gateway
}

@test "an allow-listed network lifts bans, is never banned, and can be banned again when it is taken off" {
    kctl ban create 198.51.100.77
    times_out 198.51.100.77
    kctl allow create 198.51.100.77/32 --comment 'a tester'
    same 200 "$(status_of abuser_curl 198.51.100.77 /open/echo)"
    fail_times 8 198.51.100.77
    same 401 "$(status_of abuser_curl 198.51.100.77 /keyed/echo)"
    run kctl ban create 198.51.100.77
    same 1 "$status"
    like '198\.51\.100\.77' "$output"
    holds 'any((.data? // .)[]; (.network | sub("/32$"; "")) == "198.51.100.77" and .comment == "a tester" and .source == "api")' \
        "$(kctl allow list -o json)"
    kctl allow delete 198.51.100.77/32
    run kctl allow delete 198.51.100.77/32
    same 1 "$status"
    kctl ban create 198.51.100.77
    times_out 198.51.100.77
}

@test "networks of guard.allow are never banned and cannot be taken off at run time" {
    stop_keygated
    start_gateway --set 'guard.allow=[198.51.100.78/31]'
    fail_times 8 198.51.100.79
    same 200 "$(status_of abuser_curl 198.51.100.79 /open/echo)"
    run kctl ban create 198.51.100.78
    same 1 "$status"
    holds 'any((.data? // .)[]; .network == "198.51.100.78/31" and .source == "config")' "$(kctl allow list -o json)"
    run kctl allow delete 198.51.100.78/31
    same 1 "$status"
    stop_keygated
    start_gateway
}

@test "the gateway's own addresses cannot be banned, by nobody" {
    local address
    for address in 127.0.0.1 127.1.2.3 ::1 192.0.2.1 198.51.100.1 fd00:66::1; do
        run kctl ban create "$address"
        same "$address 1" "$address $status"
        [[ -n $output ]]
    done
    for n in 1 2 3 4 5 6 7 8; do
        gw_curl /keyed/echo -o /dev/null
    done
    same 401 "$(status_of gw_curl /keyed/echo)"
    holds 'all(.[]; .address | startswith("198.51.100."))' "$(bans)"
}

@test "what is no address is refused and bans nobody" {
    local before word
    before=$(bans | jq -c '[.[].address]')
    for word in nonsense 1.2.3 1.2.3.4.5 300.1.1.1 192.0.2.0/24 ''; do
        run kctl ban create "$word"
        [[ $status -eq 1 || $status -eq 2 ]]
    done
    run kctl ban create 198.51.100.80 --ttl soon
    [[ $status -eq 1 || $status -eq 2 ]]
    same 400 "$(admin_status /bans -H 'Content-Type: application/json' -d '{"address":"198.51.100.80","ttl":-1}')"
    same 400 "$(admin_status /bans -H 'Content-Type: application/json' -d '{"address":"198.51.100.80","bogus":1}')"
    same 400 "$(admin_status /bans -H 'Content-Type: application/json' -d '{}')"
    same "$before" "$(bans | jq -c '[.[].address]')"
}

@test "an IPv6 abuser is banned with its whole /64, its neighbours are not" {
    fail_times 5 2001:db8:bad:1::66
    wait_for banned 2001:db8:bad:1::66
    times_out 2001:db8:bad:1::66
    times_out 2001:db8:bad:1::67
    same 200 "$(status_of abuser_curl 2001:db8:bad:2::1 /open/echo)"
    bpftool -j map dump pinned "$BPF_DIR/ban_v6" >"$T/v6.json"
    holds 'any(.[].formatted; .key.prefix == [32,1,13,184,11,173,0,1] and .value.drops > 0)' "$(<"$T/v6.json")"
    kctl ban delete 2001:db8:bad:1::67
    same 200 "$(status_of abuser_curl 2001:db8:bad:1::66 /open/echo)"
}

@test "open connections of a banned source are reset" {
    (ns_exec "$ID-abuser" /usr/bin/python3 "$BATS_TEST_DIRNAME/bulk.py" hold http://198.51.100.1:9080/open/echo) \
        </dev/null >"$T/hold.log" 2>&1 3>&- 4>&- &
    echo $! >"$T/pids/hold"
    wait_for grep -q ready "$T/hold.log"
    # The kernel picks the first address of the interface for it.
    kctl ban create 198.51.100.66 --ttl 1m
    wait_for gone "$(pid_of hold)"
    rm "$T/pids/hold"
    same $'ready\nreset' "$(<"$T/hold.log")"
    kctl ban delete 198.51.100.66
}

@test "kill -9 leaves the ban in force, and a restart keeps its end and its drops" {
    kctl ban create 198.51.100.81 --ttl 10m
    local before after drops
    before=$(kctl ban get 198.51.100.81 -o json | jq .expires)
    kill_keygated
    same native "$(xdp_mode "$GW" to-abuser)"
    times_out 198.51.100.81
    drops=$(ban_field4 198.51.100.81 drops)
    [[ $drops -ge 1 ]]
    # Nobody listens, so others are refused: the time-out above is the ban's doing.
    run abuser_curl 198.51.100.82 /open/echo
    same 7 "$status"

    start_gateway
    times_out 198.51.100.81
    after=$(kctl ban get 198.51.100.81 -o json | jq .expires)
    [[ $((after - before)) -ge -1 && $((after - before)) -le 1 ]] || same "$before" "$after"
    drops_above 198.51.100.81 "$drops"
    client_is_well
}

@test "an orderly stop leaves the ban in force, a restart keeps what is left of its time" {
    kctl ban create 198.51.100.83 --ttl 10m
    local before after
    before=$(kctl ban get 198.51.100.83 -o json | jq .expires)
    stop_keygated
    times_out 198.51.100.83
    start_gateway
    times_out 198.51.100.83
    after=$(kctl ban get 198.51.100.83 -o json | jq .expires)
    [[ $((after - before)) -ge -1 && $((after - before)) -le 1 ]] || same "$before" "$after"
}

@test "a ban lifted before kill -9 stays lifted" {
    kctl ban create 198.51.100.84
    kctl ban delete 198.51.100.84
    kill_keygated
    start_gateway
    run banned 198.51.100.84
    same 1 "$status"
    same 200 "$(status_of abuser_curl 198.51.100.84 /open/echo)"
}

@test "a dead daemon leaves nobody banned for longer than the ban" {
    kctl ban create 198.51.100.85 --ttl 3s
    kill_keygated
    times_out 198.51.100.85
    refused()
    {
        run abuser_curl 198.51.100.85 /open/echo --connect-timeout 1
        [[ $status -eq 7 ]]
    }
    wait_for refused
    start_gateway
    run banned 198.51.100.85
    same 1 "$status"
}

@test "--detach leaves nothing in the kernel, and the next start puts the stored bans back" {
    kctl ban create 198.51.100.86 --ttl 10m
    stop_keygated
    "$KEYGATED" --detach --config "$CONFIG"
    same none "$(xdp_mode "$GW" to-client)"
    same none "$(xdp_mode "$GW" to-abuser)"
    [[ ! -e $BPF_DIR ]]
    run abuser_curl 198.51.100.86 /open/echo
    same 7 "$status"
    "$KEYGATED" --detach --config "$CONFIG"

    start_gateway
    times_out 198.51.100.86
    same native "$(xdp_mode "$GW" to-abuser)"
}

@test "without XDP a ban is enforced in user space" {
    stop_keygated
    "$KEYGATED" --detach --config "$CONFIG"
    start_keygated --set guard.threshold=5
    same none "$(xdp_mode "$GW" to-abuser)"
    kctl ban create 198.51.100.87
    run abuser_curl 198.51.100.87 /open/echo
    [[ $status -ne 0 && $status -ne 28 ]] || same 'closed or reset' "$status: $output"
    client_is_well
    kctl ban delete 198.51.100.87
    same 200 "$(status_of abuser_curl 198.51.100.87 /open/echo)"
    stop_keygated
    start_gateway
}

@test "every address of the client's own network but the abuser's is still served" {
    client_is_well
    same 200 "$(status_of abuser_curl 198.51.100.88 /open/echo)"
}
