/* SPDX-License-Identifier: BSD-2-Clause */
/* A flag's text into JSON of the shape that the Admin API's schema wants. */
#include "keyctl/keyctl.h"

#include "base/mem.h"
#include "base/uuid.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#define KEY_FILE_MAX 4096
#define PEM_FILE_MAX 65536
#define NAME_CAP     256 /* of a name in NAME=VALUE */

void field_name(const struct flag *flag, char out[64])
{
    size_t i, len = strlen(flag->name);

    if (flag->kind == FLAG_KEY_FILE || flag->kind == FLAG_PEM_FILE)
        len -= sizeof("-file") - 1;
    for (i = 0; i < 63 && i < len; i++)
        out[i] = flag->name[i] == '-' ? '_' : flag->name[i];
    out[i] = '\0';
}

static int not_utf8(struct kg_error *err, const char *what)
{
    return kg_error_set(err, EINVAL, "%s is not valid UTF-8", what);
}

static int parse_integer(const char *text, json_t **value)
{
    bool negative = text[0] == '-';
    uint64_t number;

    if (kg_slice_u64(kg_slice_str(text + negative), &number) < 0 || number > INT64_MAX)
        return -EINVAL;
    *value = json_integer(negative ? -(json_int_t)number : (json_int_t)number);
    return 0;
}

static int parse_boolean(const char *text, json_t **value)
{
    bool yes = strcmp(text, "true") == 0;

    if (!yes && strcmp(text, "false") != 0)
        return -EINVAL;
    *value = json_boolean(yes);
    return 0;
}

static int parse_duration(const char *text, json_t **value)
{
    static const struct {
        char unit;
        uint64_t seconds;
    } units[] = { { 's', 1 }, { 'm', 60 }, { 'h', 3600 }, { 'd', 86400 } };
    struct kg_slice digits = kg_slice_str(text);
    uint64_t number, seconds = 1;

    for (size_t i = 0; digits.len > 0 && i < sizeof(units) / sizeof(units[0]); i++) {
        if (digits.ptr[digits.len - 1] != units[i].unit)
            continue;
        seconds = units[i].seconds;
        digits.len--;
        break;
    }
    if (kg_slice_u64(digits, &number) < 0 || number > UINT32_MAX)
        return -EINVAL;
    number *= seconds;
    *value = json_integer((json_int_t)number);
    return 0;
}

/* Adds the elements of a comma-separated text to the array under `name`. */
static int add_list(json_t *object, const char *name, const char *text)
{
    json_t *array = json_object_get(object, name);
    struct kg_slice rest = kg_slice_str(text);
    struct kg_slice element;

    if (!json_is_array(array)) {
        array = json_array();
        json_object_set_new(object, name, array);
    }
    /* The commas of a regex are its own. */
    if (text[0] == '~')
        return json_array_append_new(array, json_string(text)) < 0 ? -EINVAL : 0;
    while (kg_slice_next_element(&rest, &element)) {
        if (json_array_append_new(array, json_stringn(element.ptr, element.len)) < 0)
            return -EINVAL;
    }
    return 0;
}

/* Settings whose values are lists or always strings; all others are taken as they look. */
static bool is_among(const char *name, const char *const *names)
{
    while (*names && strcmp(name, *names) != 0)
        names++;
    return *names != NULL;
}

static bool config_is_list(const char *name)
{
    static const char *const lists[] = {
        "key_names",        "allow", "deny", "uri_param_names", "cookie_names", "header_names",
        "claims_to_verify", NULL
    };

    return is_among(name, lists);
}

static bool config_is_string(const char *name)
{
    static const char *const strings[] = { "realm",        "anonymous",   "message",        "body", "trigger",
                                           "content_type", "header_name", "key_claim_name", NULL };

    return is_among(name, strings);
}

static json_t *config_value(const char *name, const char *text)
{
    json_t *value = NULL;

    if (text[0] == '\0')
        return json_null();
    /* A body may look like JSON, and be text all the same. */
    if (config_is_string(name) && text[0] != '"')
        return json_string(text);
    if (text[0] == '[' || text[0] == '{' || text[0] == '"')
        return json_loads(text, JSON_DECODE_ANY | JSON_REJECT_DUPLICATES, NULL);
    if (parse_boolean(text, &value) < 0 && parse_integer(text, &value) < 0)
        value = json_string(text);
    return value;
}

/* NAME=VALUE taken apart: the value, or NULL with err set. */
static const char *split(const struct flag *flag, const char *text, char name[NAME_CAP], struct kg_error *err)
{
    size_t len = kg_slice_find(kg_slice_str(text), '=');

    if (text[len] != '=' || len == 0 || len >= NAME_CAP) {
        kg_error_set(err, EINVAL, "--%s takes %s", flag->name, flag->value);
        return NULL;
    }
    memcpy(name, text, len);
    name[len] = '\0';
    return text + len + 1;
}

/* The object under a name, made when it is not there. */
static json_t *object_in(json_t *fields, const char *name)
{
    json_t *object = json_object_get(fields, name);

    if (json_is_object(object))
        return object;
    object = json_object();
    json_object_set_new(fields, name, object);
    return object;
}

static int add_config(json_t *fields, const struct flag *flag, const char *text, struct kg_error *err)
{
    char name[NAME_CAP];
    const char *value = split(flag, text, name, err);
    json_t *config, *json;

    if (!value)
        return -EINVAL;
    config = object_in(fields, "config");
    if (config_is_list(name) && value[0] != '[' && value[0] != '\0')
        return add_list(config, name, value) < 0 ? not_utf8(err, "--config") : 0;
    if (json_object_get(config, name))
        return kg_error_set(err, EINVAL, "--config %s is given twice", name);
    json = config_value(name, value);
    if (!json || json_object_set_new(config, name, json) < 0)
        return kg_error_set(err, EINVAL, "--config %s: its value is neither text nor valid JSON", name);
    return 0;
}

/* The object that a dotted name's last step lives in, made on the way; *last is that step. NULL when another
 * flag gave something on the way a value, or a step has no name. */
static json_t *walk(json_t *record, const char *name, const char **last)
{
    const char *dot;

    while ((dot = strchr(name, '.')) != NULL) {
        json_t *next = json_object_getn(record, name, (size_t)(dot - name));

        if (dot == name || (next && !json_is_object(next)))
            return NULL;
        if (!next) {
            next = json_object();
            if (json_object_setn_new(record, name, (size_t)(dot - name), next) < 0)
                return NULL;
        }
        record = next;
        name = dot + 1;
    }
    *last = name;
    return *name ? record : NULL;
}

/* As in --config, and fractions: seconds may have them. */
static json_t *record_value(const char *name, const char *text)
{
    json_t *value = text[0] >= '0' && text[0] <= '9' ? json_loads(text, JSON_DECODE_ANY, NULL) : NULL;

    if (json_is_number(value))
        return value;
    json_decref(value);
    return config_value(name, text);
}

static int add_to_record(json_t *fields, const struct flag *flag, const char *field, const char *text,
                         struct kg_error *err)
{
    char name[NAME_CAP];
    const char *given = split(flag, text, name, err), *last;
    json_t *inner, *value;

    if (!given)
        return -EINVAL;
    inner = walk(object_in(fields, field), name, &last);
    if (!inner || json_object_get(inner, last))
        return kg_error_set(err, EINVAL, "--%s %s is given twice, or is no name", flag->name, name);
    value = record_value(last, given);
    if (!value || json_object_set_new(inner, last, value) < 0)
        return kg_error_set(err, EINVAL, "--%s %s: its value is neither text nor valid JSON", flag->name,
                            name);
    return 0;
}

/* One more value of one name. A comma belongs to the value: header values have them. */
static int add_to_map(json_t *fields, const struct flag *flag, const char *name, const char *text,
                      struct kg_error *err)
{
    char key[NAME_CAP];
    const char *value = split(flag, text, key, err);
    json_t *map, *list;

    if (!value)
        return -EINVAL;
    map = object_in(fields, name);
    list = json_object_get(map, key);
    if (!list) {
        list = json_array();
        if (json_object_set_new(map, key, list) < 0)
            return not_utf8(err, "the command line");
    }
    return json_array_append_new(list, json_string(value)) < 0 ? not_utf8(err, "the command line") : 0;
}

static int read_all(int fd, char *buf, size_t cap, size_t *len)
{
    *len = 0;
    while (*len < cap) {
        ssize_t n = read(fd, buf + *len, cap - *len);

        if (n == 0)
            return 0;
        if (n < 0 && errno != EINTR)
            return -errno;
        *len += n > 0 ? (size_t)n : 0;
    }
    return 0;
}

static int check_key(const char *path, const char *buf, size_t *len, struct kg_error *err)
{
    if (*len > KEY_FILE_MAX)
        return kg_error_set(err, EINVAL, "%s is larger than %d bytes: that is no key file", path,
                            KEY_FILE_MAX);
    if (*len > 0 && buf[*len - 1] == '\n')
        (*len)--;
    if (*len > 0 && buf[*len - 1] == '\r')
        (*len)--;
    if (*len == 0)
        return kg_error_set(err, EINVAL, "%s holds no key", path);
    if (memchr(buf, '\n', *len) || memchr(buf, '\0', *len))
        return kg_error_set(err, EINVAL, "%s holds more than one line", path);
    return 0;
}

static int check_pem(const char *path, const char *buf, size_t *len, struct kg_error *err)
{
    if (*len > PEM_FILE_MAX)
        return kg_error_set(err, EINVAL, "%s is larger than %d bytes: that is no PEM file", path,
                            PEM_FILE_MAX);
    if (!memmem(buf, *len, "-----BEGIN ", 11) || memchr(buf, '\0', *len))
        return kg_error_set(err, EINVAL, "%s is no PEM file", path);
    return 0;
}

/* What the file holds is in no message. max: of its bytes; check is given one more when there are more. */
static int read_file(json_t *fields, const char *name, const char *path, size_t max,
                     int (*check)(const char *path, const char *buf, size_t *len, struct kg_error *err),
                     struct kg_error *err)
{
    bool is_stdin = strcmp(path, "-") == 0;
    int fd = is_stdin ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
    char *buf;
    size_t len;
    int rc;

    if (is_stdin)
        path = "standard input";
    if (fd < 0)
        return kg_error_set(err, EINVAL, "cannot open %s: %s", path, strerror(errno));
    buf = kg_calloc(max + 1, 1);
    rc = read_all(fd, buf, max + 1, &len);
    if (!is_stdin)
        close(fd);
    if (rc < 0)
        rc = kg_error_set(err, EINVAL, "cannot read %s: %s", path, strerror(-rc));
    else
        rc = check(path, buf, &len, err);
    if (rc == 0 && json_object_set_new(fields, name, json_stringn(buf, len)) < 0)
        rc = not_utf8(err, path);
    kg_wipe(buf, max + 1);
    free(buf);
    return rc;
}

static int set_scalar(json_t *fields, const struct flag *flag, const char *name, const char *text,
                      struct kg_error *err)
{
    static const char *const wanted[] = {
        [FLAG_STRING] = "text",
        [FLAG_INTEGER] = "a whole number",
        [FLAG_BOOLEAN] = "true or false",
        [FLAG_DURATION] = "a time such as 300, 90s, 5m, 2h or 1d",
    };
    json_t *value = NULL;
    int rc = 0;

    if (text[0] == '\0')
        value = json_null(); /* unset: the API's null */
    else if (flag->kind == FLAG_INTEGER)
        rc = parse_integer(text, &value);
    else if (flag->kind == FLAG_BOOLEAN)
        rc = parse_boolean(text, &value);
    else if (flag->kind == FLAG_DURATION)
        rc = parse_duration(text, &value);
    else
        value = json_string(text);
    if (rc < 0)
        return kg_error_set(err, EINVAL, "--%s takes %s, not \"%s\"", flag->name, wanted[flag->kind], text);
    return json_object_set_new(fields, name, value) < 0 ? not_utf8(err, "the command line") : 0;
}

static int set_foreign(json_t *fields, const struct flag *flag, const char *name, const char *text,
                       struct kg_error *err)
{
    const char *key = kg_uuid_valid(kg_slice_str(text)) ? "id" : flag->parent_key;
    json_t *value = text[0] ? json_pack("{s:s}", key, text) : json_null();

    return json_object_set_new(fields, name, value) < 0 ? not_utf8(err, "the command line") : 0;
}

int set_value(json_t *fields, const struct flag *flag, const char *text, struct kg_error *err)
{
    char name[64];
    json_t *before;

    if (flag->kind == FLAG_CONFIG)
        return add_config(fields, flag, text, err);
    field_name(flag, name);
    before = json_object_get(fields, name);
    /* After an empty value, which unsets, more would be said twice. */
    if (flag->kind == FLAG_LIST && text[0] != '\0' && !json_is_null(before))
        return add_list(fields, name, text) < 0 ? not_utf8(err, "the command line") : 0;
    if (flag->kind == FLAG_RECORD && text[0] != '\0')
        return add_to_record(fields, flag, name, text, err);
    if (flag->kind == FLAG_MAP && text[0] != '\0')
        return add_to_map(fields, flag, name, text, err);
    if (flag->kind == FLAG_HEADERS)
        return add_headers(object_in(fields, name), text, err);
    if (before)
        return kg_error_set(err, EINVAL, "--%s is given twice", flag->name);
    if (flag->kind == FLAG_SWITCH)
        return json_object_set_new(fields, name, json_true());
    if (flag->kind == FLAG_KEY_FILE)
        return read_file(fields, name, text, KEY_FILE_MAX, check_key, err);
    if (flag->kind == FLAG_PEM_FILE)
        return text[0] ? read_file(fields, name, text, PEM_FILE_MAX, check_pem, err)
                       : json_object_set_new(fields, name, json_null());
    if (flag->kind == FLAG_FOREIGN)
        return set_foreign(fields, flag, name, text, err);
    return set_scalar(fields, flag, name, text, err);
}
