/* SPDX-License-Identifier: BSD-2-Clause */
#include "model/router.h"

#include "base/assert.h"
#include "base/mem.h"
#include "model/arena.h"
#include "model/demands.h"
#include "model/route_rank.h"
#include "model/words.h"

#include <stdlib.h>

/* One path of one route (or a route without paths): what the priorities compare (router.h). */
struct candidate {
    const struct kg_route *route;
    uint64_t rank;     /* route_rank.h */
    size_t order;      /* the route's age; the smaller wins a tie */
    size_t prefix_len; /* of the path; 0 without paths */
    bool by_regex;     /* the match says how long */
};

/* The best candidates for a path prefix, its own and its ancestors' taken together. */
struct best {
    const struct candidate *any; /* of routes without methods */
    uint32_t count, cap;
    struct method_best {
        uint32_t method; /* index into the router's methods; ascending */
        const struct candidate *candidate;
    } * by_method;
};

struct node {
    struct kg_slice label; /* the bytes between the parent and here */
    struct best *best;     /* NULL: no route has this very path; the nearest ancestor's holds */
    uint32_t child_count, child_cap;
    uint8_t *firsts; /* first byte of each child's label: children[i] begins with firsts[i] */
    struct node **children;
};

/* A regex path of one route. */
struct regex_path {
    const struct candidate *candidate;
    const struct kg_regex *regex;
    size_t place; /* among its route's */
    const uint32_t *methods;
    size_t method_count; /* 0 = any */
};

struct host {
    uint64_t hash;
    enum kg_host_kind kind;
    uint16_t port;        /* 0 = any */
    uint32_t demand;      /* id of what the routes behind it demand of headers; 0 = nothing */
    uint32_t sni;         /* which server name they want: see SNI_ANY */
    struct kg_slice text; /* suffix with its leading dot, prefix with its trailing dot */
    struct node root;
    struct regex_path *regexes; /* the best first */
    size_t regex_count, regex_cap;
};

struct kg_router {
    struct kg_arena arena;
    struct kg_words methods, snis;
    struct host **table; /* open addressing; a power of two, at most half full */
    size_t mask;
    bool kinds[KG_HOST_PREFIX + 1]; /* which kinds of host occur at all */
    bool ports;                     /* some host names a port */
    bool regexes;                   /* some path is one */
    struct kg_demands demands;
    const struct candidate **tops; /* the best candidate of each demand */
};

/*
 * Which server name the routes behind a host want: none, or the one of this number. What wants some is there
 * once more as SNI_PLAIN, for requests that come without TLS and are not asked for one.
 */
#define SNI_ANY      0u
#define SNI_PLAIN    1u
#define SNI_OF(word) ((word) + 2u)

/* One line of the work list that the tries are built from. */
struct entry {
    enum kg_host_kind kind;
    uint16_t port;
    uint32_t demand, sni;
    struct kg_slice host, path;
    const struct candidate *candidate;
    const struct kg_route_spec *spec;
    const struct kg_regex *regex; /* instead of the path */
    const uint32_t *methods;      /* with a regex */
    size_t place;
};

/* FNV-1a a byte, so that all prefixes (or suffixes, read backwards) of a name are hashed in one pass. */
static uint64_t hash_step(uint64_t hash, char c)
{
    return (hash ^ (unsigned char)kg_lower(c)) * 0x100000001b3ull;
}

#define HASH_START 0xcbf29ce484222325ull

static uint64_t hash_end(uint64_t hash, enum kg_host_kind kind, uint16_t port, uint32_t demand, uint32_t sni)
{
    hash ^= sni * 0xff51afd7ed558ccdull;
    hash = (hash ^ ((uint64_t)demand << 32 | (uint64_t)kind << 16 | port)) * 0x9e3779b97f4a7c15ull;
    return hash ^ hash >> 32;
}

static uint64_t hash_host(const struct entry *entry)
{
    struct kg_slice text = entry->host;
    uint64_t hash = HASH_START;

    for (size_t i = 0; i < text.len; i++)
        hash = hash_step(hash, text.ptr[entry->kind == KG_HOST_SUFFIX ? text.len - 1 - i : i]);
    return hash_end(hash, entry->kind, entry->port, entry->demand, entry->sni);
}

static struct host **table_slot(const struct kg_router *router, uint64_t hash, enum kg_host_kind kind,
                                struct kg_slice text, uint16_t port, uint32_t demand, uint32_t sni)
{
    for (size_t i = hash & router->mask;; i = (i + 1) & router->mask) {
        struct host *host = router->table[i];
        if (!host || (host->hash == hash && host->kind == kind && host->port == port &&
                      host->demand == demand && host->sni == sni && kg_slice_eq_nocase(host->text, text)))
            return &router->table[i];
    }
}

/* ---- building ---- */

static bool better(const struct candidate *a, const struct candidate *b)
{
    if (!a || !b)
        return a != NULL;
    return a->rank != b->rank ? a->rank > b->rank : a->order < b->order;
}

static void collect_words(struct kg_router *router, const struct kg_route_spec *specs, size_t count)
{
    size_t methods = 0, snis = 0, method = 0, sni = 0;

    for (size_t i = 0; i < count; i++) {
        methods += specs[i].method_count;
        snis += specs[i].sni_count;
    }
    struct kg_slice *all_methods = kg_arena_calloc(&router->arena, methods, sizeof(*all_methods));
    struct kg_slice *all_snis = kg_arena_calloc(&router->arena, snis, sizeof(*all_snis));
    for (size_t i = 0; i < count; i++) {
        for (size_t m = 0; m < specs[i].method_count; m++)
            all_methods[method++] = specs[i].methods[m];
        for (size_t n = 0; n < specs[i].sni_count; n++)
            all_snis[sni++] = specs[i].snis[n];
    }
    kg_words_build(&router->methods, &router->arena, all_methods, methods);
    kg_words_build(&router->snis, &router->arena, all_snis, snis);
}

static uint32_t find_method(const struct kg_router *router, struct kg_slice method)
{
    return kg_words_find(&router->methods, method);
}

/* Index of the first entry of by_method that is not below `method`. */
static uint32_t method_index(const struct best *best, uint32_t method)
{
    uint32_t low = 0, high = best->count;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (best->by_method[middle].method < method)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static void offer_method(struct kg_router *router, struct best *best, uint32_t method,
                         const struct candidate *candidate)
{
    uint32_t at = method_index(best, method);

    if (at < best->count && best->by_method[at].method == method) {
        if (better(candidate, best->by_method[at].candidate))
            best->by_method[at].candidate = candidate;
        return;
    }
    if (best->count == best->cap) {
        struct method_best *old = best->by_method;
        best->cap = best->cap ? best->cap * 2 : 4;
        best->by_method = kg_arena_calloc(&router->arena, best->cap, sizeof(*old));
        if (best->count > 0)
            memcpy(best->by_method, old, best->count * sizeof(*old));
    }
    memmove(&best->by_method[at + 1], &best->by_method[at], (best->count - at) * sizeof(*best->by_method));
    best->by_method[at] = (struct method_best){ method, candidate };
    best->count++;
}

static struct best *inherit(struct kg_router *router, const struct best *from)
{
    struct best *best = kg_arena_calloc(&router->arena, 1, sizeof(*best));

    if (!from)
        return best;
    *best = *from;
    best->cap = from->count;
    best->by_method = kg_arena_calloc(&router->arena, from->count, sizeof(*best->by_method));
    if (from->count > 0)
        memcpy(best->by_method, from->by_method, from->count * sizeof(*best->by_method));
    return best;
}

static struct node **find_child(const struct node *node, char first)
{
    const uint8_t *hit =
        node->child_count ? memchr(node->firsts, (unsigned char)first, node->child_count) : NULL;

    return hit ? &node->children[hit - node->firsts] : NULL;
}

static void grow_children(struct kg_router *router, struct node *node)
{
    uint32_t cap = node->child_cap ? node->child_cap * 2 : 2;
    uint8_t *firsts = kg_arena_calloc(&router->arena, cap, 1);
    struct node **children = kg_arena_calloc(&router->arena, cap, sizeof(struct node *));

    if (node->firsts)
        memcpy(firsts, node->firsts, node->child_count);
    if (node->children)
        memcpy(children, node->children, node->child_count * sizeof(struct node *));
    node->firsts = firsts;
    node->children = children;
    node->child_cap = cap;
}

static struct node *add_child(struct kg_router *router, struct node *node, struct node *child)
{
    if (node->child_count == node->child_cap)
        grow_children(router, node);
    KG_ASSERT(node->firsts && node->children);
    node->firsts[node->child_count] = (uint8_t)child->label.ptr[0];
    node->children[node->child_count++] = child;
    return child;
}

static struct node *new_node(struct kg_router *router, struct kg_slice label)
{
    struct node *node = kg_arena_calloc(&router->arena, 1, sizeof(*node));

    node->label = label;
    return node;
}

static size_t common_len(struct kg_slice a, struct kg_slice b)
{
    size_t len = 0;

    while (len < a.len && len < b.len && a.ptr[len] == b.ptr[len])
        len++;
    return len;
}

static struct kg_slice skip(struct kg_slice s, size_t len)
{
    return kg_slice_of(s.ptr + len, s.len - len);
}

/*
 * The node for a path, made when it is not there. Paths come shortest first, so every path that is a prefix
 * of this one has its node and its best already, and no node below this one exists yet.
 */
static struct node *path_node(struct kg_router *router, struct node *node, struct kg_slice path,
                              const struct best **inherited)
{
    while (path.len > 0) {
        struct node **link = find_child(node, path.ptr[0]);
        if (node->best)
            *inherited = node->best;
        if (!link)
            return add_child(router, node, new_node(router, path));
        struct node *child = *link;
        size_t common = common_len(child->label, path);
        if (common < child->label.len) {
            struct node *fork = new_node(router, kg_slice_of(child->label.ptr, common));
            child->label = skip(child->label, common);
            add_child(router, fork, child);
            *link = child = fork;
        }
        node = child;
        path = skip(path, common);
    }
    return node;
}

static void insert_regex(struct kg_router *router, struct host *host, const struct entry *entry)
{
    router->regexes = true;
    if (host->regex_count == host->regex_cap) {
        const struct regex_path *old = host->regexes;
        host->regex_cap = host->regex_cap ? host->regex_cap * 2 : 2;
        host->regexes = kg_arena_calloc(&router->arena, host->regex_cap, sizeof(*old));
        if (old)
            memcpy(host->regexes, old, host->regex_count * sizeof(*old));
    }
    host->regexes[host->regex_count++] = (struct regex_path){ entry->candidate, entry->regex, entry->place,
                                                              entry->methods, entry->spec->method_count };
}

static int better_first(const void *left, const void *right)
{
    const struct regex_path *a = left, *b = right;

    if (a->candidate == b->candidate)
        return (a->place > b->place) - (a->place < b->place);
    return better(a->candidate, b->candidate) ? -1 : 1;
}

static void sort_regexes(struct kg_router *router)
{
    for (size_t i = 0; router->regexes && i <= router->mask; i++) {
        struct host *host = router->table[i];
        if (host && host->regex_count > 0)
            qsort(host->regexes, host->regex_count, sizeof(*host->regexes), better_first);
    }
}

static void insert(struct kg_router *router, const struct entry *entry)
{
    uint64_t hash = hash_host(entry);
    struct host **slot =
        table_slot(router, hash, entry->kind, entry->host, entry->port, entry->demand, entry->sni);
    const struct best *inherited = NULL;

    if (!*slot) {
        *slot = kg_arena_calloc(&router->arena, 1, sizeof(**slot));
        **slot =
            (struct host){ .hash = hash, .kind = entry->kind, .port = entry->port, .demand = entry->demand };
        (*slot)->sni = entry->sni;
        (*slot)->text = kg_arena_copy(&router->arena, entry->host);
    }
    router->kinds[entry->kind] = true;
    router->ports |= entry->port != 0;
    if (better(entry->candidate, router->tops[entry->demand]))
        router->tops[entry->demand] = entry->candidate;
    if (entry->regex) {
        insert_regex(router, *slot, entry);
        return;
    }
    struct node *node = path_node(router, &(*slot)->root, entry->path, &inherited);
    if (!node->best)
        node->best = inherit(router, inherited);
    if (entry->spec->method_count == 0 && better(entry->candidate, node->best->any))
        node->best->any = entry->candidate;
    for (size_t i = 0; i < entry->spec->method_count; i++)
        offer_method(router, node->best, find_method(router, entry->spec->methods[i]), entry->candidate);
}

static void parse_host(struct kg_slice text, struct entry *entry)
{
    struct kg_host_pattern pattern = kg_host_pattern_of(text);

    entry->kind = pattern.kind;
    entry->port = pattern.port;
    entry->host = pattern.text;
}

static const struct candidate *new_candidate(struct kg_router *router, const struct candidate *from)
{
    struct candidate *candidate = kg_arena_calloc(&router->arena, 1, sizeof(*candidate));

    *candidate = *from;
    return candidate;
}

static size_t at_least_one(size_t count)
{
    return count ? count : 1;
}

/* How many plain paths a route stands behind in a trie: one, the empty one, when it says nothing of paths. */
static size_t plain_count(const struct kg_route_spec *spec)
{
    return spec->regex_count > 0 ? spec->path_count : at_least_one(spec->path_count);
}

/* Under how many server names a route stands, and which the n-th is. */
static size_t sni_places(const struct kg_route_spec *spec)
{
    return spec->sni_count > 0 ? spec->sni_count + 1 : 1;
}

static uint32_t sni_place(const struct kg_router *router, const struct kg_route_spec *spec, size_t n)
{
    if (n < spec->sni_count)
        return SNI_OF(kg_words_find(&router->snis, spec->snis[n]));
    return spec->sni_count > 0 ? SNI_PLAIN : SNI_ANY;
}

/* A copy of the entry for each host and server name of its route; returns how many. */
static size_t put_hosts(const struct kg_router *router, const struct entry *entry, struct entry *out)
{
    const struct kg_route_spec *spec = entry->spec;
    size_t made = 0;

    for (size_t n = 0; n < sni_places(spec); n++) {
        for (size_t h = 0; h < at_least_one(spec->host_count); h++) {
            out[made] = *entry;
            out[made].sni = sni_place(router, spec, n);
            if (spec->host_count > 0)
                parse_host(spec->hosts[h], &out[made]);
            made++;
        }
    }
    return made;
}

/* All regexes of a route are one candidate. */
static size_t expand_regexes(struct kg_router *router, const struct kg_route_spec *spec, size_t order,
                             uint32_t demand, struct entry *out)
{
    struct candidate candidate = { .route = spec->route, .order = order, .by_regex = true };
    uint32_t *methods = kg_arena_calloc(&router->arena, spec->method_count, sizeof(*methods));
    struct entry entry = { .demand = demand, .spec = spec, .methods = methods };
    size_t made = 0;

    for (size_t i = 0; i < spec->method_count; i++)
        methods[i] = find_method(router, spec->methods[i]);
    candidate.rank = kg_route_rank_regex(spec);
    entry.candidate = new_candidate(router, &candidate);
    for (size_t i = 0; i < spec->regex_count; i++) {
        entry.regex = spec->regexes[i];
        entry.place = i;
        if (entry.regex)
            made += put_hosts(router, &entry, out + made);
    }
    return made;
}

/* Every host with every path of one route; returns how many entries. */
static size_t expand(struct kg_router *router, const struct kg_route_spec *spec, size_t order,
                     uint32_t demand, struct entry *out)
{
    size_t made = 0;

    for (size_t p = 0; p < plain_count(spec); p++) {
        struct entry entry = { .demand = demand, .spec = spec };
        if (spec->path_count > 0)
            entry.path = kg_arena_copy(&router->arena, spec->paths[p]);
        struct candidate candidate = { spec->route, kg_route_rank_path(spec, entry.path.len), order,
                                       entry.path.len, false };
        entry.candidate = new_candidate(router, &candidate);
        made += put_hosts(router, &entry, out + made);
    }
    if (spec->regex_count > 0)
        made += expand_regexes(router, spec, order, demand, out + made);
    return made;
}

static int shorter_path_first(const void *left, const void *right)
{
    const struct entry *a = left, *b = right;

    return (a->path.len > b->path.len) - (a->path.len < b->path.len);
}

/* Room for as many hosts, at most half full. */
static void make_table(struct kg_router *router, size_t hosts)
{
    router->mask = 1;
    while (router->mask < hosts * 2)
        router->mask <<= 1;
    router->table = kg_arena_calloc(&router->arena, router->mask, sizeof(struct host *));
    router->mask--;
}

struct kg_router *kg_router_new(const struct kg_route_spec *specs, size_t count)
{
    struct kg_router *router = kg_calloc(1, sizeof(*router));
    uint32_t *demands = kg_calloc(count, sizeof(*demands));
    size_t total = 0, hosts = 1, made = 0;

    collect_words(router, specs, count);
    kg_demands_build(&router->demands, &router->arena, specs, count, demands);
    router->tops = kg_arena_calloc(&router->arena, router->demands.count + 1, sizeof(*router->tops));
    for (size_t i = 0; i < count; i++) {
        size_t places = at_least_one(specs[i].host_count) * sni_places(&specs[i]);

        total += places * (plain_count(&specs[i]) + specs[i].regex_count);
        hosts += places;
    }
    make_table(router, hosts);
    struct entry *entries = kg_calloc(total, sizeof(*entries));
    for (size_t i = 0; i < count; i++)
        made += expand(router, &specs[i], i, demands[i], entries + made);
    KG_ASSERT(made <= total);
    qsort(entries, made, sizeof(*entries), shorter_path_first);
    for (size_t i = 0; i < made; i++)
        insert(router, &entries[i]);
    sort_regexes(router);
    free(entries);
    free(demands);
    return router;
}

void kg_router_free(struct kg_router *router)
{
    if (!router)
        return;
    kg_arena_free(&router->arena);
    free(router);
}

/* ---- matching ---- */

struct search {
    const struct kg_router *router;
    const struct kg_route_query *query;
    struct kg_slice path;
    uint16_t port;
    uint32_t method;
    uint32_t demand; /* whose hosts are looked at */
    uint32_t sni;    /* likewise */
    bool regexes;    /* these, or else plain paths */
    size_t matched;  /* bytes, when the best is a regex */
    const struct candidate *best;
};

/* The best of the deepest node whose path is a prefix of `path`. */
static const struct best *walk(const struct node *node, struct kg_slice path)
{
    const struct best *best = node->best;

    while (path.len > 0) {
        struct node **link = find_child(node, path.ptr[0]);
        if (!link || !kg_slice_starts_with(path, (*link)->label))
            return best;
        node = *link;
        path = skip(path, node->label.len);
        if (node->best)
            best = node->best;
    }
    return best;
}

static void take_plain(struct search *search, const struct host *host)
{
    const struct best *best = walk(&host->root, search->path);

    if (!best)
        return;
    if (better(best->any, search->best))
        search->best = best->any;
    uint32_t at = search->method == KG_NO_WORD ? best->count : method_index(best, search->method);
    if (at < best->count && best->by_method[at].method == search->method &&
        better(best->by_method[at].candidate, search->best))
        search->best = best->by_method[at].candidate;
}

static bool takes_method(const struct regex_path *path, uint32_t method)
{
    for (size_t i = 0; i < path->method_count; i++) {
        if (path->methods[i] == method)
            return true;
    }
    return path->method_count == 0;
}

/* The first that matches is the best of them, and none behind one that is not good enough is looked at. */
static void take_regex(struct search *search, const struct host *host)
{
    size_t end;

    for (size_t i = 0; i < host->regex_count; i++) {
        const struct regex_path *path = &host->regexes[i];
        if (!better(path->candidate, search->best))
            return;
        if (!takes_method(path, search->method) ||
            !kg_regex_match(path->regex, search->path, search->query->regex, &end))
            continue;
        search->best = path->candidate;
        search->matched = end;
        return;
    }
}

static void look_behind_host(struct search *search, uint64_t hash, enum kg_host_kind kind,
                             struct kg_slice text, uint16_t port)
{
    const struct host *host =
        *table_slot(search->router, hash_end(hash, kind, port, search->demand, search->sni), kind, text, port,
                    search->demand, search->sni);

    if (host && search->regexes)
        take_regex(search, host);
    else if (host)
        take_plain(search, host);
}

static void look(struct search *search, uint64_t hash, enum kg_host_kind kind, struct kg_slice text)
{
    look_behind_host(search, hash, kind, text, 0);
    if (search->router->ports && search->port != 0)
        look_behind_host(search, hash, kind, text, search->port);
}

/* Whole name and prefixes, reading forwards. A wildcard stands for at least one byte. */
static void look_forwards(struct search *search, struct kg_slice host)
{
    uint64_t hash = HASH_START;

    for (size_t i = 0; i < host.len; i++) {
        hash = hash_step(hash, host.ptr[i]);
        if (host.ptr[i] == '.' && i > 0 && i + 1 < host.len && search->router->kinds[KG_HOST_PREFIX])
            look(search, hash, KG_HOST_PREFIX, kg_slice_of(host.ptr, i + 1));
    }
    look(search, hash, KG_HOST_WHOLE, host);
}

static void look_backwards(struct search *search, struct kg_slice host)
{
    uint64_t hash = HASH_START;

    for (size_t i = host.len; i-- > 1;) {
        hash = hash_step(hash, host.ptr[i]);
        if (host.ptr[i] == '.' && i + 1 < host.len)
            look(search, hash, KG_HOST_SUFFIX, skip(host, i));
    }
}

/* All hosts of the search's demand and server name. */
static void look_at_hosts(struct search *search)
{
    const struct kg_router *router = search->router;
    struct kg_slice host = search->query->host;

    look_behind_host(search, HASH_START, KG_HOST_ANY, kg_slice_of(NULL, 0), 0);
    if (host.len == 0 || host.len > KG_HOST_MAX)
        return;
    if (router->kinds[KG_HOST_WHOLE] || router->kinds[KG_HOST_PREFIX])
        look_forwards(search, host);
    if (router->kinds[KG_HOST_SUFFIX])
        look_backwards(search, host);
}

/* The number for what the request's own server name asks for; KG_NO_WORD when no route wants that one. */
static uint32_t sni_of(const struct search *search)
{
    struct kg_slice sni = search->query->sni;
    uint32_t word;

    if (search->router->snis.count == 0)
        return KG_NO_WORD;
    if (!search->query->tls && sni.len == 0)
        return SNI_PLAIN;
    word = kg_words_find(&search->router->snis, sni);
    return word == KG_NO_WORD ? KG_NO_WORD : SNI_OF(word);
}

/* All hosts of the search's demand. */
static void look_everywhere(struct search *search)
{
    uint32_t own = sni_of(search);

    search->sni = SNI_ANY;
    look_at_hosts(search);
    if (own == KG_NO_WORD)
        return;
    search->sni = own;
    look_at_hosts(search);
}

static void look_for_demand(void *ctx, const struct kg_demand *demand)
{
    struct search *search = ctx;

    if (!better(search->router->tops[demand->id], search->best) ||
        !kg_demand_met(demand, search->query->head, search->query->regex))
        return;
    search->demand = demand->id;
    look_everywhere(search);
}

static void look_through(struct search *search)
{
    search->demand = 0;
    look_everywhere(search);
    if (search->query->head)
        kg_demands_each(&search->router->demands, search->query->head, look_for_demand, search);
}

bool kg_router_match(const struct kg_router *router, const struct kg_route_query *query,
                     struct kg_match *match)
{
    struct search search = {
        .router = router,
        .query = query,
        .path = query->path,
        .port = query->host_port,
        .method = find_method(router, query->method),
    };

    if (query->regex)
        kg_regex_scratch_begin(query->regex);
    look_through(&search);
    if (router->regexes && query->regex) {
        search.regexes = true;
        look_through(&search);
    }
    if (!search.best)
        return false;
    *match = (struct kg_match){ search.best->route,
                                search.best->by_regex ? search.matched : search.best->prefix_len };
    return true;
}
