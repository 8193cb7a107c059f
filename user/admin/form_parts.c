/* SPDX-License-Identifier: BSD-2-Clause */
/* multipart/form-data (RFC 7578): parts are slices of the body, nothing is copied. */
#include "admin/call.h"

#define BOUNDARY_MAX 70 /* RFC 2046, 5.1.1 */
#define HEADERS_MAX  4096

/* The value of a parameter in a header's value: name=token or name="text". Empty when it is not there. */
static struct kg_slice parameter(struct kg_slice value, struct kg_slice name)
{
    for (size_t at = kg_slice_find(value, ';'); at < value.len; at = kg_slice_find(value, ';')) {
        struct kg_slice rest;

        value = kg_slice_trim(kg_slice_of(value.ptr + at + 1, value.len - at - 1));
        if (value.len <= name.len || value.ptr[name.len] != '=' ||
            !kg_slice_eq_nocase(kg_slice_of(value.ptr, name.len), name))
            continue;
        rest = kg_slice_of(value.ptr + name.len + 1, value.len - name.len - 1);
        if (rest.len == 0 || rest.ptr[0] != '"')
            return kg_slice_trim(kg_slice_of(rest.ptr, kg_slice_find(rest, ';')));
        rest = kg_slice_of(rest.ptr + 1, rest.len - 1);
        return kg_slice_of(rest.ptr, kg_slice_find(rest, '"'));
    }
    return kg_slice_of("", 0);
}

struct kg_slice kg_admin_boundary(struct kg_slice content_type)
{
    struct kg_slice boundary = parameter(content_type, KG_SLICE("boundary"));

    return boundary.len <= BOUNDARY_MAX ? boundary : kg_slice_of("", 0);
}

/* Reads the headers of a part; *rest is behind them. False when they do not end. */
static bool take_headers(struct kg_slice *rest, struct kg_form_part *part)
{
    struct kg_slice field = KG_SLICE("Content-Disposition:");

    for (size_t taken = 0; taken < HEADERS_MAX;) {
        const char *end = memmem(rest->ptr, rest->len, "\r\n", 2);
        struct kg_slice line = kg_slice_of(rest->ptr, end ? (size_t)(end - rest->ptr) : 0);

        if (!end)
            return false;
        *rest = kg_slice_of(end + 2, rest->len - line.len - 2);
        taken += line.len + 2;
        if (line.len == 0)
            return true;
        if (line.len < field.len || !kg_slice_eq_nocase(kg_slice_of(line.ptr, field.len), field))
            continue;
        part->name = parameter(line, KG_SLICE("name"));
        part->filename = parameter(line, KG_SLICE("filename"));
    }
    return false;
}

/* "\r\n--boundary" and what stands there: a long part is only gone through once. */
static const char *find_delimiter(struct kg_slice text, struct kg_slice boundary)
{
    char needle[BOUNDARY_MAX + 4];
    struct kg_writer w = kg_writer_of(needle, sizeof(needle));

    KG_PUT(&w, "\r\n--");
    kg_put(&w, boundary);
    return memmem(text.ptr, text.len, needle, w.len);
}

bool kg_admin_next_part(struct kg_slice *rest, struct kg_slice boundary, struct kg_form_part *part,
                        bool *broken)
{
    size_t dashes = boundary.len + 2;
    const char *end;

    *part = (struct kg_form_part){ 0 };
    *broken = true;
    if (rest->len < dashes + 2 || memcmp(rest->ptr, "--", 2) != 0 ||
        memcmp(rest->ptr + 2, boundary.ptr, boundary.len) != 0)
        return false;
    *rest = kg_slice_of(rest->ptr + dashes, rest->len - dashes);
    if (memcmp(rest->ptr, "--", 2) == 0) {
        *broken = false;
        return false;
    }
    if (memcmp(rest->ptr, "\r\n", 2) != 0)
        return false;
    *rest = kg_slice_of(rest->ptr + 2, rest->len - 2);
    if (!take_headers(rest, part))
        return false;
    end = find_delimiter(*rest, boundary);
    if (!end)
        return false;
    part->value = kg_slice_of(rest->ptr, (size_t)(end - rest->ptr));
    *rest = kg_slice_of(end + 2, rest->len - part->value.len - 2);
    *broken = false;
    return true;
}
