/* SPDX-License-Identifier: BSD-2-Clause */
/* What a request is hashed by. The hash is the same in every worker, after every start and on every machine:
 * a fleet of gateways sends one client to one place. */
#include "proxy/balance.h"

#include "base/writer.h"
#include "http/cookie.h"
#include "http/uri.h"

static uint64_t hash_bytes(struct kg_slice bytes)
{
    uint64_t hash = 14695981039346656037u; /* FNV-1a */

    for (size_t i = 0; i < bytes.len; i++)
        hash = (hash ^ (unsigned char)bytes.ptr[i]) * 1099511628211u;
    /* Its low bits alone depend on little of the input; this is the finish of SplitMix64. */
    hash = (hash ^ (hash >> 30)) * 0xbf58476d1ce4e5b9u;
    hash = (hash ^ (hash >> 27)) * 0x94d049bb133111ebu;
    return hash ^ (hash >> 31);
}

static bool find_header(const struct kg_head *head, struct kg_slice name, struct kg_slice *value)
{
    const struct kg_header *header = kg_head_find_name(head, name, 0);

    if (header)
        *value = header->value;
    return header;
}

/* The client's cookie, or the one it is going to get. */
static bool hash_cookie(const struct kg_hash_rule *rule, const struct kg_hash_input *input,
                        struct kg_choice *choice)
{
    char text[16];
    struct kg_writer w = kg_writer_of(text, sizeof(text));
    struct kg_slice value;

    if (kg_cookie_find(input->head, rule->name, &value)) {
        choice->hash = hash_bytes(value);
        return true;
    }
    /* No digit is lost to a leading zero. */
    choice->cookie = kg_prng_next(input->prng) | 1ull << 63;
    kg_put_hex(&w, choice->cookie);
    choice->hash = hash_bytes(kg_writer_slice(&w));
    return true;
}

/* False when the request does not have what the rule names. */
static bool apply(const struct kg_hash_rule *rule, const struct kg_hash_input *input,
                  struct kg_choice *choice)
{
    struct kg_slice value = { 0 };
    bool bare, found = false;

    switch (rule->kind) {
    case KG_HASH_COOKIE:
        return hash_cookie(rule, input, choice);
    case KG_HASH_CONSUMER:
        value = input->consumer;
        found = input->consumer.len > 0;
        break;
    case KG_HASH_IP:
        value = kg_slice_of((const char *)input->client->bytes, sizeof(input->client->bytes));
        found = input->client->family != 0;
        break;
    case KG_HASH_HEADER:
        found = find_header(input->head, rule->name, &value);
        break;
    case KG_HASH_PATH:
        value = input->path;
        found = true;
        break;
    case KG_HASH_QUERY_ARG:
        found = kg_query_find(input->query, rule->name, &value, &bare) > 0;
        break;
    case KG_HASH_NONE:
        break;
    }
    if (found)
        choice->hash = hash_bytes(value);
    return found;
}

void kg_balance_hash(const struct kg_balancer *balancer, const struct kg_hash_input *input,
                     struct kg_choice *choice)
{
    if (balancer->algorithm != KG_CONSISTENT_HASHING)
        return;
    choice->hashed =
        apply(&balancer->hash_on, input, choice) || apply(&balancer->hash_fallback, input, choice);
}
