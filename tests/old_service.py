"""A service that moves here, made up: the tables and objects of the one whose API this is."""

import unicodedata
from io import BytesIO

import bcrypt
from PIL import Image

from tests.service import jpeg

PASSWORD = "그때 그 비밀번호"
TOKEN = "oldT0ken_-of-the-old-service-kept-in-clear0"

OLD_SCHEMA = """
CREATE TABLE users (id serial PRIMARY KEY, email varchar(255) NOT NULL UNIQUE,
    username varchar(100) NOT NULL UNIQUE, hashed_password varchar(255) NOT NULL,
    is_active boolean, created_at timestamp, updated_at timestamp);
CREATE TABLE photos (id serial PRIMARY KEY, owner_id integer NOT NULL REFERENCES users,
    filename varchar(255) NOT NULL, original_filename varchar(255) NOT NULL,
    content_type varchar(100) NOT NULL, file_size integer NOT NULL,
    storage_path varchar(500) NOT NULL, title varchar(255), description text,
    created_at timestamp, updated_at timestamp);
CREATE TABLE albums (id serial PRIMARY KEY, owner_id integer NOT NULL REFERENCES users,
    name varchar(255) NOT NULL, description text, cover_photo_id integer REFERENCES photos,
    created_at timestamp, updated_at timestamp);
CREATE TABLE album_photos (id serial PRIMARY KEY, album_id integer NOT NULL REFERENCES albums,
    photo_id integer NOT NULL REFERENCES photos, "order" integer, added_at timestamp);
CREATE TABLE share_links (id serial PRIMARY KEY, album_id integer NOT NULL REFERENCES albums,
    token varchar(64) NOT NULL UNIQUE, is_active boolean, expires_at timestamp,
    view_count integer, created_at timestamp);
"""


def nfd(text: str) -> str:
    """As macOS sends it."""
    return unicodedata.normalize("NFD", text)


def hashed(version: str, password: str = PASSWORD) -> str:
    return f"${version}" + bcrypt.hashpw(password.encode(), bcrypt.gensalt(4)).decode()[3:]


def png() -> bytes:
    out = BytesIO()
    Image.new("RGB", (40, 30), "green").save(out, "PNG")
    return out.getvalue()


OBJECTS = {
    11: (f"photo/photo/image/3/{'a' * 32}.jpg", jpeg(), "image/jpeg"),
    12: (f"photo/photo/image/3/{'b' * 32}.jpg", png(), "text/html"),
    14: (f"photo/photo/image/3/{'c' * 32}.jpg", b"<html>no image</html>", "image/jpeg"),
    15: (f"photos/1/{'d' * 32}.jpg", jpeg(), "image/jpeg"),
    16: (f"uploads/{nfd('제주 여행')} #1+%20?.사진", jpeg(), "application/octet-stream"),
    20: (f"photo/photo/image/4/{'e' * 32}.jpg", jpeg(), "image/jpeg"),
}
MISSING = f"photo/photo/image/3/{'f' * 32}.jpg"


def rows() -> str:
    """The old tables' content. Names of 1 are decomposed; 2 has the e-mail of 1 in other letters;
    4 came from yet another service."""
    size = {number: len(data) for number, (_, data, _) in OBJECTS.items()} | {13: 5, 15: 7}
    path = {number: key for number, (key, _, _) in OBJECTS.items()} | {13: MISSING}
    photos = ", ".join(
        f"({number}, {3 if number == 20 else 1}, 'stored.jpg', '{nfd('제주')}{number}.jpg',"
        f" 'image/jpeg', {size[number]}, '{path[number]}', '{nfd('한라산')} {number}', NULL,"
        f" '2024-05-{number} 01:02:03', '2025-01-02 03:04:05')"
        for number in sorted(path)
    )
    return f"""
    INSERT INTO users VALUES
        (1, 'Mina@Example.org', '{nfd("미나")}', '{hashed("2b")}', true, '2023-01-01 00:00:00'),
        (2, 'mina@example.org', 'mina2', '{hashed("2a", "another one")}', true, '2023-01-02'),
        (3, 'isan@example.org', '이산', '{hashed("2y")}', NULL, NULL),
        (4, 'old@example.org', 'old', '$1$salt$hash', false, '2023-01-04');
    INSERT INTO photos VALUES {photos};
    INSERT INTO albums VALUES
        (3, 1, '{nfd("제주 여행")}', '{nfd("바다")}', 12, '2024-05-01 00:00:00', '2024-06-01'),
        (4, 3, 'theirs', NULL, 11, '2024-05-01', NULL);
    INSERT INTO album_photos (album_id, photo_id, "order") VALUES
        (3, 12, 2), (3, 15, 0), (3, 13, 1), (3, 11, 1), (3, 11, 7), (3, 20, 3), (3, 14, 4),
        (4, 20, 0);
    INSERT INTO share_links VALUES
        (1, 3, '{TOKEN}', true, NULL, 41, '2024-05-02'),
        (2, 3, 'expired-token', true, '2024-06-01', 3, '2024-05-02'),
        (9, 3, 'revoked-token', false, NULL, NULL, '2024-05-02');
    """
