#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-2-Clause
# Managing: keyctl, the Admin API in Kong's shapes, who may, and what an acknowledged write is worth.
# shellcheck disable=SC2154,SC2016 # bats sets status and output; dollars in single quotes are jq's

load helper

setup_file()
{
    file_begin
    start_upstream
    # A group that Debian always has, in the place of keygate's own.
    start_keygated --set admin.group=games
}

teardown_file()
{
    file_end
}

teardown()
{
    show_log
}

# all_entities: everything that can be changed, to see that nothing was.
all_entities()
{
    local path

    for path in services routes consumers plugins key-auths bans allow; do
        admin "/$path" | jq -cS .data
    done
}

# --- keyctl -----------------------------------------------------------------------------------------------------------------

@test "keyctl creates, gets, lists, updates and deletes services" {
    kctl service create --name s1 --url http://127.0.0.1:8001/base -o json >"$T/out"
    holds '.name == "s1" and .protocol == "http" and .host == "127.0.0.1" and .port == 8001 and .path == "/base"' "$(<"$T/out")"
    local id
    id=$(jq -r .id "$T/out")
    holds '.id == $id' "$(kctl service get s1 -o json)" --arg id "$id"
    holds '.name == "s1"' "$(kctl service get "$id" -o json)"
    like s1 "$(kctl service list)"
    holds '.read_timeout == 1234 and .path == "/base"' "$(kctl service update s1 --read-timeout 1234 -o json)"
    holds '.read_timeout == 1234' "$(kctl service get s1 -o json)"
    kctl service delete s1
    run kctl service get s1
    same 1 "$status"
}

@test "keyctl does the same with routes" {
    make service --name s2 --url http://127.0.0.1:8001
    kctl route create --service s2 --name r1 --paths /a --paths /b --methods GET --hosts a.com --strip-path false \
        --preserve-host true -o json >"$T/out"
    holds '.paths == ["/a", "/b"] and .methods == ["GET"] and .hosts == ["a.com"] and (.strip_path | not) and .preserve_host
        and (.service.id | length == 36)' "$(<"$T/out")"
    holds '.name == "r1"' "$(kctl route get r1 -o json)"
    like r1 "$(kctl route list)"
    holds '.paths == ["/c"] and .methods == ["GET"]' "$(kctl route update r1 --paths /c -o json)"
    kctl route delete r1
    run kctl route get r1
    same 1 "$status"
    kctl service delete s2
}

@test "keyctl does the same with consumers and keys" {
    holds '.username == "alice" and .custom_id == "42"' "$(kctl consumer create --username alice --custom-id 42 -o json)"
    holds '.username == "alice"' "$(kctl consumer get alice -o json)"
    like alice "$(kctl consumer list)"
    holds '.custom_id == "43"' "$(kctl consumer update alice --custom-id 43 -o json)"
    kctl key create --consumer alice -o json >"$T/out"
    holds '.key | test("^[A-Za-z0-9]{32}$")' "$(<"$T/out")"
    local id
    id=$(jq -r .id "$T/out")
    holds '[(.data? // .)[].id] == [$id]' "$(kctl key list --consumer alice -o json)" --arg id "$id"
    kctl key delete "$id" --consumer alice
    holds '[(.data? // .)[].id] == []' "$(kctl key list --consumer alice -o json)"
    kctl consumer delete alice
    run kctl consumer get alice
    same 1 "$status"
}

@test "keyctl does the same with plugins" {
    make service --name s3 --url http://127.0.0.1:8001
    local id
    id=$(make plugin --name key-auth --service s3 --config key_names=apikey,x-key --config hide_credentials=true)
    holds '.config.key_names == ["apikey", "x-key"] and .config.hide_credentials and .config.key_in_header and .enabled' \
        "$(kctl plugin get "$id" -o json)"
    like key-auth "$(kctl plugin list)"
    kctl plugin delete "$id"
    run kctl plugin get "$id"
    same 1 "$status"
    kctl service delete s3
}

@test "a generated key is shown in the table too" {
    make consumer --username tabler
    like '[A-Za-z0-9]{32}' "$(kctl key create --consumer tabler)"
    kctl consumer delete tabler
}

@test "keyctl prints tables, JSON and YAML" {
    make service --name printed --url http://127.0.0.1:8001
    like 'printed' "$(kctl service list -o table)"
    holds 'any((.data? // .)[]; .name == "printed")' "$(kctl service list -o json)"
    like 'name: "?printed' "$(kctl service list -o yaml)"
    kctl service delete printed
}

@test "keyctl status and stats" {
    holds '.database.reachable and .guard.bans == 0 and (.xdp.interfaces == [])' "$(kctl status -o json)"
    like '.' "$(kctl status)"
    run kctl stats
    same 0 "$status"
}

@test "exit status 1: refused, with the daemon's words on standard error" {
    make service --name twice --url http://127.0.0.1:8001
    run --separate-stderr kctl service create --name twice --url http://127.0.0.1:8001
    same 1 "$status"
    same '' "$output"
    like 'UNIQUE violation' "$stderr"
    run --separate-stderr kctl service create --name bad --url http://127.0.0.1:8001 --connect-timeout 0
    same 1 "$status"
    like 'connect_timeout' "$stderr"
    run kctl key create --consumer nobody-there
    same 1 "$status"
    kctl service delete twice
}

@test "exit status 2: wrong usage" {
    local before
    before=$(all_entities)
    run kctl
    same 2 "$status"
    run kctl nonsense list
    same 2 "$status"
    run kctl service nonsense
    same 2 "$status"
    run kctl service get
    same 2 "$status"
    run kctl status --nonsense
    same 2 "$status"
    same 'keyctl: status has no flag --nonsense; see keyctl status --help' "$output"
    run kctl service create --name x --nonsense y
    same 2 "$status"
    run kctl service list -o xml
    same 2 "$status"
    run kctl key create --consumer x --key secret
    same 2 "$status"
    same "$before" "$(all_entities)"
}

@test "exit status 3: no daemon" {
    run kctl service list --socket "$T/no-such.sock"
    same 3 "$status"
    like 'no-such\.sock' "$output"
}

# --- the Admin API ------------------------------------------------------------------------------------------------------------

@test "/ and /plugins/enabled" {
    answers 200 '.plugins.available_on_server["key-auth"]' /
    answers 200 '.enabled_plugins | index("key-auth") != null' /plugins/enabled
}

@test "form bodies as Kong takes them" {
    answers 201 '.name == "form" and .host == "127.0.0.1" and .port == 8001 and .enabled
        and .connect_timeout == 60000 and .tags == null and (.id | length == 36) and (.created_at | type == "number")' \
        /services -d name=form --data-urlencode url=http://127.0.0.1:8001
    answers 201 '.paths == ["/f", "/g"] and .strip_path == false and (.service.id | length == 36)' \
        /services/form/routes -d name=form-route -d 'paths[]=/f' -d 'paths[]=/g' -d strip_path=false
    answers 201 '.config.key_names == ["k1", "k2"] and .config.hide_credentials == true' \
        /routes/form-route/plugins -d name=key-auth -d config.key_names=k1 -d config.key_names=k2 -d config.hide_credentials=true
    answers 201 '.username == "form-user"' /consumers -d username=form-user
    answers 201 '.key == "form-key" and (.consumer.id | length == 36)' /consumers/form-user/key-auth -d key=form-key
    same 200 "$(status_of gw_curl /f/echo -H 'k2: form-key')"
}

@test "JSON bodies; GET, PATCH and PUT" {
    answers 201 '.name == "json"' /services -H "$JSON" -d '{"name":"json","url":"http://127.0.0.1:8001","tags":["a","b"]}'
    answers 200 '.tags == ["a","b"]' /services/json
    answers 200 '.read_timeout == 2 and .tags == ["a","b"]' /services/json -X PATCH -H "$JSON" -d '{"read_timeout":2}'
    answers 200 '.tags == null and .read_timeout == 2' /services/json -X PATCH -H "$JSON" -d '{"tags":null}'
    answers 200 '.read_timeout == 60000 and .host == "other"' /services/json -X PUT -H "$JSON" -d '{"host":"other"}'
    answers 200 '.name == "put-new" and .host == "h"' /services/put-new -X PUT -H "$JSON" -d '{"host":"h"}'
    same 204 "$(admin_status /services/put-new -X DELETE)"
    same 204 "$(admin_status /services/json -X DELETE)"
    same 204 "$(admin_status /services/json -X DELETE)"
    answers 404 '.message == "Not found"' /services/json
}

@test "nested and top-level paths show the same things" {
    answers 200 '.name == "form"' /routes/form-route/service
    answers 200 '[.data[].name] == ["form-route"] and .next == null' /services/form/routes
    answers 200 '[.data[].name] == ["key-auth"]' /routes/form-route/plugins
    answers 200 '[.data[].key] == ["form-key"]' /consumers/form-user/key-auth
    answers 200 'any(.data[]; .key == "form-key")' /key-auths
    answers 200 '.username == "form-user"' /key-auths/form-key/consumer
    answers 200 '.key == "form-key"' /consumers/form-user/key-auth/form-key
    answers 200 '.data == [] and .next == null' /services/form/plugins
}

@test "lists come in pages" {
    local n
    for n in 1 2 3 4 5; do
        make consumer --username "page-$n" >/dev/null
    done
    answers 200 '(.data | length) == 2 and (.next | test("offset=")) and .offset' '/consumers?size=2'
    local seen='' next='/consumers?size=2'
    while [[ $next != null ]]; do
        admin "$next" >"$T/body"
        seen+=" $(jq -r '[.data[].username] | join(" ")' "$T/body")"
        next=$(jq -r .next "$T/body")
    done
    for n in 1 2 3 4 5; do
        same 1 "$(tr ' ' '\n' <<<"$seen" | grep -cx "page-$n")"
    done
    answers 400 '.code == 9' '/consumers?size=0'
    answers 400 '.code == 7' '/consumers?offset=nonsense!'
}

@test "bad entities: Kong's error objects, and nothing changed" {
    local before
    before=$(all_entities)
    answers 400 '.code == 2 and .name == "schema violation" and .message == "schema violation (nope: unknown field)"
        and .fields == {"nope": "unknown field"}' /services -H "$JSON" -d '{"host":"h","nope":1}'
    answers 400 '.code == 2 and .fields.host == "required field missing"' /services -H "$JSON" -d '{"name":"x"}'
    answers 400 '.code == 2 and .fields.read_timeout == "expected an integer"' /services -H "$JSON" -d '{"host":"h","read_timeout":"soon"}'
    answers 400 '.code == 2 and .fields.read_timeout == "value should be between 1 and 2147483646"' /services -H "$JSON" -d '{"host":"h","read_timeout":0}'
    answers 400 '.code == 2 and (.message | startswith("2 schema violations ("))' /services -H "$JSON" -d '{"host":5,"nope":1}'
    answers 400 '.code == 2' /routes -H "$JSON" -d '{"name":"no-criteria"}'
    answers 400 '.code == 2' /routes -H "$JSON" -d '{"paths":["no-slash"]}'
    answers 400 '.code == 2' /consumers -H "$JSON" -d '{}'
    answers 400 '.code == 2' /plugins -H "$JSON" -d '{"name":"no-such-plugin"}'
    answers 400 '.code == 2' /plugins -H "$JSON" -d '{"name":"key-auth","config":{"nope":1}}'
    answers 400 '.code == 2' /routes -H "$JSON" -d '{"paths":["/x"],"protocols":["grpc"]}'
    answers 400 '.code == 2' /services/form -X PATCH -H "$JSON" -d '{"nope":1}'
    same "$before" "$(all_entities)"
}

@test "unique and foreign keys: Kong's error objects, and nothing changed" {
    local before
    before=$(all_entities)
    answers 409 '.code == 5 and .name == "unique constraint violation"
        and .message == "UNIQUE violation detected on '"'"'{username=\"form-user\"}'"'"'" and .fields == {"username":"form-user"}' \
        /consumers -d username=form-user
    answers 400 '.code == 4 or .code == 2' /routes -H "$JSON" \
        -d '{"paths":["/x"],"service":{"id":"11111111-1111-4111-8111-111111111111"}}'
    answers 400 '.code == 4 and (.message | test("an existing .routes. entity references this .services. entity"))' \
        /services/form -X DELETE
    same "$before" "$(all_entities)"
}

@test "a 409 never repeats a key" {
    same 409 "$(admin_status /consumers/form-user/key-auth -d key=form-key)"
    unlike form-key "$(<"$T/body")"
}

@test "malformed requests: the right status, and nothing changed" {
    local before
    before=$(all_entities)
    answers 400 '.message == "Cannot parse JSON body"' /services -H "$JSON" -d '{"host":'
    answers 400 '.message == "Cannot parse JSON body"' /services -H "$JSON" -d ''
    same 415 "$(admin_status /services -H 'Content-Type: text/csv' -d 'a,b')"
    answers 404 '.message == "Not found"' /nonsense
    answers 404 '.message == "Not found"' /services/nobody
    answers 404 '.message == "Not found"' /consumers/nobody/key-auth
    answers 405 '.message == "Method not allowed"' /services -X PATCH -H "$JSON" -d '{}'
    answers 405 '.message' /routes/form-route/service -X DELETE
    same 404 "$(admin_status /consumers/form-user/key-auth/no-such-key -X DELETE)"
    same "$before" "$(all_entities)"
}

@test "/bans and /allow" {
    answers 201 '.address == "203.0.113.9" and .reason == "manual" and .expires_in > 290 and .expires_in <= 300' \
        /bans -H "$JSON" -d '{"address":"203.0.113.9"}'
    answers 201 '.address == "203.0.113.10" and .expires_in <= 60 and .expires_in > 50' /bans -d address=203.0.113.10 -d ttl=60
    answers 200 '([.data[].address] | sort) == ["203.0.113.10", "203.0.113.9"] and .next == null' /bans
    answers 200 '.address == "203.0.113.9"' /bans/203.0.113.9
    same 204 "$(admin_status /bans/203.0.113.9 -X DELETE)"
    same 404 "$(admin_status /bans/203.0.113.9 -X DELETE)"
    answers 404 '.message' /bans/203.0.113.9
    same 204 "$(admin_status /bans/203.0.113.10 -X DELETE)"

    answers 201 '.network == "10.0.0.0/8" and .comment == "office" and .source == "api" and .created_at > 1700000000' \
        /allow -H "$JSON" -d '{"network":"10.0.0.0/8","comment":"office"}'
    answers 200 '[.data[] | select(.source == "api") | .network] == ["10.0.0.0/8"]' /allow
    answers 400 '.message' /bans -d address=10.1.2.3
    same 204 "$(admin_status /allow/10.0.0.0%2F8 -X DELETE)"
    same 404 "$(admin_status /allow/10.0.0.0%2F8 -X DELETE)"
}

# --- who may ------------------------------------------------------------------------------------------------------------------

# as SETPRIV-OPTIONS... : the HTTP status that somebody else gets; 000 when there was no connection.
as()
{
    setpriv "$@" curl -s --max-time 10 --unix-socket "$KEYGATE_SOCKET" -o /dev/null -w '%{http_code}' http://localhost/status || true
}

@test "a stranger is refused, by the file's mode and, behind that, by the daemon" {
    local games
    games=$(getent group games | cut -d: -f3)
    same "root games 660" "$(stat -c '%U %G %a' "$KEYGATE_SOCKET")"
    same 000 "$(as --reuid 65534 --regid 65534 --clear-groups)"
    chmod 666 "$KEYGATE_SOCKET"
    same 403 "$(as --reuid 65534 --regid 65534 --clear-groups)"
    chmod 660 "$KEYGATE_SOCKET"
    same 200 "$(as --reuid 65534 --regid "$games" --clear-groups)"
    same 200 "$(as --reuid 65534 --regid 65534 --groups "$games")"
    same 200 "$(as --reuid 0 --regid 0 --clear-groups)"
}

# --- what an acknowledged write is worth ----------------------------------------------------------------------------------------

@test "kill -9 during writes loses none that was acknowledged, and leaves no half" {
    local round name pid
    # Both kinds of writes, each noted only after its answer.
    writer()
    {
        local n

        for ((n = 0; ; n++)); do
            curl -s -f --max-time 10 --unix-socket "$KEYGATE_SOCKET" -o /dev/null -d "username=w$1-$n" http://localhost/consumers || return 0
            echo "w$1-$n" >>"$T/made"
            if [[ $((n % 3)) -eq 2 ]]; then
                curl -s -f --max-time 10 --unix-socket "$KEYGATE_SOCKET" -o /dev/null -X DELETE "http://localhost/consumers/w$1-$n" || return 0
                echo "w$1-$n" >>"$T/deleted"
            fi
        done
    }
    acknowledged()
    {
        [[ -e $T/made && $(wc -l <"$T/made") -ge $1 ]]
    }
    for round in 1 2 3; do
        touch "$T/deleted"
        writer "$round" </dev/null >/dev/null 2>&1 3>&- 4>&- &
        pid=$!
        wait_for -t 30 acknowledged $((round * 15))
        kill_keygated
        wait "$pid" # by its id: bats has children of its own here
        tail -n 1 "$T/made" >>"$T/last"
        start_keygated --set admin.group=games
        admin '/consumers?size=1000' | jq -r '.data[].username' | sort >"$T/there"
        while read -r name; do
            if grep -qx "$name" "$T/deleted"; then
                same '' "$(grep -x "$name" "$T/there")"
            else
                # The last one before a kill may have been deleted without our hearing of it.
                grep -qx "$name" "$T/last" || same "$name" "$(grep -x "$name" "$T/there")"
            fi
        done <"$T/made"
    done
}

@test "a restart brings back everything as it was" {
    local before
    before=$(all_entities)
    stop_keygated
    start_keygated --set admin.group=games
    same "$before" "$(all_entities)"
}
