"""Searching by command: the nearest pictures of a plain sort, one page that asks nothing of a network, kept private."""

import re
import stat
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from reidlab.cli import main
from reidlab.data import catalogue
from reidlab.errors import ConfigError, DataError
from reidlab.tools.embed import embed_set, file_to_write, read_embedded, read_or_embed, write_embedded
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
    one = type(other)(other.table[:4], other.features[:4], other.notes)  # three pictures of cam1, one of cam2
    with pytest.raises(ConfigError, match=r"^--centre: camera cam2 of the queries has one picture"):
        search_sets(one, people, centre=True)
    single = read_or_embed(str(tmp_path / "others" / "1" / "cam1" / "0.png"), read_embedder(weights))
    words = r"^--centre: 0\.png is no picture of people, so .* put it into its camera's folder"
    with pytest.raises(ConfigError, match=words):
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
    assert "camera cam1, person 1, 1/cam1/0.png<" in text
    whole = search_sets(people, people, top=1)
    assert shown_queries(whole) == "24 queries"
    assert "mean feature" not in write_page(whole, people, people, tmp_path / "search.html").read_text()


def test_a_query_does_not_find_itself_by_another_path(people, weights, tmp_path, monkeypatch):
    (tmp_path / "link").symlink_to(tmp_path / "people")
    (tmp_path / "alone.png").symlink_to(people.table["path"][5])
    (tmp_path / "beside").mkdir()
    monkeypatch.chdir(tmp_path / "beside")
    embedder, expected = read_embedder(weights), search_sets(people, people, top=23, centre=True)
    for name in ("../people", "../link", tmp_path / "link"):
        again = read_or_embed(name, embedder)
        for found in (search_sets(again, people, top=23, centre=True), search_sets(people, again, 23, centre=True)):
            np.testing.assert_array_equal(found, expected)
    for name in ("../link/2/cam2/2.png", "../people/2/cam2/2.png"):
        assert 11 not in set(search_sets(read_or_embed(name, embedder), people, top=24)["gallery"])
    assert 5 not in set(search_sets(read_or_embed("../alone.png", embedder), people, top=24)["gallery"])


def test_of_a_picture_that_a_gallery_lists_twice_none_finds_itself(people):
    rows = [*range(24), 7]
    twice = type(people)(people.table.loc[rows].reset_index(drop=True), people.features[rows], people.notes)
    found = search_sets(twice, twice, top=25)
    assert {7, 24}.isdisjoint(found.loc[found["query"] == 7, "gallery"])


def test_a_picture_of_the_gallery_has_its_camera_and_another_none(people, weights, tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "people")
    single = read_or_embed(tmp_path / "link" / "2" / "cam2" / "0.png", read_embedder(weights))
    found = search_sets(single, people, top=3, centre=True)
    expected = search_sets(people, people, top=3, centre=True).query("query == 9")
    np.testing.assert_array_equal(found["gallery"], expected["gallery"])
    np.testing.assert_allclose(found["distance"], expected["distance"], atol=1e-5)
    assert "query<br>camera cam2, person 2, 2/cam2/0.png<" in page_of(found, single, people, tmp_path)
    (tmp_path / "new.png").write_bytes(Path(people.table["path"][9]).read_bytes())
    alone = read_or_embed(tmp_path / "new.png", read_embedder(weights))
    assert "query<br>new.png<" in page_of(search_sets(alone, people), alone, people, tmp_path)


def page_of(found, query, gallery, place):
    return write_page(found, query, gallery, place / "search.html").read_text()


def test_people_of_two_sets_are_not_shown_by_numbers_that_look_like_a_match(people, weights, tmp_path):
    source = small_sets.folder(tmp_path / "source", people=2)
    for person, name in (("1", "zoe"), ("2", "0001")):
        (source / person).rename(tmp_path / name)
        (tmp_path / name).rename(tmp_path / "source" / name)
    other = embed_set(str(source), read_embedder(weights))
    assert sorted(set(other.table["pid"])) == [1, 2]
    page = page_of(search_sets(other, people), other, people, tmp_path)
    assert "query<br>camera cam1, person zoe, zoe/cam1/0.png<" in page
    assert "query<br>camera cam1, 0001/cam1/0.png<" in page
    assert not re.search(r"person \d", page)
    plain = type(other)(other.table.drop(columns=["person", "camera"]), other.features, other.notes)
    assert "query<br>camera 1, zoe/cam1/0.png<" in page_of(search_sets(plain, people), plain, people, tmp_path)
    assert "query<br>camera 1, person 2, zoe/cam1/0.png<" in page_of(search_sets(plain, plain), plain, plain, tmp_path)


def test_names_are_kept_with_features_and_files_without_them_are_read(people, tmp_path):
    path = write_embedded(people, tmp_path / "people.npz")
    assert read_embedded(path).table["camera"].tolist() == people.table["camera"].tolist()
    held = dict(np.load(path))
    for wrong in (held["pid"], held["person"].astype("S"), held["person"][:, None], held["person"][1:]):
        np.savez(path, **{**held, "person": wrong})
        with pytest.raises(DataError, match=r"people\.npz: .*person"):
            read_embedded(path)
    np.savez(path, **{name: array for name, array in held.items() if name not in ("person", "camera")})
    old = read_embedded(path)
    assert {"person", "camera"}.isdisjoint(old.table)
    assert search_sets(old, people, top=3, centre=True).equals(search_sets(people, people, top=3, centre=True))
    assert "camera 1, person 1, 1/cam1/0.png<" in page_of(search_sets(old, old), old, old, tmp_path)


def test_a_camera_with_one_picture_is_not_centred(people):
    def without(rows):
        kept = people.table.drop(index=rows)
        return type(people)(kept.reset_index(drop=True), people.features[kept.index], people.notes)

    second = people.table.index[people.table["camid"] == 2].tolist()
    with pytest.raises(ConfigError, match=r"^--centre: camera cam2 of the gallery has one picture"):
        search_sets(people, without(second[1:]), centre=True)
    few = without(second[2:])
    assert len(search_sets(few, few, top=2, centre=True)) == 2 * 14
    search_sets(without(second[1:]), people, centre=True)  # its mean is that of the gallery
    assert len(search_sets(without(second[1:]), without(second[1:]), top=1)) == 13


def test_saved_embeddings_need_no_network(people, weights, tmp_path, capsys):
    saved, out = write_embedded(people, tmp_path / "people.npz"), tmp_path / "found.html"
    with pytest.raises(SystemExit) as end:
        main(["search", str(saved), str(saved), "--out", str(out)])
    assert end.value.code in (0, None)
    assert capsys.readouterr().out.startswith(f"made {out}: 24 queries")
    with pytest.raises(SystemExit) as end:
        main(["search", str(saved), str(saved), "--out", str(out)])
    assert capsys.readouterr().out.startswith(f"replaced {out}: 24 queries")
    for names in ([saved, tmp_path / "people"], [people.table["path"][0], saved]):
        with pytest.raises(SystemExit) as end:
            main(["search", *map(str, names), "--out", str(out)])
        assert end.value.code == 1
        assert re.match(r"error: --weights: \S+ is to be embedded; give the file of a", capsys.readouterr().err[-200:])


def test_a_folder_that_holds_only_the_query_is_refused(weights, tmp_path, capsys):
    picture = small_sets.folder(tmp_path / "alone", people=1, cameras=1, pictures=1) / "1" / "cam1" / "0.png"
    with pytest.raises(SystemExit) as end:
        main(
            ["search", str(picture), str(tmp_path / "alone"), "--weights", str(weights), "--out", f"{tmp_path}/a.html"]
        )
    assert end.value.code == 1
    said = capsys.readouterr().err.splitlines()[-1]
    assert said == "error: alone: holds only the query; there is nothing else to find"
    assert not (tmp_path / "a.html").exists()
