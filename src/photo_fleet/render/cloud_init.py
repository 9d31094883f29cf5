"""cloud-init user data: a fresh machine of Debian or Ubuntu becomes an instance.

Nothing in it is secret: the machine fetches its secrets itself, by a program of its image. Nothing
has to be saved when the machine goes: the unit drains the instance, and its state is elsewhere.
"""

import json
import shlex

from photo_fleet.render import environment
from photo_fleet.render.environment import ENVIRONMENT, SECRETS, SECRETS_GROUP
from photo_fleet.render.systemd import MEMBER_UNIT, instance_files
from photo_fleet.spec.fleet import Fleet
from photo_fleet.spec.settings import of_the_machine

INSTALLER = "/usr/local/sbin/photo-api-install"
UNIT = "photo-api.service"
GROUPS = "photo-api.sysusers.conf"

LOCK = "/run/photo-api-install.lock"
PATIENCE = 300
"""Seconds that the program for the secrets may take, and another run of the installer."""

LARGEST = 16 * 1024
"""Bytes of user data that every cloud takes (AWS has the lowest limit)."""

_INSTALLER = """\
#!/bin/sh
# Makes this machine an instance and starts it. Safe to run again: what is done stays. With the
# argument `secrets` it only fetches the secrets anew; a running service takes them over by itself.
set -eu
package={package}
hook={hook}
home=/opt/photo-api
secrets={secrets}

fail() {{
  echo "photo-api-install: $1" >&2
  exit 1
}}

# Of source distributions only those that the file names, built by what is installed: to build one
# is to run whatever builds it.
pip_install() {{
  "$home/bin/pip" install --quiet --no-input --only-binary :all: --no-build-isolation "$@"
}}

# What a wheel needs is pinned with hashes by a file in it; what builds some of it, by another.
install_package() {{
  locked=$home/share/photo-api/requirements.txt
  bare="$package does not bring share/photo-api/requirements.txt with hashes"
  case "$package" in
    *.txt) locked=$package ;;
    *)
      pip_install --no-deps "$package" || return
      [ -s "$locked" ] || fail "$bare"
      ;;
  esac
  build=${{locked%.txt}}-build.txt
  [ ! -s "$build" ] || pip_install --require-hashes -r "$build" || return
  pip_install --require-hashes -r "$locked"
}}

[ -x "$hook" ] || fail "$hook is missing: the machine's image must bring it"

# One run at a time. What it starts holds this too, so a killed run's pip ends first; the hook may
# leave a process behind, and holds it not.
exec 9>{lock}
flock -w {patience} 9 || fail "another run goes on"

systemd-sysusers
umask 077
mkdir -p "$secrets"
chgrp {group} "$secrets"
chmod 2750 "$secrets"
# A service that runs sees no file that is not whole.
new=$secrets/.new
rm -rf "$new"
mkdir "$new"
timeout -k 10 {patience} "$hook" "$new" 9>&- || fail "$hook failed, or took {patience} s"
for name in {names}; do
  [ -s "$new/$name" ] || fail "$hook has not written $name"
done
for file in "$new"/*; do
  chgrp {group} "$file"
  chmod 640 "$file"
done
sync "$new"/*
mv -f "$new"/* "$secrets"
rmdir "$new"
[ "${{1:-}}" != secrets ] || exit 0

# The service runs as a user of its own, which must be able to read its program. What is whole
# stays as it is, without a network too. What pip was killed over it takes for whole: that is made
# anew.
umask 022
case "$package" in /*) [ -s "$package" ] || fail "$package is missing" ;; esac
made=$home/.whole
same=$(echo "$package"; cat "$package" "${{package%.txt}}-build.txt" 2>/dev/null | sha256sum)
if [ "$(cat "$made" 2>/dev/null)" != "$same" ]; then
  # The folder itself stays: it may be where a disk is mounted.
  mkdir -p "$home"
  [ -e "$made" ] || find "$home/" -mindepth 1 -delete
  rm -f "$made"
  python3 -m venv "$home"
  tries=5
  until install_package; do
    tries=$((tries - 1))
    [ "$tries" -gt 0 ] || fail "$package cannot be installed"
    sleep 10
  done
  [ -x "$home/bin/photo-api" ] || fail "$package does not bring the command photo-api"
  sync
  echo "$same" > "$made.new"
  mv "$made.new" "$made"
fi

systemctl daemon-reload
systemctl enable {unit}
systemctl start {unit}
"""


def files(fleet: Fleet) -> dict[str, str]:
    """`user-data.yaml`. Raises ValueError when it is larger than every cloud takes."""
    units = instance_files(fleet)
    lines = [
        "#cloud-config",
        "# Rendered from the fleet spec: change it there.",
        "package_update: true",
        "packages: [python3, python3-venv]",
        "write_files:",
        *_file(ENVIRONMENT, "0600", environment.files(fleet)["photo-api.env"]),
        *(
            line
            for name in (UNIT, MEMBER_UNIT)
            if name in units
            for line in _file(f"/etc/systemd/system/{name}", "0644", units[name])
        ),
        *_file("/etc/sysusers.d/photo-api.conf", "0644", units[GROUPS]),
        *_file(INSTALLER, "0700", installer(fleet)),
        "runcmd:",
        f"  - [{json.dumps(INSTALLER)}]",
    ]
    text = "\n".join(lines) + "\n"
    if (size := len(text.encode())) > LARGEST:
        raise ValueError(f"the user data has {size} bytes; clouds take {LARGEST}")
    return {"user-data.yaml": text}


def ports(fleet: Fleet) -> str:
    """What the machines' security group has to let in, which no spec can check."""
    return (
        f"let port {fleet.service.port} of every instance be reached by the balancers, by"
        " Prometheus and by the other instances, which otherwise declare nobody lost by its silence"
    )


def notes(fleet: Fleet) -> list[str]:
    """What the machine's image and the network have to bring."""
    names = ", ".join(secret.name for secret in of_the_machine(fleet))
    return [
        f"cloud-init: the image must bring {fleet.service.secrets_hook}, which is called with the"
        f" folder {SECRETS} and writes these files into it: {names}",
        f"security group: {ports(fleet)}",
    ]


def installer(fleet: Fleet) -> str:
    """The shell script that the machine runs once, at its first boot."""
    return _INSTALLER.format(
        package=shlex.quote(fleet.service.package),
        hook=shlex.quote(fleet.service.secrets_hook),
        secrets=SECRETS,
        group=SECRETS_GROUP,
        lock=LOCK,
        patience=PATIENCE,
        names=" ".join(secret.name for secret in of_the_machine(fleet)),
        unit=UNIT,
    )


def _file(path: str, mode: str, content: str) -> list[str]:
    """An item of `write_files`. The content's first line has no space in front, so that the block's
    indentation is that of the first line (YAML 1.2, 8.1.1.1)."""
    return [
        f"  - path: {json.dumps(path)}",
        f"    permissions: {json.dumps(mode)}",
        "    content: |",
        *(f"      {line}" if line else "" for line in content.splitlines()),
    ]
