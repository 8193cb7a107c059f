/* SPDX-License-Identifier: BSD-2-Clause */
#include "keygated/key_header.h"

#include "base/assert.h"
#include "policy/policy.h"

#include <errno.h>
#include <stdlib.h>

#define VARIABLE "KEYGATE_KEY_HEADER"

int kg_key_header_read(const struct kg_config *config, struct kg_error *err)
{
    const char *name = getenv(VARIABLE);
    bool given = name && name[0];

    if (!given)
        name = config->errors.style == KG_ERRORS_APIM ? "x-apim-key" : "apikey";
    if (kg_key_auth_set_default(kg_slice_str(name)))
        return 0;
    KG_ASSERT(given);
    return kg_error_set(err, EINVAL,
                        "the environment variable " VARIABLE
                        ": expected a header's name, 1 to %d of A-Z, a-z, 0-9, '_' and '-'",
                        KG_KEY_NAME_MAX);
}
