"""Sources, objectives and networks of pseudo-label training, against what they should be piece by piece."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from reidlab.data import normalize
from reidlab.errors import ConfigError
from reidlab.losses import WeightedTriplet, augmented_triplet, soft_margin_batch_hard
from reidlab.pseudolabel.learning import (
    AugmentedSource,
    PseudoLabelledSet,
    PseudoObjective,
    RectifiedBatch,
    augmented_objective,
    expanded,
    features_of,
    learn_augmented,
    learn_pseudo,
)
from reidlab.pseudolabel.mining import MinedPairs
from reidlab.training import PictureSource
from reidlab.training.ahead import Ahead
from tests.pseudolabel import toy

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def people():
    return toy.pictures(range(6))


@pytest.fixture
def model():
    return toy.RECIPE.network(6, 0)


def source_of(people, known):
    inside = np.isin(people.pids, known)
    _, classes = np.unique(people.pids[inside], return_inverse=True)
    config = toy.RECIPE.config(8, len(known))
    plain = lambda images, generator: normalize(images) + torch.rand(1, generator=generator)  # noqa: E731
    labelled = PictureSource(people.images[inside], classes, config.p, config.k, plain)
    return AugmentedSource(labelled, people.images[~inside], 3, plain)


def test_two_views_of_the_same_unlabelled_pictures(people):
    batch = source_of(people, [0, 1, 2, 3]).batch(CPU)
    assert batch.labels.tolist()[8:] == [-1, -2, -3, -1, -2, -3]
    assert set(batch.labels.tolist()[:8]) <= {0, 1, 2, 3}
    one, other = batch.images[8:11], batch.images[11:]
    # The two views differ by the number that the transform added, nothing else.
    assert not torch.equal(one, other)
    gaps = (one - other).flatten(1)
    torch.testing.assert_close(gaps, gaps[:, :1].expand_as(gaps), atol=1e-4, rtol=0)


def test_a_stream_goes_on_where_it_stopped(people):
    source, again = source_of(people, [0, 1, 2, 3]), source_of(people, [0, 1, 2, 3])
    source.start(7, 0)
    source.batch(CPU)
    state = source.state_dict()
    wanted = [source.batch(CPU) for _ in range(3)]
    again.start(7, 0)
    again.load_state_dict(state)
    for batch in wanted:
        got = again.batch(CPU)
        assert torch.equal(got.images, batch.images)
        assert torch.equal(got.labels, batch.labels)
    assert all(not torch.equal(a.images, b.images) for a, b in pairwise(wanted))


def test_batches_made_ahead_are_the_same(people):
    alone, source = source_of(people, [0, 1, 2, 3]), source_of(people, [0, 1, 2, 3])
    with Ahead(source, CPU, 4, True) as ahead:
        for _ in range(3):
            wanted, got = alone.batch(CPU), ahead.batch()
            assert torch.equal(got.images, wanted.images)
            assert torch.equal(got.labels, wanted.labels)
    assert torch.equal(source.batch(CPU).images, alone.batch(CPU).images)


def test_the_first_objective_is_its_two_losses(people, model):
    batch = source_of(people, [0, 1, 2, 3]).batch(CPU)
    model.eval()
    values = augmented_objective(model, batch)
    output = model(batch.images)
    ce = F.cross_entropy(output.logits[:8], batch.labels[:8])
    torch.testing.assert_close(values["ce"], ce)
    torch.testing.assert_close(values["triplet"], augmented_triplet(output.features, batch.labels))
    torch.testing.assert_close(values["loss"], values["ce"] + values["triplet"])


@pytest.mark.parametrize("metric", ["batch-hard", "weighted"])
@pytest.mark.parametrize("soft", [False, True])
def test_the_rounds_objective_looks_labels_up_by_row(people, model, metric, soft):
    classes = np.where(people.pids == 2, -1, people.pids)
    targets = np.random.default_rng(0).dirichlet(np.ones(6), len(classes)).astype(np.float32) if soft else None
    work = PseudoLabelledSet(people.images, classes, targets, metric)
    groups = np.unique(classes[work.inside], return_inverse=True)[1]
    plain = lambda images, generator: normalize(images)  # noqa: E731
    batch = PictureSource(people.images[work.inside], groups, 4, 2, plain).batch(CPU)
    model.eval()
    values = PseudoObjective(work)(model, batch)
    output = model(batch.images)
    rows = work.inside[batch.rows.numpy()]
    assert 2 not in people.pids[rows]
    wanted = torch.from_numpy(targets[rows] if soft else classes[rows])
    torch.testing.assert_close(values["ce"], F.cross_entropy(output.logits, wanted))
    same = torch.from_numpy(people.pids[rows])
    triplet = soft_margin_batch_hard if metric == "batch-hard" else WeightedTriplet()
    torch.testing.assert_close(values["triplet"], triplet(output.features, same))


def test_mined_pairs_attract_and_strangers_repel(people, model):
    """The loss of mined pairs, written out: two partners of one anchor neither pull nor push unless mined as a pair."""
    # 0 is paired with 6 and 12, which are of one camera and no pair; 18 with 24. 1 is in the list of 0, one way only.
    camids = {0: 1, 6: 2, 12: 2, 18: 1, 24: 2}
    ranks = np.full((len(people), 3), -1)
    for i, near in {0: [6, 12, 1], 6: [0], 12: [0], 18: [24], 24: [18]}.items():
        ranks[i, : len(near)] = near
    mined = MinedPairs(ranks, np.array([[0, 6], [0, 12], [18, 24]]))
    rows, groups = np.array([0, 6, 12, 18, 24, 18]), torch.tensor([0, 0, 0, 1, 1, 1])
    work = PseudoLabelledSet(people.images, np.arange(len(people)), mined=mined, metric="weighted")
    batch = RectifiedBatch(torch.empty(0), torch.empty(0), torch.empty(0), torch.from_numpy(rows), groups)
    features = torch.from_numpy(np.random.default_rng(0).normal(size=(6, 4)).astype(np.float32))
    total = []
    for a, i in enumerate(rows):
        gaps = (features - features[a]).norm(dim=1)
        partners = [b for b, j in enumerate(rows) if {i, j} in ({0, 6}, {0, 12}, {18, 24})]
        strangers = [b for b in range(6) if groups[b] != groups[a]]
        assert {camids[rows[b]] for b in partners} == {3 - camids[i]}
        far, near = gaps[partners], gaps[strangers]
        total.append(F.softplus((far.softmax(0) * far).sum() - ((-near).softmax(0) * near).sum()))
    torch.testing.assert_close(PseudoObjective(work)._icm(features, batch), torch.stack(total).mean())


def test_a_set_that_teaches_nothing(people):
    with pytest.raises(ConfigError, match="fewer than two"):
        PseudoLabelledSet(people.images, np.where(people.pids == 1, 0, -1))
    with pytest.raises(ConfigError, match="one per picture"):
        PseudoLabelledSet(people.images, people.pids[1:])
    with pytest.raises(ConfigError, match="metric: there is none called 'cosine'"):
        PseudoLabelledSet(people.images, people.pids, metric="cosine")


def test_more_classes_and_the_same_features(people, model):
    with torch.no_grad():
        model.neck.bn.running_mean += 0.3
    wide = expanded(model, 9, 4, seed=1)
    assert wide.num_classes == wide.neck.classifier.out_features == 9
    assert torch.equal(wide.neck.classifier.weight[:4], model.neck.classifier.weight[:4])
    assert not torch.equal(wide.neck.classifier.weight[4:6], model.neck.classifier.weight[4:6])
    assert not wide.neck.bn.bias.requires_grad
    images = normalize(torch.from_numpy(people.images[:4]))
    model.eval(), wide.eval()
    torch.testing.assert_close(wide(images).embedding, model(images).embedding)
    with torch.no_grad():
        wide.backbone.conv1.weight.zero_()
    assert model.backbone.conv1.weight.any()
    with pytest.raises(ConfigError, match="keep: 7"):
        expanded(model, 9, 7, seed=1)


def test_features_of_halves(people, model):
    found = features_of(model, people.images[:5], parts=2, batch_size=2)
    model.eval()
    with torch.no_grad():
        maps = model.backbone(normalize(torch.from_numpy(people.images[:5])))
    height = maps.shape[2]
    np.testing.assert_allclose(found.whole, maps.mean((2, 3)).numpy(), atol=1e-5)
    np.testing.assert_allclose(found.parts[0], maps[:, :, : height // 2].mean((2, 3)).numpy(), atol=1e-5)
    np.testing.assert_allclose(found.parts[1], maps[:, :, height // 2 :].mean((2, 3)).numpy(), atol=1e-5)
    assert features_of(model, people.images[:2]).parts == ()
    with pytest.raises(ConfigError, match="parts: 99"):
        features_of(model, people.images[:2], parts=99)


def test_training_repeats_and_learns(people):
    known = people.select(people.pids < 4)
    other = people.select(people.pids >= 4)
    one, two = (learn_augmented(toy.RECIPE, known, other, 8, seed=3, count=3) for _ in range(2))
    for a, b in zip(one.state_dict().values(), two.state_dict().values()):
        assert torch.equal(a, b)
    work = PseudoLabelledSet(people.images, people.pids)
    before = toy.RECIPE.network(6, 0)
    after = learn_pseudo(toy.RECIPE, expanded(before, 6, 6, 0), work, 40, 1, lr=5e-4).eval()
    logits = after(normalize(torch.from_numpy(people.images))).logits
    assert (logits.argmax(1).numpy() == people.pids).mean() > 0.6


def test_a_batch_never_asks_for_more_identities_than_there_are(people):
    assert toy.RECIPE.config(5, classes=3).p == 3
    with pytest.raises(ConfigError, match="count: 0"):
        learn_augmented(toy.RECIPE, people, people, 8, seed=3, count=0)
    with pytest.raises(ConfigError, match="iterations"):
        learn_augmented(toy.RECIPE, people, people, 0, seed=3)
