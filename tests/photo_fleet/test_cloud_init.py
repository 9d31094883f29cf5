"""The user data: what a fresh machine does with it."""

import dataclasses
import grp
import hashlib
import importlib
import os
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest

from photo_fleet.render import cloud_init
from photo_fleet.render.environment import files as environment_files
from photo_fleet.render.systemd import instance_files
from photo_fleet.spec.fleet import Database, Fleet, Service
from photo_fleet.spec.loading import SpecError, loads
from tests.photo_fleet.golden_files import assert_golden

ROOT = Path(__file__).parent.parent.parent
MODULES = {"package_update", "packages", "write_files", "runcmd"}


def read(fleet: Fleet) -> dict[str, Any]:
    yaml: Any = importlib.import_module("yaml")  # has no types
    document: dict[str, Any] = yaml.safe_load(cloud_init.files(fleet)["user-data.yaml"])
    return document


def written(fleet: Fleet) -> dict[str, Any]:
    return {item["path"]: item for item in read(fleet)["write_files"]}


def with_package(package: str) -> Fleet:
    return Fleet(service=Service(package=package))


def test_user_data_are_exactly_these() -> None:
    assert_golden("cloud-init", cloud_init.files(Fleet()))


def test_it_is_cloud_config_that_uses_four_modules() -> None:
    assert cloud_init.files(Fleet())["user-data.yaml"].startswith("#cloud-config\n")
    document = read(Fleet())
    assert document.keys() == MODULES
    assert document["packages"] == ["python3", "python3-venv"]
    assert document["runcmd"] == [["/usr/local/sbin/photo-api-install"]]
    for item in document["write_files"]:
        assert item.keys() == {"path", "permissions", "content"}
        assert isinstance(item["permissions"], str)


def test_the_machine_gets_the_rendered_unit_and_environment() -> None:
    files = written(Fleet())
    unit = files["/etc/systemd/system/photo-api.service"]
    environment = files["/etc/photo-api/photo-api.env"]
    assert unit["content"] == instance_files(Fleet())["photo-api.service"]
    assert environment["content"] == environment_files(Fleet())["photo-api.env"]
    assert (unit["permissions"], environment["permissions"]) == ("0644", "0600")


@pytest.mark.parametrize("package", ["photo-api", "it's $(touch gone); `id`", "/a b/x.whl"])
def test_the_installer_takes_the_package_as_one_word(package: str, tmp_path: Path) -> None:
    script = cloud_init.installer(with_package(package))
    line = next(line for line in script.splitlines() if line.startswith("package="))
    shown = subprocess.run(
        ["sh", "-c", f'{line}\nprintf %s "$package"'],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=True,
    )
    assert shown.stdout == package
    assert not list(tmp_path.iterdir())


class Machine:
    """The installer run for real in a folder that stands for the machine: only pip's source and
    `systemctl` are stand-ins, for neither a registry nor systemd is here."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.tries, self.patience = 1, 300.0
        self.within: tuple[str, ...] = ()
        self.source = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(folder / "index")}
        self.hook, self.bin = folder / "hook", folder / "bin"
        self.secrets, self.home = folder / "secrets", folder / "home"
        self.bin.mkdir()
        self.program("bin/systemctl", f'echo "$@" >> {folder}/systemctl.log')
        self.program("bin/systemd-sysusers", "exit 0")
        self.program("bin/sleep", "exit 0")
        self.program("hook", f'for name in {self.names}; do echo "of $name" > "$1/$name"; done')

    @property
    def group(self) -> str:
        """One that there is, and that is not the folder's already where the tests are root."""
        return "daemon" if os.geteuid() == 0 else grp.getgrgid(os.getegid()).gr_name

    @property
    def names(self) -> str:
        return "database-url s3-access-key s3-secret-key jwt-keys secret-keys ops-token"

    def program(self, name: str, body: str) -> None:
        (self.folder / name).write_text(f"#!/bin/sh\n{body}\n")
        (self.folder / name).chmod(0o755)

    def install(self, package: Path | str, *arguments: str) -> subprocess.CompletedProcess[str]:
        script = cloud_init.installer(
            Fleet(service=Service(package=str(package), secrets_hook=str(self.hook)))
        )
        script = script.replace("tries=5", f"tries={self.tries}")
        script = script.replace("/opt/photo-api", str(self.home))
        script = script.replace("/etc/photo-api/secrets", str(self.secrets))
        script = script.replace("photo-api-secrets", self.group)
        script = script.replace("/run/photo-api-install", str(self.folder / "install"))
        script = script.replace("timeout -k 10 300", f"timeout -k 10 {self.patience}")
        environ = {"PATH": f"{self.bin}:/usr/bin:/bin", **self.source}
        return subprocess.run(
            [*self.within, "sh", "-c", script, "install", *arguments],
            env=environ,
            capture_output=True,
            text=True,
            timeout=300,
        )

    @property
    def orders(self) -> list[str]:
        log = self.folder / "systemctl.log"
        return log.read_text().splitlines() if log.exists() else []


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def made_wheel(folder: Path, name: str, files: dict[str, str], requires: str = "") -> Path:
    """A wheel in `folder`; `name` is with its version."""
    info, wheel = f"{name}.dist-info", folder / f"{name}-py3-none-any.whl"
    project, version = name.split("-")
    needs = f"Requires-Dist: {requires}\n" if requires else ""
    files = files | {
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {project}\nVersion: {version}\n{needs}",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(f"{path},,\n" for path in [*files, f"{info}/RECORD"])
    with ZipFile(wheel, "w") as archive:
        for path, text in (files | {f"{info}/RECORD": record}).items():
            archive.writestr(path, text)
    return wheel


class Index:
    """What pip finds, in place of a registry: the package that ours needs, and ours."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.folder = folder
        self.needed = made_wheel(folder, "needed-1", {"needed.py": "SAYS = 'photo-api'\n"})

    def package(self, version: str = "1", locked: str | None = None) -> Path:
        """A wheel with the command `photo-api`, and these requirements; by default what it needs,
        with its hash."""
        info, data = f"photo_api-{version}.dist-info", f"photo_api-{version}.data/data"
        commands = "[console_scripts]\nphoto-api = photo_api:main\n"
        files = {
            "photo_api.py": "import needed\ndef main():\n    print(needed.SAYS)\n",
            f"{info}/entry_points.txt": commands,
            f"{data}/share/photo-api/requirements.txt": pinned(self.needed)
            if locked is None
            else locked,
        }
        return made_wheel(self.folder.parent, f"photo_api-{version}", files, "needed")


def pinned(file: Path) -> str:
    return f"needed==1 --hash=sha256:{hashlib.sha256(file.read_bytes()).hexdigest()}\n"


@pytest.fixture
def index(tmp_path: Path) -> Index:
    return Index(tmp_path / "index")


@pytest.fixture
def package(index: Index) -> Path:
    return index.package()


@pytest.mark.slow
def test_the_installer_installs_fetches_secrets_and_starts(machine: Machine, package: Path) -> None:
    done = machine.install(package)
    assert done.returncode == 0, done.stderr
    says = subprocess.run([machine.home / "bin/photo-api"], capture_output=True, text=True)
    assert says.stdout == "photo-api\n"
    assert_readable_by_its_group_alone(machine)
    assert (machine.home / "bin/photo-api").stat().st_mode & 0o005 == 0o005
    assert machine.orders == [
        "daemon-reload",
        "enable photo-api.service",
        "start photo-api.service",
    ]

    assert_whole_without_an_index(machine, package)
    leave_as_a_killed_pip_does(machine)
    again, other = at_once(machine, package)
    assert again.returncode == 0, again.stderr
    assert other.returncode == 0, other.stderr
    says = subprocess.run([machine.home / "bin/photo-api"], capture_output=True, text=True)
    assert says.stdout == "photo-api\n", says.stderr


def assert_whole_without_an_index(machine: Machine, package: Path) -> None:
    """What is whole is left alone, however often, when there is nothing to install from."""
    away = package.rename(package.with_suffix(".away"))
    for _ in range(2):
        done = machine.install(package)
        assert done.returncode == 1
        assert f"{package} is missing" in done.stderr
        assert (machine.home / "bin/photo-api").exists()
    away.rename(package)
    index = (machine.folder / "index").rename(machine.folder / "away")
    done = machine.install(package)
    assert done.returncode == 0, done.stderr
    index.rename(machine.folder / "index")


def at_once(machine: Machine, package: Path) -> list[subprocess.CompletedProcess[str]]:
    """Two runs, of which neither may take away what the other makes."""
    with ThreadPoolExecutor() as pool:
        return list(pool.map(machine.install, [package] * 2))


def leave_as_a_killed_pip_does(machine: Machine) -> None:
    """Wheels whose metadata come first (those of maturin) count as installed before they are."""
    for left in ("needed.py", "needed-1.dist-info/RECORD"):
        next(machine.home.glob(f"lib/*/site-packages/{left}")).unlink()
    (machine.home / ".whole").unlink()


def mounts() -> bool:
    return (
        subprocess.run(["unshare", "-m", "true"], capture_output=True, check=False).returncode == 0
    )


@pytest.mark.slow
@pytest.mark.skipif(not mounts(), reason="may not mount")
def test_the_installer_installs_where_a_disk_is_mounted(machine: Machine, package: Path) -> None:
    """Which can be emptied, and not be removed."""
    home = machine.home
    home.mkdir()
    steps = (
        f"mount -t tmpfs -o size=200m tmpfs {home}",
        f"mkdir {home}/lost+found",
        '"$@"',
        f"test ! -e {home}/lost+found",
        f"exec {home}/bin/photo-api",
    )
    machine.within = ("unshare", "-m", "sh", "-ec", "; ".join(steps), "sh")
    done = machine.install(package)
    assert (done.returncode, done.stdout) == (0, "photo-api\n"), done.stderr


@pytest.mark.slow
def test_nothing_is_installed_that_no_hash_pins(machine: Machine, index: Index) -> None:
    """Neither what somebody put in place of a dependency, nor what is built here."""
    file = machine.folder / "requirements.txt"

    def refused(package: Path) -> str:
        done = machine.install(package)
        assert done.returncode == 1
        assert machine.orders == []
        assert not list(machine.home.glob("lib/*/site-packages/needed*"))
        return done.stderr

    bare = index.package("1", locked="")
    assert "does not bring share/photo-api/requirements.txt with hashes" in refused(bare)
    package = index.package("2")
    made_wheel(index.folder, "needed-1", {"needed.py": "SAYS = 'somebody else'\n"})
    assert "DO NOT MATCH THE HASHES" in refused(package)
    file.write_text("needed==1\n")
    assert "Hashes are required in --require-hashes mode" in refused(file)
    index.needed.unlink()
    source = index.folder / "needed-1.tar.gz"
    source.write_bytes(b"its setup.py would run")
    file.write_text(pinned(source))
    assert "No matching distribution found for needed==1" in refused(file)


def assert_readable_by_its_group_alone(machine: Machine) -> None:
    assert machine.secrets.stat().st_mode & 0o7777 == 0o2750
    assert machine.secrets.group() == machine.group
    for name in machine.names.split():
        assert (machine.secrets / name).stat().st_mode & 0o777 == 0o640
        assert (machine.secrets / name).group() == machine.group


def test_the_installer_fetches_the_secrets_anew_and_nothing_else(machine: Machine) -> None:
    machine.program("hook", f'for name in {machine.names}; do echo "new $name" > "$1/$name"; done')
    done = machine.install("no-such-package", "secrets")
    assert done.returncode == 0, done.stderr
    assert (machine.secrets / "jwt-keys").read_text() == "new jwt-keys\n"
    assert_readable_by_its_group_alone(machine)
    assert machine.orders == []
    assert not machine.home.exists()


def test_the_installer_starts_nothing_without_its_secrets(machine: Machine, package: Path) -> None:
    machine.program("hook", 'echo x > "$1/jwt-keys"')
    done = machine.install(package)
    assert done.returncode == 1
    assert f"{machine.hook} has not written database-url" in done.stderr
    assert machine.orders == []


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (': > "$1/jwt-keys"', "has not written database-url"),
        ('echo half > "$1/jwt-keys"; exit 3', "failed"),
        ('echo half > "$1/jwt-keys"; sleep 60', "took"),
        ('echo half > "$1/jwt-keys"; kill -9 $PPID', "failed"),
    ],
)
def test_a_service_keeps_the_secrets_that_it_has_when_no_new_ones_come(
    body: str, told: str, machine: Machine
) -> None:
    assert machine.install("no-such-package", "secrets").returncode == 0
    (machine.folder / "bin/sleep").unlink()
    machine.program("hook", body)
    machine.patience = 0.5
    done = machine.install("no-such-package", "secrets")
    assert done.returncode == 1
    assert told in done.stderr
    for name in machine.names.split():
        assert (machine.secrets / name).read_text() == f"of {name}\n"
    machine.program("hook", f'for name in {machine.names}; do echo "new $name" > "$1/$name"; done')
    assert machine.install("no-such-package", "secrets").returncode == 0
    assert sorted(file.name for file in machine.secrets.iterdir()) == sorted(machine.names.split())


@pytest.mark.parametrize("body", ["exit 3", None])
def test_the_installer_says_what_the_image_lacks(
    body: str | None, machine: Machine, package: Path
) -> None:
    if body is None:
        machine.hook.unlink()
    else:
        machine.program("hook", body)
    done = machine.install(package)
    assert done.returncode == 1
    assert str(machine.hook) in done.stderr
    assert machine.orders == []


@pytest.mark.slow
def test_the_installer_tries_five_times_and_says_what_it_could_not_install(
    machine: Machine,
) -> None:
    machine.tries = 5
    machine.program("bin/sleep", f"echo x >> {machine.folder}/slept")
    done = machine.install("no-such-package")
    assert done.returncode == 1
    assert "no-such-package cannot be installed" in done.stderr
    assert (machine.folder / "slept").read_text().count("x") == 4


def test_no_secret_and_no_registry_stands_in_the_user_data() -> None:
    text = cloud_init.files(with_package("/etc/photo-api/requirements-2.txt"))["user-data.yaml"]
    assert "index-url" not in text
    assert "http" not in text.replace("https://photos.example.org", "").replace(
        "https://s3.example.org", ""
    )


def test_user_data_that_no_cloud_takes_are_refused() -> None:
    with pytest.raises(ValueError, match="clouds take 16384"):
        cloud_init.files(with_package("x" * 20_000))


def test_a_transaction_pooler_needs_one_more_secret() -> None:
    fleet = dataclasses.replace(Fleet(), database=Database(pooler="transaction"))
    assert "database-direct-url" in cloud_init.installer(fleet)
    assert "database-direct-url" in cloud_init.notes(fleet)[0]


@pytest.mark.parametrize(
    ("package", "taken"),
    [
        ("/etc/photo-api/requirements.txt", True),
        ("/opt/wheels/photo_api-0.1.0-py3-none-any.whl", True),
        ("https://example.org/photo_api-0.1.0-py3-none-any.whl#sha256=" + "0a" * 32, True),
        ("https://example.org/photo_api-0.1.0-py3-none-any.whl", False),
        ("http://example.org/photo_api-0.1.0-py3-none-any.whl#sha256=" + "0a" * 32, False),
        ("photo-api", False),
        ("photo-api==0.1.0", False),
        ("photo-api @ git+https://example.org/photo-api", False),
        ("", False),
    ],
)
def test_a_mere_name_is_refused(package: str, taken: bool) -> None:
    text = f'[service]\npackage = "{package}"\n'
    if taken:
        assert loads(text, "fleet.toml").service.package == package
        return
    with pytest.raises(SpecError) as refused:
        loads(text, "fleet.toml")
    assert "anybody may take a mere name" in str(refused.value)
