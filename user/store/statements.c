/* SPDX-License-Identifier: BSD-2-Clause */
/* Compiled statements, kept for the next time: compiling costs several times what a write by key does. */
#include "store/internal.h"
#include "base/assert.h"
#include "base/mem.h"
#include "base/pmap.h"

#include <stdlib.h>

/* More than the schema's entities give rise to; what does not fit is compiled each time. */
#define KEPT_MAX 256

struct kept {
    uint64_t hash;
    sqlite3_stmt *stmt;
    bool taken;
};

struct kg_statements {
    size_t count;
    struct kept list[KEPT_MAX];
};

static struct kept *find(struct kg_statements *statements, uint64_t hash, struct kg_slice text)
{
    for (size_t i = 0; i < statements->count; i++) {
        struct kept *kept = &statements->list[i];

        if (kept->hash == hash && !kept->taken && kg_slice_eq(kg_slice_str(sqlite3_sql(kept->stmt)), text))
            return kept;
    }
    return NULL;
}

sqlite3_stmt *kg_sql_borrow(struct kg_store *store, struct kg_sql *sql, struct kg_error *err)
{
    struct kg_slice text = kg_slice_of(sql->text, sql->w.len);
    uint64_t hash = kg_pmap_hash(text.ptr, text.len);
    struct kg_statements *statements = store->statements;
    struct kept *kept;
    sqlite3_stmt *stmt;

    if (!statements)
        statements = store->statements = kg_calloc(1, sizeof(*statements));
    kept = find(statements, hash, text);
    if (kept) {
        kept->taken = true;
        return kept->stmt;
    }
    stmt = kg_sql_prepare(store, sql, err);
    if (stmt && statements->count < KEPT_MAX)
        statements->list[statements->count++] = (struct kept){ hash, stmt, true };
    return stmt;
}

void kg_sql_done(struct kg_store *store, sqlite3_stmt *stmt)
{
    struct kg_statements *statements = store->statements;

    for (size_t i = 0; statements && i < statements->count; i++) {
        if (statements->list[i].stmt != stmt)
            continue;
        sqlite3_reset(stmt);
        sqlite3_clear_bindings(stmt);
        statements->list[i].taken = false;
        return;
    }
    sqlite3_finalize(stmt);
}

void kg_statements_free(struct kg_store *store)
{
    for (size_t i = 0; store->statements && i < store->statements->count; i++) {
        KG_ASSERT(!store->statements->list[i].taken);
        sqlite3_finalize(store->statements->list[i].stmt);
    }
    free(store->statements);
    store->statements = NULL;
}
