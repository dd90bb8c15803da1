"""The environment files follow from pyproject.toml, and the environment they describe can be installed."""

import re
import subprocess
import tomllib
import venv
from itertools import chain
from pathlib import Path

import pytest

from reidlab.errors import ConfigError
from reidlab.lab import dependencies

ROOT = Path(__file__).resolve().parents[1]


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


def test_clean_freeze_drops_suffixes_accelerators_and_editable_installs():
    frozen = "torch==2.13.0+cpu\nnvidia-cublas-cu12==1.2\ntriton==3.0\n-e git+x#egg=reidlab\nLightning_Utilities==1.0\n"
    lines = dependencies.clean_freeze(frozen).splitlines()[1:]
    assert lines == ["lightning-utilities==1.0", "torch==2.13.0"]


def test_a_requirement_without_a_pin_is_named(tmp_path):
    (tmp_path / "requirements.lock").write_text("torch==2.13.0\n")
    with pytest.raises(ConfigError, match=r"no pin for .*numpy.*make lock"):
        dependencies.environment_yml(ROOT / "pyproject.toml", tmp_path / "requirements.lock")


@pytest.mark.environment
@pytest.mark.xdist_group("environment")
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
    requirements.write_text("\n".join(dependencies.pip_list(ROOT / "environment.yml")))
    installed = subprocess.run([*pip, "install", "-r", str(requirements)], capture_output=True, text=True)
    assert installed.returncode == 0, installed.stderr[-2000:]
    modules = "torch, lightning_fabric, numpy, pandas, pyarrow, scipy, sklearn, pandera, cv2, papermill, typer"
    code = f"import sys; sys.path.insert(0, {str(ROOT)!r}); import {modules}, reidlab; print(reidlab.__version__)"
    answer = subprocess.run([str(python), "-c", code], capture_output=True, text=True, cwd=tmp_path)
    assert answer.returncode == 0, answer.stderr[-2000:]
    assert answer.stdout.strip()
