/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * keyctl, the command line of keygate: turns `keyctl NOUN VERB [ARGS] [--flags]` into one request to the
 * Admin API on the daemon's UNIX socket and prints the answer. One thread, blocking. Knows nothing of the
 * daemon but what the API says.
 */
#ifndef KG_KEYCTL_KEYCTL_H
#define KG_KEYCTL_KEYCTL_H

#include "base/error.h"
#include "base/slice.h"

#include <jansson.h>
#include <stdio.h>

#define KG_CTL_SOCKET "/run/keygate/admin.sock"

/* Exit statuses. */
enum { KG_CTL_DONE = 0, KG_CTL_REFUSED = 1, KG_CTL_USAGE = 2, KG_CTL_UNREACHABLE = 3, KG_CTL_PARTLY = 4 };

enum verb { VERB_CREATE, VERB_LIST, VERB_GET, VERB_UPDATE, VERB_DELETE, VERB_HEALTH, VERB_ROTATE, VERBS };

#define ON(verb) (1u << (verb))
#define ON_WRITE (ON(VERB_CREATE) | ON(VERB_UPDATE))
#define ON_NAMED (ON(VERB_GET) | ON(VERB_UPDATE) | ON(VERB_DELETE) | ON(VERB_HEALTH) | ON(VERB_ROTATE))
#define ON_ALL   (ON(VERB_CREATE) | ON(VERB_LIST) | ON(VERB_GET) | ON(VERB_UPDATE) | ON(VERB_DELETE))

/* How a flag's text becomes JSON. The field's name is the flag's with '_' for '-'. */
enum flag_kind {
    FLAG_STRING,
    FLAG_INTEGER,
    FLAG_BOOLEAN,
    FLAG_LIST,     /* may be repeated; also comma-separated */
    FLAG_DURATION, /* 90, 90s, 5m, 2h, 1d: seconds */
    FLAG_FOREIGN,  /* an id, or the endpoint key of another noun */
    FLAG_CONFIG,   /* NAME=VALUE into the object "config"; may be repeated */
    FLAG_RECORD,   /* A.B.C=VALUE into an object of objects; may be repeated */
    FLAG_MAP,      /* NAME=VALUE into an object of lists; may be repeated */
    FLAG_KEY_FILE, /* the first line of a file, or of standard input, is "key" */
    FLAG_PEM_FILE, /* the whole of it is the field of the flag's name without "-file" */
    FLAG_HEADERS,  /* "Name: value", or @FILE with one a line, into an object of lists; may be repeated */
    FLAG_SWITCH,   /* takes no value; true when it is there */
};

struct flag {
    const char *name;
    enum flag_kind kind;
    unsigned verbs;
    const char *value; /* what stands for its value in --help */
    const char *help;
    const char *parent;     /* FLAG_FOREIGN: collection of the other noun; its lists nest below it */
    const char *parent_key; /* FLAG_FOREIGN: "name", "username" or "snis" */
    bool required;          /* by create; where it locates, by every verb */
    char letter;            /* its short form: -f */
};

enum column_kind {
    COLUMN_PLAIN,
    COLUMN_TIME,
    COLUMN_SCOPE,
    COLUMN_FOREVER,   /* null reads "never" */
    COLUMN_ADDRESSES, /* a target's, each with its health */
};

struct column {
    const char *title;
    const char *path; /* "name", "service.id" */
    enum column_kind kind;
    bool only_create; /* shown by create and rotate alone: a key */
};

struct noun {
    const char *name;
    const char *collection;   /* "services" */
    const char *nested;       /* below a parent: "key-auth" */
    const char *argument;     /* "NAME|ID": what get, update and delete take */
    const char *create_field; /* create takes the argument too, into this field */
    const char *named_by;     /* the field with its name, or with several; NULL: it has only an id */
    const char *summary;
    unsigned verbs;
    const struct flag *flags;     /* ended by a NULL name */
    const struct column *columns; /* ended by a NULL title */
    const char *examples[VERBS];
    bool missing_is_404; /* DELETE of what is not there says so by itself */
    bool by_id;          /* only an id is accepted: its other name is a secret */
    bool nested_only;    /* it has no collection of its own: its parent is always named */
    bool no_dry_run;     /* the daemon cannot try its writes */
};

extern const struct noun nouns[]; /* ended by a NULL name */
extern const struct noun health_noun;
extern const char *const verb_names[VERBS];

const struct noun *find_noun(const char *name);
/* The verb, or VERBS. */
enum verb find_verb(const char *name);

struct command;

/* What stands beside the nouns: `keyctl NAME [ARGUMENTS] [--flags]`. Each in the file that defines it. */
struct action {
    const char *name;
    const char *summary;  /* of a few words */
    const char *argument; /* "FILE...", or NULL */
    unsigned least_words, most_words;
    const char *about;        /* a sentence or more for its --help */
    const struct flag *flags; /* ended by a NULL name; NULL: none. Their values are in command.fields */
    int (*run)(const struct command *command); /* the exit status */
    const char *examples[4];                   /* what follows the name; ended by NULL, or all four */
};

extern const struct action *const actions[]; /* ended by NULL */
extern const struct action status_action, stats_action, metrics_action, events_action, top_action;
extern const struct action explain_action, validate_action, diff_action, sync_action, dump_action;
extern const struct action convert_action, completion_action;

const struct action *find_action(const char *name);

enum output { OUTPUT_TABLE, OUTPUT_JSON, OUTPUT_YAML };

/* A command line, taken apart. Strings are argv's. */
struct command {
    const struct noun *noun;     /* NULL: an action, or help */
    const struct action *action; /* NULL: a noun, or help */
    enum verb verb;              /* VERBS: none */
    bool help, version, dry_run, yes;
    const char *argument; /* of a noun's verb */
    const char **words;   /* owned: the arguments of an action */
    size_t word_count;
    const char *socket;
    enum output output;
    json_t *fields;     /* owned: the body for create and update; the flags of an action */
    const char *parent; /* value of the foreign flag that narrows a list or a key: with parent_flag */
    const struct flag *parent_flag;
};

/* args.c: 0, or KG_CTL_USAGE after having said why on standard error. release_command in both cases. */
int parse_command(int argc, char **argv, struct command *command);
void release_command(struct command *command);
/* The flags that this command takes, one after the other; NULL behind the last. Without those of all commands
 * (-o, --socket, --help). */
const struct flag *nth_flag(const struct command *command, size_t n);
extern const struct flag common_flags[]; /* those of all commands, ended by a NULL name */
/* Whether the command line has come to where flags and arguments are: behind an action, or behind a verb. */
bool is_call(const struct command *command);
/* Whether a word of so many bytes is the flag: "--name" or "-l". */
bool is_flag(const struct flag *flag, const char *word, size_t len);
/* Prints "keyctl: " and the sentence; returns KG_CTL_USAGE. */
int usage_error(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* values.c: one flag's text into fields; 0 or -EINVAL with a sentence. A switch has no text. */
int set_value(json_t *fields, const struct flag *flag, const char *text, struct kg_error *err);
void field_name(const struct flag *flag, char out[64]);

/* headers.c: one FLAG_HEADERS into an object of lists; 0 or -EINVAL with a sentence. */
int add_headers(json_t *headers, const char *text, struct kg_error *err);

/* help.c */
void print_help(const struct command *command);

/* client.c */
struct answer {
    unsigned status;
    json_t *json;         /* owned; NULL for no body */
    struct kg_slice text; /* instead of it, for ask_at_length: owned, it may hold keys */
};
struct question {
    const char *method, *path;
    const char *type; /* of the body; NULL: there is none */
    const char *accept;
    struct kg_slice body;
};
/* 0, or KG_CTL_UNREACHABLE after having said why on standard error. body may be NULL. */
int ask(const char *socket_path, const char *method, const char *path, const json_t *body,
        struct answer *answer);
/* How long the daemon may be silent, instead of half a minute. */
void set_patience(unsigned seconds);
/* GETs what comes bit by bit, and is no JSON: take is called with each piece, till the daemon ends it. Any
 * status but 200 is an answer like those of ask. patient: pieces may be hours apart. */
int ask_stream(const char *socket_path, const char *path, bool patient,
               void (*take)(void *ctx, struct kg_slice bytes), void *ctx, struct answer *answer);
/* The same for what may be long and take its time: bodies as they are, and an answer that is no JSON when it
 * was asked for. */
int ask_at_length(const char *socket_path, const struct question *question, struct answer *answer);
/* Percent-encodes a segment of a path. */
void put_segment(char *path, size_t cap, const char *segment);

/* commands.c: the exit status. */
int run_command(const struct command *command);
/* One exchange: the exit status, having said why it is not 0; on 0 *json is the answer's body (owned; may be
 * NULL). */
int request(const struct command *command, const char *method, const char *path, const json_t *body,
            json_t **json);
/* "/services", "/consumers/x/key-auth": where the noun's entities hang. 0, or KG_CTL_USAGE. */
int collection_path(const struct command *command, char *path, size_t cap);
/* All pages of a path as one, {"data": […], "next": null} (owned, in any case): the exit status. */
int fetch_all(const struct command *command, const char *path, json_t **all);
/* Says why the daemon refused; the exit status. */
int refused(const struct command *command, const struct answer *answer);
/* Lists all pages of a path, with the columns of noun. */
int list_all(const struct command *command, const struct noun *noun, const char *path);
/* Prints as JSON, with an end of line. */
void print_json(const json_t *json);
/* Prints an object as -o wants it; as a table: one line for each leaf. */
int show_object(const struct command *command, const json_t *object);

/* screen.c: columns of the terminal that the output goes to, or 0 when it goes elsewhere. */
size_t screen_width(void);
bool takes_colour(FILE *out);
/* Columns that UTF-8 takes; how many bytes of it fit into so many columns. */
size_t text_width(const char *text);
size_t text_fitting(const char *text, size_t columns);

/* confirm.c: of the daemon's answer to a DELETE that was only tried (or NULL). */
void print_deletes(FILE *out, const struct command *command, const json_t *answer);
bool must_confirm(const struct command *command);
/* Asks: 0, or KG_CTL_REFUSED after having said that nothing was deleted. */
int confirm_delete(const struct command *command, const json_t *answer);

/* output.c, yaml.c */
void print_table(const struct noun *noun, enum verb verb, const json_t *rows);
void print_flat(const json_t *object);
/* Prints text with control bytes as '?'. */
void print_safe(FILE *out, const char *text);
int write_yaml(FILE *out, const json_t *value);
int print_yaml(const json_t *value);
/* dump_json.c: what the daemon has dumped as YAML. */
int print_dump_json(struct kg_slice yaml);

#endif
