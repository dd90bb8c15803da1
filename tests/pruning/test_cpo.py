"""CPO on networks whose performance is a table of their widths, so that each step is known beforehand."""

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from reidlab.errors import ConfigError, DataError, RunError
from reidlab.models.vdsr import vdsr
from reidlab.models.vgg import VGG
from reidlab.pruning import cpo
from reidlab.pruning.cpo import Settings, search, sensitivity
from reidlab.pruning.evaluation import BatchEvaluation
from reidlab.pruning.removal import widths
from tests.kills import Killed, check_resumed

EXAMPLE = torch.zeros(1, 1, 8, 8)


@pytest.fixture
def model():
    torch.manual_seed(0)
    return vdsr(4, 8)  # body.0, body.2 and body.4 of 8 filters, body.6 puts out


def by_width(**lost):
    """Performance 100, less what each layer's missing filters cost: by their number."""
    lost = {name.replace("_", "."): table for name, table in lost.items()}

    def evaluate(model):
        return 100 - sum(table[8 - width] for (_, width), table in zip(widths(model, lost).items(), lost.values()))

    return evaluate


FREE = dict.fromkeys(range(8), 0.0)
#: Cost of 1 to 7 missing filters.
STEEP = FREE | {1: 0.01, 2: 0.05, 3: 0.2, 4: 0.4, 5: 0.5, 6: 0.9, 7: 3.0}


def told(result, expected_drop=None):
    """Kind, layer and filters left of each step."""
    return [(s.kind, s.layer, s.filters) for s in result.steps if expected_drop in (None, s.expected_drop)]


def test_a_layer_that_costs_nothing_runs_out_of_filters_and_one_that_costs_steps_back(model):
    table = FREE | {4: 0.6, 5: 0.9, 6: 2.0}
    result = search(model, EXAMPLE, by_width(body_0=FREE, body_2=table), 1.0, layers=["body.0", "body.2"])
    assert told(result) == [
        ("probe", "body.0", 4), ("probe", "body.2", 4),
        ("prune", "body.0", 4), ("prune", "body.0", 2), ("prune", "body.0", 1), ("stop", "body.0", 1),
        ("prune", "body.2", 4), ("prune", "body.2", 2), ("step back", "body.2", 3), ("stop", "body.2", 3),
    ]  # fmt: skip
    assert widths(result.models[1.0], ["body.0", "body.2"]) == {"body.0": 1, "body.2": 3}
    reasons = result.reasons(1.0)
    assert list(reasons) == ["body.0", "body.2"]
    assert reasons["body.0"] == "no filters left to remove: 1 of 8 stay at 0.9375"
    assert reasons["body.2"] == "the drop of 2 at 0.75 exceeds 1; stepped back to 0.625"
    assert widths(model, ["body.0", "body.2"]) == {"body.0": 8, "body.2": 8}


PROBE = FREE | {4: 0.1, 5: 0.5, 6: 0.9, 7: 0.95}


@pytest.mark.parametrize(("step_back", "left", "back"), [("text", 2, 0.9), ("algorithm", 3, 0.5)])
def test_a_layer_that_became_more_sensitive_than_the_next_is_left(model, step_back, left, back):
    evaluate = by_width(body_2=PROBE, body_4=STEEP)
    settings = Settings(step_back=step_back)
    result = search(model, EXAMPLE, evaluate, 1.0, layers=["body.2", "body.4"], settings=settings)
    # 0.8 / (0.25 * 9 * 8) = 0.0444 at 0.75 is above the next layer's 0.4 / (0.5 * 9 * 8) = 0.0111.
    assert "sensitivity of 0.0444 at 0.75 is above the next layer's 0.0111" in result.reasons(1.0)["body.2"]
    stop = next(s for s in result.steps if s.kind == "stop")
    assert (stop.filters, stop.drop) == (left, pytest.approx(back))
    # The list is updated: the next layer's filters have as many channels as this one has filters left.
    first = next(s for s in result.steps if s.kind == "prune" and s.layer == "body.4")
    assert first.sensitivity == pytest.approx(0.4 / (0.5 * 9 * left))


def test_true_macs_order_layers_by_what_the_whole_network_saves(model):
    evaluate = by_width(body_0=FREE | {4: 0.2}, body_2=FREE | {4: 0.8})
    orders = {}
    for name in cpo.SENSITIVITIES:
        result = search(model, EXAMPLE, evaluate, 0.0, layers=["body.0", "body.2"], settings=Settings(sensitivity=name))
        probes = {s.layer: s.sensitivity for s in result.steps if s.kind == "probe"}
        orders[name] = [s.layer for s in result.steps if s.kind == "stop"]
        if name == "macs":
            # Filters of body.0 see one channel, but half of those of body.2's go with them.
            assert probes["body.0"] == pytest.approx(0.2 / (64 * 9 * (4 + 4 * 8)))
            assert probes["body.2"] == pytest.approx(0.8 / (64 * 9 * (4 * 8 + 4 * 8)))
        else:
            assert probes["body.0"] == pytest.approx(0.2 / (0.5 * 9))
            assert probes["body.2"] == pytest.approx(0.8 / (0.5 * 9 * 8))
    assert orders == {"printed": ["body.2", "body.0"], "macs": ["body.0", "body.2"]}


def test_a_drop_of_zero_keeps_what_it_must(model):
    result = search(model, EXAMPLE, by_width(body_2=STEEP), 0.0, layers=["body.2"])
    assert told(result)[-1] == ("stop", "body.2", 8)
    assert result.reasons(0.0)["body.2"] == "the drop of 0.4 at 0.5 exceeds 0; stepped back to 0"
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), result.models[0.0].parameters(), strict=True))


def test_expected_drops_go_from_low_to_high_each_on_the_network_before(model):
    evaluate = by_width(body_2=STEEP, body_4=STEEP)
    result = search(model, EXAMPLE, evaluate, [0.9, 0.05], layers=["body.2", "body.4"])
    assert list(result.models) == [0.05, 0.9]
    narrow = widths(result.models[0.05], ["body.2", "body.4"])
    assert narrow == {"body.2": 6, "body.4": 8}  # 0.05 spent by two filters of the first
    assert told(result, 0.9)[:2] == [("probe", "body.2", 3), ("probe", "body.4", 4)]  # halves of what was left
    assert all(evaluate(found) >= 100 - drop for drop, found in result.models.items())
    probe = next(s for s in result.steps if s.expected_drop == 0.9)
    assert probe.sensitivity == pytest.approx((0.5 - 0.05) / (0.5 * 9 * 8))  # the drop since, not since the beginning


def test_the_sparsest_filters_go(model):
    gone = [0, 3, 5, 6]
    with torch.no_grad():
        model.body[2].weight[gone] = 1e-3
    result = search(model, EXAMPLE, by_width(body_2=FREE | {6: 9.0, 5: 9.0}), 1.0, layers=["body.2"])
    kept = [row for row in range(8) if row not in gone]
    assert torch.equal(result.models[1.0].body[2].weight, model.body[2].weight[kept])


def test_a_search_from_stored_activations_is_one_by_whole_passes():
    torch.manual_seed(1)
    model = VGG(((4,), (6, 6), (8,)), size=16).eval()
    batches = [torch.randn(4, 3, 16, 16), torch.randn(3, 3, 16, 16)]
    with torch.no_grad():
        whole = [model(batch) for batch in batches]
    evaluate = BatchEvaluation(batches, lambda out: -sum(float((a - b).abs().sum()) for a, b in zip(out, whole)))
    short = search(model, batches[0][:1], evaluate, [1.0, 4.0])
    long = search(model, batches[0][:1], lambda m: evaluate(m), [1.0, 4.0])
    assert short.steps == long.steps
    assert {s.kind for s in short.steps} == {"probe", "prune", "step back", "stop"}


def noise(model, step):
    """Stands for retraining: weights change, by the step's number alone."""
    generator = torch.Generator().manual_seed(step)
    with torch.no_grad():
        for value in model.parameters():
            value.add_(torch.randn(value.shape, generator=generator), alpha=0.1)


def by_weights(model):
    return (
        10
        - sum(float(p.detach().abs().mean()) for p in model.parameters()) * 3
        - 4 * (8 / len(model.body[2].weight) - 1) ** 0.5
    )


def run(model, folder, evaluate=by_weights):
    return search(
        model, EXAMPLE, evaluate, [1.5, 3.0], layers=["body.0", "body.2"], retrain=noise, folder=folder,
        settings=Settings(step_back="algorithm"),
    )  # fmt: skip


def same(a, b):
    return a.steps == b.steps and all(
        torch.equal(x, y)
        for drop in a.models
        for x, y in zip(a.models[drop].state_dict().values(), b.models[drop].state_dict().values(), strict=True)
    )


def test_a_search_that_is_killed_anywhere_resumes_to_the_same_result(model, tmp_path, monkeypatch):
    # Before weights or the log of a step are in place.
    assert check_resumed(lambda folder: run(model, folder), same, tmp_path, monkeypatch, kills=10) > 20
    assert {s.kind for s in run(model, None).steps} == {"probe", "prune", "step back", "stop"}


def test_a_search_that_is_killed_while_it_evaluates_goes_on_where_it_was(model, tmp_path):
    undisturbed, calls = run(model, None), []

    def until(moment):
        def evaluate(model):
            calls.append(1)
            if len(calls) == moment:
                raise Killed
            return by_weights(model)

        return evaluate

    steps = sum(s.kind != "stop" for s in undisturbed.steps)
    for moment in (3, 8):  # again and again, in one folder
        with pytest.raises(Killed):
            run(model, tmp_path, until(moment))
    assert same(run(model, tmp_path, until(0)), undisturbed)
    # Each once, those that were killed, and the network itself each time: is it the same evaluation?
    assert len(calls) == steps + 2 + 3
    assert len(list(tmp_path.glob("step-*.safetensors"))) == 2  # one for each expected drop
    calls.clear()
    assert same(run(model, tmp_path, until(0)), undisturbed)
    assert len(calls) == 1


def test_a_folder_of_another_search_is_refused(model, tmp_path):
    run(model, tmp_path)
    with pytest.raises(ConfigError, match=r"search.json: a search with other criterion; choose another folder"):
        search(model, EXAMPLE, by_weights, 1.5, layers=["body.0", "body.2"], retrain=noise, folder=tmp_path,
               settings=Settings(step_back="algorithm", criterion="l1"))  # fmt: skip
    with pytest.raises(ConfigError, match="a search with other weights"):
        run(vdsr(4, 8), tmp_path)
    (tmp_path / "search.json").write_text("{")
    for content in ("{", "[]"):
        (tmp_path / "search.json").write_text(content)
        with pytest.raises(RunError, match=r"search.json: no search can be read from it; remove it to start afresh"):
            run(model, tmp_path)


def test_a_folder_of_another_evaluation_retraining_or_drop_is_refused(model, tmp_path):
    layers = ["body.0", "body.2"]
    search(model, EXAMPLE, by_weights, 1.5, layers=layers, folder=tmp_path)
    with pytest.raises(ConfigError, match=r"a search with another evaluation, which gave \S+ for the network that was"):
        search(model, EXAMPLE, lambda m: by_weights(m) + 1, 1.5, layers=layers, folder=tmp_path)
    with pytest.raises(ConfigError, match="a search with other retrained"):
        search(model, EXAMPLE, by_weights, 1.5, layers=layers, folder=tmp_path, retrain=noise)
    with pytest.raises(ConfigError, match=r"whose step 0 is of the expected drop 1.5, not of 2; give its drops first"):
        search(model, EXAMPLE, by_weights, 2.0, layers=layers, folder=tmp_path)
    again = search(model, EXAMPLE, by_weights, [1.5, 2.0], layers=layers, folder=tmp_path)
    whole = search(model, EXAMPLE, by_weights, [1.5, 2.0], layers=layers)
    assert again.steps == whole.steps, "a further, higher drop goes on from what is there"


@pytest.mark.parametrize("change", ["cut", "gone", "nan"])
def test_weights_of_a_step_that_are_not_those_written_are_refused(model, tmp_path, change):
    run(model, tmp_path)
    path = max(tmp_path.glob("step-*.safetensors"))
    if change == "gone":
        path.unlink()
    elif change == "cut":
        path.write_bytes(path.read_bytes()[:-8])
    else:
        save_file({name: value * torch.nan for name, value in load_file(path).items()}, path)
    with pytest.raises(RunError, match=rf"{path.name}: not the weights of that step; search again in another folder"):
        run(model, tmp_path)


def test_weights_under_two_names_are_refused_with_a_folder(model, tmp_path):
    model.again = model.body
    search(model, EXAMPLE, by_width(body_2=FREE), 0.1, layers=["body.2"])
    with pytest.raises(ConfigError, match=r"body.0.weight and again.0.weight are the same weights, which a folder"):
        search(model, EXAMPLE, by_width(body_2=FREE), 0.1, layers=["body.2"], folder=tmp_path)


@pytest.mark.parametrize(
    ("drops", "layers", "message"),
    [
        (-0.1, None, r"expected_drop: -0.1 is not allowed; expected a number >= 0"),
        ([0.1, float("nan")], None, "expected_drop: nan is not allowed"),
        ([], None, "expected_drop: .. must be at least one"),
        ([0.1, 0.1], None, "expected_drop: .* must be at least one, and different ones"),
        (0.1, ["body.6"], "layers: body.6 cannot be pruned, for it has one filter"),
        (0.1, ["body.7"], "layers: 'body.7' has no filters that can be removed, .*; did you mean 'body.6'"),
        (None, None, "expected_drop: None is not allowed"),
        ("0.1", None, "expected_drop: '0.1' is not allowed"),
    ],
)
def test_what_cannot_be_searched_is_refused(model, drops, layers, message):
    with pytest.raises(ConfigError, match=message):
        search(model, EXAMPLE, by_width(body_2=FREE), drops, layers=layers)


def test_an_expected_drop_that_is_exceeded_already_is_refused(model):
    result = search(model, EXAMPLE, by_width(body_2=STEEP), 0.7, layers=["body.2"], reference=100.5)
    assert (result.steps[-1].filters, result.steps[-1].drop) == (6, pytest.approx(0.55))  # the 0.5 before and 0.05
    with pytest.raises(ConfigError, match=r"expected_drop: 0.1 is exceeded already; .* has dropped by 0.5"):
        search(model, EXAMPLE, by_width(body_2=STEEP), 0.1, layers=["body.2"], reference=100.5)


def test_an_evaluation_that_gives_no_number_names_the_layer(model):
    values = iter([100.0, 99.0, float("nan")])
    with pytest.raises(
        DataError, match=r"body.2, probe to 4 filters: the evaluation gave nan, expected a finite number"
    ):
        search(model, EXAMPLE, lambda m: next(values), 1.0, layers=["body.0", "body.2"])


@pytest.mark.parametrize("value", ["good", "95.1", None, torch.ones(2), complex(1, 1)])
def test_an_evaluation_that_gives_something_else_is_told_so(model, value):
    with pytest.raises(
        DataError, match=r"the network that was given: the evaluation gave .*, expected a finite number"
    ):
        search(model, EXAMPLE, lambda m: value, 1.0)


@pytest.mark.parametrize("drops", [np.float32(0.5), torch.tensor(0.5), np.array([0.5]), (0.5,)], ids=repr)
def test_drops_may_be_numbers_of_numpy_and_torch(model, drops):
    assert list(search(model, EXAMPLE, by_width(body_2=FREE), drops, layers=["body.2"]).models) == [0.5]


def test_layers_that_go_together_are_named_once():
    from tests.pruning.networks import cifar

    with pytest.raises(ConfigError, match=r"layer2.0.conv2 is pruned together with layer2.0.downsample.0"):
        search(
            cifar(False),
            torch.zeros(1, 3, 16, 16),
            lambda m: 1.0,
            0.1,
            layers=["layer2.0.downsample.0", "layer2.0.conv2"],
        )


def test_sensitivity_by_hand():
    assert sensitivity(0.6, 0.5, 3 * 3 * 64) == pytest.approx(0.6 / 288)
    with pytest.raises(ConfigError, match=r"factor . computation: 0.0 is not allowed"):
        sensitivity(0.6, 0.0, 9)


@pytest.mark.parametrize("value", [{"criterion": "l2"}, {"sensitivity": "true"}, {"step_back": "both"}, {"first": 1.0}])
def test_settings_that_are_none_are_refused(value):
    with pytest.raises(ConfigError, match=next(iter(value))):
        Settings(**value)


def test_the_table_has_a_row_for_each_step(model):
    result = search(model, EXAMPLE, by_width(body_2=STEEP), 1.0, layers=["body.2"])
    table = result.table()
    assert table.kind.tolist() == ["probe", "prune", "prune", "prune", "stop"]
    assert table["filters"].tolist() == [4, 4, 2, 1, 2]
    assert table["drop"].tolist() == pytest.approx([0.4, 0.4, 0.9, 3.0, 0.9])
