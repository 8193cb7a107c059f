/* SPDX-License-Identifier: BSD-2-Clause */
/* A table that many rows go into at once. */
#include "store/internal.h"

/* By the names that kg_table_index gives. What must be unique together is a constraint, and stays. */
static int drop_index(struct kg_store *store, const struct kg_entity *entity, const char *what,
                      struct kg_error *err)
{
    struct kg_sql sql;

    kg_sql_start(&sql, "DROP INDEX IF EXISTS \"%s_%s\"", entity->name, what);
    return kg_db_run(store, kg_sql_prepare(store, &sql, err), err, "drop an index");
}

int kg_bulk_begin(struct kg_store *store, const struct kg_entity *entity, struct kg_error *err)
{
    int rc = kg_tags_rest(store, entity, err);

    for (const struct kg_field *field = entity->fields; rc == 0 && field->name; field++) {
        if (field->type == KG_F_FOREIGN)
            rc = drop_index(store, entity, field->name, err);
        else if (field->lifetime)
            rc = drop_index(store, entity, "expires", err);
    }
    return rc;
}

int kg_bulk_end(struct kg_store *store, const struct kg_entity *entity, struct kg_error *err)
{
    int rc = kg_create_indexes(store, entity, err);

    return rc == 0 ? kg_tags_resume(store, entity, err) : rc;
}
