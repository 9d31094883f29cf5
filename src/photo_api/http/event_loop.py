"""uvloop, for a process that does not outlive it."""

import uvloop


class EventLoop(uvloop.Loop):
    """It is left open: its end would wait for a name server that does not answer, for as long as
    the look-up of a name takes, and so would the interpreter's."""

    def close(self) -> None:
        """Does nothing."""
