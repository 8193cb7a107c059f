/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Answers that keygate itself gives: status lines, and error bodies in Kong's shape, negotiated by Accept
 * (application/json, text/html, application/xml, text/plain; JSON otherwise). Pure; any thread.
 */
#ifndef KG_HTTP_ANSWER_H
#define KG_HTTP_ANSWER_H

#include "base/writer.h"
#include "http/head.h"

/* The usual reason phrase (RFC 9110, 15), "Unknown" for a status without one. */
const char *kg_status_reason(unsigned status);

enum kg_media { KG_MEDIA_JSON, KG_MEDIA_HTML, KG_MEDIA_XML, KG_MEDIA_PLAIN };

/* The type a client wants most among the four: q-values (RFC 9110, 12.5.1), the first of equals; JSON when it
 * says nothing we know. */
enum kg_media kg_media_negotiate(const struct kg_head *head);

/* "application/json; charset=utf-8" and its like. */
struct kg_slice kg_media_type(enum kg_media media);

/*
 * The body. JSON is exactly "{\n  \"message\":\"…\",\n  \"request_id\":\"…\"\n}" without a newline at the
 * end; the message is escaped for the media type. text/plain: "message\nrequest_id: id\n".
 */
void kg_error_body(enum kg_media media, struct kg_slice message, struct kg_slice request_id,
                   struct kg_writer *out);

#endif
