/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/uuid.h"
#include "base/assert.h"
#include "base/mem.h"
#include "base/writer.h"

#include <errno.h>
#include <pthread.h>
#include <sys/random.h>

#define POOL 1024 /* bytes drawn at once of what is no secret */

void kg_random(void *buf, size_t len)
{
    uint8_t *at = buf;

    while (len > 0) {
        ssize_t got = getrandom(at, len, 0);

        if (got < 0 && errno == EINTR)
            continue;
        KG_ASSERT(got > 0);
        at += got;
        len -= (size_t)got;
    }
}

static _Thread_local uint8_t drawn[POOL];
static _Thread_local size_t left;

/* A child must not draw what its parent draws too. */
static void forget_drawn(void)
{
    left = 0;
}

static void watch_forks(void)
{
    KG_ASSERT(pthread_atfork(NULL, NULL, forget_drawn) == 0);
}

void kg_random_public(void *buf, size_t len)
{
    static pthread_once_t watched = PTHREAD_ONCE_INIT;

    KG_ASSERT(len <= POOL);
    pthread_once(&watched, watch_forks);
    if (left < len) {
        kg_random(drawn, POOL);
        left = POOL;
    }
    left -= len;
    memcpy(buf, drawn + left, len);
}

void kg_uuid_text(uint8_t bytes[16], char out[KG_UUID_TEXT])
{
    static const uint8_t groups[] = { 4, 2, 2, 2, 6 };
    struct kg_writer w = kg_writer_of(out, KG_UUID_TEXT);
    size_t at = 0;

    bytes[6] = (uint8_t)((bytes[6] & 0x0f) | 0x40); /* RFC 9562, 5.4: version */
    bytes[8] = (uint8_t)((bytes[8] & 0x3f) | 0x80); /* and variant */
    for (size_t i = 0; i < sizeof(groups); i++) {
        if (i > 0)
            kg_put_char(&w, '-');
        kg_put_hex_bytes(&w, bytes + at, groups[i]);
        at += groups[i];
    }
    kg_put_char(&w, '\0');
}

void kg_uuid_random(char out[KG_UUID_TEXT])
{
    uint8_t bytes[16];

    kg_random_public(bytes, sizeof(bytes));
    kg_uuid_text(bytes, out);
}

static bool is_hex(char c)
{
    return (c >= '0' && c <= '9') || (kg_lower(c) >= 'a' && kg_lower(c) <= 'f');
}

bool kg_uuid_valid(struct kg_slice s)
{
    if (s.len != KG_UUID_TEXT - 1)
        return false;
    for (size_t i = 0; i < s.len; i++) {
        bool dash = i == 8 || i == 13 || i == 18 || i == 23;

        if (dash ? s.ptr[i] != '-' : !is_hex(s.ptr[i]))
            return false;
    }
    return true;
}

void kg_random_alnum(char *out, size_t len)
{
    static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    uint8_t bytes[64];
    size_t at = 0;

    while (at < len) {
        kg_random(bytes, sizeof(bytes));
        for (size_t i = 0; i < sizeof(bytes) && at < len; i++) {
            /* 248 = 4 * 62: bytes over it would favour the first letters. */
            if (bytes[i] < 248)
                out[at++] = alphabet[bytes[i] % 62];
        }
    }
    out[len] = '\0';
    kg_wipe(bytes, sizeof(bytes));
}
