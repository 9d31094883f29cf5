"""Makes what signs URLs, for composition roots."""

from functools import partial
from urllib.parse import urlsplit

from photo_api.delivery.base import ReadSigner, StoreSigner
from photo_api.delivery.cdn import CdnKey
from photo_api.delivery.edge_auth import AkamaiSigner, NhnSigner
from photo_api.delivery.nginx_edge import NginxEdgeSigner
from photo_api.delivery.s3 import S3UrlSigner
from photo_api.delivery.swift import SwiftUrlSigner
from photo_api.delivery.windows import COSTLY_CACHE_BYTES
from photo_api.settings.loading import Settings
from photo_api.settings.secrets import LiveSettings
from photo_api.storage.credentials import CredentialSource
from photo_api.storage.swift_containers import containers_of
from photo_api.storage.url_keys import UrlKeySource

StoreKeys = CredentialSource | UrlKeySource


def open_reader(live: LiveSettings, keys: StoreKeys, window: int) -> ReadSigner:
    """What clients read by, the CDN if there is one, whose URLs stay the same for `window`
    seconds; its keys are those in force."""
    settings = live.now
    cdn, current = settings.cdn, partial(_first_key, live)
    match cdn.provider:
        case "":
            return open_signer(settings, keys, window)
        case "nginx":
            origin = _store_signer(settings, keys, window, public=False)
            return NginxEdgeSigner(cdn.url, current, origin, window)
        case "akamai":
            return AkamaiSigner(cdn.url, current, window, digest=cdn.digest)
        case "nhn":
            return NhnSigner(cdn.url, current, window)
        case "cloudfront":
            # Here alone, for what it imports.
            from photo_api.delivery.cloudfront import CloudFrontSigner

            return CloudFrontSigner(
                cdn.url, current, window, digest=cdn.digest, cache_bytes=COSTLY_CACHE_BYTES
            )


def open_signer(settings: Settings, keys: StoreKeys, window: int) -> StoreSigner:
    """The store's own, on its public address."""
    return _store_signer(settings, keys, window, public=True)


def _store_signer(settings: Settings, keys: StoreKeys, window: int, *, public: bool) -> StoreSigner:
    if isinstance(keys, UrlKeySource):
        swift = settings.swift
        parts = urlsplit(swift.url)
        address = f"{parts.scheme}://{parts.netloc}"
        shown = (public and swift.public_endpoint) or address
        return SwiftUrlSigner(shown, parts.path, containers_of(swift), keys, window)
    s3 = settings.s3
    shown = (public and s3.public_endpoint) or s3.endpoint
    return S3UrlSigner(shown, s3.bucket, s3.region, keys, window)


def _first_key(live: LiveSettings) -> CdnKey:
    return CdnKey(*next(iter(live.now.cdn.keys.items())))
