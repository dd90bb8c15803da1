"""Claims of chapters 3 and 4: complete by table, true to the print, consistent, and asking for what can be recorded."""

import itertools
import re
from collections import defaultdict
from fractions import Fraction
from pathlib import Path

import pytest

from reidlab.evaluation.protocols import PROTOCOLS
from reidlab.lab import claims, statements
from reidlab.lab.claim_files import rows_of
from reidlab.pseudolabel.real_pictures import RULES as GALLERY_RULES
from reidlab.reading import read_yaml
from tests.book.rules import CLAIMS, filters, nested_filters, project_of

ROOT = Path(__file__).parents[2]
CHAPTERS = {"03_semi_supervised": "chapter3_semi_supervised.yml", "04_unsupervised": "chapter4_unsupervised.yml"}
PROBLEMS = []
ROWS = [row for name in CHAPTERS.values() for row, _ in rows_of(CLAIMS / name, PROBLEMS)]
BY_ID = {row["id"]: row for row in ROWS}
RULES = [(row, row["rule"]) for row in ROWS if row["rule"]]

# The tables, read off once more: columns, then rows as printed. A dash is an empty cell.
TWO_SETS = "market-rank1 market-mAP duke-rank1 duke-mAP"
SHARES = "1-12-{0}-rank1 1-12-{0}-mAP 1-6-{0}-rank1 1-6-{0}-mAP 1-3-{0}-rank1 1-3-{0}-mAP"
FIRST_ROUND = "{0}-market-clusters {0}-market-rank1 {0}-market-mAP"
TABLES = {
    "3.1": f"""{TWO_SETS}
        buc 66.2 38.3 47.4 27.5
        ae 77.5 54.0 63.2 39.0
        mar 67.7 40.0 67.1 48.0
        ssg 80.0 58.3 73.0 53.4
        mmt 87.7 71.2 78.0 65.1
        poe 55.8 26.2 48.8 28.5
        umdl-50-ids 35.6 13.4 19.5 8.3
        pul-50-ids 50.9 24.8 36.5 21.5
        mvc-50-ids 49.9 24.9 35.7 22.5
        mvspc-50-ids 62.1 40.9 51.5 31.5
        sgc-dpl-50-ids 83.8 65.3 74.4 56.1
        mvc-1-3 75.2 52.6 57.6 37.8
        mvspc-1-3 80.1 62.8 70.8 50.3
        sgc-dpl-1-3 91.1 76.4 82.2 66.5
        bot 94.5 85.9 86.4 76.4""",
    "3.2": f"""{SHARES.format("market")} market-rank1 market-mAP
        labelled-only 56.8 30.2 68.0 43.3 82.6 61.2 - -
        init 62.8 38.4 74.0 50.6 83.4 63.7 - -
        ap-hard 78.4 55.4 83.5 63.8 88.5 71.9 - -
        ap-soft 79.0 57.0 85.5 65.9 88.6 72.5 - -
        ap-progressive 81.5 61.0 85.9 69.7 89.4 73.7 - -
        sgc-dpl 87.9 71.6 89.8 74.9 91.1 76.4 - -
        supervised - - - - - - 91.3 79.1""",
    "3.3": f"""{SHARES.format("duke")} duke-rank1 duke-mAP
        labelled-only 46.2 27.0 61.2 40.6 71.5 53.1 - -
        init 50.0 29.1 65.0 43.5 73.7 54.9 - -
        ap-hard 63.3 44.0 73.2 55.4 79.0 62.0 - -
        ap-soft 65.9 47.1 73.8 55.8 79.4 62.4 - -
        ap-progressive 68.9 50.9 74.7 57.3 78.7 63.3 - -
        sgc-dpl 74.1 56.4 77.6 61.0 82.2 66.5 - -
        supervised - - - - - - 85.5 71.3""",
    "3.4": f"""{FIRST_ROUND.format("1-3")} {FIRST_ROUND.format("1-6")} 1-3 1-6
        ap 565 87.9 70.8 589 82.7 62.8 - -
        dbscan 1 - - 1 - - - -
        dbscan-ssg 381 88.1 70.5 266 81.0 60.7 - -
        identities - - - - - - 501 626""",
    "3.5": """veri-rank1 veri-mAP
        sgc-dpl-1-12 76.2 38.0
        sgc-dpl-1-6 78.7 43.6
        sgc-dpl-1-3 84.3 56.7
        supervised 90.1 64.7
        ram 88.6 61.5
        grf-ggl 89.4 61.7""",
    "3.6": """cub-rank1 cub-NMI
        sgc-dpl-1-12 47.2 56.5
        sgc-dpl-1-6 48.1 58.7
        sgc-dpl-1-3 48.8 59.3
        supervised 49.7 59.3
        proxy 49.2 59.5
        smart-plus 49.8 59.9""",
    "4.1": f"""{TWO_SETS}
        pul 45.5 20.5 30.0 16.4
        camel 54.5 26.3 - -
        spgan 58.1 26.9 46.9 26.4
        hhl 62.2 31.4 46.9 27.2
        mar 67.7 40.0 67.1 48.0
        past 78.4 54.6 72.4 54.3
        ssg 80.0 58.3 73.0 53.4
        pmr-sada 83.0 59.8 74.5 55.8
        gds-h 81.1 61.2 73.1 55.1
        hsr 85.3 65.2 76.1 58.1""",
    "4.2": f"""{TWO_SETS}
        direct-transfer 50.1 20.9 36.2 18.3
        baseline 72.9 46.3 60.2 42.2
        baseline-pbh 74.5 47.1 63.5 44.6
        baseline-icm 83.8 63.3 73.5 54.4
        hsr 85.3 65.2 76.1 58.0""",
}
SCORES = ("rank1", "mAP")
UNITS = {
    **dict.fromkeys([*SCORES, "NMI", "mAP_gain", "rank1_gain", "printed_difference"], "fraction"),
    **dict.fromkeys(
        ["icm_rank_precision", "icm_hard_share", "label_precision_all", "label_precision_gain"], "fraction"
    ),
    **dict.fromkeys(
        ["selected", "overlap_error", "purity", "camera_purity", "camera_excess", "divided_per_identity"], "fraction"
    ),
    **dict.fromkeys(
        ["v_measure", "v_measure_gain", "v_measure_gain_least", "ami", "ami_all", "clusters_per_identity"], "fraction"
    ),
    **dict.fromkeys(["data_set_fact", "batch_pictures", "clusters"], "count"),
}
VALUES = {
    "03_semi_supervised": {
        "data": ["embedded", "market1501", "dukemtmc-reid", "veri-776", "cub-200-2011"],
        "experiment": [
            *("ablation", "ablation-short", "iterations", "clusterers", "labels", "threshold", "search", "starts"),
        ],
        "start": ["scratch", "imagenet"],
        "method": [
            *("labelled-only", "init", "ap-hard", "ap-soft", "ap-progressive", "ap-progressive-half", "sgc-dpl"),
            "supervised",
        ],
        "labelled": ["1/3", "1/6", "1/12", "50-ids"],
        "clusterer": ["ap", "dbscan", "dbscan-ssg", "kmeans"],
        "reference": ["labelled-only", "ap-soft", "ap-progressive", "supervised", "ap", "iteration-5"],
        "iteration": list(range(9)),
        "stage": ["first", "last"],
        "protocol": ["market1501", "dukemtmc-reid", "veri776", "leave-one-out"],
        "item": [f"Table 3.{number}" for number in range(1, 7)],
    },
    "04_unsupervised": {
        "data": ["embedded", "market1501", "dukemtmc-reid", "pku-reid"],
        "source": ["embedded", "market1501", "dukemtmc-reid"],
        "experiment": [
            *(
                "ablation",
                "ablation-short",
                "centred-test",
                "stages",
                "final",
                "split",
                "starts",
                "real",
                "real-centred",
            ),
        ],
        "start": ["scratch", "embedder", "world", "imagenet-world", "imagenet"],
        "method": [
            *(
                "direct-transfer",
                "baseline",
                "baseline-pbh",
                "baseline-icm",
                "hsr",
                "baseline-wide",
                "baseline-centred",
            ),
            *("hsr-centred", "supervised-initial", "supervised", "start"),
        ],
        "reference": ["baseline", "baseline-icm"],
        "stage": ["first", "last", "highest"],
        "clusters": ["split", "kept"],
        "cut": ["none", "pbh", "chance"],
        "protocol": ["market1501", "dukemtmc-reid", "cross-camera"],
        "item": ["Table 4.1", "Table 4.2"],
    },
}
PROTOCOL_OF = {
    "embedded": "market1501",
    "market1501": "market1501",
    "dukemtmc-reid": "dukemtmc-reid",
    "veri-776": "veri776",
    "cub-200-2011": "leave-one-out",
}
# What the text says without a number of its own, or of no named data set.
IMPLIED = {
    "ch3-3.4.5-sgc-dpl-over-ap-soft-1-12": 14.6,
    **dict.fromkeys(["ch4-4.4.4-icm-precision-market", "ch4-4.4.4-icm-precision-duke"], 82),
    **dict.fromkeys(["ch4-4.4.4-icm-hard-share-market", "ch4-4.4.4-icm-hard-share-duke"], 17),
}
# What the text says and neither its own tables nor arithmetic bear out.
CONTRADICTED = {"ch3-3.4.5-labelled-1-12", "ch4-4.4.3-over-best-duke-mAP"}


def cells(table):
    """The printed cells of a table by the ids of their claims."""
    first, *lines = TABLES[table].splitlines()
    found = {}
    for line in lines:
        name, *printed = line.split()
        for column, number in zip(first.split(), printed, strict=True):
            if number != "-":
                found[f"ch{table[0]}-{table}-{name}-{column}"] = number
    return found


def entry(table, name):
    return float(cells(table)[f"ch{table[0]}-{table}-{name}"])


def expected(row):
    """The number as printed; where the text has none of its own, what its words imply."""
    return row["printed"] if row.get("printed") is not None else str(row["rule"]["implied"])


def plain(name):
    return "".join(letter for letter in name.casefold() if letter.isalnum())


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A project that has all chapters whose claims are written."""
    chapters = ("01_person_reid", "02a_non_local_video", "02b_detect_link_axial", *CHAPTERS)
    return project_of(tmp_path_factory.mktemp("project"), chapters)


@pytest.fixture(scope="module")
def read(project):
    """The claims as the ledger reads them."""
    return claims.read(project)


def test_every_claim_loads(read):
    ours = [problem for problem in read.problems if any(name in problem for name in CHAPTERS.values())]
    assert ours == PROBLEMS == []
    assert len(ROWS) == 410
    assert set(BY_ID) <= {claim.id for claim in read.claims}


def test_ids_are_unique_and_name_their_chapter():
    assert len(BY_ID) == len(ROWS)
    for row in ROWS:
        chapter = row["id"].partition("-")[0].removeprefix("ch")
        assert row["item"].split()[1].partition(".")[0] == chapter, row["id"]
        assert row["source"] == "dissertation"
        if row["rule"]:
            assert row["rule"]["chapter"].startswith(f"0{chapter}_"), row["id"]


def test_every_item_with_numbers_or_words_has_a_claim(read):
    claimed = {row["item"] for row in ROWS}
    for item in read.items:
        if item.source == "dissertation" and item.chapter in ("3", "4"):
            assert item.item in claimed or item.status.startswith("illustration"), item.id
    assert "Figure 3.6" in claimed


@pytest.mark.parametrize("table", TABLES)
def test_a_table_is_whole_and_as_printed(table):
    written = {row["id"]: row["printed"] for row in ROWS if row["item"] == f"Table {table}" and "printed" in row}
    assert written == cells(table)


def test_printed_numbers_are_texts_that_keep_their_final_zero():
    for row in ROWS:
        if row["kind"] != "trend":
            assert isinstance(row["printed"], str) if "printed" in row else row["id"] in IMPLIED, row["id"]
        if row["unit" if "unit" in row else "id"] == "percent" and row["item"].startswith("Table"):
            assert re.fullmatch(r"\d?\d\.\d", row["printed"]), row["id"]


def test_every_row_says_what_it_is_of():
    """The words of a row name the score, the data set and the share of labels that its id does."""
    shown = {"market": "Market-1501", "duke": "DukeMTMC-reID", "veri": "VeRi-776", "cub": "CUB-200-2011"}
    for row in ROWS:
        match = re.fullmatch(r"ch\d-\d\.\d-(.+)-(market|duke|veri|cub)-(\w+)", row["id"])
        if row["kind"] == "accuracy" and match:
            name, data, score = match.groups()
            assert row["needs"] == shown[data], row["id"]
            assert {"rank1": "rank-1"}.get(score, score) in row["what"], row["id"]
            share = re.search(r"1-12|1-6|1-3|50-ids", name)
            words = {"50-ids": "50 labelled identities"}.get(share[0], share[0].replace("-", "/")) if share else ""
            assert words in row["what"], row["id"]
            if row["rule"]:
                wanted = row["rule"]["where"]
                assert (wanted.get("labelled") or "").replace("/", "-") == (share[0] if share else ""), row["id"]
                assert wanted.get("method", wanted.get("clusterer")) == name.removesuffix(
                    f"-{share[0]}" if share else ""
                )
                assert row["rule"]["key"] == score, row["id"]


def test_numbers_for_one_record_are_one_number_wherever_they_are_printed():
    """Tables 3.1 and 3.2, tables and text; what HSR scores on DukeMTMC-reID is printed in two ways."""
    printed = defaultdict(set)
    for row, rule in RULES:
        if row["kind"] == "accuracy":
            printed[rule["key"], *sorted(filters(rule)[0].items())].add(expected(row))
    assert [sorted(numbers) for numbers in printed.values() if len(numbers) > 1] == [["58.0", "58.1"]]
    duke = {row["id"]: row["printed"] for row in ROWS if "hsr-duke-mAP" in row["id"]}
    assert duke == {"ch4-4.1-hsr-duke-mAP": "58.1", "ch4-4.2-hsr-duke-mAP": "58.0", "ch4-4.4.3-hsr-duke-mAP": "58.0"}
    for name in duke:
        assert "58." in BY_ID[name]["note"]


def test_other_methods_are_quoted_alike():
    for method in ("mar", "ssg"):
        for column in TWO_SETS.split():
            assert entry("3.1", f"{method}-{column}") == entry("4.1", f"{method}-{column}")


def test_what_is_not_built_is_quoted():
    ours = re.compile(
        r"ch3-3\.1-sgc-dpl|ch3-3\.[234]-|ch3-3\.[56]-(sgc-dpl|supervised)|ch[34]-\d\.4\.|ch4-4\.1-hsr|ch4-4\.2-"
    )
    for row in ROWS:
        if row["kind"] == "accuracy":
            assert (row["rule"] is not None) == bool(ours.match(row["id"])), row["id"]
        if row["rule"] is None:
            assert row["note"].startswith("quoted"), row["id"]
            assert row["kind"] != "trend" or row["needs"], row["id"]


def facts():
    """What the manifests and arithmetic make of the counts in the text."""
    found = {}
    for name in ("market1501", "dukemtmc-reid", "veri-776", "cub-200-2011"):
        splits = read_yaml(ROOT / "data_manifests" / f"{name}.yml")["splits"]
        counted = splits if name == "dukemtmc-reid" else ("train", "gallery")
        people = splits["train"]["identities"]
        found[name] = {
            "pictures": sum(splits[part]["pictures"] for part in counted),
            "identities": people + splits["query"]["identities"],
            "cameras": splits["train"].get("cameras"),
            **{f"{part}_{what}": count for part, numbers in splits.items() for what, count in numbers.items()},
        }
        for share in ("1/3", "1/6", "1/12"):
            labelled = int(Fraction(share) * people + Fraction(1, 2))
            found[name]["labelled_identities", share] = labelled
            found[name]["unlabelled_identities", share] = people - labelled
    return found


def test_the_text_against_its_own_tables(project):
    """By the code that will record the differences, and by the tables as they stand above."""
    recorded = {
        (row["item"], row["quantity"]): row["value"]
        for chapter in CHAPTERS
        for row in statements.printed_differences(chapter, project)
    }
    counted, found = facts(), set()
    for row, rule in RULES:
        where = rule["where"]
        if rule["key"] == "printed_difference":
            table, quantity = where["item"].removeprefix("Table "), where["quantity"]
            larger, smaller, column = re.fullmatch(r"(.+)-over-(.+)-((?:market|duke)-\w+)", quantity).groups()
            value = entry(table, f"{larger}-{column}") - entry(table, f"{smaller}-{column}")
            assert value == pytest.approx(recorded.pop((where["item"], quantity)) * 100), row["id"]
            half = 0.5 * 10.0 ** -claims.printed_decimals(expected(row))
        elif rule["key"] == "data_set_fact":
            share = where.get("labelled")
            value = counted[where["data"]][(where["quantity"], share) if share else where["quantity"]]
            half = 0
        else:
            continue
        if abs(value - float(expected(row))) > half + 1e-9:
            found.add(row["id"])
            assert row.get("note"), f"{row['id']}: says {value:.2f} and has no note why"
    assert found == CONTRADICTED
    assert recorded == {}


def test_the_best_of_the_named_methods_is_taken():
    """Sec. 4.4.3 compares with the best of four methods, which is not one method in all columns."""
    named = ("pul", "camel", "past", "ssg")
    others = re.findall(r"^ +(\S+)", TABLES["4.1"], flags=re.MULTILINE)[:-1]
    for row, rule in RULES:
        if row["item"] == "Section 4.4.3" and row["kind"] == "exact":
            taken, column = re.fullmatch(r"hsr-over-(\w+)-(\w+-\w+)", rule["where"]["quantity"]).groups()
            known = {name: cells("4.1").get(f"ch4-4.1-{name}-{column}", "0") for name in others}
            assert taken == max(named, key=lambda name: float(known[name])), row["id"]
            best = max(others, key=lambda name: float(known[name]))
            margin = entry("4.1", f"hsr-{column}") - float(known[best])
            if row["id"] not in CONTRADICTED:
                assert row["note"].endswith(f"the best of the whole table, it is {margin:.1f}."), row["id"]
                assert plain(best) in plain(row["note"]), row["id"]


def gain(table, data, one, other, share, score="mAP"):
    """By how much one row of a table is above another, at one share of labels."""
    column = f"{share}-{data}-{score}"
    return entry(table, f"{one}-{column}") - entry(table, f"{other}-{column}")


def numbers(claim):
    """The numbers with a decimal in a claim's note, without those of tables."""
    return re.findall(r"\d+\.\d", re.sub(r"Tables? \d\.\d", "", BY_ID[claim]["note"]))


BOTH = (("3.2", "market"), ("3.3", "duke"))


def test_what_the_notes_say_of_falls():
    rows = [line.split()[0] for line in TABLES["3.2"].splitlines()[1:-1]]
    falls = [
        (table, lower, share, score)
        for table, data in BOTH
        for upper, lower in itertools.pairwise(rows)
        for share in ("1-12", "1-6", "1-3")
        for score in SCORES
        if gain(table, data, lower, upper, share, score) < 0
    ]
    assert falls == [("3.3", "ap-progressive", "1-3", "rank1")]
    fall = f"{gain('3.3', 'duke', 'ap-soft', 'ap-progressive', '1-3', 'rank1'):.1f}"
    assert fall in numbers("ch3-3.3-ap-progressive-1-3-duke-rank1")
    assert fall in numbers("ch3-3.2-progressive-over-all-rank1")


def test_what_the_notes_say_of_gains():
    def gains(one, other, share):
        return [f"{gain(table, data, one, other, s):.1f}" for table, data in BOTH for s in ("1-12", share)]

    for share in ("1-6", "1-3"):
        assert numbers(f"ch3-3.2-sg-ap-gain-1-12-over-{share}") == gains("sgc-dpl", "ap-progressive", share)
    most = f"{gain('3.3', 'duke', 'init', 'labelled-only', '1-6'):.1f}"
    assert numbers("ch3-3.4.5-init-gain-1-12-over-1-3") == [*gains("init", "labelled-only", "1-3"), most]
    ahead = [f"{gain('3.4', 'market', 'ap', 'dbscan-ssg', share):.1f}" for share in ("1-3", "1-6")]
    assert numbers("ch3-3.4-ap-over-ssg") == numbers("ch3-3.4-ssg-competes") == ahead
    assert gain("3.4", "market", "ap", "dbscan-ssg", "1-3", "rank1") < 0
    assert gain("3.4", "market", "ap", "dbscan-ssg", "1-6", "rank1") > 0


def test_what_the_notes_say_of_the_distance_to_full_supervision():
    def short(table, best, data, score):
        return f"{entry(table, f'{best}-{data}-{score}') - entry(table, f'sgc-dpl-1-3-{data}-{score}'):.1f}"

    for end, score in (("", "mAP"), ("-rank1", "rank1")):
        name = f"ch3-3.4.5-near-supervised{end}"
        found = [
            f"{entry(table, f'supervised-{data}-{score}') - entry(table, f'sgc-dpl-1-3-{data}-{score}'):.1f}"
            for table, data in BOTH
        ]
        assert numbers(name) == found
    vehicles = [short("3.5", best, "veri", score) for best in ("grf-ggl", "supervised") for score in SCORES]
    assert numbers("ch3-3.4.11-veri-competes") == vehicles
    assert numbers("ch3-3.4.11-cub-competes") == [
        short("3.6", "smart-plus", "cub", score) for score in ("rank1", "NMI")
    ]


def test_what_the_notes_say_of_mmt():
    for column in TWO_SETS.split():
        assert entry("3.1", f"mmt-{column}") > entry("3.1", f"sgc-dpl-50-ids-{column}")
        assert "lies above" in BY_ID[f"ch3-3.1-mmt-{column}"]["note"]


def test_rules_name_what_the_chapters_record():
    for row, rule in RULES:
        for wanted in filters(rule):
            for name, value in wanted.items():
                if name != "quantity":
                    assert value in VALUES[rule["chapter"]][name], f"{row['id']}: {name} {value!r}"
                    assert not isinstance(value, bool), f"{row['id']}: {name}: YAML reads a bare on or off as a bool"
            if wanted.get("method") == "supervised":
                assert "labelled" not in wanted, row["id"]
    assert set(PROTOCOL_OF.values()) <= set(PROTOCOLS)


def test_units_fit(read):
    for claim in read.claims:
        if claim.id in BY_ID and claim.rule:
            assert claim.in_printed_unit(1.0, UNITS[claim.rule.key]) > 0


def test_no_filter_is_part_of_another():
    assert nested_filters(rule for _, rule in RULES) == []


def test_accuracies_need_their_data_and_their_protocol():
    for row, rule in RULES:
        if row["kind"] != "accuracy":
            continue
        where = rule["where"]
        assert plain(where["data"]) == plain(row["needs"]), row["id"]
        expected = PROTOCOL_OF[where["data"]] if rule["key"] in SCORES else None
        assert rule.get("protocol") == expected, row["id"]
        if rule["chapter"] == "04_unsupervised":
            assert {where["data"], where["source"]} == {"market1501", "dukemtmc-reid"}, row["id"]


def test_tolerances():
    for row, rule in RULES:
        if row["kind"] == "accuracy":
            printed = float(expected(row))
            tolerances = {"clusters": printed / 10, "icm_rank_precision": 2.0, "icm_hard_share": 2.0}
            rounding = 0.5 if rule["key"] == "clusters" else 0.0
            assert abs(rule["tolerance"] - tolerances.get(rule["key"], 1.0)) <= rounding, row["id"]
            assert rule["because"], row["id"]


def test_the_two_sides_of_a_trend_differ_in_one_thing():
    """Or the claim says that two things differ; a measure beside a number is one thing already."""
    several = {"ch3-3.4.11-supervised-over-sgc-dpl"}
    bounds = {
        "rank1": {0.9},
        "mAP_gain": {0, 0.02, 0.03, 0.05},
        "rank1_gain": {0, 0.05},
        "overlap_error": {0.1},
        "clusters": {0.5, 1.5},
        "clusters_per_identity": {0.95, 1.05},
        "divided_per_identity": {1.0},
        "label_precision_gain": {0},
        "v_measure_gain": {0},
        "v_measure_gain_least": {0},
    }
    for row, rule in RULES:
        if row["kind"] != "trend":
            continue
        real = row.get("needs") == "PKU-Reid"
        assert rule["where"]["data"] == ("pku-reid" if real else "embedded"), row["id"]
        score = rule["key"].removesuffix("_gain") in SCORES
        assert rule.get("protocol") in (GALLERY_RULES if real else ("market1501",) if score else (None,)), row["id"]
        larger, smaller = rule["larger"], rule["smaller"]
        if isinstance(larger, dict) and isinstance(smaller, dict):
            changed = {name for name in {**larger, **smaller} if larger.get(name) != smaller.get(name)}
            assert (len(changed) > 1) == (row["id"] in several), row["id"]
            assert row["id"] not in several or "Two things differ" in row["note"]
        else:
            number = larger if isinstance(smaller, dict) else smaller
            assert abs(number) in bounds[rule["key"]], row["id"]
            side = smaller if isinstance(smaller, dict) else larger
            reference = {**rule["where"], **side}.get("reference")
            assert (reference is not None) == (rule["key"] in ("mAP_gain", "rank1_gain")), row["id"]


def test_a_bound_that_the_text_does_not_print_is_called_ours():
    """Zero, halves between numbers of clusters, and one cluster per identity are the text's own."""
    for row, rule in RULES:
        numbers = [rule.get(side) for side in ("larger", "smaller") if not isinstance(rule.get(side), dict | None)]
        if any(number not in (0, 0.5, 1, 1.5) for number in numbers):
            assert re.search(r"\b(is|are) ours\b", row["note"]), row["id"]


def test_only_words_have_an_implied_number():
    assert {row["id"]: rule["implied"] for row, rule in RULES if "implied" in rule} == IMPLIED
    for name in IMPLIED:
        assert "The text prints" in BY_ID[name]["note"]
        assert BY_ID[name].get("printed") is None


def test_the_printed_gain_of_a_trend_is_that_of_table_3_2_or_4_2(read):
    gains = {claim.id: claim.gain for claim in read.claims if claim.id in BY_ID and claim.gain is not None}
    assert gains["ch3-3.2-sgc-dpl-over-ap-soft"] == pytest.approx((entry("3.2", "sgc-dpl-1-6-market-mAP") - 65.9) / 100)
    assert gains["ch3-3.2-progressive-over-all-rank1"] == pytest.approx(0.004)
    # 41.4 points with 1/12 of the labels, 31.6 with 1/6.
    assert gains["ch3-3.2-whole-gain-1-12-over-1-6"] == pytest.approx(0.098)
    assert gains["ch4-4.2-icm-over-baseline"] == gains["ch4-4.2-short-icm-over-baseline"] == pytest.approx(0.17)
    for name in gains:
        rule = BY_ID[name]["rule"]
        assert isinstance(rule["larger"], dict), name
        # A bound of ours is no printed gain; zero is the text's own.
        assert isinstance(rule["smaller"], dict) or rule["smaller"] == 0, name
        assert BY_ID[name].get("whose") != "ours", name


def test_our_own_questions_are_marked():
    ours = {row["id"] for row in ROWS if row.get("whose") == "ours"}
    assert {name for name in ours if name.startswith("ch3-")} == {
        "ch3-3.2-half-threshold-over-all",
        "ch3-3.2-short-half-threshold-over-all",
        "ch3-3.4-ap-over-kmeans",
        "ch3-3.2-imagenet-labelled-only",
        "ch3-3.2-imagenet-sgc-dpl",
        "ch3-3.2-imagenet-supervised",
        "ch3-3.2-sgc-dpl-over-labelled-only-from-imagenet",
    }
    # Centring, the wide baseline, other starts and these real pictures are nowhere in the text.
    assert {name for name in ours if name.startswith("ch4-")} == {
        name
        for name in BY_ID
        if "centred" in name
        or name.startswith(("ch4-4.2-real-", "ch4-4.2-imagenet-"))
        or name == "ch4-4.2-icm-over-wide-baseline"
    }
