/* SPDX-License-Identifier: BSD-2-Clause */
/* Small files as a whole. Any thread, but never a worker: it waits for the disk. */
#ifndef KG_BASE_FILE_H
#define KG_BASE_FILE_H

#include "base/error.h"
#include "base/slice.h"

#define KG_FILE_MAX (1024 * 1024) /* nobody writes a longer one by hand; keeps /dev/zero out */

/* The bytes of the file in *text, NUL behind them: free with kg_file_free. 0, or -errno and "PATH: …". */
int kg_file_read(const char *path, struct kg_slice *text, struct kg_error *err);
/* The same of at most max bytes. */
int kg_file_read_long(const char *path, size_t max, struct kg_slice *text, struct kg_error *err);
/* Wiped first: it may have been a key. */
void kg_file_free(struct kg_slice text);

#endif
