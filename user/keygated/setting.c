/* SPDX-License-Identifier: BSD-2-Clause */
#include "keygated/setting.h"
#include "base/mem.h"
#include "base/writer.h"

#include <errno.h>
#include <stdio.h>

#define GOT_MAX    60 /* how much of a refused value an error repeats */
#define EXPECT_MAX 160

/* The value being read, and where its fault goes. */
struct reading {
    const struct kg_setting *setting;
    yaml_document_t *document;
    struct kg_config *config;
    struct kg_error *err;
    size_t *line;
};

/* Ordered from small to large. */
struct unit {
    const char *suffix;
    uint32_t factor;
};

static const struct unit count_units[] = { { "", 1 }, { NULL, 0 } };
static const struct unit size_units[] = { { "", 1 }, { "k", 1024 }, { "m", 1024 * 1024 }, { NULL, 0 } };
static const struct unit duration_units[] = { { "ms", 1 },      { "s", 1000 },     { "m", 60000 },
                                              { "h", 3600000 }, { "d", 86400000 }, { NULL, 0 } };

static const struct unit *units_of(enum kg_setting_type type)
{
    if (type == KG_SETTING_SIZE)
        return size_units;
    if (type == KG_SETTING_DURATION || type == KG_SETTING_SECONDS)
        return duration_units;
    return count_units;
}

/* In the largest unit that says it exactly: 32768 as "32k". */
static const char *number_text(const struct unit *units, uint32_t value, char out[24])
{
    const struct unit *best = units;

    for (const struct unit *u = units; u->suffix && value > 0; u++) {
        if (value % u->factor == 0)
            best = u;
    }
    snprintf(out, 24, "%u%s", value / best->factor, best->suffix);
    return out;
}

static void describe_choices(const char *const *choices, char *out, size_t cap)
{
    struct kg_writer w = kg_writer_of(out, cap - 1);

    KG_PUT(&w, "one of ");
    for (size_t i = 0; choices[i]; i++) {
        if (i > 0)
            KG_PUT(&w, ", ");
        kg_put(&w, kg_slice_str(choices[i]));
    }
    out[w.len] = '\0';
}

/* What the whole value of a setting must be, for "expected …". */
static void describe_setting(const struct kg_setting *setting, char *out, size_t cap)
{
    const struct unit *units = units_of(setting->type);
    char low[24], high[24];

    number_text(units, setting->min, low);
    number_text(units, setting->max, high);
    switch (setting->type) {
    case KG_SETTING_COUNT:
        snprintf(out, cap, "a whole number from %s to %s", low, high);
        return;
    case KG_SETTING_POWER:
        snprintf(out, cap, "a power of two from %s to %s", low, high);
        return;
    case KG_SETTING_SIZE:
        snprintf(out, cap, "a size from %s to %s, such as 8192 or 8k", low, high);
        return;
    case KG_SETTING_DURATION:
        snprintf(out, cap, "a duration from %s to %s, such as 500ms or 10s", low, high);
        return;
    case KG_SETTING_SECONDS:
        snprintf(out, cap, "a duration from %s to %s in whole seconds, such as 60s or 5m", low, high);
        return;
    case KG_SETTING_CHOICE:
        describe_choices(setting->choices, out, cap);
        return;
    case KG_SETTING_NAME:
        snprintf(out, cap, "a name of letters, digits, '.', '_' and '-', at most %s bytes", high);
        return;
    case KG_SETTING_PATH:
        snprintf(out, cap, "an absolute path of at most %s bytes", high);
        return;
    case KG_SETTING_FILE:
        snprintf(out, cap, "an absolute path of at most %s bytes, or \"\"", high);
        return;
    case KG_SETTING_LISTEN:
        snprintf(out, cap, "a list of %s to %s addresses with ports, such as [\"127.0.0.1:9080\"]", low,
                 high);
        return;
    case KG_SETTING_INTERFACES:
        snprintf(out, cap, "a list of at most %s interface names, such as [eth0]", high);
        return;
    case KG_SETTING_NETWORKS:
        snprintf(out, cap, "a list of at most %s networks, such as [10.0.0.0/8]", high);
        return;
    }
}

static struct kg_slice scalar(const yaml_node_t *node)
{
    return kg_slice_of((const char *)node->data.scalar.value, node->data.scalar.length);
}

static bool is_quoted(const yaml_node_t *node)
{
    return node->data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
}

/* YAML's null: nothing, or a plain ~ or null. */
static bool is_nothing(const yaml_node_t *node)
{
    if (node->type != YAML_SCALAR_NODE || is_quoted(node))
        return false;
    struct kg_slice text = scalar(node);
    return text.len == 0 || kg_slice_eq(text, KG_SLICE("~")) || kg_slice_eq(text, KG_SLICE("null"));
}

static size_t element_count(const yaml_node_t *list)
{
    return (size_t)(list->data.sequence.items.top - list->data.sequence.items.start);
}

void kg_setting_describe(const yaml_node_t *node, bool show_quotes, char *out, size_t cap)
{
    if (node->type == YAML_SEQUENCE_NODE) {
        snprintf(out, cap, "a list of %zu", element_count(node));
        return;
    }
    if (node->type == YAML_MAPPING_NODE) {
        snprintf(out, cap, "a group of settings");
        return;
    }
    if (is_nothing(node)) {
        snprintf(out, cap, "nothing");
        return;
    }
    struct kg_slice text = scalar(node);
    struct kg_writer w = kg_writer_of(out, cap - 1);
    bool cut = text.len > GOT_MAX, in_quotes = show_quotes && is_quoted(node);

    KG_PUT(&w, "\"");
    kg_put_json(&w, kg_slice_of(text.ptr, cut ? GOT_MAX : text.len));
    kg_put(&w, cut ? KG_SLICE("...\"") : KG_SLICE("\""));
    if (in_quotes)
        KG_PUT(&w, " in quotes");
    out[w.len] = '\0';
}

static bool is_plain_number(enum kg_setting_type type)
{
    return type == KG_SETTING_COUNT || type == KG_SETTING_POWER;
}

static int refuse(const struct reading *r, const yaml_node_t *node, const char *expected)
{
    char got[KG_SETTING_GOT];

    *r->line = node->start_mark.line + 1;
    kg_setting_describe(node, is_plain_number(r->setting->type), got, sizeof(got));
    return kg_error_set(r->err, EINVAL, "expected %s, got %s", expected, got);
}

static int refuse_whole(const struct reading *r, const yaml_node_t *node)
{
    char expected[EXPECT_MAX];

    describe_setting(r->setting, expected, sizeof(expected));
    return refuse(r, node, expected);
}

static int refuse_repeated(const struct reading *r, const yaml_node_t *node)
{
    return refuse(r, node, "no element twice");
}

/* Digits and one of the suffixes. "010" is refused: YAML 1.1 and people disagree about what it means. */
static bool parse_number(struct kg_slice text, const struct unit *units, uint64_t *value)
{
    size_t digits = 0;

    while (digits < text.len && text.ptr[digits] >= '0' && text.ptr[digits] <= '9')
        digits++;
    if (digits > 1 && text.ptr[0] == '0')
        return false;
    if (kg_slice_u64(kg_slice_of(text.ptr, digits), value))
        return false;
    for (; units->suffix; units++) {
        if (kg_slice_eq(kg_slice_of(text.ptr + digits, text.len - digits), kg_slice_str(units->suffix)))
            return !__builtin_mul_overflow(*value, units->factor, value);
    }
    return false;
}

static int apply_number(const struct reading *r, const yaml_node_t *node, void *field)
{
    const struct kg_setting *s = r->setting;
    uint64_t value;

    /* "10" in quotes is a text to YAML; 10s is one with or without them. */
    if (is_quoted(node) && is_plain_number(s->type))
        return refuse_whole(r, node);
    if (!parse_number(scalar(node), units_of(s->type), &value) || value < s->min || value > s->max)
        return refuse_whole(r, node);
    if (s->type == KG_SETTING_POWER && (value & (value - 1)) != 0)
        return refuse_whole(r, node);
    if (s->type == KG_SETTING_SECONDS && value % 1000 != 0)
        return refuse_whole(r, node);
    uint32_t number = (uint32_t)value;
    memcpy(field, &number, sizeof(number));
    return 0;
}

static int apply_choice(const struct reading *r, const yaml_node_t *node, void *field)
{
    for (unsigned i = 0; r->setting->choices[i]; i++) {
        if (!kg_slice_eq(scalar(node), kg_slice_str(r->setting->choices[i])))
            continue;
        memcpy(field, &i, sizeof(i));
        return 0;
    }
    return refuse_whole(r, node);
}

static bool is_name(struct kg_slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        char c = kg_lower(text.ptr[i]);

        if ((c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '.' && c != '_' && (c != '-' || i == 0))
            return false;
    }
    return text.len > 0;
}

static bool is_path(struct kg_slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        if ((unsigned char)text.ptr[i] < 0x20 || text.ptr[i] == 0x7f)
            return false;
    }
    return text.len > 0 && text.ptr[0] == '/';
}

static bool is_text_of(enum kg_setting_type type, struct kg_slice text)
{
    if (type == KG_SETTING_NAME)
        return is_name(text);
    return (type == KG_SETTING_FILE && text.len == 0) || is_path(text);
}

static int apply_text(const struct reading *r, const yaml_node_t *node, void *field)
{
    struct kg_slice text = scalar(node);
    bool good = is_text_of(r->setting->type, text);

    if (!good || text.len > r->setting->max)
        return refuse_whole(r, node);
    memset(field, 0, (size_t)r->setting->max + 1);
    memcpy(field, text.ptr, text.len);
    return 0;
}

/* The words behind the address, with a space before each; none twice. */
static bool parse_listen_words(struct kg_slice words, struct kg_listen_addr *out)
{
    while (words.len > 0) {
        struct kg_slice rest = kg_slice_of(words.ptr + 1, words.len - 1);
        struct kg_slice word = kg_slice_of(rest.ptr, kg_slice_find(rest, ' '));
        bool *flag = NULL;

        if (kg_slice_eq(word, KG_SLICE("ssl")))
            flag = &out->tls;
        if (kg_slice_eq(word, KG_SLICE("proxy_protocol")))
            flag = &out->proxy_protocol;
        if (!flag || *flag)
            return false;
        *flag = true;
        words = kg_slice_of(rest.ptr + word.len, rest.len - word.len);
    }
    return true;
}

/* "IPv4:port" or "[IPv6]:port". */
static bool parse_listen_address(struct kg_slice text, struct kg_listen_addr *out)
{
    size_t colon = text.len;
    uint64_t port;

    while (colon > 0 && text.ptr[colon - 1] != ':')
        colon--;
    if (colon < 2 || !parse_number(kg_slice_of(text.ptr + colon, text.len - colon), count_units, &port))
        return false;
    if (port < 1 || port > 65535)
        return false;
    struct kg_slice host = kg_slice_of(text.ptr, colon - 1);
    bool bracketed = host.len > 2 && host.ptr[0] == '[' && host.ptr[host.len - 1] == ']';
    if (bracketed)
        host = kg_slice_of(host.ptr + 1, host.len - 2);
    if (bracketed != (kg_slice_find(host, ':') < host.len))
        return false;
    out->port = (uint16_t)port;
    return kg_addr_parse(host, &out->addr) == 0;
}

static int add_listen(const struct reading *r, const yaml_node_t *node)
{
    struct kg_config *config = r->config;
    struct kg_listen_addr one = { 0 };

    struct kg_slice text = scalar(node);
    size_t space = kg_slice_find(text, ' ');

    if (!parse_listen_address(kg_slice_of(text.ptr, space), &one))
        return refuse(r, node, "IPv4:port or [IPv6]:port with a port from 1 to 65535");
    if (!parse_listen_words(kg_slice_of(text.ptr + space, text.len - space), &one))
        return refuse(r, node, "nothing behind an address but the words ssl and proxy_protocol");
    for (size_t i = 0; i < config->listen_count; i++) {
        if (config->listen[i].port == one.port && kg_addr_eq(&config->listen[i].addr, &one.addr))
            return refuse_repeated(r, node);
    }
    config->listen[config->listen_count++] = one;
    return 0;
}

/* What the kernel takes as a name (dev_valid_name) and a person can read. */
static bool is_interface(struct kg_slice text)
{
    if (kg_slice_eq(text, KG_SLICE(".")) || kg_slice_eq(text, KG_SLICE("..")))
        return false;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];

        if (c <= ' ' || c > '~' || c == '/' || c == ':')
            return false;
    }
    return text.len > 0 && text.len < 16;
}

static int add_interface(const struct reading *r, const yaml_node_t *node)
{
    struct kg_config *config = r->config;
    struct kg_slice name = scalar(node);

    if (!is_interface(name))
        return refuse(r, node, "an interface name of at most 15 bytes");
    for (size_t i = 0; i < config->xdp.interface_count; i++) {
        if (kg_slice_eq(name, kg_slice_str(config->xdp.interfaces[i])))
            return refuse_repeated(r, node);
    }
    memcpy(config->xdp.interfaces[config->xdp.interface_count++], name.ptr, name.len);
    return 0;
}

/* The list of networks that a setting is about. */
static struct kg_net **networks_of(const struct kg_setting *setting, struct kg_config *config, size_t **count)
{
    bool allow = setting->offset == offsetof(struct kg_config, guard.allow);

    *count = allow ? &config->guard.allow_count : &config->http.trusted_count;
    return allow ? &config->guard.allow : &config->http.trusted_proxies;
}

static int add_network(const struct reading *r, const yaml_node_t *node)
{
    size_t *count;
    struct kg_net *nets = *networks_of(r->setting, r->config, &count), net = { 0 };
    int rc = kg_net_parse(scalar(node), &net);

    if (rc == -EDOM)
        return refuse(r, node, "a network whose host bits are zero, such as 10.0.0.0/8");
    if (rc)
        return refuse(r, node, "an address or a network, such as 192.0.2.7 or 10.0.0.0/8");
    for (size_t i = 0; i < *count; i++) {
        if (nets[i].prefix_len == net.prefix_len && kg_addr_eq(&nets[i].addr, &net.addr))
            return refuse_repeated(r, node);
    }
    nets[(*count)++] = net;
    return 0;
}

/* Empties the list and makes room for `count` elements. */
static void start_list(const struct kg_setting *setting, struct kg_config *config, size_t count)
{
    if (setting->type == KG_SETTING_LISTEN) {
        memset(config->listen, 0, sizeof(config->listen));
        config->listen_count = 0;
        return;
    }
    if (setting->type == KG_SETTING_INTERFACES) {
        memset(config->xdp.interfaces, 0, sizeof(config->xdp.interfaces));
        config->xdp.interface_count = 0;
        return;
    }
    size_t *filled;
    struct kg_net **nets = networks_of(setting, config, &filled);

    free(*nets);
    *nets = count > 0 ? kg_calloc(count, sizeof(**nets)) : NULL;
    *filled = 0;
}

static int apply_element(const struct reading *r, const yaml_node_t *node)
{
    if (node->type != YAML_SCALAR_NODE)
        return refuse(r, node, "a plain text as element of the list");
    if (r->setting->type == KG_SETTING_LISTEN)
        return add_listen(r, node);
    if (r->setting->type == KG_SETTING_INTERFACES)
        return add_interface(r, node);
    return add_network(r, node);
}

static int apply_list(const struct reading *r, const yaml_node_t *node)
{
    size_t count = element_count(node);

    if (count < r->setting->min || count > r->setting->max)
        return refuse_whole(r, node);
    start_list(r->setting, r->config, count);
    for (size_t i = 0; i < count; i++) {
        int rc = apply_element(r, yaml_document_get_node(r->document, node->data.sequence.items.start[i]));

        if (rc)
            return rc;
    }
    return 0;
}

int kg_setting_apply(const struct kg_setting *setting, yaml_document_t *document, const yaml_node_t *node,
                     struct kg_config *config, size_t *line, struct kg_error *err)
{
    struct reading r = { setting, document, config, err, line };
    void *field = (char *)config + setting->offset;
    bool is_list = setting->type >= KG_SETTING_LISTEN;

    if (node->type != (is_list ? YAML_SEQUENCE_NODE : YAML_SCALAR_NODE) || is_nothing(node))
        return refuse_whole(&r, node);
    if (is_list)
        return apply_list(&r, node);
    if (setting->type == KG_SETTING_CHOICE)
        return apply_choice(&r, node, field);
    if (setting->type >= KG_SETTING_NAME && setting->type <= KG_SETTING_FILE)
        return apply_text(&r, node, field);
    return apply_number(&r, node, field);
}
