/* SPDX-License-Identifier: BSD-2-Clause */
#include "http/bytes.h"

/* The ranges are a GNU extension that gcc and clang share. */
const uint8_t kg_bytes_token[256] = {
    ['0' ... '9'] = 1, ['A' ... 'Z'] = 1, ['a' ... 'z'] = 1, ['!'] = 1, ['#'] = 1, ['$'] = 1,
    ['%'] = 1,         ['&'] = 1,         ['\''] = 1,        ['*'] = 1, ['+'] = 1, ['-'] = 1,
    ['.'] = 1,         ['^'] = 1,         ['_'] = 1,         ['`'] = 1, ['|'] = 1, ['~'] = 1,
};

const uint8_t kg_bytes_text[256] = { ['\t'] = 1, [0x20 ... 0x7e] = 1, [0x80 ... 0xff] = 1 };

const uint8_t kg_bytes_blank[256] = { ['\t'] = 1, [' '] = 1 };

const uint8_t kg_bytes_visible[256] = { [0x21 ... 0x7e] = 1 };

const int8_t kg_bytes_hex[256] = {
    [0 ... '0' - 1] = -1,
    ['0'] = 0,
    1,
    2,
    3,
    4,
    5,
    6,
    7,
    8,
    9,
    ['9' + 1 ... 'A' - 1] = -1,
    ['A'] = 10,
    11,
    12,
    13,
    14,
    15,
    ['F' + 1 ... 'a' - 1] = -1,
    ['a'] = 10,
    11,
    12,
    13,
    14,
    15,
    ['f' + 1 ... 255] = -1,
};
