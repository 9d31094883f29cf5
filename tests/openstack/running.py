"""Servers that live until the generator is closed."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

from tests.openstack.keystone import Keystone
from tests.openstack.swift import Swift


def running_swift(folder: Path) -> Iterator[Swift]:
    """One with tempauth."""
    with asyncio.Runner() as runner:
        swift = Swift(folder / "swift")
        runner.run(swift.start())
        try:
            yield swift
        finally:
            runner.run(swift.stop())


def running_openstack(folder: Path) -> Iterator[tuple[Keystone, Swift]]:
    """A Keystone, and a Swift that believes its tokens and is in its catalogue."""
    with asyncio.Runner() as runner:
        keystone = Keystone(folder / "keystone")
        runner.run(keystone.start())
        swift = Swift(folder / "swift", keystone.identity)
        try:
            runner.run(swift.start())
            keystone.offer_swift(swift.url)
            yield keystone, swift
        finally:
            runner.run(swift.stop())
            runner.run(keystone.stop())
