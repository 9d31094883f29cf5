"""NHN Cloud: the values of its console, for people to enter. One table makes both languages."""

from typing import Literal

from photo_fleet.render.nhn.forms import Form, Words, forms
from photo_fleet.spec.fleet import Fleet

Language = Literal["en", "ko"]

TITLE = Words("{}: the values of NHN Cloud's console", "{}: NHN Cloud 콘솔 입력값")
LEAD = Words(
    "Rendered from the fleet spec: change it there. Forms are in the order in which they need each"
    " other. The last column says where a value stands in the spec.",
    "플릿 스펙에서 만들어진 파일이므로 값은 스펙에서 바꾸십시오. 화면은 서로 필요로 하는 순서대로이며, 마지막 열은 그"
    " 값이 스펙의 어디에 있는지입니다.",
)
HEADINGS = Words("| Item | Value | Spec |", "| 항목 | 값 | 스펙 |")


def files(fleet: Fleet) -> dict[str, str]:
    """Text by path."""
    found = forms(fleet)
    return {
        "console.md": _sheet(fleet, found, "en"),
        "console.ko.md": _sheet(fleet, found, "ko"),
    }


def notes(fleet: Fleet) -> list[str]:
    """What the files cannot do by themselves, a sentence each."""
    return [
        "NHN Cloud's Auto Scale has no API: enter the values of nhn/console.md (nhn/console.ko.md) in"
        " its console, and compare them after each change of the spec",
    ]


def _sheet(fleet: Fleet, found: list[Form], language: Language) -> str:
    lines = [f"# {_in(TITLE, language).format(fleet.name)}", "", _in(LEAD, language)]
    for number, form in enumerate(found, 1):
        lines += ["", f"## {number}. {_in(form.title, language)}", ""]
        lines += [_in(HEADINGS, language), "| --- | --- | --- |"]
        for row in form.rows:
            value = _in(row.value, language)
            shown = value if isinstance(row.value, Words) else f"`{value}`"
            key = f"`{row.key}`" if row.key else ""
            lines.append(f"| {_in(row.field, language)} | {shown} | {key} |")
        if form.note:
            lines += ["", _in(form.note, language)]
    return "\n".join(lines) + "\n"


def _in(text: str | Words, language: Language) -> str:
    return getattr(text, language) if isinstance(text, Words) else text
