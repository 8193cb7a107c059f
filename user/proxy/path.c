/* SPDX-License-Identifier: BSD-2-Clause */
/* The path that goes upstream: service path and request path joined as Kong's path_handling v0 does. */
#include "proxy/internal.h"

static bool ends_with_slash(struct kg_slice s)
{
    return s.len > 0 && s.ptr[s.len - 1] == '/';
}

static struct kg_slice without_first(struct kg_slice s)
{
    return kg_slice_of(s.ptr + 1, s.len - 1);
}

static struct kg_slice without_last(struct kg_slice s)
{
    return kg_slice_of(s.ptr, s.len - 1);
}

/* What is left of the path behind the matched prefix; "/route../x" must not climb out of the service's path.
 */
static struct kg_slice remainder_of(struct kg_slice path, size_t prefix_len)
{
    /* A route without paths matches no prefix: only the first slash goes. */
    size_t cut = prefix_len ? prefix_len : 1;
    struct kg_slice rest = kg_slice_of(path.ptr + cut, path.len - cut);

    if (kg_slice_eq(rest, KG_SLICE(".")) || kg_slice_eq(rest, KG_SLICE("..")))
        return KG_SLICE("");
    if (kg_slice_starts_with(rest, KG_SLICE("./")))
        return kg_slice_of(rest.ptr + 2, rest.len - 2);
    if (kg_slice_starts_with(rest, KG_SLICE("../")))
        return kg_slice_of(rest.ptr + 3, rest.len - 3);
    return rest;
}

static void whole_path(struct kg_slice base, struct kg_slice path, struct kg_writer *out)
{
    if (ends_with_slash(base)) {
        kg_put(out, base);
        kg_path_put_escaped(without_first(path), out);
        return;
    }
    kg_put(out, base);
    if (path.len > 1)
        kg_path_put_escaped(path, out);
}

static void base_only(struct kg_slice base, struct kg_slice path, struct kg_writer *out)
{
    if (base.len == 1) {
        kg_put(out, base);
        return;
    }
    if (ends_with_slash(base)) {
        kg_put(out, ends_with_slash(path) ? base : without_last(base));
        return;
    }
    kg_put(out, base);
    if (ends_with_slash(path) && path.len > 1)
        kg_put_char(out, '/');
}

void kg_upstream_path(struct kg_slice service_path, struct kg_slice path, size_t prefix_len, bool strip,
                      struct kg_writer *out)
{
    struct kg_slice base = service_path.len ? service_path : KG_SLICE("/");

    if (!strip) {
        whole_path(base, path, out);
        return;
    }
    struct kg_slice rest = remainder_of(path, prefix_len);
    if (rest.len == 0) {
        base_only(base, path, out);
        return;
    }
    kg_put(out, ends_with_slash(base) ? without_last(base) : base);
    if (rest.ptr[0] != '/')
        kg_put_char(out, '/');
    kg_path_put_escaped(rest, out);
}
