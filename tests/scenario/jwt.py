#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Makes a JWT and prints it: jwt.py ALGORITHM KEY CLAIMS [HEADER]

KEY is the secret of an HS algorithm, else the file of a private key, with which openssl signs. CLAIMS and HEADER are JSON; what
HEADER says is added to the algorithm."""
import base64
import hashlib
import hmac
import json
import subprocess
import sys
import tempfile


def encode(raw):
    return base64.urlsafe_b64encode(raw).rstrip(b"=")


def openssl(*args, feed):
    return subprocess.run(["openssl", *args], input=feed, stdout=subprocess.PIPE, check=True).stdout


def der_number(der, at):
    """The INTEGER at this place, and where the next one begins."""
    size = der[at + 1]
    return int.from_bytes(der[at + 2 : at + 2 + size], "big"), at + 2 + size


def two_numbers(der, size):
    r, at = der_number(der, 3 if der[1] & 0x80 else 2)
    s, _ = der_number(der, at)
    return r.to_bytes(size, "big") + s.to_bytes(size, "big")


def eddsa(key, text):
    # Of a pure signature openssl wants the text in a file.
    with tempfile.NamedTemporaryFile() as file:
        file.write(text)
        file.flush()
        return openssl("pkeyutl", "-sign", "-rawin", "-inkey", key, "-in", file.name, feed=b"")


def sign(algorithm, key, text):
    family, bits = algorithm[:2], algorithm[2:]
    if family == "HS":
        return hmac.new(key.encode(), text, getattr(hashlib, "sha" + bits)).digest()
    if family == "RS":
        return openssl("dgst", "-sha" + bits, "-sign", key, feed=text)
    if family == "PS":
        return openssl("dgst", "-sha" + bits, "-sigopt", "rsa_padding_mode:pss", "-sigopt", "rsa_pss_saltlen:digest",
                       "-sign", key, feed=text)
    if family == "ES":
        return two_numbers(openssl("dgst", "-sha" + bits, "-sign", key, feed=text), {"256": 32, "384": 48, "512": 66}[bits])
    if algorithm == "EdDSA":
        return eddsa(key, text)
    return b""


algorithm, key, claims = sys.argv[1:4]
header = {"alg": algorithm, "typ": "JWT", **json.loads(sys.argv[4] if len(sys.argv) > 4 else "{}")}
signed = encode(json.dumps(header).encode()) + b"." + encode(claims.encode())
print((signed + b"." + encode(sign(algorithm, key, signed))).decode())
