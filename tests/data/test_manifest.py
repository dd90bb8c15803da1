"""Manifests: those of the repository, and what is said about malformed ones."""

import re

import pytest
import yaml

from reidlab.data.manifest import folder, manifests, read_manifest
from reidlab.data.readers import READERS
from reidlab.errors import ConfigError

GOOD = {
    "name": "street",
    "title": "Street",
    "about": "People in a street.",
    "task": "person re-identification",
    "terms": "free",
    "status": "open",
    "homepage": "https://example.org",
    "layout": "market1501",
    "folders": ["Street"],
    "distractor": 0,
    "splits": {"train": {"pictures": 12, "identities": 3}},
    "files": [{"glob": "*.txt", "count": 1, "what": "lists"}],
    "notes": ["Some are twins."],
    "used_in": [1, "survey"],
}


@pytest.fixture
def read(tmp_path):
    def write_and_read(content):
        path = tmp_path / "street.yml"
        path.write_text(content if isinstance(content, str) else yaml.safe_dump(content, sort_keys=False))
        return read_manifest(path)

    return write_and_read


def test_all_manifests_of_the_repository_are_good():
    found = manifests()
    assert sorted(found) == sorted(path.stem for path in folder().glob("*.yml"))
    assert len(found) > 25
    assert {manifest.layout for manifest in found.values()} - {""} <= set(READERS)


def test_what_was_withdrawn_is_never_linked():
    withdrawn = {name for name, manifest in manifests().items() if manifest.status == "withdrawn"}
    assert {"dukemtmc", "dukemtmc-reid", "dukemtmc-videoreid", "ms-celeb-1m"} <= withdrawn
    for name in withdrawn:
        assert not re.search(r"https?:|www\.", manifests()[name].path.read_text())


# Printed in the works: Sections 3.4.1 and 2.3.1, Table 7.4.
@pytest.mark.parametrize(
    ("name", "train", "identities", "query", "gallery"),
    [
        ("market1501", 12936, 751, 3368, 19732),
        ("dukemtmc-reid", 16522, 702, 2228, 17661),
        ("cuhk03-np-detected", 7365, 767, 1400, 5332),
        ("cuhk03-np-labeled", 7368, 767, 1400, 5328),
        ("msmt17", 30248 + 2373, 1041, 11659, 82161),
        ("veri-776", 37778, 576, 1678, 11579),
    ],
)
def test_published_numbers(name, train, identities, query, gallery):
    splits = manifests()[name].editions[0].splits
    assert splits["train"]["pictures"] == train
    assert splits["train"]["identities"] == identities
    assert splits["query"]["pictures"] == query
    assert splits["gallery"]["pictures"] == gallery


def test_a_good_manifest(read):
    manifest = read(GOOD)
    assert manifest.editions[0].splits == {"train": {"pictures": 12, "identities": 3}}
    assert (manifest.editions[0].files[0].count, manifest.editions[0].pictures) == (1, 12)
    assert manifest.used_in == (1, "survey")


def test_the_hash_is_that_of_the_content(read):
    first = read(GOOD).hash
    assert re.fullmatch("[0-9a-f]{16}", first)
    assert read("# a comment\n" + yaml.safe_dump(dict(reversed(GOOD.items())), sort_keys=False)).hash == first
    assert read({**GOOD, "splits": {"train": {"pictures": 13, "identities": 3}}}).hash != first


def test_editions_stand_for_several_splits(read):
    content = {key: value for key, value in GOOD.items() if key not in ("splits", "files")}
    editions = {"whole": {"splits": {"train": {"pictures": 9}}}, "half": {"splits": {"train": {"pictures": 4}}}}
    manifest = read({**content, "editions": editions})
    assert [(edition.name, edition.pictures) for edition in manifest.editions] == [("whole", 9), ("half", 4)]


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"titel": "x"}, r"titel is not a field; did you mean 'title'\?"),
        ({"name": "other"}, r"name is 'other', expected the file's name, in lower case: 'street'"),
        ({"status": "free"}, r"status: there is none called 'free'; there is: open, on request, withdrawn"),
        ({"status": "withdrawn"}, r"homepage is given, but what was withdrawn is never linked"),
        ({"homepage": "example.org"}, r"homepage is 'example\.org', expected an address"),
        ({"layout": "market"}, r"layout: there is none called 'market'; did you mean 'market1501'"),
        ({"about": ""}, r"about is '', expected a text"),
        ({"folders": "Street"}, r"folders is 'Street', expected a list"),
        ({"used_in": [9]}, r"used_in\[0\] is 9, expected a chapter"),
        ({"distractor": -1}, r"distractor is -1, expected an identity"),
        ({"splits": {"test": {}}}, r"splits\.test is not a field; there is: train, query, gallery"),
        ({"splits": {"train": {"picture": 1}}}, r"splits\.train\.picture is not a field; did you mean 'pictures'"),
        ({"splits": {"train": {"pictures": "12"}}}, r"splits\.train\.pictures is '12', expected a whole number"),
        ({"files": [{"glob": "*"}]}, r"files\[0\]\.count is None, expected a whole number"),
        ({"editions": {}}, r"editions stands beside splits or files"),
    ],
)
def test_what_is_malformed_is_named(read, change, complaint):
    with pytest.raises(ConfigError, match=f"^street.yml: {complaint}"):
        read({**GOOD, **change})


def test_a_missing_field_is_named(read):
    with pytest.raises(ConfigError, match=r"^street.yml: terms is missing"):
        read({key: value for key, value in GOOD.items() if key != "terms"})


def test_what_is_no_yaml_is_named(read):
    with pytest.raises(ConfigError, match=r"street\.yml: not valid YAML \(line 2"):
        read("name: [")
    with pytest.raises(ConfigError, match=r"^street.yml: content is None, expected a mapping"):
        read("")
