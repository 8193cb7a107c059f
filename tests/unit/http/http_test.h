/* SPDX-License-Identifier: BSD-2-Clause */
/* What the tests of this room share. */
#ifndef KG_TEST_HTTP_H
#define KG_TEST_HTTP_H

#include "http/head.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

static const struct kg_head_limits usual_limits = { .line = 8192, .bytes = 32768, .headers = 100 };

#define assert_slice(slice, text)                                                                            \
    do {                                                                                                     \
        struct kg_slice got_ = (slice), want_ = kg_slice_str(text);                                          \
        if (!kg_slice_eq(got_, want_))                                                                       \
            fail_msg("\"%.*s\" instead of \"%s\"", (int)got_.len, got_.ptr, text);                           \
    } while (0)

#define assert_status(rc, status, why)                                                                       \
    do {                                                                                                     \
        assert_int_equal(rc, -(status));                                                                     \
        assert_non_null(why);                                                                                \
    } while (0)

#endif
