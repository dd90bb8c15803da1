"""The label audit: its statistics against plain loops, its finds on faults that were put in, and what it refuses."""

import tracemalloc

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.optimize import nnls
from scipy.stats import norm
from sklearn.metrics import average_precision_score
from torch import nn

from reidlab.data import make_table
from reidlab.errors import ConfigError, DataError
from reidlab.evaluation import Embeddings
from reidlab.models import Output
from reidlab.video import audit as room
from reidlab.video.audit import KINDS, audit, audit_scores, two_people


def people(seed=0, identities=24, cameras=3, shots=2, noise=0.5, width=24):
    """Return features of clear identities before cameras that each add something of their own, and their labels."""
    random = np.random.default_rng(seed)
    pids = np.repeat(np.arange(1, identities + 1), cameras * shots)
    camids = np.tile(np.repeat(np.arange(1, cameras + 1), shots), identities)
    centres, looks = random.normal(size=(identities + 1, width)), random.normal(size=(cameras + 1, width))
    features = centres[pids] + looks[camids] + noise * random.normal(size=(len(pids), width))
    return features, pids, camids


def faulty(seed=0, **changes):
    """Put every kind of fault into clear identities; return embeddings and the truth."""
    features, pids, camids = people(seed, **changes)
    random = np.random.default_rng(seed + 1)
    label, fault, other = pids.copy(), np.full(len(pids), "", dtype=object), np.full(len(pids), -1)
    rows = random.permutation(len(pids))
    last = pids.max()
    wrong, buried, both = rows[:6], rows[6:12], rows[12:18]
    label[wrong], fault[wrong] = pids[wrong] % last + 1, "label"
    label[buried], fault[buried] = 0, "buried"
    for row in both:
        other[row] = (pids[row] + 5) % last + 1
        features[row] = (features[row] + features[np.flatnonzero(pids == other[row])[0]]) / 2
    fault[both] = "ambiguous"
    for pid in (2, 9):
        second = (pids == pid) & (camids != 1) & (fault == "")
        label[second], fault[second] = last + pid, "duplicate"
    strangers = random.normal(size=(8, features.shape[1])) + features.mean(axis=0)
    numbers = np.arange(1, len(pids) + 9)
    embeddings = Embeddings(
        np.concatenate([features, strangers]),
        np.r_[label, np.zeros(8, int)],
        np.r_[camids, np.tile([1, 2], 4)],
        numbers,
    )
    truth = pd.DataFrame({
        "tracklet": numbers, "label": embeddings.pids, "pid": np.r_[pids, np.full(8, 999)],
        "fault": np.r_[fault, np.full(8, "")], "other": np.r_[other, np.full(8, -1)],
    })  # fmt: skip
    return embeddings, truth


def test_faults_in_clear_features_are_found_first():
    embeddings, truth = faulty()
    report = audit(embeddings)
    scores = audit_scores(report, truth)
    assert set(scores) == {*KINDS, "any"}
    for kind, least in (("label error", 0.9), ("split identity", 0.9), ("buried", 0.99), ("ambiguous", 0.6)):
        assert scores[kind].average_precision > least, kind
        assert scores[kind].average_precision > 3 * scores[kind].chance or kind == "buried"
    assert scores["any"].at(10)[0] >= 0.9
    true = truth.set_index("tracklet")
    for kind, fault, column in (
        ("label error", "label", "pid"), ("buried", "buried", "pid"), ("ambiguous", "ambiguous", "other")
    ):  # fmt: skip
        found = report[(report.kind == kind) & (true.fault[report.tracklet] == fault).to_numpy()]
        right = found.suggested_pid.to_numpy() == true[column][found.tracklet].to_numpy()
        assert right.mean() >= 0.8, kind


def test_the_report_is_sorted_and_its_evidence_has_the_suggested_label():
    embeddings, truth = faulty(seed=3)
    report = audit(embeddings)
    assert list(report) == ["tracklet", "pid", "camid", "kind", "score", "suggested_pid", "evidence"]
    assert report.score.is_monotonic_decreasing
    assert report.score.between(0, 1).all()
    label = truth.set_index("tracklet").label
    assert (label[report.tracklet].to_numpy() == report.pid).all()
    assert (label[report.evidence].to_numpy() == report.suggested_pid).all()
    assert (report.suggested_pid != report.pid).all()
    assert not report.duplicated(["tracklet", "kind"]).any()
    assert set(report.tracklet[report.kind == "buried"]) == set(truth.tracklet[truth.label == 0])
    assert (report.pid[report.kind != "buried"] > 0).all()
    splits = report[report.kind == "split identity"]
    pairs = set(zip(splits.pid, splits.suggested_pid))
    assert all((b, a) in pairs for a, b in pairs), "each is the other's nearest"


def test_order_scale_and_names_do_not_matter():
    embeddings, _ = faulty(seed=1)
    report = audit(embeddings)
    order = np.random.default_rng(5).permutation(len(embeddings))
    shuffled = audit(embeddings.select(order))
    pd.testing.assert_frame_equal(shuffled, report, check_exact=False, rtol=1e-4)
    scaled = Embeddings(8 * embeddings.features, embeddings.pids, embeddings.camids, embeddings.tracklets)
    pd.testing.assert_frame_equal(audit(scaled), report, check_exact=False, rtol=1e-4)
    renamed = np.where(embeddings.pids > 0, 10 * embeddings.pids, embeddings.pids)
    other = audit(Embeddings(embeddings.features, renamed, 3 + embeddings.camids, embeddings.tracklets))
    for column in ("pid", "suggested_pid"):
        other[column] //= 10
    other["camid"] -= 3
    pd.testing.assert_frame_equal(other, report, check_exact=False, rtol=1e-4)
    assert not audit(embeddings, seed=1).equals(report)


def test_junk_is_left_out_and_rows_stand_for_missing_numbers():
    embeddings, _ = faulty(seed=2)
    pids = embeddings.pids.copy()
    pids[:4] = -1
    report = audit(Embeddings(embeddings.features, pids, embeddings.camids))
    assert set(report.tracklet) | set(report.evidence) <= set(range(4, len(pids)))
    kept = np.arange(4, len(pids))
    same = audit(Embeddings(embeddings.features[4:], pids[4:], embeddings.camids[4:], kept))
    pd.testing.assert_frame_equal(report, same)


def test_without_a_distractor_class_identity_0_is_a_person():
    features, pids, camids = people()
    report = audit(Embeddings(features, pids - 1, camids), distractors=False)
    assert set(report.kind) == set(KINDS) - {"buried"}
    assert 0 in set(report.pid)


def by_hand(features, pids, camids):
    """Log-odds of all pairs, from cosines of centred features and two Gaussians for each relation of cameras."""
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    for camid in set(camids):
        unit[camids == camid] -= unit[camids == camid].mean(axis=0)
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    n = len(pids)
    samples = {(c, p): [] for c in (False, True) for p in (False, True)}
    for i in range(n):
        for j in range(i + 1, n):
            samples[camids[i] == camids[j], pids[i] == pids[j]].append(unit[i] @ unit[j])
    odds = np.zeros((n, n))
    for i in range(n):
        for j in range(n):
            different, same = (np.array(samples[camids[i] == camids[j], p]) for p in (False, True))
            spread = np.sqrt((different.var() + same.var()) / 2)
            cosine = unit[i] @ unit[j]
            odds[i, j] = norm.logpdf(cosine, same.mean(), spread) - norm.logpdf(cosine, different.mean(), spread)
    return odds


def test_evidence_equals_its_definition():
    features, pids, camids = people(identities=6, cameras=2, shots=3, noise=1.0, width=5)
    odds = by_hand(features.copy(), pids, camids)
    gallery = room._Gallery.of(Embeddings(features, pids, camids), distractors=True)
    others, own = np.concatenate([block for _, block, _ in gallery.evidence()]), gallery.own_evidence
    for i in range(len(pids)):
        for place, identity in enumerate(range(1, 7)):
            members = [j for j in range(len(pids)) if pids[j] == identity and j != i]
            inner = np.mean([odds[j, k] for j in members for k in members if j != k])
            value = np.mean([odds[i, j] for j in members]) - inner / 2
            if pids[i] == identity:
                assert own[i] == pytest.approx(value, abs=1e-3)
                assert others[i, place] == -np.inf
            else:
                assert others[i, place] == pytest.approx(value, abs=1e-3)


def test_blocks_of_rows_give_the_same_report(monkeypatch):
    embeddings, _ = faulty()
    whole = audit(embeddings)
    for size in (1, 4 * 152 * 7, 4 * 152 * 50):
        monkeypatch.setattr(room, "_BLOCK_BYTES", size)
        blocks = audit(embeddings)
        # Scores that are equal but for rounding may change places.
        np.testing.assert_allclose(blocks["score"], whole["score"], rtol=1e-5)
        found, wanted = (report.sort_values(["tracklet", "kind"], ignore_index=True) for report in (blocks, whole))
        pd.testing.assert_frame_equal(found, wanted, rtol=1e-5)


def test_memory_grows_with_the_tracklets_and_not_with_their_square(monkeypatch):
    monkeypatch.setattr(room, "_BLOCK_BYTES", 2**19)
    peaks = []
    for identities in (300, 1200):
        features, pids, camids = people(identities=identities, cameras=2, shots=1)
        embeddings = Embeddings(features, pids, camids)
        tracemalloc.start()
        try:
            audit(embeddings)
            peaks.append(tracemalloc.get_traced_memory()[1])
        finally:
            tracemalloc.stop()
    assert peaks[1] < 16 * 2**20  # one table of tracklets and identities alone has 22 MiB
    assert peaks[1] < 4 * peaks[0]


def test_halves_are_compared_by_their_energy_distance():
    features, pids, camids = people(identities=4, cameras=4, shots=2, noise=1.0, width=6)
    odds = by_hand(features.copy(), pids, camids)
    gallery = room._Gallery.of(Embeddings(features, pids, camids), distractors=True)
    for identity in range(4):
        value = room._halved(gallery, identity, seed=0)
        rows = np.flatnonzero(pids == identity + 1)
        options = []
        for pair in ((1, 2), (1, 3), (1, 4), (2, 3), (2, 4), (3, 4)):
            halves = [[r for r in rows if (camids[r] in pair) == side] for side in (True, False)]
            inner = [np.mean([odds[a, b] for a in half for b in half if a != b]) for half in halves]
            options.append(np.mean([odds[a, b] for a in halves[0] for b in halves[1]]) - sum(inner) / 2)
        assert np.abs(np.array(options) - value).min() < 1e-3


def test_mixtures_are_those_of_least_squares():
    random = np.random.default_rng(0)
    features, means = np.abs(random.normal(size=(8, 6))), np.abs(random.normal(size=(4, 6)))
    label = np.arange(8) % 4
    own = means[label] + 0.1 * random.normal(size=(8, 6))
    share, best = room._shares(features, own, label, means)
    for row in range(8):
        fits = {}
        for z in set(range(4)) - {label[row]}:
            parts, residual = nnls(np.stack([own[row], means[z]], axis=1), features[row])
            fits[z] = (residual, min(parts[0] * np.linalg.norm(own[row]), parts[1] * np.linalg.norm(means[z])))
        mixed = {z: fit for z, fit in fits.items() if fit[1] > 0}
        if not mixed:
            assert share[row] == 0
            continue
        assert best[row] == min(mixed, key=mixed.get)
        assert share[row] == pytest.approx(mixed[best[row]][1], abs=1e-6)


def test_scores_are_odds_of_two_samples():
    clean, bad = np.array([0.0, 1.0, 2.0]), np.array([3.0, 4.0, 5.0, -np.inf])
    spread = np.sqrt(2 / 3)
    values = np.array([-1.0, 2.5, 6.0])
    ratio = norm.pdf(values, 4, spread) / (norm.pdf(values, 4, spread) + norm.pdf(values, 1, spread))
    np.testing.assert_allclose(room._probability(values, clean, bad), ratio, rtol=1e-9)
    # Faults that look no worse than what is there, or too few to tell: all is open.
    assert room._probability(values, bad, clean).tolist() == [0.5] * 3
    assert room._probability(values, clean, bad[:1]).tolist() == [0.5] * 3


def test_one_camera_is_enough():
    features, pids, _ = people(cameras=1, shots=6)
    label = pids.copy()
    label[[0, 40]] = label[[40, 0]]
    report = audit(Embeddings(features, label, np.ones(len(pids), int)))
    first = report[report.kind == "label error"].head(2)
    assert set(first.tracklet) == {0, 40}
    assert set(zip(first.pid, first.suggested_pid)) == {(pids[40], pids[0]), (pids[0], pids[40])}


def test_an_identity_of_one_tracklet_has_no_label_error_but_may_be_half_of_a_split():
    features, pids, camids = people(noise=0.2)
    label = pids.copy()
    label[0] = 100
    report = audit(Embeddings(features, label, camids))
    assert set(report.kind[report.tracklet == 0]) == {"split identity"}
    assert report.suggested_pid[report.tracklet == 0].tolist() == [1]


def test_given_odds_of_two_people_decide_ambiguity():
    embeddings, truth = faulty()
    odds = np.where(truth.fault == "ambiguous", 3.0, -3.0)
    report = audit(embeddings, two_people=odds)
    found = report[report.kind == "ambiguous"]
    assert set(found.tracklet.head(6)) == set(truth.tracklet[truth.fault == "ambiguous"])
    assert found.score.head(6).tolist() == pytest.approx([1 / (1 + np.exp(-3))] * 6)


@pytest.mark.parametrize(
    ("pids", "words"),
    [
        ([0, 0, 0, 0], "0 identities, .*4 distractors; an audit needs"),
        ([-1, -1, -1, -1], "0 identities"),
        ([1, 2, 3, 4], "4 identities, the largest of 1 tracklet,"),
        ([1, 1, 1, 0], "1 identity, the largest of 3 tracklets, and 1 distractor;"),
    ],
)
def test_galleries_without_anything_to_compare_are_refused(pids, words):
    with pytest.raises(DataError, match=words):
        audit(Embeddings(np.eye(4), pids, [1, 2, 1, 2]))


def test_features_that_tell_nothing_are_refused():
    features = np.array([[1.0, 0], [-1, 0.1], [1, 0.1], [-1, 0]])
    with pytest.raises(DataError, match=r"mean cosine is -.* within identities .*cannot tell right labels from wrong"):
        audit(Embeddings(features, [1, 1, 2, 2], [1, 1, 1, 1]))


@pytest.mark.parametrize("odds", [np.zeros(3), np.full(152, np.nan), np.zeros((152, 1))])
def test_odds_that_do_not_fit_are_refused(odds):
    embeddings, _ = faulty()
    assert len(embeddings) == 152
    with pytest.raises(DataError, match="two_people: expected 152 finite values"):
        audit(embeddings, two_people=odds)


def listed(kind, *tracklets):
    scores = 1.0 - 0.01 * np.arange(len(tracklets))
    return pd.DataFrame({"tracklet": tracklets, "kind": kind, "score": scores})


def test_precision_and_recall_are_those_of_the_list():
    random = np.random.default_rng(0)
    wrong = random.random(60) < 0.3
    truth = pd.DataFrame({
        "tracklet": np.arange(60), "label": 1 + np.arange(60) // 4, "pid": 1 + np.arange(60) // 4,
        "fault": np.where(wrong, "label", ""),
    })  # fmt: skip
    order = random.permutation(60)
    scores = audit_scores(listed("label error", *order), truth)["label error"]
    confidence = np.empty(60)
    confidence[order] = -np.arange(60)
    assert scores.average_precision == pytest.approx(average_precision_score(wrong, confidence))
    assert (scores.total, scores.chance) == (wrong.sum(), wrong.mean())
    assert scores.at(20) == pytest.approx((wrong[order[:20]].mean(), wrong[order[:20]].sum() / wrong.sum()))
    assert scores.at(999) == pytest.approx((wrong.mean(), 1.0))
    with pytest.raises(ConfigError, match="n: 0"):
        scores.at(0)


def test_both_labels_of_a_divided_person_are_right_and_what_is_not_listed_is_missed():
    truth = pd.DataFrame({
        "tracklet": [1, 2, 3, 4, 5, 6, 7], "label": [1, 1, 50, 2, 1, 0, -1], "pid": [1, 1, 1, 2, 2, 9, 2],
        "fault": ["", "", "duplicate", "", "label", "", "junk"], "split": "test",
    })  # fmt: skip
    training = truth.assign(split="train", fault="label")
    scores = audit_scores(listed("split identity", 3, 4, 1), pd.concat([training, truth]))
    split = scores["split identity"]
    assert split.total == 3
    assert split.average_precision == pytest.approx((1 + 2 / 3) / 3)
    assert split.recall.tolist() == pytest.approx([1 / 3, 1 / 3, 2 / 3])
    assert split.chance == pytest.approx(3 / 5)
    assert scores["any"].total == 4
    assert np.isnan(scores["buried"].average_precision)
    assert scores["label error"].average_precision == 0
    with pytest.raises(DataError, match="lists nothing of kind 'label error'"):
        scores["label error"].at(5)


def test_a_report_of_another_world_is_refused():
    truth = pd.DataFrame({"tracklet": [1], "label": [1], "pid": [1], "fault": [""]})
    with pytest.raises(DataError, match="tracklet 2 is not among the 1 test tracklets"):
        audit_scores(listed("buried", 1, 2), truth)
    with pytest.raises(DataError, match="truth: column 'fault' is missing"):
        audit_scores(listed("buried", 1), truth.drop(columns="fault"))


class Coarse(nn.Module):
    """A network that describes a picture by its colours in 4 x 4 fields, without learning."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1))

    def forward(self, images):
        features = nn.functional.adaptive_avg_pool2d(images, 4).flatten(1) * self.scale
        return Output(features, features, features)


def figures(seed=0, singles=240, pairs=30):
    """Draw grey pictures with one bright figure in the middle, and some with two beside it."""
    random = np.random.default_rng(seed)
    images = np.full((singles + pairs, 32, 16, 3), 90, dtype=np.uint8)
    for number, image in enumerate(images):
        for middle in (8,) if number < singles else (4, 11):
            at = middle + random.integers(-1, 2)
            image[4:30, max(at - 2, 0) : at + 3] = random.integers(150, 256, 3)
    return images


def test_two_people_are_told_from_one_without_being_shown_any():
    images = figures()
    n = len(images)
    table = make_table(
        "figures", path=[f"/{i}.jpg" for i in range(n)], pid=1 + np.arange(n) % 30, camid=1 + np.arange(n) % 2,
        split="gallery",
    )  # fmt: skip
    odds = two_people(Coarse(), table, (32, 16), images=images)
    assert odds.shape == (n,)
    assert average_precision_score(np.arange(n) >= 240, odds) > 0.8
    assert (odds == two_people(Coarse(), table, (32, 16), images=images)).all()
    assert (odds != two_people(Coarse(), table, (32, 16), images=images, seed=1)).any()


@pytest.mark.parametrize("pids", [[1, 1, 1, 1], [-1, -1, -1, -1], [1, 2, -1, -1]])
def test_where_no_two_people_can_be_put_together_nothing_is_said(pids):
    table = make_table("few", path=["/a", "/b", "/c", "/d"], pid=pids, camid=[1, 2, 1, 2], split="gallery")
    assert two_people(Coarse(), table, (32, 16), images=figures(singles=4, pairs=0)) is None


def test_composites_hold_the_left_and_the_right_of_two_pictures():
    left, right = np.full((3, 32, 16, 3), 10, np.uint8), np.full((3, 32, 16, 3), 200, np.uint8)
    both = room._side_by_side(left, right, np.random.default_rng(0))
    assert both.shape == left.shape
    assert (both[:, :, :5] < 20).all()
    assert (both[:, :, -5:] > 190).all()
