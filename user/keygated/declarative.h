/* SPDX-License-Identifier: BSD-2-Clause */
/* The file of the setting declarative_config. Control thread. */
#ifndef KG_KEYGATED_DECLARATIVE_H
#define KG_KEYGATED_DECLARATIVE_H

#include "keygated/config.h"
#include "model/model.h"
#include "store/declare.h"

/* Makes the store what the file says, before the model is loaded from it. 0, also when there is no such
 * setting; or a negative errno with a sentence, the errors in the file having been logged. */
int kg_declarative_load(const struct kg_config *config, struct kg_store *store, struct kg_error *err);

/* The same later, and tells the model; the changes are in *result, to be freed in any case. True when there
 * is something to publish; a bad file is logged and changes nothing. */
bool kg_declarative_reload(const struct kg_config *config, struct kg_store *store, struct kg_model *model,
                           struct kg_declare_result *result);

#endif
