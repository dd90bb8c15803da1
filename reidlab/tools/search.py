"""Search a gallery for the people of query pictures, shown as one page: the tool behind ``reidlab search``.

The page holds its pictures and needs nothing else, no network and no script. Pictures of people are personal data: only
its owner may read the file.
"""

from __future__ import annotations

import base64
import io
import os
from dataclasses import replace
from functools import cache
from html import escape
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from reidlab.checks import check_integer, plural, printable
from reidlab.data import ImageCache
from reidlab.errors import ConfigError, DataError
from reidlab.evaluation import distance_blocks
from reidlab.tools.common import checked_file, private_file
from reidlab.tools.embed import Embedded, centred_by_camera, picture_columns

#: Height and width of the pictures on the page, in pixels.
SHOWN = (128, 64)
_PLACE = ("folder", "layout")  # notes on where a set lies and how it is read
_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 76rem; padding: 0 1rem; color-scheme: light dark }
section { border-top: 1px solid #8886; padding: .6rem 0; display: flex; gap: .8rem; flex-wrap: wrap }
figure { margin: 0; width: 7rem } figure.query { border-right: 2px solid #888; padding-right: .8rem }
img { display: block; width: 64px; height: 128px } figcaption { font-size: .75rem; overflow-wrap: anywhere }
"""  # noqa: E501


def search_sets(
    query: Embedded, gallery: Embedded, top: int = 10, centre: bool = False, most: int = 50
) -> pd.DataFrame:
    """Return the gallery's nearest pictures of each query picture, by the cosine of their features.

    Where a set has rows of the split ``query`` (or ``gallery``) they are the queries (or the gallery), otherwise all.
    A picture does not find itself, nor the same file by another path. Labels are not used.

    Args:
        query: set of the queries; a picture given alone has the camera of the gallery's row that it is.
        gallery: set that is searched; it may be the same.
        top: how many to return for each query.
        centre: whether to take each camera's mean feature out first. Cameras of two different sets are different
            cameras, whatever their numbers; a camera needs several pictures for a mean.
        most: queries at most; of more, as many are taken evenly over their order.

    Returns:
        Rows by query and rank: ``query`` and ``gallery`` (rows of the tables), ``rank`` from 1, ``distance`` (1 minus
        the cosine). Their ``attrs`` say of how many ``queries`` they are some, and whether features are ``centred``.

    Raises:
        ConfigError: a number is not positive, the features are of different networks, or a camera cannot be centred.
        DataError: the gallery holds nothing but the query.
    """
    check_integer("top", top, 1)
    check_integer("most", most, 1)
    if query.notes.get("sha256") != gallery.notes.get("sha256") or query.features.shape[1] != gallery.features.shape[1]:
        made = [part.notes.get("embedder", "an unknown network") for part in (query, gallery)]
        raise ConfigError(f"query and gallery are embedded by two networks, {made[0]} and {made[1]}; embed one anew")
    query = _placed(query, gallery)
    places = [_rows(part, split) for part, split in ((query, "query"), (gallery, "gallery"))]
    q, g = query.embeddings(places[0]), gallery.embeddings(places[1])
    if centre:
        if query.is_picture():
            raise ConfigError(
                f"--centre: {query.notes.get('set')} is no picture of {gallery.notes.get('set')}, so its camera is not "
                "known; put it into its camera's folder there (and anew through `embed`, if that was used), or leave "
                "--centre out"
            )
        shift = 0 if _of_one_set(query, gallery) else int(g.camids.max()) + 1
        names = {camid + shift: name for camid, name in query.cameras().items()} | gallery.cameras()
        q, g = centred_by_camera(replace(q, camids=q.camids + shift), g, names)
    chosen = np.unique(np.linspace(0, len(q) - 1, min(most, len(q))).round().astype(int))
    own: dict[tuple[object, ...], list[int]] = {}
    for number, key in enumerate(_keys(gallery, places[1])):
        own.setdefault(key, []).append(number)
    same = [own.get(key, []) for key in _keys(query, places[0][chosen])]
    parts = []
    for rows, block in distance_blocks(q.features[chosen], g.features, "cosine"):
        for number, distances in zip(range(rows.start, rows.stop), block):
            order = np.argsort(distances, kind="stable")
            order = order[~np.isin(order, same[number])][:top]
            found = {"query": places[0][chosen[number]], "gallery": places[1][order]}
            parts.append(pd.DataFrame({**found, "rank": np.arange(1, len(order) + 1), "distance": distances[order]}))
    found = pd.concat(parts, ignore_index=True)
    if found.empty:
        raise DataError(f"{gallery.notes.get('set')}: holds only the query; there is nothing else to find")
    found.attrs |= {"queries": len(q), "centred": centre}
    return found


def shown_queries(found: pd.DataFrame, name: str = "") -> str:
    """Return how many queries there are in ranked lists, and of how many: ``12 of 96 queries, taken evenly ...``.

    Args:
        found: what :func:`search_sets` returned.
        name: of the set that they are of; left out where empty.
    """
    count, whole = found["query"].nunique(), found.attrs.get("queries", 0)
    of = f" of {name}" if name else ""
    if count >= whole:
        return f"{plural(count, 'query')}{of}"
    return f"{count:,} of {whole:,} queries{of}, taken evenly over their order"


def write_page(found: pd.DataFrame, query: Embedded, gallery: Embedded, path: str | Path) -> Path:
    """Write ranked lists as one page with its pictures inside, which only its owner may read.

    Args:
        found: what :func:`search_sets` returned.
        query: set of the queries.
        gallery: set that was searched.
        path: the file, ``.html``.

    Raises:
        ConfigError: the name does not end in ``.html``.
        DataError: a picture cannot be read.
        StorageError: the file cannot be written.
    """
    path = checked_file(path, ".html")
    query = _placed(query, gallery)
    alike = _of_one_set(query, gallery)
    images = [_images(part, found[name]) for part, name in ((query, "query"), (gallery, "gallery"))]
    sections = []
    for row, group in found.groupby("query", sort=False):
        figures = [_figure(images[0][row], "query", _described(query, row, alike), "query")]
        for item in group.itertuples():
            text = f"{item.rank}: distance {item.distance:.3f}"
            figures.append(_figure(images[1][item.gallery], text, _described(gallery, item.gallery, alike)))
        sections.append(f"<section>{''.join(figures)}</section>\n")
    names = [_text(part.notes.get("set", "")) for part in (query, gallery)]
    centred = ", each camera's mean feature taken out" if found.attrs.get("centred") else ""
    policy = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
    page = (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width">\n'
        f"<title>Search in {names[1]}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n"
        f"<h1>Search in {names[1]}</h1>\n"
        f"<p>{shown_queries(found, names[0])}; the nearest pictures by "
        f"{_text(gallery.notes.get('embedder', ''))}{centred}; distances are 1 minus the cosine. "
        "This page holds pictures of people: it is personal data, and only you may read the file.</p>\n"
        f"{''.join(sections)}</body>\n</html>\n"
    )
    with private_file(path) as stream:
        stream.write(page.encode())
    return path


def _rows(embedded: Embedded, split: str) -> np.ndarray:
    rows = np.flatnonzero((embedded.table["split"] == split).to_numpy())
    return rows if len(rows) else np.arange(len(embedded.table))


def _keys(embedded: Embedded, rows: np.ndarray) -> list[tuple[object, ...]]:
    """Return what tells the pictures of some rows apart, by the files that their paths lead to."""
    folder = cache(os.path.realpath)
    table = embedded.table.loc[rows, picture_columns(embedded.table)]
    paths = [os.path.join(folder(head), tail) for head, tail in map(os.path.split, table["path"])]
    real = [os.path.realpath(path) if os.path.islink(path) else path for path in paths]
    return list(table.assign(path=real).itertuples(index=False, name=None))


def _placed(query: Embedded, gallery: Embedded) -> Embedded:
    """Return a picture that was given alone as the row of the gallery that it is, if it is one; other queries alike."""
    if not query.is_picture() or gallery.is_picture():
        return query
    keys = _keys(gallery, np.arange(len(gallery.table)))
    (key,) = _keys(query, np.array([0]))
    if key not in keys:
        return query
    table = gallery.table.loc[[keys.index(key)]].reset_index(drop=True)
    return Embedded(table, query.features, query.notes | {name: gallery.notes.get(name) for name in _PLACE})


def _of_one_set(query: Embedded, gallery: Embedded) -> bool:
    """Return whether both are of one folder read alike, so that their numbers of people and cameras mean the same."""
    folders, layouts = ([part.notes.get(name) for part in (query, gallery)] for name in _PLACE)
    return all(folders) and len(set(map(os.path.realpath, folders))) == 1 and len({*layouts} - {None}) < 2


def _images(embedded: Embedded, rows: pd.Series) -> dict[int, str]:
    """Return the pictures of some rows as addresses that hold their data."""
    places = np.unique(rows.to_numpy())
    images = np.asarray(ImageCache(embedded.table.loc[places].reset_index(drop=True), SHOWN, quiet=True))
    found = {}
    for place, image in zip(places.tolist(), images):
        stream = io.BytesIO()
        Image.fromarray(image).save(stream, "JPEG", quality=85)
        found[place] = f"data:image/jpeg;base64,{base64.b64encode(stream.getvalue()).decode()}"
    return found


def _described(embedded: Embedded, row: int, alike: bool) -> str:
    """Return the camera, the person and the file of a row.

    Args:
        embedded: the set.
        row: of its table.
        alike: whether query and gallery number their people alike: other numbers would look like a match.
    """
    item = embedded.table.loc[row]
    person = item.get("person") or item["pid"]
    words = [] if embedded.is_picture() else [f"camera {item.get('camera') or item['camid']}"]
    if item["pid"] >= 0 and (alike or not str(person).isdecimal()):
        words.append(f"person {person}")
    path, folder = Path(item["path"]), embedded.notes.get("folder")
    inside = folder and path != Path(folder) and path.is_relative_to(folder)
    return ", ".join([*words, str(path.relative_to(folder) if inside else path.name)])


def _figure(image: str, text: str, caption: str, kind: str = "") -> str:
    shown = f"{_text(text)}<br>{_text(caption)}"
    marked = f' class="{kind}"' if kind else ""
    return f'<figure{marked}><img src="{image}" alt="{_text(caption)}"><figcaption>{shown}</figcaption></figure>'


def _text(text: object) -> str:
    return escape(printable(text))
