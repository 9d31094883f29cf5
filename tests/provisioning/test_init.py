"""`photo-api storage init` on a SeaweedFS and a Swift: what it makes, and what it leaves."""

import asyncio

import pytest

from photo_api.settings.loading import load
from photo_local.bucket import BucketAdmin
from tests.openstack.account import PHOTOS_KEY
from tests.openstack.swift import Swift, ask
from tests.provisioning.conftest import FRONT, SECOND_KEY, SWIFT_SLOWLY
from tests.provisioning.running import check, init

OTHER = "https://other.example.org"


async def put_rules(settings: dict[str, str], what: str, rules: str) -> None:
    s3 = load(settings).s3
    admin = BucketAdmin(s3.endpoint, s3.bucket, s3.region, s3.access_key, s3.secret_key)
    await asyncio.to_thread(admin.send, "PUT", f"?{what}=", rules.encode())


def headers(swift: Swift, settings: dict[str, str], suffix: str = "") -> dict[str, str]:
    token, account = swift.sign_in()
    name = load(settings).swift.container + suffix
    return ask("HEAD", f"{account}/{name}", X_Auth_Token=token).headers


def change(swift: Swift, settings: dict[str, str], suffix: str = "", **changed: str) -> None:
    token, account = swift.sign_in()
    name = load(settings).swift.container + suffix
    answer = ask("POST", f"{account}/{name}", b"", **changed, X_Auth_Token=token)
    assert answer.status == 204


async def test_all_is_made_once_and_is_as_it_should_be(settings: dict[str, str]) -> None:
    assert (await check(settings)).code == 1
    planned = await init(settings, dry_run=True)
    assert planned.code == 0
    assert {one["state"] for one in planned.findings} <= {"planned", "left"}
    assert (await check(settings)).code == 1, "nothing was made"

    made = await init(settings)
    assert (made.code, made.wrong, made.unknown) == (0, set(), set())
    assert "made" in made.states("cors")
    assert (await check(settings)).code == 0

    again = await init(settings)
    assert (again.code, {one["state"] for one in again.findings}) <= (0, {"left", "ok"})


@SWIFT_SLOWLY
async def test_a_front_end_more(settings: dict[str, str]) -> None:
    await init(settings)
    both = {"CORS_ORIGINS": f"{FRONT},{OTHER}"}
    seen = await check(settings, both)
    assert OTHER in seen.one("cors", "wrong")
    assert "made" in (await init(settings, both)).states("cors")
    assert (await check(settings, both)).code == 0
    assert FRONT in str((await init(settings, {"CORS_ORIGINS": FRONT})).findings), "it stays"
    assert (await check(settings, both)).code == 0
    await init(settings, exact=True)
    assert OTHER in (await check(settings, both)).one("cors", "wrong")
    # The gallery's own page sends files, too.
    own = {"PUBLIC_URL": f"{OTHER}:443/photos"}
    assert OTHER in (await check(settings, own)).one("cors", "wrong")
    assert "made" in (await init(settings, own)).states("cors")
    assert (await check(settings, own)).code == 0


@SWIFT_SLOWLY
async def test_pages_of_any_origin_may_not_upload(settings: dict[str, str]) -> None:
    await init(settings, {"CORS_ORIGINS": "*"})
    seen = await check(settings)
    assert (seen.code, seen.wrong) == (1, {"cors"})
    assert "--exact" in seen.one("cors", "wrong")
    assert "--exact" in str((await init(settings)).findings)
    assert (await check(settings)).wrong == {"cors"}, "it is the operator's, and stays"
    await init(settings, exact=True)
    assert (await check(settings)).code == 0


async def test_what_is_narrower_stays(on_s3: dict[str, str]) -> None:
    """Pages of one origin alone may read; rules for other objects; shorter lives."""
    on_s3 = on_s3 | {"PHOTO_API_PUBLIC_URL": ""}
    await init(on_s3, {"CORS_ORIGINS": ""})
    cors = (
        f"<CORSConfiguration><CORSRule><AllowedOrigin>{FRONT}</AllowedOrigin>"
        "<AllowedMethod>GET</AllowedMethod><AllowedMethod>PUT</AllowedMethod>"
        "<AllowedHeader>*</AllowedHeader></CORSRule></CORSConfiguration>"
    )
    rule = (
        "<Rule><ID>{0}</ID><Filter><Prefix>{1}</Prefix></Filter><Status>Enabled</Status>{2}</Rule>"
    )
    abort = (
        "<AbortIncompleteMultipartUpload><DaysAfterInitiation>1</DaysAfterInitiation>"
        "</AbortIncompleteMultipartUpload>"
    )
    logs = rule.format("logs", "logs/", "<Expiration><Days>9</Days></Expiration>")
    rules = f"<LifecycleConfiguration>{rule.format('mine', '', abort)}{logs}"
    await put_rules(on_s3, "cors", cors)
    await put_rules(on_s3, "lifecycle", f"{rules}</LifecycleConfiguration>")

    assert (await check(on_s3)).wrong == {"lifecycle"}
    assert (await init(on_s3)).states("cors") == ["left"]
    assert (await check(on_s3)).code == 0
    told = str((await init(on_s3)).findings)
    assert "by rules that are there" in told
    await init(on_s3, {"CORS_ORIGINS": f"{FRONT},{OTHER}"})
    assert (await check(on_s3, {"CORS_ORIGINS": f"{FRONT},{OTHER}"})).code == 0


async def test_a_second_key_comes_and_the_first_goes(
    on_own_swift: dict[str, str], swift: Swift
) -> None:
    await init(on_own_swift)
    both = {"SWIFT_URL_KEYS": f"{PHOTOS_KEY},{SECOND_KEY}"}
    assert "1 of 2" in (await check(on_own_swift, both)).one("keys", "wrong")
    made = await init(on_own_swift, both)
    assert made.code == 0
    assert "two keys" in made.one("keys", "made")
    seen = await check(on_own_swift, both)
    assert (seen.code, seen.states("signed-url")) == (0, ["ok"] * 3)
    held = headers(swift, on_own_swift)
    assert held["x-container-meta-temp-url-key"] == PHOTOS_KEY
    assert held["x-container-meta-temp-url-key-2"] == SECOND_KEY

    only = {"SWIFT_URL_KEYS": SECOND_KEY}
    assert "--exact" in (await check(on_own_swift, only)).one("keys", "wrong")
    assert (await init(on_own_swift, only)).states("keys") == ["left", "left"]
    assert "taken away" in (await init(on_own_swift, only, exact=True)).one("keys", "made")
    assert (await check(on_own_swift, only)).code == 0
    assert PHOTOS_KEY not in str(headers(swift, on_own_swift))


@pytest.mark.slow
async def test_keys_that_nobody_configured_are_not_written_over(
    on_own_swift: dict[str, str], swift: Swift
) -> None:
    await init(on_own_swift)
    change(swift, on_own_swift, X_Container_Meta_Temp_URL_Key="theirs" * 6)
    change(swift, on_own_swift, X_Container_Meta_Temp_URL_Key_2="others" * 6)
    told = await init(on_own_swift)
    assert told.code == 1
    assert "--exact" in told.one("keys", "wrong")
    assert "theirs" not in str(told.findings)
    seen = await check(on_own_swift)
    assert {"keys", "signed-url"} <= seen.wrong
    assert (await init(on_own_swift, exact=True)).code == 0
    assert (await check(on_own_swift)).code == 0


@pytest.mark.slow
async def test_origins_that_an_operator_has_chosen_stay(
    on_own_swift: dict[str, str], swift: Swift
) -> None:
    await init(on_own_swift)
    change(swift, on_own_swift, X_Container_Meta_Access_Control_Allow_Origin=FRONT)
    assert (await init(on_own_swift)).states("cors") == ["left", "left"]
    origin = "x-container-meta-access-control-allow-origin"
    assert headers(swift, on_own_swift)[origin] == FRONT


async def test_who_may_not_is_told_what_to_do(settings: dict[str, str]) -> None:
    no, fix = {"S3_SECRET_KEY": "d05b7c1e94a26f83e1907bd4c58f20a7"}, "by hand"
    if settings.get("PHOTO_API_STORE") == "swift":
        no, fix = {"SWIFT_PASSWORD": "another"}, "look at PHOTO_API_SWIFT_USER, _PASSWORD"
    told = await init(settings, no)
    assert told.code == 1
    [found] = [one for one in told.findings if one["state"] == "wrong"]
    assert fix in found["fix"]


async def test_a_store_that_does_not_answer_is_unknown(on_s3: dict[str, str]) -> None:
    nobody = {"S3_ENDPOINT": "http://127.0.0.1:9"}
    for told in (await init(on_s3, nobody), await check(on_s3, nobody)):
        assert (told.code, told.wrong) == (2, set())
        assert "reach" in told.unknown
