"""Tables and sentences from chapter 5's records, which are made up here."""

import pandas as pd
import pytest

from reidlab import plots
from reidlab.pruning import looking

LEFT = {"original": 1.0, "ur": 0.8, "l1": 0.6, "cpo": 0.5}
TESTED = {"original": 0.0, "ur": 0.02, "l1": 0.05, "cpo": 0.04}


def records(seeds=3, network="vgg-19", data="digits", scale=1.0):
    """Records of one study: the whole network, UR, L1 and CPO at one factor."""
    common = {"network": network, "data": data, "depth": 19, "filters": 4}
    score = "psnr" if network == "vdsr" else "accuracy"
    rows = []
    for seed in range(seeds):
        for method, left in LEFT.items():
            dims = {"experiment": "equal-drop", "method": method, "budget": "equal", "seed": seed, **common}
            dims |= {"factor": 0.25} if method != "original" else {}
            for key in ("params", "operations", "cycles"):
                share = scale * (left + seed / 100) if method == "cpo" else left
                rows.append({**dims, "key": f"{key}_share", "value": share, "split": "validation"})
            rows.append({**dims, "key": "latency_ms", "value": 10 * left + 2})
            for split, lost in (("test", TESTED[method] + seed / 1000), ("validation", 0.5)):
                rows.append({**dims, "key": f"{score}_drop", "value": lost, "split": split})
            if method != "original":
                for number, layer in enumerate(("features.0", "features.3"), 1):
                    about = {"key": "width", "value": 4 - number, "layer": layer, "number": number}
                    rows.append({**dims, **about})
        about = {"experiment": "sensitivity", "key": "sensitivity", "seed": seed, **common}
        rows += [{**about, "number": number, "value": 3.0 - number} for number in (1, 2)]
        rows += [{**about, "layers": "first", "value": 2.0}, {**about, "layers": "last", "value": 1.0}]
        about = {"experiment": "search", "iteration": 4 + seed, "seed": seed, **common}
        rows += [{**about, "key": "filters_removed", "value": 2.0}]
        rows += [{**about, "key": f"{score}_drop", "value": 0.1, "split": "validation"}]
        expected = {"experiment": "equal-drop", "key": f"{score}_expected", "value": 0.2, "factor": 0.25}
        rows.append({**expected, "seed": seed, **common})
    rows.append({"key": "printed_difference", "value": 0.1})  # of no network
    return pd.DataFrame(rows)


def test_what_is_left_and_lost_at_equal_drops():
    found = looking.equal_drops(records())
    cpo = found[found["method"] == "CPO"].set_index("seed")
    assert list(dict.fromkeys(found["method"])) == ["UR", "L1", "CPO"]
    assert cpo["operations"].tolist() == pytest.approx([0.5, 0.51, 0.52])
    assert cpo["lost"].tolist() == pytest.approx([4.0, 4.1, 4.2])
    assert cpo["lost_validation"].tolist() == pytest.approx([50.0] * 3)
    assert cpo["latency"].tolist() == pytest.approx([7 / 12] * 3)
    assert set(found["panel"]) == {"VGG-19, digits"}


def test_decibels_stay_decibels():
    found = looking.equal_drops(records(network="vdsr", data="generated"))
    assert found.loc[found["method"] == "CPO", "lost"].tolist() == pytest.approx([0.04, 0.041, 0.042])
    assert looking.lost_words(records(network="vdsr", data="generated")) == {"VDSR, drawn pictures": "dB lost"}


def test_comparisons_are_paired_by_seed():
    compared = looking.comparisons(looking.equal_drops(records(seeds=5)), "UR")
    (row,) = compared.itertuples()
    assert row.fewer.mean == pytest.approx(28.0)
    assert row.fewer.low < 28.0 < row.fewer.high
    assert row.better.mean == pytest.approx(-2.0)
    assert looking.said_of_costs(compared) == (
        "In 1 of 1 comparisons CPO leaves fewer operations than UR, in 0 it is the other way round, and in 0 the seeds "
        "cannot tell. In 0 of 1 comparisons CPO has a better test than UR, in 1 it is the other way round, and in 0 "
        "the seeds cannot tell."
    )


@pytest.mark.parametrize(("scale", "fewer"), [(1.0, 1), (1.8, 0)])
@pytest.mark.parametrize("seeds", [1, 4])
def test_few_seeds_are_no_verdict_whatever_they_say(scale, fewer, seeds):
    compared = looking.comparisons(looking.equal_drops(records(seeds=seeds, scale=scale)), "UR")
    said = looking.said_of_costs(compared)
    assert said.startswith(
        f"In {fewer} of 1 comparisons CPO leaves fewer operations than UR, in 0 it has the better test"
    )
    assert said.endswith("fewer than 5 seeds cannot tell any of these from chance.")
    table = looking.comparison_table(looking.equal_drops(records(seeds=1, scale=scale)))
    assert not table["fewer by"].str.contains("to").any()


def test_filters_before_removal_are_the_whole_networks():
    left, whole = looking.filters_left(records())
    assert whole["value"].tolist() == [4, 4]
    assert looking.said_of_filters(left, whole) == (
        "- VGG-19, digits: of a layer's filters stay: UR 50 to 75 %, L1 50 to 75 % and CPO 50 to 75 %."
    )
    course, allowed = looking.courses(records(), whole)
    assert course["removed"].tolist() == pytest.approx([0.25] * 3)
    assert course["lost"].tolist() == pytest.approx([10.0] * 3)
    assert allowed == {"VGG-19, digits": [pytest.approx(20.0)]}
    assert "went on with 1 of the 5 networks" in looking.said_of_courses(course)


def test_layers_are_named():
    said = looking.said_of_layers(records())
    assert "layer 1 is the most sensitive, at 2.00 times" in said
    assert "layer 2 the least, at 1.00" in said


def test_real_pictures_are_told_from_drawn_ones():
    assert looking.said_of_real(looking.equal_drops(records())).startswith("None of the real sets")
    both = pd.concat([records(), records(seeds=5, data="cifar10-jpeg")])
    assert looking.said_of_real(looking.equal_drops(both)).startswith("Measured were VGG-19, CIFAR-10-JPEG. In 1 of 1 ")


def test_figures_take_the_tables():
    both = pd.concat([records(), records(network="vdsr", data="generated").assign(layer=None, number=None)])
    words = looking.lost_words(both)
    costs = dict.fromkeys(looking.COSTS, "left")
    assert len(plots.cost_panels(looking.equal_drops(both), costs, words).axes) == 8


def test_reasons_are_counted():
    log = pd.DataFrame(
        {
            "kind": ["prune", "stop", "stop", "stop"],
            "why": ["", "the drop of 2 at 0.5 exceeds 1", "its sensitivity of 1 is", "no filters left to remove: 1"],
        }
    )
    assert looking.reasons({"a": log})["a"].tolist() == [1, 1, 1]


def test_a_gain_is_counted_from_bicubic_interpolation():
    bicubic = {"experiment": "table", "method": "bicubic", "key": "psnr_drop", "split": "validation", "value": 0.9}
    rows = records(network="vdsr", data="generated")
    rows = pd.concat([rows, pd.DataFrame([{**bicubic, "seed": 0, "network": "vdsr", "data": "generated"}])])
    said = looking.said_of_gains(rows)
    assert "+0.90 dB over bicubic interpolation in validation, and drops up to 0.20 dB were allowed" in said
    assert looking.said_of_gains(records()) == ""


def test_the_drops_that_were_allowed_are_said_with_their_units():
    rows = pd.concat([records(), records(network="vdsr", data="generated")])
    assert "might lose (VDSR, drawn pictures: 0.2 dB; VGG-19, digits: 20 points). " in looking.said_of_drops(rows)


def test_both_budgets_are_in_the_table():
    text = records().assign(budget="text")
    table = looking.budget_table(pd.concat([records(), text[text["method"].isin(["ur", "cpo"])]]))
    assert table.index.get_level_values("budget").tolist() == ["equal"] * 3 + ["text"] * 2
    assert table.loc[("VGG-19, digits", 0.25, "equal", "CPO")].tolist() == ["50.00", "4.10", "51%", "51%", "51%", "58%"]


def test_empty_sentences_are_no_bullets():
    assert looking.bullets("A.", "", "B.") == "- A.\n- B."
