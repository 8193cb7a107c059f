/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * libFuzzer target for the walk through X-Forwarded-For: the input is a request's header lines, each one's
 * value. The same walk, told from the other end: all elements are read from first to last, and only then is
 * it decided whom to believe.
 */
#include "check.h"
#include "http/forwarded.h"

#define ELEMENTS_MAX 4096

static struct kg_net trusted_nets[3];
static const struct kg_net_list trusted = { trusted_nets, 3 };

static struct kg_slice elements[ELEMENTS_MAX];
static size_t element_count;

static bool separates(char c)
{
    return c == ',' || c == ' ' || c == '\t';
}

static void add_elements(struct kg_slice value)
{
    size_t start = 0;

    for (size_t i = 0; i <= value.len; i++) {
        if (i < value.len && !separates(value.ptr[i]))
            continue;
        if (i > start && element_count < ELEMENTS_MAX)
            elements[element_count++] = kg_slice_of(value.ptr + start, i - start);
        start = i + 1;
    }
}

static bool is_port(const char *text)
{
    size_t digits = strspn(text, "0123456789");

    return digits > 0 && digits <= 5 && text[digits] == '\0' && strtoul(text, NULL, 10) <= 65535;
}

/* An address, with or without a port; IPv6 in brackets where there is one. */
static bool read_address(struct kg_slice element, struct kg_addr *addr)
{
    char text[128] = { 0 }, *end;

    if (kg_addr_parse(element, addr) == 0)
        return true;
    if (element.len >= sizeof(text) || memchr(element.ptr, '\0', element.len))
        return false;
    memcpy(text, element.ptr, element.len);
    if (text[0] == '[') {
        end = strchr(text, ']');
        if (!end || (end[1] != '\0' && !(end[1] == ':' && is_port(end + 2))))
            return false;
        *end = '\0';
        return strchr(text + 1, ':') && kg_addr_parse(kg_slice_str(text + 1), addr) == 0;
    }
    end = strchr(text, ':');
    if (!end || !is_port(end + 1))
        return false;
    *end = '\0';
    return kg_addr_parse(kg_slice_str(text), addr) == 0;
}

static struct kg_addr walk_plainly(struct kg_addr addr, bool recursive)
{
    for (size_t i = element_count; i > 0; i--) {
        struct kg_addr said;

        if (!read_address(elements[i - 1], &said))
            break;
        addr = said;
        if (!recursive || !kg_net_list_has(&trusted, &addr))
            break;
    }
    return addr;
}

static void init(void)
{
    static const char *const nets[] = { "10.0.0.0/8", "192.0.2.1", "2001:db8::/32" };

    for (size_t i = 0; i < 3; i++) {
        int rc = kg_net_parse(kg_slice_str(nets[i]), &trusted_nets[i]);

        KG_ASSERT(rc == 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct kg_head head;
    struct kg_slice rest = input_of(data, size), name = KG_SLICE("x-forwarded-for");
    struct kg_addr peer = { .family = 4, .bytes = { 10, 0, 0, 1 } };

    if (trusted_nets[0].addr.family == 0)
        init();
    head.count = 0;
    element_count = 0;
    while (rest.len > 0 && head.count < KG_HEADERS_MAX) {
        size_t end = kg_slice_find(rest, '\n');
        struct kg_slice value = kg_slice_trim(kg_slice_of(rest.ptr, end));

        /* Every third is another header's, which means nothing. */
        bool ours = head.count % 3 != 2;
        head.headers[head.count++] = (struct kg_header){
            .name = ours ? KG_SLICE("X-Forwarded-For") : KG_SLICE("X-Forwarded-Fo"),
            .value = value,
        };
        if (ours)
            add_elements(value);
        rest = end < rest.len ? kg_slice_of(rest.ptr + end + 1, rest.len - end - 1) : KG_SLICE("");
    }
    if (element_count == ELEMENTS_MAX)
        return 0;
    for (int recursive = 0; recursive <= 1; recursive++) {
        struct kg_addr addr = peer, plain = walk_plainly(peer, recursive);

        kg_forwarded_walk(&head, name, &trusted, recursive, &addr);
        KG_ASSERT(kg_addr_eq(&addr, &plain));
    }
    return 0;
}
