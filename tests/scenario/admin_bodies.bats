#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-2-Clause
# What bodies the Admin API takes, and what its answers carry besides theirs.
# shellcheck disable=SC2154,SC2016 # bats sets status and output; dollars in single quotes are jq's

load helper

setup_file()
{
    file_begin
    start_keygated
    make service --name s --host h
}

teardown_file()
{
    file_end
}

teardown()
{
    show_log
}

# sent BOUNDARY FILTER STATUS: $T/parts as a multipart body to /consumers.
sent()
{
    answers "$3" "$2" /consumers -H "Content-Type: multipart/form-data; boundary=$1" --data-binary "@$T/parts"
}

@test "multipart forms, as curl -F sends them" {
    answers 201 '.name == "multi" and .paths == ["/a", "/b"] and .strip_path == false and .headers == {"x-y": ["1 & 2"]}
        and (.service.id | length == 36) and .tags == null' /services/s/routes -F name=multi -F 'paths[]=/a' -F 'paths[]=/b' \
        -F strip_path=false -F 'headers[x-y]=1 & 2' -F tags=
    printf 'from-a-file' >"$T/name"
    answers 201 '.username == "from-a-file"' /consumers -F "username=@$T/name"
    answers 201 '.username == "ü%2B+=x"' /consumers -F 'username=ü%2B+=x'
    answers 200 '.custom_id == "5"' /consumers/from-a-file -X PATCH -F custom_id=5
    answers 200 '.host == "put"' /services/put -X PUT -F host=put
    answers 400 '.code == 2 and .fields == {"nope": "unknown field"}' /consumers -F username=x -F nope=1
}

@test "multipart forms with other line ends, preambles, quotes and types of parts" {
    printf 'before\r\n--x y\r\ncontent-disposition: form-data; filename="a;name=no"; name="username"\r\nContent-Type: text/plain\r\n\r\nq1\r\n--x y--\r\nafter' >"$T/parts"
    sent '"x y"' '.username == "q1"' 201
    printf -- '--b \r\nContent-Disposition: form-data; name="user\\name"\r\n\r\nq2\r\n--b--' >"$T/parts"
    sent b '.username == "q2"' 201
    printf -- '--b\r\nContent-Disposition: form-data; name=username\r\n\r\nq3\r\n\r\n--b--' >"$T/parts"
    sent b '.fields.username' 400
    printf -- '--b--\r\n' >"$T/parts"
    sent b '.code == 2' 400
}

@test "a multipart form that is none" {
    local parts
    for parts in '' 'nonsense' '--b' '--b\r\n' '--b\r\n\r\n--b--' '--b\r\nContent-Disposition: form-data; name="username"\r\n\r\nq' \
        '--b\r\nContent-Disposition: form-data; name="username\r\n\r\nq\r\n--b--' '--b\r\nContent-Disposition: form-data\r\n\r\nq\r\n--b--' \
        '--b\r\nContent-Disposition: form-data; name="username"\r\n\r\nq\r\n--bx--'; do
        # shellcheck disable=SC2059 # the line ends are in the format
        printf -- "$parts" >"$T/parts"
        sent b '.message == "Cannot parse multipart body"' 400
    done
    answers 400 '.message == "Cannot parse multipart body"' /consumers -H 'Content-Type: multipart/form-data' -d x=1
    answers 404 .message /consumers/q
}

@test "forms: lists with places, and null for nothing" {
    answers 201 '.paths == ["/first", "/second"] and .hosts == ["a.com", "b.com"] and .methods == ["GET"]' /routes \
        -d 'paths[2]=/second' -d 'paths[1]=/first' -d hosts=a.com -d hosts=b.com -d methods=GET
    answers 201 '.service.id | length == 36' /routes -d paths=/x -d service.name=s
    answers 201 '.custom_id == null' /consumers -d username=nulls -d custom_id=
}

@test "a form of more than 1000 arguments is refused" {
    local args
    args=$(printf 'tags[]=t%d&' {1..1000})
    answers 400 '.message == "Too many arguments"' /consumers -d "${args}username=many"
    args=$(printf 'tags[]=t%d&' {1..999})
    answers 201 '.tags | length == 999' /consumers -d "${args}username=many"
    for _ in {1..1001}; do
        printf -- '--b\r\nContent-Disposition: form-data; name="tags[]"\r\n\r\nt\r\n'
    done >"$T/parts"
    printf -- '--b--\r\n' >>"$T/parts"
    sent b '.message == "Too many arguments"' 400
}

@test "bodies of other types, of none and of two" {
    same '415 0' "$(admin /consumers -H 'Content-Type: text/csv' -d a,b -o "$T/body" -w '%{http_code} %{size_download}')"
    same '415 0' "$(admin /consumers -H 'Content-Type:' -d username=x -o "$T/body" -w '%{http_code} %{size_download}')"
    answers 400 .message /consumers -H "$JSON" -H 'Content-Type: text/json' -d '{}'
    answers 400 '.message == "Cannot parse JSON body"' /consumers -H "$JSON" -d '[1]'
    answers 201 '.username == "charset"' /consumers -H "$JSON; charset=utf-8" -d '{"username":"charset"}'
    answers 400 '.code == 2' /consumers -X POST
    same 413 "$(head -c 10485761 /dev/zero | status_of admin /consumers -H "$JSON" --data-binary @-)"
}

@test "OPTIONS says what can be done, and HEAD is GET without its body" {
    same 204 "$(status_of admin /services -X OPTIONS -D "$T/head")"
    same 'GET, HEAD, OPTIONS, POST' "$(header Allow "$T/head")"
    same 'GET, HEAD, OPTIONS, POST' "$(header Access-Control-Allow-Methods "$T/head")"
    same 'Content-Type' "$(header Access-Control-Allow-Headers "$T/head")"
    same 204 "$(status_of admin /routes/r/service -X OPTIONS -D "$T/head")"
    same 'GET, HEAD, OPTIONS, PATCH, PUT' "$(header Allow "$T/head")"
    same 404 "$(status_of admin /nonsense -X OPTIONS)"
    same 200 "$(status_of admin /services/s -I -D "$T/head")"
    same "$(admin /services/s | wc -c)" "$(header Content-Length "$T/head")"
    same 405 "$(status_of admin /services -X DELETE -D "$T/head")"
    same '' "$(header Access-Control-Allow-Methods "$T/head")"
}

@test "answers name the server, their type and how long they took, and let no website in" {
    admin /services/ -H 'Origin: http://evil.example' -D "$T/head" -o "$T/body"
    like '^keygate/[0-9.]+$' "$(header Server "$T/head")"
    same 'application/json; charset=utf-8' "$(header Content-Type "$T/head")"
    like '^[0-9]+$' "$(header X-Keygate-Admin-Latency "$T/head")"
    same '' "$(header Access-Control-Allow-Origin "$T/head")"
    holds '.data | length > 0' "$(<"$T/body")"
}
