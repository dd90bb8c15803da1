"""A data set in memory: decoded once, embedded once, its masks and splits checked."""

import numpy as np
import pytest
from PIL import Image

from reidlab.data import make_table
from reidlab.data.decoded import DataSet, Pictures, from_table
from reidlab.errors import ConfigError, DataError
from reidlab.evaluation import Embeddings, evaluate
from reidlab.evaluation.centring import centred


@pytest.fixture
def table(tmp_path):
    """Six people by two cameras; the queries lie in the gallery too, as in MARS. One training picture is junk."""
    rows, number = [], 0
    for pid in range(1, 7):
        for camid in (1, 2):
            path = tmp_path / f"{pid}_{camid}.png"
            Image.fromarray(np.full((8, 4, 3), 20 * pid + camid, np.uint8)).save(path)
            split = "train" if pid <= 3 else "gallery"
            rows.append((str(path), pid, camid, number, 0, split))
            if split == "gallery" and camid == 1:
                rows.append((str(path), pid, camid, number, 0, "query"))
            number += 1
    rows.append((rows[0][0], -1, 1, number, 0, "train"))
    names = ("path", "pid", "camid", "tracklet", "frame", "split")
    return make_table("six people", **{name: [row[i] for row in rows] for i, name in enumerate(names)})


def colours(pictures):
    return Embeddings(pictures.images.mean((1, 2)), pictures.pids, pictures.camids, pictures.tracklets)


def test_splits_are_read_and_junk_is_not_trained_on(table):
    data = from_table(table, (8, 4))
    assert (len(data.train), len(data.query), len(data.gallery)) == (6, 3, 6)
    assert data.name == "six people"
    assert data.train.identities == 3
    assert data.train.size == (8, 4)
    assert (data.query.images[:, 0, 0, 0] == 20 * data.query.pids + data.query.camids).all()


def test_a_query_that_lies_in_the_gallery_is_decoded_and_embedded_once(table, monkeypatch):
    from reidlab.data import images

    decoded, opened = [], images._decode
    monkeypatch.setattr(images, "_decode", lambda chunk, out: decoded.extend(chunk) or opened(chunk, out))
    data = from_table(table, (8, 4))
    assert len(decoded) == 12
    seen = []
    query, gallery = data.embed(lambda part: seen.append(len(part)) or colours(part))
    assert seen == [6]
    assert np.array_equal(query.features, colours(data.query).features)
    assert np.array_equal(gallery.pids, data.gallery.pids)


def test_queries_of_their_own_are_embedded_apart(table):
    data = from_table(table, (8, 4))
    apart = DataSet("apart", data.train, data.query, data.gallery.select(data.gallery.camids == 2))
    seen = []
    query, _ = apart.embed(lambda part: seen.append(len(part)) or colours(part))
    assert seen == [3, 3]
    assert np.array_equal(query.features, colours(apart.query).features)


def test_one_embedding_per_tracklet_is_matched_by_its_number(table):
    data = from_table(table, (8, 4))
    query, gallery = data.embed(lambda part: colours(part).tracklet_means())
    assert query.tracklets.tolist() == sorted(data.query.tracklets)
    assert np.array_equal(query.features, gallery.features[np.isin(gallery.tracklets, query.tracklets)])


@pytest.mark.parametrize("centre", [False, True])
def test_scores_are_those_of_the_evaluation(table, centre):
    data = from_table(table, (8, 4))
    parts = colours(data.query), colours(data.gallery)
    wanted = evaluate(*(centred(*parts) if centre else parts), "no-camera-rule")
    assert data.score(colours, "no-camera-rule", centre).summary() == wanted.summary()
    assert data.score(colours).protocol == data.protocol == "market1501"


@pytest.mark.parametrize("split", ["train", "query", "gallery"])
def test_an_empty_split_is_named(table, split):
    rest = table[table["split"] != split].reset_index(drop=True)
    with pytest.raises(DataError, match=f"split '{split}' has no pictures"):
        from_table(rest, (8, 4), "half")
    if split == "train":
        assert len(from_table(rest, (8, 4), train=False).train) == 0


def test_pictures_must_fit_their_rows(table):
    rows = table.iloc[:3]
    with pytest.raises(ConfigError, match=r"expected uint8 \(3, H, W, 3\)"):
        Pictures(rows, np.zeros((2, 8, 4, 3), np.uint8))
    with pytest.raises(ConfigError, match="float32"):
        Pictures(rows, np.zeros((3, 8, 4, 3), np.float32))


def test_a_mask_outside_its_picture_is_refused(table):
    rows = table.iloc[:2]
    images = np.zeros((2, 8, 4, 3), np.uint8)
    with pytest.raises(DataError):
        Pictures(rows, images, np.array([[0, 8, 0, 4], [0, 9, 0, 4]]))
    whole = Pictures(rows, images, np.array([[0, 8, 0, 4], [2, 6, 1, 3]]))
    assert whole.select(np.array([1])).masks.tolist() == [[2, 6, 1, 3]]


def test_frames_and_originals_of_a_tracklet(table):
    data = from_table(table, (16, 8))
    number = int(data.gallery.tracklets[2])
    rows = data.gallery.frames_of(number, 3)
    assert rows.tolist() == [2, 2, 2]
    assert data.gallery.originals(rows).shape == (3, 8, 4, 3)
    with pytest.raises(ConfigError, match="tracklet 999"):
        data.gallery.frames_of(999, 1)


def test_tracklets_of_one_frame_are_matched_by_number_whatever_their_order(table):
    backwards = table.assign(tracklet=table["tracklet"].max() - table["tracklet"])
    data = from_table(backwards, (8, 4))
    query, gallery = data.embed(lambda part: colours(part).tracklet_means())
    assert query.tracklets.tolist() == sorted(data.query.tracklets)
    assert query.pids.tolist() == [int(data.query.pids[data.query.tracklets == n][0]) for n in query.tracklets]
    assert not data.gallery.each_in(gallery)
