#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-2-Clause
# Messages that two servers could read differently, byte for byte, from the tables in tests/vectors: what keygate answers, and
# everything that the upstream (or, for an answer of the upstream, the client) then gets. Each is sent whole and in pieces, with
# another request behind it. strict.bats shows the answers alone, and the limits; chaos.bats the order of events.

load helper

setup_file()
{
    file_begin
    start_keygated --set workers=1
    make service --name up --url http://127.0.0.1:8002
    make route --service up --name up --paths /up --strip-path false
}

teardown_file()
{
    file_end
}

teardown()
{
    show_log
}

vectors()
{
    ns_run "$GW" /usr/bin/python3 "$BATS_TEST_DIRNAME/vectors.py" "$1" 9080 8002 "${@:2}"
}

# requests TAG, responses TAG: every message of the table with this tag.
requests()
{
    vectors requests "$1"
}

responses()
{
    vectors responses "$1"
}

@test "good requests reach the upstream once, whole, and framed by keygate" {
    requests good
}

@test "good answers reach the client once, whole, and their connection is kept when it may be" {
    responses good
}

@test "rule 1, lines end in CRLF and hold no control bytes: requests" {
    requests 1
}

@test "rule 1, lines end in CRLF and hold no control bytes: answers" {
    responses 1
}

@test "rule 2, request lines: one space, a version that is known, a target that fits" {
    requests 2
}

@test "rule 2, status lines" {
    responses 2
}

@test "rule 3, names are tokens and lines are not folded: requests" {
    requests 3
}

@test "rule 3, names are tokens and lines are not folded: answers" {
    responses 3
}

@test "rule 4, one Host, and a valid one" {
    requests 4
}

@test "rule 5, Content-Length is one number" {
    requests 5
}

@test "rule 6, Transfer-Encoding is chunked, once and alone" {
    requests 6
}

@test "rule 7, never both lengths" {
    requests 7
}

@test "rule 8, chunks" {
    requests 8
}

@test "rule 9, framing is written anew; nothing hop-by-hop and no identity passes: requests" {
    requests 9
}

@test "rule 9, framing is written anew; nothing hop-by-hop passes: answers" {
    responses 9
}

@test "rule 10, how long an answer is: ambiguous ones are 502 and their connection is closed" {
    responses 10
}

@test "rule 11, no tunnel without a 101 that was asked for" {
    requests 11
    responses 11
}

@test "rule 12, a body that nobody reads is no request" {
    requests 12
}

@test "rule 13, no pipeline to the upstream, and a connection with bytes left is not used again" {
    requests 13
    responses 13
}

@test "CL.TE" {
    requests cl-te
    responses cl-te
}

@test "TE.CL" {
    requests te-cl
    responses te-cl
}

@test "TE.TE" {
    requests te-te
    responses te-te
}

@test "CL.CL" {
    requests cl-cl
    responses cl-cl
}

@test "folded lines" {
    requests obs-fold
    responses obs-fold
}

@test "bare LF" {
    requests bare-lf
    responses bare-lf
}

@test "a space before the colon" {
    requests space-before-colon
    responses space-before-colon
}

@test "more than one Host" {
    requests duplicate-host
}

@test "chunk sizes that are none" {
    requests chunk-size
    responses chunk-size
}

@test "chunk sizes that overflow" {
    requests chunk-overflow
    responses chunk-overflow
}

@test "bodies behind 204, 304 and answers to HEAD" {
    responses no-body
}

@test "interim answers" {
    responses interim
}

@test "answers that break off" {
    responses cut
}

@test "every tag of the tables is tested above" {
    local kind
    for kind in requests responses; do
        same "$(sed -n "s/^    $kind \([a-z0-9-]*\)$/\1/p" "$BATS_TEST_FILENAME" | sort -u)" \
            "$(grep -v '^#' "$BATS_TEST_DIRNAME/../vectors/$kind.txt" | sed 's/ |.*//' | tr ' ' '\n' | sort -u)"
    done
}
