/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/mem.h"
#include "base/assert.h"

#include <stdlib.h>
#include <string.h>

void *kg_calloc(size_t count, size_t size)
{
    void *ptr = calloc(count ? count : 1, size);

    KG_ASSERT(ptr != NULL);
    return ptr;
}

void *kg_calloc_aligned(size_t alignment, size_t size)
{
    void *ptr = NULL;

    KG_ASSERT(posix_memalign(&ptr, alignment, size) == 0);
    memset(ptr, 0, size);
    return ptr;
}

void *kg_realloc(void *ptr, size_t count, size_t size)
{
    void *grown = reallocarray(ptr, count, size);

    KG_ASSERT(grown != NULL || count == 0);
    return grown;
}

char *kg_strndup(const char *ptr, size_t len)
{
    char *copy = kg_calloc(len + 1, 1);

    if (len > 0)
        memcpy(copy, ptr, len);
    return copy;
}

char *kg_strdup(const char *str)
{
    return kg_strndup(str, strlen(str));
}

void kg_wipe(void *ptr, size_t len)
{
    if (len > 0)
        explicit_bzero(ptr, len);
}
