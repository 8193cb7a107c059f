/* SPDX-License-Identifier: BSD-2-Clause */
/* Small questions to JSON values. Any thread that may read the value. */
#ifndef KG_MODEL_JSON_H
#define KG_MODEL_JSON_H

#include "base/slice.h"

#include <jansson.h>

/* The bytes of a string; of anything else, and of NULL, none. */
static inline struct kg_slice kg_json_text(const json_t *value)
{
    return kg_slice_of(json_string_value(value), json_string_length(value));
}

/* Whether the object has the field, with a value that is not null. */
static inline bool kg_json_given(const json_t *object, const char *name)
{
    const json_t *value = json_object_get(object, name);

    return value && !json_is_null(value);
}

static inline bool kg_json_contains(const json_t *array, const json_t *wanted)
{
    const json_t *value;
    size_t i;

    json_array_foreach(array, i, value)
    {
        if (json_equal(value, wanted))
            return true;
    }
    return false;
}

#endif
