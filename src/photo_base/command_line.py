"""What all commands share: exit codes, types of values, and output that may fail."""

import argparse
import io
import math
import os
import re
import signal
import sys
from collections.abc import Callable
from typing import NoReturn, TextIO

from photo_base.line_output import write_whole
from photo_base.log_lines import one_line

DONE, FAILED, COULD_NOT, INTERRUPTED, ENDED = 0, 1, 2, 130, 128 + signal.SIGTERM
"""`COULD_NOT`: wrong usage or configuration, or something could not be reached or written."""

LARGEST_ID = 2**63 - 1
LONGEST_AGE = 100 * 365 * 86400.0
"""Seconds. PostgreSQL's timestamps reach further back, but no photo does."""
LONGEST_WAIT = 7 * 86400.0
LONGEST_TEXT = 1000


def missing(extra: str) -> str:
    """What to install because something that an extra of the package brings is not there, in one
    line; empty if all is."""
    from importlib.metadata import PackageNotFoundError, distribution, requires

    try:
        declared = requires("photo-api") or []
        for name in re.findall(rf"(?m)^([\w.-]+).*; extra == '{extra}'$", "\n".join(declared)):
            distribution(name)
    except PackageNotFoundError as error:
        return f"{error.name} is not installed: pip install 'photo-api[{extra}]'"
    return ""


class Parser(argparse.ArgumentParser):
    """Whose complaints are one line that terminals only show, whatever they quote."""

    def error(self, message: str) -> NoReturn:
        super().error(one_line(message))

    def parse_known_args(self, args=None, namespace=None):  # type: ignore[no-untyped-def]
        """As usual, but for `--name=--`: argparse loses that value, and would give a list."""
        words = list(sys.argv[1:] if args is None else args)
        for word in words[: words.index("--") if "--" in words else None]:
            if word.startswith("--") and word.endswith("=--") and word.count("=") == 1:
                self.error(f"argument {word[:-3]}: expected one argument")
        return super().parse_known_args(words, namespace)


def whole_number(least: int, most: int) -> Callable[[str], int]:
    """A type for argparse: digits alone, within these bounds."""

    def parse(value: str) -> int:
        if re.fullmatch(r"-?[0-9]{1,19}", value) and least <= int(value) <= most:
            return int(value)
        raise _no(value, f"whole number from {least} to {most}")

    return parse


def decimal(least: float, most: float) -> Callable[[str], float]:
    """A type for argparse: a finite number within these bounds."""

    def parse(value: str) -> float:
        if re.fullmatch(r"[0-9.eE+-]{1,30}", value):
            try:
                number = float(value)
            except ValueError:
                number = math.nan
            if least <= number <= most:
                return number
        raise _no(value, f"number from {least:.10g} to {most:.10g}")

    return parse


def text(value: str, most: int = LONGEST_TEXT) -> str:
    """A type for argparse: what a database can hold and JSON can tell."""
    try:
        value.encode()
    except UnicodeEncodeError:
        usable = False
    else:
        usable = "\0" not in value and len(value) <= most
    if not usable:
        raise _no(value, f"text in UTF-8, without NUL, of at most {most} characters")
    return value


def _no(value: str, what: str) -> argparse.ArgumentTypeError:
    return argparse.ArgumentTypeError(f"{value[:40]!a} is no {what}")


def progress(done: str) -> None:
    """How far a long command is: on a terminal one line that changes; nothing into logs and
    pipes."""
    if sys.stderr.isatty():
        print(f"\r\x1b[2K{done} … \r", end="", file=sys.stderr, flush=True)


def telling(run: Callable[[], int]) -> int:
    """The exit code of `run`, or `COULD_NOT` when standard output could not be written, which is
    told. A command does what it does to its end, also when nobody can be told of it; a reader that
    has closed its pipe has seen enough."""
    _end_by_sigterm()
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed by the parent
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115
    usual = sys.stdout, sys.stderr
    out, err = _lasting(sys.stdout), _lasting(sys.stderr)
    sys.stdout, sys.stderr = out, err
    try:
        code = run()
    except SystemExit as end:  # argparse's
        if _failure(out) is None:
            raise
        code = end.code if isinstance(end.code, int) else FAILED
    finally:
        # A command may have put its own in place, for as long as the process lasts.
        sys.stdout = usual[0] if sys.stdout is out else sys.stdout
        sys.stderr = usual[1] if sys.stderr is err else sys.stderr
    failure = _failure(out)
    if failure is None or isinstance(failure, BrokenPipeError):
        return code
    print(f"Cannot write to standard output: {failure.strerror}", file=err, flush=True)
    return COULD_NOT


def _end_by_sigterm() -> None:
    """Also as process 1 of a container, for which the kernel drops a signal that nobody handles."""
    if os.getpid() == 1:
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(ENDED))


class _LastingOutput(io.RawIOBase):
    """A descriptor whose first failure is kept instead of raised."""

    def __init__(self, descriptor: int, terminal: bool) -> None:
        super().__init__()
        self.failure: OSError | None = None
        self.name = descriptor
        self._descriptor = descriptor
        self._terminal = terminal

    def write(self, data: object) -> int:
        line = bytes(data)  # type: ignore[call-overload]
        if self.failure is None:
            try:
                write_whole(self._descriptor, line)
            except OSError as error:
                self.failure = error
        return len(line)

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._descriptor

    def isatty(self) -> bool:
        return self._terminal


def _lasting(stream: TextIO) -> TextIO:
    """A stream over the same descriptor; one without any (closed, or a test's) stays as it is."""
    try:
        stream.flush()
        output = _LastingOutput(stream.fileno(), stream.isatty())
    except (AttributeError, OSError, ValueError):
        return stream
    return io.TextIOWrapper(output, stream.encoding, "backslashreplace", line_buffering=True)


def _failure(stream: TextIO) -> OSError | None:
    output = getattr(stream, "buffer", None)
    if not isinstance(output, _LastingOutput):
        return None
    stream.flush()
    return output.failure
