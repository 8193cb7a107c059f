/* SPDX-License-Identifier: BSD-2-Clause */
/* Headers of a request as curl takes them: "Name: value", or @FILE with one on each line, which keeps keys
 * out of lists of processes. */
#include "keyctl/keyctl.h"

#include "base/mem.h"

#include <errno.h>
#include <stdlib.h>

#define LINES_MAX 1000

/* What stands in a file is in no message. */
static int add_line(json_t *headers, struct kg_slice line, const char *where, struct kg_error *err)
{
    size_t colon = kg_slice_find(line, ':');
    struct kg_slice value;
    json_t *list;

    if (colon == 0 || colon == line.len)
        return kg_error_set(err, EINVAL, "%s: a header is NAME: VALUE", where);
    value = kg_slice_trim(kg_slice_of(line.ptr + colon + 1, line.len - colon - 1));
    list = json_object_getn(headers, line.ptr, colon);
    if (!list) {
        list = json_array();
        if (json_object_setn_new(headers, line.ptr, colon, list) < 0)
            return kg_error_set(err, EINVAL, "%s is not valid UTF-8", where);
    }
    if (json_array_append_new(list, json_stringn(value.ptr, value.len)) < 0)
        return kg_error_set(err, EINVAL, "%s is not valid UTF-8", where);
    return 0;
}

static int read_lines(FILE *file, json_t *headers, const char *where, struct kg_error *err)
{
    char *line = NULL;
    size_t room = 0;
    ssize_t len;
    int rc = 0, count = 0;

    while (rc == 0 && (len = getline(&line, &room, file)) >= 0) {
        while (len > 0 && (line[len - 1] == '\n' || line[len - 1] == '\r'))
            len--;
        if (++count > LINES_MAX)
            rc = kg_error_set(err, EINVAL, "%s has more than %d lines", where, LINES_MAX);
        else if (len > 0)
            rc = add_line(headers, kg_slice_of(line, (size_t)len), where, err);
    }
    if (rc == 0 && ferror(file))
        rc = kg_error_set(err, EINVAL, "cannot read %s: %s", where, strerror(errno));
    if (line)
        kg_wipe(line, room);
    free(line);
    return rc;
}

int add_headers(json_t *headers, const char *text, struct kg_error *err)
{
    bool is_stdin = strcmp(text, "@-") == 0;
    FILE *file;
    int rc;

    if (text[0] != '@')
        return add_line(headers, kg_slice_str(text), "the command line", err);
    file = is_stdin ? stdin : fopen(text + 1, "re");
    if (!file)
        return kg_error_set(err, EINVAL, "cannot open %s: %s", text + 1, strerror(errno));
    rc = read_lines(file, headers, is_stdin ? "standard input" : text + 1, err);
    if (!is_stdin)
        fclose(file);
    return rc;
}
