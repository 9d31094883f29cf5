"""A real Keystone, and what a test does with it."""

import json
from pathlib import Path
from signal import SIGCONT, SIGSTOP
from typing import Any

from photo_local import keystone
from photo_local.keystone import ADMIN, PROJECT, USER, Passwords
from photo_local.swift_files import Identity
from tests.openstack.swift import ask

REGION, PASSWORD = "RegionOne", "a pass word of photos"
_ADMIN = "adminpw"


class Keystone(keystone.Keystone):
    """Its tokens live for `life` seconds."""

    project = PROJECT
    """The id of the project."""

    def __init__(self, folder: Path, life: int = 3600) -> None:
        super().__init__(folder, Passwords(_ADMIN, PASSWORD), life=life)

    @property
    def identity(self) -> Identity:
        """As whom a Swift asks it."""
        return Identity(self.url, ADMIN, _ADMIN, ADMIN)

    def hold(self) -> None:
        """It answers nobody, until it is let go."""
        self.process.signal(SIGSTOP)

    def let_go(self) -> None:
        self.process.signal(SIGCONT)

    def sign_in(self, user: str, password: str, project: str) -> tuple[str, dict[str, Any]]:
        """A token, and what Keystone says of it."""
        domain = {"id": "default"}
        who = {"name": user, "domain": domain, "password": password}
        body = {
            "auth": {
                "identity": {"methods": ["password"], "password": {"user": who}},
                "scope": {"project": {"name": project, "domain": domain}},
            }
        }
        answer = ask(
            "POST",
            f"{self.url}/v3/auth/tokens",
            json.dumps(body).encode(),
            Content_Type="application/json",
        )
        return answer.headers["x-subject-token"], json.loads(answer.body)["token"]

    def offer_swift(self, address: str) -> None:
        """Put a Swift into the catalogue."""
        service = self._ask("POST", "services", {"service": {"type": "object-store"}})["service"]
        url = f"{address}/v1/AUTH_%(project_id)s"
        endpoint = {"interface": "public", "region_id": REGION, "url": url}
        self._ask("POST", "endpoints", {"endpoint": {"service_id": service["id"], **endpoint}})

    def change_password(self, password: str) -> None:
        """Of the project's user: the tokens that it has are void from then on."""
        user = self._ask("GET", f"users?name={USER}")["users"][0]["id"]
        self._ask("PATCH", f"users/{user}", {"user": {"password": password}})

    def application_credential(self, name: str) -> tuple[str, str]:
        """A new one of the project's user, its id and secret."""
        token, told = self.sign_in(USER, PASSWORD, PROJECT)
        path = f"users/{told['user']['id']}/application_credentials"
        made = self._ask("POST", path, {"application_credential": {"name": name}}, token)
        return made["application_credential"]["id"], made["application_credential"]["secret"]

    def end_credential(self, credential: str) -> None:
        """Delete it, and with it the tokens that it has."""
        token, told = self.sign_in(USER, PASSWORD, PROJECT)
        self._ask(
            "DELETE",
            f"users/{told['user']['id']}/application_credentials/{credential}",
            token=token,
        )

    def _ask(self, method: str, path: str, body: Any = None, token: str = "") -> Any:
        token = token or self.sign_in(ADMIN, _ADMIN, ADMIN)[0]
        sent = b"" if body is None else json.dumps(body).encode()
        url = f"{self.url}/v3/{path}"
        headers = {"X_Auth_Token": token, "Content_Type": "application/json"}
        answer = ask(method, url, sent, **headers)
        assert answer.status < 300, f"{method} {path}: {answer.status} {answer.body[:500]!r}"
        return json.loads(answer.body or b"{}")
