"""How many bytes a user's originals may take, and take: `users.used_bytes`, which triggers keep.

Pending, ready and trashed photos count with the size of their originals; renditions do not.
"""

from typing import NamedTuple

from photo_api.errors import ApiError, Code


class Usage(NamedTuple):
    """In bytes; a `quota` of 0 is no bound."""

    used: int
    quota: int

    def check(self, size: int) -> None:
        """Raises `ApiError` QUOTA_EXCEEDED when so many bytes more do not fit."""
        if self.quota and self.used + size > self.quota:
            raise ApiError(
                Code.QUOTA_EXCEEDED,
                f"Your photos take {self.used} of {self.quota} bytes, and {size} more do not fit;"
                " delete photos and empty the trash, or ask the operator for more",
            )


def fits(size: str, quota: str) -> str:
    """Whether `size` more bytes fit into what a row of `users` has, where nothing else is said
    `quota`; both are parameters."""
    bound = f"coalesce(quota_bytes, {quota})"
    return f"({bound} = 0 OR used_bytes + {size} <= {bound})"


def room(user: str, size: str, quota: str, after: str = "true") -> str:
    """A common table expression, `room`: it has a row if that fits for the user, a parameter. Their
    row is locked then, so that nobody else finds the same room before this transaction's end.
    `after` is a condition that is looked at first, with its locks."""
    return f"""room AS MATERIALIZED (
        SELECT FROM users WHERE id = {user} AND {fits(size, quota)} AND {after} FOR NO KEY UPDATE
    )"""
