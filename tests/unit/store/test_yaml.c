/* SPDX-License-Identifier: BSD-2-Clause */
/* YAML as it is written, read back. */
#include "store/yaml_text.h"
#include "store/yaml_tree.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

/* What a sync reads of this value where a dump has written it: the scalars in their order. */
static void assert_read_back(const char *json, const char *const *scalars)
{
    json_t *value = json_loads(json, JSON_DECODE_ANY, NULL);
    struct kg_yaml_out out = { 0 };
    struct kg_yaml_tree tree;
    struct kg_yaml_place place;
    struct kg_error err = { "" };
    const struct kg_yaml *node;

    assert_non_null(value);
    kg_yaml_put_name(&out, 0, false, "list");
    kg_yaml_put_value(&out, 0, value);
    kg_yaml_end(&out);
    if (kg_yaml_read(kg_slice_of(out.buf, out.len), 100, &tree, &place, &err) != 0)
        fail_msg("%u:%u: %s in: %s", place.line, place.column, err.text, out.buf);
    node = tree.root->first->next;
    /* Down to the first list or map that has a scalar in it. */
    while (node->first->kind != KG_YAML_SCALAR)
        node = node->first;
    node = node->first;
    for (; *scalars; scalars++, node = node->next) {
        assert_non_null(node);
        assert_string_equal(node->text, *scalars);
    }
    assert_null(node);
    kg_yaml_free(&tree);
    json_decref(value);
    free(out.buf);
}

static void what_yaml_would_take_for_a_line_end_comes_back(void **state)
{
    const char *const list[] = { "a\u2028b", "\ufeff", "c\xc2\x85", "d\ne", NULL };
    const char *const map[] = { "x\u2028", "\ufeffy", NULL };

    assert_read_back("[\"a\\u2028b\", \"\\ufeff\", \"c\\u0085\", \"d\\ne\"]", list);
    assert_read_back("[{\"x\\u2028\": \"\\ufeffy\"}]", map);
    assert_read_back("[[\"a\\u2028b\", \"\\ufeff\", \"c\\u0085\", \"d\\ne\"]]", list);
}

static void what_looks_like_something_else_stays_a_text(void **state)
{
    const char *const list[] = { "1", "true", "~", "${{ env \"DECK_X\" }}", "- a", "a: b", "#", "", NULL };

    assert_read_back(
        "[\"1\", \"true\", \"~\", \"${{ env \\\"DECK_X\\\" }}\", \"- a\", \"a: b\", \"#\", \"\"]", list);
    assert_read_back(
        "[[\"1\", \"true\", \"~\", \"${{ env \\\"DECK_X\\\" }}\", \"- a\", \"a: b\", \"#\", \"\"]]", list);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_yaml_would_take_for_a_line_end_comes_back),
        cmocka_unit_test(what_looks_like_something_else_stays_a_text),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
