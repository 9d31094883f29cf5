"""The guide to object storage: each of its examples is a configuration that loads."""

import re
from pathlib import Path

import pytest

from photo_api.settings.loading import Settings, load
from tests.test_operations_docs import BLOCK
from tests.test_settings import SWIFT, USABLE

ROOT = Path(__file__).parent.parent
GUIDE = ROOT / "docs/storage.md"
SECTION = re.compile(r"^### (.+)$", re.M)
OTHERS = {name: value for name, value in USABLE.items() if "S3_" not in name}
SECRETS = {
    "s3-access-key": "an access key",
    "s3-secret-key": "its secret key",
    "swift-credential-id": "4f2a",
    "swift-credential-secret": "what Keystone has made",
    "swift-password": SWIFT["PHOTO_API_SWIFT_PASSWORD"],
    "swift-url-keys": SWIFT["PHOTO_API_SWIFT_URL_KEYS"],
    "swift-staging-url-keys": SWIFT["PHOTO_API_SWIFT_STAGING_URL_KEYS"],
}


def examples() -> dict[str, dict[str, str]]:
    """The environments of the guide, by the headings that they stand under."""
    parts = SECTION.split(GUIDE.read_text())
    found = {}
    for heading, text in zip(parts[1::2], parts[2::2], strict=True):
        for _, block in BLOCK.findall(text):
            if block.startswith("PHOTO_API_"):
                found[heading] = dict(line.split("=", 1) for line in block.split())
    return found


def loaded(environ: dict[str, str], folder: Path) -> Settings:
    """With secrets in the files that the example names."""
    for name, path in environ.items():
        if name.endswith("_FILE"):
            file = folder / Path(path).name
            file.write_text(SECRETS[file.name])
            environ = {**environ, name: str(file)}
    return load(environ)


def test_there_are_examples_of_both_kinds() -> None:
    kinds = [environ.get("PHOTO_API_STORE", "s3") for environ in examples().values()]
    assert (kinds.count("s3"), kinds.count("swift")) == (2, 4)


@pytest.mark.parametrize("heading", examples())
def test_each_example_is_a_configuration(heading: str, tmp_path: Path) -> None:
    settings = loaded(OTHERS | examples()[heading], tmp_path)
    assert settings.store == examples()[heading].get("PHOTO_API_STORE", "s3")


@pytest.mark.parametrize("guide", ["README.md", "docs/operations.md", "docs/ko/operations.md"])
def test_it_is_found_from_the_guides(guide: str) -> None:
    assert re.search(r"\]\([./\w]*storage\.md[#)]", (ROOT / guide).read_text())
