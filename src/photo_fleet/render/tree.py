"""All files of a spec: one tree, by what they are for."""

from photo_fleet.render import cloud_init, environment, nginx, prometheus, systemd
from photo_fleet.render.aws import template as aws
from photo_fleet.render.nhn import console as nhn
from photo_fleet.render.openstack import template as openstack
from photo_fleet.render.places import Places
from photo_fleet.spec.fleet import Fleet

CLOUDS = {"aws": aws, "openstack": openstack, "nhn": nhn}
"""By `group.cloud`, which names the folder too."""


def files(fleet: Fleet) -> dict[str, str]:
    """Text by relative path: `nginx/` and `systemd/` for hosts, `cloud-init/` for the group's
    machines, `prometheus/` where the spec says how it finds them, and a folder of the group's
    cloud. Raises ValueError when the spec has a text that a file cannot hold."""
    cloud = CLOUDS.get(fleet.group.cloud)
    trees = {
        "systemd": systemd.instance_files(fleet)
        | systemd.balancer_files(fleet)
        | systemd.scale_in_files(fleet)
        | environment.files(fleet),
        "cloud-init": cloud_init.files(fleet),
        "prometheus": prometheus.files(fleet),
        "nginx": nginx.files(fleet, Places()) if fleet.balancer.kind == "nginx" else {},
        fleet.group.cloud: cloud.files(fleet) if cloud else {},
    }
    return {
        f"{folder}/{path}": text
        for folder, tree in sorted(trees.items())
        for path, text in sorted(tree.items())
    }


def notes(fleet: Fleet) -> list[str]:
    """What the files cannot do by themselves, a sentence each."""
    cloud = CLOUDS.get(fleet.group.cloud)
    return [
        *(nginx.notes(fleet) if fleet.balancer.kind == "nginx" else []),
        *systemd.notes(fleet),
        *environment.notes(fleet),
        *cloud_init.notes(fleet),
        *prometheus.notes(fleet),
        *(cloud.notes(fleet) if cloud else []),
    ]
