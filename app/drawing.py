"""The ten official documents of Order 121: what each may say, how a template draws it, and what a template may never do.

Official wording is in app/data/documents, one file a form over one layout. Templates come from people who are no programmers and what fills
them from people who may mean harm, so a template can do nothing but place known fields: a closed list of constructs and filters, no attribute
of any object, no call, no script, nothing from outside; and a value can never become markup.
"""

import re
import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from functools import lru_cache
from html.parser import HTMLParser
from importlib.resources import files
from typing import Any, NoReturn

from jinja2 import FunctionLoader, TemplateError, TemplateRuntimeError, TemplateSyntaxError, Undefined, nodes
from jinja2.exceptions import SecurityError
from jinja2.runtime import LoopContext
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.visitor import NodeTransformer
from markupsafe import Markup, escape

from app.calendar import SHANGHAI
from app.codes import shipped
from app.errors import Invalid
from app.sheets import unfit

# Characters of a template, and of its text without pictures: what is longer is tried too long.
MAX_TEMPLATE, MAX_TEXT = 400_000, 20_000
ORDINALS = ("", "一", "二", "三", "四", "五", "六", "七", "八", "九", "十")
AUDIENCE_LABELS = {
    "bureau": "本机关存档", "authority": "其他市场监督管理部门", "complainant": "投诉人", "merchant": "被投诉人", "parties": "双方当事人",
    "reporter": "举报人",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Field:
    """kind: text, day (YYYY-MM-DD), time (RFC 3339), count, flag, ground (number of an article's list). longest: characters."""

    kind: str
    longest: int = 200
    article: str = ""


_TEXT, _LONG, _DAY, _TIME, _COUNT, _FLAG = (
    Field("text"), Field("text", 60_000), Field("day"), Field("time"), Field("count"), Field("flag"),
)  # fmt: skip


def _group(name: str, *parts: str) -> dict[str, Field]:
    return {f"{name}.{part}": _TEXT for part in parts}


@dataclass(frozen=True, slots=True)
class Form:
    """One official document. audiences: who gets a copy of his own; lanes: of which matters; required: what it can't be signed without."""

    number: int
    title: str
    lanes: tuple[str, ...]
    audiences: tuple[str, ...]
    fields: Mapping[str, Field]
    required: tuple[str, ...]

    @property
    def number_word(self) -> str:
        """What tells its numbers from those of other documents."""
        return _number_words().get(str(self.number), "")

    @property
    def ground(self) -> Field | None:
        return self.fields.get("ground")


@lru_cache(maxsize=1)
def _number_words() -> dict[str, str]:
    words: dict[str, str] = shipped("documents/forms")["number_words"]
    return words


_COMPLAINT, _REPORT = ("complaint",), ("report",)
_RECEIVED = {"received_on": _DAY, "subject": _TEXT}
_SHAPES: tuple[tuple[str, tuple[str, ...], tuple[str, ...], dict[str, Field], tuple[str, ...]], ...] = (
    (
        "投诉登记表", _COMPLAINT, ("bureau",),
        {
            "registration_no": _TEXT, **_group("complainant", "name", "phone", "id_type", "id_no", "address"), "publish": _FLAG,
            "delegate": _FLAG, **_group("respondent", "name", "contact", "phone", "address"), "facts": _LONG, "demands": _LONG,
        },
        (),
    ),
    (
        "举报登记表", _REPORT, ("bureau",),
        {
            "registration_no": _TEXT, **_group("reporter", "name", "phone", "id_no", "address"), **_group("respondent", "name", "address"),
            "facts": _LONG,
        },
        (),
    ),
    (
        "投诉/举报分送通知书", (*_COMPLAINT, *_REPORT), ("authority",),
        {"receiver": _TEXT, "sender": _TEXT, **_RECEIVED, "report_by": _DAY, "copies": _COUNT, "pages": _COUNT},
        ("receiver", "received_on", "subject"),
    ),
    (
        "限期提供身份证明材料通知书", _COMPLAINT, ("complainant",),
        {"provide_by": _DAY, "materials": Field("text", 500)}, ("provide_by",),
    ),
    (
        "投诉受理决定书", _COMPLAINT, ("complainant",),
        {**_RECEIVED, "contact": _TEXT, "contact_phone": _TEXT}, ("received_on", "subject"),
    ),
    (
        "投诉不予受理决定书", _COMPLAINT, ("complainant",),
        {**_RECEIVED, "ground": Field("ground", article="16")}, ("received_on", "subject", "ground"),
    ),
    (
        "投诉调解通知书", _COMPLAINT, ("complainant", "merchant"),
        {
            "subject": _TEXT, "mediation_at": _TIME, "place": _TEXT, "materials": Field("text", 500), "recusal_days": _COUNT,
            "mediator": _TEXT, "contact_phone": _TEXT,
        },
        ("subject", "mediation_at", "place", "mediator"),
    ),
    (
        "投诉终止调解决定书", _COMPLAINT, ("complainant", "merchant"),
        {"subject": _TEXT, "ground": Field("ground", article="23")}, ("subject", "ground"),
    ),
    (
        "投诉调解书", _COMPLAINT, ("parties",),
        {
            **_group("complainant", "name", "phone", "address"), **_group("agent", "name", "phone"),
            **_group("respondent", "name", "legal_person", "address"), **_group("respondent_agent", "name", "phone"),
            "content": Field("text", 4000), "agreement": Field("text", 4000),
        },
        ("complainant.name", "respondent.name", "content", "agreement"),
    ),
    (
        "举报处理结果告知书", _REPORT, ("reporter",),
        {"subject": _TEXT, "law": _TEXT, "article": _TEXT, "result": Field("text", 4000)}, ("subject", "law", "result"),
    ),
)  # fmt: skip
FORMS: Mapping[int, Form] = {
    number: Form(number, title, lanes, audiences, fields, required)
    for number, (title, lanes, audiences, fields, required) in enumerate(_SHAPES, 1)
}
FIELD_LABELS: Mapping[str, str] = {
    **{
        f"{group}.{part}": f"{whose}{what}"
        for group, whose in {
            "complainant": "投诉人", "reporter": "举报人", "agent": "委托代理人", "respondent": "被投诉人（被举报人）",
            "respondent_agent": "被投诉人的委托代理人",
        }.items()
        for part, what in {
            "name": "名称（姓名）", "phone": "电话", "id_type": "证件类型", "id_no": "证件号码", "address": "地址", "contact": "联系人",
            "legal_person": "法定代表人（负责人）",
        }.items()
    },
    "registration_no": "登记编号", "publish": "是否同意公示", "delegate": "是否同意委托调解", "facts": "事实", "demands": "投诉请求",
    "receiver": "接收机关", "sender": "来件人", "received_on": "收到日期", "subject": "事由", "report_by": "反馈期限", "copies": "份数",
    "pages": "页数", "provide_by": "提供期限", "materials": "需要提供的材料", "contact": "联系人", "contact_phone": "联系电话",
    "ground": "适用情形", "mediation_at": "调解时间", "place": "调解地点", "recusal_days": "申请回避的期限（日）", "mediator": "调解人员",
    "content": "争议内容", "agreement": "协议内容", "law": "依据的法律", "article": "依据的条款", "result": "处理结果",
}  # fmt: skip
# What every document knows besides its own fields.
_COMMON = (
    "form.number", "form.title", "form.ordinal", "number.word", "number.kind", "number.year", "number.running", "bureau.name",
    "bureau.phone", "bureau.address", "addressee", "audience", "lane_word", "signed_on", "signers", "mark",
)  # fmt: skip
_GROUND = ("ground_ordinal", "grounds")
_OF_A_GROUND = frozenset({"ordinal", "text", "mark", "ticked"})
_OF_A_LOOP = frozenset({"index", "index0", "first", "last", "length"})


def get_form(number: int) -> Form:
    if number not in FORMS:
        raise Invalid.field("form", "must be from 1 to 10")
    return FORMS[number]


@lru_cache(maxsize=4)
def grounds(article: str) -> tuple[dict[str, str], ...]:
    """Of Art. 16 or 23(1), in their order: {code, text}."""
    listed = shipped("grounds")["articles"][article]["grounds"]
    return tuple({"code": f"{article}.{number}", "text": text} for number, text in enumerate(listed, 1))


# -- drawing


class Fill:
    """A place that is only filled when the document is signed: number, day, names. Until then a mark in the drawn text that no value can
    forge, for values are escaped; so what is signed is what was read."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __html__(self) -> Markup:
        return Markup(f"<!--fill:{self.name}-->")  # noqa: S704 - names of ours


BLANK = Markup('<span class="blank"></span>')
SHORT_BLANK = Markup('<span class="blank short"></span>')
# Control characters, and those that turn the direction of a line around: a name must read as it is stored.
_UNPRINTED = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]")
_FILL = re.compile(r"<!--fill:([a-z_]+)-->")


def fill(drawn: str, values: Mapping[str, str]) -> str:
    """Puts the values (markup already) in their places; what is not known yet stays a line to write on."""
    return _FILL.sub(lambda m: values.get(m[1], SHORT_BLANK), drawn)


def _nothing(value: Any) -> bool:
    return value is None or value == "" or isinstance(value, Undefined)


def _shown(value: Any) -> Any:
    if isinstance(value, Mapping | list):
        raise TemplateRuntimeError("a group of fields can't be shown as a whole; name one of its parts")
    return BLANK if _nothing(value) else value


def _parsed(parse: Callable[[str], Any], value: Any, name: str) -> Any:
    try:
        return parse(str(value))
    except ValueError:
        raise TemplateRuntimeError(f"|{name} is for another kind of field") from None


def _day(value: Any) -> Any:
    """2026年11月3日."""
    if isinstance(value, Fill):
        return Markup("{}年{}月{}日").format(*(Fill(f"{value.name}_{part}") for part in ("year", "month", "day")))
    if _nothing(value):
        return Markup("{0}年{0}月{0}日").format(SHORT_BLANK)
    day = _parsed(date.fromisoformat, value, "day")
    return f"{day.year}年{day.month}月{day.day}日"


def _moment(value: Any) -> Any:
    """2026年11月3日9时30分."""
    if _nothing(value):
        return Markup("{0}年{0}月{0}日{0}时").format(SHORT_BLANK)
    at = _parsed(datetime.fromisoformat, value, "moment").astimezone(SHANGHAI)
    return f"{at.year}年{at.month}月{at.day}日{at.hour}时" + (f"{at.minute:02}分" if at.minute else "")


def _count(value: Any) -> Any:
    return SHORT_BLANK if _nothing(value) else value


def _box(value: Any, expected: bool) -> str:
    return "☑" if value is expected else "□"


class _Sandbox(ImmutableSandboxedEnvironment):
    """Values are mappings, lists, texts and numbers; of a mapping its entries can be named, of a loop its count, of anything else nothing."""

    def getattr(self, obj: Any, attribute: str) -> Any:
        if isinstance(obj, Mapping):
            return obj.get(attribute, self.undefined(name=attribute))
        if isinstance(obj, LoopContext) and attribute in _OF_A_LOOP:
            return getattr(obj, attribute)
        if isinstance(obj, Undefined):
            return obj
        raise SecurityError(f"{attribute} can't be reached")

    def getitem(self, obj: Any, argument: Any) -> Any:
        return self.getattr(obj, str(argument))

    def call(self, context: Any, obj: Any, *args: Any, **kwargs: Any) -> NoReturn:
        raise SecurityError("nothing can be called")


def shipped_source(name: str) -> str:
    """The shipped template of a form, by its number, or the layout."""
    return (files("app") / "data" / "documents" / f"{name}.html").read_text("utf-8")


def _environment() -> _Sandbox:
    made = _Sandbox(
        autoescape=True, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True, finalize=_shown,
        loader=FunctionLoader(lambda name: shipped_source("layout") if name == "layout" else None), cache_size=4,
    )  # fmt: skip
    made.globals.clear()
    made.filters.clear()
    made.filters.update(day=_day, moment=_moment, count=_count, box=_box)
    made.tests = {name: made.tests[name] for name in ("defined", "none")}
    return made


_sandbox = lru_cache(maxsize=1)(_environment)


@lru_cache(maxsize=64)
def _compiled(content: str) -> Any:
    return _sandbox().from_string(content)


def draw(form: Form, content: str, values: Mapping[str, Any], *, audience: str, by: Any = None) -> str:
    """The document as HTML, its fills still open. values: by field, dotted names flat; absent, None and '' become lines to write on.
    by: the compiled template, where it is not that of the content."""
    context: dict[str, Any] = {
        "form": {"number": form.number, "title": form.title, "ordinal": ORDINALS[form.number]},
        "number": {"kind": form.number_word, "year": Fill("year"), "running": Fill("running")},
        "audience": audience, "signed_on": Fill("signed"), "signers": Fill("signers"), "mark": Fill("mark"),
    }  # fmt: skip
    for name, value in values.items():
        if _nothing(value):
            continue
        group, _, part = name.partition(".")
        place = context.setdefault(group, {}) if part else context
        place[part or name] = _UNPRINTED.sub("", value) if isinstance(value, str) else value
    if ground := form.ground:
        chosen = values.get("ground")
        context["ground_ordinal"] = ORDINALS[chosen] if chosen else None
        context["grounds"] = [
            {"ordinal": f"（{ORDINALS[n]}）", "text": one["text"], "mark": "☑" if n == chosen else "□", "ticked": n == chosen}
            for n, one in enumerate(grounds(ground.article), 1)
        ]
    drawn: str = (by or _compiled(content)).render(context)
    return drawn


# -- what a template may be


class _Refused(Exception):
    def __init__(self, line: int | None, message: str) -> None:
        super().__init__(message)
        self.line, self.message = line, message


_ALLOWED = (
    nodes.Template, nodes.Output, nodes.TemplateData, nodes.Name, nodes.Getattr, nodes.Const, nodes.If, nodes.For, nodes.CondExpr,
    nodes.Compare, nodes.Operand, nodes.And, nodes.Or, nodes.Not, nodes.Filter, nodes.Test, nodes.Extends, nodes.Block, nodes.Concat,
)  # fmt: skip


def check(form: Form, content: str) -> None:
    """Tries a template on made-up values, complete, missing and hostile. Raises Invalid with line and reason."""
    errors = [{"field": f"line {e.line}" if e.line else "content", "message": e.message} for e in _wrong(form, content)]
    if errors:
        detail = f"the template can't be used: {errors[0]['field']}: {errors[0]['message']}"
        raise Invalid(detail, errors=errors)


def _wrong(form: Form, content: str) -> Iterator[_Refused]:
    if reason := unfit(content, MAX_TEMPLATE) or unfit(_PICTURE.sub("", content), MAX_TEXT):
        yield _Refused(None, reason)
        return
    if _PARENTHESES.search(content):
        yield _Refused(None, "is nested too deep")
        return
    if "<!--" in content:
        yield _Refused(_line_of(content, "<!--"), "comments are written {# so #}")
        return
    try:
        tree = _sandbox().parse(content)
        found = list(_constructs(form, tree))
    except TemplateSyntaxError as error:
        yield _Refused(error.lineno, error.message or "can't be read")
        return
    except RecursionError:
        yield _Refused(None, "is nested too deep")
        return
    if found:
        yield from found
        return
    try:
        for audience in form.audiences:
            _draw_samples(form, content, audience)
    except _Refused as error:
        yield error
    except (RecursionError, SyntaxError, MemoryError):  # of the code that Jinja makes of it
        yield _Refused(None, "is nested too deep")
    except (TemplateError, TypeError, ValueError, ArithmeticError, LookupError) as error:
        # Jinja gives the frames of a template its own lines.
        frames = [f for f in traceback.extract_tb(error.__traceback__) if f.filename == "<template>"]
        line = getattr(error, "lineno", None) or (frames[-1].lineno if frames else None)
        yield _Refused(line, str(error) or type(error).__name__)


def _constructs(form: Form, tree: nodes.Template) -> Iterator[_Refused]:
    known: dict[str, set[str]] = {}
    for name in (*_COMMON, *form.fields, *(_GROUND if form.ground else ())):
        group, _, part = name.partition(".")
        known.setdefault(group, set()).update({part} if part else ())
    yield from _node(tree, known)


def _node(node: nodes.Node, known: Mapping[str, set[str]], *, depth: int = 0, looped: bool = False) -> Iterator[_Refused]:
    """known: names in scope -> the parts they have. depth: so that what is accepted here can be drawn under a deeper stack too."""
    if depth > _DEEPEST:
        yield _Refused(node.lineno, "is nested too deep")
        return
    if not isinstance(node, _ALLOWED):
        what = "autoescape" if isinstance(node, nodes.Scope) else type(node).__name__.lower()
        yield _Refused(
            node.lineno or next((n.lineno for n in node.find_all(nodes.Node) if n.lineno), None), f"{what} is not allowed here"
        )
        return
    if isinstance(node, nodes.Extends):
        if not (isinstance(node.template, nodes.Const) and node.template.value == "layout"):
            yield _Refused(node.lineno, 'only "layout" can be extended')
        return
    if isinstance(node, nodes.Filter) and node.name not in _sandbox().filters:
        yield _Refused(node.lineno, f"no filter {node.name}; known are {', '.join(sorted(_sandbox().filters))}")
    if isinstance(node, nodes.Test) and node.name not in _sandbox().tests:
        yield _Refused(node.lineno, f"no test {node.name}")
    if isinstance(node, nodes.Name) and node.name not in known:
        yield _Refused(node.lineno, f"{node.name} is no field of this document; known are {', '.join(sorted(known))}")
    if isinstance(node, nodes.Getattr):
        parts = known.get(node.node.name, set()) if isinstance(node.node, nodes.Name) else set()
        if node.attr not in parts:
            yield _Refused(
                node.lineno, f".{node.attr} can't be reached" + (f"; known are {', '.join(sorted(parts))}" if parts else "")
            )
    inner = known
    if isinstance(node, nodes.For):
        if node.else_:
            yield _Refused(node.lineno, "a loop has no else here")
        if not (isinstance(node.iter, nodes.Name) and node.iter.name == "grounds" and isinstance(node.target, nodes.Name)):
            yield _Refused(node.lineno, "only the grounds can be gone through")
        elif looped:
            yield _Refused(node.lineno, "loops can't be nested")
        else:
            inner = {**known, node.target.name: set(_OF_A_GROUND), "loop": set(_OF_A_LOOP)}
        looped = True
    for child in node.iter_child_nodes():
        if isinstance(node, nodes.For) and child is node.target:
            continue
        yield from _node(child, inner, depth=depth + 1, looped=looped)


_HOSTILE = (
    "\"'><script>alert(1)</script><img src=x onerror=alert(1)> onx=1 {{ 7*7 }} </style></title><!--fill:mark-->\u202e",
    "script",
    "a onclick=b",
)


def _sample(form: Form, text: str) -> dict[str, Any]:
    made = {
        "text": text, "day": "2026-11-03", "time": "2026-11-10T09:30:00+08:00", "count": 3, "flag": True,
        "ground": len(grounds(form.ground.article)) if form.ground else None,
    }  # fmt: skip
    common = {
        "number.word": text,
        "bureau.name": text,
        "bureau.phone": text,
        "bureau.address": text,
        "addressee": text,
        "lane_word": "投诉",
    }
    return {**common, **{name: made[field.kind] for name, field in form.fields.items()}}


def _draw_samples(form: Form, content: str, audience: str) -> None:
    for values in (_sample(form, "某某"), {}):
        drawn = draw(form, content, values, audience=audience)
        _Structure(drawn, content)
    every_branch = _every_branch(content)

    def structure(text: str) -> list[tuple[str, str, str]]:
        return _Structure(draw(form, content, _sample(form, text), audience=audience, by=every_branch), content).found

    plain = structure("某某")
    for text in _HOSTILE:
        try:
            same = plain == structure(text)
        except _Refused:
            same = False
        if not same:
            loose = _LOOSE.search(content)
            raise _Refused(
                content.count("\n", 0, loose.start()) + 1 if loose else None,
                "a value could become markup here; values stand between tags, or in quotes in title, alt and lang",
            )
    full = draw(form, content, _sample(form, "某某"), audience=audience)
    if form.number > 2:
        for name, told in (("running", "number.running"), ("signed_day", "signed_on|day")):
            if f"<!--fill:{name}-->" not in full:
                raise _Refused(None, f"{{{{ {told} }}}} is missing: a signed document needs it")
    if form.ground:
        for one in grounds(form.ground.article):
            if str(escape(one["text"])) not in full:
                raise _Refused(None, f"the ground {one['code']} is missing: all are listed, the one that applies is marked")


class _Unbranched(NodeTransformer):
    """Every branch of a condition one after the other, so that what only some values would show is looked at too."""

    def visit_If(self, node: nodes.If) -> list[nodes.Node]:  # noqa: N802 - the visitor's name for it
        branches = (node.body, *(one.body for one in node.elif_), node.else_)
        return [found for branch in branches for child in branch for found in self.visit_list(child)]

    def visit_CondExpr(self, node: nodes.CondExpr) -> nodes.Node:  # noqa: N802
        both = [self.visit(one) for one in (node.expr1, node.expr2) if one is not None]
        return nodes.Concat(both, lineno=node.lineno, environment=node.environment)


def _every_branch(content: str) -> Any:
    sandbox = _sandbox()
    tree = _Unbranched().visit(sandbox.parse(content))
    return sandbox.template_class.from_code(sandbox, sandbox.compile(tree, filename="<template>"), {})


_DEEPEST = 30
_PARENTHESES = re.compile(r"\((?:[^()]*\(){9}")
# Where a value stands in a tag: its name, an attribute without quotes, a style, a class.
_LOOSE = re.compile(r"</?\s*\{\{|=\s*\{\{|<[^<>]*\s\{\{|(?:style|class|id)\s*=\s*[\"'][^\"'<>]*\{\{|\{[^{}]*\{\{")
_TAGS = frozenset(
    ["html", "head", "meta", "title", "style", "body", "main", "section", "article", "header", "footer", "div", "p", "span", "br", "hr", "h1",
     "h2", "h3", "h4", "h5", "h6", "table", "caption", "colgroup", "col", "thead", "tbody", "tfoot", "tr", "th", "td", "ol", "ul", "li", "dl",
     "dt", "dd", "b", "strong", "i", "em", "u", "s", "sub", "sup", "small", "img", "figure", "figcaption", "pre", "blockquote", "center", "font"]
)  # fmt: skip
_ADDRESSES = frozenset(
    {"src", "href", "srcset", "action", "formaction", "poster", "background", "data", "cite", "ping", "xlink:href"}
)
_PICTURE = re.compile(r"data:image/(png|jpeg|gif|webp);base64,[A-Za-z0-9+/=\s]*")
_OUTSIDE = re.compile(r"@import|url\s*\((?!\s*[\"']?data:image/)|expression\s*\(|-moz-binding|behavior\s*:|\\", re.IGNORECASE)


class _Structure(HTMLParser):
    """found: (kind, name, detail) of all that is markup: what values must never change. Raises _Refused at what runs or reaches outside."""

    def __init__(self, drawn: str, source: str) -> None:
        super().__init__(convert_charrefs=True)
        self.found: list[tuple[str, str, str]] = []
        self._source, self._inside = source, ""
        self.feed(drawn)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._inside = tag
        if tag not in _TAGS:
            raise self._refused(f"<{tag}", f"<{tag}> is not allowed")
        for name, value in attrs:
            text = value or ""
            if name.startswith("on"):
                raise self._refused(name, f"{name} is not allowed: documents run nothing")
            if name in _ADDRESSES and not (tag == "img" and name == "src" and _PICTURE.fullmatch(text)):
                raise self._refused(
                    name, f"{name} is not allowed: documents hold all they show (pictures as data:image/...;base64)"
                )
            if name == "http-equiv":
                raise self._refused(name, f"{name} is not allowed")
            if name == "style" and (found := _OUTSIDE.search(text)):
                raise self._refused(found[0], f"{found[0]} is not allowed in a style")
            self.found.append(("attribute", f"{tag} {name}", text if name in ("style", "class", "id", "src") else ""))
        self.found.append(("tag", f"<{tag}", ""))

    def handle_endtag(self, tag: str) -> None:
        self._inside = ""
        self.found.append(("end", f"</{tag}", ""))

    def handle_data(self, data: str) -> None:
        if self._inside == "style":
            if found := _OUTSIDE.search(data):
                raise self._refused(found[0], f"{found[0]} is not allowed in a style")
            self.found.append(("style", "<style", data))

    def handle_comment(self, data: str) -> None:
        self.found.append(("comment", data, ""))

    def handle_decl(self, decl: str) -> None:
        self.found.append(("declaration", decl, ""))

    def handle_pi(self, data: str) -> None:
        raise self._refused("<?", "<? is not allowed")

    def _refused(self, needle: str, message: str) -> _Refused:
        return _Refused(_line_of(self._source, needle), message)


def _line_of(source: str, needle: str) -> int | None:
    """Where it stands first; None where the template does not hold it as it is."""
    at = source.lower().find(needle.lower().split(" ")[-1])
    return source.count("\n", 0, at) + 1 if at >= 0 else None
