"""YAML files that people edit: read with positions, checked by a pydantic model, every finding at its line and column.

Every scalar is kept as the text that stands in the file, so `NO`, `007` and `1.0` survive; the model decides what is a
number or a switch. Null (`~`, `null`, nothing) is None. What makes a file mean something else than it seems to is refused:
repeated keys, anchors and aliases, tags, several documents.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from pydantic import BaseModel, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError
from ruamel.yaml.events import AliasEvent, DocumentStartEvent, MappingStartEvent, ScalarEvent, SequenceStartEvent

from connector.errors import ConfigError
from connector.yamlwords import MISSING, Finding, Loc, explain

MAX_BYTES = 1024 * 1024
MAX_DEPTH = 20
MAX_LINE = 500
NULLS = ("", "~", "null", "Null", "NULL")

Position = tuple[int, int]
"""Line and column, both from 1."""

M = TypeVar("M", bound=BaseModel)


@dataclass(frozen=True)
class Document:
    """One YAML file.

    data: dicts, lists, texts and None.
    values, keys: where each value and each key of `data` stands.
    names: which of the values came from elsewhere, and the name they have there (an environment variable).
    """

    path: Path
    raw: bytes
    data: Any
    values: Mapping[Loc, Position]
    keys: Mapping[Loc, Position]
    names: Mapping[Loc, str] = field(default_factory=dict)

    def line(self, loc: Loc) -> int:
        """The line of the value at `loc`, or of what contains it."""
        return self.position(loc)[0]

    def where(self, loc: Loc, on_key: bool = False) -> str:
        """`file:line:column` of the value (or key) at `loc` or of what contains it; its name when it came from elsewhere."""
        for length in range(len(loc), 0, -1):
            here = loc[:length]
            inside = (name for known, name in self.names.items() if known[:length] == here)
            if here in self.names or here not in self.values:
                if name := self.names.get(here) or next(inside, None):
                    return name
            else:
                break
        line, column = self.position(loc, on_key)
        return f"{shown(self.path)}:{line}:{column}"

    def finding(self, loc: Loc, message: str, on_key: bool = False, name: str = "") -> str:
        """One line that says where and what. name: see `Finding`."""
        keys = ".".join(str(part) for part in ((*loc[:-1], name) if name else loc))
        return _line(f"{self.where(loc, on_key)}: {keys}{': ' if keys else ''}{message}")

    def override(self, loc: tuple[str, ...], name: str, value: Any) -> "Document":
        """The same document with the value at `loc` replaced by one from elsewhere. Only mappings are entered."""
        data = _replaced(self.data, loc, value)
        return replace(self, data=data, names={**self.names, loc: name})

    def position(self, loc: Loc, on_key: bool = False) -> Position:
        """Line and column of the value (or key) at `loc`, or of what contains it."""
        for length in range(len(loc), 0, -1):
            here = loc[:length]
            if on_key and here == loc and loc in self.keys:
                return self.keys[loc]
            if here in self.values:
                return self.values[here]
        return self.values.get((), (1, 1))


def _replaced(data: Any, loc: tuple[str, ...], value: Any) -> Any:
    """With a value put in. What should be a mapping and is not stays as it is, to be told by the model."""
    if not loc:
        return value
    if not isinstance(data, dict | None):
        return data
    inner = data or {}
    return {**inner, loc[0]: _replaced(inner.get(loc[0]), loc[1:], value)}


def shown(path: Path) -> str:
    """A path as people see it: relative when it is below the current folder."""
    try:
        return str(path.absolute().relative_to(Path.cwd()))
    except (OSError, ValueError):
        return str(path)


def plain(text: str) -> str:
    """Text as one line that any terminal can show, and that tells none what to do: `\\x1b` for an escape."""
    return text if text.isprintable() else "".join(char if char.isprintable() else repr(char)[1:-1] for char in text)


def _line(text: str) -> str:
    """A finding as one line, whatever was found."""
    line = plain(text)
    return line if len(line) <= MAX_LINE else line[: MAX_LINE - 3] + "..."


def read(path: Path, way_out: str = "", nothing: Any = None) -> Document:
    """Read and parse one file. Raises ConfigError when it cannot be opened, is too large, not UTF-8 or not plain YAML.

    way_out: what to do when the file is not there. nothing: what a file without anything in it counts as; without, it is refused.
    """
    raw = _bytes(path, way_out)
    text = _text(path, raw)
    build = _Builder(path)
    try:
        build.run(YAML(typ="safe", pure=True).parse(text))
    except YAMLError as error:
        _refuse_syntax(path, text, error)
    except ConfigError:
        raise
    except Exception as error:  # the YAML reader fails on odd input with whatever its code runs into
        raise ConfigError(f"{shown(path)}:1:1: cannot be read as YAML ({type(error).__name__} in the YAML reader)") from error
    if build.findings:
        raise ConfigError(build.findings)
    data = nothing if build.data is None else build.data
    if data is None:
        raise ConfigError(f"{shown(path)}:1:1: the file is empty")
    return Document(path, raw, data, build.values, build.keys)


def _bytes(path: Path, way_out: str) -> bytes:
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise ConfigError(f"{shown(path)}: no such file{': ' if way_out else ''}{way_out}") from None
    except IsADirectoryError:
        raise ConfigError(f"{shown(path)}: is a folder, not a file") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "not a file name"
        raise ConfigError(f"{shown(path)}: cannot be read: {reason}") from None
    if len(raw) > MAX_BYTES:
        raise ConfigError(f"{shown(path)}: larger than {MAX_BYTES // 1024} KiB: is this the right file?")
    return raw


def _text(path: Path, raw: bytes) -> str:
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = raw[: error.start].decode("utf-8", "replace")
        raise ConfigError(f"{_at(path, before)}: not UTF-8: save the file with this encoding") from None


def _at(path: Path, before: str) -> str:
    """`file:line:column` of the character that follows the text `before`."""
    return f"{shown(path)}:{before.count(chr(10)) + 1}:{len(before) - before.rfind(chr(10))}"


def _refuse_syntax(path: Path, text: str, error: YAMLError) -> NoReturn:
    """Turn a syntax error into one line, without the snippet that the YAML reader would show: it may be a secret."""
    problem = str(getattr(error, "problem", None) or getattr(error, "reason", None) or "not valid YAML")
    whole = f"{problem} {getattr(error, 'context', None) or ''}"
    words = next((words for sign, words in SYNTAX.items() if sign in whole), problem)
    mark, opened = getattr(error, "problem_mark", None), getattr(error, "context_mark", None)
    if words in OPENED and opened is not None:
        mark = opened
    mark = mark or opened
    if mark is None:
        where = _at(path, text[: getattr(error, "position", 0)])
    elif words == COMMA:
        where = _at(path, text[: _word(text, mark.index)])
        words += _unclosed(text, mark.index, opened)
    else:
        where = f"{shown(path)}:{mark.line + 1}:{mark.column + 1}"
    raise ConfigError(f"{where}: {words}") from None


def _word(text: str, index: int) -> int:
    """Where the word begins that ends at an index: `{a: b c: d}` is refused at the second colon, and what lacks is before c."""
    before = re.search(r"[^\s,\[{]+[ \t]*$", text[:index]) if text[index : index + 1] == ":" else None
    return before.start() if before else index


def _unclosed(text: str, index: int, opened: Any) -> str:
    """Over the end of a line, or before another kind of bracket, it is rather the closing bracket that was forgotten."""
    if opened is None or ("\n" not in text[opened.index : _word(text, index)] and text[index : index + 1] not in ("}", "]")):
        return ""
    return f", or the bracket of line {opened.line + 1}, column {opened.column + 1} is not closed"


COMMA = "a comma is missing before this"
OPENED = ("a quote is opened here and never closed", "a bracket is opened here and never closed")
"""Told at the place where it is opened, which the reader knows, too: it goes on to the end of the file."""

SYNTAX = {
    "tag": "text that starts with ! must be in quotes",
    "alias": "text that starts with * must be in quotes",
    "anchor": "text that starts with & must be in quotes",
    "character '\\t'": "found a tab: indent with spaces",
    "that cannot start any token": "text that starts with one of % @ ` must be in quotes",
    "mapping values are not allowed here": "unexpected ':': wrong indentation, or text with ': ' that must be in quotes",
    "could not find expected ':'": "expected 'key: value'",
    "expected <block end>": "wrong indentation, or a quote or bracket too many",
    "unexpected end of stream": OPENED[0],
    "<stream end>": OPENED[1],
    "expected ',' or": COMMA,
    "special characters are not allowed": "a control character, invisible in most editors: delete it",
    "incompatible YAML document": "%YAML must be 1.1 or 1.2; better leave it out",
}
"""What the YAML reader says (a part of it, the first that fits), and how we say it."""


class _Builder:
    """Builds plain data from parser events, and remembers where everything stands."""

    def __init__(self, path: Path) -> None:
        self.data: Any = None
        self.values: dict[Loc, Position] = {}
        self.keys: dict[Loc, Position] = {}
        self.findings: list[str] = []
        self._path = path

    def run(self, events: Iterator[Any]) -> None:
        documents = 0
        for event in events:
            if isinstance(event, DocumentStartEvent):
                documents += 1
                if documents > 1:
                    self._find(event, "a second document starts here (---): one file, one document")
                    return
                self.data = self._node(next(events), events, ())

    def _find(self, event: Any, message: str) -> None:
        self.findings.append(_line(f"{shown(self._path)}:{event.start_mark.line + 1}:{event.start_mark.column + 1}: {message}"))

    def _node(self, event: Any, events: Iterator[Any], loc: Loc) -> Any:
        self.values[loc] = (event.start_mark.line + 1, event.start_mark.column + 1)
        if isinstance(event, AliasEvent):
            self._find(event, "aliases are not used here: write the value out, or put text that starts with * in quotes")
            return None
        if event.anchor is not None:
            self._find(event, "anchors are not used here: leave it out, or put text that starts with & in quotes")
        if event.tag is not None:
            self._find(event, "tags are not used here: leave it out, or put text that starts with ! in quotes")
        if isinstance(event, ScalarEvent):
            return None if not event.style and event.value in NULLS else event.value
        if len(loc) >= MAX_DEPTH:
            raise ConfigError(f"{shown(self._path)}:{self.values[loc][0]}:{self.values[loc][1]}: nested too deeply")
        return self._mapping(events, loc) if isinstance(event, MappingStartEvent) else self._list(events, loc)

    def _list(self, events: Iterator[Any], loc: Loc) -> list[Any]:
        found: list[Any] = []
        while not _ends(event := next(events)):
            found.append(self._node(event, events, (*loc, len(found))))
        return found

    def _mapping(self, events: Iterator[Any], loc: Loc) -> dict[str, Any]:
        found: dict[str, Any] = {}
        while not _ends(event := next(events)):
            key = self._key(event, events, loc)
            here = (*loc, key)
            if key in found:
                self._find(event, f"{'.'.join(map(str, here))}: this key was used before, on line {self.keys[here][0]}: keep one")
                self._node(next(events), events, (*loc, f"{key} (again)"))
                continue
            self.keys[here] = (event.start_mark.line + 1, event.start_mark.column + 1)
            found[key] = self._node(next(events), events, here)
            if found[key] is None:
                self.values[here] = self.keys[here]  # the reader's position of nothing is that of what comes next
        return found

    def _key(self, event: Any, events: Iterator[Any], loc: Loc) -> str:
        if isinstance(event, ScalarEvent):
            if event.tag is not None or event.anchor is not None:
                self._find(event, "a key is plain text, without anchor or tag")
            return str(event.value)
        self._find(event, "a key is plain text; text in {braces} or [brackets] must be in quotes")
        if isinstance(event, MappingStartEvent | SequenceStartEvent):
            self._node(event, events, (*loc, "?"))
        return "?"


def _ends(event: Any) -> bool:
    return type(event).__name__ in ("MappingEndEvent", "SequenceEndEvent")


def validate(
    document: Document,
    model: type[M],
    context: Any = None,
    missing: Callable[[Loc], str] | None = None,
    blank: Callable[[Loc], str] = lambda loc: "give it a value, or leave the key out",
) -> M:
    """Make a model of the document. Raises ConfigError with everything that is wrong, in the order of the file.

    context: for the model's validators.
    missing: what to say of a key that is not there.
    blank: the way out for a key with nothing behind it, which counts as not there otherwise; "" where that is fine.
    """
    data, empty = _filled(document.data)
    found = [_nothing(loc, way_out) for loc in empty if (way_out := blank(loc))]
    made: M | None = None
    try:
        made = model.model_validate(data, context=context)
    except ValidationError as error:
        told = [finding for detail in error.errors(include_url=False) for finding in explain(data, model, detail)]
        lacks = {finding.loc for finding in told if finding.message == MISSING}
        found = [finding for finding in found if finding.loc not in lacks]
        found += [one._replace(message=_lacking(one.loc, empty, missing)) if one.message == MISSING else one for one in told]
    if made is not None and not found:
        return made
    found.sort(key=lambda finding: document.position(finding.loc, on_key=True))
    raise ConfigError(list(dict.fromkeys(document.finding(*finding) for finding in found)))


def _nothing(loc: Loc, way_out: str) -> Finding:
    """A key with nothing behind it. What follows a colon within the key is not shown: it is meant as the value."""
    name, colon, _ = str(loc[-1]).partition(":")
    return Finding(loc, NO_SPACE if colon else f"{NOTHING}: {way_out}", True, name if colon else "")


def _lacking(loc: Loc, empty: list[Loc], missing: Callable[[Loc], str] | None) -> str:
    """What to say of a required key that is not there, or has nothing behind it."""
    if missing is not None:
        return missing(loc)
    return f"{NOTHING}: fill it in" if loc in empty else MISSING


NO_SPACE = "a space is missing after the colon"
NOTHING = "nothing behind it"
"""How a key begins to be told that is there and has no value."""


def _filled(data: Any, loc: Loc = ()) -> tuple[Any, list[Loc]]:
    """The data without the keys that have nothing behind them, and where these are."""
    empty: list[Loc] = []
    if isinstance(data, list):
        items = [_filled(item, (*loc, index)) for index, item in enumerate(data)]
        return [item for item, _ in items], [one for _, inside in items for one in inside]
    if not isinstance(data, dict):
        return data, empty
    kept: dict[Any, Any] = {}
    for key, value in data.items():
        if value is None:
            empty.append((*loc, key))
        else:
            kept[key], inside = _filled(value, (*loc, key))
            empty += inside
    return kept, empty
