/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Assertions in three grades; all stay on in production.
 *   KG_ASSERT    a broken invariant: going on would do harm, so abort with a message that names it.
 *   KG_WARN_ONCE suspicious but survivable: say so once for each place, and tell the caller by the value.
 *   KG_COUNT_IF  expected now and then: count it in the given counter, and tell the caller by the value.
 */
#ifndef KG_BASE_ASSERT_H
#define KG_BASE_ASSERT_H

#include <stdbool.h>
#include <stdint.h>

_Noreturn void kg_assert_fail(const char *expr, const char *file, int line);
bool kg_assert_warn(_Atomic bool *said, const char *expr, const char *file, int line);

#define KG_ASSERT(cond) (__builtin_expect(!!(cond), 1) ? (void)0 : kg_assert_fail(#cond, __FILE__, __LINE__))

#define KG_WARN_ONCE(cond)                                                                                   \
    ({                                                                                                       \
        static _Atomic bool said_;                                                                           \
        __builtin_expect(!!(cond), 0) && kg_assert_warn(&said_, #cond, __FILE__, __LINE__);                  \
    })

#define KG_COUNT_IF(cond, counter) (__builtin_expect(!!(cond), 0) && ((counter)++, true))

#endif
