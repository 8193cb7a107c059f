/* SPDX-License-Identifier: BSD-2-Clause */
/* ssls: what is shown to clients, as certificates with their SNIs. No key is ever in a report. */
#include "keyctl/convert.h"

static const char *const known[] = {
    "id",           "name",           "cert",          "key",
    "certs",        "keys",           "certificates",  "sni",
    "snis",         "type",           "status",        "labels",
    "desc",         "client",         "create_time",   "update_time",
    "validity_end", "validity_start", "ssl_protocols", NULL,
};

/* A certificate's chain or its key, or NULL having said why not. APISIX may have a reference, or an encrypted
 * key. */
static json_t *make_pem(struct convert *c, const struct item *item, const struct node *node, const char *what)
{
    const char *text = node_text(node);
    struct kg_slice name;

    if (text && variable_of(text, &name)) {
        note(c, item, node, "%s: set DECK_%.*s to what %.*s held", what, (int)name.len, name.ptr,
             (int)name.len, name.ptr);
        return json_sprintf("${{ env \"DECK_%.*s\" }}", (int)name.len, name.ptr);
    }
    if (text && strncmp(text, "-----BEGIN ", 11) == 0)
        return json_string(text);
    leave_out(c, item, node, "%s: expected PEM", what);
    return NULL;
}

/* Host names may have a star for their first label. */
static bool is_server_name(const char *name)
{
    size_t len = strlen(name);

    if (len > 2 && name[0] == '*' && name[1] == '.')
        name += 2;
    return len > 0 && len < 256 && name[0] != '.' && !strstr(name, "..") &&
           strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_") == strlen(name);
}

/* Each server name leads to one certificate. */
static void put_name(struct convert *c, const struct item *item, const char *given, json_t *snis)
{
    char name[256];
    size_t i = 0;

    if (!is_server_name(given)) {
        leave_out(c, item, NULL, "\"%.128s\" is no server name", given);
        return;
    }
    for (; given[i]; i++)
        name[i] = kg_lower(given[i]);
    name[i] = '\0';
    if (json_object_get(c->used[PART_CERTIFICATES], name)) {
        leave_out(c, item, NULL, "%s is shown another certificate already", name);
        return;
    }
    json_object_set_new(c->used[PART_CERTIFICATES], name, json_true());
    json_array_append_new(snis, json_pack("{s:s}", "name", name));
}

static json_t *make_names(struct convert *c, const struct item *item)
{
    static const char *const spelled[] = { "snis", "sni", NULL };
    json_t *names = make_texts(node_spelled(item->node, spelled)), *snis = json_array(), *name;
    size_t i;

    json_array_foreach(names, i, name) put_name(c, item, json_string_value(name), snis);
    json_decref(names);
    return snis;
}

/* What follows the first pair is of the same names, and mostly of another kind of key. */
static void say_others(struct convert *c, const struct item *item)
{
    const struct node *certs = node_field(item->node, "certs"), *all = node_field(item->node, "certificates");

    if (!certs && all && all->kind == NODE_LIST && all->count > 1)
        certs = all->items[1];
    if (certs)
        leave_out(c, item, certs,
                  "it has more than one certificate; give the other to keygate as its cert_alt and key_alt");
}

static void say_the_rest(struct convert *c, const struct item *item)
{
    leave_unknown(c, item, item->node, "", known);
    say_others(c, item);
    if (node_field(item->node, "client"))
        leave_out(c, item, node_field(item->node, "client"),
                  "client: keygate asks clients for certificates by tls.verify_client in its settings, for "
                  "all names");
    if (node_field(item->node, "ssl_protocols"))
        leave_out(c, item, node_field(item->node, "ssl_protocols"),
                  "ssl_protocols: keygate has tls.min_version in its settings, for all names");
    if (node_field(item->node, "desc"))
        note(c, item, node_field(item->node, "desc"), "desc: there are no descriptions; it is not kept");
}

/* The one of the output that is the same, to which only names are to be added: of two keygate could not tell
 * which is which. */
static json_t *find_same(const struct convert *c, const json_t *cert, const json_t *key)
{
    json_t *other;
    size_t i;

    json_array_foreach(c->out[PART_CERTIFICATES], i, other)
    {
        if (json_equal(json_object_get(other, "cert"), cert) &&
            json_equal(json_object_get(other, "key"), key))
            return other;
    }
    return NULL;
}

/* ADC's are in a list, as certificate and key. */
static void put_certificate(struct convert *c, const struct item *item)
{
    static const char *const spelled[] = { "cert", "certificate", NULL };
    const struct node *list = node_field(item->node, "certificates");
    const struct node *from =
        list && list->kind == NODE_LIST && list->count > 0 ? list->items[0] : item->node;
    json_t *cert = make_pem(c, item, node_spelled(from, spelled), "cert");
    json_t *key = make_pem(c, item, node_field(from, "key"), "key"), *certificate, *names;

    if (!cert || !key) {
        leave_out(c, item, NULL, "it is left out");
        json_decref(cert);
        json_decref(key);
        return;
    }
    names = make_names(c, item);
    say_the_rest(c, item);
    certificate = find_same(c, cert, key);
    if (certificate) {
        json_array_extend(json_object_get(certificate, "snis"), names);
    } else {
        certificate = json_pack("{s:O,s:O,s:O}", "cert", cert, "key", key, "snis", names);
        put_tags(c, item, certificate);
        json_array_append_new(c->out[PART_CERTIFICATES], certificate);
    }
    json_decref(names);
    json_decref(cert);
    json_decref(key);
}

void put_ssls(struct convert *c)
{
    c->used[PART_CERTIFICATES] = json_object();
    for (size_t i = 0; i < c->ssls.count; i++) {
        const struct item *item = &c->ssls.list[i];
        int64_t status = 1;

        if (node_integer(node_field(item->node, "status"), &status) && status == 0)
            leave_out(c, item, node_field(item->node, "status"),
                      "status: it is switched off; it is left out");
        else if (node_is(node_field(item->node, "type"), "client"))
            leave_out(c, item, node_field(item->node, "type"),
                      "type: shown to upstreams; give their services a client_certificate instead");
        else
            put_certificate(c, item);
    }
}
