/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/file.h"

#include "base/mem.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

int kg_file_read(const char *path, struct kg_slice *text, struct kg_error *err)
{
    FILE *stream = fopen(path, "re");
    int rc = 0;

    if (!stream)
        return kg_error_set(err, errno, "%s: cannot be read: %s", path, strerror(errno));
    setvbuf(stream, NULL, _IONBF, 0); /* no second copy of what may be a key */
    char *bytes = kg_calloc(1, KG_FILE_MAX + 1);
    *text = kg_slice_of(bytes, fread(bytes, 1, KG_FILE_MAX + 1, stream));
    if (ferror(stream))
        rc = kg_error_set(err, EIO, "%s: cannot be read: %s", path, strerror(errno));
    else if (text->len > KG_FILE_MAX)
        rc = kg_error_set(err, EFBIG, "%s: longer than 1 MiB", path);
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
