/* SPDX-License-Identifier: BSD-2-Clause */
/* The environment variable KEYGATE_KEY_HEADER. Main thread, at start. */
#ifndef KG_KEYGATED_KEY_HEADER_H
#define KG_KEYGATED_KEY_HEADER_H

#include "keygated/config.h"

/*
 * Decides where key-auth looks for keys when a plugin does not say, the default of its key_names: what
 * KEYGATE_KEY_HEADER says, when it is set and not empty; else "x-apim-key" when errors.style is apim; else
 * "apikey". 0, or -EINVAL with a sentence when the variable holds no name for a header.
 */
int kg_key_header_read(const struct kg_config *config, struct kg_error *err);

#endif
