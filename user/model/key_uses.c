/* SPDX-License-Identifier: BSD-2-Clause */
#include "model/key_uses.h"
#include "model/records.h"

_Static_assert((KG_KEY_USES & (KG_KEY_USES - 1)) == 0, "positions wrap around as uint32_t do");

/* Several workers may tell the same minute: that costs a write that changes nothing. */
void kg_key_uses_note(struct kg_key_uses *uses, const struct kg_credential *credential, int64_t now_wall)
{
    /* Workers see all else of a credential as const; this one word is theirs. */
    _Static_assert(offsetof(struct kg_credential_record, pub) == 0, "a credential begins its record");
    _Atomic uint32_t *told = &((struct kg_credential_record *)(uintptr_t)credential)->used_minute;
    uint32_t minute = (uint32_t)(now_wall / KG_KEY_USE_S), head;

    if (atomic_load_explicit(told, memory_order_relaxed) == minute)
        return;
    head = atomic_load_explicit(&uses->head, memory_order_relaxed);
    if (head - atomic_load_explicit(&uses->tail, memory_order_acquire) == KG_KEY_USES)
        return;
    atomic_store_explicit(told, minute, memory_order_relaxed);
    memcpy(uses->items[head % KG_KEY_USES].id, credential->id, KG_UUID_TEXT);
    uses->items[head % KG_KEY_USES].at = (int64_t)minute * KG_KEY_USE_S;
    atomic_store_explicit(&uses->head, head + 1, memory_order_release);
}

bool kg_key_uses_take(struct kg_key_uses *uses, struct kg_key_use *use)
{
    uint32_t tail = atomic_load_explicit(&uses->tail, memory_order_relaxed);

    if (tail == atomic_load_explicit(&uses->head, memory_order_acquire))
        return false;
    *use = uses->items[tail % KG_KEY_USES];
    atomic_store_explicit(&uses->tail, tail + 1, memory_order_release);
    return true;
}
