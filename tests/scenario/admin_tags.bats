#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-2-Clause
# Lists: by tags, by custom_id, who has which tag, and how pages go on.
# shellcheck disable=SC2154,SC2016 # bats sets status and output; dollars in single quotes are jq's

load helper

setup_file()
{
    file_begin
    start_keygated
    make consumer --username a --tags red,big
    make consumer --username b --tags red
    make consumer --username c --tags blue,big --custom-id 'id of c'
    make consumer --username d
    make service --name s --url http://127.0.0.1:8001 --tags red
}

teardown_file()
{
    file_end
}

teardown()
{
    show_log
}

# named WANTED PATH [CURL OPTION...]: the usernames of the list, in its order.
named()
{
    answers 200 'has("next")' "${@:2}"
    same "$1" "$(jq -r '[.data[].username] | join(" ")' "$T/body")"
}

@test "?tags= filters a list: with a comma all of them, with a slash any" {
    named 'a b' '/consumers?tags=red'
    named 'a' '/consumers?tags=red,big'
    named 'a b c' '/consumers?tags=red/blue'
    named 'a b c' '/consumers?tags=blue%2Fred'
    named '' '/consumers?tags=red,blue'
    named '' '/consumers?tags=nobody'
    answers 200 '[.data[].name] == ["s"]' '/services?tags=red'
    answers 200 '.data == []' '/upstreams?tags=red'
}

@test "tags that are no filter are refused" {
    answers 400 '.code == 11 and .name == "invalid options" and .message == "invalid option (tags: invalid filter syntax)"
        and .options == {"tags": "invalid filter syntax"}' '/consumers?tags=a,b/c'
    answers 400 '.message == "invalid option (tags: invalid filter syntax)"' '/consumers?tags=a,,b'
    answers 400 '.message == "invalid option (tags: invalid filter syntax)"' '/consumers?tags=%FF'
    answers 400 '.message == "invalid option (tags: cannot be null)"' '/consumers?tags='
    answers 400 '.message == "invalid option (tags: at most 5 tags)"' '/consumers?tags=1,2,3,4,5,6'
    named '' '/consumers?tags=1,2,3,4,5'
}

@test "a list below a parent and other arguments know no filter" {
    make route --service s --name r --paths /r
    answers 200 '[.data[].name] == ["r"]' '/services/s/routes?tags=nobody'
    answers 200 '[.data[].name] == ["r"]' '/services/s/routes?tags=a,b/c'
    named 'a b c d' '/consumers?colour=red'
}

@test "?custom_id= finds one consumer or none" {
    named c '/consumers?custom_id=id%20of%20c'
    named c '/consumers?custom_id=id+of+c'
    named '' '/consumers?custom_id=nobody'
    answers 400 '.code == 10 and .fields.custom_id == "length must be at least 1"' '/consumers?custom_id='
    answers 200 '(.data | length) == 1' '/services?custom_id=nobody'
}

@test "the pages of a filtered list hold what it asks for, and next repeats tags and size" {
    named a '/consumers?tags=red/blue&size=1'
    holds '.next == "/consumers?offset=" + .offset + "&tags=red/blue&size=1"' "$(<"$T/body")"
    named b "$(jq -r .next "$T/body")"
    named c "$(jq -r .next "$T/body")"
    holds '.next == null and (has("offset") | not)' "$(<"$T/body")"
    named a '/consumers?size=1&tags=red'
    named b "$(jq -r .next "$T/body")"
    holds '.next == null' "$(<"$T/body")"
    answers 200 '.next == null' '/services/s/routes?size=1'
}

@test "next escapes what a tag has of its own" {
    make consumer --username e1 --tags 'x&y=ü' >/dev/null
    make consumer --username e2 --tags 'x&y=ü' >/dev/null
    named e1 '/consumers?tags=x%26y%3D%C3%BC&size=1'
    named e2 "$(jq -r .next "$T/body")"
    kctl consumer delete e1
    kctl consumer delete e2
}

@test "/tags says who has which tag, /tags/TAG who has this one" {
    answers 200 '([.data[] | .tag + " " + .entity_name] | sort) ==
        ["big consumers", "big consumers", "blue consumers", "red consumers", "red consumers", "red services"]
        and .next == null and all(.data[]; .entity_id | length == 36)' /tags
    answers 200 '[.data[].entity_name] == ["consumers", "consumers", "services"] and all(.data[]; .tag == "red")' /tags/red
    answers 200 '(.data | length) == 3' '/tags/red?tags=a,b/c'
    answers 200 '.data == [] and .next == null' /tags/nobody
    answers 400 .message /tags/%FF
    answers 405 '.message == "Method not allowed"' /tags -X POST
    local id
    id=$(admin /services/s | jq -r .id)
    answers 200 '.data' /tags/red
    holds '.data[2].entity_id == $id' "$(<"$T/body")" --arg id "$id"
}

@test "/tags comes in pages" {
    answers 200 '(.data | length) == 2 and .next == "/tags?offset=" + .offset + "&size=2"' '/tags?size=2'
    answers 200 '(.data | length) == 1 and .next == "/tags/red?offset=" + .offset' '/tags/red?size=1'
    answers 200 '(.data | length) == 2' "$(jq -r .next "$T/body")"
    answers 400 '.code == 9' '/tags?size=0'
    answers 400 '.code == 7' '/tags?offset=!'
}

@test "tags follow what becomes of their entity" {
    make consumer --username f --tags one,two
    make key --consumer f --tags one
    answers 200 '[.data[].entity_name] == ["consumers", "keyauth_credentials"]' /tags/one
    kctl consumer update f --tags two,three
    answers 200 '[.data[].entity_name] == ["keyauth_credentials"]' /tags/one
    answers 200 '[.data[].entity_name] == ["consumers"]' /tags/three
    named f '/consumers?tags=two,three'
    # A PUT without tags has none; a delete takes those of what goes along too.
    same 200 "$(admin_status /consumers/f -X PUT)"
    answers 200 '.data == []' /tags/three
    same 204 "$(admin_status /consumers/f -X DELETE)"
    answers 200 '.data == []' /tags/one
}

@test "tags are there after a restart" {
    local before
    before=$(admin /tags)
    stop_keygated
    start_keygated
    same "$before" "$(admin /tags)"
    named 'a b' '/consumers?tags=red'
}

@test "bad sizes and offsets" {
    local size
    for size in 0 1001 -1; do
        answers 400 '.code == 9 and .name == "invalid size" and .message == "size must be an integer between 1 and 1000"' "/consumers?size=$size"
    done
    answers 400 '.code == 9 and .message == "size must be a number"' '/consumers?size=x'
    answers 400 '.code == 9 and .message == "size must be a number"' '/consumers?size='
    answers 400 '.code == 7 and .name == "invalid offset" and .message == "'"'x'"' is not a valid offset: bad base64 encoding"' '/consumers?offset=x'
    named 'a b c d' '/consumers?size=1000'
}
