/* SPDX-License-Identifier: BSD-2-Clause */
#include "model/names.h"

#include "base/assert.h"
#include "base/mem.h"

#include <stdlib.h>

static const void *name_text(const void *value)
{
    return ((const struct kg_host_name *)value)->text;
}

static void retain_name(void *value)
{
    ((struct kg_host_name *)value)->refs++;
}

static void release_name(void *value)
{
    struct kg_host_name *name = value;

    KG_ASSERT(name->refs > 0);
    if (--name->refs > 0)
        return;
    free(name->addrs);
    free(name);
}

const struct kg_pmap_type kg_names_by_text = { name_text, kg_pmap_hash_text, kg_pmap_same_text, retain_name,
                                               release_name };

bool kg_host_numeric(struct kg_slice host, struct kg_addr *addr)
{
    if (host.len > 2 && host.ptr[0] == '[' && host.ptr[host.len - 1] == ']')
        host = kg_slice_of(host.ptr + 1, host.len - 2);
    return kg_addr_parse(host, addr) == 0;
}

static char *lower_copy(struct kg_slice host)
{
    char *text = kg_strndup(host.ptr, host.len);

    for (size_t i = 0; i < host.len; i++)
        text[i] = kg_lower(text[i]);
    return text;
}

struct kg_host_name *kg_names_find(const struct kg_pmap *names, struct kg_slice host)
{
    char *text = lower_copy(host);
    struct kg_host_name *name = kg_pmap_find(names, text);

    free(text);
    return name;
}

void kg_names_use(struct kg_pmap *names, struct kg_slice host, enum kg_name_user user)
{
    struct kg_addr numeric;
    struct kg_host_name *name;

    if (kg_host_numeric(host, &numeric))
        return;
    name = kg_names_find(names, host);
    if (name) {
        name->users[user]++;
        return;
    }
    name = kg_calloc(1, sizeof(*name) + host.len + 1);
    name->refs = 1;
    name->users[user] = 1;
    for (size_t i = 0; i < host.len; i++)
        name->text[i] = kg_lower(host.ptr[i]);
    kg_pmap_set(names, name);
    release_name(name);
}

void kg_names_drop(struct kg_pmap *names, struct kg_slice host, enum kg_name_user user)
{
    struct kg_host_name *name = kg_names_find(names, host);

    if (!name)
        return;
    KG_ASSERT(name->users[user] > 0);
    name->users[user]--;
}

bool kg_name_is_used(const struct kg_host_name *name)
{
    for (size_t i = 0; i < KG_NAME_USERS; i++) {
        if (name->users[i] > 0)
            return true;
    }
    return false;
}

bool kg_name_set(struct kg_host_name *name, const struct kg_addr *addrs, size_t count, uint64_t version)
{
    size_t bytes = count * sizeof(*addrs);

    if (name->addr_count == count && (count == 0 || memcmp(name->addrs, addrs, bytes) == 0))
        return false;
    free(name->addrs);
    name->addrs = kg_calloc(count, sizeof(*addrs));
    if (count > 0)
        memcpy(name->addrs, addrs, bytes);
    name->addr_count = count;
    name->version = version;
    return true;
}

const struct kg_addr *kg_names_addresses(const struct kg_pmap *names, struct kg_slice host,
                                         struct kg_addr *numeric, size_t *count)
{
    const struct kg_host_name *name;

    *count = 1;
    if (kg_host_numeric(host, numeric))
        return numeric;
    name = kg_names_find(names, host);
    *count = name ? name->addr_count : 0;
    return *count > 0 ? name->addrs : NULL;
}
