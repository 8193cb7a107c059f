/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/file.h"

#include "base/mem.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

/* Room for all of a regular file of at most max bytes, and for one more, which tells a longer one. */
static size_t room_for(FILE *stream, size_t max)
{
    struct stat st;

    if (fstat(fileno(stream), &st) == 0 && S_ISREG(st.st_mode) && (uint64_t)st.st_size < max)
        return (size_t)st.st_size + 1;
    return max + 1;
}

int kg_file_read(const char *path, struct kg_slice *text, struct kg_error *err)
{
    return kg_file_read_long(path, KG_FILE_MAX, text, err);
}

int kg_file_read_long(const char *path, size_t max, struct kg_slice *text, struct kg_error *err)
{
    FILE *stream = fopen(path, "re");
    int rc = 0;

    if (!stream)
        return kg_error_set(err, errno, "%s: cannot be read: %s", path, strerror(errno));
    setvbuf(stream, NULL, _IONBF, 0); /* no second copy of what may be a key */
    size_t room = room_for(stream, max);
    char *bytes = kg_calloc(1, room + 1);
    *text = kg_slice_of(bytes, fread(bytes, 1, room, stream));
    if (ferror(stream))
        rc = kg_error_set(err, EIO, "%s: cannot be read: %s", path, strerror(errno));
    else if (text->len > max)
        rc = kg_error_set(err, EFBIG, "%s: longer than %zu %s", path,
                          max % KG_FILE_MAX == 0 ? max / KG_FILE_MAX : max / 1024,
                          max % KG_FILE_MAX == 0 ? "MiB" : "KiB");
    fclose(stream);
    if (rc)
        kg_file_free(*text);
    return rc;
}

void kg_file_free(struct kg_slice text)
{
    char *bytes = (char *)(uintptr_t)text.ptr;

    kg_wipe(bytes, text.len);
    free(bytes);
}
