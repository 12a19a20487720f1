"""The rules for Python files: sizes, heads, names, and what may not be written.

Called by test_repository.py with every file, and by test_python_rules.py with planted faults.
What ruff, mypy or the import contracts can say is said there, not here.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import PurePosixPath

from tests.tidy.source import Finding, Rule, Source

SRC_LINES_MAX = 400
TEST_LINES_MAX = 600
FUNCTION_LINES_MAX = 70
CLASS_METHODS_MAX = 15

VAGUE = {"common", "helper", "helpers", "misc", "util", "utils"}
BANNED_NAMES = VAGUE | {"data", "do", "info", "item", "job", "manager"}
BANNED_MODULES = VAGUE | {"base"}

# One upper-case keyword among other words, or the shape of a statement in any case. A lone
# word is not a statement: DELETE is also a method of HTTP.
SQL_KEYWORD = re.compile(r"\b(SELECT|INSERT|UPDATE|DELETE)\b")
SQL_SHAPE = re.compile(
    r"\b(select\b.+\bfrom|insert\s+into|update\s+\w+\s+set|delete\s+from"
    r"|(create|alter|drop)\s+(table|index|view|trigger|type))\b",
    re.IGNORECASE | re.DOTALL,
)
UNFINISHED = re.compile(r"\b(TODO|FIXME|XXX)\b")
TYPE_IGNORE = re.compile(r"#\s*(type|pyright):\s*ignore(?P<codes>\[[^\]]+\])?(?P<rest>.*)")
NOQA = re.compile(r"#\s*noqa\b(?P<rest>.*)", re.IGNORECASE)
NOQA_CODES = re.compile(r":\s*[A-Z]+[0-9]+(?:[,\s]+[A-Z]+[0-9]+)*(?P<reason>.*)")
TWO_WORDS = re.compile(r"\w\S*\s+\S*\w")

CLOCKWORK = "src/tenure/service/clockwork.py"
CONFIG = "src/tenure/config.py"
FunctionNode = ast.FunctionDef | ast.AsyncFunctionDef


def files_are_short(source: Source) -> Iterator[Finding]:
    """A file near its limit hides a second noun."""
    lines_max = SRC_LINES_MAX if source.is_product else TEST_LINES_MAX
    lines = len(source.text.splitlines())
    if lines > lines_max:
        yield source.finding(lines_max, f"the file has {lines} lines; at most {lines_max}")


def functions_fit_a_screen(source: Source) -> Iterator[Finding]:
    """From `def` to its last line; decorators are free."""
    for node in ast.walk(source.tree):
        if isinstance(node, FunctionNode):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            if lines > FUNCTION_LINES_MAX:
                sentence = f"{node.name} has {lines} lines; at most {FUNCTION_LINES_MAX}"
                yield source.finding(node.lineno, sentence)


def classes_have_few_methods(source: Source) -> Iterator[Finding]:
    """The overloads of a method count as one with it."""
    for node in ast.walk(source.tree):
        if isinstance(node, ast.ClassDef):
            methods = {child.name for child in node.body if isinstance(child, FunctionNode)}
            if len(methods) > CLASS_METHODS_MAX:
                sentence = f"{node.name} has {len(methods)} methods; at most {CLASS_METHODS_MAX}"
                yield source.finding(node.lineno, sentence)


def sql_stays_in_sql_files(source: Source) -> Iterator[Finding]:
    """Texts in src are not statements; docstrings and comments may speak of them."""
    if not source.is_product:
        return
    formatted = [node for node in ast.walk(source.tree) if isinstance(node, ast.JoinedStr)]
    seen = {id(part) for node in formatted for part in node.values}
    seen |= {id(node) for node in source.docstrings}
    for node in ast.walk(source.tree):
        text = _text_of(node) if id(node) not in seen else ""
        if isinstance(node, ast.expr) and _is_sql(text):
            yield source.finding(node.lineno, "SQL is written in src/tenure/store/sql only")


def _text_of(node: ast.AST) -> str:
    match node:
        case ast.Constant(value=str(text)):
            return text
        case ast.JoinedStr(values=parts):
            # What is filled in stands for one word.
            return "".join(_text_of(part) or "x" for part in parts)
        case _:
            return ""


def _is_sql(text: str) -> bool:
    return len(text.split()) > 1 and bool(SQL_KEYWORD.search(text) or SQL_SHAPE.search(text))


def modules_have_a_head(source: Source) -> Iterator[Finding]:
    """An empty file needs none."""
    if source.text.strip() and not ast.get_docstring(source.tree):
        yield source.finding(1, "the module does not say what it owns (style: module heads)")


def modules_import_the_future(source: Source) -> Iterator[Finding]:
    """A module of nothing but its head needs no import."""
    has_code = len(source.tree.body) > (1 if ast.get_docstring(source.tree) else 0)
    has_import = any(
        isinstance(node, ast.ImportFrom)
        and node.module == "__future__"
        and any(alias.name == "annotations" for alias in node.names)
        for node in source.tree.body
    )
    if has_code and not has_import:
        yield source.finding(1, "`from __future__ import annotations` is missing")


def names_say_something(source: Source) -> Iterator[Finding]:
    """Whole identifiers only: a foreign protocol may have its `job_id`, and bench its words."""
    if not source.path.startswith(("src/", "tests/")):
        return
    for line, name in _names_given(source.tree):
        if name.lower().strip("_") in BANNED_NAMES:
            yield source.finding(line, f"the name {name!r} says too little (style: names)")


def _names_given(tree: ast.Module) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                yield node.lineno, name
            case ast.ClassDef(name=name) | ast.MatchAs(name=str(name)):
                yield node.lineno, name
            case ast.arg(arg=name):
                yield node.lineno, name
            case ast.Name(id=name, ctx=ast.Store()) | ast.Attribute(attr=name, ctx=ast.Store()):
                yield node.lineno, name
            case ast.Import(names=aliases) | ast.ImportFrom(names=aliases):
                yield from ((node.lineno, alias.asname) for alias in aliases if alias.asname)


def modules_are_named_for_a_noun(source: Source) -> Iterator[Finding]:
    """If three places need it, it has a name."""
    for part in PurePosixPath(source.path).with_suffix("").parts:
        if part in BANNED_MODULES:
            yield source.finding(1, f"a module named {part!r} owns nothing in particular")


def nothing_is_left_for_later(source: Source) -> Iterator[Finding]:
    """What is not done is a decision note or an issue, not a comment."""
    texts = [*source.comments, *((node.lineno, str(node.value)) for node in source.docstrings)]
    for line, text in texts:
        if found := UNFINISHED.search(text):
            yield source.finding(line, f"{found[0]} needs a decision note instead")


def types_are_not_silenced(source: Source) -> Iterator[Finding]:
    """Never in src; in tests with the code and a reason, as for `noqa`."""
    for line, comment in source.comments:
        found = TYPE_IGNORE.search(comment)
        if found and source.is_product:
            yield source.finding(line, "src has no ignored types")
        elif found and not (found["codes"] and TWO_WORDS.search(found["rest"])):
            yield source.finding(line, "an ignored type names its code and says why")


def types_are_not_cast(source: Source) -> Iterator[Finding]:
    """A cast is a claim nobody checks; narrow with isinstance or assert."""
    if not source.is_product:
        return
    for node in ast.walk(source.tree):
        match node:
            case ast.ImportFrom(module="typing", names=aliases):
                is_cast = any(alias.name == "cast" for alias in aliases)
            case ast.Attribute(value=ast.Name(id="typing"), attr="cast"):
                is_cast = True
            case _:
                continue
        if is_cast:
            yield source.finding(node.lineno, "typing.cast is not used; narrow the type")


def exceptions_to_the_lint_say_why(source: Source) -> Iterator[Finding]:
    """`# noqa: S603 - the command is a constant` is the form."""
    for line, comment in source.comments:
        if found := NOQA.search(comment):
            codes = NOQA_CODES.match(found["rest"])
            if codes is None:
                yield source.finding(line, "noqa names its rule, after a colon")
            elif not TWO_WORDS.search(codes["reason"]):
                yield source.finding(line, "noqa says why on the same line, after the rule")


def lifted_bans_stay_narrow(source: Source) -> Iterator[Finding]:
    """Ruff lifts all its bans for two files at once; each is only meant to have its own."""
    foreign = {
        CLOCKWORK: {"os"},
        CONFIG: {"asyncio", "datetime", "random", "time", "uuid"},
    }.get(source.path, set())
    for node in ast.walk(source.tree):
        match node:
            case ast.Import(names=aliases):
                names = [alias.name for alias in aliases]
            case ast.ImportFrom(module=str(module)):
                names = [module]
            case _:
                continue
        for name in foreign.intersection(names):
            yield source.finding(node.lineno, f"{name} is not this file's business")


RULES: tuple[Rule, ...] = (
    files_are_short,
    functions_fit_a_screen,
    classes_have_few_methods,
    sql_stays_in_sql_files,
    modules_have_a_head,
    modules_import_the_future,
    names_say_something,
    modules_are_named_for_a_noun,
    nothing_is_left_for_later,
    types_are_not_silenced,
    types_are_not_cast,
    exceptions_to_the_lint_say_why,
    lifted_bans_stay_narrow,
)
