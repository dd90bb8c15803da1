"""Scores of an embedder on a labelled data set: the tool behind ``reidlab evaluate``."""

from __future__ import annotations

from typing import Any

import numpy as np

from reidlab.data.readers.folder import FOLDER
from reidlab.data.readers.mars import cleaned_labels
from reidlab.errors import ConfigError, DataError
from reidlab.evaluation import Embeddings, evaluate
from reidlab.evaluation.cleaned import cleaned_protocol
from reidlab.evaluation.protocols import PROTOCOLS, WITH_LABELS, Protocol, get
from reidlab.tools.common import check_option
from reidlab.tools.embed import Embedded, centred_by_camera, picture_columns

CROSS_CAMERA = "cross-camera"
#: Protocols whose queries and gallery are all pictures of a set, whatever its division.
WHOLE = (CROSS_CAMERA, "leave-one-out")
#: Layouts whose entries are tracklets: the features of their pictures are averaged.
TRACKLETS = ("mars", "dukemtmc_videoreid")


def evaluate_embedded(embedded: Embedded, protocol: str | None = None, centre: bool = False) -> dict[str, Any]:
    """Return scores under a named protocol.

    Args:
        embedded: a labelled data set with its features.
        protocol: see :func:`protocol_of`; None takes the set's own, that of Market-1501 where it has queries and a
            gallery, or else ``cross-camera``.
        centre: whether to take each camera's mean feature out of its pictures' first: of the gallery's pictures, for
            the queries as well. That needs no label, and takes away what a camera adds to all its pictures.

    Returns:
        ``set``, ``embedder``, ``protocol``, ``centred``; ``rank_1``, ``rank_5``, ``mAP`` and ``mINP`` as fractions;
        ``counts`` of pictures, people, cameras, queries, those of them without a match, and gallery entries.

    Raises:
        ConfigError: there is no such protocol, or a camera cannot be centred.
        DataError: the set has no identities, or no queries and gallery, tracklets or people in two cameras where the
            protocol wants them.
    """
    name, splits = embedded.notes.get("set", "the set"), embedded.table["split"]
    if not embedded.labelled().any():
        # Cameras are what a folder's only level is taken for.
        mistaken = embedded.notes.get("layout") == FOLDER.name and len(embedded.cameras()) > 1
        hint = "; if its folders are people, `reidlab data add NAME FOLDER --layout folder_person` has them read so"
        raise DataError(f"{name}: it has no identities; it can be searched, but not scored{hint if mistaken else ''}")
    divided = {"query", "gallery"} <= set(splits)
    if protocol is None:
        protocol = embedded.notes.get("protocol") or ("market1501" if divided else CROSS_CAMERA)
    rule = protocol_of(protocol, embedded.notes.get("folder"))
    if rule.name not in WHOLE and not divided:
        raise DataError(
            f"{name}: protocol {rule.name!r} wants queries and a gallery, which it has not; --protocol cross-camera "
            "takes every picture as a query"
        )
    query, gallery = _whole(embedded, rule.name) if rule.name in WHOLE else _divided(embedded)
    _check_cameras(name, query, gallery, rule)
    if centre:
        query, gallery = centred_by_camera(query, gallery, embedded.cameras())
    try:
        scores = evaluate(query, gallery, rule)
    except (ConfigError, DataError) as error:
        raise type(error)(f"{name}: {error}") from error
    counts = {
        "pictures": len(embedded.table.drop_duplicates(picture_columns(embedded.table))),
        "people": len(np.unique(query.pids)),
        "cameras": len(np.union1d(query.camids, gallery.camids)),
        "queries": len(query),
        "queries_without_match": scores.num_invalid,
        "gallery": len(gallery),
    }
    return {
        "set": name,
        "embedder": embedded.notes.get("embedder", ""),
        "protocol": rule.name,
        "centred": centre,
        "rank_1": scores.rank(1),
        "rank_5": scores.rank(5),
        "mAP": scores.mAP,
        "mINP": scores.mINP,
        "counts": counts,
    }


def protocol_of(name: str, folder: str | None = None) -> Protocol:
    """Return a protocol by its name; those with corrected labels find them in a data set's folder.

    Raises:
        ConfigError: there is none of that name.
        MissingDataError: the folder has no corrected labels.
        DataError: they cannot be read.
    """
    if name in WITH_LABELS and folder:
        return cleaned_protocol(cleaned_labels(folder, f"protocol {name!r}"), released=name == WITH_LABELS[1])
    return get(name)


def check_protocol(name: str) -> None:
    """Check that there is a protocol of that name.

    Raises:
        ConfigError: there is none; the message lists all.
    """
    check_option("--protocol", name, (*WHOLE, *(known for known in (*PROTOCOLS, *WITH_LABELS) if known not in WHOLE)))


def _check_cameras(name: str, query: Embeddings, gallery: Embeddings, rule: Protocol) -> None:
    """Check that cameras can be told apart where a protocol leaves out those of the query.

    Raises:
        DataError: there is one camera, or all people are in one each.
    """
    if getattr(rule.matcher, "camera_rule", "none") == "none":
        return
    cameras = np.union1d(query.camids, gallery.camids)
    seen = np.unique(np.stack([np.r_[query.pids, gallery.pids], np.r_[query.camids, gallery.camids]]), axis=1)
    counts = np.unique(seen[0, seen[0] >= 0], return_counts=True)[1]
    if len(cameras) == 1:
        problem = "all pictures are of one camera"
    elif (counts < 2).all():
        problem = f"each person is seen by one of its {len(cameras)} cameras only"
    else:
        return
    raise DataError(
        f"{name}: {problem}, and protocol {rule.name!r} needs two; --protocol leave-one-out finds people in all "
        "pictures, whatever their camera"
    )


def _whole(embedded: Embedded, protocol: str) -> tuple[Embeddings, Embeddings]:
    """Return all pictures of people as queries, and all pictures as the gallery; each once."""
    first = ~embedded.table.duplicated(picture_columns(embedded.table)).to_numpy()
    gallery = embedded.embeddings(first)
    if protocol != CROSS_CAMERA:
        gallery = Embeddings(gallery.features, gallery.pids, gallery.camids, np.arange(len(gallery)))
    return gallery.select(embedded.labelled()[first]), gallery


def _divided(embedded: Embedded) -> tuple[Embeddings, Embeddings]:
    splits = embedded.table["split"].to_numpy()
    parts = (embedded.embeddings(splits == split) for split in ("query", "gallery"))
    tracklets = embedded.notes.get("layout") in TRACKLETS
    query, gallery = (part.tracklet_means() if tracklets else part for part in parts)
    return query, gallery
