/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/assert.h"
#include "base/log.h"

#include <stdatomic.h>
#include <stdlib.h>

_Noreturn void kg_assert_fail(const char *expr, const char *file, int line)
{
    kg_log(KG_LOG_ERROR, "broken invariant at %s:%d: %s", file, line, expr);
    abort();
}

bool kg_assert_warn(_Atomic bool *said, const char *expr, const char *file, int line)
{
    if (!atomic_exchange(said, true))
        kg_log(KG_LOG_WARN, "unexpected at %s:%d: %s (said once)", file, line, expr);
    return true;
}
