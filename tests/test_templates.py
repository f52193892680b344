"""Templates: every form on full, missing and hostile data, whose template counts, and what a template may never do."""

import asyncio
import re
from datetime import UTC, date, datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from app import templates
from app.calendar import local_day
from app.cli import app as cli
from app.database import Connection
from app.drawing import BLANK, FORMS, ORDINALS, Form, check, draw, fill, grounds
from app.errors import Invalid
from app.templates import Templates, shipped_templates
from app.triage import House
from tests.conftest import KEYS, Client

TODAY = local_day(datetime.now(UTC))
HOSTILE = "<script>alert('1')</script>\"><img src=x onerror=y>{{ 7*7 }}{% raw %}<!--fill:year-->\u202e\x07&amp;</title></style>"
# Words of the official forms, each on its own form.
WORDING = {
    1: ("投诉登记表", "消费者权益争议事实依据", "是否同意公示投诉信息", "是否同意委托调解", "投诉人（签字）："),
    2: ("举报登记表", "涉嫌违反市场监督管理法律、法规、规章的具体线索和相应的事实依据", "身份证件号码"),
    3: ("投诉/举报分送通知书", "请你局按照《市场监督管理投诉举报处理办法》的规定依法予以处理，并将处理结果于"),
    4: ("限期提供身份证明材料通知书", "第四十六条第一款", "第十条第三款", "逾期未提供或提供虚假材料的"),
    5: ("投诉受理决定书", "符合《市场监督管理投诉举报处理办法》规定的受理条件，我局决定受理。", "特此告知。"),
    6: ("投诉不予受理决定书", "第十六条的规定，我局决定不予受理。", "第三十九条规定的其他途径"),
    7: ("投诉调解通知书", "无正当理由不参加调解的，我局将依法终止调解。", "日内对调解人员提出回避申请"),
    8: ("投诉终止调解决定书", "第二十三条第一款的规定，我局决定终止调解。", "通过民事诉讼、仲裁等其他途径解决消费者权益争议。"),
    9: ("投诉调解书", "双方自愿达成如下协议：", "本调解书经双方当事人签字后生效。", "法定代表人", "经营场所"),
    10: ("举报处理结果告知书", "的举报，我局已依法处理。根据《", "现将处理结果告知如下："),
}


def content(number: int) -> str:
    return shipped_templates()[number - 1].content


def values(form: Form, text: str) -> dict[str, Any]:
    made = {"text": text, "day": "2026-11-03", "time": "2026-11-10T09:30:00+08:00", "count": 3, "flag": True, "ground": 2}
    common = {
        "bureau.name": text,
        "bureau.phone": text,
        "bureau.address": text,
        "number.word": text,
        "addressee": text,
        "lane_word": "投诉",
    }
    return {**common, **{name: made[field.kind] for name, field in form.fields.items()}}


class Words(HTMLParser):
    """What a reader sees, and the tags it stands in."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.text, self.tags, self._style = "", [], False
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self._style = tag == "style"

    def handle_endtag(self, tag: str) -> None:
        self._style = False

    def handle_data(self, data: str) -> None:
        if not self._style:
            self.text += data


@pytest.mark.parametrize("form", FORMS.values(), ids=lambda f: f.title)
def test_every_form_says_what_the_official_one_says(form: Form) -> None:
    for audience in form.audiences:
        full = draw(form, content(form.number), values(form, "某某甲"), audience=audience)
        words = Words(full).text
        assert [w for w in WORDING[form.number] if w not in words] == []
        assert f"文书式样{ORDINALS[form.number]}" in words
        assert words.count("某某甲") >= sum(f.kind == "text" for f in form.fields.values())
        assert str(BLANK) not in full
        assert not re.search(r"https?:|//|url\(|<script|<link|<img", full)
        assert "size: A4" in full
        assert {"FangSong", "SimSun"} <= set(re.findall(r"FangSong|SimSun", full))
        empty = draw(form, content(form.number), {}, audience=audience)
        assert "None" not in Words(empty).text
        assert empty.count('class="blank') >= len(form.fields) // 2
        assert [w for w in WORDING[form.number] if w not in Words(empty).text] == []


@pytest.mark.parametrize("form", FORMS.values(), ids=lambda f: f.title)
def test_a_value_is_never_markup(form: Form) -> None:
    for audience in form.audiences:
        plain = draw(form, content(form.number), values(form, "某某甲"), audience=audience)
        hostile = draw(form, content(form.number), values(form, HOSTILE), audience=audience)
        assert Words(hostile).tags == Words(plain).tags
        assert "{{ 7*7 }}" in hostile
        assert "49" not in Words(hostile).text.replace("2026", "")
        assert "\u202e" not in hostile
        assert "\x07" not in hostile
        # Nor can it fill the places that signing fills.
        assert hostile.count("<!--fill:year-->") == plain.count("<!--fill:year-->")
        signed = fill(hostile, {"year": "2026", "running": "7"})
        assert "&lt;!--fill:year--&gt;" in signed


@pytest.mark.parametrize("number", [6, 8])
def test_all_grounds_are_listed_and_the_one_that_applies_is_marked(number: int) -> None:
    form = FORMS[number]
    assert form.ground
    listed = grounds(form.ground.article)
    assert len(listed) == {6: 7, 8: 8}[number]
    for chosen in range(1, len(listed) + 1):
        drawn = draw(form, content(number), {"ground": chosen}, audience=form.audiences[0])
        items = re.findall(r'<li class="(\w*)">(.)（(.)）(.*?)</li>', drawn)
        assert [i[3] for i in items] == [one["text"] for one in listed]
        assert [n for n, i in enumerate(items, 1) if i[0] == "ticked"] == [chosen]
        assert [n for n, i in enumerate(items, 1) if i[1] == "☑"] == [chosen]
        assert f"以下第〔{ORDINALS[chosen]}〕项情形" in drawn
    none = draw(form, content(number), {}, audience=form.audiences[0])
    assert "☑" not in none
    assert f"第〔{BLANK}〕项" in none


def test_days_times_and_boxes_are_told_as_officials_write_them() -> None:
    drawn = draw(FORMS[7], content(7), {"mediation_at": "2026-11-10T01:30:00+00:00", "recusal_days": 3}, audience="merchant")
    assert "请于2026年11月10日9时30分到" in drawn
    assert "之日起3日内" in drawn
    register = draw(FORMS[1], content(1), {"publish": True, "delegate": False}, audience="bureau")
    assert re.findall(r"([☑□])是　([☑□])否", register) == [("☑", "□"), ("□", "☑")]
    assert re.findall(r"([☑□])是　([☑□])否", draw(FORMS[1], content(1), {}, audience="bureau")) == [("□", "□"), ("□", "□")]


OK = content(6)
PICTURE = "data:image/png;base64,iVBORw0KGgo="
END = "<p>特此告知。</p>"
BAD: list[tuple[str, str, str, str]] = [
    ("attribute", OK.replace(END, "\n{{ subject.__class__ }}"), "line 8", "can't be reached"),
    ("attribute of a constant", "{{ ''.__class__ }}", "line 1", "can't be reached"),
    ("item", "\n{{ subject['__class__'] }}", "line 2", "getitem"),
    ("unknown part", "{{ bureau.secret }}", "line 1", "known are address, name, phone"),
    ("method", "{{ form.title.upper() }}", "line 1", "call"),
    ("function", "{{ range(9) }}", "line 1", "call"),
    ("unknown field", "a\nb\n{{ subjekt }}", "line 3", "is no field of this document"),
    ("field of another form", "{{ agreement }}", "line 1", "is no field of this document"),
    ("safe", "{{ subject|safe }}", "line 1", "no filter safe"),
    ("format", "{{ '%s'|format(subject) }}", "line 1", "no filter format"),
    ("attr", "{{ subject|attr('x') }}", "line 1", "no filter attr"),
    ("test", "{% if subject is callable %}{% endif %}", "line 1", "test"),
    ("autoescape", "{% autoescape false %}{{ subject }}{% endautoescape %}", "line 1", "autoescape"),
    ("include", "{% include 'layout' %}", "line 1", "include"),
    ("import", "{% import 'layout' as x %}", "line 1", "import"),
    ("another parent", "{% extends 'other' %}", "line 1", "only"),
    ("parent by value", "{% extends subject %}", "line 1", "only"),
    ("macro", "{% macro a() %}{% endmacro %}", "line 1", "macro"),
    ("set", "{% set x = 1 %}", "line 1", "assign"),
    ("arithmetic", "{{ 9**9 }}", "line 1", "pow"),
    ("multiplied text", "{{ 'x'*999999999 }}", "line 1", "mul"),
    ("self", "{{ self }}", "line 1", "is no field"),
    ("syntax", "\n\n{% if %}", "line 3", ""),
    ("never closed", "{% if subject %}", "line 1", ""),
    ("loop over a text", "{% for x in subject %}{% endfor %}", "line 1", "only the grounds"),
    ("deep loops", OK.replace("{% for one in grounds %}", "{% for one in grounds %}{% for a in grounds %}{% endfor %}"), "line 4", "nested"),
    ("a group", OK.replace(END, "{{ bureau }}" + END), "line 7", "as a whole"),
    ("day of a text", OK.replace(END, "{{ subject|day }}" + END), "line 7", "another kind"),
    ("script", OK.replace(END, "<script>x()</script>" + END), "line 7", "<script>"),
    ("script in a branch that is rarely taken", OK.replace(END, "{% if ground == 3 %}<script>x()</script>{% endif %}" + END), "line 7", "<script>"),
    ("script in raw", "{% raw %}<script>{% endraw %}" + OK, "", "<script>"),
    ("event", OK.replace(END, "<p onclick='x()'></p>" + END), "line 7", "onclick"),
    ("link", OK.replace(END, "<a href='{{ subject }}'>x</a>" + END), "line 7", "<a>"),
    ("picture from outside", OK.replace(END, "<img src='http://x.cn/y.png'>" + END), "line 7", "src"),
    ("refresh", OK.replace(END, "<meta http-equiv='refresh' content='0;url=x'>" + END), "line 7", "http-equiv"),
    ("style from outside", OK + "{% block style %}p { background: url(http://x.cn) }{% endblock %}", "line 10", "url("),
    ("inline style from outside", OK.replace(END, "<p style='background: url(//x)'></p>" + END), "line 7", "url("),
    ("import of a style", OK + "{% block style %}@import 'x';{% endblock %}", "line 10", "@import"),
    ("value in a style", OK + "{% block style %}p { color: {{ subject }} }{% endblock %}", "line 10", "markup"),
    ("value in an inline style", OK.replace(END, "<p style='color:{{ subject }}'></p>" + END), "line 7", "markup"),
    ("value without quotes", OK.replace(END, "<p title={{ subject }}></p>" + END), "line 7", "markup"),
    ("value as an attribute", OK.replace(END, "<p {{ subject }}></p>" + END), "line 7", "markup"),
    ("value as a tag", OK.replace(END, "<{{ subject }}>" + END), "line 7", "markup"),
    ("value without quotes in a branch", OK.replace(END, "{% if ground == 3 %}<p title={{ subject }}></p>{% endif %}" + END), "line 7", "markup"),
    ("frame", OK.replace(END, "<iframe></iframe>" + END), "line 7", "<iframe>"),
    ("a ground left out", OK.replace("{{ one.text }}", ""), "content", "16.1"),
    ("no place for the number", OK + "{% block number %}{% endblock %}", "content", "number.running"),
    ("no place for the day", OK + "{% block seal %}{% endblock %}", "content", "signed_on"),
    ("too long", "x" * 20_001, "content", "longer"),
    ("too many pictures", f"<img src='{PICTURE}'>" * 12_000, "content", "longer"),
    ("deep parentheses", "{{ " + "(" * 5000 + "subject" + ")" * 5000 + " }}", "content", "nested too deep"),
    ("deep conditions", "{% if subject %}" * 40 + "{% endif %}" * 40, "line 1", "nested too deep"),
    ("comment", OK.replace(END, "<!-- {{ subject }} -->"), "line 7", "comments"),
    ("NUL", "\0", "content", "no character"),
]  # fmt: skip


@pytest.mark.parametrize(("what", "text", "place", "reason"), BAD, ids=[b[0] for b in BAD])
def test_a_template_that_does_more_than_place_fields_is_refused_with_line_and_reason(
    what: str, text: str, place: str, reason: str
) -> None:
    with pytest.raises(Invalid) as refused:
        check(FORMS[6], text)
    first = refused.value.errors[0]
    assert place in first["field"]
    assert reason in first["message"]


GOOD = [
    OK.replace(END, f"<img alt='{{{{ bureau.name }}}}' src='{PICTURE}'>" + END),
    OK.replace(END, "{% if ground == 3 %}甲{% elif ground_ordinal %}乙{% else %}{{ subject }}{% endif %}" + END),
    OK + "{% block style %}h1 { color: #c00 }{% endblock %}",
    OK.replace(END, "<p>{{ bureau.name ~ '，' ~ (bureau.phone if bureau.phone else '无') }}</p>" + END),
    OK.replace("{% for one in grounds %}", "{% for one in grounds if one.ticked or not one.ticked %}{{ loop.index }}."),
    "<html><body>{{ number.running }}{{ signed_on|day }}{% for g in grounds %}{{ g.mark }}{{ g.text }}{% endfor %}</body></html>",
]


@pytest.mark.parametrize("text", GOOD)
def test_a_bureaus_own_look_is_welcome(text: str) -> None:
    check(FORMS[6], text)


async def publish(connection: Connection, number: int, text: str, jurisdiction: str, valid_from: date = TODAY) -> str:
    return (await templates.publish(connection, number, text, jurisdiction=jurisdiction, valid_from=valid_from, by="legal")).hash


async def test_the_narrowest_jurisdiction_and_the_latest_day_count(house: House) -> None:
    later = TODAY + timedelta(days=30)
    async with house.database.connection() as connection:
        own = {name: content(5) + f"{{# {name} #}}" for name in ("province", "city", "city later", "district", "city again")}
        hashes = {
            "province": await publish(connection, 5, own["province"], "42"),
            "city": await publish(connection, 5, own["city"], "4201"),
            "city later": await publish(connection, 5, own["city later"], "4201", later),
            "district": await publish(connection, 5, own["district"], "420111"),
            "city again": await publish(connection, 5, own["city again"], "4201"),
        }
        assert await publish(connection, 5, own["province"], "42") == hashes["province"]  # once more is once
        assert await connection.fetchval("SELECT count(*) FROM document_template") == 5
        found = await templates.load(connection)
    named = {h: n for n, h in hashes.items()}

    def used(district: str, on: date, form: int = 5) -> str:
        return named.get(found.find(form, district, on).hash, "shipped")

    assert used("420111", TODAY) == "district"
    assert used("420106", TODAY) == "city again"
    assert used("420106", later) == "city later"
    assert used("420500", TODAY) == "province"
    assert used("430000", TODAY) == "shipped"
    assert used("420111", TODAY - timedelta(days=1)) == "shipped"
    assert used("420111", TODAY, form=6) == "shipped"
    assert used("420111", date(2026, 1, 1)) == "shipped"
    assert Templates().by_hash(shipped_templates()[0].hash).form == 1


async def test_what_is_refused_on_publication(house: House) -> None:
    async with house.database.connection() as connection:
        for number, text, jurisdiction, day, named in (
            (11, OK, "42", TODAY, "form"), (6, "{{ x }}", "42", TODAY, "line 1"), (6, OK, "湖北", TODAY, "jurisdiction"),
            (6, OK, "42", TODAY - timedelta(days=2), "valid_from"),
        ):  # fmt: skip
            with pytest.raises(Invalid) as refused:
                await publish(connection, number, text, jurisdiction, day)
            assert refused.value.errors[0]["field"] == named
        assert await connection.fetchval("SELECT count(*) FROM document_template") == 0


async def test_templates_through_the_api(client: Client) -> None:
    listed = (await client.get("admin", "/v1/templates")).json()["items"]
    assert [t["form"] for t in listed] == list(range(1, 11))
    own = OK.replace(END, "<p>如有疑问请致电{{ bureau.phone }}。</p>" + END)
    made = await client.post("admin", "/v1/templates", {"form": 6, "jurisdiction": "4201", "content": own})
    assert made.status_code == 201
    assert (await client.get("admin", made.headers["location"])).json()["content"] == own
    assert len((await client.get("admin", "/v1/templates?form=6")).json()["items"]) == 2
    broken = await client.post(
        "admin", "/v1/templates", {"form": 6, "jurisdiction": "42", "content": "甲\n{{ subject.__class__ }}"}
    )
    assert broken.status_code == 422
    assert broken.json()["errors"] == [{"field": "line 2", "message": ".__class__ can't be reached"}]
    outside = await client.post("admin", "/v1/templates", {"form": 6, "jurisdiction": "4301", "content": own})
    assert outside.status_code == 403
    for role in ("portal", "mediator", "supervisor", "analyst"):
        assert (await client.post(role, "/v1/templates", {"form": 6, "jurisdiction": "42", "content": own})).status_code == 403
        assert (await client.get(role, "/v1/templates")).status_code == 403
    assert (await client.get("admin", "/v1/templates/none")).status_code == 404


async def test_templates_and_directories_at_the_command_line(url: str, tmp_path: Path) -> None:
    runner = CliRunner()
    environment = {
        "DATABASE_URL": url, "TRIAGE_TOKEN_KEY": KEYS.token_key.hex(), "TRIAGE_ENCRYPTION_KEY": KEYS.encryption_key.hex(),
        "TRIAGE_DATA": str(tmp_path),
    }  # fmt: skip

    async def run(*arguments: str) -> tuple[int, str]:
        done = await asyncio.to_thread(runner.invoke, cli, [*arguments], env=environment)
        if isinstance(done.exception, Invalid):
            return 1, str(done.exception.errors)
        return done.exit_code, done.output

    file = tmp_path / "6.html"
    assert (await run("template", "export", "6", str(file)))[0] == 0
    assert file.read_text("utf-8") == OK
    file.write_text(OK.replace(END, "<p>另：{{ bureau.phone }}</p>" + END), "utf-8")
    assert (await run("template", "import", "6", str(file), "--jurisdiction", "4201"))[0] == 0
    status, listed = await run("template", "list")
    assert (status, len(listed.splitlines()), "6 4201" in listed) == (0, 11, True)
    assert "另：" in (await run("template", "export", "6", "--jurisdiction", "420111"))[1]
    file.write_text("\n\n{{ subject|safe }}", "utf-8")
    status, told = await run("template", "import", "6", str(file), "--jurisdiction", "4201")
    assert status == 1
    assert "line 3" in told
    assert (await run("template", "export", "11"))[0] == 2
    assert (await run("template", "import", "6", str(tmp_path / "none.html"), "--jurisdiction", "42"))[0] == 2

    sheet = tmp_path / "stations.csv"
    sheet.write_text("站点名称,区划\n光谷维权站,武汉市洪山区\n无处维权站,火星\n", "utf-8")
    status, told = await run(
        "import-directory", "station", str(sheet), "--source", "区局", "--problems", str(tmp_path / "problems.csv")
    )
    assert (status, "1 opened" in told, "1 rejected" in told) == (0, True, True)
    assert (tmp_path / "problems.csv").read_text("utf-8").splitlines()[1].startswith("3,district,")
    assert (await run("export", "directory", "station", "--out", str(tmp_path / "out.csv")))[0] == 0
    assert "光谷维权站" in (tmp_path / "out.csv").read_text("utf-8")
