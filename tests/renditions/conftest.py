from collections.abc import AsyncIterator

import pytest

from photo_api.renditions.decoder import Decoder


@pytest.fixture
async def decoder() -> AsyncIterator[Decoder]:
    decoder = Decoder()
    yield decoder
    await decoder.aclose()
