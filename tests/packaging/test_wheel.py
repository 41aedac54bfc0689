"""The sdist and the wheels, installed where nothing else is."""

import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from environments import ROOT, CleanEnvironment, Distribution, run

SUFFIXES = (".py", ".pyi", ".typed")


def committed(folder: str) -> set[str]:
    return set(run("git", "ls-tree", "-r", "--name-only", "HEAD", folder).split())


def package_files() -> set[str]:
    return {name for name in committed("django_cache_manager/") if name.endswith(SUFFIXES)}


def names_in(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def test_wheel_holds_the_package_the_engine_and_the_command(distribution: Distribution) -> None:
    held = {name for name in names_in(distribution.wheel) if ".dist-info/" not in name}
    programs = {name for name in held if name.endswith(".data/scripts/qcache")}
    engines = {
        name
        for name in held
        if name.startswith("django_cache_manager/_engine.") and name.endswith(".so")
    }
    assert len(programs) == 1
    assert len(engines) == 1
    assert held - programs - engines == package_files()


def test_release_has_no_failpoints(distribution: Distribution) -> None:
    with zipfile.ZipFile(distribution.wheel) as archive:
        for name in archive.namelist():
            if name.endswith((".so", "/qcache")):
                assert b"QC_FAILPOINT" not in archive.read(name), name


def test_sdist_holds_everything_that_git_does(distribution: Distribution) -> None:
    with tarfile.open(distribution.sdist) as archive:
        held = {
            name.partition("/")[2]
            for name in archive.getnames()
            if archive.getmember(name).isfile()
        }
    assert committed(".") <= held | {".gitignore"}


def test_wheel_caches_in_a_clean_environment(distribution: Distribution, tmp_path: Path) -> None:
    environment = CleanEnvironment.make(tmp_path / "venv")
    environment.install(distribution.wheel, "Django>=5.2,<5.3")
    assert "smoke cached ok" in environment.smoke("cached", tmp_path)
    (segment,) = (tmp_path / "segments").glob("*.segment")
    assert "entries" in run(tmp_path / "venv/bin/qcache", "stat", segment)
    run(tmp_path / "venv/bin/qcache", "verify", segment)


def test_pure_wheel_sends_reads_to_the_database(tmp_path: Path) -> None:
    """What a system without the engine gets."""
    run(
        *(sys.executable, "-m", "pip", "wheel", "-q", "--disable-pip-version-check"),
        *("--no-build-isolation", "--no-deps", "-Csetup-args=-Dengine=disabled"),
        *("-w", tmp_path, ROOT),
    )
    wheel = next(tmp_path.glob("*.whl"))
    assert wheel.name.endswith("-py3-none-any.whl")
    held = {name for name in names_in(wheel) if ".dist-info/" not in name}
    assert package_files() <= held
    assert not [name for name in held if name.endswith((".so", "/qcache"))]
    environment = CleanEnvironment.make(tmp_path / "venv")
    environment.install(wheel, "Django>=5.2,<5.3")
    assert "smoke plain ok" in environment.smoke("plain", tmp_path)


def pythons() -> list[tuple[str, str]]:
    """(version, path) of the interpreters at hand."""
    listed = subprocess.run([ROOT / "scripts/pythons"], capture_output=True, text=True, check=True)
    return [(line.split()[0], line.split()[1]) for line in listed.stdout.splitlines()]


def releases(version: str) -> list[str]:
    """The Django releases to try on a Python: 6.1 needs 3.12."""
    newer = tuple(map(int, version.split("."))) >= (3, 12)
    return ["Django>=5.2,<5.3", *(["Django>=6.1,<6.2"] if newer else [])]


@pytest.mark.parametrize(("version", "python"), pythons(), ids=lambda value: Path(value).name)
def test_sdist_builds_and_caches_on(
    version: str, python: str, distribution: Distribution, tmp_path: Path
) -> None:
    """As `pip install` does where there is no wheel: with a build environment of pip's own."""
    environment = CleanEnvironment.make(tmp_path / "venv", python)
    environment.install(distribution.sdist, "Django>=5.2,<5.3")
    for number, release in enumerate(releases(version)):
        environment.install(release)
        folder = tmp_path / str(number)
        folder.mkdir()
        assert f"Python {version}." in environment.smoke("cached", folder)
