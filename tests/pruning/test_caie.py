"""CAIE where the optimum is known by enumeration, and prunings that are stopped and go on."""

import json
import re
from itertools import combinations

import numpy as np
import pytest
import torch
from torch import nn

from reidlab.errors import ConfigError, DataError, RunError
from reidlab.models.narrow_resnet import CifarResNet, cifar_stages
from reidlab.models.vdsr import vdsr
from reidlab.pruning.caie import RANKINGS, Settings, by_aim, by_caie, by_loss, choose, prune
from reidlab.pruning.candidates import candidates
from reidlab.pruning.couplings import follow
from reidlab.pruning.latency import latency_of
from reidlab.pruning.loss_impact import AVERAGES, SCORES
from reidlab.pruning.resources import Layers, resource
from tests.kills import check_resumed
from tests.pruning.networks import network

SHAPE = (3, 8, 8)


@pytest.fixture
def model():
    torch.manual_seed(0)
    return CifarResNet(8, cifar_stages(8, 8), num_classes=3)


def batches(iteration):
    generator = torch.Generator().manual_seed(iteration)
    return [(torch.randn(4, *SHAPE, generator=generator), torch.tensor([0, 1, 2, 0])) for _ in range(2)]


def loss(model, batch):
    return nn.functional.cross_entropy(model(batch[0]), batch[1])


def run(model, budgets={"macs": 0.5, "params": 0.6}, **options):
    settings = Settings(**{"step": 6, "rate": 1e-2, **options.pop("settings", {})})
    return prune(model, SHAPE, batches, loss, budgets, settings=settings, **options)


# --- the ranking ------------------------------------------------------------------------------------------------------


def greedy(loss, shares, objective):
    """Filters in order of importance until the objective is reached."""
    order, gone = np.argsort(by_caie(loss, shares[None], np.array([objective]), 0), kind="stable"), []
    while shares[gone].sum() < objective - 1e-12:
        gone.append(order[len(gone)])
    return gone


def best(loss, shares, objective):
    sets = (list(some) for size in range(len(loss) + 1) for some in combinations(range(len(loss)), size))
    return min(loss[some].sum() for some in sets if shares[some].sum() >= objective - 1e-12)


def test_no_set_of_filters_that_saves_as_much_loses_less():
    """Sec. 6.3.2: with what the greedy choice really saves as the objective, it is the optimum (Eq. 6.14)."""
    rng = np.random.default_rng(0)
    for _ in range(20):
        loss, shares = rng.exponential(size=9), rng.uniform(0.02, 0.2, 9)
        gone = greedy(loss, shares, 0.3)
        assert loss[gone].sum() == pytest.approx(best(loss, shares, shares[gone].sum()))


def test_a_filter_that_overshoots_can_cost_the_optimum():
    """The proof neglects the difference between what is saved and the objective."""
    loss, shares = np.array([1.0, 9.0, 2.5]), np.array([0.1, 0.9, 0.2])
    assert loss[greedy(loss, shares, 0.2)].sum() == 10.0
    assert best(loss, shares, 0.2) == 2.5


def test_equal_impacts_rank_by_the_loss_and_equal_losses_by_the_impact():
    loss = np.array([3.0, 1.0, 2.0])
    order = np.argsort(by_caie(loss, np.full((2, 3), 0.1), np.array([0.4, 0.2]), 0))
    assert order.tolist() == np.argsort(by_loss(loss, np.empty(0), np.empty(0), 0)).tolist() == [1, 2, 0]
    assert np.argsort(by_caie(np.ones(3), np.array([[0.1, 0.3, 0.2]]), np.array([0.5]), 0)).tolist() == [1, 2, 0]


def test_the_scalar_projection_by_hand_and_a_met_budget_does_not_count():
    loss, shares = np.array([1.0, 1.0]), np.array([[0.3, 0.0], [0.0, 0.2]])
    np.testing.assert_allclose(by_caie(loss, shares, np.array([0.3, 0.4]), 0), [1 / (0.3 * 0.6), 1 / (0.2 * 0.8)])
    assert by_caie(loss, shares, np.array([0.0, 0.4]), 0) == pytest.approx([np.inf, 5.0])


def test_the_aim_of_one_budget_is_caie_and_of_two_spares_what_would_be_missed():
    rng = np.random.default_rng(0)
    loss, shares = rng.exponential(size=400), rng.uniform(0, 0.01, (2, 400))
    np.testing.assert_allclose(by_aim(loss, shares[:1], np.array([0.4]), 0), by_caie(loss, shares[:1], np.ones(1), 0))
    shares[1] *= np.where(np.arange(400) < 200, 2.0, 0.1)  # half of the filters save much of the second

    def excess(rank, objective):
        saved = shares[:, np.argsort(rank(loss, shares, objective, 0), kind="stable")].cumsum(axis=1)
        return saved[:, (saved >= objective[:, None]).all(axis=0).argmax()] - objective

    for objective in (np.array([0.8, 0.5]), np.array([0.5, 0.3]), np.array([0.5, 0.0])):
        assert excess(by_aim, objective).max() < 0.2 * excess(by_caie, objective).max()


def test_both_budgets_end_at_their_limits_where_one_would_be_missed_by_far(model):
    budgets = {"macs": 0.6, "params": 0.75}
    missed, aimed = (run(model, budgets, settings={"ranking": name}).overshoot for name in ("caie", "caie-aimed"))
    assert max(missed.values()) > 0.2
    assert 0 <= min(aimed.values()) <= max(aimed.values()) < 0.03


def test_molchanovs_term_prefers_what_saves_more():
    loss, shares = np.array([3.0, 4.0]), np.array([[0.1, 0.2]])
    np.testing.assert_allclose(RANKINGS["lambda-flops"](loss, shares, np.ones(1), 0.5), [0.6 - 0.25, 0.8 - 0.5])


def chosen(model, loss_impacts, budgets, **settings):
    least = settings.get("minimum", 0.1)
    found = candidates(model, follow(model, torch.zeros(1, *SHAPE)), minimum=least)
    layers = Layers(model, found, SHAPE)
    resources = [resource(name, layers) for name in budgets]
    limits = [share * item.total(layers.whole.counts) for item, share in zip(resources, budgets.values())]
    values = np.resize(loss_impacts, len(found))
    return found, choose(found, layers, resources, limits, values, Settings(**settings)), resources, limits


def test_an_exact_stop_puts_back_what_was_not_needed(model):
    losses = np.random.default_rng(0).exponential(size=200)
    _, step, resources, limits = chosen(model, losses, {"macs": 0.9, "params": 0.92}, step=100)
    assert step.met
    assert len(step.gone) < 100
    _, released, _, _ = chosen(model, losses, {"macs": 0.9, "params": 0.92}, step=100, stop="released")
    assert len(released.gone) == 100
    assert set(step.gone) < set(released.gone)
    found = candidates(model, follow(model, torch.zeros(1, *SHAPE)))
    widths = Layers(model, found, SHAPE).widths(found)
    for place in step.gone:  # none of them could stay
        counts = widths.without([other for other in step.gone if other != place])
        assert any(item.total(counts) > limit for item, limit in zip(resources, limits))


def test_filters_of_no_loss_impact_go_as_well_and_minimum_widths_stay(model):
    losses = np.ones(200)
    losses[:30] = 0
    found, step, _, _ = chosen(model, losses, {"macs": 0.1}, step=5, minimum=0.5)
    assert 5 < len(step.gone) <= 30
    assert set(step.gone) <= set(range(30))
    assert min(found.without(found.labels[step.gone]).widths().values()) >= 3  # the classes; else 4 of 8


def test_filters_that_go_in_chunks_leave_multiples(model):
    losses = np.random.default_rng(0).exponential(size=200)
    found, step, _, _ = chosen(model, losses, {"macs": 0.6}, step=1000, chunk=4)
    widths = found.without(found.labels[step.gone]).widths()
    assert all(width % 4 == 0 for name, width in widths.items() if name != "fc")
    assert step.met


# --- the loop ---------------------------------------------------------------------------------------------------------


def test_both_budgets_are_met_with_little_to_spare_and_the_trace_says_how(model):
    entries = []
    result = run(model, watch=entries.append)
    from reidlab.models.cost import VIEWS, cost

    for name, count in {
        "macs": lambda m: cost(m, SHAPE).macs(*VIEWS["whole"].kinds),
        "params": lambda m: sum(p.numel() for p in m.parameters()),
    }.items():
        whole, limit, now = result.limits[name]
        assert (whole, now) == (count(model), count(result.model))
        assert now <= limit
    assert min(result.overshoot.values()) < 0.02
    assert result.trace == entries == json.loads(json.dumps(entries))
    assert [entry["iteration"] for entry in entries] == list(range(len(entries)))
    assert all(entry["objective"]["macs"] > 0 for entry in entries[:1])
    gone = sum(len(some) for entry in entries for some in entry["removed"].values())
    assert entries[-1]["filters"] == len(candidates(model, follow(model, torch.zeros(1, *SHAPE)))) - gone
    assert entries[-1]["left"] == {name: now / whole for name, (whole, _, now) in result.limits.items()}
    assert result.widths["fc"] == (3, 3)
    assert model.conv1.out_channels == 8  # it stays as it is


@pytest.mark.parametrize("ranking", RANKINGS)
def test_every_ranking_meets_the_budgets(model, ranking):
    result = run(model, settings={"ranking": ranking, "step": 20})
    assert min(result.overshoot.values()) >= 0


def test_every_score_and_average_is_reached_by_name(model):
    for score, average in [*((score, "reset") for score in SCORES), *(("signed", average) for average in AVERAGES)]:
        result = run(model, {"macs": 0.9}, settings={"score": score, "average": average})
        assert 0 <= result.overshoot["macs"] < 0.05


def test_a_number_of_iterations_is_enough(model):
    assert len(run(model, settings={"iterations": 3}).trace) <= 4


def test_budgets_of_filters_rank_as_the_loss_does(model):
    by = [run(model, {"filters": 0.8}, settings={"ranking": name}).trace for name in ("caie", "loss")]
    assert by[0] == by[1]


def test_training_goes_on_and_fine_tuning_comes_last(model):
    still = run(model, {"macs": 0.9}, settings={"rate": 0.0})
    kept = [i for i in range(8) if i not in {x for e in still.trace for x in e["removed"].get("conv1", [])}]
    assert torch.equal(still.model.conv1.weight, model.conv1.weight[kept])
    seen = []
    tuned = run(model, {"macs": 0.9}, finetune=lambda network: seen.append(network))
    assert seen == [tuned.model]
    assert not torch.equal(tuned.model.conv1.weight[:2], model.conv1.weight[:2])


def test_a_network_whose_attention_multiplies_filters_is_counted_again():
    whole, batch = network("ap3d")
    result = prune(
        whole, batch.shape[1:], lambda n: [batch], lambda m, x: m(x).logits.square().mean(), {"macs": 0.8},
        settings=Settings(step=30),
    )  # fmt: skip
    from reidlab.models.cost import VIEWS, cost

    assert result.limits["macs"][2] == cost(result.model, batch.shape[1:]).macs(*VIEWS["whole"].kinds)
    assert 0 <= result.overshoot["macs"] < 0.02


class Clock:
    """Times by a formula, the whole network by its own sum."""

    def layer(self, shape, inputs, outputs):
        return 0.1 + inputs * outputs / 100

    def network(self, model, input_shape):
        return 2.0 * sum(m.out_channels for m in model.modules() if isinstance(m, nn.Conv2d))


def test_a_latency_is_met_as_measured(model):
    result = run(
        model, {"latency": 0.7}, settings={"chunk": 2, "measure_every": 2},
        latency=lambda layers: latency_of(layers, Clock(), chunk=2),
    )  # fmt: skip
    whole, limit, now = result.limits["latency"]
    assert whole == Clock().network(model, SHAPE)
    assert now > 0.95 * limit
    assert now == Clock().network(result.model, SHAPE) <= limit
    assert any("measured" in entry for entry in result.trace)


# --- stopped and resumed ----------------------------------------------------------------------------------------------


def same(a, b):
    states = a.model.state_dict(), b.model.state_dict()
    return a.trace == b.trace and all(torch.equal(x, y) for x, y in zip(*(s.values() for s in states), strict=True))


def test_a_pruning_that_is_killed_anywhere_resumes_to_the_same_result(model, tmp_path, monkeypatch):
    def carried(folder):
        return run(model, settings={"average": "carried"}, folder=folder)

    check_resumed(carried, same, tmp_path, monkeypatch, kills=5)
    assert len(list((tmp_path / "whole").glob("*.safetensors"))) == 1


def test_a_folder_of_another_pruning_is_refused(model, tmp_path):
    run(model, {"macs": 0.9}, folder=tmp_path)
    with pytest.raises(ConfigError, match=r"trace.json: a pruning with other budgets; choose another folder"):
        run(model, {"macs": 0.8}, folder=tmp_path)
    (tmp_path / "trace.json").write_text("{")
    with pytest.raises(RunError, match=r"trace.json: cannot be read as JSON"):
        run(model, {"macs": 0.9}, folder=tmp_path)


# --- what cannot be ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("budgets", "message"),
    [
        ({}, "budgets: there is none"),
        ({"macs": 0}, r"budgets: macs: 0 is not allowed; expected a number > 0 and <= 1"),
        ({"macs": 1.2}, r"budgets: macs: 1.2 is not allowed"),
        ({"flops": 0.5}, "budgets: there is no resource called 'flops'; there is: macs, params"),
        ({"parms": 0.5}, "budgets: there is no resource called 'parms'; did you mean 'params'"),
        ({"params:table-5": 0.5}, "convention: there is none called 'table-5'; did you mean"),
        ({"latency": 0.5}, "latency: give `latency`, which measures"),
        ({"macs": 0.9, "params": 0.001}, r"budgets: params 0.001 cannot be met; 0.0\d+ of it stays .* give at least"),
    ],
)
def test_budgets_that_cannot_be_are_refused(model, budgets, message):
    with pytest.raises(ConfigError, match=message):
        run(model, budgets)


def test_a_network_without_normalisation_needs_other_gates():
    whole = vdsr(3, 6)
    example = torch.randn(2, 1, 8, 8)
    arguments = whole, (1, 8, 8), lambda n: [example], lambda m, x: m(x).square().mean(), {"macs": 0.7}
    with pytest.raises(ConfigError, match="VDSR has no batch normalisation"):
        prune(*arguments)
    assert prune(*arguments, settings=Settings(gate="filter")).overshoot["macs"] >= 0


def test_budgets_that_chunks_cannot_meet_are_refused_before_the_work(model):
    budgets = {"latency": 0.9, "macs": 0.05}
    words = (
        r"budgets: macs 0.05 cannot be met; (0\.\d+) of it stays at the minimum widths, .*, in chunks of 4: .* chunk"
    )
    with pytest.raises(ConfigError, match=words) as refused:
        run(model, budgets, settings={"chunk": 4}, latency=lambda layers: pytest.fail("timed before"))
    least = float(re.search(words, str(refused.value))[1])
    assert run(model, {"macs": least}, settings={"chunk": 4, "step": 50}).limits["macs"][2] > 0
    with pytest.raises(ConfigError, match=r"budgets: macs .* cannot be met"):
        run(model, {"macs": least - 0.002}, settings={"chunk": 4})
    with pytest.raises(ConfigError, match=r"budgets: latency 0\.1 cannot be met; 0\.\d+ of it stays"):
        run(model, {"latency": 0.1}, settings={"chunk": 8}, latency=lambda layers: latency_of(layers, Clock(), chunk=8))


def test_a_loss_that_is_no_number_and_missing_minibatches_stop_it(model):
    with pytest.raises(DataError, match="iteration 0: the loss is nan; give a lower rate"):
        prune(model, SHAPE, batches, lambda m, b: loss(m, b) * float("nan"), {"macs": 0.5})
    with pytest.raises(DataError, match="iteration 0: there are no minibatches"):
        prune(model, SHAPE, lambda n: [], loss, {"macs": 0.5})


@pytest.mark.parametrize(
    ("field", "value"), [("ranking", "random"), ("stop", "late"), ("step", 0), ("minimum", 1.0), ("iterations", 0)]
)
def test_settings_that_are_not_allowed_are_refused(field, value):
    with pytest.raises(ConfigError, match=field):
        Settings(**{field: value})
