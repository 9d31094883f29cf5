"""What others find again in the stack, whose name is the spec's `name`."""

TEMPLATE = "template.yaml"

GROUP = "group"
"""The group's resource. Its physical id is the stack of the members."""

POOL = "pool"
"""The balancer's pool, and the output with its id."""

LISTENER, MONITOR = "listener", "health_monitor"
"""Resources of the balancer, and outputs with their ids."""

MEMBERS = "members"
"""Output: by member's name the id of its server."""

ADDRESSES = "addresses"
"""Output: by member's name the address of its server, which the registry calls the instance."""

POOL_MEMBERS = "pool_members"
"""Output: by member's name the id of its member in the pool."""

INITIAL_SIZE = "initial_size"
"""Parameter: the size at creation. Every later update clears it: see
docs/decisions/0035-heat-drops-what-is-marked.md."""

SCALE_IN_URL = "scale_in_url"
"""Hidden parameter: where alarms ask for a scale-in."""
