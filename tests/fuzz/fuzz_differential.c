/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * libFuzzer target: the same bytes read by keygate and by llhttp (see tests/differ). The first byte of the
 * input says what they are: a request, an answer, or an answer to HEAD.
 */
#include "check.h"
#include "differ/differ.h"

#include <stdio.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct differ_reading keygate, llhttp;
    struct kg_slice bytes;
    enum differ_kind kind;
    const char *wrong;

    if (size < 2 || size > DIFFER_INPUT_MAX)
        return 0;
    kind = (enum differ_kind)(data[0] % 3);
    bytes = input_of(data + 1, size - 1);
    differ_read_keygate(kind, bytes, &keygate);
    differ_read_llhttp(kind, bytes, &llhttp);
    wrong = differ_judge(kind, &keygate, &llhttp);
    if (wrong) {
        fprintf(stderr, "%s\nkeygate: %s\nllhttp: %s\n", wrong, keygate.why ? keygate.why : "no refusal",
                llhttp.why ? llhttp.why : "no refusal");
        abort();
    }
    return 0;
}
