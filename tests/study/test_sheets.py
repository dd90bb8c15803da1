"""Sheets: which records are shown beside each other."""

import pandas as pd

from reidlab.study import sheets


def records(*rows):
    return pd.DataFrame([dict(zip(("key", "value", "method", "experiment", "start"), row)) for row in rows])


def own(rows):
    return rows["method"] == "network"


def test_networks_from_several_starts_stand_in_one_order():
    found = records(
        ("mAP", 0.3, "mobilenetv2", "starts", "imagenet"),
        ("mAP", 0.2, "mobilenetv2", "starts", "scratch"),
        ("loss", 9.0, "mobilenetv2", "starts", "scratch"),
        ("mAP", 0.9, "histogram", None, None),
        ("rank1", 0.1, "network", None, None),
        ("rank1", 0.4, "embedder", "starts", "embedder"),
    )
    shown = sheets.by_start(own, found)
    assert shown.value.tolist() == [0.1, 0.2, 0.3, 0.4]
    assert shown.network.tolist() == ["this chapter's", "from scratch", "from ImageNet", "published"]


def test_kept_records_from_before_give_way_to_a_runs_own():
    before = records(("mAP", 0.5, "network", None, None)).drop(columns="start")
    now = records(("mAP", 0.2, "mobilenetv2", "starts", "scratch"), ("mAP", 0.1, "network", None, None))
    assert sheets.by_start(own, before, now).value.tolist() == [0.1, 0.2]
    nothing = sheets.by_start(own, before, before)
    assert len(nothing) == 0
    assert sheets.mean_scores(nothing, ["network"]).iloc[0, 0] == "nothing of this kind was measured on this machine"
