"""`photo-fleet edge-keys`: the secrets of the edge, from those of an instance."""

import argparse
import os
import pwd
import sys
from pathlib import Path

from photo_base.command_line import text
from photo_base.given_file import read_given
from photo_base.whole_file import PRIVATE, replace
from photo_fleet.render.edge_keys import key_map
from photo_fleet.render.environment import SECRETS
from photo_fleet.render.places import Places

DONE, REFUSED = 0, 1
LONGEST_FILE = 64 * 1024
"""Bytes."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument(
        "--keys",
        type=Path,
        default=Path(SECRETS) / "cdn-keys",
        metavar="FILE",
        help="the instances' PHOTO_API_CDN_KEYS, `kid:secret,…` (%(default)s)",
    )
    parser.add_argument(
        "--out",
        type=Path,
        default=Path(Places().edge_keys),
        metavar="FILE",
        help="what nginx includes, for its user alone (%(default)s)",
    )
    parser.add_argument(
        "--user", type=text, default="", help="whose the file shall be; run as root then"
    )


def run(options: argparse.Namespace) -> int:
    """The exit code: 0 written, 1 refused. No secret is printed."""
    try:
        setting = read_given(options.keys, LONGEST_FILE)
        if len(setting) > LONGEST_FILE:
            raise ValueError(f"it has more than {LONGEST_FILE} bytes")
        made = key_map(setting.decode())
        user = pwd.getpwnam(options.user) if options.user else None
        replace(options.out, made, PRIVATE)
        if user:
            os.chown(options.out, user.pw_uid, user.pw_gid)
    except OSError as error:
        print(f"photo-fleet edge-keys: {error.filename}: {error.strerror}", file=sys.stderr)
        return REFUSED
    except KeyError:
        print(f"photo-fleet edge-keys: no user {options.user!a} here", file=sys.stderr)
        return REFUSED
    except ValueError as error:
        # Of bytes that are no text the words would show some.
        why = "it is no text" if isinstance(error, UnicodeDecodeError) else error
        print(f"photo-fleet edge-keys: {options.keys}: {why}", file=sys.stderr)
        return REFUSED
    print(f"{options.out}: {made.count(';')} keys; reload nginx (photo-fleet-nginx.service)")
    return DONE
