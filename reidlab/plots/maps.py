"""Figures of embeddings laid out in the plane: by identity and camera, by cluster, before and after a split."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import count

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Polygon

from reidlab.checks import check_choice, plural
from reidlab.errors import ConfigError
from reidlab.plots import style
from reidlab.plots.checks import check_labels, check_lengths, check_points

OUTLIER = -1
PROJECTIONS = ("umap", "t-sne")

_DOTS = (0, (1.4, 1.6))
_HOLLOW = {"color": style.JUNK, "mfc": "none"}


def project(features: np.ndarray, seed: int, how: str = "umap", neighbours: int = 15) -> np.ndarray:
    """Lay embeddings out in the plane, by UMAP on cosine distance or by t-SNE on Euclidean distance.

    Args:
        features: (N, D) float, N > 3.
        seed: the layout is the same for the same seed, features and machine.
        how: ``umap`` (McInnes et al., 2018) or ``t-sne`` (van der Maaten and Hinton, 2008).
        neighbours: size of the neighbourhood; cut to N - 1, for t-SNE, whose perplexity it is, to a third of that.

    Returns:
        (N, 2) float. Distances between far clumps and their sizes carry no meaning; neighbourhoods do.

    Raises:
        ConfigError: another shape, fewer than four embeddings, or an unknown projection.
    """
    check_choice("how", how, PROJECTIONS)
    features = np.asarray(features, dtype=np.float32)
    if features.ndim != 2 or len(features) < 4:
        raise ConfigError(f"features: expected (N, D) with N of at least 4; got shape {features.shape}")
    if how == "t-sne":
        from sklearn.manifold import TSNE

        near = min(neighbours, (len(features) - 1) // 3 + 1)
        return TSNE(perplexity=near, init="pca", random_state=seed % 2**31).fit_transform(features)
    from umap import UMAP  # imported late: it compiles for seconds

    layout = UMAP(
        n_neighbors=min(neighbours, len(features) - 1),
        metric="cosine",
        random_state=seed % 2**32,
        n_jobs=1,
        init="pca" if len(features) < 8 else "spectral",
    )
    return layout.fit_transform(features)


@style.context()
def embedding_map(points: np.ndarray, pids: Sequence[int], camids: Sequence[int]) -> Figure:
    """Draw a plane of embeddings: one colour and one number per identity, one mark per camera.

    Args:
        points: (N, 2) positions, such as :func:`project` gives.
        pids: N identities.
        camids: N cameras.

    Raises:
        ConfigError: lengths that do not agree, points that are not finite, or more cameras than there are marks.
    """
    import seaborn as sns  # late: it takes a second and loads pyplot, which reading pages needs not

    points, pids, camids = check_points("points", points), np.asarray(pids), np.asarray(camids)
    check_lengths(len(points), "per point", pids=pids, camids=camids)
    cameras = np.unique(camids).tolist()
    if len(cameras) > len(style.MARKERS):
        raise ConfigError(f"camids: {len(cameras)} cameras, but only {len(style.MARKERS)} marks; choose fewer cameras")
    palette = style.colours(np.unique(pids).tolist())
    marks = dict(zip(cameras, style.MARKERS))
    figure = style.new_figure(4.6)
    axes = figure.add_subplot()
    shown = {"hue": pids, "palette": palette, "style": camids, "markers": marks, "legend": False}
    sns.scatterplot(x=points[:, 0], y=points[:, 1], s=44, linewidth=0.7, alpha=0.9, zorder=2, ax=axes, **shown)
    for pid, colour in palette.items():
        card = {"boxstyle": "round,pad=0.18", "fc": "white", "ec": colour, "lw": 1.3, "alpha": 0.92}
        look = {"ha": "center", "va": "center", "weight": "bold", "fontsize": 8, "zorder": 4, "bbox": card}
        axes.text(*np.median(points[pids == pid], axis=0), str(pid), **look)
    _plane(axes, margin=0.06)
    axes.spines[["left", "bottom"]].set_visible(False)
    look = {"ls": "", "color": style.QUIET, "mec": "white", "ms": 8.5}
    handles = [Line2D([], [], label=f"camera {camera}", marker=mark, **look) for camera, mark in marks.items()]
    figure.legend(handles=handles, loc="outside upper left", ncols=4, handletextpad=0.2, columnspacing=1.2)
    return figure


def _plane(axes: Axes, margin: float) -> None:
    """Take from axes what has no meaning on a map: ticks, a grid, and two scales."""
    axes.set(xticks=[], yticks=[])
    axes.set_aspect("equal", adjustable="datalim")
    axes.grid(visible=False)
    axes.margins(margin)


@style.context()
def embedding_maps(
    points: np.ndarray, colourings: Mapping[str, np.ndarray], like: Mapping[str, str] | None = None
) -> Figure:
    """Draw the same points side by side, coloured in several ways; marks repeat what colours say.

    Args:
        points: (N, 2), such as t-SNE or :func:`~reidlab.plots.project` gives.
        colourings: title of each map, four at most, and (N,) whole numbers; -1 (an outlier) is a hollow grey ring.
        like: a map's title and the title of another: its groups take the colours of the groups of the other that they
            share most points with, one to one. Without it the colours of two maps have nothing to do with each other.

    Raises:
        ConfigError: shapes that do not fit, labels that are not whole numbers, nothing to draw, or an unknown title.
    """
    points = check_points("points", points)
    if not 1 <= len(colourings) <= 4:
        raise ConfigError(f"colourings: expected 1 to 4 maps; got {len(colourings)}")
    labels = {title: check_labels(str(title), values, points) for title, values in colourings.items()}
    like = dict(like or {})
    for title, other in like.items():
        if title not in labels or other not in labels or other in like:
            raise ConfigError(
                f"like: {title!r} takes the colours of {other!r}; expected two of {', '.join(labels)}, of which the "
                "second takes no colours from a third"
            )
    leaders = {title: like.get(title, title) for title in labels}
    places = {title: _places(labels[title], labels[leader]) for title, leader in leaders.items()}
    figure = style.new_figure(2.75 if len(labels) > 2 else 3.6)
    size = _mark_size(len(points), 3)
    for number, (title, values) in enumerate(labels.items()):
        axes = _map_axes(figure, len(labels), number, str(title))
        out = values == OUTLIER
        axes.plot(*points[out].T, "o", ms=0.75 * size, mew=0.9, zorder=1, **_HOLLOW)
        palette = _palette([places[other] for other in labels if leaders[other] == leaders[title]])
        for label, place in places[title].items():
            look = {"color": palette[place], "mec": "white", "mew": 0.45, "zorder": 2}
            axes.plot(*points[values == label].T, style.MARKERS[place % len(style.MARKERS)], ms=size, **look)
        # Numbers, because nobody counts colours.
        words = plural(len(places[title]), "group") + (f", {plural(out.sum(), 'outlier')}" if out.any() else "")
        axes.set_xlabel(words, fontsize=9, labelpad=4)
    return figure


@style.context()
def cluster_maps(
    points: Sequence[np.ndarray],
    identities: Sequence[np.ndarray],
    clusters: Sequence[np.ndarray],
    titles: Sequence[str],
    labelled: Sequence[np.ndarray] | None = None,
    whole: Sequence[tuple[np.ndarray, np.ndarray]] | None = None,
) -> Figure:
    """Draw maps coloured by cluster with outlines around identities: solid where cluster and identity are the same set.

    A cluster has the colour of the identity that it shares most points with, one to one, in all maps (Fig. 3.4 of the
    dissertation). Marks are identities. Where the points of an identity lie apart, it has several outlines.

    Args:
        points: for each map, (N, 2).
        identities: for each map, (N,) identities.
        clusters: for each map, (N,) clusters; -1 is an outlier and drawn hollow and grey.
        titles: of the maps, three at most.
        labelled: for each map, (N,) bool; outlines of labelled identities are round and thick, others thin.
        whole: for each map identities and clusters of all that was clustered, where the points are a sample of it.
            Without it, a cluster that also holds an identity that is not drawn would look like a match.

    Raises:
        ConfigError: lengths that do not agree, or an identity of which only some points are labelled.
    """
    number = len(titles)
    if not 1 <= number <= 3:
        raise ConfigError(f"titles: expected 1 to 3 maps; got {number}")
    check_lengths(number, "entry per map", points=points, identities=identities, clusters=clusters)
    check_lengths(number, "entry per map", labelled=labelled, whole=whole)
    maps = []
    for n in range(number):
        at = check_points(f"points[{n}]", points[n])
        who = check_labels(f"identities[{n}]", identities[n], at)
        found = check_labels(f"clusters[{n}]", clusters[n], at)
        known = np.zeros(len(at), dtype=bool) if labelled is None else np.asarray(labelled[n])
        if known.shape != who.shape or known.dtype != bool:
            raise ConfigError(
                f"labelled[{n}]: expected one bool per point ({len(at)}); got {known.shape} {known.dtype}"
            )
        if split := set(who[known].tolist()) & set(who[~known].tolist()):
            raise ConfigError(
                f"labelled[{n}]: only some points of identity {min(split)} are labelled; expected all or none"
            )
        every, into = (who, found) if whole is None else whole[n]
        if len(every) != len(into):
            raise ConfigError(f"whole[{n}]: expected identities and clusters of one length")
        maps.append((at, who, found, known, _matches(every, into)))

    people = np.unique(np.concatenate([who for _, who, *_ in maps])).tolist()
    places = [_places(found, who, people) for _, who, found, *_ in maps]
    palette = _palette(places, len(people))
    figure = style.new_figure({1: 4.6, 2: 3.7, 3: 2.9}[number])
    for n, (at, who, found, known, matches) in enumerate(maps):
        axes = _map_axes(figure, number, n, str(titles[n]))
        size = _mark_size(len(at), number)
        extent = np.ptp(at, axis=0).max() or 1.0
        # Inches of the map's shorter side, its margin left out: what a mark's size is as a length of it.
        margin = extent * (0.8 * size + 1.5) / 72 / {1: 3.4, 2: 2.5, 3: 1.7}[number]
        for pid in np.unique(who).tolist():
            own = who == pid
            mark = style.MARKERS[people.index(pid) % len(style.MARKERS)]
            for cluster in np.unique(found[own]).tolist():
                look = _HOLLOW | {"mew": 1.0}
                if cluster != OUTLIER:
                    look = {"color": palette[places[n][cluster]], "mec": "white", "mew": 0.5}
                axes.plot(*at[own & (found == cluster)].T, mark, ms=size, zorder=3, **look)
            for part in _parts(at[own], max(0.12 * extent, 2.2 * margin)):
                _outline(axes, part, margin, solid=pid in matches, known=known[own].all())
    handles = [Line2D([], [], color=style.INK, lw=1.4, label="a cluster of its own")]
    handles += [Line2D([], [], color=style.INK, lw=1.4, ls=_DOTS, label="split, mixed or left out")]
    if labelled is not None:
        handles += [Patch(fc="none", ec=style.INK, lw=2.2, label="labelled")]
        handles += [Patch(fc="none", ec=style.INK, lw=1.1, label="unlabelled")]
    if any((found == OUTLIER).any() for _, _, found, *_ in maps):
        handles.append(Line2D([], [], ls="", marker="o", label="outlier", **_HOLLOW))
    figure.legend(handles=handles, loc="outside upper left", ncols=3, handlelength=2.2, columnspacing=1.4)
    return figure


def split_cluster(points: np.ndarray, identity: np.ndarray, regrouped: np.ndarray) -> Figure:
    """Draw one cluster twice: by the identities of its pictures, and by the clusters it was split into (Fig. 4.4).

    A new cluster has the colour and the mark of the identity that it shares most points with, one to one.

    Args:
        points: (N, 2).
        identity: (N,) identities.
        regrouped: (N,) new clusters.

    Raises:
        ConfigError: shapes that do not fit, or labels that are not whole numbers.
    """
    titles = ("identities", "after splitting")
    return embedding_maps(points, dict(zip(titles, (identity, regrouped))), like={titles[1]: titles[0]})


def _places(labels: np.ndarray, reference: np.ndarray, names: list[int] | None = None) -> dict[int, int]:
    """Number labels, so that one has the place of the reference's label that it shares most points with, one to one.

    Args:
        labels: (N,).
        reference: (N,).
        names: labels in the order of their places; those of the reference by default.

    Returns:
        The place of each label but of :data:`OUTLIER`; labels without a partner have places behind those of the names.
    """
    from scipy.optimize import linear_sum_assignment

    mine, others = (np.unique(values[values != OUTLIER]).tolist() for values in (labels, reference))
    shared = np.array([[((labels == a) & (reference == b)).sum() for b in others] for a in mine])
    shared = shared.reshape(len(mine), len(others))
    pairs = {mine[a]: others[b] for a, b in zip(*linear_sum_assignment(-shared)) if shared[a, b]}
    names = others if names is None else names
    free = count(len(names))
    return {label: names.index(pairs[label]) if label in pairs else next(free) for label in mine}


def _palette(places: Sequence[dict[int, int]], least: int = 0) -> list[str]:
    """Return the colour of each place in some maps, and of ``least`` of them."""
    number = max([least, *(1 + place for numbered in places for place in numbered.values())])
    return list(style.colours(range(number)).values())


def _matches(identities: np.ndarray, clusters: np.ndarray) -> set[int]:
    """Return the identities that are, to the last picture, one cluster."""
    pairs = set(zip(np.asarray(identities).tolist(), np.asarray(clusters).tolist()))
    parts, people = (Counter(pair[n] for pair in pairs) for n in (0, 1))
    return {pid for pid, found in pairs if found != OUTLIER and parts[pid] == people[found] == 1}


def _mark_size(count: int, maps: int) -> float:
    """Return the size of marks in points: smaller where there are many points on little room."""
    return float(np.clip(80 / np.sqrt(count * maps), 4.2, 7.0))


def _map_axes(figure: Figure, count: int, place: int, title: str) -> Axes:
    axes = figure.add_subplot(1, count, place + 1)
    axes.set_title(title, fontsize=10.5, pad=5)
    _plane(axes, margin=0.09)
    for edge in axes.spines.values():
        edge.set(visible=True, color=style.RULE)
    return axes


def _parts(points: np.ndarray, gap: float) -> list[np.ndarray]:
    """Return points in the parts that lie more than ``gap`` apart."""
    from scipy.sparse.csgraph import connected_components
    from scipy.spatial.distance import cdist

    number, parts = connected_components(cdist(points, points) <= gap)
    return [points[parts == part] for part in range(number)]


def _outline(axes: Axes, points: np.ndarray, margin: float, solid: bool, known: bool) -> None:
    """Draw a hull around points of an identity: round and thick if it is labelled, else angular and thin."""
    from scipy.spatial import ConvexHull

    # The hull of rings or squares around the points, and not of the points, exists for a single one too.
    turns = np.arange(24) * np.pi / 12 if known else np.pi / 4 + np.arange(4) * np.pi / 2
    corners = (points[:, None] + margin * np.stack([np.cos(turns), np.sin(turns)], axis=1)).reshape(-1, 2)
    look = {"ec": style.INK, "lw": 2.2 if known else 1.1, "ls": "-" if solid else _DOTS}
    axes.add_patch(Polygon(corners[ConvexHull(corners).vertices], closed=True, fill=False, zorder=2, **look))
