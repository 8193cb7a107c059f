/* SPDX-License-Identifier: BSD-2-Clause */
/* The one place that says which keygate this is. */
#ifndef KEYGATE_VERSION_H
#define KEYGATE_VERSION_H

#define KG_VERSION "0.1.0"

#endif
