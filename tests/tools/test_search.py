"""Searching by command: the nearest pictures of a plain sort, one page that asks nothing of a network, kept private."""

import re
import stat
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from reidlab.cli import main
from reidlab.data import catalogue
from reidlab.errors import ConfigError
from reidlab.tools.embed import embed_set, file_to_write, read_or_embed, write_embedded
from reidlab.tools.embedder import read_embedder
from reidlab.tools.search import search_sets, shown_queries, write_page
from tests.tools import small_sets


@pytest.fixture
def weights(tmp_path):
    return small_sets.embedder(tmp_path / "embedder.onnx")


@pytest.fixture
def people(tmp_path, weights):
    return embed_set(str(small_sets.folder(tmp_path / "people")), read_embedder(weights))


def test_the_nearest_pictures_come_first_and_none_finds_itself(people):
    found = search_sets(people, people, top=4)
    similar = people.features @ people.features.T
    np.fill_diagonal(similar, -2)
    for query, group in found.groupby("query"):
        np.testing.assert_allclose(1 - similar[query][group["gallery"]], group["distance"], atol=1e-5)
        np.testing.assert_allclose(group["distance"], np.sort(1 - similar[query])[:4], atol=1e-5)
        assert query not in set(group["gallery"])
        assert group["rank"].tolist() == [1, 2, 3, 4]
    assert found["query"].nunique() == len(people.table)


def test_centring_makes_cameras_alike(people):
    found = search_sets(people, people, top=23, centre=True, most=1000)
    camids = people.table["camid"].to_numpy()
    features = people.features.astype(np.float64)
    for camid in (1, 2):
        features[camids == camid] -= features[camids == camid].mean(axis=0)
    features /= np.linalg.norm(features, axis=1, keepdims=True)
    expected = 1 - (features[found["query"]] * features[found["gallery"]]).sum(axis=1)
    np.testing.assert_allclose(found["distance"], expected, atol=1e-5)


def test_cameras_of_another_set_are_other_cameras(people, tmp_path, weights):
    other = embed_set(str(small_sets.folder(tmp_path / "others", people=2)), read_embedder(weights))
    shifted = type(other)(other.table.assign(camid=other.table["camid"] + 7), other.features, other.notes)
    found, expected = (search_sets(part, people, centre=True) for part in (other, shifted))
    assert found.equals(expected)
    single = read_or_embed(str(tmp_path / "others" / "1" / "cam1" / "0.png"), read_embedder(weights))
    with pytest.raises(ConfigError, match="--centre: camera 1 of the queries has one picture"):
        search_sets(single, people, centre=True)
    assert len(search_sets(single, people, top=3)) == 3


def test_queries_are_taken_evenly_where_there_are_too_many(people):
    found = search_sets(people, people, top=1, most=3)
    assert found["query"].tolist() == [0, 12, 23]


def test_a_divided_set_is_searched_by_its_queries(tmp_path, weights):
    for split in ("query", "gallery"):
        small_sets.folder(tmp_path / "divided" / split, pictures=1)
    divided = embed_set(str(tmp_path / "divided"), read_embedder(weights))
    found = search_sets(divided, divided, top=5)
    assert set(divided.table["split"][found["query"]]) == {"query"}
    assert set(divided.table["split"][found["gallery"]]) == {"gallery"}


class Page(HTMLParser):
    def __init__(self):
        super().__init__()
        self.tags, self.addresses, self.text = [], [], []

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.addresses += [value for name, value in attributes if name in ("src", "href", "srcset", "action")]

    def handle_data(self, data):
        self.text.append(data)


def test_the_page_holds_its_pictures_and_asks_for_nothing(people, tmp_path):
    out = write_page(search_sets(people, people, top=2, most=2), people, people, tmp_path / "search.html")
    assert stat.S_IMODE(out.stat().st_mode) == 0o600
    page = Page()
    page.feed(out.read_text())
    assert page.tags.count("img") == 2 * 3
    assert all(address.startswith("data:image/jpeg;base64,") for address in page.addresses)
    assert "script" not in page.tags
    assert "link" not in page.tags
    assert not re.search(r"https?://|url\(", out.read_text())
    assert any("personal data" in text for text in page.text)


def test_names_of_files_are_text_on_the_page(people, tmp_path):
    source = small_sets.folder(tmp_path / "x" / "<img src=x onerror=alert(1)>", people=1, pictures=1)
    row = people.table.index[0]
    named = people.table.copy()
    hostile = source.parent / '"><script>alert(1)<!script>.png'
    hostile.write_bytes(next(source.rglob("*.png")).read_bytes())
    named.loc[row, "path"] = str(hostile)
    odd = type(people)(named, people.features, {**people.notes, "set": "<b>set</b>\x1b[31m"})
    out = write_page(search_sets(odd, odd, top=1, most=1), odd, odd, tmp_path / "search.html")
    page = Page()
    page.feed(out.read_text())
    assert {"script", "b"}.isdisjoint(page.tags)
    assert "\x1b" not in out.read_text()
    assert all(address.startswith("data:") for address in page.addresses)


def test_an_old_page_of_anyones_becomes_private(people, tmp_path):
    out = tmp_path / "search.html"
    out.write_text("old")
    out.chmod(0o644)
    write_page(search_sets(people, people, most=1), people, people, out)
    assert stat.S_IMODE(out.stat().st_mode) == 0o600


def test_by_command_from_a_picture_and_saved_embeddings(people, weights, tmp_path, capsys):
    saved = write_embedded(people, tmp_path / "people.npz")
    picture = people.table["path"][5]
    out = tmp_path / "found.html"
    with pytest.raises(SystemExit) as end:
        main(["search", picture, str(saved), "--weights", str(weights), "--out", str(out), "--top", "3"])
    assert end.value.code in (0, None)
    assert "found.html: 1 query; it holds pictures of people, and only you may read it" in capsys.readouterr().out
    assert out.read_text().count("<img") == 1 + 3
    with pytest.raises(SystemExit) as end:
        main(["search", picture, str(saved), "--weights", str(weights), "--out", str(tmp_path / "a.txt")])
    assert end.value.code == 1
    assert "name a .html file" in capsys.readouterr().err


def test_features_of_two_networks_are_not_compared(people):
    other = type(people)(people.table, people.features, {**people.notes, "sha256": "0", "embedder": "b.onnx"})
    with pytest.raises(ConfigError, match=r"embedded by two networks, embedder\.onnx and b\.onnx"):
        search_sets(people, other)


def test_nothing_is_written_into_a_set_or_over_a_file_that_is_read(people, weights, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    root, picture = tmp_path / "people", people.table["path"][5]
    saved = write_embedded(people, tmp_path / "people.npz")
    page = tmp_path / "picture.html"
    page.write_bytes(Path(picture).read_bytes())
    outside = tmp_path / "found.html"
    assert file_to_write(outside, ".html", saved, picture, weights=weights) == outside
    with pytest.raises(ConfigError, match=f"lies in the folder of the data set, {root}"):
        file_to_write(root / "found.html", ".html", saved, weights=weights)
    with pytest.raises(ConfigError, match=r"picture\.html: is the file that is read"):
        file_to_write(page, ".html", page, weights=weights)
    with pytest.raises(ConfigError, match=r"weights\.npz: is the file that is read"):
        file_to_write(tmp_path / "weights.npz", ".npz", root, weights=tmp_path / "weights.npz")
    catalogue.add("mine", root)  # a picture alone is of no set that is known
    with pytest.raises(ConfigError, match=f"lies in the folder of the data set, {root}"):
        file_to_write(root / "found.html", ".html", picture, weights=weights)


def test_the_page_says_what_it_shows_and_where_pictures_lie(people, tmp_path):
    found = search_sets(people, people, top=1, most=3, centre=True)
    said = "3 of 24 queries of people, taken evenly over their order"
    assert shown_queries(found, "people") == said
    text = write_page(found, people, people, tmp_path / "search.html").read_text()
    assert f"<p>{said}; the nearest pictures by embedder.onnx, each camera's mean feature taken out; distances" in text
    assert "camera 1, person 1, 1/cam1/0.png<" in text
    whole = search_sets(people, people, top=1)
    assert shown_queries(whole) == "24 queries"
    assert "mean feature" not in write_page(whole, people, people, tmp_path / "search.html").read_text()
