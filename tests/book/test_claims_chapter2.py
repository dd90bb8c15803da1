"""Claims of chapter 2: complete by table, consistent with one another, and asking for what chapters record."""

import re
import shutil
from collections import Counter
from pathlib import Path

import pytest

from reidlab.lab import claims
from reidlab.lab.claim_files import rows_of
from reidlab.lab.project import Project
from tests.book.rules import filters, nested_filters

CLAIMS = Path(__file__).parents[2] / "book" / "claims"
FILES = ("chapter2_nvan.yml", "chapter2_cfaan.yml")
PROBLEMS = []
ROWS = [row for name in FILES for row, _ in rows_of(CLAIMS / name, PROBLEMS)]
BY_ID = {row["id"]: row for row in ROWS}
RULES = [(row, row["rule"]) for row in ROWS if row["rule"]]
CHAPTERS = ("02a_non_local_video", "02b_detect_link_axial")

# Accuracies and operations that each table prints, counted cell by cell.
PRINTED = {
    "2.1": (24, 6),
    "2.2": (12, 0),
    "2.3": (12, 0),
    "2.4": (6, 3),
    "2.5": (6, 3),
    "2.6": (28, 0),
    "2.7": (24, 0),
    "2.8": (18, 8),
    "2.9": (44, 0),
    "2.10": (12, 6),
}
UNITS = {
    **dict.fromkeys(["rank1", "mAP", "rank1_gain", "mAP_gain", "macs_change", "macs_saved"], "fraction"),
    **dict.fromkeys(["printed_difference", "box_iou", "audit_precision"], "fraction"),
    **dict.fromkeys(["macs", "macs_added", "data_set_fact", "batch_pictures"], "count"),
    "macs_gi": "GiMACs",
}
VALUES = {
    "experiment": [
        "networks",
        "frames",
        "layers",
        "stripes",
        "pooling",
        "link",
        "link-short",
        "axial",
        "cleaned",
        "audit",
    ],
    "network": [
        *("c2d", "c2d-max", "nvan", "nvan-spatial", "nvan-temporal", "ste-nvan"),
        *("p3d-c", "ap3d", "non-local", "axial", "cf-aan"),
    ],
    "data": ["embedded", "mars", "dukemtmc-videoreid"],
    "link": ["none", "truth", "hog"],
    "labels": ["given", "cleaned"],
    "frames": [4, 6, 8],
    "layers": [1, 3, 5],
    "stripes": [4, 8, 16],
    "pooling": ["3dap", "stage4", "stage3+stage4"],
    "heads": [1, 8],
    "encoding": ["none", "sinusoidal", "relative"],
    "scales": [1, 2, 4],
    "view": ["whole", "table-2.1", "table-2.8", "table-2.10"],
    "reference": ["c2d", "nvan", "p3d-c", "non-local", "stripes-1", "3dap", "encoding-none", "scales-1"],
    "fault": ["label", "duplicate", "buried", "ambiguous"],
    "method": ["audit", "chance"],
    "protocol": ["mars-ste-nvan", "mars-cf-aan", "mars-cleaned"],
    "item": [f"Table {table}" for table in PRINTED],
}
# What the text says of a table and the table does not.
CONTRADICTED = {
    "ch2-2.1-text-nvan-adds",
    "ch2-2.1-text-ste-nvan-saves",
    "ch2-2.3.2-nvan-over-c2d-duke-mAP",
    "ch2-2.3.2-nvan-over-nvan-temporal-mars-rank1",
    "ch2-2.3.2-nvan-over-nvan-temporal-duke-rank1",
    "ch2-2.3.2-nvan-over-nvan-temporal-mars-mAP",
    "ch2-2.3.2-nvan-temporal-saves-of-nvan",
}


@pytest.fixture(scope="module")
def read(tmp_path_factory):
    """The claims as the ledger reads them, in a project that has all their chapters."""
    root = tmp_path_factory.mktemp("project")
    shutil.copytree(CLAIMS, root / "book" / "claims")
    (root / "notebooks").mkdir()
    for chapter in ("01_person_reid", *CHAPTERS):
        (root / "notebooks" / f"{chapter}.ipynb").touch()
    return claims.read(Project(root, root / "runs"))


def test_every_claim_loads(read):
    assert PROBLEMS == []
    assert len(ROWS) == 332
    assert [problem for problem in read.problems if "chapter2" in problem or "inventory" in problem] == []
    assert set(BY_ID) <= {claim.id for claim in read.claims}
    assert len(BY_ID) == len(ROWS)


def test_every_item_with_numbers_or_words_has_a_claim(read):
    claimed = {row["item"] for row in ROWS}
    for item in read.items:
        if item.source == "dissertation" and item.chapter == "2" and not item.status.startswith("illustration"):
            assert item.item in claimed, item.id
    assert {"Figure 2.7", "Figure 2.12"} <= claimed


@pytest.mark.parametrize("table", PRINTED)
def test_every_number_of_a_table_has_a_row(table):
    kinds = Counter(row["kind"] for row in ROWS if row["item"] == f"Table {table}" and row.get("printed") is not None)
    assert (kinds["accuracy"], kinds["exact"]) == PRINTED[table]


def test_printed_numbers_are_texts_that_keep_their_final_zero():
    for row in ROWS:
        if row["kind"] != "trend":
            # What the text says without a number of its own has none.
            implied = (row["rule"] or {}).get("implied")
            assert isinstance(row["printed"], str) if implied is None else row.get("printed") is None, row["id"]
        if row["kind"] == "accuracy":
            assert re.fullmatch(r"\d\d\.\d", row["printed"]), row["id"]


def printed(table, entry, column):
    return BY_ID[f"ch2-{table}-{entry}-{column}"]["printed"]


COLUMNS = ("mars-rank1", "mars-mAP", "duke-rank1", "duke-mAP")


@pytest.mark.parametrize(
    ("entries", "columns"),
    [
        (["2.1 nvan", "2.2 frames-8", "2.3 layers-5", "2.6 nvan", "2.9 nvan"], COLUMNS),
        (["2.1 nvan", "2.5 3dap"], ("mars-rank1", "duke-rank1", "macs")),
        (["2.1 nvan-spatial", "2.4 stripes-16"], ("mars-rank1", "duke-rank1", "macs")),
        (["2.1 nvan-temporal", "2.5 stage3-stage4"], ("mars-rank1", "duke-rank1", "macs")),
        (["2.1 ste-nvan", "2.6 ste-nvan"], COLUMNS),
        (["2.7 ft-wft-original", "2.9 ft-wft"], COLUMNS[:2]),
        (["2.7 tclnet-original", "2.9 tclnet"], COLUMNS[:2]),
        (["2.7 ap3d-original", "2.9 ap3d"], COLUMNS[:2]),
        (["2.7 non-local-dl", "2.8 non-local"], COLUMNS[:2]),
        (["2.8 scales-4", "2.9 dl-cf-aan"], COLUMNS[:2]),
        (["2.8 scales-4", "2.10 cf-aan-given"], ("mars-mAP",)),
        *(
            ([f"2.7 {name}-dl", f"2.10 {name}-given"], ("mars-mAP",))
            for name in ("c2d", "p3d-c", "ap3d", "tclnet", "non-local")
        ),
    ],
    ids=lambda value: " = ".join(value) if isinstance(value, list) else "",
)
def test_an_entry_that_is_printed_twice_is_the_same(entries, columns):
    for column in columns:
        assert len({printed(*entry.split(), column) for entry in entries}) == 1, column


def test_costs_printed_as_sums_add_up():
    """Table 2.10 prints the sums of a baseline and what Table 2.8 says each network adds."""
    baseline = float(printed("2.10", "c2d", "macs"))
    for table_8, table_10 in (("non-local", "non-local"), ("scales-4", "cf-aan")):
        total = baseline + float(printed("2.8", table_8, "macs"))
        assert total == pytest.approx(float(printed("2.10", table_10, "macs")), abs=1e-9)
    assert baseline - float(printed("2.8", "baseline", "macs")) == pytest.approx(0.2)


def from_table(table, quantity):
    """What the entries of a table make of a statement, by the names explained at the top of chapter2_nvan.yml."""
    if match := re.fullmatch(r"(.+)-(saves-of|adds-to|share-of)-(.+)", quantity):
        ratio = float(printed(table, match[1], "macs")) / float(printed(table, match[3], "macs"))
        return {"saves-of": 1 - ratio, "adds-to": ratio - 1, "share-of": ratio}[match[2]] * 100
    larger, smaller, column = re.fullmatch(r"(.+)-over-(.+)-((?:mars|duke)-\w+)", quantity).groups()
    if (larger, smaller) == ("cleaned", "given"):
        names = ("c2d", "p3d-c", "ap3d", "tclnet", "non-local", "cf-aan")
        gains = [from_table(table, f"{name}-cleaned-over-{name}-given-{column}") for name in names]
        return sum(gains) / len(gains)
    return float(printed(table, larger, column)) - float(printed(table, smaller, column))


def test_the_text_against_its_own_tables():
    found = set()
    for row, rule in RULES:
        if rule["key"] == "printed_difference":
            where = rule["where"]
            value = from_table(where["item"].removeprefix("Table "), where["quantity"])
            half = 0.5 * 10.0 ** -rule.get("digits", claims.printed_decimals(row["printed"]))
            if abs(value - float(row["printed"])) > half + 1e-9:
                found.add(row["id"])
                assert row.get("note"), f"{row['id']}: says {value:.2f} and has no note why"
    assert found == CONTRADICTED


def test_rules_name_what_the_chapters_record():
    for row, rule in RULES:
        assert rule["chapter"] in CHAPTERS, row["id"]
        for wanted in filters(rule):
            for name, value in wanted.items():
                if name != "quantity":
                    assert value in VALUES[name], f"{row['id']}: {name} {value!r}"
                    assert not isinstance(value, bool), f"{row['id']}: {name}: YAML reads a bare on or off as a bool"


def test_units_fit(read):
    for claim in read.claims:
        if claim.id in BY_ID and claim.rule:
            assert claim.in_printed_unit(1.0, UNITS[claim.rule.key]) > 0


def test_no_filter_is_part_of_another():
    assert nested_filters(rule for _, rule in RULES) == []


def test_accuracies_need_their_data_and_their_protocol():
    protocols = {"02a_non_local_video": {"mars-ste-nvan"}, "02b_detect_link_axial": {"mars-cf-aan", "mars-cleaned"}}
    for row, rule in RULES:
        if row["kind"] == "accuracy":
            assert rule["where"]["data"] == row["needs"].lower(), row["id"]
            assert rule["protocol"] in protocols[rule["chapter"]], row["id"]
            cleaned = rule["where"].get("labels") == "cleaned"
            assert cleaned == (rule["protocol"] == "mars-cleaned"), row["id"]
            assert rule["key"] == row["id"].rpartition("-")[2] or row["item"] == "Table 2.10", row["id"]


def test_what_is_not_built_is_quoted():
    ours = re.compile(r"ch2-2\.(6|9)-(ste-)?nvan|ch2-2\.9-(dl-cf-aan|ap3d-mars)")
    for row in ROWS:
        if row["kind"] == "accuracy" and row["item"] in ("Table 2.6", "Table 2.9"):
            assert (row["rule"] is not None) == bool(ours.match(row["id"])), row["id"]
        if row["rule"] is None:
            assert row.get("note"), row["id"]


def test_the_two_sides_of_a_trend_differ_in_one_thing():
    """Or the claim says that two things differ; a gain beside a number is one thing already."""
    several = {"ch2-2.8-cf-aan-over-baseline", "ch2-2.9-over-ap3d-truth", "ch2-2.9-over-ap3d-hog"}
    for row, rule in RULES:
        if row["kind"] != "trend":
            continue
        assert rule["where"]["data"] == "embedded"
        larger, smaller = rule["larger"], rule["smaller"]
        if isinstance(larger, dict) and isinstance(smaller, dict):
            changed = {name for name in larger if larger[name] != smaller.get(name)} - {"protocol"}
            assert (len(changed) > 1) == (row["id"] in several), row["id"]
        else:
            assert rule["key"].endswith("_gain"), row["id"]
            number = larger if isinstance(smaller, dict) else smaller
            assert abs(number) == 0.02, row["id"]


def products(channels, length, height, width, axial, slices=1):
    """MACs of a layer's attention products, by the sum over places, keys and widths (q and k at half, v at full)."""
    total = 0
    for scale in range(slices):
        rows, columns = height >> scale, width >> scale
        keys = rows + columns + length if axial else rows * columns * length
        total += length * rows * columns * keys * (channels // slices // 2 + channels // slices)
    return total


def test_what_the_notes_say_of_the_products_of_attention():
    """Six frames of 256 x 128 pixels: two layers on 32 x 16 places of 512 channels, three on 16 x 8 of 1024."""

    def added(axial, slices=1):
        return (2 * products(512, 6, 32, 16, axial, slices) + 3 * products(1024, 6, 16, 8, axial, slices)) / 1e9

    assert round(added(axial=False), 3) == float(printed("2.8", "non-local", "macs"))
    assert round(added(axial=True), 3) == float(printed("2.8", "axial-1", "macs"))
    embeddings = (0.5 + 0.5 + 1) / 1.5  # for queries, keys and values, beside keys and values themselves
    for slices in (2, 4):
        alone = added(axial=True, slices=slices)
        text = f"alone are {alone:.3f}, those with the relative embeddings {alone * (1 + embeddings):.3f}"
        assert text in BY_ID[f"ch2-2.8-scales-{slices}-macs"]["note"]
    text = f"would add {added(axial=True) * embeddings:.3f}, not 0.063"
    assert text in BY_ID["ch2-2.8-axial-relative-macs"]["note"]
    additions = 3 * 6 * (2 * 512 * 32 * 16 + 3 * 1024 * 16 * 8) / 1e9
    assert round(added(axial=True) + additions, 3) == float(printed("2.8", "axial-sinusoidal", "macs"))


def test_what_the_notes_say_of_the_baseline():
    """Table 2.8 counts convolutions, Table 2.10 and the text also the normalisations, Table 2.1 perhaps too."""
    from reidlab.models import cost, resnet

    found = cost(resnet(50, last_stride=1))
    convolutions, elements, classifier = found.macs("conv"), found.elements("norm"), 2048 * 625
    assert f"{6 * convolutions / 1e9:.3f}" == printed("2.8", "baseline", "macs")
    assert f"{(6 * (convolutions + 4 * elements) + classifier) / 1e9:.3f}" == printed("2.10", "c2d", "macs")
    assert f"{8 * convolutions / 2**30:.1f}" == "30.2"
    assert f"{8 * (convolutions + 4 * elements) / 2**30:.1f}" == printed("2.1", "c2d", "macs")


def test_only_words_have_an_implied_number():
    implied = {row["id"]: rule["implied"] for row, rule in RULES if "implied" in rule}
    assert implied == {"ch2-2.2-text-two-times": 100, "ch2-2.3.2-spatial-adds-measured": 0}
    assert all("prints no" in BY_ID[name]["note"] for name in implied)


def test_the_printed_gain_of_a_trend_is_that_of_its_tables(read):
    gains = {claim.id: claim.gain for claim in read.claims if claim.id in BY_ID and claim.gain is not None}
    assert gains["ch2-2.1-nvan-over-baseline-map"] == pytest.approx(0.037)
    assert gains["ch2-2.7-dl-helps-short-ap3d-hog"] == pytest.approx(0.003)
    # 2.0 points without DL, 0.4 with it.
    assert gains["ch2-2.7-ap3d-margin-truth"] == pytest.approx(0.016)
    assert gains["ch2-2.10-cleaned-cf-aan"] == pytest.approx(0.024)
    for name in gains:
        # Only two sides that are measured can be ahead of one another; a bound of ours is no printed gain.
        rule = BY_ID[name]["rule"]
        assert {type(rule["larger"]), type(rule["smaller"])} == {dict}, name
