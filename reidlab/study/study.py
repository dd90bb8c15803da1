"""A study: what is compared, on which worlds and real sets, over which seeds, and what is kept for figures.

A chapter declares a :class:`Study`: its worlds, :class:`conditions <Condition>` (a method of the room's registry under
a budget), :class:`contrasts <Contrast>` between them, and what else is measured. The loop over conditions is here, and
so are the rows of records. ``run.measure(study, seeds)`` in a notebook does the rest.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import numpy as np
import pandas as pd
from torch import Tensor

from reidlab.checks import check_choice, check_integer
from reidlab.data import on_this_machine
from reidlab.data.decoded import DataSet, from_name, from_world
from reidlab.errors import ConfigError
from reidlab.files import digest
from reidlab.reading import check_file
from reidlab.study.registry import Registry
from reidlab.study.rows import Row, check_dims, gain_rows, score_rows, with_dims
from reidlab.training.recipe import Recipe, Scratch, file_and_digest
from reidlab.world import WorldSpec

T = TypeVar("T")

#: What the records call the data of the embedded world.
EMBEDDED = "embedded"


@dataclass(frozen=True)
class Budget:
    """How long networks train.

    Attributes:
        name: ``long``, ``short`` or ``starts``.
        steps: training steps by what is trained, such as ``{"start": 600, "round": 200}``.

    Raises:
        ConfigError: steps are less than 1.
    """

    name: str
    steps: Mapping[str, int]

    def __post_init__(self) -> None:
        for what, count in self.steps.items():
            check_integer(what, count, 1, what="training steps")

    def __getitem__(self, what: str) -> int:
        return self.steps[what]


@dataclass(frozen=True)
class Condition:
    """One method under one budget.

    Attributes:
        method: its name in the room's registry.
        dims: dimensions of its records, such as ``{"experiment": "networks", "network": "nvan"}``.
        budget: name of its budget.
        options: of the method.
        start: name of one of the study's ``starts``, whose recipe is used; the study's own recipe where empty.

    Raises:
        ConfigError: a dimension has the name of a field that every record has.
    """

    method: str
    dims: Mapping[str, Any] = field(default_factory=dict)
    budget: str = "long"
    options: Mapping[str, Any] = field(default_factory=dict)
    start: str = ""

    def __post_init__(self) -> None:
        check_dims(self.dims)


@dataclass(frozen=True, eq=False)
class Result:
    """What a method did in a place.

    Attributes:
        scores: retrieval scores by name, under the place's usual protocol; empty where there was nothing to score.
        model: the trained network, or whatever else embeds pictures.
        detail: data for the room's own measurements, such as histories or embeddings.
    """

    scores: Mapping[str, float]
    model: Any = None
    detail: Any = None


@dataclass(frozen=True)
class Contrast:
    """A difference that the ledger needs: gains in mAP and rank-1 of one condition over another.

    Attributes:
        ours: the condition.
        reference: the condition it is compared with.
        dims: dimensions of the rows.
        when: given both results, whether the two differ in what is compared at all; always, where None.

    Raises:
        ConfigError: a dimension has the name of a field that every record has.
    """

    ours: Condition
    reference: Condition
    dims: Mapping[str, Any]
    when: Callable[[Result, Result], bool] | None = None

    def __post_init__(self) -> None:
        check_dims(self.dims)


@dataclass(frozen=True, eq=False)
class Measured:
    """What a study measured in one place with one seed.

    Attributes:
        rows: one mapping per record.
        kept: what figures are drawn from, by name: arrays, tables, weights (tensors by name) or plain data.
    """

    rows: list[Row]
    kept: dict[str, np.ndarray | pd.DataFrame | Mapping[str, Tensor] | Any]


class Place:
    """Where methods are compared: data sets, a seed, and what all methods share there.

    Args:
        study: whose methods, recipe and budgets are used.
        label: what the records call the data.
        seed: of everything random.
        data: data sets by role; ``target`` is scored.

    Attributes:
        results: of each condition run so far.
    """

    def __init__(self, study: Study, label: str, seed: int, data: Mapping[str, DataSet]) -> None:
        self.study, self.label, self.seed, self.data = study, label, seed, data
        self.results: dict[str, Result] = {}
        self._shared: dict[Any, Any] = {}

    @property
    def target(self) -> DataSet:
        """The data set that is scored."""
        return self.data["target"]

    def shared(self, name: Any, make: Callable[[], T]) -> T:
        """Return what all methods here share, made once: a network that all start from, a division of identities."""
        if name not in self._shared:
            self._shared[name] = make()
        return self._shared[name]

    def budget(self, name: str) -> Budget:
        """Return the study's budget of a name, see :meth:`Study.budget`."""
        return self.study.budget(name)

    def recipe(self, condition: Condition) -> Recipe:
        """Return the recipe of a condition: the study's own, or that of the start which it names.

        Raises:
            ConfigError: the study has no such start.
        """
        if not condition.start:
            return self.study.recipe
        check_choice("start", condition.start, self.study.starts)
        return self.study.starts[condition.start]

    def run(self, condition: Condition) -> Result:
        """Return a condition's result; those of the same method, start, steps and options are one."""
        key = self._key(condition)
        if key not in self.results:
            self.results[key] = self.study.registry[condition.method](self, condition)
        return self.results[key]

    def result(self, condition: Condition) -> Result | None:
        """Return a condition's result if it was run, else None."""
        return self.results.get(self._key(condition))

    def _key(self, condition: Condition) -> str:
        steps = self.budget(condition.budget).steps
        return json.dumps(plain([condition.method, condition.start, steps, condition.options]), sort_keys=True)


@dataclass(frozen=True, kw_only=True)
class Study:
    """Base of all studies: subclasses say what is compared, this class measures it.

    Attributes:
        recipe: what all networks share.
        steps: training steps of the long budget, by what is trained.
        short: steps that a second, short budget has instead; there is none where they are empty or the long one's.
        real: names of real data sets to measure on as well, as the catalogue knows them.
        starts: recipes by the names under which conditions ask for them, see
            :func:`~reidlab.training.recipe.starts_here`; on the same pictures as the study's own recipe.
        start_steps: steps that networks from these starts have instead, as their budget ``starts``.
        embedder: a published embedder's ONNX file, scored as it is on real pictures of its own size, where a study has
            a row for it; none where empty.

    Raises:
        ConfigError: steps are less than 1, another budget has some that the long one lacks, or a start's recipe has
            another size of pictures.
    """

    recipe: Recipe
    steps: Mapping[str, int]
    short: Mapping[str, int] = field(default_factory=dict)
    real: Sequence[str] = ()
    starts: Mapping[str, Recipe] = field(default_factory=dict)
    start_steps: Mapping[str, int] = field(default_factory=dict)
    embedder: str = field(default="", metadata={"file": True})

    #: The room's methods by name: functions from a place and a condition to a result.
    registry: ClassVar[Registry]
    #: What the run card calls the embedded worlds, by role; the role's name with "embedded" before it where missing.
    world_names: ClassVar[Mapping[str, str]] = {"target": "embedded world"}
    #: Layout in which embedded worlds are written and read.
    layout: ClassVar[str] = "market1501"

    def __post_init__(self) -> None:
        self.worlds(0)
        _ = self.budgets
        _ = self.budget("starts")
        for name in ("short", "start_steps"):
            for what in getattr(self, name):
                check_choice(name, what, self.steps)
        for name, recipe in self.starts.items():
            if tuple(recipe.size) != tuple(self.recipe.size):
                raise ConfigError(
                    f"starts: {name} takes pictures of {recipe.size}, and the study decodes them at {self.recipe.size}"
                    "; give both one size"
                )

    # What a chapter declares -----------------------------------------------------------------------------------------

    def world(self, seed: int) -> WorldSpec:
        """Return a seed's embedded world, where there is only one.

        Raises:
            TypeError: the study declares neither this nor :meth:`worlds`; found out when it is made.
        """
        raise TypeError(f"{type(self).__name__}: declare world(seed), or worlds(seed) where there are several")

    def worlds(self, seed: int) -> Mapping[str, WorldSpec]:
        """Return a seed's embedded worlds by role; ``target`` is scored."""
        return {"target": self.world(seed)}

    def load(self, label: str, seed: int) -> Mapping[str, DataSet]:
        """Return the data sets of a place by role, decoded: a seed's worlds, or a real set."""
        size = self.recipe.size
        if label == EMBEDDED:
            return {role: from_world(spec, size, self.layout) for role, spec in self.worlds(seed).items()}
        return {"target": from_name(label, size, seed)}

    def common(self, place: Place) -> Mapping[str, Any]:
        """Return dimensions that all rows of a place have beside data and seed."""
        return {}

    def conditions(self, place: Place) -> Iterable[Condition]:
        """Yield what is compared."""
        return ()

    def contrasts(self, place: Place) -> Iterable[Contrast]:
        """Yield the differences that the ledger needs; those of conditions that were not run are left out."""
        return ()

    def details(self, place: Place, condition: Condition, result: Result) -> Iterable[Row]:
        """Yield further rows on one condition."""
        return ()

    def probes(self, place: Place) -> Iterable[Row]:
        """Yield further rows on a place, once all conditions were run."""
        return ()

    def keep(self, place: Place) -> Mapping[str, Any]:
        """Return what figures are drawn from."""
        return {}

    def facts(self) -> Iterable[Row]:
        """Yield rows that need no training: counts of data sets, parameters, operations."""
        return ()

    # What all studies do ---------------------------------------------------------------------------------------------

    @property
    def budgets(self) -> Mapping[str, Budget]:
        """The long budget and, where there is one, the short."""
        long, short = Budget("long", dict(self.steps)), Budget("short", {**self.steps, **self.short})
        return {"long": long} | ({"short": short} if short.steps != long.steps else {})

    def budget(self, name: str) -> Budget:
        """Return the budget of a name; the long one where there is no other.

        Args:
            name: ``long``, ``short``, or ``starts``, that of conditions with a start.

        Raises:
            ConfigError: it is none of these.
        """
        check_choice("budget", name, ("long", "short", "starts"))
        if name == "starts":
            return Budget(name, {**self.steps, **self.start_steps})
        return self.budgets.get(name, self.budgets["long"])

    def describe(self) -> dict[str, Any]:
        """Return the whole configuration as plain data: it identifies the results of this study."""
        return {"study": type(self).__name__, **plain(self)}

    def sources(self, seeds: Sequence[int]) -> Iterator[dict[str, Any]]:
        """Yield the data measured on, as a run names it.

        Args:
            seeds: of the run; the first one's worlds stand for all.

        Raises:
            ConfigError: there is no seed.
        """
        if not seeds:
            raise ConfigError("seeds: [] measures nothing; give at least one")
        for role, spec in self.worlds(seeds[0]).items():
            name = self.world_names.get(role, f"embedded {role}")
            yield {"name": name, "hash": spec.key(), "embedded": True, "describe": f"scenario {spec.name}"}
        for name, location in on_this_machine(self.real).items():
            known = location.manifest.hash if location.manifest else "a set of the user's own"
            yield {"name": name, "hash": known, "embedded": False, "root": location.path}

    def start_names(self) -> list[str]:
        """Return where networks begin, as a run card names it; empty where all begin from scratch."""
        found = dict.fromkeys(str(recipe.start) for recipe in (self.recipe, *self.starts.values()))
        if self.embedder:
            found[file_and_digest(self.embedder)] = None
        return [] if list(found) == [str(Scratch())] else list(found)

    def places(self, seeds: Sequence[int]) -> Iterator[tuple[str, int]]:
        """Yield label and seed of every place: the embedded world first, then the real sets on this machine."""
        for label in (EMBEDDED, *on_this_machine(self.real)):
            for seed in seeds:
                yield label, seed

    def measure(self, label: str, seed: int) -> Measured:
        """Measure everything in one place with one seed.

        Args:
            label: ``embedded``, or the name of a real data set.
            seed: of worlds, divisions and training.
        """
        return self.measure_at(self.place(label, seed))

    def place(self, label: str, seed: int) -> Place:
        """Return a place with its data decoded."""
        return Place(self, label, seed, self.load(label, seed))

    def measure_at(self, place: Place) -> Measured:
        """Measure everything in a place.

        Raises:
            ConfigError: a condition or a contrast names an unknown method, budget or start; nothing is trained then.
        """
        rows: list[Row] = []
        conditions, contrasts = list(self.conditions(place)), list(self.contrasts(place))
        for condition in (*conditions, *(side for item in contrasts for side in (item.ours, item.reference))):
            check_choice("method", condition.method, self.registry)
            place.budget(condition.budget)
            place.recipe(condition)
        for condition in conditions:
            result = place.run(condition)
            rows += score_rows(result.scores, place.target.protocol, **condition.dims)
            rows += [with_dims(row, **condition.dims) for row in self.details(place, condition, result)]
        for contrast in contrasts:
            ours, theirs = place.result(contrast.ours), place.result(contrast.reference)
            if ours and theirs and (contrast.when is None or contrast.when(ours, theirs)):
                rows += gain_rows(ours.scores, theirs.scores, place.target.protocol, **contrast.dims)
        rows += self.probes(place)
        common = {"data": place.label, "seed": place.seed, **self.common(place)}
        return Measured([with_dims(row, **common) for row in rows], dict(self.keep(place)))


def plain(value: Any) -> Any:
    """Return a configuration as plain data: data classes, mappings and sequences become JSON's; files, their digest.

    A file is a path, or the text of a data class's field that says so: ``field(metadata={"file": True})``. Of a
    scikit-learn estimator its parameters are taken.

    Raises:
        ConfigError: something in it is neither, or there is no such file.
    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        found = {} if isinstance(value, Study) else {"kind": type(value).__name__}
        for item in dataclasses.fields(value):
            part = getattr(value, item.name)
            found[item.name] = plain(Path(part) if item.metadata.get("file") and part else part)
        return found
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, Path):
        check_file(value, ConfigError)
        return {"file": value.name, "sha256": digest(value)}
    if isinstance(value, str | int | float | bool | None):
        return value
    if isinstance(value, set | frozenset):
        return sorted(map(plain, value))
    if isinstance(value, Sequence):
        return [plain(item) for item in value]
    if hasattr(value, "get_params"):  # a scikit-learn estimator
        return {"kind": type(value).__name__, **plain(value.get_params())}
    raise ConfigError(f"configuration: {value!r} of type {type(value).__name__} cannot be converted to plain data")
