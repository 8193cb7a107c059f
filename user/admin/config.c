/* SPDX-License-Identifier: BSD-2-Clause */
/* /config: declarative files in, and everything as one out. */
#include "admin/call.h"

#include "base/log.h"
#include "base/mem.h"
#include "http/multipart.h"
#include "model/json.h"
#include "store/declare.h"

#include <errno.h>
#include <stdlib.h>

#define FILES_MAX 256
#define TAGS_MAX  4096

/* What a POST brings. Slices lie in the body. */
struct upload {
    struct kg_call *call;
    struct kg_declare_file files[FILES_MAX];
    size_t count, bytes;
    json_t *env;  /* name → value */
    json_t *body; /* that slices may lie in instead */
};

/* ---- query ---- */

static bool is_set(struct kg_call *call, struct kg_slice name)
{
    char buf[16];
    struct kg_slice value;

    return kg_admin_query_arg(call, name, buf, sizeof(buf), &value) &&
           (kg_slice_eq(value, KG_SLICE("1")) || kg_slice_eq(value, KG_SLICE("true")));
}

/* ?select_tags=a,b as an array; NULL, and answered, when it is none. */
static json_t *select_tags(struct kg_call *call)
{
    char buf[TAGS_MAX];
    struct kg_slice list, tag;
    json_t *tags = json_array();

    if (!kg_admin_query_arg(call, KG_SLICE("select_tags"), buf, sizeof(buf), &list))
        return tags;
    while (kg_slice_next_element(&list, &tag))
        json_array_append_new(tags, json_stringn(tag.ptr, tag.len));
    if (json_array_size(tags) > 0)
        return tags;
    json_decref(tags);
    kg_reply_problem(call, kg_problem_new(11, "invalid options", "invalid option (select_tags: no tags)"));
    return NULL;
}

/* ---- GET ---- */

static bool wants_yaml(struct kg_call *call)
{
    const struct kg_header *accept = kg_head_find(call->head, KG_H_ACCEPT, 0);
    struct kg_slice media = accept ? kg_media_of(accept->value) : kg_slice_of("", 0);

    return kg_slice_eq_nocase(media, KG_SLICE("application/yaml")) ||
           kg_slice_eq_nocase(media, KG_SLICE("text/yaml"));
}

static void dump(struct kg_call *call)
{
    json_t *tags = select_tags(call);
    const struct kg_dump_options options = {
        .select_tags = tags,
        .with_ids = is_set(call, KG_SLICE("with_id")),
        .without_keys = is_set(call, KG_SLICE("no_keys")),
    };
    struct kg_error err = { "" };
    char *text = NULL;
    size_t len = 0;
    int rc;

    if (!tags)
        return;
    rc = kg_declare_dump(call->parts->store, &options, &text, &len, &err);
    json_decref(tags);
    if (rc == 0 && wants_yaml(call)) {
        call->status = 200;
        call->text = text;
        call->text_type = KG_SLICE("application/yaml");
        return;
    }
    if (rc == 0) {
        json_t *json = json_object();

        json_object_set_new(json, "config", json_stringn(text, len));
        kg_reply_json(call, 200, json);
    } else {
        kg_log(KG_LOG_ERROR, "admin: %s", err.text);
        kg_reply_message(call, 500, err.text);
    }
    if (text)
        kg_wipe(text, len);
    free(text);
}

/* ---- POST: what is in it ---- */

static void refuse(struct upload *upload, unsigned status, const char *why)
{
    kg_reply_message(upload->call, status, why);
}

static bool add_file(struct upload *upload, char *name, struct kg_slice text)
{
    if (upload->count == FILES_MAX) {
        free(name);
        refuse(upload, 400, "too many files");
        return false;
    }
    upload->files[upload->count++] = (struct kg_declare_file){ name, text };
    upload->bytes += text.len;
    return true;
}

/* NAME=VALUE */
static bool add_env(struct upload *upload, struct kg_slice text)
{
    size_t len = kg_slice_find(text, '=');
    json_t *value = len < text.len ? json_stringn(text.ptr + len + 1, text.len - len - 1) : NULL;

    if (value && json_object_setn_new(upload->env, text.ptr, len, value) == 0)
        return true;
    refuse(upload, 400, "the part 'env' is not NAME=VALUE in UTF-8");
    return false;
}

static bool read_part(struct upload *upload, const struct kg_multipart_part *part)
{
    struct kg_slice name = part->filename.len > 0 ? part->filename : KG_SLICE("config");

    if (kg_slice_eq(part->name, KG_SLICE("config")))
        return add_file(upload, kg_strndup(name.ptr, name.len), part->content);
    if (kg_slice_eq(part->name, KG_SLICE("env")))
        return add_env(upload, part->content);
    refuse(upload, 400, "the parts of the form are 'config' and 'env', no others");
    return false;
}

static bool read_form(struct upload *upload, struct kg_slice content_type)
{
    struct kg_multipart form;
    struct kg_multipart_part part;
    int rc = kg_multipart_begin(&form, content_type, upload->call->body) ? 1 : -1;

    while (rc > 0 && (rc = kg_multipart_next(&form, &part)) > 0)
        if (!read_part(upload, &part))
            return false;
    if (rc < 0)
        refuse(upload, 400, "Cannot parse multipart body");
    return rc == 0;
}

/* The document itself, which is YAML as well, or {"config": "its text"}. */
static bool read_json(struct upload *upload)
{
    struct kg_slice body = upload->call->body;
    json_t *config;

    upload->body = json_loadb(body.ptr ? body.ptr : "", body.len, JSON_REJECT_DUPLICATES, NULL);
    if (!json_is_object(upload->body)) {
        refuse(upload, 400, "Cannot parse JSON body");
        return false;
    }
    config = json_object_get(upload->body, "config");
    return add_file(upload, kg_strdup("config"), json_is_string(config) ? kg_json_text(config) : body);
}

static bool is_yaml(struct kg_slice media)
{
    return kg_slice_eq_nocase(media, KG_SLICE("application/yaml")) ||
           kg_slice_eq_nocase(media, KG_SLICE("application/x-yaml")) ||
           kg_slice_eq_nocase(media, KG_SLICE("text/yaml")) ||
           kg_slice_eq_nocase(media, KG_SLICE("text/x-yaml"));
}

static bool read_body(struct upload *upload)
{
    const struct kg_header *header = kg_head_find(upload->call->head, KG_H_CONTENT_TYPE, 0);
    struct kg_slice type = header ? header->value : KG_SLICE(""), media = kg_media_of(type);

    if (upload->call->body.len == 0) {
        refuse(upload, 400, "expected a declarative configuration");
        return false;
    }
    if (kg_slice_eq_nocase(media, KG_SLICE("multipart/form-data")))
        return read_form(upload, type);
    if (kg_slice_eq_nocase(media, KG_SLICE("application/json")))
        return read_json(upload);
    if (is_yaml(media))
        return add_file(upload, kg_strdup("config"), upload->call->body);
    kg_reply_empty(upload->call, 415);
    return false;
}

static bool check_upload(struct upload *upload)
{
    if (upload->count == 0)
        refuse(upload, 400, "expected a declarative configuration");
    else if (upload->bytes > upload->call->config_max)
        kg_reply_json(upload->call, 413,
                      json_pack("{s:o}", "message",
                                json_sprintf("the files have %zu bytes, admin.config_max_size allows %zu",
                                             upload->bytes, upload->call->config_max)));
    return upload->count > 0 && upload->bytes <= upload->call->config_max;
}

/* ---- POST: what is done with it ---- */

static const char *look_up(void *ctx, const char *name)
{
    return json_string_value(json_object_get(((struct upload *)ctx)->env, name));
}

static json_t *report(const struct kg_declare_result *result, bool dry_run)
{
    size_t all = result->created + result->updated + result->deleted;

    return json_pack("{s:b,s:{s:I,s:I,s:I},s:O,s:I}", "dry_run", (int)dry_run, "summary", "created",
                     (json_int_t)result->created, "updated", (json_int_t)result->updated, "deleted",
                     (json_int_t)result->deleted, "changes", result->changes, "changes_left_out",
                     (json_int_t)(all - json_array_size(result->changes)));
}

static void reply_errors(struct kg_call *call, const struct kg_declare_result *result)
{
    size_t count = json_array_size(result->errors);
    json_t *problem = kg_problem_new(
        14, "invalid declarative configuration", "declarative config is invalid: %zu error%s%s", count,
        count == 1 ? "" : "s", result->errors_left_out ? ", and there are more" : "");

    json_object_set(problem, "errors", result->errors);
    kg_reply_problem(call, problem);
}

static void apply(struct upload *upload, json_t *tags, bool dry_run)
{
    struct kg_call *call = upload->call;
    const struct kg_declare_request request = {
        .files = upload->files,
        .file_count = upload->count,
        .limit = call->config_max,
        .env = look_up,
        .env_ctx = upload,
        .select_tags = tags,
        .dry_run = dry_run,
    };
    struct kg_declare_result result;
    struct kg_error err = { "" };
    int rc = kg_declare(call->parts->store, &request, &result, &err);

    if (rc == 0 && !dry_run) {
        rc = kg_declare_tell(call->parts->store, &result, call->parts->model, &err);
        call->parts->publish(call->parts->ctx);
    }
    if (rc == 0) {
        kg_reply_json(call, dry_run ? 200 : 201, report(&result, dry_run));
    } else if (rc == -EINVAL) {
        reply_errors(call, &result);
    } else {
        kg_log(KG_LOG_ERROR, "admin: %s", err.text);
        kg_reply_message(call, 500, err.text);
    }
    kg_declare_free(&result);
}

void kg_admin_config(struct kg_call *call)
{
    struct upload *upload;
    json_t *tags;

    if (call->method == KG_METHOD_GET) {
        dump(call);
        return;
    }
    tags = select_tags(call);
    if (!tags)
        return;
    upload = kg_calloc(1, sizeof(*upload));
    upload->call = call;
    upload->env = json_object();
    if (read_body(upload) && check_upload(upload))
        apply(upload, tags, call->dry_run);
    for (size_t i = 0; i < upload->count; i++)
        free((char *)(uintptr_t)upload->files[i].name);
    json_decref(upload->env);
    json_decref(upload->body);
    json_decref(tags);
    free(upload);
}
