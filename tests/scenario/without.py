#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Runs a command on a kernel that seems to lack a system call: it fails with ENOSYS (a seccomp filter does it).

    without.py bpf|io_uring|io_uring_register COMMAND...
"""

import ctypes
import errno
import os
import platform
import struct
import sys

NUMBERS = {"io_uring": 425, "io_uring_register": 427, "bpf": {"x86_64": 321, "aarch64": 280}[platform.machine()]}

PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 22, 2
LOAD, JUMP_IF_EQUAL, RETURN = 0x20, 0x15, 0x06
SECCOMP_RET_ERRNO, SECCOMP_RET_ALLOW = 0x00050000, 0x7FFF0000


class Program(ctypes.Structure):
    _fields_ = [("len", ctypes.c_ushort), ("filter", ctypes.c_char_p)]


def main():
    filters = b"".join(struct.pack("HBBI", *one) for one in [
        (LOAD, 0, 0, 0),
        (JUMP_IF_EQUAL, 0, 1, NUMBERS[sys.argv[1]]),
        (RETURN, 0, 0, SECCOMP_RET_ERRNO | errno.ENOSYS),
        (RETURN, 0, 0, SECCOMP_RET_ALLOW),
    ])
    program = Program(4, filters)
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.byref(program), 0, 0):
        sys.exit("seccomp: " + os.strerror(ctypes.get_errno()))
    os.execv(sys.argv[2], sys.argv[2:])


main()
