"""What the doctor sees of an nginx: its directives as nginx itself reads them, within bounds."""

import os
import shutil
import time
from pathlib import Path

import pytest

from photo_fleet.doctor.looks import nginx
from photo_fleet.doctor.looks.nginx import look_at
from photo_fleet.doctor.looks.nginx_syntax import DEEPEST, parsed
from photo_fleet.doctor.seen import Unseen
from photo_fleet.render.places import Places
from tests.photo_fleet.nginx_stage import (
    refused_configuration,
    running_front,
    short_folder,
    spec,
    write_files,
)
from tests.service import eventually, free_port

ODD = r"""
# a comment; with { marks }
daemon off; pid run/nginx.pid; error_log stderr;
events{}
http { map $uri $one { "~^/a{2}\"b" 'single \' quote'; default "a;b}"; ~^/c\;d 2; } # }
    log_format f '{"a":"$uri",'
        '"b":1}';
    server { listen unix:run/s; server_name a#b ${one}x; access_log off;
        location ~ \.php$ { return 200 "${one}{"; } if ($uri = "}") { return 204; } }
    include more/*.conf;
}
"""


def _refusal(main: Path) -> str:
    return refused_configuration(Places(prefix=str(main.parent)))


def test_a_text_is_read_as_nginx_reads_it(tmp_path: Path) -> None:
    main = tmp_path / "nginx.conf"
    main.write_text(ODD)
    (tmp_path / "more").mkdir()
    for name in ("b", "a"):
        (tmp_path / "more" / f"{name}.conf").write_text(
            f"# {name}\nupstream {name} {{ server [::1]:1; }}"
        )
    if refused := _refusal(main):
        assert "run/nginx.pid" in refused, "the text is right: nothing but the pid is"
    seen = look_at(main)
    a_map, log, server, *upstreams = seen.http
    assert [(one.name, one.args) for one in a_map.block or ()] == [
        ('~^/a{2}"b', ("single ' quote",)),
        ("default", ("a;b}",)),
        (r"~^/c\;d", ("2",)),
    ]
    assert log.args == ("f", '{"a":"$uri",', '"b":1}')
    assert [one.args for one in server.inner("server_name")] == [("a#b", "${one}x")]
    assert [(one.name, one.line) for one in server.block or ()][-2:] == [("location", 9), ("if", 9)]
    assert [(one.args, one.place) for one in upstreams] == [
        (("a",), f"{tmp_path}/more/a.conf:2"),
        (("b",), f"{tmp_path}/more/b.conf:2"),
    ]


def test_a_lua_block_is_one_argument() -> None:
    lua = """ local a = "}" --[[ } ]] local b = [==[ } ]] ]==] -- }'
        if a then b = { '\\'}' } end """
    first, second = parsed(f"init_by_lua_block {{{lua}}}\nkeepalive 4;", "here")
    assert (first.args, first.block) == ((lua,), None)
    assert (second.name, second.line) == ("keepalive", 3)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("http {", "without its end"),
        ("}", "without a block"),
        ("listen 80", 'without its ";"'),
        ("listen 80 }", 'without its ";"'),
        ('a "b;', "a quote"),
        ("; a;", "where a directive begins"),
        ("x_by_lua_block { '}' ", "a Lua block"),
        ("a {" * (DEEPEST + 2), "within each other"),
        ("include nginx.conf;", "includes within"),
        ("include /dev/zero;", "is no file"),
        ("include fifo;", "is no file"),
        ("include not-there;", "no "),
        ("include /etc;", "/etc is no file"),
        ("include a\0b;", "null byte"),
        *(
            (f"x_by_lua_block {{ {begin * 200_000}", "a Lua block")
            for begin in ("[[", "--[[\n", "[=", "'\\")
        ),
    ],
)
def test_what_nginx_would_not_read_is_unseen(tmp_path: Path, text: str, reason: str) -> None:
    os.mkfifo(tmp_path / "fifo")
    main = tmp_path / "nginx.conf"
    main.write_text(f"# one\n{text}")
    with pytest.raises(Unseen, match=reason) as unseen:
        look_at(main)
    assert "nginx.conf" in unseen.value.command


def test_files_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    main = tmp_path / "nginx.conf"
    main.write_text("include conf.d/*;")
    (tmp_path / "conf.d").mkdir()
    for number in range(4):
        (tmp_path / "conf.d" / str(number)).write_text("a b;" * 100)
    monkeypatch.setattr(nginx, "MOST_FILES", 3)
    with pytest.raises(Unseen, match="more than 3 files"):
        look_at(main)
    monkeypatch.undo()
    monkeypatch.setattr(nginx, "MOST_BYTES", 1000)
    with pytest.raises(Unseen, match="more than 1000 bytes"):
        look_at(main)


@pytest.mark.parametrize("membership", ["lua", "reload"])
def test_rendered_files_are_seen_with_their_lines(membership: str) -> None:
    with short_folder() as folder:
        places = Places.below(folder, free_port())
        write_files(spec(membership=membership), places)
        if membership == "reload":
            shutil.copy(folder / "nginx" / "members.conf", places.members_include)
        seen = look_at(folder / "nginx" / "nginx.conf")
        (kept,) = seen.upstreams["photo_members"].inner("keepalive")
        text = Path(kept.file).read_text().splitlines()
        assert text[kept.line - 1].strip() == "keepalive 64;"
        assert seen.read_at is None, "no nginx runs"


@pytest.mark.needs("nginx")
def test_it_is_known_since_when_nginx_works_by_its_files() -> None:
    with running_front() as front:
        main = Path(front.places.prefix) / "nginx.conf"
        first = look_at(main).read_at
        assert first is not None
        assert first == pytest.approx(time.time(), abs=10)
        time.sleep(0.5)
        front.process.send_signal(1)

        def read_anew() -> bool:
            again = look_at(main).read_at
            return again is not None and again > first

        eventually(read_anew, 10)
