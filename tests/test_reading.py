"""Text and YAML of files that anyone may have written."""

import os
from itertools import pairwise
from pathlib import Path

import pytest
import yaml

from reidlab.checks import check_name, printable
from reidlab.errors import ConfigError, DataError
from reidlab.reading import check_file, parse_yaml, read_text, read_yaml

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_text_is_read_in_the_encoding_that_its_mark_names(tmp_path, encoding):
    file = tmp_path / "list.txt"
    file.write_bytes("0001 Zoë\r\n0002 李\n".encode(encoding))
    assert read_text(file) == "0001 Zoë\n0002 李\n"


def test_text_in_another_encoding_names_the_line_and_the_byte(tmp_path):
    file = tmp_path / "list.txt"
    file.write_bytes(b"first\nZo\xeb\n")
    with pytest.raises(DataError, match=r"list.txt, line 2: byte 0xeb is no UTF-8; save it as UTF-8"):
        read_text(file)
    file.write_bytes(b"a\0b")
    with pytest.raises(DataError, match="no text"):
        read_text(file)


def test_what_is_no_file_is_refused_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path, why in (
        (tmp_path, "is a folder, not a file"),
        (tmp_path / "pipe", "is a pipe, not a file"),
        ("/dev/zero", "is a device, not a file"),
        (tmp_path / "none", "there is no such file"),
        ("a\0b", "cannot be read"),
    ):
        with pytest.raises(DataError, match=why):
            read_text(path)
    (tmp_path / "large").write_bytes(bytes(11))
    with pytest.raises(ConfigError, match="has 11 bytes; at most 10 are read"):
        check_file(tmp_path / "large", ConfigError, 10)
    assert check_file(tmp_path / "large") == 11


def test_a_link_to_itself_is_refused(tmp_path):
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(DataError, match="cannot be read"):
        read_text(tmp_path / "loop")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("010", "010"), ("12:30", "12:30"), ("0x1F", "0x1F"), ("1_000", "1_000"), ("yes", "yes"), ("off", "off"),
        ("2024-01-05", "2024-01-05"), ("1e-3", 0.001), ("+1.5", 1.5), (".5", 0.5), ("0", 0), ("-12", -12),
        ("true", True), ("null", None), ("", None), ("~", None), ("''", ""), (".inf", float("inf")),
    ],
)  # fmt: skip
def test_scalars_are_those_of_yaml_1_2(text, value):
    found = parse_yaml(f"[{text}]" if text else "- ", "here")[0]
    assert (found, type(found)) == (value, type(value))


def test_yaml_that_stands_for_something_endless_or_runs_code_is_refused():
    names = "abcdefghij"
    bomb = "a: &a [x, x, x, x, x, x, x, x, x]\n"
    bomb += "".join(f"{b}: &{b} [{', '.join([f'*{a}'] * 9)}]\n" for a, b in pairwise(names))
    for text, why in (
        (bomb, "aliases make more than"),
        ("a: &a [*a]", "stands inside what it refers to"),
        ("[" * 100_000, "nested deeper than 40 levels"),
        ("[0, " * 100 + "0" + "]" * 100, "nested deeper than 40 levels"),
        ("- " * 10_000 + "a", "nested deeper than 40 levels"),
        ("\n".join("  " * level + f"k{level}:" for level in range(200)), "nested deeper than 40 levels"),
        ("a: 1\nb: 2\na: 3", "line 3: 'a' stands twice"),
        ("{[1]: 2}", "unhashable key"),
        ("a: !!python/object/apply:os.system [true]", "could not determine a constructor"),
        ("!!timestamp x", "not valid YAML"),
        ("9" * 5000, "not valid YAML"),
        ("*none", "undefined alias"),
    ):
        with pytest.raises(ConfigError, match=f"^here.*{why}"):
            parse_yaml(text, "here")


def test_aliases_that_only_save_typing_are_written_out():
    assert parse_yaml("a: &words [x, y]\nb: *words", "here") == {"a": ["x", "y"], "b": ["x", "y"]}


def test_the_yaml_of_the_project_means_the_same_to_pyyaml():
    files = [*ROOT.glob("book/**/*.yml"), *ROOT.glob("data_manifests/*.yml")]
    files += ROOT.glob("notebooks/profiles/*.yml")
    assert len(files) > 20
    for file in files:
        assert read_yaml(file) == yaml.safe_load(file.read_text(encoding="utf-8")), file


def test_a_text_for_the_terminal_shows_control_characters_instead_of_sending_them():
    assert printable("\x1b]0;owned\x07 a\u202eb\udcff\n") == r"\x1b]0;owned\x07 a\u202eb\udcff\n"
    assert printable("a\n\tb\x9b", lines=True) == "a\n\tb\\x9b"
    assert printable("Zoë 李") == "Zoë 李"


@pytest.mark.parametrize("name", ["../x", "a/b", "", ".", "..", "-x", ".hidden", "a\nb", "a" * 101, None, 3, "a b"])
def test_a_name_is_no_path(name):
    with pytest.raises(ConfigError, match=r"^profile: .* is no name"):
        check_name("profile", name)
    assert check_name("profile", "01_person_reid-v1.2") == "01_person_reid-v1.2"
