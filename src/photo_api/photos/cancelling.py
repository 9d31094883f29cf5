"""An upload that somebody gives up before it is confirmed."""

from photo_api.errors import ApiError, Code, not_found
from photo_api.photos import upload_queries as queries
from photo_api.state import AppState


async def cancel(state: AppState, owner_id: int, photo_id: int) -> None:
    """End it; repeatable, also of one that has expired. Its bytes count no more at once, and what
    is at its staging key by the end of its URL's time is the sweep's. One statement decides between
    this and a confirmation. Raises `ApiError` NOT_FOUND, UPLOAD_CONFIRMED."""
    if await queries.end_pending(state.db, owner_id, photo_id):
        return
    # A statement of its own: the one before may have waited for a confirmation.
    photo = await queries.staged(state.db, owner_id, photo_id)
    if photo is None or (photo["status"] == "gone" and photo["object_key"] is not None):
        raise not_found("Upload")
    if photo["status"] != "gone" or photo["duplicate_of"] is not None:
        text = "The upload was confirmed; delete its photo, if it is to go"
        raise ApiError(Code.UPLOAD_CONFIRMED, text)
