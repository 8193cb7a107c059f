/* SPDX-License-Identifier: BSD-2-Clause */
/* The XDP program as bytes, made by bpftool at build time. Generated code is spared our warnings, as a
 * system's header. */
#ifndef KG_GUARD_SKELETON_H
#define KG_GUARD_SKELETON_H

#pragma GCC system_header

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include "keygate.skel.h"

#endif
