/* SPDX-License-Identifier: BSD-2-Clause */
/* Declarative files: reads them, sends them as they are, and shows what the daemon says of them. Only what
 * they ask for of the environment is looked up here. */
#include "keyctl/keyctl.h"

#include "base/mem.h"
#include "base/uuid.h"
#include "base/writer.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define BODY_MAX     (4ul << 30)
#define BOUNDARY_LEN 32
#define PATH_CAP     8192
#define EXIT_CHANGES 2 /* of diff --non-zero-exit-code, as decK has it */

/* A multipart/form-data body (RFC 7578) that is being put together. */
struct form {
    char *buf; /* owned; holds keys */
    size_t len, cap;
    char boundary[BOUNDARY_LEN + 1];
    json_t *asked; /* names of environment variables that are in it already */
};

/* ---- sending ---- */

/* The old copy is wiped, so no realloc. */
static void reserve(struct form *form, size_t more)
{
    char *bigger;

    if (form->cap - form->len >= more)
        return;
    form->cap = form->cap * 2 + more;
    bigger = kg_calloc(1, form->cap);
    if (form->len > 0) {
        memcpy(bigger, form->buf, form->len);
        kg_wipe(form->buf, form->len);
    }
    free(form->buf);
    form->buf = bigger;
}

static void put(struct form *form, struct kg_slice text)
{
    reserve(form, text.len);
    memcpy(form->buf + form->len, text.ptr, text.len);
    form->len += text.len;
}

static void put_text(struct form *form, const char *text)
{
    put(form, kg_slice_str(text));
}

static void open_part(struct form *form, const char *name, const char *filename)
{
    put_text(form, "--");
    put_text(form, form->boundary);
    put_text(form, "\r\nContent-Disposition: form-data; name=\"");
    put_text(form, name);
    if (filename)
        put_text(form, "\"; filename=\"");
    for (const char *c = filename; c && *c; c++)
        put(form, (unsigned char)*c < 0x20 || *c == '"' ? KG_SLICE("?") : kg_slice_of(c, 1));
    put_text(form, "\"\r\n\r\n");
}

static int read_all(struct form *form, int fd, const char *name)
{
    struct stat st;
    ssize_t got;

    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && (uint64_t)st.st_size < BODY_MAX)
        reserve(form, (size_t)st.st_size + 65536);
    do {
        reserve(form, 65536);
        got = read(fd, form->buf + form->len, form->cap - form->len);
        if (got < 0 && errno == EINTR)
            continue;
        form->len += got > 0 ? (size_t)got : 0;
    } while (got != 0 && !(got < 0 && errno != EINTR) && form->len < BODY_MAX);
    if (got == 0)
        return 0;
    usage_error("cannot read %s: %s", name, got < 0 ? strerror(errno) : "it is too long");
    return KG_CTL_REFUSED;
}

static int add_file(struct form *form, const char *name)
{
    bool is_stdin = strcmp(name, "-") == 0;
    int rc, fd = is_stdin ? STDIN_FILENO : open(name, O_RDONLY | O_CLOEXEC);

    if (fd < 0) {
        usage_error("cannot read %s: %s", name, strerror(errno));
        return KG_CTL_REFUSED;
    }
    open_part(form, "config", is_stdin ? "standard input" : name);
    rc = read_all(form, fd, name);
    put_text(form, "\r\n");
    if (!is_stdin)
        close(fd);
    return rc;
}

static bool is_name(char c)
{
    return c == '_' || (c >= '0' && c <= '9') || (kg_lower(c) >= 'a' && kg_lower(c) <= 'z');
}

static void add_variable(struct form *form, const char *name)
{
    const char *value = getenv(name);

    if (!value || json_object_get(form->asked, name))
        return;
    json_object_set_new(form->asked, name, json_true());
    open_part(form, "env", NULL);
    put_text(form, name);
    put_text(form, "=");
    put_text(form, value);
    put_text(form, "\r\n");
}

/* Each variable that a file names: no other of this environment leaves it. */
static void add_environment(struct form *form)
{
    size_t end = form->len;

    for (size_t at = 0; at < end;) {
        const char *found = memmem(form->buf + at, end - at, "DECK_", 5);
        char name[128];
        size_t len = 5;

        if (!found)
            return;
        at = (size_t)(found - form->buf);
        while (at + len < end && is_name(found[len]))
            len++;
        if (len < sizeof(name)) {
            memcpy(name, found, len);
            name[len] = '\0';
            add_variable(form, name);
        }
        at += len;
    }
}

/* Adds an argument to the query of a path. */
static void add_argument(char *path, const char *name, const char *value)
{
    char encoded[PATH_CAP] = "";
    size_t len = strlen(path);

    put_segment(encoded, sizeof(encoded), value);
    snprintf(path + len, PATH_CAP - len, "%c%s=%s", strchr(path, '?') ? '&' : '?', name, encoded + 1);
}

static void add_tags(char *path, const struct command *command)
{
    json_t *tags = json_object_get(command->fields, "select_tag"), *tag;
    char list[PATH_CAP / 4] = "";
    size_t i;

    json_array_foreach(tags, i, tag)
    {
        size_t len = strlen(list);

        snprintf(list + len, sizeof(list) - len, "%s%s", len ? "," : "", json_string_value(tag));
    }
    if (list[0])
        add_argument(path, "select_tags", list);
}

static int send_form(const struct command *command, struct form *form, bool dry_run, struct answer *answer)
{
    char path[PATH_CAP] = "/config", type[128];
    const struct question question = { .method = "POST",
                                       .path = path,
                                       .type = type,
                                       .accept = "application/json",
                                       .body = kg_slice_of(form->buf, form->len) };

    if (dry_run)
        add_argument(path, "dry_run", "1");
    add_tags(path, command);
    snprintf(type, sizeof(type), "multipart/form-data; boundary=%s", form->boundary);
    return ask_at_length(command->socket, &question, answer);
}

static int fill_form(const struct command *command, struct form *form)
{
    int rc = 0;

    *form = (struct form){ .asked = json_object() };
    kg_random_alnum(form->boundary, BOUNDARY_LEN);
    for (size_t i = 0; i < command->word_count && rc == 0; i++)
        rc = add_file(form, command->words[i]);
    add_environment(form);
    put_text(form, "--");
    put_text(form, form->boundary);
    put_text(form, "--\r\n");
    return rc;
}

static void free_form(struct form *form)
{
    if (form->buf)
        kg_wipe(form->buf, form->len);
    free(form->buf);
    json_decref(form->asked);
}

/* ---- showing ---- */

static const char *text_of(const json_t *object, const char *name)
{
    return json_string_value(json_object_get(object, name));
}

/* routes.yaml:12:7: route "x": paths.1: should start with: / */
static void print_error(const json_t *error)
{
    static const char *const parts[] = { "entity", "name", "field" };
    json_int_t line = json_integer_value(json_object_get(error, "line"));

    print_safe(stderr, text_of(error, "file"));
    if (line > 0)
        fprintf(stderr, ":%lld:%lld", (long long)line,
                (long long)json_integer_value(json_object_get(error, "column")));
    for (size_t i = 0; i < 3; i++) {
        const char *text = text_of(error, parts[i]);
        bool name = i == 1;

        if (!text)
            continue;
        fputs(name ? " \"" : ": ", stderr);
        print_safe(stderr, text);
        fputs(name ? "\"" : "", stderr);
    }
    fputs(": ", stderr);
    print_safe(stderr, text_of(error, "message"));
    fputc('\n', stderr);
}

static int show_refusal(const struct command *command, const struct answer *answer)
{
    json_t *error;
    size_t i;

    if (command->output == OUTPUT_JSON)
        print_json(answer->json);
    json_array_foreach(json_object_get(answer->json, "errors"), i, error) print_error(error);
    return refused(command, answer);
}

static bool has_colour(void)
{
    const char *no = getenv("NO_COLOR"), *term = getenv("TERM");

    return isatty(STDOUT_FILENO) && !(no && *no) && !(term && strcmp(term, "dumb") == 0);
}

static void print_value(const char *sign, const char *colour, const char *name, const json_t *value)
{
    char *text = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT | JSON_REAL_PRECISION(15));

    printf("%s%s  ", colour, sign);
    print_safe(stdout, name);
    fputs(": ", stdout);
    print_safe(stdout, text ? text : "?");
    fputs(*colour ? "\033[0m\n" : "\n", stdout);
    free(text);
}

static void print_change(const json_t *change, bool colour)
{
    static const struct {
        const char *action, *word, *colour;
    } words[] = {
        { "create", "creating", "\033[32m" },
        { "update", "updating", "\033[33m" },
        { "delete", "deleting", "\033[31m" },
    };
    const char *owner = text_of(change, "for"), *name;
    json_t *field;
    size_t at = 0;

    while (at < 2 && strcmp(text_of(change, "action"), words[at].action) != 0)
        at++;
    printf("%s%s%s ", colour ? words[at].colour : "", words[at].word, colour ? "\033[0m" : "");
    printf("%s ", text_of(change, "entity"));
    print_safe(stdout, text_of(change, "name"));
    if (owner)
        fputs(" for ", stdout);
    print_safe(stdout, owner ? owner : "");
    fputc('\n', stdout);
    json_object_foreach(json_object_get(change, "fields"), name, field)
    {
        print_value("-", colour ? words[2].colour : "", name, json_object_get(field, "old"));
        print_value("+", colour ? words[0].colour : "", name, json_object_get(field, "new"));
    }
}

static json_int_t count_of(const json_t *report, const char *what)
{
    return json_integer_value(json_object_get(json_object_get(report, "summary"), what));
}

static int show_report(const struct command *command, const json_t *report)
{
    json_int_t left_out = json_integer_value(json_object_get(report, "changes_left_out"));
    bool colour = has_colour();
    json_t *change;
    size_t i;

    if (command->output == OUTPUT_YAML)
        return print_yaml(report);
    if (command->output == OUTPUT_JSON) {
        print_json(report);
        return KG_CTL_DONE;
    }
    json_array_foreach(json_object_get(report, "changes"), i, change) print_change(change, colour);
    if (left_out > 0)
        printf("... and %lld more\n", (long long)left_out);
    printf("Created: %lld, Updated: %lld, Deleted: %lld\n", (long long)count_of(report, "created"),
           (long long)count_of(report, "updated"), (long long)count_of(report, "deleted"));
    return KG_CTL_DONE;
}

/* ---- commands ---- */

/* What the daemon says of the files: the exit status, and on 0 *report (owned). */
static int ask_about(const struct command *command, struct form *form, bool dry_run, json_t **report)
{
    struct answer answer;
    int rc = send_form(command, form, dry_run, &answer);

    if (rc != 0)
        return rc;
    if (answer.status == 200 || answer.status == 201) {
        *report = answer.json;
        return KG_CTL_DONE;
    }
    rc = show_refusal(command, &answer);
    json_decref(answer.json);
    return rc;
}

static bool is_set(const struct command *command, const char *name)
{
    return json_is_true(json_object_get(command->fields, name));
}

static int run_validate(const struct command *command)
{
    struct form form;
    json_t *report = NULL;
    int rc = fill_form(command, &form);

    if (rc == 0)
        rc = ask_about(command, &form, true, &report);
    if (rc == 0 && command->output == OUTPUT_TABLE)
        puts(command->word_count == 1 ? "The file is valid." : "The files are valid.");
    else if (rc == 0)
        rc = show_report(command, report);
    json_decref(report);
    free_form(&form);
    return rc;
}

static int run_diff(const struct command *command)
{
    struct form form;
    json_t *report = NULL;
    int rc = fill_form(command, &form);

    if (rc == 0)
        rc = ask_about(command, &form, true, &report);
    if (rc == 0)
        rc = show_report(command, report);
    if (rc == 0 && is_set(command, "non_zero_exit_code") &&
        count_of(report, "created") + count_of(report, "updated") + count_of(report, "deleted") > 0)
        rc = EXIT_CHANGES;
    json_decref(report);
    free_form(&form);
    return rc;
}

/* Somebody who watches is asked before anything goes. */
static bool may_delete(const struct command *command, json_int_t count)
{
    int answer, more;

    if (count == 0 || is_set(command, "yes") || !isatty(STDIN_FILENO) || !isatty(STDERR_FILENO))
        return true;
    fprintf(stderr, "%lld %s not in the files and will be deleted. Go on? [y/N] ", (long long)count,
            count == 1 ? "entity is" : "entities are");
    answer = more = getchar();
    while (more != '\n' && more != EOF)
        more = getchar();
    return answer == 'y' || answer == 'Y';
}

static int run_sync(const struct command *command)
{
    bool dry_run = is_set(command, "dry_run"), asks = isatty(STDIN_FILENO) && isatty(STDERR_FILENO);
    struct form form;
    json_t *report = NULL;
    int rc = fill_form(command, &form);

    if (rc == 0 && asks && !dry_run && !is_set(command, "yes")) {
        rc = ask_about(command, &form, true, &report);
        if (rc == 0 && !may_delete(command, count_of(report, "deleted"))) {
            fputs("keyctl: nothing was changed\n", stderr);
            rc = KG_CTL_REFUSED;
        }
        json_decref(report);
        report = NULL;
    }
    if (rc == 0)
        rc = ask_about(command, &form, dry_run, &report);
    if (rc == 0)
        rc = show_report(command, report);
    json_decref(report);
    free_form(&form);
    return rc;
}

static int run_dump(const struct command *command)
{
    char path[PATH_CAP] = "/config";
    const struct question question = { .method = "GET", .path = path, .accept = "application/yaml" };
    struct answer answer;
    int rc;

    add_tags(path, command);
    if (is_set(command, "with_id"))
        add_argument(path, "with_id", "1");
    if (is_set(command, "no_keys"))
        add_argument(path, "no_keys", "1");
    rc = ask_at_length(command->socket, &question, &answer);
    if (rc != 0)
        return rc;
    if (answer.status != 200)
        rc = refused(command, &answer);
    else if (command->output == OUTPUT_JSON)
        rc = print_dump_json(answer.text);
    else
        fwrite(answer.text.ptr, 1, answer.text.len, stdout);
    json_decref(answer.json);
    if (answer.text.ptr)
        kg_wipe((char *)(uintptr_t)answer.text.ptr, answer.text.len);
    free((char *)(uintptr_t)answer.text.ptr);
    return rc;
}

/* ---- their place in the grammar ---- */

#define FILES_MAX 256
#define SELECT_TAG                                                                                           \
    {                                                                                                        \
        .name = "select-tag", .kind = FLAG_LIST, .value = "TAG",                                             \
        .help = "only what carries this tag; may be repeated"                                                \
    }

static const struct flag validate_flags[] = { SELECT_TAG, { 0 } };
static const struct flag diff_flags[] = {
    SELECT_TAG,
    { .name = "non-zero-exit-code",
      .kind = FLAG_SWITCH,
      .help = "exit status 2 when something would change" },
    { 0 },
};
static const struct flag sync_flags[] = {
    SELECT_TAG,
    { .name = "dry-run", .kind = FLAG_SWITCH, .help = "only say what would change, as diff does" },
    { .name = "yes", .kind = FLAG_SWITCH, .help = "do not ask before something is deleted" },
    { 0 },
};
static const struct flag dump_flags[] = {
    SELECT_TAG,
    { .name = "with-id", .kind = FLAG_SWITCH, .help = "the id of everything" },
    { .name = "no-keys",
      .kind = FLAG_SWITCH,
      .help = "leave keys out; a sync then keeps those that are there" },
    { 0 },
};

const struct action validate_action = {
    .name = "validate",
    .summary = "whether declarative files are good",
    .argument = "FILE...",
    .least_words = 1,
    .most_words = FILES_MAX,
    .about = "Several files make one state. - is standard input. Every error is told, with its place.",
    .flags = validate_flags,
    .run = run_validate,
    .examples = { "kong.yaml", "services.yaml consumers.yaml" },
};

const struct action diff_action = {
    .name = "diff",
    .summary = "what a sync of declarative files would change",
    .argument = "FILE...",
    .least_words = 1,
    .most_words = FILES_MAX,
    .about = "Nothing is changed. Keys are never shown.",
    .flags = diff_flags,
    .run = run_diff,
    .examples = { "kong.yaml", "--non-zero-exit-code kong.yaml" },
};

const struct action sync_action = {
    .name = "sync",
    .summary = "make everything as declarative files say",
    .argument = "FILE...",
    .least_words = 1,
    .most_words = FILES_MAX,
    .about = "All of it or, on any error, nothing. What is not in the files is deleted.",
    .flags = sync_flags,
    .run = run_sync,
    .examples = { "kong.yaml", "--select-tag team-a team-a.yaml" },
};

const struct action dump_action = {
    .name = "dump",
    .summary = "print everything as a declarative file",
    .about =
        "Keys are printed in clear text, unless --no-keys is given. To sync what it prints changes nothing.\n"
        "It prints YAML, with -o json JSON.",
    .flags = dump_flags,
    .run = run_dump,
    .examples = { "", "--select-tag team-a", "-o json" },
};
