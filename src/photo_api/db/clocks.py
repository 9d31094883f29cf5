"""Which clock decides. All times of rows are the database's, and so is what is due: an instance's
clock may be wrong by days without a lease, a session, a link or a limit that ends at another time.

What cannot be undone is due when both clocks say so: if either jumps ahead, nothing is deleted that
was to be kept, and what is due waits for the one that is behind. What people may want back (the
trash, reconcile's quarantine) counts from the later of both where the database's is behind by over
an hour. Where both are wrong, or the database's by less, the time that it is kept is so much less.
"""

import time


def both(parameter: str) -> str:
    """Now, as SQL, by the clock that is behind; the parameter is `own_time()`."""
    return f"least(now(), to_timestamp({parameter}::float8))"


def later(parameter: str) -> str:
    """Now, as SQL, for what is kept from then on: by the database's clock, unless that is over an
    hour behind `parameter`, which is `own_time()`. Smaller differences are usual, and would put
    what instances do one after the other into another order."""
    own = f"to_timestamp({parameter}::float8)"
    return f"CASE WHEN {own} > now() + interval '1 hour' THEN {own} ELSE now() END"


def own_time() -> float:
    """This machine's clock, in epoch seconds."""
    return time.time()
