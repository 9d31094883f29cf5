"""How many database connections an instance holds: what the service counts at its start, and a
fleet's spec is checked for."""

PROBE, REGISTRY, LISTEN = 1, 1, 1
"""Connections of an instance beside its pools."""

JOB_SPARE = 3
"""What the job process needs beside one connection for each job: renewing leases, the sweep, and
looking for the next job."""

DEPLOYED = 1
"""Instances beyond the group's limit while a rolling deploy replaces one."""

ROUND = 10
"""To whose multiples a server's connections are advised."""


def job_pool(concurrency: int) -> int:
    """Connections in the pool of a job process that runs so many jobs at once."""
    return concurrency + JOB_SPARE


def beside_workers(jobs: int) -> int:
    """Connections of one instance that its web workers' pools are not; `jobs` is how many jobs it
    runs at once, 0 without a job process."""
    return PROBE + REGISTRY + (job_pool(jobs) + LISTEN if jobs else 0)
