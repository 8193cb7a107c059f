/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/mem.h"
#include "base/assert.h"

#include <malloc.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

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

#define LOAD_STEP  (32 << 20)
#define USUAL_STEP (128 << 10) /* as mallopt(3) has it for M_TOP_PAD */

static char *load_seen; /* the end of the heap when it was last looked at; NULL: nothing is being loaded */

void kg_mem_load_begin(void)
{
    mallopt(M_TOP_PAD, LOAD_STEP);
    load_seen = sbrk(0);
}

void kg_mem_load_more(void)
{
    char *end = sbrk(0);
    size_t page = (size_t)sysconf(_SC_PAGESIZE), before = (uintptr_t)load_seen % page;

    if (!load_seen || end <= load_seen)
        return;
    /* Where there are none, the heap goes on in small pages. */
    madvise(load_seen - before, (size_t)(end - load_seen) + before, MADV_HUGEPAGE);
    load_seen = end;
}

void kg_mem_load_end(void)
{
    mallopt(M_TOP_PAD, USUAL_STEP);
    malloc_trim(0);
    load_seen = NULL;
}
