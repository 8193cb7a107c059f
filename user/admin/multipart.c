/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * multipart/form-data (RFC 7578) as the form that it stands for: each part's name and content are written as
 * application/x-www-form-urlencoded, which the schema reads. A file's name and a part's own type mean nothing
 * here.
 */
#include "admin/call.h"

#include "base/cursor.h"

#define BOUNDARY_MAX 70 /* RFC 2046, 5.1.1 */
#define NAME_MAX_LEN 1024

/* What a quoted or a plain value of a parameter stands for; false for one without an end. */
static bool take_value(struct kg_cursor *c, struct kg_writer *out)
{
    bool quoted = kg_cursor_take(c, '"');

    for (; kg_cursor_left(c) > 0; c->pos++) {
        if (*c->pos == (quoted ? '"' : ';'))
            break;
        if (quoted && *c->pos == '\\' && kg_cursor_left(c) > 1)
            c->pos++;
        kg_put_char(out, *c->pos);
    }
    return !quoted || kg_cursor_take(c, '"');
}

/* The parameter of a header's value, behind its first ';', into out; false when it is not there. */
static bool find_parameter(struct kg_slice value, struct kg_slice wanted, struct kg_writer *out)
{
    struct kg_cursor c = kg_cursor_of(value);

    c.pos += kg_slice_find(value, ';');
    while (kg_cursor_take(&c, ';')) {
        const char *start = c.pos;
        struct kg_slice name;

        while (kg_cursor_left(&c) > 0 && *c.pos != '=' && *c.pos != ';')
            c.pos++;
        name = kg_slice_trim(kg_slice_of(start, (size_t)(c.pos - start)));
        out->len = 0;
        if (kg_cursor_take(&c, '=') && !take_value(&c, out))
            return false;
        while (kg_cursor_left(&c) > 0 && *c.pos != ';')
            c.pos++;
        if (kg_slice_eq_nocase(name, wanted))
            return !out->overflow;
        out->overflow = false;
    }
    return false;
}

/* Cuts what stands before `mark` off *rest, and the mark; false when there is none. */
static bool cut(struct kg_slice *rest, struct kg_slice mark, struct kg_slice *before)
{
    const char *at = rest->len > 0 ? memmem(rest->ptr, rest->len, mark.ptr, mark.len) : NULL;

    if (!at)
        return false;
    *before = kg_slice_of(rest->ptr, (size_t)(at - rest->ptr));
    *rest = kg_slice_of(at + mark.len, rest->len - before->len - mark.len);
    return true;
}

/* The part's name out of its header; false when it has none. */
static bool find_name(struct kg_slice head, struct kg_writer *name)
{
    static const struct kg_slice disposition = { "content-disposition", 19 };

    while (head.len > 0) {
        struct kg_slice line;
        size_t colon;

        if (!cut(&head, KG_SLICE("\r\n"), &line)) {
            line = head;
            head.len = 0;
        }
        colon = kg_slice_find(line, ':');
        if (colon < line.len && kg_slice_eq_nocase(kg_slice_of(line.ptr, colon), disposition))
            return find_parameter(kg_slice_of(line.ptr + colon + 1, line.len - colon - 1), KG_SLICE("name"),
                                  name);
    }
    return false;
}

/* One part, whose header begins at *rest, behind the line of its boundary. */
static bool take_part(struct kg_slice *rest, struct kg_slice mark, struct kg_writer *out)
{
    char buf[NAME_MAX_LEN];
    struct kg_writer name = kg_writer_of(buf, sizeof(buf));
    struct kg_slice head, content;

    if (!cut(rest, KG_SLICE("\r\n\r\n"), &head) || !find_name(head, &name) || !cut(rest, mark, &content))
        return false;
    if (out->len > 0)
        KG_PUT(out, "&");
    kg_admin_put_escaped(out, kg_writer_slice(&name));
    KG_PUT(out, "=");
    kg_admin_put_escaped(out, content);
    return true;
}

bool kg_admin_read_multipart(struct kg_slice type, struct kg_slice body, struct kg_writer *out)
{
    char buf[4 + BOUNDARY_MAX] = "\r\n--";
    struct kg_writer boundary = kg_writer_of(buf + 4, BOUNDARY_MAX);
    struct kg_slice mark, skipped;

    if (!find_parameter(type, KG_SLICE("boundary"), &boundary) || boundary.len == 0)
        return false;
    mark = kg_slice_of(buf, 4 + boundary.len);
    /* The first one may stand at the very beginning, without its line's end before it. */
    if (kg_slice_starts_with(body, kg_slice_of(mark.ptr + 2, mark.len - 2)))
        body = kg_slice_of(body.ptr + mark.len - 2, body.len - (mark.len - 2));
    else if (!cut(&body, mark, &skipped))
        return false;
    while (!kg_slice_starts_with(body, KG_SLICE("--"))) {
        if (!cut(&body, KG_SLICE("\r\n"), &skipped) || kg_slice_trim(skipped).len > 0 ||
            !take_part(&body, mark, out))
            return false;
    }
    return !out->overflow;
}
