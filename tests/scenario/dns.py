#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""A name server: whatever the name, its addresses are those in FILE, one a line, IPv4, for TTL seconds; of other types it has none.

    dns.py ADDRESS FILE TTL
"""

import socket
import struct
import sys

address, path, ttl = sys.argv[1], sys.argv[2], int(sys.argv[3])
A, IN = 1, 1


def answer(query):
    end = 12
    while query[end]:
        end += 1 + query[end]
    end += 5
    kind = struct.unpack("!H", query[end - 4 : end - 2])[0]
    with open(path, encoding="ascii") as file:
        addresses = file.read().split() if kind == A else []
    records = [struct.pack("!HHHIH", 0xC00C, A, IN, ttl, 4) + socket.inet_aton(one) for one in addresses]
    # An answer to a recursive question, without the additional section that the question may have had.
    return query[:2] + struct.pack("!HHHHH", 0x8180, 1, len(records), 0, 0) + query[12:end] + b"".join(records)


sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sock.bind((address, 53))
while True:
    data, peer = sock.recvfrom(4096)
    sock.sendto(answer(data), peer)
