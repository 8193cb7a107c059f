/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/writer.h"

static const char hex_digits[] = "0123456789abcdef";

void kg_put_u64(struct kg_writer *w, uint64_t value)
{
    char digits[20];
    size_t at = sizeof(digits);

    do {
        digits[--at] = (char)('0' + value % 10);
        value /= 10;
    } while (value > 0);
    kg_put(w, kg_slice_of(digits + at, sizeof(digits) - at));
}

void kg_put_hex(struct kg_writer *w, uint64_t value)
{
    char digits[16];
    size_t at = sizeof(digits);

    do {
        digits[--at] = hex_digits[value & 15];
        value >>= 4;
    } while (value > 0);
    kg_put(w, kg_slice_of(digits + at, sizeof(digits) - at));
}

void kg_put_hex_bytes(struct kg_writer *w, const uint8_t *bytes, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        char pair[2] = { hex_digits[bytes[i] >> 4], hex_digits[bytes[i] & 15] };

        kg_put(w, kg_slice_of(pair, 2));
    }
}

static void put_json_byte(struct kg_writer *w, char c)
{
    char unicode[6] = { '\\', 'u', '0', '0', hex_digits[(c >> 4) & 15], hex_digits[c & 15] };
    char pair[2] = { '\\', c };

    if (c == '"' || c == '\\')
        kg_put(w, kg_slice_of(pair, 2));
    else if ((unsigned char)c < 0x20 || c == 0x7f)
        kg_put(w, kg_slice_of(unicode, 6));
    else
        kg_put_char(w, c);
}

void kg_put_json(struct kg_writer *w, struct kg_slice s)
{
    for (size_t i = 0; i < s.len; i++)
        put_json_byte(w, s.ptr[i]);
}
