/* SPDX-License-Identifier: BSD-2-Clause */
/* Small changes to messages, of the kind that makes parsers disagree. The same numbers give the same changes.
 */
#ifndef KG_TESTS_MUTATE_H
#define KG_TESTS_MUTATE_H

#include "base/prng.h"
#include "base/slice.h"

/* Changes text[0..len) in place, which has room for `room` bytes; the new length. `other` is another message
 * to take parts of. */
size_t mutate(struct kg_prng *prng, char *text, size_t len, size_t room, struct kg_slice other);

#endif
