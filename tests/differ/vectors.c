/* SPDX-License-Identifier: BSD-2-Clause */
#include "vectors.h"

#include "base/cursor.h"
#include "base/writer.h"
#include "differ.h"
#include "http/bytes.h"

#include <stdio.h>
#include <stdlib.h>

#define SEPARATOR " | "

/* The byte behind a backslash, which the cursor is at; -1 when there is no such escape. */
static int take_escape(struct kg_cursor *c)
{
    static const char names[] = "rnt0\\", bytes[] = "\r\n\t\0\\";
    int name = kg_cursor_peek(c, 1), high = kg_cursor_peek(c, 2), low = kg_cursor_peek(c, 3);
    const char *known = name > 0 ? strchr(names, name) : NULL;

    if (known) {
        c->pos += 2;
        return (unsigned char)bytes[known - names];
    }
    if (name != 'x' || high < 0 || low < 0 || kg_bytes_hex[high] < 0 || kg_bytes_hex[low] < 0)
        return -1;
    c->pos += 4;
    return kg_bytes_hex[high] << 4 | kg_bytes_hex[low];
}

static bool unescape(struct kg_slice text, struct kg_writer *out);

/* {N*text}: N times the text, which may hold escapes. False when it is not that. */
static bool put_repeated(struct kg_cursor *c, struct kg_writer *out)
{
    struct kg_slice rest = kg_slice_of(c->pos + 1, kg_cursor_left(c) - 1), text;
    size_t star = kg_slice_find(rest, '*'), end = kg_slice_find(rest, '}');
    uint64_t times;

    if (end == rest.len || star >= end || kg_slice_u64(kg_slice_of(rest.ptr, star), &times))
        return false;
    text = kg_slice_of(rest.ptr + star + 1, end - star - 1);
    for (uint64_t i = 0; i < times; i++) {
        if (!unescape(text, out))
            return false;
    }
    c->pos += end + 2;
    return true;
}

static bool unescape(struct kg_slice text, struct kg_writer *out)
{
    struct kg_cursor c = kg_cursor_of(text);

    while (kg_cursor_left(&c) > 0) {
        int byte = kg_cursor_peek(&c, 0);

        if (byte == '{' && put_repeated(&c, out))
            continue;
        if (byte == '\\')
            byte = take_escape(&c);
        else
            c.pos++;
        if (byte < 0)
            return false;
        kg_put_char(out, (char)byte);
    }
    return !out->overflow;
}

static bool split(char *line, size_t columns, struct vector *vector)
{
    static char bytes[DIFFER_INPUT_MAX];
    struct kg_writer out = kg_writer_of(bytes, sizeof(bytes));

    for (size_t i = 0; i < columns; i++) {
        char *end = i + 1 < columns ? strstr(line, SEPARATOR) : line + strlen(line);

        if (!end)
            return false;
        vector->fields[i] = line;
        line = *end != '\0' ? end + strlen(SEPARATOR) : end;
        *end = '\0';
    }
    if (!unescape(kg_slice_str(vector->fields[columns - 1]), &out))
        return false;
    vector->bytes = kg_writer_slice(&out);
    return true;
}

int vectors_read(const char *path, size_t columns, void (*each)(const struct vector *vector))
{
    FILE *file = fopen(path, "re");
    struct vector vector = { 0 };
    char *line = NULL;
    size_t room = 0;
    ssize_t len;
    int count = 0;

    if (!file) {
        fprintf(stderr, "%s: cannot be read from here; run this in the top folder\n", path);
        return -1;
    }
    while (count >= 0 && (len = getline(&line, &room, file)) > 0) {
        vector.line++;
        if (line[len - 1] == '\n')
            line[len - 1] = '\0';
        if (line[0] == '#' || line[0] == '\0')
            continue;
        if (split(line, columns, &vector)) {
            each(&vector);
            count++;
            continue;
        }
        fprintf(stderr, "%s:%u: not a line of %zu columns\n", path, vector.line, columns);
        count = -1;
    }
    free(line);
    fclose(file);
    return count;
}
