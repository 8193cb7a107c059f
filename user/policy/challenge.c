/* SPDX-License-Identifier: BSD-2-Clause */
#include "policy/challenge.h"

#include "model/json.h"

/* It goes into a response header as a quoted-string (RFC 9110, 5.6.4), which has no way to hold control
 * bytes. */
const char *kg_check_realm(const json_t *value, char scratch[256])
{
    struct kg_slice realm = kg_json_text(value);

    for (size_t i = 0; i < realm.len; i++) {
        if ((unsigned char)realm.ptr[i] < 0x20 || realm.ptr[i] == 0x7f)
            return "control characters are not allowed";
    }
    return NULL;
}

void kg_put_realm(struct kg_writer *w, struct kg_slice realm)
{
    KG_PUT(w, "realm=\"");
    for (size_t i = 0; i < realm.len; i++) {
        if (realm.ptr[i] == '"' || realm.ptr[i] == '\\')
            kg_put_char(w, '\\');
        kg_put_char(w, realm.ptr[i]);
    }
    KG_PUT(w, "\"");
}
