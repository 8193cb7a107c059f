/* SPDX-License-Identifier: BSD-2-Clause */
/* The command line of keygated. */
#include "base/mem.h"
#include "keygate/version.h"
#include "keygated/daemon.h"
#include "keygated/key_header.h"
#include "policy/policy.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#define EXIT_USAGE 2

static const char usage[] =
    "usage: keygated [--config FILE] [--set PATH=VALUE]... [--check | --check-store | --rotate-master-key | "
    "--detach]\n"
    "\n"
    "  --config FILE      settings; " KG_CONFIG_FILE " when not given\n"
    "  --set PATH=VALUE   overrides one setting, e.g. --set guard.threshold=3; VALUE is YAML; may be "
    "repeated\n"
    "  --check            checks the settings and exits: 0 when they are good, 1 when not\n"
    "  --check-store      checks the database, also beside a running daemon, changes nothing and exits: 0 "
    "when "
    "it is\n"
    "                     whole, 1 when not\n"
    "  --rotate-master-key\n"
    "                     makes a new master key and encrypts every secret anew under it, while the daemon "
    "is "
    "stopped\n"
    "  --detach           takes keygate's XDP program off every interface, removes its maps and all bans, "
    "and exits\n"
    "  --version          prints the version\n"
    "  --help             prints this text\n";

enum mode { SERVE, CHECK, CHECK_STORE, ROTATE, DETACH };

struct arguments {
    const char *file;
    const char **sets;
    size_t set_count;
    enum mode mode;
};

static int usage_error(void)
{
    fputs("keygated --help shows what there is\n", stderr);
    return EXIT_USAGE;
}

/* 0 to go on, or 1 + the exit status. */
static int parse_arguments(int argc, char **argv, struct arguments *args)
{
    static const struct option options[] = {
        { "config", required_argument, NULL, 'c' },
        { "set", required_argument, NULL, 's' },
        { "check", no_argument, NULL, 'k' },
        { "check-store", no_argument, NULL, 'o' },
        { "rotate-master-key", no_argument, NULL, 'r' },
        { "detach", no_argument, NULL, 'd' },
        { "version", no_argument, NULL, 'v' },
        { "help", no_argument, NULL, 'h' },
        { NULL, 0, NULL, 0 },
    };
    int option;

    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        switch (option) {
        case 'c':
            args->file = optarg;
            break;
        case 's':
            args->sets = kg_realloc(args->sets, args->set_count + 1, sizeof(*args->sets));
            args->sets[args->set_count++] = optarg;
            break;
        case 'k':
            args->mode = CHECK;
            break;
        case 'o':
            args->mode = CHECK_STORE;
            break;
        case 'r':
            args->mode = ROTATE;
            break;
        case 'd':
            args->mode = DETACH;
            break;
        case 'v':
            puts("keygated " KG_VERSION);
            return 1 + EXIT_SUCCESS;
        case 'h':
            fputs(usage, stdout);
            return 1 + EXIT_SUCCESS;
        default:
            return 1 + usage_error();
        }
    }
    if (optind == argc)
        return 0;
    fprintf(stderr, "keygated: unexpected argument '%s'\n", argv[optind]);
    return 1 + usage_error();
}

static int fail(const struct kg_error *err)
{
    fprintf(stderr, "keygated: %s\n", err->text);
    return EXIT_FAILURE;
}

static int serve(const struct kg_config *config)
{
    struct kg_daemon *daemon;
    struct kg_error err = { "" };

    if (kg_daemon_start(config, &daemon, &err) < 0)
        return fail(&err);
    kg_daemon_run(daemon);
    kg_daemon_free(daemon);
    return EXIT_SUCCESS;
}

static void say(void *ctx, bool is_fault, const char *line)
{
    fprintf(is_fault ? stderr : stdout, "%s\n", line);
}

static int check_store(const struct kg_config *config)
{
    struct kg_store_options options = { .dir = config->state_dir, .master_key = config->keys.master_key };
    struct kg_error err = { "" };
    size_t faults;

    kg_policies_register();
    if (kg_store_check(&options, say, NULL, &faults, &err) < 0)
        return fail(&err);
    printf("%s/keygate.db: faults: %zu\n", config->state_dir, faults);
    return faults > 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

static int rotate(const struct kg_config *config)
{
    struct kg_store_options options = { .dir = config->state_dir,
                                        .master_key = config->keys.master_key,
                                        .must_exist = true };
    struct kg_store *store;
    struct kg_error err = { "" };
    size_t count;

    if (kg_store_open_with(&options, &store, &err) < 0)
        return fail(&err);
    int rc = kg_store_rotate_master(store, &count, &err);
    kg_store_close(store);
    if (rc < 0)
        return fail(&err);
    printf("%s has a new master key: secrets encrypted anew: %zu\n", config->state_dir, count);
    return EXIT_SUCCESS;
}

static int run(const struct arguments *args)
{
    struct kg_config config;
    struct kg_error err = { "" };
    int status = EXIT_SUCCESS;

    if (kg_config_load(args->file, args->sets, args->set_count, &config, &err) < 0)
        return fail(&err);
    kg_log_set_level(config.log_level);
    if (kg_key_header_read(&config, &err) < 0)
        status = fail(&err);
    else if (args->mode == CHECK)
        printf("%s: all settings are good\n", args->file);
    else if (args->mode == DETACH)
        status = kg_guard_detach(config.xdp.bpf_dir, &err) < 0 ? fail(&err) : EXIT_SUCCESS;
    else if (args->mode == CHECK_STORE)
        status = check_store(&config);
    else if (args->mode == ROTATE)
        status = rotate(&config);
    else
        status = serve(&config);
    kg_config_free(&config);
    return status;
}

int main(int argc, char **argv)
{
    struct arguments args = { .file = KG_CONFIG_FILE };
    int status = parse_arguments(argc, argv, &args);

    /* Whatever we make is ours alone unless something says otherwise. */
    umask(0077);
    status = status ? status - 1 : run(&args);
    free(args.sets);
    return status;
}
