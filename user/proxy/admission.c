/* SPDX-License-Identifier: BSD-2-Clause */
#include "proxy/admission.h"
#include "base/assert.h"
#include "base/mem.h"
#include "base/uuid.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#define LOCKS  64
#define CHAINS 16384 /* a multiple of LOCKS: each lock guards every LOCKS-th of them */

struct place {
    struct place *next;
    struct kg_addr source;
    uint32_t count; /* never 0 */
};

struct kg_admission {
    uint32_t total, per_source;
    _Atomic uint32_t entered;
    uint64_t seed;
    pthread_mutex_t locks[LOCKS];
    struct place *chains[CHAINS]; /* sources that are here; one leaves with its last connection */
};

struct kg_admission *kg_admission_new(uint32_t total, uint32_t per_source)
{
    struct kg_admission *admission = kg_calloc(1, sizeof(*admission));

    admission->total = total;
    admission->per_source = per_source;
    kg_random(&admission->seed, sizeof(admission->seed));
    for (size_t i = 0; i < LOCKS; i++)
        KG_ASSERT(pthread_mutex_init(&admission->locks[i], NULL) == 0);
    return admission;
}

void kg_admission_free(struct kg_admission *admission)
{
    for (size_t i = 0; i < CHAINS; i++) {
        for (struct place *place = admission->chains[i], *next; place; place = next) {
            next = place->next;
            free(place);
        }
    }
    for (size_t i = 0; i < LOCKS; i++)
        pthread_mutex_destroy(&admission->locks[i]);
    free(admission);
}

bool kg_admission_enter(struct kg_admission *admission)
{
    uint32_t before = atomic_fetch_add_explicit(&admission->entered, 1, memory_order_relaxed);

    if (admission->total == 0 || before < admission->total)
        return true;
    kg_admission_leave(admission);
    return false;
}

void kg_admission_leave(struct kg_admission *admission)
{
    atomic_fetch_sub_explicit(&admission->entered, 1, memory_order_relaxed);
}

static size_t chain_of(const struct kg_admission *admission, const struct kg_addr *source)
{
    return kg_addr_hash(source, admission->seed) % CHAINS;
}

/* Where the source is linked, or would be: at the end of its chain. */
static struct place **find(struct kg_admission *admission, size_t chain, const struct kg_addr *source)
{
    struct place **at = &admission->chains[chain];

    while (*at && !kg_addr_eq(&(*at)->source, source))
        at = &(*at)->next;
    return at;
}

static bool count_in(struct kg_admission *admission, size_t chain, const struct kg_addr *source)
{
    struct place **at = find(admission, chain, source);

    if (*at && (*at)->count >= admission->per_source)
        return false;
    if (!*at) {
        *at = kg_calloc(1, sizeof(**at));
        (*at)->source = *source;
    }
    (*at)->count++;
    return true;
}

static void count_out(struct kg_admission *admission, size_t chain, const struct kg_addr *source)
{
    struct place **at = find(admission, chain, source), *place = *at;

    KG_ASSERT(place);
    if (--place->count > 0)
        return;
    *at = place->next;
    free(place);
}

bool kg_admission_enter_source(struct kg_admission *admission, const struct kg_addr *source)
{
    size_t chain;

    if (admission->per_source == 0)
        return true;
    chain = chain_of(admission, source);
    pthread_mutex_lock(&admission->locks[chain % LOCKS]);
    bool entered = count_in(admission, chain, source);
    pthread_mutex_unlock(&admission->locks[chain % LOCKS]);
    return entered;
}

void kg_admission_leave_source(struct kg_admission *admission, const struct kg_addr *source)
{
    size_t chain;

    if (admission->per_source == 0)
        return;
    chain = chain_of(admission, source);
    pthread_mutex_lock(&admission->locks[chain % LOCKS]);
    count_out(admission, chain, source);
    pthread_mutex_unlock(&admission->locks[chain % LOCKS]);
}
