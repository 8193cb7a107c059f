/* SPDX-License-Identifier: BSD-2-Clause */
/* ?tags= and ?custom_id=: which entities of a list are asked for; and /tags itself. */
#include "admin/call.h"

#include "base/mem.h"
#include "http/uri.h"

#include <stdlib.h>

static bool refuse(struct kg_call *call, const char *option, const char *why)
{
    json_t *problem = kg_problem_new(11, "invalid options", "invalid option (%s: %s)", option, why);

    json_object_set_new(problem, "options", json_pack("{s:s}", option, why));
    kg_reply_problem(call, problem);
    return false;
}

static bool is_utf8(struct kg_slice text)
{
    json_t *value = json_stringn(text.ptr, text.len);

    json_decref(value);
    return value != NULL;
}

static bool has_control(struct kg_slice text)
{
    for (size_t i = 0; i < text.len; i++)
        if ((unsigned char)text.ptr[i] < 0x20 || text.ptr[i] == 0x7f)
            return true;
    return false;
}

/* "a,b": both; "a/b": any. */
static bool split_tags(struct kg_call *call, struct kg_slice text, struct kg_store_filter *filter)
{
    bool all = kg_slice_find(text, ',') < text.len, any = kg_slice_find(text, '/') < text.len;

    if (text.len == 0)
        return refuse(call, "tags", "cannot be null");
    if ((all && any) || has_control(text) || !is_utf8(text))
        return refuse(call, "tags", "invalid filter syntax");
    filter->any_tag = any;
    for (;;) {
        size_t end = kg_slice_find(text, any ? '/' : ',');

        if (end == 0)
            return refuse(call, "tags", "invalid filter syntax");
        if (filter->tag_count == KG_STORE_FILTER_TAGS)
            return refuse(call, "tags", "at most 5 tags");
        filter->tags[filter->tag_count++] = kg_slice_of(text.ptr, end);
        if (end == text.len)
            return true;
        text = kg_slice_of(text.ptr + end + 1, text.len - end - 1);
    }
}

static bool read_custom_id(struct kg_call *call, struct kg_slice text, struct kg_store_filter *filter)
{
    json_t *problem;

    if (text.len > 0) {
        filter->custom_id = text;
        return true;
    }
    problem = kg_problem_new(10, "invalid unique", "invalid unique custom_id (length must be at least 1)");
    json_object_set_new(problem, "fields", json_pack("{s:s}", "custom_id", "length must be at least 1"));
    kg_reply_problem(call, problem);
    return false;
}

/* The argument's value, decoded behind what is in w already; false when it is not there. */
static bool take_argument(struct kg_call *call, struct kg_slice name, struct kg_writer *w,
                          struct kg_slice *value)
{
    struct kg_writer rest = kg_writer_of(w->buf + w->len, w->cap - w->len);
    struct kg_slice raw = { 0 };
    bool bare;

    if (kg_query_find(call->query, name, &raw, &bare) == 0)
        return false;
    kg_query_decode(raw, &rest);
    *value = kg_writer_slice(&rest);
    w->len += rest.len;
    return true;
}

bool kg_admin_filter(struct kg_call *call, struct kg_store_filter *filter, char buf[KG_ADMIN_PATH_MAX])
{
    struct kg_writer w = kg_writer_of(buf, KG_ADMIN_PATH_MAX);
    const struct kg_entity *entity = call->resource.entity;
    struct kg_slice text;

    *filter = (struct kg_store_filter){ 0 };
    if (kg_entity_field(entity, "tags") && take_argument(call, KG_SLICE("tags"), &w, &text) &&
        !split_tags(call, text, filter))
        return false;
    return entity->id != KG_CONSUMERS || !take_argument(call, KG_SLICE("custom_id"), &w, &text) ||
           read_custom_id(call, text, filter);
}

void kg_admin_put_filter(struct kg_writer *w, const struct kg_store_filter *filter)
{
    if (filter->tag_count > 0)
        KG_PUT(w, "&tags=");
    for (size_t i = 0; i < filter->tag_count; i++) {
        if (i > 0)
            kg_put(w, filter->any_tag ? KG_SLICE("/") : KG_SLICE(","));
        kg_admin_put_escaped(w, filter->tags[i]);
    }
}

/* ---- /tags ---- */

static void list_tags(struct kg_call *call, const struct kg_slice *tag, const char *base)
{
    struct kg_page page;
    int64_t after;
    json_t *data;

    if (!kg_admin_page(call, &page))
        return;
    after = page.after;
    data = kg_store_list_tags(call->parts->store, tag, page.size, &after);
    if (!data)
        kg_reply_message(call, 500, "the database cannot be read");
    else
        kg_reply_json(call, 200, kg_admin_page_json(&page, data, after, base, tag == NULL));
}

void kg_admin_tags(struct kg_call *call)
{
    list_tags(call, NULL, "/tags");
}

void kg_admin_tag(struct kg_call *call)
{
    struct kg_slice tag = call->segments[1];
    char *base;
    struct kg_writer w;

    if (!is_utf8(tag)) {
        kg_reply_message(call, 400, "the tag is not valid UTF-8");
        return;
    }
    base = kg_calloc(1, 3 * tag.len + sizeof("/tags/"));
    w = kg_writer_of(base, 3 * tag.len + sizeof("/tags/") - 1);
    KG_PUT(&w, "/tags/");
    kg_admin_put_escaped(&w, tag);
    list_tags(call, &tag, base);
    free(base);
}
