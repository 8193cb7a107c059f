/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Memory that is needed to start or to publish: running out of it there is not survivable, so these abort
 * with a message instead of returning NULL. Memory that a stranger can make grow comes from bounded pools
 * instead.
 */
#ifndef KG_BASE_MEM_H
#define KG_BASE_MEM_H

#include <stddef.h>

/* Zeroed; never NULL. count * size is checked for overflow. */
void *kg_calloc(size_t count, size_t size);

/* Zeroed, at an address that is a multiple of `alignment` (a power of two); never NULL. free() takes it back.
 */
void *kg_calloc_aligned(size_t alignment, size_t size);

/* Grows or shrinks; never NULL for size > 0. */
void *kg_realloc(void *ptr, size_t count, size_t size);

/* A NUL-terminated copy of len bytes; never NULL. */
char *kg_strndup(const char *ptr, size_t len);
char *kg_strdup(const char *str);

/*
 * Around the loading of much that stays, on the main thread: the heap grows in large steps, and what
 * kg_mem_load_more finds new of it is to be of huge pages (transparent ones: Linux 2.6.38), which takes a
 * small part of the page faults. Call that now and then. load_end gives back what is over.
 */
void kg_mem_load_begin(void);
void kg_mem_load_more(void);
void kg_mem_load_end(void);

/* Zeroes memory that held a secret, in a way the compiler keeps. */
void kg_wipe(void *ptr, size_t len);

#endif
