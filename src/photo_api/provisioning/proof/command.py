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
from photo_base.command_line import ENDED, progress


async def prove_command(settings: Settings, *, as_json: bool) -> int:
    """0: all that the service needs holds; 1: something does not, 2: or is not known, or objects
    could not be removed. Those are removed also when it is interrupted, which is told as far as it
    went. Raises `StoreUnavailable`."""
    proofs: list[Proof] = []
    left: list[str] = []
    task = asyncio.current_task()
    assert task is not None
    terminated = asyncio.Event()

    def end() -> None:
        terminated.set()
        task.cancel()

    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, end)
    try:
        async with open_stage(settings) as stage:
            try:
                async for proof in prove(stage, progress):
                    proofs.append(proof)  # noqa: PERF401  (what there is counts when interrupted)
            finally:
                progress("removing what was put there")
                left = await _clean(stage)
    except asyncio.CancelledError:
        _tell(proofs, left, as_json)
        print("It was interrupted: the rest is not known.", file=sys.stderr)
        if terminated.is_set():
            return ENDED
        raise
    _tell(proofs, left, as_json)
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


def _tell(proofs: list[Proof], left: list[str], as_json: bool) -> None:
    print(json.dumps(as_dict(proofs, left)) if as_json else as_text(proofs, left))
