"""Bodies of the account routes, as OpenAPI documents them."""

from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import AfterValidator, BaseModel, Field, StringConstraints
from pydantic_core import PydanticCustomError

from photo_api.accounts.identities import is_name, is_visible, nfkc
from photo_api.http.fields import COMPOSED, Text, in_form
from photo_api.http.openapi import example

EMAIL = r"^[^@\s\x00-\x1f\x7f]+@[^@\s.\x00-\x1f\x7f]+(\.[^@\s.\x00-\x1f\x7f]+)+$"

HIDDEN = "must hold no characters that cannot be seen"


def _only_if(shows: Callable[[str], bool]) -> AfterValidator:
    def check(text: str) -> str:
        if not shows(text):
            raise PydanticCustomError("invisible", HIDDEN)
        return text

    return AfterValidator(check)


Email = Annotated[
    Text,
    StringConstraints(max_length=254, pattern=EMAIL, strip_whitespace=True),
    _only_if(is_visible),
    COMPOSED,
    Field(examples=["mina@example.org"]),
]
Password = Annotated[
    Text, Field(min_length=8, max_length=100, examples=["a long pass phrase"]), in_form(nfkc, 100)
]

Username = Annotated[
    Text,
    Field(min_length=2, max_length=100, examples=["mina"]),
    _only_if(is_name),
    COMPOSED,
]
AnyPassword = Annotated[Text, Field(max_length=1000, examples=["a long pass phrase"])]
"""One that somebody says is theirs."""

Token = Annotated[str, Field(max_length=200, examples=["Zk9c…"])]


class Registration(BaseModel):
    email: Email
    username: Username
    password: Password
    token: Annotated[
        Token | None,
        Field(description="of an invitation, where accounts are opened by invitation"),
    ] = None


class Login(BaseModel):
    email: Annotated[
        Text,
        StringConstraints(max_length=1000, strip_whitespace=True),
        Field(examples=["mina@example.org"]),
    ]
    password: AnyPassword


class RefreshToken(BaseModel):
    refresh_token: Token


class PasswordChange(BaseModel):
    current_password: AnyPassword
    new_password: Annotated[Password, Field(examples=["another long pass phrase"])]


class PasswordReset(BaseModel):
    token: Annotated[Token, Field(description="of the link that an operator has handed over")]
    new_password: Annotated[Password, Field(examples=["another long pass phrase"])]


class Farewell(BaseModel):
    """What it takes to delete one's account."""

    password: AnyPassword


EXAMPLE: dict[str, Any] = {
    "id": 1,
    "email": "mina@example.org",
    "username": "mina",
    "is_active": True,
    "created_at": "2026-01-01T00:00:00Z",
}


class User(BaseModel):
    model_config = example(EXAMPLE)
    id: int
    email: str
    username: str
    is_active: bool
    created_at: datetime


class Me(User):
    model_config = example(EXAMPLE | {"used_bytes": 2_345_678, "quota_bytes": 10_737_418_240})
    used_bytes: int = Field(
        description="of your originals, those in the trash and being uploaded included"
    )
    quota_bytes: int | None = Field(description="how many they may be; null: no bound")


class Tokens(BaseModel):
    model_config = example(
        {
            "access_token": "eyJ…",
            "token_type": "bearer",
            "expires_in": 1800,
            "refresh_token": "Zk9c…",
        }
    )
    access_token: str
    token_type: Literal["bearer"]
    expires_in: int
    refresh_token: str


class Session(BaseModel):
    """A login that has not ended. `network` and `agent` are those it was last refreshed from; null
    is not known."""

    model_config = example(
        {
            "id": "8f6bd5f0-4b8f-4b0e-9b0f-6a1d2c3e4f50",
            "created_at": "2026-01-01T00:00:00Z",
            "last_used_at": "2026-01-02T00:00:00Z",
            "current": True,
            "network": "203.0.113.0/24",
            "agent": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
        }
    )
    id: UUID
    created_at: datetime
    last_used_at: datetime
    current: bool
    network: str | None
    agent: str | None


class Ended(BaseModel):
    model_config = example({"count": 2})
    count: int
