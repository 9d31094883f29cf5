"""Rules of the code that matter, as tests: what a request costs, what a worker imports."""

import ast
import asyncio
import inspect
import json
import re
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg
import httpx
import pytest
from fastapi import FastAPI

from photo_api.db import pool
from photo_api.settings.loading import load
from tests.in_process import in_process, worker_of
from tests.longest import LONGEST_FIRST
from tests.service import PASSWORD, jpeg, migrate_once

SOURCES = Path(__file__).parent.parent / "src"
DECLARATIONS = {"APIRouter", "TypeVar", "MappingProxyType", "Path", "StringConstraints"}


class Counted:
    """The application in this process, so that its statements and files can be counted."""

    def __init__(self, client: httpx.AsyncClient, statements: list[str]) -> None:
        self.client = client
        self.statements = statements

    async def count(self, method: str, path: str, **request: Any) -> list[str]:
        """The statements that one request sends, BEGIN and COMMIT left out."""
        self.statements.clear()
        answer = await self.client.request(method, path, **request)
        assert answer.is_success, answer.text
        return [text for text in self.statements if text not in ("BEGIN;", "COMMIT;")]


@pytest.fixture
async def counted(environ: dict[str, str]) -> AsyncIterator[Counted]:
    migrate_once(environ)
    statements: list[str] = []

    async def listen(connection: Any) -> None:
        connection.add_query_logger(lambda record: statements.append(record.query))
        await original(connection)

    original = pool._set_codecs
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pool, "_set_codecs", listen)
        async with in_process(environ) as worker:
            transport = httpx.ASGITransport(worker)
            async with httpx.AsyncClient(transport=transport, base_url="http://test/api") as client:
                email = f"{uuid4().hex}@example.org"
                person = {"email": email, "username": "me!", "password": PASSWORD}
                await client.post("/auth/register", json=person)
                tokens = (await client.post("/auth/login", json=person)).json()
                client.headers["Authorization"] = f"Bearer {tokens['access_token']}"
                yield Counted(client, statements)


async def _album(service: Counted) -> int:
    number: int = (await service.client.post("/albums/", json={"name": "x"})).json()["id"]
    return number


def _presign(album: int) -> dict[str, Any]:
    return {
        "album_id": album,
        "filename": "a.jpg",
        "content_type": "image/jpeg",
        "file_size": len(jpeg(seed=1)),
    }


async def test_a_user_s_first_presign_sends_at_most_four_statements(counted: Counted) -> None:
    """Theirs are counted, once. What each request sends otherwise, test_route_costs.py counts."""
    body = _presign(await _album(counted))
    assert len(await counted.count("POST", "/photos/presigned-url", json=body)) <= 4


async def test_details_are_looked_up_once_for_all_who_ask(counted: Counted) -> None:
    path = counted.client.base_url.copy_with(path="/health/detailed")
    counted.statements.clear()
    operator = {"Authorization": "Bearer b7e151628aed2a6abf7158809cf4f3c7"}
    answers = [counted.client.get(path, headers=operator) for _ in range(20)]
    told = [answer.json() for answer in await asyncio.gather(*answers)]
    assert all(one["checks"]["jobs"]["ok"] and "statistics" in one for one in told)
    assert len(counted.statements) == 2


async def test_a_presign_passes_at_most_eight_files(counted: Counted) -> None:
    """Beside those that every authenticated request passes, of which there are few too."""
    album = await _album(counted)
    presign = {"json": _presign(album)}
    every = await _files_passed(counted, "GET", "/albums/")
    shell = {file for file in every if "/albums/" not in file}
    await counted.count("POST", "/photos/presigned-url", **presign)  # a new user's first
    passed = await _files_passed(counted, "POST", "/photos/presigned-url", **presign)
    # One counts, one looks for a trace, and two do for half of its cost what the code of others
    # did, which is not counted: CORS of a request without origin, and lending a connection. Another
    # tells three of them what the answer has come to.
    assert len(shell) <= 13, sorted(shell)
    assert len(passed - shell) <= 8, sorted(passed - shell)


async def _files_passed(service: Counted, method: str, path: str, **request: Any) -> set[str]:
    files = set()

    def trace(frame: Any, event: str, _: Any) -> None:
        file = frame.f_code.co_filename
        if event == "call" and str(SOURCES) in file:
            files.add(Path(file).relative_to(SOURCES).as_posix())

    await service.count(method, path, **request)
    sys.setprofile(trace)
    try:
        await service.count(method, path, **request)
    finally:
        sys.setprofile(None)
    return files


def _routes(environ: dict[str, str]) -> list[Any]:
    application: Any = worker_of(environ).app
    while not isinstance(application, FastAPI):
        application = application.app
    return list(application.routes)


def test_no_dependency_runs_in_a_thread(environ: dict[str, str]) -> None:
    """A sync `def` dependency or endpoint costs a thread hop on every request."""

    def sync_calls(dependant: Any) -> list[str]:
        call = dependant.call
        body = call if inspect.isroutine(call) else getattr(call, "__call__", call)  # noqa: B004
        own = [] if call is None or inspect.iscoroutinefunction(body) else [repr(call)]
        return own + [name for item in dependant.dependencies for name in sync_calls(item)]

    def walk(routes: Any) -> list[str]:
        found = []
        for route in routes:
            if hasattr(route, "dependant"):
                found += sync_calls(route.dependant)
            if hasattr(route, "original_router"):
                found += walk(route.original_router.routes)
        return found

    routes = _routes(environ)
    assert walk(routes) == []


SERVING_PATH = {
    "_argon2_cffi_bindings", "_cffi_backend", "annotated_doc", "annotated_types", "anyio", "argon2",
    "asyncpg", "bcrypt", "click", "cryptography", "fastapi", "httptools", "joserfc",
    "obstore", "opentelemetry", "orjson", "pydantic", "pydantic_core", "python_multipart",
    "sniffio", "starlette", "typing_extensions", "typing_inspection", "uvicorn",
}  # fmt: skip
"""What a web worker imports besides the standard library. Each addition slows down every
start: decoders, HTTP clients, the embedded servers and operations stay out."""


def test_the_serving_path_imports_these_and_nothing_else() -> None:
    assert _third_party("photo_api.web_worker") - PYTHON_S_OWN <= SERVING_PATH


UNASKED = {
    "pydantic.v1",  # FastAPI's look whether a model is of it
    "h11", "photo_api.http_exchange", "photo_api.cloud.metadata",  # for a role's key, for sinks
    "photo_api.telemetry.http_sink", "photo_api.storage.swift_opening",
    "photo_api.delivery.cloudfront",  # by their settings
    "photo_api.supervisor.child", "photo_api.supervisor.drain", "photo_api.registry.receipts",
    "PIL", "pyvips", "pi_heif", "httpx", "urllib3",
}  # fmt: skip
"""What no request needs, or only with settings that are not the usual ones."""


def test_a_worker_that_is_ready_has_not_loaded_what_no_request_needs() -> None:
    """Nor looked for garbage while it was loading; FastAPI's models of OpenAPI documents are built
    when somebody asks for one, and ours before anybody asks."""
    code = """
import gc, json, sys
from photo_api import quick_start
def collections():
    return sum(generation["collections"] for generation in gc.get_stats())
before = collections()
quick_start.leave_out_what_no_request_needs()
import photo_api.web_worker
from fastapi.openapi.models import OpenAPI
from photo_api.photos.models import Photo
collected = collections() - before
built = [model.__pydantic_complete__ for model in (OpenAPI, Photo)]
quick_start.all_is_loaded()
loaded = [name for name, module in sys.modules.items() if module]
print(json.dumps([loaded, collected, built, gc.isenabled(), gc.get_freeze_count()]))
OpenAPI(openapi="3.1.0", info={"title": "t", "version": "1"}, paths={})
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded, collected, built, enabled, frozen = json.loads(done.stdout)
    assert set(loaded) & UNASKED == set()
    assert collected == 0
    assert built == [False, True]
    assert enabled
    assert frozen > 10_000


UNREAD = {"argparse", "asyncio", "dataclasses", "inspect", "json", "logging", "ssl", "typing"}


def test_next_to_nothing_is_loaded_before_the_first_worker_is_started() -> None:
    lines = ("import sys", f"sys.path.insert(0, {str(SOURCES)!r})", "import photo_api.cli")
    code = "; ".join([*lines, "import photo_api.supervisor.spawning", "print(*sys.modules)"])
    command = [sys.executable, "-SIc", code]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert loaded & UNREAD == set()
    ours = {name for name in loaded if name.startswith("photo_")}
    assert ours == {"photo_api"} | {
        f"photo_api.{name}" for name in ("cli", "contract", "supervisor", "supervisor.spawning")
    }


def test_the_supervisor_imports_hardly_anything() -> None:
    """It lives in every instance beside the workers, and starts before them."""
    ours = ("supervisor.serving", "registry.registration", "supervisor.monitor")
    modules = ", ".join(f"photo_api.{name}" for name in ours)
    assert _third_party(modules) - PYTHON_S_OWN <= {"asyncpg", "h11", "orjson"}


PYTHON_S_OWN = {"_distutils_hack"}


def _third_party(modules: str) -> set[str]:
    code = f"""
import sys, {modules}
for name, module in list(sys.modules.items()):
    if "site-packages" in (getattr(module, "__file__", None) or ""):
        print(name.partition(".")[0])
    assert not name.startswith(("photo_local", "photo_fleet", "photo_api_client")), name
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_nothing_is_made_at_import() -> None:
    """Modules hold names, constants and definitions; parts are made in the lifespan."""
    made = []
    for path in (SOURCES / "photo_api").rglob("*.py"):
        for node in ast.parse(path.read_text()).body:
            call = node.value if isinstance(node, ast.Assign) else None
            if isinstance(call, ast.Call) and isinstance(call.func, ast.Name):
                name = call.func.id
                if name[0].isupper() and name not in DECLARATIONS:
                    made.append(f"{path.relative_to(SOURCES)}:{node.lineno} {name}()")
    assert made == []


def test_what_begins_first_is_there() -> None:
    tests = Path(__file__).parent
    assert [name for name in LONGEST_FIRST if not (tests / f"{name}.py").exists()] == []


def test_package_files_are_empty_and_modules_short() -> None:
    for path in SOURCES.rglob("*.py"):
        text = path.read_text()
        if path.name == "__init__.py":
            assert text.strip() == "", path
        assert text.count("\n") < 400, path
        assert path.parent.name != "utils"


async def test_migrations_run_once_however_many_start(stack: dict[str, Any]) -> None:
    from photo_api.db.migrations import known_migrations, migrate

    name = f"boots_{uuid4().hex}"
    admin = await asyncpg.connect(stack["superuser_url"])
    await admin.execute(f"CREATE DATABASE {name} OWNER photo_api")
    await admin.close()
    url = stack["database_url"].replace("/photo_api?", f"/{name}?")
    settings = load(
        {
            "PHOTO_API_DATABASE_URL": url,
            "PHOTO_API_S3_ENDPOINT": "http://127.0.0.1:1",
            "PHOTO_API_JWT_KEYS": "k1:9f3c1d5e7a8b4260c1d2e3f4a5b69788",
            "PHOTO_API_SECRET_KEYS": "s1:7d4e0b93a1f65c28e9307b6df184c25a",
        }
    ).database
    applied = await asyncio.gather(*(migrate(settings) for _ in range(10)))
    assert sorted(len(names) for names in applied) == [0] * 9 + [len(known_migrations())]


def test_a_function_takes_at_most_eight_parameters() -> None:
    """What takes more takes a record, whose fields have names where it is made."""
    found = []
    for path in SOURCES.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                taken = node.args.posonlyargs + node.args.args + node.args.kwonlyargs
                if sum(one.arg not in ("self", "cls") for one in taken) > 8:
                    found.append(f"{path.relative_to(SOURCES)}:{node.lineno} {node.name}")
    assert found == []


ASKED = ("accounts", "albums", "delivery", "http", "photos", "shares", "timeline")
CONTAINERS = {"list", "dict", "set", "deque", "defaultdict", "Counter", "OrderedDict"}


def test_no_type_is_put_together_while_a_request_waits() -> None:
    """`list[str | None]()` takes ten times as long as `[]`; what is made once may say its type."""
    found = []
    for path in (path for room in ASKED for path in (SOURCES / "photo_api" / room).rglob("*.py")):
        for function in ast.walk(ast.parse(path.read_text())):
            if not isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
                continue
            if function.name != "__init__":
                found += [
                    f"{path.relative_to(SOURCES)}:{node.lineno}"
                    for node in ast.walk(function)
                    if isinstance(node, ast.Call) and _container(node.func) in CONTAINERS
                ]
    assert found == []


def _container(called: ast.expr) -> str | None:
    """What `list[int]` in a call of it is."""
    of = called.value if isinstance(called, ast.Subscript) else None
    return of.id if isinstance(of, ast.Name) else None


def test_the_sql_that_enqueues_a_job_stands_once() -> None:
    """Beside the queue; triggers of the schema enqueue as well."""
    enqueues = re.compile(r"insert\s+into\s+jobs\b", re.IGNORECASE)
    found = [path for path in SOURCES.rglob("*.py") if enqueues.search(path.read_text())]
    assert [path.relative_to(SOURCES).as_posix() for path in found] == ["photo_api/jobs/queue.py"]


PLANES = {"photo_api": "serving", "photo_local": "serving", "photo_fleet": "operations"}


def _imports(path: Path) -> set[str]:
    """The modules that a file names, also inside of functions; of `from a import b` both `a` and
    `a.b`, which may be a module."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {one.name for one in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{one.name}" for one in node.names)}
    return found


def test_what_stands_below_both_planes_is_used_by_both() -> None:
    used: dict[str, set[str]] = {}
    for package, plane in PLANES.items():
        used.setdefault(plane, set()).update(
            *(_imports(path) for path in (SOURCES / package).rglob("*.py"))
        )
    modules = {f"photo_base.{path.stem}" for path in (SOURCES / "photo_base").glob("[a-z]*.py")}
    assert modules
    for plane, imported in used.items():
        assert modules <= imported, f"not used by {plane}: {sorted(modules - imported)}"


def test_what_stands_below_both_planes_needs_asyncpg_at_most() -> None:
    imported = set().union(*(_imports(path) for path in (SOURCES / "photo_base").rglob("*.py")))
    roots = {name.partition(".")[0] for name in imported}
    assert roots - sys.stdlib_module_names <= {"asyncpg", "photo_base"}


BY_CHANCE = {"INTERVAL", "MIB", "NAME", "SECOND_SIGNAL", "TIME_BOX"}
"""Names of constants that have one value in both planes without an agreement of the two."""


def test_what_both_planes_agree_on_stands_once() -> None:
    """In the contract, or in what stands below both."""
    found: dict[tuple[str, str], set[str]] = {}
    for package, plane in PLANES.items():
        for path in (SOURCES / package).rglob("*.py"):
            for node in ast.parse(path.read_text()).body:
                target = node.targets[0] if isinstance(node, ast.Assign) else None
                if isinstance(target, ast.Name) and target.id.isupper():
                    value = ast.unparse(node.value)  # type: ignore[attr-defined]
                    found.setdefault((target.id, value), set()).add(plane)
    twice = {name for (name, _), planes in found.items() if len(planes) > 1}
    assert twice <= BY_CHANCE
