"""The ``reidlab`` command. Each command imports what it needs, so that ``--help`` stays quick."""

from __future__ import annotations

import gc
import os
import re
import signal
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated, Any, NoReturn

import typer
from rich.console import Console
from rich.markup import escape
from typer.core import TyperGroup

from reidlab.checks import check_number, plural, printable
from reidlab.errors import ConfigError, ReidlabError, RunError
from reidlab.memory import keep_freed_memory

if TYPE_CHECKING:
    import pandas as pd

    from reidlab.tools.embed import Embedded


class _Commands(TyperGroup):
    """Ctrl-C in a command is one line, and so is a broken pipe between processes, of which click says nothing."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            _interrupted()
        except BrokenPipeError as error:
            raise RunError(f"BrokenPipeError: {error}; a process that took part in the work has ended") from error


class _Terminal(Console):
    """`reidlab evaluate ... | head`: once nobody reads on, the command ends its work without a word."""

    def on_broken_pipe(self) -> None:
        self.quiet = True
        _discard(self.file)


def _discard(stream: IO[str]) -> None:
    """Let what is written to a stream from now on go nowhere."""
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), stream.fileno())


app = typer.Typer(
    cls=_Commands,
    help="Run the chapters, judge the claims, build the book, manage the data.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
data_app = typer.Typer(help="Data sets: which are found, where, and whether they are whole.", no_args_is_help=True)
app.add_typer(data_app, name="data")

_state = {"debug": False}
_out = _Terminal()
_err = _Terminal(stderr=True)

Chapters = Annotated[
    list[str] | None, typer.Argument(metavar="CHAPTER", help="Names or numbers; all of the profile if none.")
]
ProfileOption = Annotated[str, typer.Option("--profile", help="quick, standard or paper.")]
ProjectOption = Annotated[
    Path | None,
    typer.Option(
        "--project",
        help="Folder with notebooks/, for `book` and `claims` also book/; this checkout if not given.",
    ),
]
LayoutOption = Annotated[
    str | None,
    typer.Option(
        "--layout",
        help="Its format, found out if not given: folder (<person>/<camera>/*.jpg; <camera>/*.jpg: people unknown), "
        "folder_camera_person (<camera>/<person>/*.jpg), folder_person (<person>/*.jpg, one camera), or a data set's "
        "own, such as market1501.",
    ),
]
#: Of reidlab.evaluation.protocols, which takes long to import.
_PROTOCOLS = (
    "cross-camera, leave-one-out, market1501, market1501-trapezoidal, dukemtmc-reid, msmt17, cuhk03-np, "
    "cuhk03-single-shot, pku-reid, mars-ste-nvan, mars-cf-aan, video-toolbox, veri776, no-camera-rule, mars-cleaned, "
    "mars-cleaned-released"
)
_TALLEST = 4096  # pixels; twice that is no picture of a person
_EMBEDDER = (
    "An ONNX embedder (of RGB, normalised as ImageNet's), an OSNet of torchreid's, or network.safetensors of `learn`."
)
EmbedderOption = Annotated[Path, typer.Option("--weights", help=_EMBEDDER)]
OptionalEmbedder = Annotated[Path | None, typer.Option("--weights", help=f"{_EMBEDDER} What `embed` wrote needs none.")]
HeightOption = Annotated[
    int | None,
    typer.Option(
        "--height",
        min=32,
        max=_TALLEST,
        help="Height of its pictures, where the file does not say (of an earlier `learn`); 64 if not given.",
    ),
]
CentreOption = Annotated[
    bool, typer.Option("--centre", help="Take each camera's mean feature out first; it needs no label.")
]
WeightsOption = Annotated[
    Path | None,
    typer.Option("--weights", help=f"{_EMBEDDER} One is trained if none is given."),
]

StepsOption = Annotated[
    int | None,
    typer.Option("--iterations", min=1, help="Training steps of the network, without --weights; 300 if not given."),
]


def main(arguments: list[str] | None = None) -> None:
    """Run the command and leave with its exit status: 0, 1 for an error, 2 for wrong usage, 130 for Ctrl-C.

    An error is one line, whatever it is; ``--debug`` shows the traceback. SIGTERM ends a command in order, with 143.

    Args:
        arguments: the words after ``reidlab``; those of this process if not given.
    """
    _state["debug"] = False
    words = sys.argv[1:] if arguments is None else arguments
    for before, word in zip(["", *words], words):
        if not word or re.fullmatch(r"--[a-z-]+=", word):
            _say_error(f"{word.rstrip('=') or before}: an argument is empty; is a variable of the shell not set?")
            sys.exit(2)
    # Short commands make many objects and hardly any cycles: searching for those takes a tenth of their time.
    gc.set_threshold(100_000, 50, 50)
    keep_freed_memory()
    for stream in (sys.stdout, sys.stderr):
        # A terminal that knows no letter beyond ASCII, or a name that is no UTF-8, is no reason to stop.
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    try:
        with _ended_in_order():
            app(arguments, prog_name="reidlab")
    except KeyboardInterrupt:
        _say_interrupted()
        sys.exit(130)
    except Exception as error:
        if _state["debug"]:
            raise
        if isinstance(error, ReidlabError):
            _say_error(_by_option(error, words))
        else:
            _say_error(f"{type(error).__name__}: {error} (`reidlab --debug ...` shows where)")
        sys.exit(1)


def _by_option(error: ReidlabError, words: Sequence[str]) -> str:
    """Return a message that names an option as it was given: ``--layout``, where functions know it as ``layout``."""
    field = re.match(r"[a-z]+(?=: )", str(error)) if isinstance(error, ConfigError) else None
    given = field and any(word.partition("=")[0] == f"--{field[0]}" for word in words)
    return f"--{error}" if given else str(error)


@contextmanager
def _ended_in_order() -> Iterator[None]:
    """Let SIGTERM and a closed terminal end the command as Ctrl-C does, so that nothing temporary is left."""

    def end(number: int, _: Any) -> NoReturn:
        raise SystemExit(128 + number)

    before = {}
    for name in ("SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)
        # Only in the main thread, and not what `nohup` wants to be ignored.
        with suppress(ValueError):
            if number is not None and signal.getsignal(number) is signal.SIG_DFL:
                before[number] = signal.signal(number, end)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _interrupted(more: str = "nothing is left half-written") -> NoReturn:
    _say_interrupted(more)
    raise typer.Exit(130) from None


def _say_interrupted(more: str = "nothing is left half-written") -> None:
    _note(f"interrupted; {more}")


def _version(value: bool) -> None:
    if value:
        import reidlab

        _out.print(f"reidlab {reidlab.__version__}", highlight=False)
        raise typer.Exit


@app.callback()
def options(
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and leave.")
    ] = False,
) -> None:
    """Options before the command's name."""
    _state["debug"] = debug


@app.command()
def run(
    chapters: Chapters = None,
    profile: ProfileOption = "quick",
    param: Annotated[
        list[str] | None, typer.Option("-p", "--param", metavar="KEY=VALUE", help="Change a parameter.")
    ] = None,
    seed: Annotated[int | None, typer.Option("--seed", help="Change the chapter's seed, or seeds to this one.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Run also what has not changed.")] = False,
    jobs: Annotated[int, typer.Option("--jobs", "-j", min=1, help="How many chapters at a time.")] = 1,
    project: ProjectOption = None,
) -> None:
    """Run chapters whose code, parameters, data or packages changed since their last run."""
    from reidlab.lab import profiles, runner
    from reidlab.lab.progress import LiveProgress
    from reidlab.lab.project import Project

    planned = runner.plan(Project.find(project), chapters or [], profile, profiles.parse_changes(param or []), seed)
    try:
        with LiveProgress(_out) as progress:
            outcomes = runner.run_all(planned, progress, force, jobs)
    except KeyboardInterrupt:
        _interrupted("finished chapters and pieces are kept, the same command goes on from there")
    if any(outcome.status == "failed" for outcome in outcomes):
        raise typer.Exit(1)


@app.command()
def book(
    profile: ProfileOption = "quick",
    strict: Annotated[bool, typer.Option("--strict/--no-strict", help="Whether a warning fails the build.")] = True,
    run_first: Annotated[
        bool, typer.Option("--run/--no-run", help="Whether to run missing and stale chapters first.")
    ] = False,
    project: ProjectOption = None,
) -> None:
    """Build the book from the chapters' runs; a chapter whose run is missing or stale is refused."""
    from reidlab.lab import book as builder
    from reidlab.lab.project import Project

    place = Project.find(project)
    if run_first:
        run(builder.chapters_of(place), profile=profile, project=project)
    index = builder.build(place, profile, strict)
    _say(f"built {place.shown(index)}")


@app.command("compile")
def compile_() -> None:
    """Compile the inner loops now; else the first command that needs them takes half a minute longer."""
    from reidlab.paths import compiled_dir
    from reidlab.tools.compiling import compile_loops

    if (folder := compiled_dir()) is None:
        _say("no folder is safe for compiled code; see NUMBA_CACHE_DIR")
        return
    compile_loops()
    _say(f"compiled into {folder}")


@app.command()
def claims(
    as_json: Annotated[bool, typer.Option("--json", help="Write the rows as JSON.")] = False,
    check: Annotated[bool, typer.Option("--check", help="Only check the claim files and their rules.")] = False,
    project: ProjectOption = None,
) -> None:
    """Show the ledger: what the works claim, what was measured, and the verdicts."""
    import json
    from collections import Counter

    from reidlab.lab.claims import BASES
    from reidlab.lab.ledger import VERDICTS, Ledger
    from reidlab.lab.project import Project

    if as_json and check:
        _say_error("--json and --check: give one of them; --check writes no rows")
        raise typer.Exit(1)
    ledger = Ledger(Project.find(project))
    if check:
        problems = ledger.problems()
        for problem in problems:
            _note(problem)
        items = f"{plural(len(ledger.book.items), 'item')}, {len(ledger.holes())} without a claim"
        end = plural(len(problems), "problem") if problems else "all well"
        _say(f"{plural(len(ledger.book.claims), 'claim')}, {items}: {end}")
        if problems:
            raise typer.Exit(1)
        return
    rows = ledger.rows()
    if as_json:
        _print(json.dumps([row.as_dict() for row in rows], indent=2, allow_nan=False))
        return

    table = [("claim", "item", "kind", "printed", "measured", "verdict")]
    for row in rows:
        printed = f"{row.claim.printed} {row.claim.unit}".strip() if row.claim.printed else ""
        measured = "" if row.measured is None else f"{row.measured:.5g}"
        verdict = f"{row.verdict}{', stale' if row.stale else ''}"
        table.append((row.claim.id, row.claim.item, row.claim.kind, printed, measured, verdict))
    _say_columns(table)
    for basis in BASES:
        names = Counter(row.name for row in rows if row.claim.basis == basis)
        counts = ", ".join(f"{names[name]} {name}" for name in VERDICTS if names[name])
        stale = sum(row.stale for row in rows if row.claim.basis == basis)
        counts += f"; {stale} of them stale" if stale else ""
        _say(f"{basis}, {plural(names.total(), 'claim')}: {counts or 'none'}")
    _say(f"{plural(len(ledger.holes()), 'item')} without a claim")


@app.command()
def keep(
    chapter: Annotated[str, typer.Argument(help="Name or number.")],
    profile: ProfileOption = "standard",
    verify: Annotated[
        bool, typer.Option("--verify", help="Measure a seed of the kept records again and compare, instead.")
    ] = False,
    seed: Annotated[int | None, typer.Option("--seed", help="The seed to verify; the first if not given.")] = None,
    unfinished: Annotated[
        bool, typer.Option("--pieces", help="Keep what an unfinished run has measured; runs elsewhere go on from it.")
    ] = False,
    project: ProjectOption = None,
) -> None:
    """Copy a run's records to results/, where git and the ledger find them."""
    from reidlab.files import size_of
    from reidlab.lab import pieces, profiles, store
    from reidlab.lab.progress import LiveProgress
    from reidlab.lab.project import Project
    from reidlab.lab.verify import verify as measure_again

    place = Project.find(project)
    profiles.load(place, profile)  # so that advice names none that is not there
    if verify and unfinished:
        _say_error("--verify and --pieces: give one of them")
        raise typer.Exit(1)
    if verify:
        with LiveProgress(_out) as progress:
            found = measure_again(place, chapter, profile, seed, progress=progress)
        _say(found.message)
        raise typer.Exit(0 if found.equal else 1)
    if seed is not None:
        _say_error(f"--seed {seed}: only --verify takes a seed; a run is kept with all of its seeds")
        raise typer.Exit(1)
    if unfinished:
        folder, found = pieces.keep(chapter, profile, place)
        _say(f"{plural(len(found), 'piece')} kept in {place.shown(folder)} ({size_of(folder) / 2**10:.0f} KiB)")
        return
    folder = store.keep(chapter, profile, place)
    measured = store.open_run(folder, kept=True).info.get("pieces", ())
    pieces.release(chapter, [piece["key"] for piece in measured if "key" in piece], place)
    _say(f"kept in {place.shown(folder)}")


@app.command()
def info() -> None:
    """Show versions, device, threads, the sizes of what is stored, and the data sets found."""
    import torch  # noqa: F401  so that device and threads are torch's own

    import reidlab
    from reidlab import paths
    from reidlab.files import size_of
    from reidlab.lab import environment

    _say(f"reidlab    {reidlab.__version__}")
    _say(f"versions   {', '.join(f'{name} {version}' for name, version in environment.versions().items())}")
    _say(f"machine    {environment.machine()}")
    _say(f"device     {environment.device()}, {plural(environment.threads(), 'thread')}")
    for name, folder in (("cache", paths.cache_dir()), ("run store", paths.runs_dir())):
        size = f"{size_of(folder) / 2**20:.1f} MiB" if folder.is_dir() else "not there yet"
        if folder.exists() and not folder.is_dir():
            size = "a file, not a folder: nothing can be stored"
        elif folder.is_dir() and not os.access(folder, os.W_OK | os.X_OK):
            size += ", may not be written"
        _say(f"{name:<10} {folder} ({size})")
    _show_data()


@data_app.command("list")
def data_list() -> None:
    """Show the data sets that have a manifest or were added, and where they were found."""
    _show_data()


@data_app.command("add")
def data_add(
    name: Annotated[str, typer.Argument(help="Name of the set, or one of your own.")],
    path: Annotated[Path, typer.Argument(help="Its folder.")],
    layout: LayoutOption = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="Take the place of another folder that has the name.")
    ] = False,
) -> None:
    """Tell reidlab where a data set lies; the folder is read, never changed."""
    from reidlab.data import catalogue

    _check_layout(layout)
    entry = catalogue.add(name, path, layout, anew=replace)
    what = f"{entry.name} ({entry.layout or 'no reader'})"
    _say(f"added {what}: {entry.path}", *(f"  {line}" for line in entry.reading))


@data_app.command("remove")
def data_remove(name: Annotated[str, typer.Argument(help="Name that was added.")]) -> None:
    """Forget where a data set lies; its folder and pictures stay as they are."""
    from reidlab.data import catalogue

    _say(f"removed {name}; its folder stays as it is: {catalogue.remove(name)}")


@data_app.command("check")
def data_check(
    name: Annotated[str, typer.Argument(help="Name of the set, or a folder.")],
    deep: Annotated[bool, typer.Option("--deep", help="Also decode every picture.")] = False,
    layout: LayoutOption = None,
) -> None:
    """Compare a data set with its manifest and say in one line what is there, or what is wrong."""
    from reidlab.data import catalogue
    from reidlab.tools.common import own_place, takes_a_set

    _check_layout(layout)
    with takes_a_set(name):
        report = catalogue.check(own_place(name), deep, quiet=not _err.is_terminal, layout=layout)
    if report.ok:
        _say(report.line)
    _say(*(f"  {line}" for line in (*report.reading, *(report.notes if report.ok else ()))))
    if not report.ok:
        _say_error(report.line)
        raise typer.Exit(1)


def _check_layout(layout: str | None) -> None:
    """Say all that there is before a folder is read, the layouts of a user's own folders first."""
    from reidlab.data.readers import READERS
    from reidlab.tools.common import check_option

    if layout is not None:
        check_option("--layout", layout, sorted(READERS, key=lambda name: not name.startswith("folder")))


@data_app.command("make-world")
def data_make_world(
    out: Annotated[Path, typer.Argument(help="Folder to write; it must not exist yet.")],
    scenario: Annotated[
        str,
        typer.Option(
            "--scenario",
            help="standard, easy, hard, summer, winter, target_domain, video, video_faults, plaza_mot or sites.",
        ),
    ] = "standard",
    layout: Annotated[str, typer.Option("--layout", help="market1501, mars, mot or sites.")] = "market1501",
    seed: Annotated[int, typer.Option("--seed", help="Another seed gives another world.")] = 0,
    people: Annotated[
        int | None, typer.Option("--people", min=1, max=3000, help="Identities to train on, and as many to test.")
    ] = None,
    cameras: Annotated[int | None, typer.Option("--cameras", min=1, max=9, help="How many cameras there are.")] = None,
) -> None:
    """Render the embedded world and write it in the format of a real data set."""
    from reidlab.data import catalogue

    sizes = {"train_people": people, "test_people": people, "cameras": cameras}
    made = catalogue.make_world(
        scenario, layout, out, quiet=not _err.is_terminal, seed=seed,
        **{name: size for name, size in sizes.items() if size is not None},
    )  # fmt: skip
    _say(f"made {made.path}: {made.name}, seed {seed}, as {made.layout}, {plural(made.pictures, 'picture')}")


@data_app.command("audit-labels")
def data_audit_labels(
    name: Annotated[str, typer.Argument(help="Name of the set, or a folder.")],
    weights: WeightsOption = None,
    top: Annotated[int, typer.Option("--top", min=1, help="How many suspects to show.")] = 20,
    out: Annotated[Path | None, typer.Option("--out", help="Write the whole list to this .csv file.")] = None,
    iterations: StepsOption = None,
    seed: Annotated[int, typer.Option("--seed", help="Seed of everything that is random.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Write the suspects as JSON.")] = False,
) -> None:
    """Rank the test tracklets (or pictures) by how suspicious their labels are, and say whose they may be instead."""
    steps = _steps(iterations, weights)
    table, place = _read(name)
    from reidlab.tools.audit import audit_data_set  # it takes seconds, which a mistyped name need not wait for

    report = audit_data_set(
        table, out=out, weights=weights, iterations=steps, seed=seed, quiet=not _err.is_terminal, root=place,
        say=_note,
    )  # fmt: skip
    suspects = report.head(top)
    if as_json:
        _print(suspects.to_json(orient="records", indent=2))
        return
    root = os.path.commonpath([*report["path"], *report["evidence_path"]])
    shown = [("score", "kind", "tracklet", "label", "camera", "may be", "picture", "looks like")]
    for row in suspects.itertuples():
        paths = (os.path.relpath(path, root) for path in (row.path, row.evidence_path))
        shown.append((f"{row.score:.2f}", row.kind, row.tracklet, row.pid, row.camid, row.suggested_pid, *paths))
    _say_columns(shown)
    _say(f"pictures lie in {root}")


def _steps(iterations: int | None, weights: Path | None) -> int:
    """Return the training steps of a small network, once it is said where they have no effect."""
    if iterations is not None and weights is not None:
        _note(f"--iterations {iterations}: has no effect, as the network is read from --weights")
    return iterations or 300


@data_app.command("redetect")
def data_redetect(
    name: Annotated[str, typer.Argument(help="Name of a set of tracklets, or a folder.")],
    out: Annotated[Path, typer.Argument(help="Folder to write; new or empty.")],
    detector: Annotated[str, typer.Option("--detector", help="hog, ssdlite, or the path of an ONNX file.")] = "hog",
    weights: WeightsOption = None,
    height: Annotated[
        int, typer.Option("--height", min=16, max=_TALLEST, help="Height of the new pictures, in pixels.")
    ] = 128,
    iterations: StepsOption = None,
    seed: Annotated[int, typer.Option("--seed", help="Seed of everything that is random.")] = 0,
) -> None:
    """Detect the person of each tracklet again inside its pictures (re-Detect and Link) and write a new set."""
    steps = _steps(iterations, weights)
    table, root = _read(name)
    from reidlab.tools.redetect import redetect_data_set

    made = redetect_data_set(
        table, root, out, detector, weights=weights, size=(height, height // 2), iterations=steps, seed=seed,
        quiet=not _err.is_terminal, say=_note,
    )  # fmt: skip
    _say(f"made {made}")


@app.command("learn")
def learn(
    name: Annotated[str, typer.Argument(help="Name of a data set, or a folder of pictures: CAMERA/PICTURE.jpg.")],
    out: Annotated[Path, typer.Argument(help="Folder to write: network, clusters, values of every round.")],
    start: Annotated[
        str,
        typer.Option(
            "--start",
            help="An embedder's file to adapt (ONNX, an OSNet of torchreid's, or an earlier `learn`'s); imagenet: "
            "MobileNetV2 (requirements-weights.txt); world: a network first trained on the embedded world.",
        ),
    ] = "world",
    weights: Annotated[str | None, typer.Option("--weights", hidden=True)] = None,
    rounds: Annotated[int, typer.Option("--rounds", min=1, help="Rounds of clustering and training.")] = 10,
    iterations: Annotated[int, typer.Option("--iterations", min=1, help="Training steps of a round.")] = 100,
    height: Annotated[
        int | None,
        typer.Option("--height", min=32, max=_TALLEST, help="Height of its pictures; the start's own if not given."),
    ] = None,
    rate: Annotated[
        float | None, typer.Option("--lr", help="Highest learning rate; 1e-4 for embedders, else 5e-4, if not given.")
    ] = None,
    centre: Annotated[
        bool, typer.Option("--centre/--no-centre", help="Take each camera's mean out of features before clustering.")
    ] = True,
    radius: Annotated[
        float | None, typer.Option("--radius", help="Greatest distance of neighbours, 0 to 1; found out if not given.")
    ] = None,
    seed: Annotated[int, typer.Option("--seed", help="Seed of everything that is random.")] = 0,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with an interrupted run in the folder.")] = False,
) -> None:
    """Learn from pictures without labels: cluster, split the clusters, train, and repeat (chapter 4's HSR)."""
    if weights is not None:
        _say_error(f"--weights {weights}: learn takes what it begins with as --start {weights}")
        raise typer.Exit(1)
    table, root = _read(name)
    from reidlab.pseudolabel.unlabelled import STEPS, hsr
    from reidlab.tools.learn import can_resume, learn_pictures, learnt_from
    from reidlab.tools.starts import read_start
    from reidlab.training.recipe import Recipe

    rows = learnt_from(table)
    cameras, count = rows["camid"].nunique(), len(rows)
    if cameras < 2:
        _note("all pictures are of one camera: nothing is mined across cameras")
    if radius is not None:
        check_number("--radius", radius, above=0, below=1, what="the greatest distance of neighbours")
    if rate is not None:
        check_number("--lr", rate, above=0)
    begin = read_start(start, None if height is None else Recipe((height, height // 2)), seed, _note)
    options = hsr(
        count, cameras, radius, begin.rate if rate is None else rate, begin.people, rounds=rounds,
        centre=centre and cameras > 1,
    )  # fmt: skip
    try:
        made = learn_pictures(
            table, out, start=begin, steps={**STEPS, "round": iterations}, options=options, seed=seed, resume=resume,
            root=root, quiet=not _err.is_terminal, say=_note,
        )  # fmt: skip
    except KeyboardInterrupt:
        kept = can_resume(out.expanduser())
        _interrupted("--resume goes on after the last whole round" if kept else "no round was done, nothing is left")
    _say(f"made {made.folder}")


@app.command("prune")
def prune(
    network: Annotated[
        Path,
        typer.Argument(help="File to prune: network.safetensors of `learn` or `prune`, or an OSNet of torchreid's."),
    ],
    out: Annotated[Path, typer.Argument(help="Folder to write: network, trace, report.html.")],
    data: Annotated[
        str, typer.Option("--data", help="A data set, or a folder; its training pictures say which filters matter.")
    ],
    macs: Annotated[
        float | None, typer.Option("--macs", help="Share of the multiply-accumulates that may stay.")
    ] = None,
    params: Annotated[float | None, typer.Option("--params", help="Share of the parameters that may stay.")] = None,
    latency: Annotated[
        float | None,
        typer.Option("--latency", help="Share of the time a picture takes on this machine (ONNX Runtime, one thread)."),
    ] = None,
    budget: Annotated[
        list[str] | None,
        typer.Option(
            "--budget", metavar="RESOURCE=SHARE", help="Another budget, such as activations=0.5 or macs:released=0.5."
        ),
    ] = None,
    iterations: Annotated[
        int, typer.Option("--iterations", min=1, help="Prunings, each of a part of the filters that go.")
    ] = 30,
    minibatches: Annotated[
        int, typer.Option("--minibatches", min=1, help="Minibatches that an iteration ranks filters with.")
    ] = 5,
    finetune: Annotated[int, typer.Option("--finetune", min=0, help="Training steps after the pruning.")] = 300,
    rate: Annotated[
        float | None, typer.Option("--lr", help="Their highest learning rate; as `learn`'s if not given.")
    ] = None,
    minimum: Annotated[float, typer.Option("--minimum", help="Share of a layer's filters that must stay.")] = 0.1,
    gate: Annotated[
        str, typer.Option("--gate", help="norm, or filter for networks without batch normalisation.")
    ] = "norm",
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            metavar="PACKAGE.MODULE:FUNCTION",
            help="Function that makes the network, for weights of one of your own; it is run.",
        ),
    ] = None,
    height: HeightOption = None,
    seed: Annotated[int, typer.Option("--seed", help="Seed of everything that is random.")] = 0,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with an interrupted run in the folder.")] = False,
) -> None:
    """Remove filters until the network meets budgets, those first that the loss needs least (chapter 6's CAIE)."""
    given = {"macs": macs, "params": params, "latency": latency}
    budgets = {name: share for name, share in given.items() if share is not None}
    for text in budget or ():
        name, _, share = text.rpartition("=")
        try:
            budgets[name] = float(share)
        except ValueError:
            _say_error(f"--budget {text}: expected RESOURCE=SHARE, such as activations=0.5")
            raise typer.Exit(1) from None
    if not budgets:
        _say_error("budgets: there is none; give --macs, --params, --latency or --budget, such as --macs 0.5")
        raise typer.Exit(1)
    if rate is not None:
        check_number("--lr", rate, above=0)
    table, root = _read(data)
    from reidlab.tools.embed import notes_of
    from reidlab.tools.prune import prune_network, settings_for

    settings = settings_for(budgets, iterations=iterations, minimum=minimum, gate=gate)
    try:
        made = prune_network(
            network, table, out, budgets, settings=settings, minibatches=minibatches, finetune=finetune, rate=rate,
            height=height, maker=model, notes=notes_of(data, table, root), seed=seed, resume=resume, root=root,
            quiet=not _err.is_terminal, say=_note,
        )  # fmt: skip
    except KeyboardInterrupt:
        _interrupted("--resume goes on after the last whole iteration")
    for name, (before, after) in made.figures.items():
        share = f" ({after / before:.1%})" if name in ("macs", "params", "milliseconds") else ""
        _say(f"{name}: {before:,.4g} -> {after:,.4g}{share}")
    _say(f"made {made.folder}")


@app.command("embed")
def embed(
    name: Annotated[str, typer.Argument(metavar="SET", help="Name of a data set, or a folder of pictures.")],
    out: Annotated[Path, typer.Argument(help="File to write, .npz: features, labels and paths.")],
    weights: EmbedderOption,
    height: HeightOption = None,
) -> None:
    """Compute the feature of every picture and keep them in a file that only you may read."""
    from reidlab.data.catalogue import locate
    from reidlab.tools.common import own_place, takes_a_set

    with takes_a_set(name):
        locate(own_place(name))  # a mistyped name need not wait for what follows
    from reidlab.tools.embed import embed_set, file_to_write, write_embedded
    from reidlab.tools.embedder import read_embedder

    path = file_to_write(out, ".npz", name, weights=weights)
    done = "replaced" if path.exists() else "made"
    made = embed_set(name, read_embedder(weights, height, _note), out=path, quiet=not _err.is_terminal)
    _say_read(made)
    _say(f"{done} {write_embedded(made, path)}: {made.features.shape[0]} x {made.features.shape[1]}")


@app.command("search")
def search(
    query: Annotated[str, typer.Argument(help="A picture, a data set, or what `embed` wrote.")],
    gallery: Annotated[str, typer.Argument(help="The set that is searched, or what `embed` wrote; may be the same.")],
    weights: OptionalEmbedder = None,
    out: Annotated[Path, typer.Option("--out", help="Page to write, .html.")] = Path("search.html"),
    top: Annotated[int, typer.Option("--top", min=1, help="Pictures found for each query.")] = 10,
    most: Annotated[int, typer.Option("--most", min=1, help="Queries on the page at most.")] = 50,
    centre: CentreOption = False,
    height: HeightOption = None,
) -> None:
    """Search a gallery for the people of query pictures and show the ranked lists as one offline page."""
    from reidlab.tools.embed import check_height, file_to_write, read_or_embed
    from reidlab.tools.embedder import read_embedder
    from reidlab.tools.search import search_sets, shown_queries, write_page

    check_height(height, query, gallery)
    path = file_to_write(out, ".html", query, gallery, weights=weights)
    done = "replaced" if path.exists() else "made"
    embedder = None if weights is None else read_embedder(weights, height, _note)
    asked = read_or_embed(query, embedder, quiet=not _err.is_terminal)
    searched = asked if gallery == query else read_or_embed(gallery, embedder, quiet=not _err.is_terminal)
    for part in (asked,) if searched is asked else (asked, searched):
        _say_read(part)
    found = search_sets(asked, searched, top, centre, most)
    _say(
        f"{done} {write_page(found, asked, searched, path)}: {shown_queries(found)}; it holds pictures of people, and "
        "only you may read it"
    )


@app.command("evaluate")
def evaluate(
    name: Annotated[str, typer.Argument(metavar="SET", help="A labelled data set, its folder, or what `embed` wrote.")],
    weights: OptionalEmbedder = None,
    protocol: Annotated[
        str | None,
        typer.Option(
            "--protocol",
            help=f"{_PROTOCOLS}; the set's own if not given, market1501 where it has queries and a gallery, or else "
            "cross-camera.",
        ),
    ] = None,
    centre: CentreOption = False,
    height: HeightOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Write the scores as JSON.")] = False,
) -> None:
    """Score an embedder on a labelled data set under a named protocol."""
    import json

    from reidlab.tools.embed import check_height, read_or_embed
    from reidlab.tools.embedder import read_embedder
    from reidlab.tools.evaluate import check_protocol, evaluate_embedded

    if protocol is not None:
        check_protocol(protocol)  # before the work
    check_height(height, name)
    embedder = None if weights is None else read_embedder(weights, height, _note)
    embedded = read_or_embed(name, embedder, quiet=not _err.is_terminal)
    _say_read(embedded)
    scores = evaluate_embedded(embedded, protocol, centre)
    if as_json:
        _print(json.dumps(scores, indent=2, allow_nan=False))
        return
    count = scores["counts"]
    without = f" ({count['queries_without_match']:,} without a match)" if count["queries_without_match"] else ""
    _say(
        f"{scores['set']}, {scores['embedder']}, protocol {scores['protocol']}{', centred' if centre else ''}",
        "  ".join(f"{key} {scores[key]:.3f}" for key in ("rank_1", "rank_5", "mAP", "mINP")),
        f"{plural(count['pictures'], 'picture')}, {plural(count['people'], 'person')}, "
        f"{plural(count['cameras'], 'camera')}, {plural(count['queries'], 'query')}{without} in a gallery of "
        f"{count['gallery']:,}",
    )


def _say_read(embedded: Embedded) -> None:
    from reidlab.data.table import described

    for line in (described(embedded.table), *embedded.table.attrs.get("notes", ())):
        _note(line)


def _read(name: str) -> tuple[pd.DataFrame, Path]:
    """Return the sample table and the folder of a data set, and say what was read."""
    from reidlab.data.catalogue import open_set
    from reidlab.data.table import described
    from reidlab.tools.common import own_place, takes_a_set

    with takes_a_set(name):
        table, root = open_set(own_place(name))
    for line in (described(table), *table.attrs.get("notes", ())):
        _note(line)
    return table, root


def _say(*lines: str) -> None:
    for line in lines:
        _out.print(printable(line), soft_wrap=True, highlight=False, markup=False)


def _say_columns(rows: Sequence[Iterable[object]]) -> None:
    """Print rows in columns as wide as their longest cell."""
    # Not rich's table: it is slow, and cuts names in narrow terminals and where the output is no terminal.
    cells = [[printable(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells)]
    _print("\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in cells))


def _print(text: str) -> None:
    try:
        print(text, flush=True)
    except BrokenPipeError:  # `reidlab claims | head`: the reader has seen enough
        _discard(sys.stdout)


def _note(line: str) -> None:
    _err.print(printable(line), soft_wrap=True, highlight=False, markup=False)


def _show_data() -> None:
    from reidlab.data import catalogue

    rows = [("data set", "status", "layout", "where")]
    for entry in catalogue.entries(count=False):
        missing = "rendered when it is used" if entry.status == "embedded" else "not found"
        where = entry.problem or str(entry.path or missing)
        rows.append((entry.name, entry.status, entry.layout, where))
    _say_columns(rows)


def _say_error(message: str) -> None:
    _err.print(f"[bold red]error:[/] {escape(printable(' '.join(message.split())))}", soft_wrap=True, highlight=False)
