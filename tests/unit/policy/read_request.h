/* SPDX-License-Identifier: BSD-2-Clause */
/* For the tests of policies: a request as the proxy would have read it. */
#ifndef KG_TESTS_READ_REQUEST_H
#define KG_TESTS_READ_REQUEST_H

#include "http/framing.h"
#include "http/uri.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

/* line: method and target; headers: whole lines, each with its CRLF. The results point into text. */
static inline void read_request(const char *line, const char *headers, char *text, size_t room,
                                struct kg_head *head, struct kg_framing *framing, struct kg_target *target)
{
    static const struct kg_head_limits limits = { 8192, 8192, 100 };
    const char *why = NULL;
    int len = snprintf(text, room, "%s HTTP/1.1\r\nHost: h\r\n%s\r\n", line, headers);

    assert_true(len > 0 && (size_t)len < room);
    assert_int_equal(kg_head_parse_request(kg_slice_of(text, (size_t)len), &limits, head, &why), len);
    assert_int_equal(kg_framing_request(head, framing, &why), 0);
    assert_int_equal(kg_target_parse(head, framing->host, target, &why), 0);
}

#endif
