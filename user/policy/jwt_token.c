/* SPDX-License-Identifier: BSD-2-Clause */
#include "policy/jwt_token.h"

#include "base/base64.h"
#include "http/json_object.h"
#include "model/jwt_algorithm.h"

/* Numbers stop growing here: far beyond any time, and sums of two of them fit. */
#define LARGE ((int64_t)1 << 61)

/* ---- numbers ---- */

static int take_digit(struct kg_cursor *c)
{
    int byte = kg_cursor_peek(c, 0);

    if (byte < '0' || byte > '9')
        return -1;
    kg_cursor_take(c, (char)byte);
    return byte - '0';
}

static int64_t grow(int64_t whole, int digit)
{
    return whole < LARGE / 16 ? 10 * whole + digit : LARGE;
}

/* Behind "e" or "E". */
static int64_t take_exponent(struct kg_cursor *c)
{
    bool down = kg_cursor_take(c, '-');
    int64_t whole = 0;

    kg_cursor_take(c, '+');
    for (int digit = take_digit(c); digit >= 0; digit = take_digit(c))
        whole = grow(whole, digit);
    return down ? -whole : whole;
}

/* How many of the digits are before the point, once the exponent has moved it: may be negative, or more than
 * there are. */
static int64_t point_of(struct kg_cursor c)
{
    int64_t point = 0;

    while (take_digit(&c) >= 0)
        point++;
    if (kg_cursor_take(&c, '.')) {
        while (take_digit(&c) >= 0)
            ;
    }
    if (kg_cursor_take(&c, 'e') || kg_cursor_take(&c, 'E'))
        point += take_exponent(&c);
    return point;
}

/* The text has been found to be a number. */
static void read_number(struct kg_slice text, struct kg_jwt_value *value)
{
    struct kg_cursor c = kg_cursor_of(text);
    bool negative = kg_cursor_take(&c, '-');
    int64_t whole = 0, point = point_of(c);

    for (int digit = take_digit(&c); digit >= 0; digit = take_digit(&c)) {
        if (point-- > 0)
            whole = grow(whole, digit);
        else
            value->more |= digit > 0;
        kg_cursor_take(&c, '.');
    }
    for (; point > 0 && whole > 0 && whole < LARGE; point--)
        whole = grow(whole, 0);
    value->kind = KG_JWT_NUMBER;
    value->floor = negative ? -whole - value->more : whole;
}

bool kg_jwt_is_above(const struct kg_jwt_value *number, int64_t limit)
{
    return number->floor > limit || (number->floor == limit && number->more);
}

/* ---- members ---- */

struct wanted {
    struct kg_slice name;
    struct kg_jwt_value *value;
};

static bool read_value(const struct kg_json_member *member, struct kg_writer *scratch,
                       struct kg_jwt_value *value)
{
    size_t start = scratch->len;

    if (member->kind == KG_JSON_STRING) {
        value->kind = KG_JWT_TEXT;
        if (!kg_json_string_decode(member->value, scratch))
            return false;
        value->text = kg_slice_of(scratch->buf + start, scratch->len - start);
        return true;
    }
    value->kind = KG_JWT_OTHER;
    if (member->value.ptr[0] == '-' || (member->value.ptr[0] >= '0' && member->value.ptr[0] <= '9'))
        read_number(member->value, value);
    return true;
}

/* A name as it is meant: what has no escape is that already. */
static bool read_name(struct kg_slice quoted, struct kg_writer *scratch, struct kg_slice *name)
{
    size_t start = scratch->len;

    *name = kg_slice_of(quoted.ptr + 1, quoted.len - 2);
    if (kg_slice_find(*name, '\\') == name->len)
        return true;
    if (!kg_json_string_decode(quoted, scratch))
        return false;
    *name = kg_slice_of(scratch->buf + start, scratch->len - start);
    return true;
}

static bool is_among(const struct kg_slice *names, size_t count, struct kg_slice name)
{
    for (size_t i = 0; i < count; i++) {
        if (kg_slice_eq(names[i], name))
            return true;
    }
    return false;
}

/* All members of the object, of which some are wanted. Two of one name could be read as either of the two
 * (RFC 7519, 4): refused. */
static enum kg_jwt_fault read_object(struct kg_slice text, const struct wanted *wanted, size_t wanted_count,
                                     struct kg_writer *scratch)
{
    struct kg_slice names[KG_JWT_MEMBERS];
    struct kg_json_object object;
    struct kg_json_member member;
    size_t count = 0;
    int rc;

    if (!kg_json_object_begin(&object, text))
        return KG_JWT_INVALID_JSON;
    while ((rc = kg_json_object_next(&object, &member)) > 0) {
        struct kg_slice *name = &names[count];

        if (count == KG_JWT_MEMBERS)
            return KG_JWT_INVALID_JSON;
        if (!read_name(member.name, scratch, name))
            return KG_JWT_NO_ROOM;
        if (is_among(names, count++, *name))
            return KG_JWT_INVALID_JSON;
        for (size_t i = 0; i < wanted_count; i++) {
            if (kg_slice_eq(*name, wanted[i].name) && !read_value(&member, scratch, wanted[i].value))
                return KG_JWT_NO_ROOM;
        }
    }
    return rc == 0 ? KG_JWT_GOOD : KG_JWT_INVALID_JSON;
}

/* ---- the token ---- */

static bool cut_part(struct kg_slice *rest, struct kg_slice *part)
{
    size_t dot = kg_slice_find(*rest, '.');

    if (dot == rest->len)
        return false;
    *part = kg_slice_of(rest->ptr, dot);
    *rest = kg_slice_of(rest->ptr + dot + 1, rest->len - dot - 1);
    return true;
}

static enum kg_jwt_fault decode(struct kg_slice part, struct kg_writer *scratch, enum kg_jwt_fault otherwise,
                                struct kg_slice *decoded)
{
    size_t start = scratch->len;

    if (!kg_base64url_decode(part, scratch))
        return scratch->overflow ? KG_JWT_NO_ROOM : otherwise;
    *decoded = kg_slice_of(scratch->buf + start, scratch->len - start);
    return KG_JWT_GOOD;
}

/* What the header says, and what is wrong with that. */
struct header {
    struct kg_jwt_value alg, crit, key;
};

static enum kg_jwt_fault read_header(struct kg_slice part, struct kg_slice key_claim,
                                     struct kg_writer *scratch, struct header *header)
{
    const struct wanted wanted[] = {
        { KG_SLICE("alg"), &header->alg },
        { KG_SLICE("crit"), &header->crit },
        { key_claim, &header->key },
    };
    struct kg_slice text;
    enum kg_jwt_fault fault = decode(part, scratch, KG_JWT_INVALID_JSON, &text);

    return fault ? fault : read_object(text, wanted, 3, scratch);
}

static enum kg_jwt_fault judge_header(const struct header *header, struct kg_jwt *jwt)
{
    jwt->algorithm = header->alg.kind == KG_JWT_TEXT ? kg_jwt_algorithm_find(header->alg.text) : NULL;
    if (!jwt->algorithm)
        return KG_JWT_INVALID_ALG;
    return header->crit.kind == KG_JWT_ABSENT ? KG_JWT_GOOD : KG_JWT_INVALID_CRIT;
}

/* JSON it may be, but no object. */
static bool is_other_json(struct kg_slice text)
{
    size_t i = 0;

    while (i < text.len && text.ptr[i] && strchr(" \t\r\n", text.ptr[i]))
        i++;
    return i < text.len && text.ptr[i] != '{';
}

static enum kg_jwt_fault read_claims(struct kg_slice text, struct kg_slice key_claim,
                                     struct kg_writer *scratch, struct kg_jwt *jwt)
{
    const struct wanted wanted[] = {
        { KG_SLICE("exp"), &jwt->exp },
        { KG_SLICE("nbf"), &jwt->nbf },
        { key_claim, &jwt->key },
    };

    return read_object(text, wanted, 3, scratch);
}

enum kg_jwt_fault kg_jwt_parse(struct kg_slice token, struct kg_slice key_claim, struct kg_writer *scratch,
                               struct kg_jwt *jwt)
{
    struct kg_slice rest = token, header_part, claims_part, claims;
    struct header header = { 0 };
    enum kg_jwt_fault fault;

    *jwt = (struct kg_jwt){ 0 };
    if (!cut_part(&rest, &header_part) || !cut_part(&rest, &claims_part))
        return KG_JWT_INVALID_JSON;
    jwt->signed_part = kg_slice_of(token.ptr, header_part.len + 1 + claims_part.len);
    fault = read_header(header_part, key_claim, scratch, &header);
    if (!fault)
        fault = decode(claims_part, scratch, KG_JWT_INVALID_JSON, &claims);
    bool other = !fault && is_other_json(claims);
    if (!fault && !other)
        fault = read_claims(claims, key_claim, scratch, jwt);
    if (!fault)
        fault = judge_header(&header, jwt);
    if (!fault && other)
        fault = KG_JWT_INVALID_CLAIMS;
    if (!fault)
        fault = decode(rest, scratch, KG_JWT_INVALID_SIGNATURE, &jwt->signature);
    if (jwt->key.kind == KG_JWT_ABSENT)
        jwt->key = header.key;
    return fault;
}
