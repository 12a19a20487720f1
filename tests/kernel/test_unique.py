"""Unique keys that are derived from kind and payload."""

from __future__ import annotations

from hypothesis import given, strategies as st

from tenure.kernel.unique import UNIQUE_KEY_CHARS_MAX, derive_unique_key
from tenure.kernel.validate import NAME_CHARS_MAX, identifier

KINDS = st.text("abcxyzABC019_.:-", min_size=1, max_size=200)


@given(kind=KINDS, payload=st.binary())
def test_the_same_work_has_the_same_key(kind: str, payload: bytes) -> None:
    assert derive_unique_key(kind, payload) == derive_unique_key(kind, bytes(payload))


@given(kind=KINDS, one=st.binary(), other=st.binary())
def test_other_payloads_have_other_keys(kind: str, one: bytes, other: bytes) -> None:
    is_same = derive_unique_key(kind, one) == derive_unique_key(kind, other)

    assert (one == other) == is_same


@given(one=KINDS, other=KINDS, payload=st.binary())
def test_other_kinds_have_other_keys(one: str, other: str, payload: bytes) -> None:
    is_same = derive_unique_key(one, payload) == derive_unique_key(other, payload)

    assert (one == other) == is_same


def test_the_longest_kind_has_a_key_that_is_allowed() -> None:
    """A kind of more than 167 characters could not be unique: its key was refused as too long."""
    key = derive_unique_key("k" * NAME_CHARS_MAX, b"{}")

    assert key == identifier(key, field="unique")
    assert len(key) <= UNIQUE_KEY_CHARS_MAX
