/* SPDX-License-Identifier: BSD-2-Clause */
/* Form bodies into JSON, and the error objects that the store asks for. */
#include "schema_test.h"

static void problems_have_kongs_words(void **state)
{
    json_t *bob = json_string("bob"), *secret = json_string("hidden-key"), *together;
    json_t *problem = kg_problem_unique(&kg_entities[KG_CONSUMERS], "username", bob);

    assert_json(
        problem,
        "{\"code\":5,\"name\":\"unique constraint violation\",\"message\":\"UNIQUE violation detected "
        "on '{username=\\\"bob\\\"}'\",\"fields\":{\"username\":\"bob\"}}");
    json_decref(problem);
    problem = kg_problem_unique(&kg_entities[KG_KEYAUTH_CREDENTIALS], "key", secret);
    assert_json(
        problem,
        "{\"code\":5,\"name\":\"unique constraint violation\",\"message\":\"UNIQUE violation detected "
        "on '{key}'\",\"fields\":{\"key\":null}}");
    json_decref(problem);
    together =
        parse("{\"name\":\"keys\",\"service\":{\"id\":\"" ID_A "\"},\"route\":null,\"consumer\":null}");
    problem = kg_problem_unique(&kg_entities[KG_PLUGINS], NULL, together);
    assert_string_equal(
        json_string_value(json_object_get(problem, "message")),
        "UNIQUE violation detected on '{consumer=null,name=\"keys\",route=null,service={id=\"" ID_A "\"}}'");
    assert_true(json_equal(json_object_get(problem, "fields"), together));
    json_decref(problem);
    problem = kg_problem_foreign(&kg_entities[KG_SERVICES], "service", ID_A);
    assert_json(problem,
                "{\"code\":4,\"name\":\"foreign key violation\",\"message\":\"the foreign key '{id=\\\"" ID_A
                "\\\"}' does not reference an existing 'services' entity.\",\"fields\":{\"service\":{\"id\":"
                "\"" ID_A "\"}}}");
    json_decref(problem);
    problem = kg_problem_referenced(&kg_entities[KG_SERVICES], &kg_entities[KG_ROUTES]);
    assert_json(problem,
                "{\"code\":4,\"name\":\"foreign key violation\",\"message\":\"an existing 'routes' entity "
                "references this 'services' entity\",\"fields\":{\"@referenced_by\":\"routes\"}}");
    json_decref(problem);
    problem = kg_problem_unresolved(&kg_entities[KG_SERVICES], "service", "name", "x");
    assert_json(problem,
                "{\"code\":13,\"name\":\"foreign keys unresolved\",\"message\":\"foreign key unresolved "
                "(service.name: the foreign key cannot be resolved with '{name=\\\"x\\\"}' for an existing "
                "'services' entity)\",\"fields\":{\"service\":{\"name\":\"the foreign key cannot be resolved "
                "with '{name=\\\"x\\\"}' for an existing 'services' entity\"}}}");
    json_decref(problem);
    problem = kg_problem_primary_key(ID_A);
    assert_json(problem,
                "{\"code\":3,\"name\":\"primary key violation\",\"message\":\"primary key violation on key "
                "'{id=\\\"" ID_A "\\\"}'\",\"fields\":{\"id\":\"" ID_A "\"}}");
    json_decref(problem);
    json_decref(bob);
    json_decref(secret);
    json_decref(together);
}

static void assert_form(enum kg_entity_id entity, const char *body, const char *expected)
{
    struct kg_error err = { "" };
    json_t *got = kg_schema_from_form(&kg_entities[entity], kg_slice_str(body), &err);

    if (!got)
        fail_msg("refused: %s", err.text);
    assert_json(got, expected);
    json_decref(got);
}

static void forms_convert_by_the_schema(void **state)
{
    assert_form(
        KG_SERVICES, "name=80&port=80&enabled=false&host=a%2eb&tags=x&path=",
        "{\"name\":\"80\",\"port\":80,\"enabled\":false,\"host\":\"a.b\",\"tags\":[\"x\"],\"path\":null}");
    assert_form(KG_SERVICES, "port=x&enabled=1&nope=true&connect_timeout=-5",
                "{\"port\":\"x\",\"enabled\":\"1\",\"nope\":\"true\",\"connect_timeout\":-5}");
    assert_form(KG_SERVICES, "", "{}");
    assert_form(KG_SERVICES, "&&name=a+b&", "{\"name\":\"a b\"}");
}

static void forms_make_lists(void **state)
{
    assert_form(KG_ROUTES, "paths=/a&paths=/b", "{\"paths\":[\"/a\",\"/b\"]}");
    assert_form(KG_ROUTES, "paths[]=/a&paths%5B%5D=/b", "{\"paths\":[\"/a\",\"/b\"]}");
    assert_form(KG_ROUTES, "paths[2]=/b&paths[1]=/a", "{\"paths\":[\"/a\",\"/b\"]}");
    assert_form(KG_ROUTES, "paths=", "{\"paths\":null}");
    assert_form(KG_ROUTES, "name=a&name=b", "{\"name\":[\"a\",\"b\"]}");
}

static void forms_nest(void **state)
{
    assert_form(KG_ROUTES, "service.id=" ID_A, "{\"service\":{\"id\":\"" ID_A "\"}}");
    assert_form(KG_ROUTES, "service.name=s", "{\"service\":{\"name\":\"s\"}}");
    assert_form(
        KG_PLUGINS,
        "name=keys&config.key_names=a&config.key_in_header=true&config.more.depth=3&config.factor=1.5",
        "{\"name\":\"keys\",\"config\":{\"key_names\":[\"a\"],\"key_in_header\":true,\"more\":{\"depth\":3},"
        "\"factor\":1.5}}");
    assert_form(KG_PLUGINS, "config[key_names][]=a&config.minute=5",
                "{\"config\":{\"key_names\":[\"a\"],\"minute\":5}}");
}

static void broken_forms_are_refused(void **state)
{
    static const struct {
        const char *body, *message;
    } cases[] = {
        { "a=%00", "a form argument contains a null byte" },
        { "a=%ff", "a form argument is not valid UTF-8" },
        { "=x", "a form argument has a malformed name" },
        { "a[=x", "a form argument has a malformed name" },
        { "a[]b=x", "a form argument has a malformed name" },
        { "a..b=x", "a form argument has a malformed name" },
        { "a=1&a.b=2", "a form argument names something that another one gave a value" },
        { "a.b.c.d.e.f.g.h.i=1", "a form argument has a malformed name" },
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct kg_error err = { "" };

        assert_null(kg_schema_from_form(&kg_entities[KG_SERVICES], kg_slice_str(cases[i].body), &err));
        assert_string_equal(err.text, cases[i].message);
    }
}

static void a_form_has_at_most_1000_arguments(void **state)
{
    struct kg_error err = { "" };
    char body[1001 * 4 + 1];
    json_t *form;

    for (size_t i = 0; i < 1001; i++)
        memcpy(body + 4 * i, "a=1&", 4);
    form = kg_schema_from_form(&kg_entities[KG_SERVICES], kg_slice_of(body, 4000), &err);
    assert_int_equal(json_array_size(json_object_get(form, "a")), 1000);
    json_decref(form);
    assert_null(kg_schema_from_form(&kg_entities[KG_SERVICES], kg_slice_of(body, 4004), &err));
    assert_string_equal(err.text, "Too many arguments");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(problems_have_kongs_words), cmocka_unit_test(forms_convert_by_the_schema),
        cmocka_unit_test(forms_make_lists),          cmocka_unit_test(forms_nest),
        cmocka_unit_test(broken_forms_are_refused),  cmocka_unit_test(a_form_has_at_most_1000_arguments),
    };

    return cmocka_run_group_tests(tests, register_plugins, NULL);
}
