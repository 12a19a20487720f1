"""The rules for SQL files: where a statement lives, and which parameters it takes.

A statement stands once in `shared`, or once in every dialect; nowhere else and never twice. The
dialects' versions of it take the same parameters, since the verb that yields it knows only one.
Parameters that the driver binds are no business of the verb, so they may differ.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from tenure.store.statements import AMBIENT
from tests.tidy.source import Finding

SHARED = "shared"
DIALECTS = ("sqlite", "postgres")

HEADING = re.compile(r"^--\s*(?P<kind>name|fragment):\s*(?P<name>\S+)\s*$")
NAME = re.compile(r"[a-z][a-z0-9_]*")
COMMENT = re.compile(r"--[^\n]*|/\*.*?\*/", re.DOTALL)
LITERAL = re.compile(r"'(?:[^']|'')*'")
FRAGMENT = re.compile(r"\{(\w+)\}")
# The columns that a batch of SQLite's takes as one JSON document.
DOCUMENT = re.compile(r"^-- document: (.+)$", re.MULTILINE)
# A colon that belongs to neither a cast (`::bigint`) nor a slice (`[1:2]`).
PARAMETER = re.compile(r"(?<![:\w]):([a-z_][a-z0-9_]*)")


@dataclass(frozen=True)
class Block:
    """One named statement of one file, or a fragment that statements are made of."""

    folder: str
    path: str
    line: int
    text: str
    kind: str = "name"
    name: str = ""

    @property
    def parameters(self) -> frozenset[str]:
        """The names after a colon, outside comments and quoted texts, and those of a document."""
        names = PARAMETER.findall(LITERAL.sub("''", COMMENT.sub("", self.text)))
        document = DOCUMENT.search(self.text)
        if document is not None:
            names.extend(document[1].split(", "))
        return frozenset(names) - AMBIENT

    def finding(self, sentence: str) -> Finding:
        """Return a finding at the heading."""
        return Finding(self.path, self.line, f"{self.name}: {sentence}")


def read_blocks(sql: Path) -> list[Block]:
    """Return every statement and fragment of the folders under *sql*, without the migrations."""
    blocks = [
        block
        for folder in (SHARED, *DIALECTS)
        for path in sorted((sql / folder).glob("*.sql"))
        for block in _blocks_of(path, folder)
    ]
    fragments = {block.name: block.text for block in blocks if block.kind == "fragment"}
    return [
        replace(block, text=FRAGMENT.sub(lambda found: fragments.get(found[1], ""), block.text))
        for block in blocks
    ]


def _blocks_of(path: Path, folder: str) -> Iterator[Block]:
    current = Block(folder=folder, path=f"{folder}/{path.name}", line=1, text="")
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        if heading := HEADING.match(line):
            # A file may open with comments; anything else before a heading has no name.
            if current.name or _is_statement(current.text):
                yield current
            current = replace(current, line=number, text="", **heading.groupdict())
        else:
            current = replace(current, text=f"{current.text}{line}\n")
    if current.name or _is_statement(current.text):
        yield current


def _is_statement(text: str) -> bool:
    return bool(COMMENT.sub("", text).strip())


def statements_are_named(blocks: list[Block]) -> Iterator[Finding]:
    """Every statement has a name in lower case, and every name a statement."""
    for block in blocks:
        if not NAME.fullmatch(block.name):
            yield block.finding("the heading is `-- name: lower_case_words`")
        if not _is_statement(block.text):
            yield block.finding("there is no statement under the heading")


def fragments_stand_in_shared(blocks: list[Block]) -> Iterator[Finding]:
    """A dialect that needs its own columns needs its own statement."""
    for block in blocks:
        if block.kind == "fragment" and block.folder != SHARED:
            yield block.finding(f"a fragment stands in {SHARED}")


def statements_are_shared_or_in_every_dialect(blocks: list[Block]) -> Iterator[Finding]:
    """Written once in shared or exactly once in each dialect, never overridden."""
    for named in _by_name(blocks).values():
        folders = sorted(block.folder for block in named)
        if folders not in ([SHARED], sorted(DIALECTS)):
            yield named[-1].finding(
                f"stands in {', '.join(folders)}; once in {SHARED} or once in each of "
                f"{', '.join(DIALECTS)} is allowed"
            )


def dialects_take_the_same_parameters(blocks: list[Block]) -> Iterator[Finding]:
    """The verb gives the same ones to either."""
    for named in _by_name(blocks).values():
        for other in named[1:]:
            if differing := named[0].parameters ^ other.parameters:
                listed = ", ".join(f":{name}" for name in sorted(differing))
                yield other.finding(f"{listed} is not in both it and {named[0].path}")


def _by_name(blocks: list[Block]) -> dict[str, list[Block]]:
    named = defaultdict[str, list[Block]](list)
    for block in blocks:
        if block.kind == "name":
            named[block.name].append(block)
    return named


RULES = (
    statements_are_named,
    fragments_stand_in_shared,
    statements_are_shared_or_in_every_dialect,
    dialects_take_the_same_parameters,
)
