"""Arguments to JSON and back, by the handler's own annotations.

A payload is a JSON object with a field for each parameter, so that it can be read by people
and by other languages, and so that a parameter with a default can be added later.
"""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Iterator, Mapping
from types import GenericAlias
from typing import Any

import msgspec

from tenure.kernel.errors import ConfigError, InvalidError
from tenure.sdk.next_run import Next

_BY_POSITION = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


class Codec:
    """Encodes and checks the arguments of one handler, and its result."""

    def __init__(self, function: Callable[..., Any], *, kind: str) -> None:
        self._kind = kind
        self._parameters = _parameters(function, kind)
        self._positional = [p.name for p in self._parameters if p.kind in _BY_POSITION]
        self._extra = self._named(inspect.Parameter.VAR_POSITIONAL)
        self._options = self._named(inspect.Parameter.VAR_KEYWORD)
        named = [p for p in self._parameters if p.name not in (self._extra, self._options)]
        self._by_name = frozenset(
            p.name for p in named if p.kind is not inspect.Parameter.POSITIONAL_ONLY
        )
        self._required = frozenset(p.name for p in named if p.default is p.empty)
        # Most calls name all arguments of a plain signature by position: those take a short way.
        self._is_plain = len(self._positional) == len(self._parameters)
        self._count = len(self._positional) if self._is_plain else -1
        hints = _hints(function, kind)
        try:
            self._decoder = msgspec.json.Decoder(
                _shape(self._parameters, hints), dec_hook=_read_other
            )
            self._result = msgspec.json.Decoder(_result_of(hints), dec_hook=_read_other)
        except (TypeError, NameError) as error:
            raise ConfigError(
                f"an annotation of kind {kind!r} cannot be read from JSON: {error}", key=kind
            ) from error

    def encode(self, args: tuple[object, ...], kwargs: Mapping[str, object]) -> bytes:
        """Return the payload for a call.

        Raises:
            InvalidError: the arguments do not fit the signature, or cannot be JSON.
        """
        if kwargs or len(args) != self._count:
            fields = self._fields(args, kwargs)
        else:
            fields = dict(zip(self._positional, args))  # noqa: B905 - as many, as was just seen
        try:
            payload = _ENCODER.encode(fields)
            self._decoder.decode(payload)
        except msgspec.ValidationError as error:
            raise InvalidError(
                f"the arguments of {self._kind!r} do not fit its annotations: {error}",
                field="payload",
            ) from None
        except _UNWRITABLE as error:
            raise _unwritable(f"the arguments of {self._kind!r}", error) from None
        return payload

    def decode(self, payload: bytes) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Return the arguments to call the handler with.

        Raises:
            InvalidError: the payload does not fit the signature.
        """
        try:
            fields = self._decoder.decode(payload)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise InvalidError(
                f"the payload does not fit the signature of {self._kind!r}: {error}",
                field="payload",
            ) from None
        if self._is_plain:
            return msgspec.structs.astuple(fields), {}
        args: list[Any] = [getattr(fields, name) for name in self._positional]
        kwargs: dict[str, Any] = {}
        for parameter in self._parameters:
            value = getattr(fields, parameter.name)
            match parameter.kind:
                case inspect.Parameter.VAR_POSITIONAL:
                    args.extend(value)
                case inspect.Parameter.KEYWORD_ONLY:
                    kwargs[parameter.name] = value
                case inspect.Parameter.VAR_KEYWORD:
                    kwargs.update(value)
        return tuple(args), kwargs

    def encode_result(self, value: object) -> bytes:
        """Return a result as JSON.

        Raises:
            InvalidError: it cannot be JSON.
        """
        return encode_json(value, what=f"the result of {self._kind!r}")

    def decode_result(self, body: bytes) -> Any:  # what it is, the annotation says
        """Return a result as the handler's annotation promises it.

        Raises:
            InvalidError: it does not fit; the code has changed since the task ran.
        """
        try:
            return self._result.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise InvalidError(
                f"the stored result does not fit the annotation of {self._kind!r}: {error}",
                field="result",
            ) from None

    def _fields(self, args: tuple[object, ...], kwargs: Mapping[str, object]) -> dict[str, object]:
        """Return the arguments by the names of their parameters, as Python binds them."""
        fields: dict[str, object] = dict(zip(self._positional, args, strict=False))
        if len(args) > len(self._positional):
            if self._extra is None:
                raise self._misfit(
                    f"has {len(args)} arguments by position; it takes {len(self._positional)}"
                )
            fields[self._extra] = args[len(self._positional) :]
        options: dict[str, object] = {}
        for name, value in kwargs.items():
            if name in self._by_name:
                if name in fields:
                    raise self._misfit(f"has {name!r} twice")
                fields[name] = value
            elif self._options is not None:
                options[name] = value
            elif name in self._required or name in self._positional:
                raise self._misfit(f"has {name!r} by name; it is taken by position only")
            else:
                raise self._misfit(f"has {name!r}, which is no parameter of it")
        if self._options is not None:
            fields[self._options] = options
        if not self._required <= fields.keys():
            missing = [p.name for p in self._parameters if p.name in self._required - fields.keys()]
            raise self._misfit(f"misses {', '.join(map(repr, missing))}")
        return fields

    def _misfit(self, what: str) -> InvalidError:
        return InvalidError(f"the call of {self._kind!r} {what}", field="payload")

    def _named(self, kind: object) -> str | None:
        return next((p.name for p in self._parameters if p.kind is kind), None)


def encode_json(value: object, *, what: str) -> bytes:
    """Return any value as JSON.

    Raises:
        InvalidError: it holds something that JSON cannot; *what* names it in the message.
    """
    try:
        return _ENCODER.encode(value)
    except _UNWRITABLE as error:
        raise _unwritable(what, error) from None


def decode_as(body: bytes, type_: Any, *, what: str) -> Any:  # what it is, *type_* says
    """Read JSON as a type.

    Raises:
        InvalidError: it does not fit; *what* names it in the message.
    """
    try:
        return msgspec.json.decode(body, type=type_, dec_hook=_read_other)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidError(f"{what} does not fit its type: {error}", field="state") from None


def _unwritable(what: str, error: Exception) -> InvalidError:
    return InvalidError(f"{what} cannot be written as JSON: {error}", field="payload")


def _parameters(function: Callable[..., Any], kind: str) -> list[inspect.Parameter]:
    try:
        return list(inspect.signature(function).parameters.values())
    except ValueError as error:
        raise ConfigError(
            f"the signature of kind {kind!r} is not known: {error}", key=kind
        ) from error


def _hints(function: Callable[..., Any], kind: str) -> dict[str, Any]:
    try:
        return typing.get_type_hints(function, include_extras=True)
    except NameError as error:
        raise ConfigError(
            f"an annotation of kind {kind!r} names something that is not there when it runs "
            f"({error}): import or define it at the top of the module, outside of "
            "'if TYPE_CHECKING'",
            key=kind,
        ) from error
    except (SyntaxError, TypeError, AttributeError) as error:
        raise ConfigError(
            f"an annotation of kind {kind!r} cannot be understood: {error}", key=kind
        ) from error


def _result_of(hints: Mapping[str, Any]) -> Any:  # whatever people annotate
    """Return the type of the result, which a handler may wrap in a `Next`."""
    hint = hints.get("return", Any)
    if hint is Next:
        return Any
    return typing.get_args(hint)[0] if typing.get_origin(hint) is Next else hint


def _shape(parameters: list[inspect.Parameter], hints: Mapping[str, Any]) -> type[msgspec.Struct]:
    """Return a struct with a field for each parameter."""
    return msgspec.defstruct(
        "Payload",
        list(_struct_fields(parameters, hints)),
        kw_only=True,
        forbid_unknown_fields=True,
        gc=False,
    )


def _struct_fields(
    parameters: list[inspect.Parameter], hints: Mapping[str, Any]
) -> Iterator[tuple[str, Any] | tuple[str, Any, Any]]:
    for parameter in parameters:
        name, hint = parameter.name, hints.get(parameter.name, Any)
        match parameter.kind:
            case inspect.Parameter.VAR_POSITIONAL:
                yield name, GenericAlias(list, (hint,)), msgspec.field(default_factory=list)
            case inspect.Parameter.VAR_KEYWORD:
                yield name, GenericAlias(dict, (str, hint)), msgspec.field(default_factory=dict)
            case _ if parameter.default is parameter.empty:
                yield name, hint
            case _:
                # A factory, because msgspec refuses defaults that could be changed.
                yield name, hint, msgspec.field(default_factory=_always(parameter.default))


def _always(value: object) -> Callable[[], object]:
    return lambda: value


def _write_other(value: object) -> object:
    """Write what msgspec does not know: models of pydantic, and what has their methods."""
    dump = getattr(value, "model_dump", None)
    if dump is not None:
        return dump(mode="json")
    raise TypeError(f"a value of type {type(value).__qualname__}")


def _read_other(type_: type, value: object) -> object:
    validate = getattr(type_, "model_validate", None)
    if validate is not None:
        return validate(value)
    if isinstance(value, type_):
        return value
    raise TypeError(f"a value of type {type_.__qualname__} cannot be read from JSON")


_UNWRITABLE = (TypeError, ValueError, OverflowError, RecursionError)
_ENCODER = msgspec.json.Encoder(enc_hook=_write_other, decimal_format="string")
