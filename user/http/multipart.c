/* SPDX-License-Identifier: BSD-2-Clause */
/* multipart/form-data (RFC 7578): contents are slices of the body, nothing of them is copied. */
#include "http/multipart.h"

#include "base/cursor.h"

#include <errno.h>

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
    out->len = 0;
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

/* The value of Content-Disposition in a part's head; empty when it has none. */
static struct kg_slice find_disposition(struct kg_slice head)
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
            return kg_slice_of(line.ptr + colon + 1, line.len - colon - 1);
    }
    return KG_SLICE("");
}

bool kg_multipart_begin(struct kg_multipart *form, struct kg_slice type, struct kg_slice body)
{
    struct kg_writer w = kg_writer_of(form->mark, sizeof(form->mark));
    struct kg_writer boundary = kg_writer_of(form->mark + 4, KG_MULTIPART_BOUNDARY);
    struct kg_slice mark, preamble;

    KG_PUT(&w, "\r\n--");
    form->mark_len = 0;
    if (!find_parameter(type, KG_SLICE("boundary"), &boundary) || boundary.len == 0)
        return false;
    form->mark_len = 4 + boundary.len;
    mark = kg_slice_of(form->mark, form->mark_len);
    form->rest = body;
    /* The first one may stand at the very beginning, without its line's end before it. */
    if (kg_slice_starts_with(body, kg_slice_of(mark.ptr + 2, mark.len - 2))) {
        form->rest = kg_slice_of(body.ptr + mark.len - 2, body.len - (mark.len - 2));
        return true;
    }
    return cut(&form->rest, mark, &preamble);
}

int kg_multipart_next(struct kg_multipart *form, struct kg_multipart_part *part)
{
    struct kg_writer name = kg_writer_of(part->name_buf, sizeof(part->name_buf));
    struct kg_writer filename = kg_writer_of(part->filename_buf, sizeof(part->filename_buf));
    struct kg_slice line, head, disposition;
    size_t dashes = form->mark_len - 2; /* "--" boundary, without its line's end before it */
    const char *start = form->rest.ptr - dashes;

    if (kg_slice_starts_with(form->rest, KG_SLICE("--")))
        return 0;
    if (!cut(&form->rest, KG_SLICE("\r\n"), &line) || kg_slice_trim(line).len > 0 ||
        !cut(&form->rest, KG_SLICE("\r\n\r\n"), &head))
        return -EINVAL;
    disposition = find_disposition(head);
    if (!find_parameter(disposition, KG_SLICE("name"), &name) ||
        !cut(&form->rest, kg_slice_of(form->mark, form->mark_len), &part->content))
        return -EINVAL;
    part->whole = kg_slice_of(start, (size_t)(form->rest.ptr - dashes - start));
    part->name = kg_writer_slice(&name);
    part->filename = KG_SLICE("");
    if (find_parameter(disposition, KG_SLICE("filename"), &filename))
        part->filename = kg_writer_slice(&filename);
    return 1;
}
