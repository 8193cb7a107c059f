/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * libFuzzer target for declarative files: a sync of any text against a database of its own. What is taken
 * changes nothing when it is synced again, nor does its dump; what is refused says why.
 */
#include "check.h"

#include "policy/policy.h"
#include "store/declare.h"
#include "store/internal.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#define INPUT_LIMIT 16384
#define LIMIT       (64 * INPUT_LIMIT) /* a dump says much that a file leaves out */

static struct kg_store *store;

/* The files stay as long as the process has them open, and nobody needs to tidy up after a crash. */
static void unlink_all(const char *dir)
{
    DIR *entries = opendir(dir);
    struct dirent *entry;

    KG_ASSERT(entries != NULL);
    while ((entry = readdir(entries)) != NULL)
        unlinkat(dirfd(entries), entry->d_name, 0);
    closedir(entries);
    rmdir(dir);
}

static void open_store(void)
{
    char dir[] = "/tmp/kg-fuzz-XXXXXX";
    struct kg_error err = { "" };

    kg_policies_register();
    KG_ASSERT(mkdtemp(dir) != NULL);
    KG_ASSERT(kg_store_open(dir, &store, &err) == 0);
    /* Nothing here shall survive anything. */
    KG_ASSERT(sqlite3_exec(store->db, "PRAGMA synchronous = OFF", NULL, NULL, NULL) == SQLITE_OK);
    unlink_all(dir);
}

static const char *look_up(void *ctx, const char *name)
{
    return strcmp(name, "DECK_A") == 0 ? "alpha" : NULL;
}

static int run(struct kg_slice text, bool dry_run, struct kg_declare_result *result)
{
    const struct kg_declare_file file = { "fuzz", text };
    const struct kg_declare_request request = {
        .files = &file, .file_count = 1, .limit = LIMIT, .env = look_up, .dry_run = dry_run
    };
    struct kg_error err = { "" };
    int rc = kg_declare(store, &request, result, &err);

    KG_ASSERT(rc == 0 || rc == -EINVAL);
    KG_ASSERT((rc == 0) == (json_array_size(result->errors) == 0));
    return rc;
}

static void dump(const struct kg_dump_options *options, char **text, size_t *len)
{
    struct kg_error err = { "" };

    KG_ASSERT(kg_declare_dump(store, options, text, len, &err) == 0);
}

static void sync_to(struct kg_slice text, bool changes)
{
    struct kg_declare_result result;

    KG_ASSERT(run(text, false, &result) == 0);
    KG_ASSERT(changes == (result.created + result.updated + result.deleted > 0));
    kg_declare_free(&result);
}

/* The dump changes nothing; and from nothing all comes back, in the same order. */
static void check_dump(bool with_ids)
{
    const struct kg_dump_options options = { .with_ids = with_ids };
    char *text, *again;
    size_t len, again_len;

    dump(&options, &text, &len);
    sync_to(kg_slice_of(text, len), false);
    sync_to(KG_SLICE("_format_version: \"3.0\"\n"), true);
    sync_to(kg_slice_of(text, len), true);
    dump(&options, &again, &again_len);
    KG_ASSERT(kg_slice_eq(kg_slice_of(text, len), kg_slice_of(again, again_len)));
    free(text);
    free(again);
}

/* The same file again; what it gives a lifetime may have ended meanwhile. */
static void check_same(struct kg_slice text)
{
    if (!memmem(text.ptr, text.len, "ttl", 3))
        sync_to(text, false);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct kg_slice text = input_of(data, size);
    struct kg_declare_result tried, done;
    int rc;

    if (!store)
        open_store();
    if (size > INPUT_LIMIT)
        return 0;
    rc = run(text, true, &tried);
    KG_ASSERT(run(text, false, &done) == rc);
    KG_ASSERT(rc != 0 || (tried.created == done.created && tried.deleted == 0 && tried.updated == 0));
    if (rc == 0 && done.created > 0) {
        check_same(text);
        check_dump(false);
        check_dump(true);
        sync_to(KG_SLICE("_format_version: \"3.0\"\n"), true);
    }
    kg_declare_free(&tried);
    kg_declare_free(&done);
    return 0;
}
