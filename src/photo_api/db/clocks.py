"""Which clock decides. All times of rows are the database's, and so is what is due: an instance's
clock may be wrong by days without a lease, a session, a link or a limit that ends at another time.

What cannot be undone is due when both clocks say so: if either jumps ahead, nothing is deleted that
was to be kept, and what is due waits for the one that is behind.
"""

import time


def both(parameter: str) -> str:
    """Now, as SQL, by the clock that is behind; the parameter is `own_time()`."""
    return f"least(now(), to_timestamp({parameter}::float8))"


def own_time() -> float:
    """This machine's clock, in epoch seconds."""
    return time.time()
