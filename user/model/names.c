/* SPDX-License-Identifier: BSD-2-Clause */
#include "model/names.h"

#include "base/assert.h"
#include "base/mem.h"

#include <netinet/in.h>
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
    if (--name->refs == 0)
        free(name);
}

const struct kg_pmap_type kg_names_by_text = { name_text, kg_pmap_hash_text, kg_pmap_same_text, retain_name,
                                               release_name };

void kg_sockaddr_set_port(struct sockaddr_storage *addr, uint16_t port)
{
    if (addr->ss_family == AF_INET)
        ((struct sockaddr_in *)addr)->sin_port = htons(port);
    if (addr->ss_family == AF_INET6)
        ((struct sockaddr_in6 *)addr)->sin6_port = htons(port);
}

socklen_t kg_host_numeric(struct kg_slice host, uint16_t port, struct sockaddr_storage *addr)
{
    struct kg_addr numeric;

    if (host.len > 2 && host.ptr[0] == '[' && host.ptr[host.len - 1] == ']')
        host = kg_slice_of(host.ptr + 1, host.len - 2);
    if (kg_addr_parse(host, &numeric))
        return 0;
    *addr = (struct sockaddr_storage){ .ss_family = numeric.family == 4 ? AF_INET : AF_INET6 };
    kg_sockaddr_set_port(addr, port);
    if (numeric.family == 4) {
        memcpy(&((struct sockaddr_in *)addr)->sin_addr, numeric.bytes, 4);
        return sizeof(struct sockaddr_in);
    }
    memcpy(&((struct sockaddr_in6 *)addr)->sin6_addr, numeric.bytes, 16);
    return sizeof(struct sockaddr_in6);
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

void kg_names_use(struct kg_pmap *names, struct kg_slice host)
{
    struct sockaddr_storage numeric;
    struct kg_host_name *name = kg_names_find(names, host);

    if (kg_host_numeric(host, 0, &numeric))
        return;
    if (name) {
        name->users++;
        return;
    }
    name = kg_calloc(1, sizeof(*name) + host.len + 1);
    name->refs = 1;
    name->users = 1;
    for (size_t i = 0; i < host.len; i++)
        name->text[i] = kg_lower(host.ptr[i]);
    kg_pmap_set(names, name);
    release_name(name);
}

void kg_names_drop(struct kg_pmap *names, struct kg_slice host)
{
    struct kg_host_name *name = kg_names_find(names, host);

    if (name && --name->users == 0)
        kg_pmap_del(names, name->text);
}
