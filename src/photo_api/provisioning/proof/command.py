"""`photo-api storage prove`."""

import asyncio
import json
import signal
import sys

from photo_api.provisioning.proof.opening import open_stage
from photo_api.provisioning.proof.proving import Proof, prove
from photo_api.provisioning.proof.stage import Stage
from photo_api.provisioning.proof.table import as_dict, as_text, exit_code
from photo_api.settings.loading import Settings
from photo_base.command_line import ENDED, INTERRUPTED, progress


async def prove_command(settings: Settings, *, as_json: bool) -> int:
    """0: all that the service needs holds; 1: something does not, 2: or is not known, or objects
    could not be removed. Those are removed also when it is interrupted, which is told as far as it
    went, however often that is. Raises `StoreUnavailable`."""
    proofs: list[Proof] = []
    left: list[str] = []
    task = asyncio.current_task()
    assert task is not None
    asked: list[int] = []

    def end(code: int) -> None:
        asked.append(code)
        task.cancel()

    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, end, ENDED)
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        # asyncio's own would let a second one end the removal.
        loop.add_signal_handler(signal.SIGINT, end, INTERRUPTED)
    try:
        async with open_stage(settings) as stage:
            try:
                async for proof in prove(stage, progress):
                    proofs.append(proof)  # noqa: PERF401  (what there is counts when interrupted)
            finally:
                progress("removing what was put there")
                left = await _clean(stage)
    except asyncio.CancelledError:
        _tell(proofs, left, as_json, whole=False)
        print("It was interrupted: the rest is not known.", file=sys.stderr)
        if asked:
            return asked[0]
        raise
    _tell(proofs, left, as_json, whole=True)
    return exit_code(proofs, left)


async def _clean(stage: Stage) -> list[str]:
    """To its end, also when asked once more to stop."""
    cleaning = asyncio.create_task(stage.clean())
    while not cleaning.done():
        try:
            await asyncio.shield(cleaning)
        except asyncio.CancelledError:
            if cleaning.cancelled():
                raise
    return cleaning.result()


def _tell(proofs: list[Proof], left: list[str], as_json: bool, *, whole: bool) -> None:
    told = as_dict(proofs, left, whole=whole)
    print(json.dumps(told) if as_json else as_text(proofs, left))
