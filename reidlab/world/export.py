"""Writing a scene in the on-disk formats of real data sets, so that the readers of those read it.

=============== =========================================================================================
``market1501``  pictures of people: ``bounding_box_train``, ``query``, ``bounding_box_test`` (Zheng et al., 2015)
``mars``        tracklets: ``bbox_train``, ``bbox_test`` and ``info/*.mat`` (Zheng et al., 2016)
``mot``         frames with boxes and identities shared by all cameras: MOTChallenge (Milan et al., 2016)
``sites``       ``market1501`` and the division of its training pictures among federated sites
=============== =========================================================================================

Beside the data every export holds ``truth.parquet``, which says of each picture, track or detection who and what is
really there and which fault was put in, and ``world.yml``, the spec it was made from.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, wraps
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from reidlab.checks import check_integer
from reidlab.errors import ConfigError
from reidlab.files import whole_folder
from reidlab.formats import mars
from reidlab.seeding import rng
from reidlab.world.recording import (
    MIN_HEIGHT,
    Labels,
    Sighting,
    Tracklet,
    bad_box,
    beside,
    cut,
    detected,
    detection,
    frames_in_view,
    iou,
    jittered,
    see,
    slipped,
    tracks_of,
    window_around,
)
from reidlab.world.render import Actor
from reidlab.world.scene import Scene
from reidlab.world.spec import SPLITS
from reidlab.world.writing import spread, write_picture

Row = dict[str, Any]
_FOLDERS = {"train": "bounding_box_train", "query": "query", "gallery": "bounding_box_test"}
_TRIES = 8
_MOT_CHUNK = 25  # frames a process draws in one go


LAYOUTS: dict[str, Callable[..., Path]] = {}


def _layout(name: str) -> Callable[[Callable[..., Any]], Callable[..., Path]]:
    """Let a writer write a whole folder with its spec, or nothing, and register it as a layout."""

    def decorate(write: Callable[..., Any]) -> Callable[..., Path]:
        @wraps(write)
        def export(scene: Scene, out: Path, *, workers: int | None = None, quiet: bool = False) -> Path:
            out = Path(out)
            with whole_folder(out) as folder:
                write(scene, folder, workers=workers, quiet=quiet)
                text = f"# a {name} export of reidlab's embedded world {scene.spec.key()}\n{scene.spec.to_yaml()}"
                (folder / "world.yml").write_text(text)
            return out

        LAYOUTS[name] = export
        return export

    return decorate


@_layout("market1501")
def export_market(scene: Scene, out: Path, *, workers: int | None = None, quiet: bool = False) -> Path:
    """Write pictures of people in the layout of Market-1501.

    Each identity has ``spec.shots`` pictures by each camera that it passes, spread over its visits. One of the test
    pictures of each identity and camera is the query (with a true label). The gallery also holds distractors
    (0000) and badly boxed pictures (-1).

    Args:
        scene: what to export.
        out: folder to make; its truth has ``path`` (in the folder), ``split``, ``visit``, ``camid``, ``frame``,
            ``label`` (as in the name), ``pid`` (true), ``fault``, the box ``x, y, w, h``, the true window ``true_x`` ..
            ``true_h``, their ``iou`` and the person's ``visibility``.
        workers: number of processes; None takes one per core.
        quiet: whether to leave out the progress bar.

    Returns:
        ``out``.

    Raises:
        StorageError: ``out`` exists already, or the disk is full.
    """
    _write_market(scene, out, workers, quiet)
    return out


def _write_market(scene: Scene, folder: Path, workers: int | None, quiet: bool) -> pd.DataFrame:
    for name in _FOLDERS.values():
        (folder / name).mkdir()
    units = []
    for split in SPLITS:
        session = scene.sessions[split]
        wanted = session.identities + (session.distractors if split == "test" else ())
        seen = scene.visits[(scene.visits.split == split) & scene.visits.pid.isin(wanted)]
        units += [(split, int(pid), int(camid)) for pid, camid in sorted(set(zip(seen.pid, seen.camid)))]
    pictures = len(units) * scene.spec.shots
    rows = spread(
        scene, _picture_unit, folder, units, pictures=pictures, workers=workers, quiet=quiet,
        title=f"{scene.spec.name}: pictures",
    )  # fmt: skip
    truth = pd.DataFrame([row for part in rows for row in part], columns=_PICTURE_COLUMNS)
    truth.to_parquet(folder / "truth.parquet", index=False)
    return truth


_TRUE_BOX = ("true_x", "true_y", "true_w", "true_h")
_PICTURE_COLUMNS = [
    "path", "split", "visit", "camid", "frame", "label", "pid", "fault", "x", "y", "w", "h", *_TRUE_BOX, "iou",
    "visibility",
]  # fmt: skip


def _picture_unit(scene: Scene, folder: Path, unit: tuple[str, int, int]) -> list[Row]:
    """Draw all pictures of one person by one camera."""
    split, pid, camid = unit
    spec = scene.spec
    random = rng(spec.seed, "shots", split, pid, camid)
    labels = _labels_of(scene)
    identity = not scene.is_distractor(pid)
    chosen = _choose_shots(scene, split, pid, camid, random)
    cameras = scene.visits.loc[scene.visits.pid == pid, "camid"].nunique()
    query = int(random.integers(len(chosen))) if chosen and identity and split == "test" and cameras > 1 else -1
    rows = []
    for number, (visit, frame, sighting) in enumerate(chosen):
        label, fault = labels.of(visit)
        part = "train" if split == "train" else "query" if number == query else "gallery"
        if part == "query":
            # Queries are chosen by hand: they carry the identity the data set has for this person and camera.
            label, fault = (label, fault) if fault == "duplicate" else (pid, "")
        box = detection(scene, visit, frame, sighting.window)
        path = _market_path(scene, part, visit, frame, label)
        rows.append(_write_person(scene, folder, path, part, visit, frame, sighting, box, label, fault))
    if split == "test" and identity:
        for visit, frame, sighting in chosen:
            if random.random() < spec.junk:
                box = cut(bad_box(sighting.window, random), scene.cameras[camid - 1])
                path = _market_path(scene, "gallery", visit, frame, -1)
                rows.append(_write_person(scene, folder, path, "gallery", visit, frame, sighting, box, -1, "junk"))
    return rows


def _choose_shots(
    scene: Scene, split: str, pid: int, camid: int, random: np.random.Generator
) -> list[tuple[int, int, Sighting]]:
    """Choose (visit, frame) pairs spread over the visits, at which the detector finds the person."""
    table = scene.visits
    visits = [int(v) for v in table.visit[(table.pid == pid) & (table.camid == camid) & (table.split == split)]]
    if not visits:
        raise ConfigError(f"person {pid} never passes camera {camid} in the {split} session")
    pools = [list(random.permutation(frames_in_view(scene, visit))) for visit in visits]
    chosen: list[tuple[int, int, Sighting]] = []
    first = int(random.integers(len(visits)))
    for turn in range(first, first + scene.spec.shots):
        for attempt in range(_TRIES):
            place = (turn + attempt // 3) % len(visits)
            if not pools[place]:
                continue
            visit, frame = visits[place], int(pools[place].pop())
            if not detected(scene, visit, frame):
                continue
            sighting = see(scene, visit, frame)
            if sighting.visibility >= scene.spec.min_visibility:
                chosen.append((visit, frame, sighting))
                break
    return chosen


def _market_path(scene: Scene, part: str, visit: int, frame: int, label: int) -> str:
    camid = scene.visit(visit).camid
    name = "-1" if label == -1 else f"{label:04d}"
    sequence = 1 if scene.visit(visit).split == "train" else 2
    number = scene.visits_at(camid, frame).index(visit)
    return f"{_FOLDERS[part]}/{name}_c{camid}s{sequence}_{frame:06d}_{number:02d}.jpg"


def _write_person(
    scene: Scene, folder: Path, path: str, split: str, visit: int, frame: int, sighting: Sighting, box: np.ndarray,
    label: int, fault: str, companion: Actor | None = None,
) -> Row:  # fmt: skip
    """Write one picture and return its row of the truth."""
    who = scene.visit(visit)
    # Shadows reach farther than bodies.
    actors = [scene.actor(v, frame) for v in scene.visits_near(who.camid, frame, box, reach=2.0)]
    if companion is not None:
        actors.append(companion)
    random = rng(scene.spec.seed, "junk" if fault == "junk" else "picture", visit, frame)
    renderer, shot = scene.renderer(who.camid), scene.shot(frame)
    write_picture(folder / path, renderer.crop(actors, box, size=scene.spec.crop_size, rng=random, shot=shot))
    return {
        "path": path, "split": split, "visit": visit, "camid": who.camid, "frame": frame, "label": label,
        "pid": who.pid, "fault": fault, **_box_columns(box, sighting.window), "visibility": sighting.visibility,
    }  # fmt: skip


def _box_columns(box: np.ndarray, true: np.ndarray) -> Row:
    values = {name: round(float(v), 3) for name, v in zip(("x", "y", "w", "h", *_TRUE_BOX), (*box, *true))}
    return {**values, "iou": iou(box, true)}


@lru_cache(maxsize=2)
def _labels_of(scene: Scene) -> Labels:
    return Labels(scene)


@_layout("mars")
def export_mars(scene: Scene, out: Path, *, workers: int | None = None, quiet: bool = False) -> Path:
    """Write tracklets in the layout of MARS.

    Each visit gives a tracklet of up to ``spec.tracklet_frames`` pictures, or two where the track broke. One tracklet
    of each test identity and camera is a query; as in MARS the queries are part of the test tracklets. Junk
    (-1, in the folder ``00-1``) are tracks of the background.

    The true labels of the test tracklets are in ``info/clean_tracks_test_info.mat``, the name and the form of what was
    released with CF-AAN (Liu et al., CVPRW 2021; Sec. 2.6.4): ``track_test_info`` (tracklets, 6) holds first and last
    picture, identity and camera as in the track matrix, the true identity (also of tracklets buried in the distractor
    class), and the second identity of an ambiguous tracklet, -1 for none.

    Args:
        scene: what to export.
        out: folder to make; its truth has a row per picture: the columns of :func:`export_market`, ``tracklet`` (row of
            the track matrix of its split, from 1), ``drift`` (the tracker is off), ``shown`` (the person
            it is on, -1 for the background) and ``other`` (the second person in the box of an ``ambiguous``
            tracklet, else -1).
        workers: number of processes; None takes one per core.
        quiet: whether to leave out the progress bar.

    Returns:
        ``out``.

    Raises:
        StorageError: ``out`` exists already, or the disk is full.
    """
    units = []
    for split in SPLITS:
        tracks = _plan_tracks(scene, split)
        names = _write_info(scene, out, split, tracks)
        units += [(split, i, track, tuple(paths)) for i, (track, paths) in enumerate(zip(tracks, names), start=1)]
    parts = spread(
        scene, _tracklet_unit, out, units, pictures=sum(len(unit[3]) for unit in units), workers=workers,
        quiet=quiet, title=f"{scene.spec.name}: tracklets",
    )  # fmt: skip
    rows = [row for part in parts for row in part]
    truth = pd.DataFrame(rows, columns=[*_PICTURE_COLUMNS, "tracklet", "drift", "shown", "other"])
    truth.to_parquet(out / "truth.parquet", index=False)
    return out


def _plan_tracks(scene: Scene, split: str) -> list[Tracklet]:
    """Return the tracks of a session in the order of labels, as MARS lists them."""
    labels, session = _labels_of(scene), scene.sessions[split]
    wanted = session.identities + (session.distractors if split == "test" else ())
    tracks = []
    for visit in scene.visits.visit[scene.visits.pid.isin(wanted) & (scene.visits.split == split)]:
        label, fault = labels.of(int(visit))
        for frames, drift in tracks_of(scene, int(visit)):
            other = labels.companion(int(visit))
            if other > 0:  # the tracker follows the pair
                tracks.append(Tracklet(int(visit), frames, (False,) * len(frames), label, "ambiguous", other))
            else:
                tracks.append(Tracklet(int(visit), frames, drift, label, fault))
            if split == "test" and rng(scene.spec.seed, "junk", int(visit)).random() < scene.spec.junk:
                tracks.append(Tracklet(int(visit), frames, (True,) * len(frames), -1, "junk"))
    return sorted(tracks, key=lambda t: (t.label, scene.visit(t.visit).camid, t.frames[0], t.visit))


def _tracklet_unit(scene: Scene, folder: Path, unit: tuple[str, int, Tracklet, tuple[str, ...]]) -> list[Row]:
    """Draw all pictures of one tracklet."""
    split, number, track, names = unit
    pair = track.other > 0
    companions = [beside(scene, track.visit, track.other, frame) if pair else None for frame in track.frames]
    sightings = [see(scene, track.visit, frame, who) for frame, who in zip(track.frames, companions)]
    if pair:
        together = zip(track.frames, companions)
        windows = [(window_around(scene, track.visit, frame, who), track.visit) for frame, who in together]
    elif track.fault == "junk":
        random = rng(scene.spec.seed, "junk box", track.visit, track.frames[0])
        windows = [(bad_box(sightings[0].window, random), -1)] * len(sightings)
    else:
        windows = slipped(scene, track, sightings)
    rows = []
    for frame, name, off, sighting, (window, on), companion in zip(
        track.frames, names, track.drift, sightings, windows, companions
    ):
        path = mars.picture_path(split, name)
        box = detection(scene, track.visit, frame, window)
        row = _write_person(
            scene, folder, path, split, track.visit, frame, sighting, box, track.label, track.fault, companion
        )
        shown = -1 if on < 0 else scene.visit(on).pid
        rows.append({**row, "tracklet": number, "drift": off, "shown": shown, "other": track.other})
    return rows


def _write_info(scene: Scene, folder: Path, split: str, tracks: list[Tracklet]) -> list[list[str]]:
    """Write what lists the tracks of a split; return the names of each one's pictures."""
    pids, camids = [track.label for track in tracks], [scene.visit(track.visit).camid for track in tracks]
    names = mars.track_names(pids, camids, [len(track.frames) for track in tracks])
    matrix = mars.write_part(folder, split, names, pids, camids)
    if split == "test":
        # The true identity of a distractor is 0, that of junk -1.
        people = [-1 if track.fault == "junk" else scene.visit(track.visit).pid for track in tracks]
        true = [(0 if scene.is_distractor(pid) else pid, track.other) for pid, track in zip(people, tracks)]
        mars.write_test(folder, _choose_queries(scene, tracks, camids), matrix, true)
    return names


def _choose_queries(scene: Scene, tracks: list[Tracklet], camids: list[int]) -> list[int]:
    """Return one track (from 1) of each test identity and camera, rightly labelled, if another camera has one too."""
    found: dict[tuple[int, int], list[int]] = {}
    for number, (track, camid) in enumerate(zip(tracks, camids), start=1):
        if track.label > 0 and track.fault in ("", "duplicate"):
            found.setdefault((track.label, camid), []).append(number)
    queries = []
    for (label, camid), numbers in sorted(found.items()):
        if any(other == label and c != camid for other, c in found):
            queries.append(int(rng(scene.spec.seed, "query", label, camid).choice(numbers)))
    return queries


@_layout("mot")
def export_mot(scene: Scene, out: Path, *, workers: int | None = None, quiet: bool = False) -> Path:
    """Write the first ``spec.mot_seconds`` of each session as frames in the layout of MOTChallenge.

    There is a sequence ``<split>/<name>-C<camid>`` for each session and camera; those of a session run in step.
    ``gt/gt.txt`` holds everybody with an identity that is the same before all cameras, ``det/det.txt`` what a
    detector with misses, false alarms and loose boxes would find.

    Args:
        scene: what to export.
        out: folder to make; its truth has a row per line of each ``det.txt``: ``sequence``, ``split``, ``camid``,
            ``frame``, ``line`` (from 1), ``pid`` (-1: false alarm), ``visit``, box, true box, ``iou``, ``visibility``.
        workers: number of processes; None takes one per core.
        quiet: whether to leave out the progress bar.

    Returns:
        ``out``.

    Raises:
        StorageError: ``out`` exists already, or the disk is full.
    """
    spec = scene.spec
    longest = max(1, round(spec.mot_seconds * spec.frame_rate))
    lengths = {split: min(session.last - session.first + 1, longest) for split, session in scene.sessions.items()}
    units = [
        (split, camera.camid, start, min(start + _MOT_CHUNK, length))
        for split, length in lengths.items()
        for camera in scene.cameras
        for start in range(0, length, _MOT_CHUNK)
    ]
    parts = spread(
        scene, _frames_unit, out, units, pictures=sum(lengths.values()) * spec.cameras, workers=workers,
        quiet=quiet, title=f"{spec.name}: frames",
    )  # fmt: skip
    rows: list[Row] = []
    for split, length in lengths.items():
        for camera in scene.cameras:
            mine = [part for unit, part in zip(units, parts) if unit[:2] == (split, camera.camid)]
            rows += _write_sequence(scene, out, split, camera.camid, length, mine)
    pd.DataFrame(rows, columns=_DETECTION_COLUMNS).to_parquet(out / "truth.parquet", index=False)
    return out


_DETECTION_COLUMNS = [
    "sequence", "split", "camid", "frame", "line", "pid", "visit", "x", "y", "w", "h", *_TRUE_BOX, "iou", "visibility",
]  # fmt: skip
Annotation = tuple[list[str], list[tuple[str, Row]]]


def sequence_name(scene: Scene, camid: int) -> str:
    """Return the name of a camera's MOTChallenge sequence."""
    return f"{scene.spec.name}-C{camid}"


def _frames_unit(scene: Scene, folder: Path, unit: tuple[str, int, int, int]) -> Annotation:
    """Draw some frames of a camera; return the lines of gt.txt, and those of det.txt with what they stand for."""
    split, camid, start, stop = unit
    truth: list[str] = []
    found: list[tuple[str, Row]] = []
    images = folder / split / sequence_name(scene, camid) / "img1"
    for offset in range(start, stop):
        frame, number = scene.sessions[split].first + offset, offset + 1
        write_picture(images / f"{number:06d}.jpg", scene.frame(camid, frame))
        boxes = scene.boxes(camid, frame)
        for row in boxes.itertuples():
            truth.append(f"{number},{row.pid},{row.x:.2f},{row.y:.2f},{row.w:.2f},{row.h:.2f},1,1,{row.visibility:.4f}")
        found += _detections(scene, camid, frame, number, boxes)
    return truth, found


def _detections(scene: Scene, camid: int, frame: int, number: int, boxes: pd.DataFrame) -> list[tuple[str, Row]]:
    """Return what the detector finds in one frame, most certain first."""
    spec, camera = scene.spec, scene.cameras[camid - 1]
    found = []
    for row in boxes.itertuples():
        true = np.array([row.x, row.y, row.w, row.h])
        random = rng(spec.seed, "detection", int(row.visit), frame)
        if (
            not detected(scene, int(row.visit), frame)
            or row.visibility < spec.min_visibility
            or row.h < MIN_HEIGHT * camera.height
        ):
            continue
        box = cut(jittered(true, spec.nuisances.box_jitter, random), camera)
        score = float(np.clip(0.45 + 0.5 * row.visibility + random.normal(0, 0.06), 0.05, 0.999))
        found.append((score, box, true, int(row.pid), int(row.visit), float(row.visibility)))
    random = rng(spec.seed, "false alarm", camid, frame)
    for _ in range(int(random.poisson(spec.false_alarms))):
        height = float(random.uniform(0.12, 0.5)) * camera.height
        corner = random.uniform(0, 1, 2) * (camera.width - 0.4 * height, camera.height - height)
        box = np.array([*corner, 0.4 * height, height])
        found.append((float(random.uniform(0.05, 0.65)), box, np.full(4, np.nan), -1, -1, 0.0))
    out = []
    for score, box, true, pid, visit, visibility in sorted(found, key=lambda item: -item[0]):
        x, y, w, h = (round(float(v), 2) for v in box)
        line = f"{number},-1,{x:.2f},{y:.2f},{w:.2f},{h:.2f},{score:.4f},-1,-1,-1"
        overlap = iou(box, true) if pid > 0 else 0.0
        out.append((line, {
            "frame": number, "pid": pid, "visit": visit, **_box_columns(box, true), "iou": overlap,
            "visibility": visibility,
        }))  # fmt: skip
    return out


def _write_sequence(
    scene: Scene, folder: Path, split: str, camid: int, length: int, parts: list[Annotation]
) -> list[Row]:
    """Write what goes with a sequence's frames; return its rows of the truth."""
    spec, name = scene.spec, sequence_name(scene, camid)
    home = folder / split / name
    for part in ("gt", "det"):
        (home / part).mkdir()
    (home / "gt" / "gt.txt").write_text("".join(f"{line}\n" for truth, _ in parts for line in truth))
    found = [item for _, detections in parts for item in detections]
    (home / "det" / "det.txt").write_text("".join(f"{line}\n" for line, _ in found))
    (home / "seqinfo.ini").write_text(
        f"[Sequence]\nname={name}\nimDir=img1\nframeRate={spec.frame_rate:g}\nseqLength={length}\n"
        f"imWidth={spec.frame_width}\nimHeight={spec.frame_height}\nimExt=.jpg\n"
    )
    head = {"sequence": name, "split": split, "camid": camid}
    return [{**head, **row, "line": line} for line, (_, row) in enumerate(found, start=1)]


@_layout("sites")
def export_sites(scene: Scene, out: Path, *, workers: int | None = None, quiet: bool = False) -> Path:
    """Write the pictures of :func:`export_market` and two ways to divide the training ones among federated sites.

    ``splits/by_camera.csv``: each camera is a site, so that sites share identities and differ in look.
    ``splits/by_identity.csv``: each identity lives at one of ``spec.sites`` sites; the shares follow a Dirichlet
    distribution with concentration ``spec.site_skew``. Columns: ``site`` (from 0), ``path``, ``pid`` (the
    label), ``camid``.

    Raises:
        ConfigError: there are more sites than training identities.
        StorageError: ``out`` exists already, or the disk is full.
    """
    spec = scene.spec
    check_integer("WorldSpec.sites", spec.sites, 1, spec.train_people, what="at most train_people")
    truth = _write_market(scene, out, workers, quiet)
    train = truth.loc[truth.split == "train", ["path", "label", "camid"]].rename(columns={"label": "pid"})
    (out / "splits").mkdir()
    homes = _deal_identities(sorted(train.pid.unique()), spec.sites, spec.site_skew, rng(spec.seed, "sites"))
    for name, sites in (("by_camera", train.camid - 1), ("by_identity", train.pid.map(homes))):
        table = train.assign(site=sites.astype(int))[["site", "path", "pid", "camid"]].sort_values(["site", "path"])
        table.to_csv(out / "splits" / f"{name}.csv", index=False, lineterminator="\n")
    return out


def _deal_identities(pids: list[int], sites: int, skew: float, random: np.random.Generator) -> dict[int, int]:
    """Give each identity a site; every site gets at least one."""
    shares = random.dirichlet(np.full(sites, skew))
    homes = np.concatenate([np.arange(sites), random.choice(sites, size=len(pids) - sites, p=shares)])
    return dict(zip((int(p) for p in random.permutation(pids)), (int(s) for s in homes)))
