/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * libFuzzer target for bodies of type multipart/form-data. The input is a Content-Type, up to the first
 * line's end, and the body behind it.
 */
#include "http/multipart.h"
#include "check.h"

#define PARTS_MAX 64

struct kept {
    struct kg_slice name, filename, content;
};

static struct kg_slice copy_of(struct kg_slice part)
{
    char *copy = malloc(part.len > 0 ? part.len : 1);

    if (part.len > 0)
        memcpy(copy, part.ptr, part.len);
    return kg_slice_of(copy, part.len);
}

/* Every part of a body, or -EINVAL; those that fit are copied out of the reader's own buffers. */
static int read_parts(struct kg_slice type, struct kg_slice body, struct kept kept[PARTS_MAX], size_t *count)
{
    static struct kg_multipart form;
    static struct kg_multipart_part part;
    int rc;

    *count = 0;
    if (!kg_multipart_begin(&form, type, body))
        return -1;
    check_inside(form.rest, body);
    KG_ASSERT(form.mark_len > 4 && form.mark_len <= sizeof(form.mark));
    while ((rc = kg_multipart_next(&form, &part)) > 0) {
        check_inside(part.content, body);
        check_inside(form.rest, body);
        KG_ASSERT(part.name.len <= KG_MULTIPART_NAME && part.filename.len <= KG_MULTIPART_NAME);
        /* What ends a part never lies in it. */
        KG_ASSERT(part.content.len == 0 ||
                  !memmem(part.content.ptr, part.content.len, form.mark, form.mark_len));
        if (*count < PARTS_MAX)
            kept[(*count)++] =
                (struct kept){ copy_of(part.name), copy_of(part.filename), copy_of(part.content) };
    }
    return rc;
}

static void put_quoted(struct kg_writer *out, struct kg_slice text)
{
    kg_put_char(out, '"');
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] == '"' || text.ptr[i] == '\\')
            kg_put_char(out, '\\');
        kg_put_char(out, text.ptr[i]);
    }
    kg_put_char(out, '"');
}

/* A name with a line's end in it cannot be written. */
static bool is_writable(struct kg_slice name)
{
    return name.len == 0 || !memmem(name.ptr, name.len, "\r\n", 2);
}

/* Writes what was read, with another boundary, and reads it again: the same must come out. */
static void check_again(const struct kept *kept, size_t count)
{
    static char text[4 * INPUT_MAX];
    static struct kept again[PARTS_MAX];
    static const struct kg_slice mark = { "\r\n--=_kg_boundary", 17 };
    struct kg_writer out = kg_writer_of(text, sizeof(text));
    size_t found;

    for (size_t i = 0; i < count; i++) {
        struct kg_slice content = kept[i].content;

        if (!is_writable(kept[i].name) || !is_writable(kept[i].filename) ||
            (content.len > 0 && memmem(content.ptr, content.len, mark.ptr, mark.len)))
            return;
        kg_put(&out, mark);
        KG_PUT(&out, "\r\nContent-Disposition: form-data; name=");
        put_quoted(&out, kept[i].name);
        KG_PUT(&out, "; filename=");
        put_quoted(&out, kept[i].filename);
        KG_PUT(&out, "\r\n\r\n");
        kg_put(&out, content);
    }
    kg_put(&out, mark);
    KG_PUT(&out, "--");
    if (out.overflow)
        return;
    KG_ASSERT(read_parts(KG_SLICE("multipart/form-data; boundary=\"=_kg_boundary\""), kg_writer_slice(&out),
                         again, &found) == 0);
    KG_ASSERT(found == count);
    for (size_t i = 0; i < count; i++) {
        KG_ASSERT(kg_slice_eq(again[i].name, kept[i].name));
        KG_ASSERT(kg_slice_eq(again[i].filename, kept[i].filename));
        KG_ASSERT(kg_slice_eq(again[i].content, kept[i].content));
        free((char *)(uintptr_t)again[i].name.ptr);
        free((char *)(uintptr_t)again[i].filename.ptr);
        free((char *)(uintptr_t)again[i].content.ptr);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct kept kept[PARTS_MAX];
    struct kg_slice input = input_of(data, size), type, body;
    size_t at = kg_slice_find(input, '\n'), count;
    int rc;

    if (size > INPUT_MAX)
        return 0;
    /* Copies of their own, so that AddressSanitizer sees a read past the end. */
    type = copy_of(kg_slice_of(input.ptr, at));
    body = copy_of(at < input.len ? kg_slice_of(input.ptr + at + 1, input.len - at - 1) : KG_SLICE(""));
    rc = read_parts(type, body, kept, &count);
    if (rc == 0)
        check_again(kept, count);
    for (size_t i = 0; i < count; i++) {
        free((char *)(uintptr_t)kept[i].name.ptr);
        free((char *)(uintptr_t)kept[i].filename.ptr);
        free((char *)(uintptr_t)kept[i].content.ptr);
    }
    free((char *)(uintptr_t)type.ptr);
    free((char *)(uintptr_t)body.ptr);
    return 0;
}
