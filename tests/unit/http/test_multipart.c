/* SPDX-License-Identifier: BSD-2-Clause */
#include "http/multipart.h"
#include "http_test.h"

#include <errno.h>

static struct kg_multipart form;
static struct kg_multipart_part part;

static bool begin(const char *type, const char *body)
{
    return kg_multipart_begin(&form, kg_slice_str(type), kg_slice_str(body));
}

static void parts_come_with_name_content_and_all_that_belongs_to_them(void **state)
{
    static const char body[] =
        "before\r\n--b\r\nContent-Disposition: form-data; name=\"a b\"\r\n\r\n1\r\n2\r\n"
        "--b \r\nX: y\r\ncontent-disposition: form-data; name=c; filename=\"f\\\"g\"\r\n\r\n"
        "\r\n--b--\r\nbehind";

    assert_true(begin("multipart/form-data; charset=x; BOUNDARY=\"b\"", body));
    assert_int_equal(kg_multipart_next(&form, &part), 1);
    assert_slice(part.name, "a b");
    assert_slice(part.content, "1\r\n2");
    assert_slice(part.whole, "--b\r\nContent-Disposition: form-data; name=\"a b\"\r\n\r\n1\r\n2\r\n");
    assert_int_equal(kg_multipart_next(&form, &part), 1);
    assert_slice(part.name, "c");
    assert_slice(part.filename, "f\"g");
    assert_slice(part.content, "");
    assert_slice(part.whole,
                 "--b \r\nX: y\r\ncontent-disposition: form-data; name=c; filename=\"f\\\"g\"\r\n\r\n\r\n");
    assert_int_equal(kg_multipart_next(&form, &part), 0);
}

static void the_first_part_may_stand_at_the_very_beginning(void **state)
{
    assert_true(begin("multipart/form-data; boundary=b",
                      "--b\r\nContent-Disposition: form-data; name=a\r\n\r\n1\r\n--b--"));
    assert_int_equal(kg_multipart_next(&form, &part), 1);
    assert_slice(part.whole, "--b\r\nContent-Disposition: form-data; name=a\r\n\r\n1\r\n");
    assert_int_equal(kg_multipart_next(&form, &part), 0);
}

static void what_has_no_boundary_is_no_form(void **state)
{
    assert_false(begin("multipart/form-data", "--b--"));
    assert_false(begin("multipart/form-data; boundary=", "--b--"));
    assert_false(begin("multipart/form-data; boundary=\"b", "--b--"));
    assert_false(begin("multipart/form-data; boundary=b", ""));
    assert_false(begin("multipart/form-data; boundary=b", "--c--"));
    assert_false(begin("multipart/form-data; boundary="
                       "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb",
                       "--b--"));
}

static void parts_that_are_malformed_are_refused(void **state)
{
    static const char *const bodies[] = {
        "--b",
        "--b\r\n",
        "--bc\r\nContent-Disposition: form-data; name=a\r\n\r\n1\r\n--b--",
        "--b\r\n\r\n1\r\n--b--",
        "--b\r\nContent-Disposition: form-data\r\n\r\n1\r\n--b--",
        "--b\r\nContent-Disposition: form-data; name=\"a\r\n\r\n1\r\n--b--",
        "--b\r\nContent-Disposition: form-data; name=a\r\n\r\n1\r\n",
        "--b\r\nContent-Disposition: form-data; name=a\r\n\r\n1--b--",
    };

    for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
        assert_true(begin("multipart/form-data; boundary=b", bodies[i]));
        assert_int_equal(kg_multipart_next(&form, &part), -EINVAL);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parts_come_with_name_content_and_all_that_belongs_to_them),
        cmocka_unit_test(the_first_part_may_stand_at_the_very_beginning),
        cmocka_unit_test(what_has_no_boundary_is_no_form),
        cmocka_unit_test(parts_that_are_malformed_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
