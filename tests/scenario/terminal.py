#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Runs a command on a terminal of its own: terminal.py COLUMNS INPUT COMMAND...

Types INPUT at once, shows what the terminal shows, ends with the command's exit status.
"""

import fcntl
import os
import pty
import struct
import sys
import termios


def read_all(fd):
    while True:
        try:
            data = os.read(fd, 65536)
        except OSError:  # the last one closed the terminal
            return
        if not data:
            return
        sys.stdout.buffer.write(data.replace(b"\r\n", b"\n"))


def main(columns, keys, *command):
    pid, fd = pty.fork()
    if pid == 0:
        fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", 24, int(columns), 0, 0))
        os.execv(command[0], command)
    os.write(fd, keys.encode())
    read_all(fd)
    sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))


main(*sys.argv[1:])
