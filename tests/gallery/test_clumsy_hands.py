"""People who click twice, and let go of the mouse somewhere else."""

from collections.abc import Callable

import pytest
from playwright.sync_api import expect

from tests.gallery.conftest import Visit
from tests.service import User

pytestmark = [pytest.mark.needs("chromium"), pytest.mark.slow]


def test_a_dialog_stays_until_somebody_means_to_close_it(
    uploader: User, visit: Callable[..., Visit]
) -> None:
    seen = visit(user=uploader)
    page = seen.page
    seen.go("/albums")
    dialog = page.get_by_role("dialog")
    page.get_by_role("button", name="New album").first.dblclick()
    expect(dialog).to_be_visible()

    # A text that is marked with the mouse until beyond the dialog's edge.
    name = dialog.get_by_label("Name")
    name.fill("Jeju, in autumn")
    box = name.bounding_box()
    assert box
    page.mouse.move(box["x"] + 60, box["y"] + 10)
    page.mouse.down()
    page.mouse.move(5, box["y"] + 10, steps=3)
    page.mouse.up()
    expect(name).to_have_value("Jeju, in autumn")

    page.mouse.click(5, 5)
    expect(dialog).to_be_hidden()
