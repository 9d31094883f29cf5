"""Whether the kernel ends processes for their memory."""

from collections.abc import Iterator, Sequence

from photo_fleet.doctor.finding import Finding
from photo_fleet.doctor.looks.host import UNITS, HostLook, Kill
from photo_fleet.doctor.looks.registry import Event, RegistryLook
from photo_fleet.doctor.seen import Seen, Unseen
from photo_fleet.doctor.words import listed

NEAR = 0.9
"""Share of a unit's limit from which its next upload may be the last."""
SAME_MOMENT = 15.0
"""Seconds between a death by the kernel's clock and by the database's that are one."""
MIB = 1024 * 1024
KERNEL_LOG = 'journalctl -k --grep "out of memory"'
FIX = "fewer --workers, a lower PHOTO_API_JOB_CONCURRENCY, a higher MemoryMax=, or a larger machine"


def out_of_memory(seen: Seen) -> Iterator[Finding]:
    """The kernel ends nobody for memory. Only a machine's own kernel tells: of one that has lost
    processes by SIGKILL, and on which nobody looked, it is not known."""
    host, killed = seen.look(HostLook), list[tuple[Event, str]]()
    unread: Unseen | None = None
    try:
        killed += _killed(seen)
    except Unseen as unseen:  # the kernel tells what it tells all the same
        unread = unseen
    if host is not None:
        told = [kill for kill in host.kills or () if _is_ours(kill, host, killed)]
        yield from _kills(host, told)
        yield from _limits(host, told)
    if unread is not None:
        raise unread
    elsewhere = sorted(
        {
            f"{event.instance} (on {node})"
            for event, node in killed
            if host is None or host.kills is None or node != host.node
        }
    )
    if elsewhere:
        raise Unseen(
            f"only their kernel's log tells why processes of {listed(elsewhere)} were killed by"
            " SIGKILL",
            f"{KERNEL_LOG} (on the host, or photo-fleet doctor --only restarts there)",
        )


def _killed(seen: Seen) -> list[tuple[Event, str]]:
    """Deaths by SIGKILL, and the machine of each."""
    registry = seen.need(RegistryLook)
    nodes = {boot.boot_id: boot.node for boot in registry.instances}
    return [
        (event, nodes.get(event.boot_id, ""))
        for event in registry.events
        if event.event == "worker_died" and "SIGKILL" in event.cause
    ]


def _is_ours(kill: Kill, host: HostLook, killed: Sequence[tuple[Event, str]]) -> bool:
    """Whether it was in a unit of ours, or the registry tells of this death, too."""
    return any(unit in kill.group for unit in UNITS) or any(
        node == host.node and abs(event.at - kill.at) <= SAME_MOMENT for event, node in killed
    )


def _kills(host: HostLook, kills: Sequence[Kill]) -> Iterator[Finding]:
    if not kills:
        return
    last = kills[-1]
    size = f" with {last.resident_bytes // MIB} MiB" if last.resident_bytes else ""
    where = f" in {last.group}" if last.group else ""
    yield Finding(
        "error",
        "out-of-memory",
        f"the kernel of {host.node} ended {len(kills)} processes for memory, the last"
        f" {last.program} (pid {last.pid}){size}{where} (the kernel's log)",
        KERNEL_LOG,
        FIX,
        (host.node,),
    )


def _limits(host: HostLook, told: Sequence[Kill]) -> Iterator[Finding]:
    for unit, memory in host.memory.items():
        files = f"/sys/fs/cgroup/system.slice/{unit}"
        if memory.kills and not any(unit in kill.group for kill in told):
            yield Finding(
                "error",
                "out-of-memory",
                f"the kernel of {host.node} has ended {memory.kills} processes of {unit} for memory"
                f" since its start ({files}/memory.events)",
                f"cat {files}/memory.events",
                FIX,
                (host.node,),
            )
        elif memory.limit and memory.used >= NEAR * memory.limit:
            yield Finding(
                "warning",
                "out-of-memory",
                f"{unit} on {host.node} holds {memory.used // MIB} of {memory.limit // MIB} MiB,"
                f" its page cache aside ({files}/memory.stat, memory.max)",
                f"cat {files}/memory.current {files}/memory.max",
                FIX,
                (host.node,),
            )
