"""Secrets in files, which may change while an instance runs.

A new text counts once two looks, at least a second apart, have found the same, so a file that is
half written never does. It is read as at the start; one that cannot be used keeps the secret from
before. The two keys of the object store count together, and so do the halves of an application
credential: one waits for the other, or until the store has refused the pair in force since (the
secret key alone may have been renewed).
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from photo_api.settings.loading import Settings, load, variables
from photo_base.environment import PREFIX, SettingsError
from photo_base.given_file import read_given

AGREE_AFTER = 1.0
"""Seconds between two looks that have to agree."""

LONGEST = 3328
"""Bytes of one secret, written as JSON: two private RSA keys of 2048 bits have 3,289. All secrets
fit into one message to a child."""

STORE_KEYS = ("S3_ACCESS_KEY", "S3_SECRET_KEY")
PAIRS = (
    STORE_KEYS,
    ("SWIFT_APPLICATION_CREDENTIAL_ID", "SWIFT_APPLICATION_CREDENTIAL_SECRET"),
)

Texts = Mapping[str, str]


def with_texts(environ: Mapping[str, str], texts: Texts) -> dict[str, str]:
    """`environ` with these texts in place of the files that it names."""
    files = {f"{PREFIX}{name}_FILE" for name in texts}
    kept = {name: value for name, value in environ.items() if name not in files}
    return kept | {PREFIX + name: text for name, text in texts.items()}


class LiveSettings:
    """The settings of one process, of which the secrets may change while it runs. `refused` is
    called with `database` or `store` when that refuses this process's credentials. `shared_token`
    is the descriptor of memory for the store's token, which all processes of an instance have."""

    def __init__(self, settings: Settings) -> None:
        self.now = settings
        self.refused: Callable[[str], None] = lambda _: None
        self.shared_token: int | None = None
        self._followers: list[Callable[[Settings], None]] = []

    def follow(self, use: Callable[[Settings], None]) -> None:
        """Have `use` called with the present settings, and with those after each change."""
        self._followers.append(use)
        use(self.now)

    def change(self, settings: Settings) -> None:
        """These are in force from now on."""
        self.now = settings
        for use in self._followers:
            use(settings)


@dataclass(slots=True)
class Look:
    """What a look has found: the names of secrets that are new from now on, what to tell the
    operator, and whether another look has to agree first."""

    changed: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    unsettled: bool = False


@dataclass(frozen=True, slots=True)
class Found:
    """What is in the files of secrets that count together, `at` seconds on some clock. What cannot
    be read is None, with the reason in `fault`."""

    texts: Mapping[str, str | None]
    fault: str
    at: float


class SecretFiles:
    """The files that the environment names. `texts` and `settings` are what is in force.

    Raises `SettingsError` when the settings cannot be used from the start."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self.environ = dict(environ)
        names = [variable.name for _, variable in variables() if variable.secret]
        self._paths = {
            name: Path(environ[f"{PREFIX}{name}_FILE"])
            for name in names
            if f"{PREFIX}{name}_FILE" in environ and not environ.get(PREFIX + name)
        }
        texts = {name: _read(path)[0] for name, path in self._paths.items()}
        # What could not be read is left to `load`, which says so.
        self.texts: Texts = {name: text for name, text in texts.items() if text is not None}
        self.settings = load(with_texts(environ, self.texts))
        pairs = [tuple(name for name in pair if name in self._paths) for pair in PAIRS]
        alone = [(name,) for name in self._paths if not any(name in pair for pair in pairs)]
        self._groups: list[tuple[str, ...]] = [*alone, *filter(None, pairs)]
        self._seen: dict[tuple[str, ...], Found] = {}
        self._told: dict[tuple[str, ...], tuple[Mapping[str, str | None], str]] = {}

    def look(self, now: float, *, refused_at: float = float("-inf")) -> Look:
        """Read the files, `now` seconds on a clock that never goes back. The store has refused the
        keys in force `refused_at` seconds on it."""
        look = Look()
        for group in self._groups:
            found = self._find(group, now)
            if not self._differs(group, found):
                self._seen.pop(group, None)
                self._told.pop(group, None)
                continue
            before = self._seen.get(group)
            if before is None or before.texts != found.texts:
                self._seen[group] = before = found
            if now - before.at < AGREE_AFTER:
                look.unsettled = True
            elif problem := found.fault or self._try(group, found, refused_at >= before.at):
                self._tell(group, found, problem, look)
            else:
                look.changed += [name for name, _ in self._new(group, found)]
                self._take(found)
        return look

    def _find(self, group: tuple[str, ...], now: float) -> Found:
        read = {name: _read(self._paths[name]) for name in group}
        faults = [f"{PREFIX}{name}_FILE {fault}" for name, (_, fault) in read.items() if fault]
        return Found({name: text for name, (text, _) in read.items()}, "; ".join(faults), now)

    def _differs(self, group: tuple[str, ...], found: Found) -> bool:
        return any(self.texts.get(name) != found.texts[name] for name in group)

    def _new(self, group: tuple[str, ...], found: Found) -> list[tuple[str, str | None]]:
        return [(name, found.texts[name]) for name in group if self._differs((name,), found)]

    def _try(self, group: tuple[str, ...], found: Found, refused: bool) -> str:
        """Why these texts cannot be used; empty when they can."""
        new = self._new(group, found)
        for name, text in new:
            if not text:
                return f"{PREFIX}{name}_FILE is empty"
            if name in STORE_KEYS and not self.texts.get(name):
                return f"{PREFIX}{name}_FILE takes the place of the instance's role at a restart"
        if len(new) < len(group) and not refused:
            [other] = set(group) - {name for name, _ in new}
            return f"{PREFIX}{new[0][0]}_FILE has changed alone: waiting for {PREFIX}{other}_FILE"
        try:
            load(with_texts(self.environ, self._with(found)))
        except SettingsError as error:
            return "; ".join(error.problems)
        return ""

    def _tell(self, group: tuple[str, ...], found: Found, problem: str, look: Look) -> None:
        """Once for each content."""
        if self._told.get(group) != (found.texts, problem):
            self._told[group] = (found.texts, problem)
            look.problems.append(problem)

    def _take(self, found: Found) -> None:
        self.texts = self._with(found)
        self.settings = load(with_texts(self.environ, self.texts))

    def _with(self, found: Found) -> Texts:
        return {**self.texts, **{name: text for name, text in found.texts.items() if text}}


def _read(path: Path) -> tuple[str | None, str]:
    """(the text or None, why there is none). Anything but a plain file might be waited for."""
    try:
        if not path.is_file():
            return None, f"{path} is no file"
        text = read_given(path, LONGEST).decode().strip()
    except OSError as error:
        return None, f"{path} cannot be read: {error.strerror}"
    except UnicodeDecodeError:
        return None, f"{path} is no UTF-8 text"
    if len(json.dumps(text, ensure_ascii=False).encode()) > LONGEST:
        return None, f"{path} is longer than {LONGEST} bytes"
    return text, ""
