/* SPDX-License-Identifier: BSD-2-Clause */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include "proxy/admission.c"

#define THREADS 4
#define STEPS   50000u

static struct kg_addr source_of(unsigned n)
{
    struct kg_addr addr = { .family = n % 3 == 0 ? 6 : 4 };

    addr.bytes[0] = (uint8_t)(n >> 8);
    addr.bytes[1] = (uint8_t)n;
    return addr;
}

static bool is_empty(const struct kg_admission *admission)
{
    for (size_t i = 0; i < CHAINS; i++) {
        if (admission->chains[i])
            return false;
    }
    return admission->entered == 0;
}

static void the_total_is_exact(void **state)
{
    struct kg_admission *admission = kg_admission_new(3, 0);

    for (unsigned i = 0; i < 3; i++)
        assert_true(kg_admission_enter(admission));
    assert_false(kg_admission_enter(admission));
    assert_false(kg_admission_enter(admission));
    kg_admission_leave(admission);
    assert_true(kg_admission_enter(admission));
    assert_false(kg_admission_enter(admission));
    kg_admission_free(admission);
}

static void each_source_has_a_limit_of_its_own(void **state)
{
    struct kg_admission *admission = kg_admission_new(0, 2);

    /* More sources than chains would hold apart. */
    for (unsigned n = 0; n < 40000; n++) {
        struct kg_addr source = source_of(n);

        source.bytes[2] = (uint8_t)(n >> 16);
        assert_true(kg_admission_enter_source(admission, &source));
        assert_true(kg_admission_enter_source(admission, &source));
        assert_false(kg_admission_enter_source(admission, &source));
    }
    struct kg_addr source = source_of(5);
    kg_admission_leave_source(admission, &source);
    assert_true(kg_admission_enter_source(admission, &source));
    assert_false(kg_admission_enter_source(admission, &source));
    kg_admission_free(admission);
}

static void a_source_without_connections_is_forgotten(void **state)
{
    struct kg_admission *admission = kg_admission_new(0, 2);

    for (unsigned n = 0; n < 1000; n++) {
        struct kg_addr source = source_of(n % 500);

        assert_true(kg_admission_enter_source(admission, &source));
    }
    assert_false(is_empty(admission));
    for (unsigned n = 0; n < 1000; n++) {
        struct kg_addr source = source_of(n % 500);

        kg_admission_leave_source(admission, &source);
    }
    assert_true(is_empty(admission));
    kg_admission_free(admission);
}

static void without_limits_everybody_enters(void **state)
{
    struct kg_admission *admission = kg_admission_new(0, 0);
    struct kg_addr source = source_of(1);

    for (unsigned i = 0; i < 1000; i++) {
        assert_true(kg_admission_enter(admission));
        assert_true(kg_admission_enter_source(admission, &source));
    }
    kg_admission_leave_source(admission, &source);
    kg_admission_free(admission);
}

/* Comes and goes as often, all from few sources; how many are in is never more than the limits. */
static void *come_and_go(void *arg)
{
    struct kg_admission *admission = arg;
    bool in[8] = { false };

    for (unsigned i = 0; i < STEPS; i++) {
        unsigned n = i * 7919u % 8;
        struct kg_addr source = source_of(n);

        KG_ASSERT(atomic_load(&admission->entered) <= 6 + THREADS);
        if (in[n]) {
            kg_admission_leave_source(admission, &source);
            kg_admission_leave(admission);
            in[n] = false;
        } else if (kg_admission_enter(admission)) {
            in[n] = kg_admission_enter_source(admission, &source);
            if (!in[n])
                kg_admission_leave(admission);
        }
    }
    for (unsigned n = 0; n < 8; n++) {
        struct kg_addr source = source_of(n);

        if (!in[n])
            continue;
        kg_admission_leave_source(admission, &source);
        kg_admission_leave(admission);
    }
    return NULL;
}

static void threads_that_come_and_go_leave_nothing(void **state)
{
    struct kg_admission *admission = kg_admission_new(6, 2);
    pthread_t threads[THREADS];

    for (size_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, come_and_go, admission), 0);
    for (size_t i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    assert_true(is_empty(admission));
    kg_admission_free(admission);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_total_is_exact),
        cmocka_unit_test(each_source_has_a_limit_of_its_own),
        cmocka_unit_test(a_source_without_connections_is_forgotten),
        cmocka_unit_test(without_limits_everybody_enters),
        cmocka_unit_test(threads_that_come_and_go_leave_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
