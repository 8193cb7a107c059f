/* SPDX-License-Identifier: BSD-2-Clause */
/* What the settings say about TLS, read from its files while root can read them. Control thread. */
#ifndef KG_KEYGATED_TLS_H
#define KG_KEYGATED_TLS_H

#include "keygated/config.h"
#include "proxy/worker.h"

/* Fills *tls; 0, or -errno with a sentence that names the setting and the file. Free it in either case. */
int kg_tls_settings_read(const struct kg_config *config, struct kg_proxy_tls *tls, struct kg_error *err);
/* When no worker is left. */
void kg_tls_settings_free(struct kg_proxy_tls *tls);

#endif
