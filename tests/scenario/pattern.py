# SPDX-License-Identifier: BSD-2-Clause
"""The bytes that large bodies are made of: a byte that is lost, repeated or moved shows."""

import random

LENGTH = 1000003  # a prime: no buffer size divides it, so no shift by whole buffers goes unseen
BYTES = random.Random(9112).randbytes(LENGTH)
_TWICE = memoryview(BYTES + BYTES)


def piece(offset, size):
    """size bytes of the pattern from offset on; at most LENGTH."""
    at = offset % LENGTH
    return _TWICE[at : at + size]


def matches(offset, data):
    """Whether data is what stands at offset."""
    view = memoryview(data)
    while view:
        part = view[:65536]
        if part != piece(offset, len(part)):
            return False
        offset += len(part)
        view = view[len(part) :]
    return True
