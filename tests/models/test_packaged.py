"""Files out of installed packages: made-up packages on the path, none of whose code may run."""

import hashlib
import os

import pytest

from reidlab.errors import DataError, MissingDataError
from reidlab.models.packaged import packaged_file

SHA256 = hashlib.sha256(b"weights").hexdigest()


@pytest.fixture
def package(tmp_path, monkeypatch):
    """An installed package ``made-up-weights``, which must not be imported."""
    (tmp_path / "made_up_weights-1.0.dist-info").mkdir()
    (tmp_path / "made_up_weights-1.0.dist-info" / "METADATA").write_text("Name: made-up-weights\nVersion: 1.0\n")
    folder = tmp_path / "made_up_weights"
    folder.mkdir()
    (folder / "__init__.py").write_text("raise SystemExit('imported')\n")
    (folder / "net.bin").write_bytes(b"weights")
    monkeypatch.syspath_prepend(tmp_path)
    return folder


def test_the_file_is_found_and_nothing_is_imported(package):
    assert packaged_file("made-up-weights", "made_up_weights/net.bin", SHA256) == package / "net.bin"


def test_a_missing_package_says_what_to_install():
    with pytest.raises(MissingDataError, match=r"made-up-weights: is not installed, .* -r requirements-weights\.txt"):
        packaged_file("made-up-weights", "made_up_weights/net.bin", SHA256)


def test_a_file_that_is_missing_no_file_or_another_one_is_refused(package):
    def refused(error):
        with pytest.raises(error) as told:
            packaged_file("made-up-weights", "made_up_weights/net.bin", SHA256)
        assert str(told.value).startswith(f"{package / 'net.bin'}: ")
        assert "requirements-weights.txt" in str(told.value)
        assert "\n" not in str(told.value)
        return str(told.value)

    (package / "net.bin").write_bytes(b"Weights")
    found = hashlib.sha256(b"Weights").hexdigest()[:12]
    assert f"its SHA-256 is {found}..., expected {SHA256[:12]}..." in refused(DataError)
    (package / "net.bin").unlink()
    assert "there is no such file" in refused(MissingDataError)
    os.mkfifo(package / "net.bin")
    assert "a pipe" in refused(MissingDataError)
