"""The eight kinds of generated inputs. Each maker spoils a copy of something good and returns what to try on it."""

import hashlib
import io
import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from tests.fuzz.damage import NAMES, damage_tree, damaged, damaged_json, damaged_text
from tests.fuzz.sandbox import command

Action = Callable[[], str | None]
Maker = Callable[["Stock", Path, random.Random], Action]
MAKERS: dict[str, Maker] = {}


def kind(make: Maker) -> Maker:
    MAKERS[make.__name__] = make
    return make


class Stock:
    """Good inputs, made once: what the cases are copies of.

    Args:
        folder: where they are made; ``outside`` below it must never change.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.outside = folder, folder / "outside"
        self.outside.mkdir(parents=True)
        (self.outside / "secret.txt").write_text("a secret of the machine\n")
        self.payload = _Payload(str(self.outside / "ran"))
        self._data_sets()
        self._pictures()
        self._weights()
        self._checkpoints()
        self._project()
        self._caches()

    def _data_sets(self) -> None:
        from scipy.io import savemat

        self.layouts = self.folder / "layouts"

        def lay(root: str, *names: str) -> None:
            for number, name in enumerate(names):
                path = self.layouts / root / name
                path.parent.mkdir(parents=True, exist_ok=True)
                coarse = np.random.default_rng(number).integers(0, 256, (8, 4, 3), np.uint8)
                Image.fromarray(coarse).resize((16, 32)).save(path)

        market = [f"{pid:04d}_c{cam}s1_{n:06d}_00.jpg" for pid in (2, 7) for cam in (1, 2) for n in (1, 26)]
        test = [name.replace("0002_", "0001_").replace("0007_", "0003_") for name in market]
        folders = {"bounding_box_train": market, "bounding_box_test": test, "query": test[::2]}
        lay("market1501", *(f"{folder}/{name}" for folder, names in folders.items() for name in names))
        duke = [name.replace("s1_", "_f").replace("_00.jpg", ".jpg") for name in market]
        lay("dukemtmc", *(f"{folder}/{name}" for folder in folders for name in duke))
        lay("own", *(f"anna{p}/door{c}/{n}.jpg" for p in range(3) for c in range(2) for n in range(2)))
        lay("flat", *(f"cam{c}/{n}.png" for c in range(2) for n in range(3)))
        train = ["0001C1T0001F001.jpg", "0001C1T0001F002.jpg", "0003C2T0001F001.jpg"]
        test = ["00-1C1T0001F001.jpg", "0000C3T0001F001.jpg", "0002C1T0001F001.jpg", "0002C6T0001F001.jpg"]
        for part, names, rows in (
            ("train", train, [[1, 2, 1, 1], [3, 3, 3, 2]]),
            ("test", test, [[1, 1, -1, 1], [2, 2, 0, 3], [3, 3, 2, 1], [4, 4, 2, 6]]),
        ):
            lay("mars", *(f"bbox_{part}/{name[:4]}/{name}" for name in names))
            info = self.layouts / "mars" / "info"
            info.mkdir(exist_ok=True)
            (info / f"{part}_name.txt").write_text("".join(f"{name}\n" for name in names))
            savemat(info / f"tracks_{part}_info.mat", {f"track_{part}_info": np.array(rows, float)})
        savemat(info / "query_IDX.mat", {"query_IDX": np.array([[3.0]])})
        lay("mot", *(f"train/MOT17-02-FRCNN/img1/{frame:06d}.jpg" for frame in (1, 2)))
        sequence = self.layouts / "mot" / "train" / "MOT17-02-FRCNN"
        (sequence / "gt").mkdir()
        (sequence / "gt" / "gt.txt").write_text("1,4,1,2,3,6,1,1,0.9\n2,4,1.5,2,3,6,1,1,0.8\n1,6,1,2,3,4,1,7,1\n")
        (sequence / "seqinfo.ini").write_text(
            "[Sequence]\nname=MOT17-02-FRCNN\nimDir=img1\nframeRate=25\nseqLength=2\nimWidth=16\nimHeight=32\nimExt=.jpg\n"
        )
        names = [
            f"{pid:04d}/{pid:04d}_{n:03d}_0{cam}_0303morning_0008_0.jpg"
            for pid in (0, 1)
            for cam in (1, 2)
            for n in (1, 2)
        ]
        lay("msmt17", *(f"{part}/{name}" for part in ("train", "test") for name in names))
        for part, listed in {"train": names[:6], "val": names[6:], "query": names[:2], "gallery": names[2:]}.items():
            text = "".join(f"{name} {int(name[:4])}\n" for name in listed)
            (self.layouts / "msmt17" / f"list_{part}.txt").write_text(text)

    def _pictures(self) -> None:
        draw = np.random.default_rng(0)
        rgb = Image.fromarray(draw.integers(0, 256, (32, 16, 3), np.uint8))
        modes = {
            "RGB": rgb,
            "L": rgb.convert("L"),
            "1": rgb.convert("1"),
            "P": rgb.convert("P"),
            "CMYK": rgb.convert("CMYK"),
        }
        modes["RGBA"] = rgb.convert("RGBA")
        modes["I;16"] = Image.fromarray(draw.integers(0, 65536, (32, 16), np.uint16))
        modes["F"] = Image.fromarray(draw.random((32, 16), np.float32))
        self.pictures: list[bytes] = []
        for form in ("JPEG", "PNG", "BMP", "TIFF", "WEBP", "GIF", "PPM", "TGA", "EPS", "ICO", "PCX", "SGI"):
            for picture in modes.values():
                stream = io.BytesIO()
                try:
                    picture.save(stream, form)
                except (OSError, ValueError, KeyError):
                    continue
                self.pictures.append(stream.getvalue())
        self.pictures.append(_bomb())

    def _weights(self) -> None:
        import torch
        from safetensors.torch import save_file

        from reidlab.models import resnet

        torch.manual_seed(0)
        state = {name: value for name, value in resnet(18).state_dict().items() if name.startswith(("conv1", "bn1"))}
        self.weights_folder = self.folder / "weights"
        self.weights_folder.mkdir()
        torch.save(state, self.weights_folder / "plain.pth")
        torch.save(
            {"state_dict": {f"module.{k}": v for k, v in state.items()}, "epoch": 3},
            self.weights_folder / "nested.pth.tar",
        )
        torch.save({"state_dict": state, "hook": self.payload}, self.weights_folder / "hostile.pth")
        save_file(state, self.weights_folder / "plain.safetensors")
        save_file(state, self.weights_folder / "plain.bin")

    def _checkpoints(self) -> None:
        import torch

        from reidlab.training.checkpoints import Checkpoints

        self.checkpoint_folder = self.folder / "checkpoints"
        kept = Checkpoints(self.checkpoint_folder)
        for iteration in (1, 2):
            kept.save(
                {"iteration": iteration, "weights": {"w": torch.full((3,), float(iteration))}, "list": [1, "a", None]}
            )

    def _project(self) -> None:
        import pytest

        from reidlab.lab import runner, store
        from tests.lab.made_up_project import execute_in_process, make_project, run_chapters

        self.project_folder = self.folder / "project"
        project = make_project(self.project_folder)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(runner, "_execute", execute_in_process)
            run_chapters(project)
            run_chapters(project, profile="standard")
        store.keep("01_tiny", "standard", project)

    def _caches(self) -> None:
        import pytest

        from reidlab.data import ImageCache, readers

        self.cache_folder = self.folder / "cache"
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("REIDLAB_CACHE", str(self.cache_folder))
            self.world = _world_digest()
            table = readers.detect(self.layouts / "market1501").read(self.layouts / "market1501")
            self.decoded = np.asarray(ImageCache(table, (16, 8), on_disk=True, quiet=True)).copy()


class _Payload:
    """Runs a program where it is unpickled without restriction."""

    def __init__(self, ran: str) -> None:
        self.ran = ran

    def __reduce__(self):
        return (open, (self.ran, "w"))


def _world_digest() -> str:
    """Make or find a tiny world through the cache, and return the digest of its pictures."""
    from reidlab.data.embedded import load_world
    from reidlab.world import background

    background.background_of.cache_clear()
    table = load_world(
        "easy", train_people=2, test_people=2, cameras=2, distractors=0, shots=1, frame_width=320, frame_height=180
    )
    total = hashlib.sha256()
    for path in table["path"]:
        total.update(Path(path).name.encode() + Path(path).read_bytes())
    return total.hexdigest()


def _bomb() -> bytes:
    """A small PNG of 30,000 x 30,000 pixels."""
    import struct
    import zlib

    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    side = 30_000
    packer = zlib.compressobj(9)
    rows = b"".join(packer.compress(bytes(1 + side * 3)) for _ in range(2000)) + packer.flush()
    head = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


@kind
def folders(stock: Stock, home: Path, draw: random.Random) -> Action:
    """A data set with names, kinds and places changed, added and checked by the command."""
    source = draw.choice(sorted(stock.layouts.iterdir()))
    place = home / draw.choice([source.name, "set", "grid", "a b", "\x1b[31m"])
    shutil.copytree(source, place)
    damage_tree(place, draw, stock.outside)
    name = draw.choice(["mine", "grid", *NAMES])
    words = [
        ("data", "check", str(place), "--deep"),
        ("data", "check", str(place)),
        ("data", "add", "--", name, str(place)),
    ]
    chosen = draw.choice(words)
    return lambda: command(*chosen)


@kind
def lists(stock: Stock, home: Path, draw: random.Random) -> Action:
    """A data set whose list, matrix or annotation has words, lines or bytes changed."""
    source = stock.layouts / draw.choice(["mars", "mot", "msmt17"])
    place = home / "set"  # a name that no manifest has, so that nothing is counted
    shutil.copytree(source, place)
    texts = sorted(p for p in place.rglob("*") if p.suffix in (".txt", ".ini", ".mat", ".csv"))
    for file in draw.sample(texts, draw.randint(1, 2)):
        spoil = damaged if file.suffix == ".mat" else lambda content, draw: damaged_text(content.decode(), draw)
        file.write_bytes(spoil(file.read_bytes(), draw))
    return lambda: command("data", "check", str(place))


@kind
def pictures(stock: Stock, home: Path, draw: random.Random) -> Action:
    """Pictures of all formats, damaged and under other endings, decoded in both ways there are."""
    place = home / "pictures"
    for number in range(draw.randint(1, 4)):
        content = draw.choice(stock.pictures)
        file = place / f"cam{number % 2}" / f"{number}{draw.choice(['.jpg', '.png', '.tif', '.webp', '.bmp', '.gif'])}"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(damaged(content, draw) if draw.random() < 0.7 else content)
    if draw.random() < 0.5:
        return lambda: command("data", "check", str(place), "--deep")

    def decode() -> None:
        from reidlab.data import ImageCache, readers
        from reidlab.data.images import read_picture

        table = readers.detect(place).read(place)
        read_picture(table["path"].iloc[0])
        ImageCache(table, (16, 8), on_disk=True, quiet=True)

    return decode


@kind
def weights(stock: Stock, home: Path, draw: random.Random) -> Action:
    """A weight file of any habit of saving, damaged or hostile, loaded into a part of a network."""
    source = draw.choice(sorted(stock.weights_folder.iterdir()))
    file = home / draw.choice(["w.pth", "w.safetensors", "w.bin", "w.pth.tar", "\x1b[2J.pth", source.name])
    content = source.read_bytes()
    file.write_bytes(damaged(content, draw) if draw.random() < 0.8 else content)

    def load() -> None:
        from torch import nn

        from reidlab.models import load_weights

        part = nn.ModuleDict({"conv1": nn.Conv2d(3, 64, 7, bias=False), "bn1": nn.BatchNorm2d(64)})
        load_weights(part, file)

    return load


@kind
def checkpoints(stock: Stock, home: Path, draw: random.Random) -> Action:
    """A folder of checkpoints, the newest or both damaged: the one before is used, or both are refused."""
    import torch

    place = home / "run"
    shutil.copytree(stock.checkpoint_folder, place)
    both = draw.random() < 0.3
    for name in ("checkpoint-last.pt", "checkpoint-previous.pt")[: 2 if both else 1]:
        content = (place / name).read_bytes()
        if draw.random() < 0.3:
            state = draw.choice(
                [{"format": 1, "hook": stock.payload}, [1, 2], "text", {"format": 99}, None, {"iteration": 3}]
            )
            torch.save(state, place / name)
        else:
            (place / name).write_bytes(damaged(content, draw))

    def load() -> str | None:
        from reidlab.training.checkpoints import Checkpoints

        state = Checkpoints(place).load()
        good = state is not None and (state["weights"]["w"] == state["iteration"]).all()
        return None if good else f"read a checkpoint that was never written: {state!r:.200}"

    return load


@kind
def profiles(stock: Stock, home: Path, draw: random.Random) -> Action:
    """A profile with words changed, values and names of the command line that are none."""
    from reidlab.lab import profiles as reading
    from reidlab.lab.project import Project

    root = home / "project"
    shutil.copytree(stock.project_folder, root)
    file = root / "notebooks" / "profiles" / "quick.yml"
    text = "defaults: {seeds: [0, 1]}\n01_tiny:\n  epochs: 3\n  name: loud\n  # a comment\n"
    file.write_bytes(damaged_text(text, draw) if draw.random() < 0.7 else text.encode())
    where = ("--project", str(root))
    nasty = draw.choice(NAMES)

    def read() -> None:
        project = Project(root, root / "_runs")
        profile = reading.load(project, "quick")
        reading.resolve(project, profile, "01_tiny", reading.parse_changes([f"epochs={draw.choice(NAMES)}"]))

    tries: list[Action] = [
        read,
        lambda: command("book", "--profile", nasty, *where),
        lambda: command("run", "--profile", nasty, *where),
        lambda: command("run", *where, "--", nasty),
        lambda: command(
            "run",
            "01",
            "-p",
            f"{draw.choice(['epochs', 'seeds', nasty])}={draw.choice([':', '[', *NAMES])}x[",
            *where,
        ),
        lambda: command("keep", *where, "--profile", nasty, "01"),
        lambda: command("keep", *where, "--", nasty),
    ]
    return draw.choice([read, read, *tries])


@kind
def run_files(stock: Stock, home: Path, draw: random.Random) -> Action:
    """A store and kept records with run.json, records, pieces and notebooks of other types, cut or missing."""
    root = home / "project"
    shutil.copytree(stock.project_folder, root)
    kept = [p for p in root.rglob("*") if p.is_file() and ("_runs" in p.parts or "results" in p.parts)]
    for file in draw.sample(sorted(kept), draw.randint(1, 3)):
        content = file.read_bytes()
        json_file = file.suffix in (".json", ".ipynb") and draw.random() < 0.8
        file.write_bytes(damaged_json(content.decode(), draw) if json_file else damaged(content, draw))
    where = ("--project", str(root))

    def runs() -> None:
        from reidlab.errors import ReidlabError
        from reidlab.lab import pieces, store
        from reidlab.lab.project import Project

        project = Project(root, root / "_runs")
        refused = None
        for profile in ("quick", "standard"):
            try:
                run = store.load(profile, "01_tiny", project)
                run.changes(project)
                len(run.records)
            except ReidlabError as error:
                refused = error
        for place in sorted((root / "_runs" / "pieces" / "01_tiny").iterdir()):
            good = stock.project_folder / place.relative_to(root) / "manifest.json"
            pieces.load(place, json.loads(good.read_bytes())["identity"])
        pieces.sweep(root / "_runs" / "pieces" / "01_tiny")
        if refused:
            raise refused

    tries: list[Action] = [
        runs,
        lambda: command("claims", *where),
        lambda: command("claims", "--json", *where),
        lambda: command("keep", "01", "--profile", "standard", *where),
        lambda: command("book", "--profile", "quick", *where),
    ]
    return draw.choice(tries)


@kind
def cache_entries(stock: Stock, home: Path, draw: random.Random) -> Action:
    """A cache with files changed, missing or planted: what comes out of it is what an empty one gives."""
    import pickle

    shutil.copytree(stock.cache_folder, home / "cache")
    files = sorted(p for p in (home / "cache").rglob("*") if p.is_file() and p.suffix != ".lock")
    for file in draw.sample(files, min(len(files), draw.randint(1, 3))):
        match draw.randrange(4):
            case 0:
                file.unlink()
            case 1:
                file.write_bytes(pickle.dumps(stock.payload))
            case 2:
                file.write_bytes(b"")
            case 3:
                content = file.read_bytes()
                file.write_bytes(content[: draw.randrange(len(content) + 1)])

    def use() -> str | None:
        from reidlab.data import ImageCache, readers

        if _world_digest() != stock.world:
            return "a damaged cache gave another world"
        market = stock.layouts / "market1501"
        table = readers.detect(market).read(market)
        if not np.array_equal(np.asarray(ImageCache(table, (16, 8), on_disk=True, quiet=True)), stock.decoded):
            return "a damaged cache gave other pictures"
        return None

    return use
