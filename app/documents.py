"""Official documents of a matter: filled from its file, drawn for everybody who gets a copy, kept as a draft, signed once and for all.

A draft may be drawn anew as often as one likes. Signing copies what was drawn, unread, into a table that only takes additions, with the next
number of its series; number, day and names are put into their places whenever it is read. Nobody's copy says what he may not know: the
complainant's names no other complainant and no incident, the merchant's neither the complainant's contacts nor that anybody reported
(Art. 37).
"""

import re
import unicodedata
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

from markupsafe import escape

from app import audit, directories, intake
from app.acts import FOUND
from app.calendar import SHANGHAI, local_day
from app.database import Connection
from app.drawing import AUDIENCE_LABELS, FORMS, Field, Form, draw, fill, get_form, grounds
from app.errors import Conflict, Invalid, NotFound
from app.identity import new_id
from app.intake import Letter
from app.privacy import Vault
from app.sheets import unfit
from app.templates import Template, Templates

# Told by the act itself, which signs them: acceptance, non-acceptance, termination.
DECISIONS = {5: "accept", 6: "refuse", 8: "terminate"}
STATE_LABELS = {"draft": "草稿", "signed": "已签发", "void": "已作废"}
_LANE_WORDS = {"complaint": "投诉", "report": "举报"}
_CARD = re.compile(r"\d{17}[\dXx]")
# Whose numbers and names are looked for in what an official writes; a bigger incident is looked through from its newest letter back.
_OTHERS_MOST = 5000


@dataclass(frozen=True, slots=True)
class Document:
    """html: audience -> its copy. number, signed_by, signed_at: of a signed one. missing: what a draft can't be signed without."""

    id: uuid.UUID
    matter_id: uuid.UUID
    form: Form
    state: str
    number: str | None
    missing: list[str]
    values: dict[str, Any]
    html: dict[str, str]
    template_hash: str
    created_by: str
    created_at: datetime
    signed_by: list[str]
    signed_at: datetime | None
    replaces: uuid.UUID | None


async def draft(
    connection: Connection, vault: Vault, templates: Templates, matter_id: uuid.UUID, form: int, values: Mapping[str, Any], actor: str, *,
    replaces: uuid.UUID | None = None, at: datetime | None = None,
) -> uuid.UUID:  # fmt: skip
    """Draws a document of a matter. values: by field, groups as {"respondent": {"contact": ...}} or flat with a dot, a ground as its number
    or its code ("16.5"); the rest comes from the file. The matter's draft of the same form, if there is one, is void then. replaces: a
    signed one of the same form, void as soon as this one is signed.

    Call inside a transaction. Raises Invalid with each field that can't be taken, Conflict where the form is not for this matter.
    """
    now = at or datetime.now(UTC)
    drawn = await _draw(connection, vault, templates, matter_id, form, values, now, hold=True)
    if replaces is not None and not await connection.fetchval(
        "SELECT true FROM document WHERE id = $1 AND matter_id = $2 AND form = $3 AND state = 'signed'", replaces, matter_id, form
    ):
        raise Invalid.field("replaces", "is no signed document of this matter and form")
    earlier = await connection.fetchrow(
        "UPDATE document SET state = 'void', voided_by = $3, voided_at = $4, void_reason = '另行制作' "
        "WHERE matter_id = $1 AND form = $2 AND state = 'draft' RETURNING id, replaces",
        matter_id, form, actor, now,
    )  # fmt: skip
    document_id = new_id()
    await connection.execute(
        "INSERT INTO document (id, matter_id, form, state, audiences, content_cipher, key_id, template_hash, series, number_words, missing, "
        "created_by, created_at, replaces) VALUES ($1, $2, $3, 'draft', $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)",
        document_id, matter_id, form, list(drawn.html), vault.encrypt({"values": drawn.values, "html": drawn.html}, str(document_id)),
        vault.key_id, drawn.template.hash, drawn.series, drawn.number_words, drawn.missing, actor, now,
        replaces or (earlier and earlier["replaces"]),
    )  # fmt: skip
    await audit.record(connection, actor, "draft", "document", [document_id], purpose=drawn.form.title, lane=drawn.lane)
    return document_id


async def preview(
    connection: Connection, vault: Vault, templates: Templates, matter_id: uuid.UUID, form: int, values: Mapping[str, Any]
) -> dict[str, str]:
    """Audience -> what its copy would be; nothing is kept."""
    drawn = await _draw(connection, vault, templates, matter_id, form, values, datetime.now(UTC), hold=False)
    return {audience: fill(html, _fills("draft", drawn.number_words)) for audience, html in drawn.html.items()}


async def sign(connection: Connection, document_id: uuid.UUID, persons: Sequence[str], at: datetime) -> str:
    """Makes a draft final under the next number of its series and year, and gives the number. Who must sign is the act's business; here each
    is named. Call inside the act's transaction: if that fails, the number was never given. Several in one transaction: in the order of forms.

    Raises Conflict when it is no draft any more or lacks what it can't be signed without.
    """
    names = list(dict.fromkeys(p.strip() for p in persons))
    if not names or not all(names):
        raise Invalid.field("persons", "must name who signs")
    row = await connection.fetchrow("SELECT * FROM document WHERE id = $1 FOR UPDATE", document_id)
    if row is None:
        raise NotFound("no such document")
    if row["state"] != "draft":
        raise Conflict(f"only a draft can be signed; this document is {STATE_LABELS[row['state']]}")
    if row["missing"]:
        raise Conflict(
            "the document can't be signed yet: " + ", ".join(row["missing"]) + " missing",
            errors=[{"field": name, "message": "is missing"} for name in row["missing"]],
        )
    year = local_day(at).year
    # The row is held until the transaction ends: whoever is next waits, and takes this number if it was not used.
    running = await connection.fetchval(
        "INSERT INTO document_series (series, form, year, last) VALUES ($1, $2, $3, 1) "
        "ON CONFLICT (series, form, year) DO UPDATE SET last = document_series.last + 1 RETURNING last",
        row["series"], row["form"], year,
    )  # fmt: skip
    word, kind = row["number_words"]
    number = f"{word}市监{kind}〔{year}〕第{running}号"
    await connection.execute(
        "INSERT INTO signed_document (document_id, series, form, year, running, number, signed_by, signed_at, content_cipher, key_id) "
        "SELECT id, series, form, $2, $3, $4, $5, $6, content_cipher, key_id FROM document WHERE id = $1",
        document_id, year, running, number, names, at,
    )  # fmt: skip
    await connection.execute("UPDATE document SET state = 'signed', content_cipher = NULL WHERE id = $1", document_id)
    if row["replaces"] is not None:
        await connection.execute(
            "UPDATE document SET state = 'void', voided_by = $2, voided_at = $3, void_reason = $4 WHERE id = $1 AND state = 'signed'",
            row["replaces"], names[0], at, f"由{number}代替",
        )  # fmt: skip
    for name in names:
        await audit.record(connection, name, "sign", "document", [document_id], purpose=number)
    return number


async def void(connection: Connection, document_id: uuid.UUID, actor: str, reason: str, *, at: datetime | None = None) -> None:
    """Takes a draft back, or says of a signed one that it no longer counts; what it said stays, and so does its number."""
    done = await connection.execute(
        "UPDATE document SET state = 'void', voided_by = $2, voided_at = $3, void_reason = $4 WHERE id = $1 AND state <> 'void'",
        document_id, actor, at or datetime.now(UTC), reason,
    )  # fmt: skip
    if done.endswith(" 0"):
        if await connection.fetchval("SELECT true FROM document WHERE id = $1", document_id):
            raise Conflict("the document is void already")
        raise NotFound("no such document")
    await audit.record(connection, actor, "void", "document", [document_id], purpose=reason)


_COLUMNS = """
SELECT d.id, d.matter_id, d.form, d.state, d.audiences, d.missing, d.template_hash, d.number_words, d.created_by, d.created_at, d.replaces,
       d.voided_by, d.voided_at, d.void_reason, s.number, s.year, s.running, s.signed_by, s.signed_at
"""
_FROM = "FROM document d LEFT JOIN signed_document s ON s.document_id = d.id"


async def read(connection: Connection, vault: Vault, document_id: uuid.UUID) -> Document:
    """Decrypts. The caller records who read it."""
    row = await connection.fetchrow(
        f"{_COLUMNS}, coalesce(s.content_cipher, d.content_cipher) AS content_cipher {_FROM} WHERE d.id = $1", document_id
    )
    if row is None:
        raise NotFound("no such document")
    content = vault.decrypt_document(row["content_cipher"], str(document_id))
    fills = _fills(row["state"], row["number_words"], row)
    return Document(
        row["id"], row["matter_id"], FORMS[row["form"]], row["state"], row["number"], row["missing"], content["values"],
        {audience: fill(html, fills) for audience, html in content["html"].items()}, row["template_hash"], row["created_by"],
        row["created_at"], row["signed_by"] or [], row["signed_at"], row["replaces"],
    )  # fmt: skip


async def filled(connection: Connection, vault: Vault, matter_id: uuid.UUID) -> dict[int, frozenset[str]]:
    """Form -> names of its fields that the file fills by itself, of every form that is for this matter. Decrypts the letter; tells no value."""
    matter = await connection.fetchrow(_MATTER, matter_id)
    if matter is None:
        raise NotFound("no such matter")
    letter = await intake.open_letter(connection, vault, matter["letter_id"])
    found = {}
    for number, form in FORMS.items():
        if matter["lane"] in form.lanes and not (matter["source"] == FOUND and "reporter" in form.audiences):
            file = _of_the_file(form, matter, letter)
            found[number] = frozenset(name for name in form.fields if file.get(name) not in (None, ""))
    return found


async def listed(connection: Connection, matter_id: uuid.UUID) -> list[dict[str, Any]]:
    """A matter's documents, newest first, without what they say."""
    rows = await connection.fetch(f"{_COLUMNS} {_FROM} WHERE d.matter_id = $1 ORDER BY d.created_at DESC, d.id DESC", matter_id)
    return [
        {
            "id": r["id"], "form": r["form"], "title": FORMS[r["form"]].title, "state": r["state"], "state_label": STATE_LABELS[r["state"]],
            "number": r["number"], "audiences": [{"code": a, "label": AUDIENCE_LABELS[a]} for a in r["audiences"]], "missing": r["missing"],
            "template_hash": r["template_hash"], "created_by": r["created_by"], "created_at": r["created_at"],
            "signed_by": r["signed_by"] or [], "signed_at": r["signed_at"], "replaces": r["replaces"], "void_reason": r["void_reason"],
        }
        for r in rows
    ]  # fmt: skip


def _fills(state: str, words: Sequence[str], row: Mapping[str, Any] | None = None) -> dict[str, str]:
    """What stands in the places that a draft leaves open, as markup."""
    mark = {"draft": "草　稿", "void": "作　废"}.get(state)
    fills = {"mark": f'<p class="mark">{mark}</p>' if mark else ""}
    if row is not None and row["signed_at"] is not None:
        day = local_day(row["signed_at"])
        fills |= {
            "year": str(row["year"]), "running": str(row["running"]), "signed_year": str(day.year), "signed_month": str(day.month),
            "signed_day": str(day.day), "signers": str(escape("、".join(row["signed_by"]))),
        }  # fmt: skip
    return fills


# -- filled


@dataclass(frozen=True, slots=True)
class _Drawn:
    form: Form
    lane: str
    template: Template
    values: dict[str, Any]
    html: dict[str, str]
    missing: list[str]
    series: str
    number_words: list[str]


_MATTER = """
SELECT m.id, m.letter_id, m.lane, m.source, m.district, m.goods, m.problem, m.issues, m.demands, m.case_no, coalesce(m.reached_at, m.received_at) AS received_at,
       CASE WHEN mc.registered = 1 THEN mc.name END AS registered_name, r.written_name
FROM matter m LEFT JOIN merchant mc ON mc.id = m.merchant_id
LEFT JOIN LATERAL (SELECT written_name FROM respondent WHERE matter_id = m.id AND valid_to IS NULL ORDER BY sequence LIMIT 1) r ON true
WHERE m.id = $1
"""


async def _draw(
    connection: Connection, vault: Vault, templates: Templates, matter_id: uuid.UUID, form_number: int, values: Mapping[str, Any],
    now: datetime, *, hold: bool,
) -> _Drawn:  # fmt: skip
    form = get_form(form_number)
    # Held, so that two drafts of one form follow each other.
    matter = await connection.fetchrow(_MATTER + (" FOR NO KEY UPDATE OF m" if hold else ""), matter_id)
    if matter is None:
        raise NotFound("no such matter")
    if matter["lane"] not in form.lanes:
        raise Conflict(f"{form.title} is not for this matter")
    if matter["source"] == FOUND and "reporter" in form.audiences:
        raise Conflict(f"{form.title}: nobody reported this; the bureau found it itself")
    letter = await intake.open_letter(connection, vault, matter["letter_id"])
    day = local_day(now)
    bureau = await directories.find_bureau(connection, matter["district"], day) or {}
    file = _of_the_file(form, matter, letter)
    given = _given(form, values, file)
    await _guard(connection, vault, form, matter, letter, given)
    merged = {name: given.get(name, file.get(name)) for name in form.fields}
    template = templates.find(form.number, matter["district"], day)
    words = [bureau.get("word") or "", form.number_word]
    common = {
        **{f"bureau.{name}": bureau.get(name) for name in ("name", "phone", "address")}, "number.word": words[0],
        "lane_word": _LANE_WORDS[matter["lane"]],
    }  # fmt: skip
    html = {
        audience: draw(form, template.content, {**common, **_copy_of(audience, file, merged, given)}, audience=audience)
        for audience in form.audiences
    }
    kept = {name: value for name, value in merged.items() if value not in (None, "")}
    missing = [name for name in form.required if name not in kept]
    return _Drawn(form, matter["lane"], template, kept, html, missing, bureau.get("district") or matter["district"], words)


def _of_the_file(form: Form, matter: Any, letter: Letter) -> dict[str, Any]:
    """What the letter and its reading say, by field."""
    body = letter.body
    respondent = body.respondents[0].__dict__ if body.respondents else {}
    written = respondent.get("name") or matter["written_name"]
    # What somebody states is registered as he says it; what the bureau decides is addressed to whom it is about.
    name = written if form.number <= 2 else matter["registered_name"] or written
    # Of a clue that the bureau found whoever complained is no reporter.
    filed = {
        name: None if matter["source"] == FOUND else body.complainant.__dict__.get(name)
        for name in ("name", "phone", "id_no", "address", "province", "city", "district")
    }
    person: dict[str, Any] = {
        "name": filed["name"], "phone": filed["phone"], "id_no": filed["id_no"], "address": _address(filed),
        "id_type": "居民身份证" if _CARD.fullmatch(filed["id_no"] or "") else None,
    }  # fmt: skip
    agent = body.agent.__dict__
    about = _about(matter, body.product)
    found: dict[str, Any] = {
        **{f"complainant.{k}": v for k, v in person.items()}, **{f"reporter.{k}": v for k, v in person.items()},
        "agent.name": agent.get("name"), "agent.phone": agent.get("phone"),
        "respondent.name": name, "respondent.phone": respondent.get("phone"), "respondent.address": respondent.get("address"),
        "registration_no": matter["case_no"] or body.external_id, "publish": body.consents.__dict__.get("publish"),
        "delegate": body.consents.__dict__.get("delegate"), "facts": body.text, "demands": "、".join(matter["demands"]),
        "received_on": local_day(matter["received_at"]).isoformat(), "sender": filed["name"],
        "subject": f"{name or ''}{about}", "subject.merchant": f"{filed['name'] or '投诉人'}反映的{about}",
    }  # fmt: skip
    found["content"] = found["subject"] + (f"。投诉请求：{found['demands']}。" if found["demands"] else "。")
    return {k: v for k, v in found.items() if v is not None}


def _address(person: Mapping[str, str | None]) -> str | None:
    address = person["address"] or ""
    above = [part for part in (person["province"], person["city"], person["district"]) if part and part not in address]
    return "".join((*dict.fromkeys(above), address)) or None


def _about(matter: Any, product: str | None) -> str:
    """火锅食品异物问题."""
    thing = product or (matter["goods"] if matter["goods"] and not matter["goods"].startswith("其他") else "")
    trouble = next((t for t in (*matter["issues"], matter["problem"]) if t and not t.startswith("其他")), "")
    told = f"{thing}{trouble}"
    return f"{told.removesuffix('问题')}问题" if told else "消费争议"


def _copy_of(audience: str, file: Mapping[str, Any], merged: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """The values as this audience may know them."""
    shown = dict(merged)
    if audience == "merchant":
        # Of the complainant the name alone: what mediation needs.
        shown = {k: v for k, v in shown.items() if not k.startswith(("complainant.", "agent."))}
        if "subject" in shown and "subject" not in given:
            shown["subject"] = file["subject.merchant"]
    addressee = {
        "complainant": file.get("complainant.name"), "reporter": file.get("complainant.name"),
        "merchant": merged.get("respondent.name") or file.get("respondent.name"), "authority": merged.get("receiver"),
    }  # fmt: skip
    return {**shown, "addressee": addressee.get(audience)}


# -- what officials write


def _given(form: Form, values: Mapping[str, Any], file: Mapping[str, Any]) -> dict[str, Any]:
    """Checked, flat. Raises Invalid with every field that can't be taken."""
    flat: dict[str, Any] = {}
    for name, value in values.items():
        flat |= {f"{name}.{part}": v for part, v in value.items()} if isinstance(value, Mapping) else {name: value}
    found, errors = {}, []
    for name, value in flat.items():
        field = form.fields.get(name)
        try:
            if field is None:
                raise ValueError(f"is no field of {form.title}; it has {', '.join(form.fields)}")
            taken = _taken(field, value)
            if (
                name.split(".")[0] in ("complainant", "reporter", "agent")
                and file.get(name) not in (None, taken)
                and taken is not None
            ):
                raise ValueError("stands in the file; a supplement corrects it")
        except ValueError as error:
            errors.append({"field": name, "message": str(error)})
        else:
            if taken is not None:
                found[name] = taken
    if errors:
        raise Invalid("; ".join(f"{e['field']}: {e['message']}" for e in errors), errors=errors)
    return found


def _taken(field: Field, value: Any) -> Any:
    """As it is stored in JSON; None for nothing. Raises ValueError with the reason."""
    if value is None or (isinstance(value, str) and not value.strip()):
        return None
    match field.kind:
        case "flag":
            if not isinstance(value, bool):
                raise ValueError("must be true or false")
            return value
        case "count":
            if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= 9999:
                raise ValueError("must be a whole number from 0 to 9999")
            return value
        case "ground":
            codes = [one["code"] for one in grounds(field.article)]
            if value in codes:
                return codes.index(value) + 1
            if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= len(codes):
                raise ValueError(f"must be from 1 to {len(codes)}, or one of {', '.join(codes)}")
            return value
    if not isinstance(value, str):
        raise ValueError("must be text")
    if reason := unfit(value, field.longest):
        raise ValueError(reason)
    if field.kind == "text":
        return value.strip()
    try:
        moment = datetime.fromisoformat(value) if field.kind == "time" else date.fromisoformat(value)
    except ValueError:
        raise ValueError(
            "must be a day as 2026-11-03" if field.kind == "day" else "must be a time as 2026-11-03T09:30:00+08:00"
        ) from None
    if not 2000 <= moment.year <= 2100:
        raise ValueError("must lie between 2000 and 2100")
    if isinstance(moment, datetime):
        return (moment if moment.tzinfo else moment.replace(tzinfo=SHANGHAI)).isoformat()
    return moment.isoformat()


_OTHERS = """
SELECT DISTINCT l.id, l.body_cipher FROM matter m JOIN letter l ON l.id = m.letter_id
WHERE l.id <> $2 AND m.id IN (
  SELECT im.matter_id FROM incident_membership own JOIN incident_membership im ON im.incident_id = own.incident_id AND im.valid_to IS NULL
  WHERE own.matter_id = $1 AND own.valid_to IS NULL
  UNION ALL
  SELECT jm.matter_id FROM joint_member own JOIN joint_member jm ON jm.joint_matter_id = own.joint_matter_id WHERE own.matter_id = $1
) ORDER BY l.id DESC LIMIT $3
"""
# The law's own name says it, and so does that of the platform.
_REPORTED = re.compile(r"(?<!投诉)(?<!投诉/)举报")


async def _guard(
    connection: Connection, vault: Vault, form: Form, matter: Any, letter: Letter, given: Mapping[str, Any]
) -> None:  # fmt: skip
    """What officials write may name nobody whom its reader must not know. Raises Invalid with the field."""
    if form.audiences in (("bureau",), ("authority",)):
        return
    texts = {
        name: unicodedata.normalize("NFKC", v)
        for name, v in given.items()
        if isinstance(v, str) and form.fields[name].kind == "text"
    }
    if not texts:
        return
    errors = []
    if {"merchant", "parties"} & set(form.audiences):
        errors += [
            {"field": name, "message": "被投诉人收到的文书不得提及举报（第三十七条）"}
            for name, text in texts.items()
            if _REPORTED.search(text)
        ]
    own = {v for v in letter.body.personal_values() if v} | {r.__dict__.get("name") for r in letter.body.respondents}
    unsaid: set[str] = set()
    for row in await connection.fetch(_OTHERS, matter["id"], letter.id, _OTHERS_MOST):
        body = vault.decrypt_document(row["body_cipher"], str(row["id"]))
        for person in (body.get("complainant", {}), body.get("agent", {})):
            unsaid |= {v for k in ("name", "phone", "id_no", "wechat", "email") if len(v := person.get(k) or "") >= 2} - own
    for row in await connection.fetch(
        "SELECT i.id, i.title FROM incident_membership im JOIN incident i ON i.id = im.incident_id WHERE im.matter_id = $1 AND im.valid_to IS NULL",
        matter["id"],
    ):
        unsaid |= {str(row["id"]), row["title"]}
    errors += [
        {"field": name, "message": "提及了其他投诉人、举报人或者事件，该文书不得载明"}
        for name, text in texts.items()
        if any(unicodedata.normalize("NFKC", value) in text for value in unsaid if value)
    ]
    if errors:
        raise Invalid("; ".join(f"{e['field']}: {e['message']}" for e in errors), errors=errors)
