/* SPDX-License-Identifier: BSD-2-Clause */
#include "io/tls_tickets.h"

#include "base/assert.h"
#include "base/mem.h"
#include "io/tls.h"

#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <stdlib.h>
#include <string.h>

#define KEYS  2 /* the current one first */
#define WORDS (KEYS * sizeof(struct kg_ticket_key) / sizeof(uint64_t))

struct kg_tls_tickets {
    _Atomic uint32_t sequence; /* odd while the keys change */
    _Atomic uint64_t words[WORDS];
};

_Static_assert(KEYS * sizeof(struct kg_ticket_key) == WORDS * sizeof(uint64_t), "keys are whole words");

static void read_keys(const struct kg_tls_tickets *tickets, struct kg_ticket_key keys[KEYS])
{
    uint64_t words[WORDS] = { 0 };
    uint32_t before, after;

    do {
        before = atomic_load_explicit(&tickets->sequence, memory_order_acquire);
        for (size_t i = 0; i < WORDS; i++)
            words[i] = atomic_load_explicit(&tickets->words[i], memory_order_relaxed);
        atomic_thread_fence(memory_order_acquire);
        after = atomic_load_explicit(&tickets->sequence, memory_order_relaxed);
    } while (before != after || before % 2 != 0);
    memcpy(keys, words, sizeof(words));
    kg_wipe(words, sizeof(words));
}

static void write_keys(struct kg_tls_tickets *tickets, const struct kg_ticket_key keys[KEYS])
{
    uint64_t words[WORDS];
    uint32_t sequence = atomic_load_explicit(&tickets->sequence, memory_order_relaxed);

    memcpy(words, keys, sizeof(words));
    atomic_store_explicit(&tickets->sequence, sequence + 1, memory_order_relaxed);
    atomic_thread_fence(memory_order_release);
    for (size_t i = 0; i < WORDS; i++)
        atomic_store_explicit(&tickets->words[i], words[i], memory_order_relaxed);
    atomic_store_explicit(&tickets->sequence, sequence + 2, memory_order_release);
    kg_wipe(words, sizeof(words));
}

static void new_key(struct kg_ticket_key *key)
{
    KG_ASSERT(RAND_priv_bytes((unsigned char *)key, sizeof(*key)) == 1);
}

struct kg_tls_tickets *kg_tls_tickets_new(void)
{
    struct kg_tls_tickets *tickets = kg_calloc(1, sizeof(*tickets));
    struct kg_ticket_key keys[KEYS];

    /* The one before is a key that has sealed nothing. */
    for (size_t i = 0; i < KEYS; i++)
        new_key(&keys[i]);
    write_keys(tickets, keys);
    kg_wipe(keys, sizeof(keys));
    return tickets;
}

void kg_tls_tickets_rotate(struct kg_tls_tickets *tickets)
{
    struct kg_ticket_key keys[KEYS];

    read_keys(tickets, keys);
    keys[1] = keys[0];
    new_key(&keys[0]);
    write_keys(tickets, keys);
    kg_wipe(keys, sizeof(keys));
}

void kg_tls_tickets_free(struct kg_tls_tickets *tickets)
{
    if (!tickets)
        return;
    kg_wipe(tickets, sizeof(*tickets));
    free(tickets);
}

void kg_tls_tickets_current(const struct kg_tls_tickets *tickets, struct kg_ticket_key *key)
{
    struct kg_ticket_key keys[KEYS];

    read_keys(tickets, keys);
    *key = keys[0];
    kg_wipe(keys, sizeof(keys));
}

bool kg_tls_tickets_find(const struct kg_tls_tickets *tickets, const uint8_t name[KG_TICKET_NAME],
                         struct kg_ticket_key *key, bool *old)
{
    struct kg_ticket_key keys[KEYS];
    bool found = false;

    read_keys(tickets, keys);
    for (size_t i = 0; i < KEYS && !found; i++) {
        found = memcmp(keys[i].name, name, KG_TICKET_NAME) == 0;
        *key = keys[i];
        *old = i > 0;
    }
    kg_wipe(keys, sizeof(keys));
    return found;
}
