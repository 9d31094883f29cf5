"""Makes the signer of the configured store, for composition roots."""

from urllib.parse import urlsplit

from photo_api.delivery.base import UrlSigner
from photo_api.delivery.s3 import S3UrlSigner
from photo_api.delivery.swift import SwiftUrlSigner
from photo_api.settings.loading import Settings
from photo_api.storage.credentials import CredentialSource
from photo_api.storage.swift_containers import containers_of
from photo_api.storage.url_keys import UrlKeySource


def open_signer(
    settings: Settings, keys: CredentialSource | UrlKeySource, window: int
) -> UrlSigner:
    """One whose read URLs stay the same for `window` seconds."""
    if isinstance(keys, UrlKeySource):
        swift = settings.swift
        parts = urlsplit(swift.url)
        public = swift.public_endpoint or f"{parts.scheme}://{parts.netloc}"
        return SwiftUrlSigner(public, parts.path, containers_of(swift), keys, window)
    s3 = settings.s3
    return S3UrlSigner(s3.public_endpoint or s3.endpoint, s3.bucket, s3.region, keys, window)
