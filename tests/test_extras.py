"""What each set of packages brings: what serves comes with the package, the rest by its extras."""

import ast
import email
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from importlib.metadata import distribution, packages_distributions
from pathlib import Path
from zipfile import ZipFile

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from photo_api.gallery.built_files import read_built
from tests.photo_fleet.test_cloud_init import Machine

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
EXTRAS = {"photo_fleet": "fleet", "photo_local": "local", "photo_api_client": "client"}
"""Of each package that needs one."""
ASKS_AWS = ("botocore", "src/photo_fleet/drift/asking.py")
"""What the extra `aws` brings, and the only module that imports it."""
PACKAGES = sorted(path.name for path in (ROOT / "src").iterdir() if (path / "__init__.py").exists())
MOST = 0.42
"""Of what a checkout installs to run, tests left out: the part that an instance needs."""


def _needed(*texts: str) -> set[str]:
    """Names of these requirements and of all that they need here."""
    found: set[str] = set()
    pending = [Requirement(text) for text in texts]
    while pending:
        one = pending.pop()
        name = canonicalize_name(one.name)
        if name not in found and (one.marker is None or one.marker.evaluate({"extra": ""})):
            found.add(name)
            pending += [Requirement(text) for text in distribution(name).requires or ()]
    return found


def _set(extra: str = "") -> set[str]:
    project = PROJECT["project"]
    return _needed(
        *project["dependencies"], *(project["optional-dependencies"][extra] if extra else ())
    )


def _locked(file: str) -> set[str]:
    pins = re.findall(r"^([a-z0-9-]+)==", (ROOT / file).read_text(), re.M)
    return {canonicalize_name(name) for name in pins}


def _bytes(names: set[str]) -> int:
    files = (file.locate() for name in names for file in distribution(name).files or ())
    return sum(Path(file).stat().st_size for file in files if Path(file).is_file())


def _imported(package: str) -> Iterator[tuple[str, Path]]:
    for path in (ROOT / "src" / package).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                yield from ((alias.name.split(".")[0], path) for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                yield node.module.split(".")[0], path


@pytest.mark.parametrize("package", PACKAGES)
def test_a_package_imports_only_what_its_set_brings(package: str) -> None:
    brought, of = _set(EXTRAS.get(package, "")), packages_distributions()
    unknown = {
        (module, str(path.relative_to(ROOT)))
        for module, path in _imported(package)
        if module not in sys.stdlib_module_names and module not in PACKAGES
        if not {canonicalize_name(name) for name in of.get(module, ())} & brought
    }
    assert unknown == ({ASKS_AWS} if package == "photo_fleet" else set())


@pytest.mark.parametrize(
    ("file", "extra"), [("requirements.txt", ""), ("requirements-fleet.txt", "fleet")]
)
def test_the_locked_set_is_what_is_declared(file: str, extra: str) -> None:
    assert _locked(file) == _set(extra)


def test_a_checkout_installs_every_extra() -> None:
    extras = PROJECT["project"]["optional-dependencies"]
    everything = set[str]().union(*(_set(extra) for extra in extras))
    assert everything <= _locked("requirements-run.txt") <= _locked("requirements-dev.txt")


def test_what_serves_is_a_small_part() -> None:
    assert _bytes(_locked("requirements.txt")) < MOST * _bytes(_locked("requirements-run.txt"))


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=ROOT, capture_output=True, check=True)
    [file] = folder.glob("*.whl")
    return file


def _python(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environ = {key: os.environ[key] for key in ("PATH", "HOME") if key in os.environ}
    return subprocess.run(
        [home / "bin/python", *arguments],
        capture_output=True,
        text=True,
        env=environ,
        cwd=home,
        timeout=110,
        check=False,
    )


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """A virtual environment with the wheel and the set of an extra: the packages of this one."""
    made: dict[str, Path] = {}

    def make(extra: str) -> Path:
        if extra not in made:
            made[extra] = home = tmp_path_factory.mktemp(f"set-{extra}")
            subprocess.run([sys.executable, "-m", "venv", "--without-pip", home], check=True)
            [folder] = home.glob("lib/*/site-packages")
            with ZipFile(wheel) as archive:
                archive.extractall(folder)
            for name in _set(extra):
                owned = distribution(name)
                for top in {file.parts[0] for file in owned.files or ()} - {"..", "__pycache__"}:
                    if not (folder / top).exists():
                        (folder / top).symlink_to(str(owned.locate_file(top)))
        return made[extra]

    return make


WALK = """
import importlib, pkgutil, sys
package = importlib.import_module(sys.argv[1])
for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
    importlib.import_module(module.name)
"""


@pytest.mark.parametrize("package", PACKAGES)
def test_every_module_can_be_imported_in_its_set(
    package: str, installed: Callable[[str], Path]
) -> None:
    done = _python(installed(EXTRAS.get(package, "")), "-c", WALK, package)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("extra", "line", "told"),
    [
        ("", "photo_api.cli dev", "photo-api dev: {} 'photo-api[local]'"),
        ("", "photo_api.cli embedded --data x", "photo-api embedded: {} 'photo-api[local]'"),
        ("", "photo_fleet.cli check", "photo-fleet: {} 'photo-api[fleet]'"),
        ("", "photo_fleet.cli drill --list", "photo-fleet: {} 'photo-api[fleet]'"),
        (
            "fleet",
            "photo_fleet.cli check --against aws",
            "photo-fleet check --against aws: {} 'photo-api[aws]'",
        ),
        ("fleet", "photo_fleet.cli up", "photo-fleet up: {} 'photo-api[local]'"),
        ("fleet", "photo_fleet.cli drill", "photo-fleet drill: {} 'photo-api[local]'"),
        ("", "photo_api_client.demo", "demo: {} 'photo-api[client]'"),
    ],
)
def test_a_command_without_its_extra_says_what_to_install(
    extra: str, line: str, told: str, installed: Callable[[str], Path]
) -> None:
    done = _python(installed(extra), "-m", *line.split())
    wanted = re.escape(told).replace(r"\{\}", r"[a-z-]+ is not installed: pip install")
    assert (done.returncode, done.stdout) == (2, "")
    assert re.fullmatch(wanted + "\n", done.stderr), done.stderr


@pytest.mark.parametrize(
    ("extra", "line"),
    [
        ("", "photo_api.cli serve --help"),
        ("", "photo_api.cli config table"),
        ("", "photo_fleet.cli --help"),
        ("fleet", "photo_fleet.cli render --help"),
        ("fleet", "photo_fleet.cli drill --list"),
        ("client", "photo_api_client.demo --help"),
    ],
)
def test_a_command_with_its_extra_needs_no_other(
    extra: str, line: str, installed: Callable[[str], Path]
) -> None:
    done = _python(installed(extra), "-m", *line.split())
    assert (done.returncode, done.stderr) == (0, "")


def test_the_broken_variants_of_the_self_test_stay_in_the_checkout(
    wheel: Path, installed: Callable[[str], Path]
) -> None:
    with ZipFile(wheel) as archive:
        tops = {name.split("/")[0] for name in archive.namelist()}
    assert {top for top in tops if not top.startswith("photo_api-")} == set(PACKAGES)
    done = _python(installed("fleet"), "-m", "photo_fleet.cli", "drill", "--self-test", "--list")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("photo-fleet drill: --self-test needs a checkout")


def test_our_wheel_brings_the_requirements_that_the_tests_ran_with(wheel: Path) -> None:
    with ZipFile(wheel) as archive:
        [build] = [name for name in archive.namelist() if name.endswith("/requirements-build.txt")]
        assert archive.read(build) == (ROOT / "requirements-build.txt").read_bytes()
        for file, extra in (("requirements.txt", ""), ("requirements-fleet.txt", "fleet")):
            [name] = [name for name in archive.namelist() if name.endswith(f"/{file}")]
            assert name.endswith(f".data/data/share/photo-api/{file}")
            assert archive.read(name) == (ROOT / file).read_bytes()
            [metadata] = [name for name in archive.namelist() if name.endswith("/METADATA")]
            declared = email.message_from_bytes(archive.read(metadata)).get_all("Requires-Dist")
            wanted = [Requirement(text) for text in declared or ()]
            assert {
                canonicalize_name(one.name)
                for one in wanted
                if one.marker is None or one.marker.evaluate({"extra": extra})
            } <= _locked(file)


def test_our_wheel_brings_the_gallery(wheel: Path, installed: Callable[[str], Path]) -> None:
    built = "from photo_api.gallery.built_files import read_built; print(*sorted(read_built()))"
    done = _python(installed(""), "-c", built)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == sorted(read_built())


def test_a_wheel_without_the_gallery_is_not_made(tmp_path: Path) -> None:
    """Of a tree in which nothing was built, where nothing can be."""
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True)
    for name in tracked.stdout.split():
        if not name.startswith(("tests/", "docs/", "bench/")):
            place = tmp_path / "tree" / name
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, place)
    nothing = {
        "PATH": os.environ["PATH"],
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
        "PIP_INDEX_URL": "http://127.0.0.1:9/simple",
        "PIP_RETRIES": "0",
    }
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    done = subprocess.run(
        command, cwd=tmp_path / "tree", env=nothing, capture_output=True, text=True, check=False
    )
    assert done.returncode != 0
    assert "a wheel brings the gallery" in done.stderr + done.stdout
    assert not list(tmp_path.glob("*.whl"))
    tried = subprocess.run(
        ["scripts/gallery", "try"],
        cwd=tmp_path / "tree", env=nothing, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert tried.returncode == 0
    assert "there is no page, and the API is served as ever" in tried.stderr


@pytest.mark.long
@pytest.mark.timeout(900)
def test_a_new_machine_installs_the_serving_set_and_no_more(wheel: Path, tmp_path: Path) -> None:
    """For real, from the index, by the script of the user data."""
    machine = Machine(tmp_path)
    # What pip is told of its index here.
    machine.source = {key: text for key, text in os.environ.items() if key.startswith("PIP_")}
    done = machine.install(wheel)
    assert done.returncode == 0, done.stderr
    for line in ("serve --help", "config table"):
        command = [str(machine.home / "bin/photo-api"), *line.split()]
        ran = subprocess.run(command, capture_output=True, check=False)
        assert (ran.returncode, ran.stderr) == (0, b"")
    names = {
        path.name.split("-")[0] for path in machine.home.glob("lib/*/site-packages/*.dist-info")
    }
    built = _locked("requirements-build.txt") | {"pip", "photo-api"}
    assert {canonicalize_name(name) for name in names} <= _locked("requirements.txt") | built

    everything = tmp_path / "everything"
    subprocess.run([sys.executable, "-m", "venv", everything], check=True)
    pip = [str(everything / "bin/pip"), "install", "-q", "--require-hashes"]
    subprocess.run([*pip, "-r", str(ROOT / "requirements-run.txt")], check=True)
    assert _size(machine.home) < MOST * _size(everything)


def _size(home: Path) -> int:
    files = [path for path in home.rglob("*") if path.is_file() and not path.is_symlink()]
    tools = re.compile("pip|setuptools|pkg_resources|_distutils_hack")
    return sum(
        path.stat().st_size
        for path in files
        if not any(tools.match(part) for part in path.relative_to(home).parts)
    )
