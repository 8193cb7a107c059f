/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/siphash.h"

#include "base/assert.h"
#include "base/uuid.h"

#include <endian.h>

struct state {
    uint64_t v0, v1, v2, v3;
};

static inline uint64_t rotate(uint64_t word, unsigned bits)
{
    return word << bits | word >> (64 - bits);
}

static inline void mix(struct state *s, unsigned rounds)
{
    for (unsigned i = 0; i < rounds; i++) {
        s->v0 += s->v1;
        s->v2 += s->v3;
        s->v1 = rotate(s->v1, 13) ^ s->v0;
        s->v3 = rotate(s->v3, 16) ^ s->v2;
        s->v0 = rotate(s->v0, 32) + s->v3;
        s->v2 += s->v1;
        s->v1 = rotate(s->v1, 17) ^ s->v2;
        s->v3 = rotate(s->v3, 21) ^ s->v0;
        s->v2 = rotate(s->v2, 32);
    }
}

static inline void take(struct state *s, uint64_t word)
{
    s->v3 ^= word;
    mix(s, 2);
    s->v0 ^= word;
}

static void take_words(struct state *s, const char *bytes, size_t len)
{
    uint64_t word;

    for (; len >= sizeof(word); bytes += sizeof(word), len -= sizeof(word)) {
        memcpy(&word, bytes, sizeof(word));
        take(s, le64toh(word));
    }
}

void kg_siphash_seed(struct kg_siphash_key *key)
{
    kg_random(key->words, sizeof(key->words));
}

void kg_siphash(const struct kg_siphash_key *key, struct kg_slice head, struct kg_slice tail,
                uint64_t hash[2])
{
    struct state s = {
        .v0 = key->words[0] ^ 0x736f6d6570736575,
        .v1 = key->words[1] ^ 0x646f72616e646f6d ^ 0xee,
        .v2 = key->words[0] ^ 0x6c7967656e657261,
        .v3 = key->words[1] ^ 0x7465646279746573,
    };
    size_t rest = tail.len % sizeof(uint64_t);
    uint64_t last = 0;

    KG_ASSERT(head.len % sizeof(uint64_t) == 0);
    take_words(&s, head.ptr, head.len);
    take_words(&s, tail.ptr, tail.len);
    if (rest > 0)
        memcpy(&last, tail.ptr + tail.len - rest, rest);
    take(&s, le64toh(last) | (uint64_t)(head.len + tail.len) << 56);
    s.v2 ^= 0xee;
    mix(&s, 4);
    hash[0] = s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
    s.v1 ^= 0xdd;
    mix(&s, 4);
    hash[1] = s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
}
