"""A backup by `photo_api_client`: what is there is not sent again, what was deleted comes back."""

from datetime import datetime, timedelta, timezone
from hashlib import sha256
from uuid import uuid4

from photo_api_client.api import PhotoApi
from tests.service import Service, jpeg

SEOUL = timezone(timedelta(hours=9))
TAKEN = datetime(2019, 5, 12, 15, 30, tzinfo=SEOUL)


def test_a_backup(service: Service) -> None:
    files = [jpeg(40 + number, 30) for number in range(3)]
    digests = [sha256(data).hexdigest() for data in files]
    with PhotoApi(service.url) as api:
        email, password = f"{uuid4().hex}@example.org", "a passphrase for this test"
        api.register(email, "backup", password)
        api.login(email, password)
        many = digests + [sha256(b"%d" % number).hexdigest() for number in range(1998)]
        told = api.check(many)
        assert [each["sha256"] for each in told] == many, "of three requests"
        assert {each["status"] for each in told} == {"absent"}
        kind = "image/jpeg"
        one = api.upload_presigned(None, "1.jpg", kind, files[0], file_modified_at=TAKEN)
        two = api.upload_through_server(None, "2.jpg", kind, files[1], file_modified_at=TAKEN)
        for photo_id in (one, two):
            shown = api.get_photo(photo_id)
            assert shown["sort_at"] == "2019-05-12T15:30:00"
            assert (shown["utc_offset"], shown["date_source"]) == (540, "file_modified_at")
        here = datetime(2019, 5, 12, 15, 30)
        naive = api.get_photo(
            api.upload_presigned(None, "3.jpg", kind, files[2], file_modified_at=here)
        )
        assert naive["sort_at"] == "2019-05-12T15:30:00", "in this machine's time"
        assert [each["photo_id"] for each in api.check(digests)] == [one, two, naive["id"]]

        api.delete_photo(one)
        api.delete_photo(two)
        statuses = [each["status"] for each in api.check(digests)]
        assert statuses == ["trashed", "trashed", "present"]
        assert [photo["id"] for photo in api.list_trash()] == [two, one]
        again = api.upload_presigned(None, "1.jpg", kind, files[0], on_duplicate="reuse")
        assert again == one, "out of the trash"
        assert api.restore([two, one]) == [
            {"id": two, "status": "done"},
            {"id": one, "status": "unchanged"},
        ]
        api.delete_photo(two)
        assert api.purge([two, one]) == [
            {"id": two, "status": "done"},
            {"id": one, "status": "not_found"},
        ]
        assert api.list_trash(limit=1) == []
        assert [each["status"] for each in api.check(digests)] == ["present", "absent", "present"]
