"""Unique keys: at most one live task per tenant holds one."""

from __future__ import annotations

import hashlib

UNIQUE_KEY_CHARS_MAX = 200
DIGEST_CHARS = 32


def derive_unique_key(kind: str, payload: bytes) -> str:
    """Return the key under which a task of the same kind and the same payload is a duplicate.

    The payload is compared as bytes: encoders that order fields differently make other keys.
    A kind too long to stand in a key is there as its digest.
    """
    digest = hashlib.sha256(payload).hexdigest()[:DIGEST_CHARS]
    if len(kind) + 1 + DIGEST_CHARS > UNIQUE_KEY_CHARS_MAX:
        kind = hashlib.sha256(kind.encode()).hexdigest()
    return f"{kind}:{digest}"
