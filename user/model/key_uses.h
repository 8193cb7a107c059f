/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * When a key was last used, to the minute. A credential remembers the minute in which its use was last told;
 * the first use in each minute goes into a queue of the worker's own. Nothing waits and nothing is allocated:
 * when the queue is full the next use tells it.
 */
#ifndef KG_MODEL_KEY_USES_H
#define KG_MODEL_KEY_USES_H

#include "model/snapshot.h"

#define KG_KEY_USES  4096 /* in a worker's queue; a power of two */
#define KG_KEY_USE_S 60

struct kg_key_use {
    char id[KG_UUID_TEXT];
    int64_t at; /* wall-clock seconds, the minute's first */
};

/* Single producer, single consumer. */
struct kg_key_uses {
    _Alignas(64) _Atomic uint32_t head; /* written by the worker */
    _Alignas(64) _Atomic uint32_t tail; /* written by the control thread */
    struct kg_key_use items[KG_KEY_USES];
};

/* Worker: this credential let a request in. */
void kg_key_uses_note(struct kg_key_uses *uses, const struct kg_credential *credential, int64_t now_wall);
/* Control thread: false when there is none. */
bool kg_key_uses_take(struct kg_key_uses *uses, struct kg_key_use *use);

#endif
