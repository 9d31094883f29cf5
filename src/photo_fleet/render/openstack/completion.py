"""What Heat cannot say of the stack, as a script for its creator."""

from photo_fleet.render.openstack.balancer import settings
from photo_fleet.render.openstack.names import INITIAL_SIZE, LISTENER, MONITOR
from photo_fleet.spec.fleet import Fleet

OUTPUTS = {"listener": LISTENER, "healthmonitor": MONITOR}

_HEAD = """\
#!/bin/sh
# After the stack is created, and after an update that replaces its listener or its health monitor:
# what Octavia can do and Heat's properties cannot say. Safe to run again.
set -eu
stack=${{1:-{name}}}

output() {{
  openstack stack output show "$stack" "$1" -f value -c output_value
}}

"""

_TAIL = """\
# The size is the alarms' from now on: an update that says one would kill what is beyond it.
openstack stack update --existing --clear-parameter {parameter} --wait "$stack" >/dev/null
"""


def script(fleet: Fleet) -> str:
    """For POSIX sh, with python-openstackclient, python-octaviaclient and python-heatclient."""
    parts = [_HEAD.format(name=fleet.name)]
    for kind, options in settings(fleet).items():
        parts += [
            f"{kind}=$(output {OUTPUTS[kind]})\n",
            f"openstack loadbalancer {kind} set --wait \\\n",
            *(f"  {option} {value} \\\n" for option, value in options.items()),
            f'  "${kind}"\n\n',
        ]
    return "".join(parts) + _TAIL.format(parameter=INITIAL_SIZE)
