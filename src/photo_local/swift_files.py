"""The files that Swift's servers are started with."""

import getpass
import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from photo_base.processes import write
from photo_base.whole_file import PRIVATE

SERVERS = ("account", "container", "object")
USER, PASSWORD = "test:tester", "testing"
"""Of tempauth."""

_RINGS = """
import sys
from swift.common.ring import RingBuilder
for name, port in zip(("account", "container", "object"), map(int, sys.argv[1:])):
    builder = RingBuilder(4, 1, 0)
    place = {"region": 1, "zone": 1, "ip": "127.0.0.1", "port": port, "device": "d1"}
    other = {"replication_ip": "127.0.0.1", "replication_port": port}
    builder.add_dev({"id": 0, "weight": 100.0, **place, **other})
    builder.rebalance()
    builder.get_ring().save(f"{name}.ring.gz")
"""

_SWIFT = """
[swift-hash]
swift_hash_path_suffix = local
swift_hash_path_prefix = local
[storage-policy:0]
name = Policy-0
default = yes
"""

_SERVER = """
[DEFAULT]
bind_ip = 127.0.0.1
bind_port = {port}
workers = 0
user = {user}
swift_dir = {folder}
devices = {folder}
mount_check = false
log_name = {name}
log_level = WARNING
[pipeline:main]
pipeline = {name}-server
[app:{name}-server]
use = egg:swift#{name}
"""

# With `slo dlo copy` a COPY of a large object would copy its manifest. There is one server of each
# kind: a proxy that leaves it alone for a minute after ten errors, or after a 507, answers nobody.
_PROXY = """
[DEFAULT]
bind_ip = 127.0.0.1
bind_port = {port}
workers = 0
user = {user}
swift_dir = {folder}
log_level = WARNING
[pipeline:main]
pipeline = catch_errors gatekeeper healthcheck cache listing_formats bulk tempurl {auth}
 copy slo dlo symlink proxy-server
[app:proxy-server]
use = egg:swift#proxy
allow_account_management = true
account_autocreate = true
conn_timeout = 5
error_suppression_interval = 0
[filter:catch_errors]
use = egg:swift#catch_errors
[filter:gatekeeper]
use = egg:swift#gatekeeper
[filter:healthcheck]
use = egg:swift#healthcheck
[filter:cache]
use = egg:swift#memcache
memcache_servers = 127.0.0.1:{cache}
# Two for each server, the default, let tokens seem unknown with many requests at once.
memcache_max_connections = 64
[filter:listing_formats]
use = egg:swift#listing_formats
[filter:bulk]
use = egg:swift#bulk
[filter:tempurl]
use = egg:swift#tempurl
methods = GET HEAD PUT POST DELETE
allowed_digests = sha1 sha256 sha512
[filter:slo]
use = egg:swift#slo
[filter:dlo]
use = egg:swift#dlo
[filter:copy]
use = egg:swift#copy
[filter:symlink]
use = egg:swift#symlink
"""

_TEMPAUTH = """
[filter:tempauth]
use = egg:swift#tempauth
user_test_tester = testing .admin
token_life = 3600
storage_url_scheme = http
"""

_KEYSTONE = """
[filter:authtoken]
paste.filter_factory = keystonemiddleware.auth_token:filter_factory
www_authenticate_uri = {keystone.url}
auth_url = {keystone.url}
auth_type = password
project_domain_id = default
user_domain_id = default
project_name = {keystone.project}
username = {keystone.user}
password = {keystone.password}
delay_auth_decision = True
memcached_servers = 127.0.0.1:{cache}
[filter:keystoneauth]
use = egg:swift#keystoneauth
operator_roles = admin, member
"""


@dataclass(frozen=True, slots=True)
class Identity:
    """The Keystone whose tokens a Swift takes, and as whom it asks there about one."""

    url: str
    user: str
    password: str = field(repr=False)
    project: str


def write_files(
    folder: Path, ports: Mapping[str, int], keystone: Identity | None, python: Path
) -> None:
    """For servers that work in `folder` and listen on `ports`, of which there are `SERVERS`,
    `proxy` and `cache`; rings are made by that `python`, which has Swift. Raises `CannotStart`."""
    (folder / "d1").mkdir(mode=0o700, parents=True, exist_ok=True)
    # They leave their working directory, so its whole name is wanted.
    own, cache = {"user": getpass.getuser(), "folder": folder}, ports["cache"]
    auth = "authtoken keystoneauth" if keystone else "tempauth"
    proxy = _PROXY.format(port=ports["proxy"], cache=cache, auth=auth, **own)
    proxy += _KEYSTONE.format(keystone=keystone, cache=cache) if keystone else _TEMPAUTH
    files = {name: _SERVER.format(name=name, port=ports[name], **own) for name in SERVERS}
    for name, text in {**files, "proxy": proxy, "swift": _SWIFT}.items():
        write(folder / f"{name}.conf", text, PRIVATE)
    make = [str(python), "-c", _RINGS, *(str(ports[name]) for name in SERVERS)]
    subprocess.run(make, cwd=folder, env={"PATH": os.environ["PATH"]}, check=True)
