/* SPDX-License-Identifier: BSD-2-Clause */
#include "model/route_rank.h"

#include "base/assert.h"
#include "model/demands.h"

/* A rank, most significant first: kinds of attributes, whether all hosts are whole names, how many headers,
 * whether the path is a regex, and in the 32 bits below the regex's priority or the path's length. */
#define RANK_KINDS   42
#define RANK_WHOLE   41
#define RANK_HEADERS 33
#define RANK_REGEX   32
#define HEADERS_MOST 255u

struct kg_host_pattern kg_host_pattern_of(struct kg_slice text)
{
    struct kg_host_pattern pattern = { .kind = KG_HOST_WHOLE };
    size_t colon = text.len;
    uint64_t port;

    while (colon > 0 && text.ptr[colon - 1] >= '0' && text.ptr[colon - 1] <= '9')
        colon--;
    /* The last colon of a bare IPv6 address is none of a port. */
    if (colon > 1 && text.ptr[colon - 1] == ':' && colon < text.len &&
        (kg_slice_find(text, ':') == colon - 1 || text.ptr[colon - 2] == ']') &&
        kg_slice_u64(kg_slice_of(text.ptr + colon, text.len - colon), &port) == 0 && port <= UINT16_MAX) {
        pattern.port = (uint16_t)port;
        text.len = colon - 1;
    }
    if (text.len > 1 && text.ptr[text.len - 1] == '.')
        text.len--;
    if (text.len > 2 && text.ptr[0] == '*' && text.ptr[1] == '.') {
        pattern.kind = KG_HOST_SUFFIX;
        text = kg_slice_of(text.ptr + 1, text.len - 1);
    } else if (text.len > 2 && text.ptr[text.len - 1] == '*' && text.ptr[text.len - 2] == '.') {
        pattern.kind = KG_HOST_PREFIX;
        text.len--;
    }
    pattern.text = text;
    return pattern;
}

/* last: the priority of a regex, or the length of a path. */
static uint64_t rank_of(const struct kg_route_spec *spec, bool by_regex, uint64_t last)
{
    uint64_t kinds = (spec->host_count > 0) + (spec->path_count + spec->regex_count > 0) +
                     (spec->method_count > 0) + (spec->header_count > 0) + (spec->sni_count > 0);
    uint64_t headers = spec->header_count < HEADERS_MOST ? spec->header_count : HEADERS_MOST;
    uint64_t whole_names = spec->host_count > 0;

    for (size_t i = 0; i < spec->host_count; i++) {
        if (kg_host_pattern_of(spec->hosts[i]).kind != KG_HOST_WHOLE)
            whole_names = 0;
    }
    KG_ASSERT(last <= UINT32_MAX);
    return kinds << RANK_KINDS | whole_names << RANK_WHOLE | headers << RANK_HEADERS |
           (uint64_t)by_regex << RANK_REGEX | last;
}

uint64_t kg_route_rank_path(const struct kg_route_spec *spec, size_t len)
{
    return rank_of(spec, false, len);
}

uint64_t kg_route_rank_regex(const struct kg_route_spec *spec)
{
    return rank_of(spec, true, (uint64_t)((int64_t)spec->regex_priority - INT32_MIN));
}

const char *kg_route_rank_rule(uint64_t winner, uint64_t loser)
{
    uint64_t difference = winner ^ loser;

    if (difference >> RANK_KINDS)
        return "more kinds of conditions";
    if (difference >> RANK_WHOLE)
        return "whole host names";
    if (difference >> RANK_HEADERS)
        return "more headers";
    if (difference >> RANK_REGEX)
        return "regex path";
    if (difference)
        return winner >> RANK_REGEX & 1 ? "regex_priority" : "longer path";
    return "older";
}

static bool ends_with_nocase(struct kg_slice s, struct kg_slice suffix)
{
    return s.len >= suffix.len &&
           kg_slice_eq_nocase(kg_slice_of(s.ptr + s.len - suffix.len, suffix.len), suffix);
}

/* A wildcard stands for at least one byte. */
static bool host_fits(const struct kg_host_pattern *pattern, const struct kg_route_query *query)
{
    struct kg_slice host = query->host, text = pattern->text;

    if (pattern->port != 0 && pattern->port != query->host_port)
        return false;
    if (pattern->kind == KG_HOST_WHOLE)
        return kg_slice_eq_nocase(host, text);
    if (host.len <= text.len)
        return false;
    if (pattern->kind == KG_HOST_SUFFIX)
        return ends_with_nocase(host, text);
    return kg_slice_eq_nocase(kg_slice_of(host.ptr, text.len), text);
}

static bool hosts_fit(const struct kg_route_spec *spec, const struct kg_route_query *query)
{
    if (spec->host_count == 0)
        return true;
    if (query->host.len == 0 || query->host.len > KG_HOST_MAX)
        return false;
    for (size_t i = 0; i < spec->host_count; i++) {
        struct kg_host_pattern pattern = kg_host_pattern_of(spec->hosts[i]);

        if (host_fits(&pattern, query))
            return true;
    }
    return false;
}

static bool is_one_of(const struct kg_slice *words, size_t count, struct kg_slice word)
{
    for (size_t i = 0; i < count; i++) {
        if (kg_slice_eq(words[i], word))
            return true;
    }
    return false;
}

static bool headers_fit(const struct kg_route_spec *spec, const struct kg_route_query *query)
{
    const struct kg_demand demand = { .headers = spec->headers, .count = spec->header_count };

    return demand.count == 0 || (query->head && kg_demand_met(&demand, query->head, query->regex));
}

static bool some_regex_fits(const struct kg_route_spec *spec, const struct kg_route_query *query)
{
    size_t end;

    for (size_t i = 0; query->regex && i < spec->regex_count; i++) {
        if (spec->regexes[i] && kg_regex_match(spec->regexes[i], query->path, query->regex, &end))
            return true;
    }
    return false;
}

/* Regexes rank above all plain paths of the same route. */
static bool path_fits(const struct kg_route_spec *spec, const struct kg_route_query *query, uint64_t *rank)
{
    bool fits = spec->path_count + spec->regex_count == 0;
    size_t longest = 0;

    if (some_regex_fits(spec, query)) {
        *rank = kg_route_rank_regex(spec);
        return true;
    }
    for (size_t i = 0; i < spec->path_count; i++) {
        if (!kg_slice_starts_with(query->path, spec->paths[i]))
            continue;
        fits = true;
        longest = spec->paths[i].len > longest ? spec->paths[i].len : longest;
    }
    *rank = fits ? kg_route_rank_path(spec, longest) : 0;
    return fits;
}

unsigned kg_route_misses(const struct kg_route_spec *spec, const struct kg_route_query *query, uint64_t *rank)
{
    bool asked_for_name = query->tls || query->sni.len > 0;
    unsigned misses = 0;

    if (!hosts_fit(spec, query))
        misses |= KG_MISS_HOST;
    if (spec->method_count > 0 && !is_one_of(spec->methods, spec->method_count, query->method))
        misses |= KG_MISS_METHOD;
    if (spec->sni_count > 0 && asked_for_name && !is_one_of(spec->snis, spec->sni_count, query->sni))
        misses |= KG_MISS_SNI;
    if (!headers_fit(spec, query))
        misses |= KG_MISS_HEADER;
    if (!path_fits(spec, query, rank))
        misses |= KG_MISS_PATH;
    return misses;
}
