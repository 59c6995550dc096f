"""The zips of `make build`: the same content gives the same bytes. That the binaries are the same, too, needs two release builds: docs/drills.md."""

import hashlib
import os
import subprocess
import sys
import zipfile

import pytest

from harness.world import ROOT

pytestmark = pytest.mark.native("no gateway runs")

ZIP = ROOT / "infra" / "zip.py"


def zipped(folder, order: list[str]) -> bytes:
    out = folder / "out.zip"
    done = subprocess.run([sys.executable, ZIP, out, *[f"{name}={folder / name}" for name in order]], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return out.read_bytes()


@pytest.fixture
def folders(tmp_path):
    """The same two files in two places, with other times and modes."""
    content = {"bootstrap": hashlib.sha256(b"a binary").digest() * 4096, "tollgate.yaml": b"ai: {}\n"}
    made = []
    for name, time, mode in (("one", 1_000_000_000, 0o755), ("two", 1_700_000_000, 0o600)):
        folder = tmp_path / name
        folder.mkdir()
        for file, data in content.items():
            (folder / file).write_bytes(data)
            os.chmod(folder / file, mode)
            os.utime(folder / file, (time, time))
        made.append(folder)
    return made


def test_times_modes_folders_and_order_change_no_byte(folders):
    one, two = folders
    first = zipped(one, ["bootstrap", "tollgate.yaml"])
    assert first == zipped(one, ["bootstrap", "tollgate.yaml"])
    assert first == zipped(two, ["tollgate.yaml", "bootstrap"])


def test_another_content_is_another_zip(folders):
    one, _ = folders
    before = zipped(one, ["bootstrap"])
    (one / "bootstrap").write_bytes(b"another binary")
    assert before != zipped(one, ["bootstrap"])


def test_lambda_can_run_what_is_in_it(folders):
    zipped(folders[1], ["bootstrap", "tollgate.yaml"])
    with zipfile.ZipFile(folders[1] / "out.zip") as archive:
        assert archive.testzip() is None
        modes = {info.filename: info.external_attr >> 16 & 0o777 for info in archive.infolist()}
        assert modes == {"bootstrap": 0o755, "tollgate.yaml": 0o755}
        assert archive.read("bootstrap") == (folders[1] / "bootstrap").read_bytes()


def test_an_architecture_that_is_not_installed_is_said_by_name():
    """Before anything is compiled."""
    script = ROOT / "infra" / "build.sh"
    wrong = subprocess.run([script, "sparc"], capture_output=True, text=True)
    assert wrong.returncode == 1 and "x86_64 or arm64" in wrong.stderr
    sysroot = subprocess.run(["rustc", "--print", "sysroot"], capture_output=True, text=True, cwd=ROOT).stdout.strip()
    if os.path.isdir(f"{sysroot}/lib/rustlib/aarch64-unknown-linux-gnu/lib"):
        pytest.skip("the arm64 target is installed here: a build would begin")
    arm = subprocess.run([script, "arm64"], capture_output=True, text=True)
    assert arm.returncode == 1 and "rustup target add aarch64-unknown-linux-gnu" in arm.stderr
