/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/base64.h"

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/* The value of a character of either alphabet plus one, so that all others are 0; marked where the two
 * differ. */
#define URL   0x80
#define PLAIN 0x100
/* clang-format off */
static const uint16_t values[256] = {
    ['A'] = 1,  2,  3,  4,  5,  6,  7,  8,  9,  10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26,
    ['a'] = 27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40, 41, 42, 43, 44, 45, 46, 47, 48, 49, 50, 51, 52,
    ['0'] = 53, 54, 55, 56, 57, 58, 59, 60, 61, 62,
    ['-'] = URL | 63,   ['_'] = URL | 64,
    ['+'] = PLAIN | 63, ['/'] = PLAIN | 64,
};
/* clang-format on */

void kg_put_base64url(struct kg_writer *w, struct kg_slice bytes)
{
    for (size_t i = 0; i < bytes.len; i += 3) {
        size_t left = bytes.len - i;
        uint32_t bits = (uint32_t)(unsigned char)bytes.ptr[i] << 16;

        bits |= left > 1 ? (uint32_t)(unsigned char)bytes.ptr[i + 1] << 8 : 0;
        bits |= left > 2 ? (uint32_t)(unsigned char)bytes.ptr[i + 2] : 0;
        for (unsigned k = 0; k < 4 && k <= left; k++)
            kg_put_char(w, alphabet[bits >> (18 - 6 * k) & 63]);
    }
}

/* Up to four characters into up to three bytes. */
static bool decode_group(struct kg_slice group, unsigned refused, struct kg_writer *out)
{
    uint32_t bits = 0;
    char bytes[3];

    for (size_t i = 0; i < group.len; i++) {
        unsigned value = values[(unsigned char)group.ptr[i]];

        if (value == 0 || (value & refused))
            return false;
        bits |= ((value & 0x7f) - 1) << (18 - 6 * i);
    }
    /* One character alone is not yet a byte; what the last one has beyond its byte is zero. */
    if (group.len == 1 || bits << (8 * (group.len - 1)) & 0xffffff)
        return false;
    for (size_t i = 0; i < 3; i++)
        bytes[i] = (char)(bits >> (16 - 8 * i) & 0xff);
    kg_put(out, kg_slice_of(bytes, group.len - 1));
    return true;
}

static bool decode(struct kg_slice text, unsigned refused, struct kg_writer *out)
{
    for (size_t i = 0; i < text.len; i += 4) {
        size_t left = text.len - i;

        if (!decode_group(kg_slice_of(text.ptr + i, left < 4 ? left : 4), refused, out))
            return false;
    }
    return !out->overflow;
}

bool kg_base64url_decode(struct kg_slice text, struct kg_writer *out)
{
    return decode(text, PLAIN, out);
}

bool kg_base64_decode(struct kg_slice text, struct kg_writer *out)
{
    for (int i = 0; i < 2 && text.len % 4 == (i ? 3 : 0) && text.len > 0 && text.ptr[text.len - 1] == '=';
         i++)
        text.len--;
    return decode(text, 0, out);
}
