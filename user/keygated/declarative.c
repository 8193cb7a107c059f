/* SPDX-License-Identifier: BSD-2-Clause */
#include "keygated/declarative.h"

#include "base/file.h"
#include "base/log.h"
#include "store/declare.h"

#include <errno.h>
#include <stdlib.h>

static const char *look_up(void *ctx, const char *name)
{
    return getenv(name);
}

static const char *text_of(const json_t *error, const char *name)
{
    const char *text = json_string_value(json_object_get(error, name));

    return text ? text : "";
}

/* "kong.yaml:12:7: route x: paths.1: …" */
static void log_errors(const struct kg_declare_result *result)
{
    json_t *error;
    size_t i;

    json_array_foreach(result->errors, i, error)
    {
        const char *entity = text_of(error, "entity"), *name = text_of(error, "name");
        const char *field = text_of(error, "field");

        kg_log(KG_LOG_ERROR, "%s:%lld:%lld: %s%s%s%s%s%s%s", text_of(error, "file"),
               (long long)json_integer_value(json_object_get(error, "line")),
               (long long)json_integer_value(json_object_get(error, "column")), entity, *name ? " " : "",
               name, *entity ? ": " : "", field, *field ? ": " : "", text_of(error, "message"));
    }
}

static int apply(const struct kg_config *config, struct kg_store *store, struct kg_declare_result *result,
                 struct kg_error *err)
{
    struct kg_declare_file file = { .name = config->declarative_config };
    const struct kg_declare_request request = {
        .files = &file, .file_count = 1, .limit = config->admin.config_max_size, .env = look_up
    };
    int rc = kg_file_read_long(file.name, request.limit, &file.text, err);

    *result = (struct kg_declare_result){ 0 };
    if (rc < 0)
        return rc;
    rc = kg_declare(store, &request, result, err);
    kg_file_free(file.text);
    if (rc == -EINVAL) {
        log_errors(result);
        kg_error_set(err, EINVAL, "%s has errors, so nothing of it counts", file.name);
    }
    if (rc == 0)
        kg_log(KG_LOG_INFO, "%s: %zu created, %zu updated, %zu deleted", file.name, result->created,
               result->updated, result->deleted);
    return rc;
}

int kg_declarative_load(const struct kg_config *config, struct kg_store *store, struct kg_error *err)
{
    struct kg_declare_result result;
    int rc;

    if (!config->declarative_config[0])
        return 0;
    rc = apply(config, store, &result, err);
    kg_declare_free(&result);
    return rc;
}

bool kg_declarative_reload(const struct kg_config *config, struct kg_store *store, struct kg_model *model,
                           struct kg_declare_result *result)
{
    struct kg_error err = { "" };
    bool changed;
    int rc;

    *result = (struct kg_declare_result){ 0 };
    if (!config->declarative_config[0])
        return false;
    rc = apply(config, store, result, &err);
    changed = rc == 0 && result->list_count > 0;
    if (rc == 0)
        rc = kg_declare_tell(store, result, model, &err);
    if (rc < 0)
        kg_log(KG_LOG_ERROR, "%s", err.text);
    return changed;
}
