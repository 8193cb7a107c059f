/* SPDX-License-Identifier: BSD-2-Clause */
/* The XDP program as bytes, made by bpftool at build time. Its generated code casts const away; ours may not.
 */
#ifndef KG_GUARD_SKELETON_H
#define KG_GUARD_SKELETON_H

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wcast-qual"
#include "keygate.skel.h"
#pragma GCC diagnostic pop

#endif
