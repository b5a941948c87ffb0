"""Reading YAML that people edit."""

import os
from pathlib import Path
from typing import Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field, SecretStr

from connector.errors import ConfigError
from connector.yamlfile import MAX_BYTES, read, shown, validate
from connector.yamlwords import did_you_mean, web_address


class Inner(BaseModel):
    model_config = ConfigDict(extra="forbid")
    size: int = Field(1, ge=0)
    colour: Literal["red", "green"] = "red"
    token: SecretStr | None = None
    url: str = Field("", repr=False, max_length=5)


class Outer(BaseModel):
    model_config = ConfigDict(extra="forbid")
    name: str = "x"
    inner: Inner = Inner()
    many: tuple[Inner, ...] = ()
    named: dict[str, Inner] = {}


def write(folder: Path, content: str | bytes) -> Path:
    path = folder / "file.yaml"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def refused(folder: Path, content: str | bytes) -> list[str]:
    """The findings, without the folder in front."""
    path = write(folder, content)
    with pytest.raises(ConfigError) as caught:
        validate(read(path), Outer)
    return [finding.partition("file.yaml:")[2] for finding in caught.value.findings]


def test_scalars_stay_the_text_that_was_written(tmp_path: Path) -> None:
    text = "a: NO\nb: 007\nc: 1.0\nd: 12:30:00\ne: 2020-01-01\nf: 'null'\ng: ~\nh:\ni: ''\nj: |\n  two\n  lines\n"
    values = ["NO", "007", "1.0", "12:30:00", "2020-01-01", "null", None, None, "", "two\nlines\n"]
    assert list(read(write(tmp_path, text)).data.values()) == values


def test_positions_of_keys_and_values(tmp_path: Path) -> None:
    document = read(write(tmp_path, "a:\n  - {b: 1,\n     c: 2}\n"))
    assert document.values[("a", 0, "c")] == (3, 9)
    assert document.keys[("a", 0, "c")] == (3, 6)
    assert document.line(("a", 0)) == 2


@pytest.mark.parametrize(
    ("content", "finding"),
    [
        pytest.param("a: 1\nb: 2\na: 3\n", "3:1: a: this key was used before, on line 1: keep one", id="a key twice"),
        pytest.param("a: {b: 1, b: 2}\n", "1:11: a.b: this key was used before, on line 1: keep one", id="a key twice, inside"),
        pytest.param(
            "a: b\n  c: d\n", "2:4: unexpected ':': wrong indentation, or text with ': ' that must be in quotes", id="indented"
        ),
        pytest.param(
            "a: x: y\n", "1:5: unexpected ':': wrong indentation, or text with ': ' that must be in quotes", id="colon in text"
        ),
        pytest.param("a:\n\t- b\n", "2:1: found a tab: indent with spaces", id="tab"),
        pytest.param("a: %x\n", "1:4: text that starts with one of % @ ` must be in quotes", id="percent"),
        pytest.param(
            "a: !secret\n", "1:4: tags are not used here: leave it out, or put text that starts with ! in quotes", id="tag"
        ),
        pytest.param("a: !x!y\n", "1:4: text that starts with ! must be in quotes", id="unknown tag handle"),
        pytest.param(
            "a: &x 1\nb: 2\n", "1:4: anchors are not used here: leave it out, or put text that starts with & in", id="anchor"
        ),
        pytest.param(
            "a: *x\n", "1:4: aliases are not used here: write the value out, or put text that starts with * in", id="alias"
        ),
        pytest.param("a: {b: c\n", "1:4: a bracket is opened here and never closed", id="open bracket"),
        pytest.param("a: 'x\nb: y\n\n", "1:4: a quote is opened here and never closed", id="open quote"),
        pytest.param("a: {b: c d: e}\n", "1:10: a comma is missing before this", id="no comma"),
        pytest.param("a: {b: 'c' d: e}\n", "1:12: a comma is missing before this", id="no comma, after a quote"),
        pytest.param(
            "a: {b: c\nd: e\n",
            "2:1: a comma is missing before this, or the bracket of line 1, column 4 is not closed",
            id="open bracket, more below",
        ),
        pytest.param(
            "a: {b: [c, d}\n",
            "1:13: a comma is missing before this, or the bracket of line 1, column 8 is not closed",
            id="one bracket in the other",
        ),
        pytest.param("a: b\n---\na: c\n", "2:1: a second document starts here (---): one file, one document", id="two documents"),
        pytest.param("a: {{b}}\n", "1:5: a key is plain text; text in {braces} or [brackets] must be in quotes", id="braces"),
        pytest.param("a: \x07\n", "1:4: a control character, invisible in most editors: delete it", id="control character"),
        pytest.param("a: é\n".encode("latin-1"), "1:4: not UTF-8: save the file with this encoding", id="latin-1"),
        pytest.param("a: b\n".encode("utf-16"), "1:1: not UTF-8: save the file with this encoding", id="utf-16"),
        pytest.param("# nothing\n", "1:1: the file is empty", id="only comments"),
        pytest.param("", "1:1: the file is empty", id="empty"),
        pytest.param("[" * 50_000, "1:21: nested too deeply", id="deep"),
        pytest.param("- a\n", "1:1: expected a mapping (key: value), found a list", id="a list"),
        pytest.param("token-123456\n", "1:1: expected a mapping (key: value), found text", id="a text, perhaps a secret"),
        pytest.param("nmae: x\n", "1:1: nmae: unknown key; did you mean name?", id="misspelt key"),
        pytest.param("zzz: x\n", "1:1: zzz: unknown key; allowed: name, inner, many, named", id="unknown key"),
        pytest.param("inner: {sizes: 1}\n", "1:9: inner.sizes: unknown key; did you mean size?", id="inside a mapping"),
        pytest.param("many: [{sizes: 1}]\n", "1:9: many.0.sizes: unknown key; did you mean size?", id="inside a list"),
        pytest.param(
            "named: {size: {sizes: 1}}\n", "1:16: named.size.sizes: unknown key; did you mean size?", id="inside a named part"
        ),
        pytest.param("inner: {size: big}\n", "1:15: inner.size: expected a whole number, found 'big'", id="number"),
        pytest.param("inner: {size: -1}\n", "1:15: inner.size: expected 0 or more, found '-1'", id="negative"),
        pytest.param("inner:\n  size: [1]\n", "2:9: inner.size: expected a whole number, found a list", id="list for a number"),
        pytest.param(
            "inner: {colour: gren}\n", "1:17: inner.colour: expected one of red, green, found 'gren'; did you mean gr", id="word"
        ),
        pytest.param(
            "inner: hunter2hunter2\n", "1:8: inner: expected a mapping (key: value), found text", id="text for a mapping"
        ),
        pytest.param("name:\nmany: []\n", "1:1: name: nothing behind it: give it a value, or leave the key out", id="nothing"),
        pytest.param("many: [{token:hush}]\n", "1:9: many.0.token: a space is missing after the colon", id="no space"),
        pytest.param("many: [{token: ~}]\n", "1:9: many.0.token: nothing behind it: give it a value", id="nothing, inside"),
        pytest.param(
            'inner: {size: "\\e[31m\\n"}\n', "1:15: inner.size: expected a whole number, found '\\x1b[31m\\n'", id="control"
        ),
    ],
)
def test_a_mistake_is_told_at_its_place(tmp_path: Path, content: str | bytes, finding: str) -> None:
    (told,) = refused(tmp_path, content)
    assert told.startswith(finding)


def test_all_repeated_keys_are_told(tmp_path: Path) -> None:
    assert [finding[:4] for finding in refused(tmp_path, "a: 1\na: 2\nb: {c: 1, c: [x]}\n")] == ["2:1:", "3:11"]


def test_a_secret_is_never_shown(tmp_path: Path) -> None:
    """Neither by its type nor by `repr=False`, even where it is not what was expected."""
    told = refused(tmp_path, "inner: {token: [hunter2], url: hunter2hunter2}\n")
    assert len(told) == 2
    assert "hunter2" not in "".join(told)


def test_what_was_found_is_shortened(tmp_path: Path) -> None:
    (told,) = refused(tmp_path, f"inner: {{size: {'x' * 10_000}}}\n")
    assert len(told) < 120


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"gone\.yaml: no such file: look elsewhere"):
        read(tmp_path / "gone.yaml", "look elsewhere")


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is a folder, not a file"):
        read(tmp_path)


def test_a_name_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="not a file name"):
        read(tmp_path / "a\0b")


def test_a_file_of_more_than_a_mebibyte_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="larger than 1024 KiB"):
        read(write(tmp_path, b"#" * (MAX_BYTES + 1)))


def test_an_override_is_named_in_findings(tmp_path: Path) -> None:
    document = read(write(tmp_path, "inner: {size: 1}\n")).override(("inner", "size"), "SIZE", "big")
    document = document.override(("named", "a", "sizes"), "A_SIZES", "1")
    with pytest.raises(ConfigError) as caught:
        validate(document, Outer)
    assert sorted(caught.value.findings) == [
        "A_SIZES: named.a.sizes: unknown key; did you mean size?",
        "SIZE: inner.size: expected a whole number, found 'big'",
    ]


def test_paths_are_shown_as_short_as_possible(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert shown(tmp_path / "a" / "b.yaml") == os.path.join("a", "b.yaml")
    assert shown(Path("/x")) == "/x"


@pytest.mark.parametrize(
    ("word", "meant"),
    [("to_crm", "to_contact"), ("to_idp", "to_user"), ("To Contact", "to_contact"), ("bothh", "both"), ("zzz", "")],
)
def test_did_you_mean(word: str, meant: str) -> None:
    assert did_you_mean(word, ["both", "to_contact", "to_user"]) == (f"; did you mean {meant}?" if meant else "")


@pytest.mark.parametrize("url", ["https://a.example", "http://127.0.0.1:8000", "https://a.example/base"])
def test_a_web_address(url: str) -> None:
    assert web_address(url + "/") == url


@pytest.mark.parametrize(
    "url", ["a.example", "ftp://a", "https://", "https://u:p@a", "https://a?b", "https://a#b", "https://a:x", "file:///a"]
)
def test_what_is_no_web_address(url: str) -> None:
    with pytest.raises(ValueError, match="expected an address"):
        web_address(url)
