"""A child of the supervisor that behaves as the file `--manner` says at its start: `ready`, `hang`
(never ready) or `die`. Each start appends its arguments to the file's neighbour `starts`."""

import argparse
import json
import socket
import sys
import time
from pathlib import Path


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--name")
    parser.add_argument("--manner", type=Path)
    parser.add_argument("--control", type=int)
    parser.add_argument("--draining", action="store_true")
    options = parser.parse_args()
    with options.manner.with_name("starts").open("a") as starts:
        starts.write(json.dumps({"draining": options.draining}) + "\n")
    manner = options.manner.read_text()
    if manner == "die":
        sys.exit(3)
    if manner == "hang":
        time.sleep(60)
    channel = socket.socket(fileno=options.control)
    channel.setblocking(True)
    channel.send(b"load not-json")
    channel.send(b"ready")
    while command := channel.recv(65536):
        if command == b"stop":
            return


if __name__ == "__main__":
    main()
