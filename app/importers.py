"""Rows of other systems' exports as complaints: 12315 exports with their headers as they are, 12345 sheets, own tables.

A mapping is data (app/data/mappings or a file of one's own): which column is which field, what its values mean, which
headers recognise it. Nothing of a row is lost: columns that no field takes are kept with the letter.
"""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from importlib.resources import files
from typing import Any

from pydantic import ValidationError

from app import sheets
from app.calendar import SHANGHAI
from app.errors import Invalid
from app.intake import Complaint

_FIELDS = frozenset(
    [
        "external_id",
        "text",
        "received_at",
        "channel",
        "declared_kind",
        "event_date",
        "product",
        "amount_yuan",
        "amount_fen",
        "order_no",
        "lot_no",
        "complainant.name",
        "complainant.phone",
        "complainant.id_no",
        "complainant.wechat",
        "complainant.email",
        "complainant.province",
        "complainant.city",
        "complainant.district",
        "complainant.address",
        "complainant.account",
        "complainant.device",
        "complainant.openid",
        "agent.name",
        "agent.phone",
        "respondents.name",
        "respondents.uscc",
        "respondents.phone",
        "respondents.address",
        "respondents.platform",
        "categories.goods",
        "categories.problem",
    ]
)


# What another system may say of a letter. waiting: not decided on yet; ended: closed there, however.
STATES = frozenset(
    {"waiting", "accepted", "agreed", "terminated", "withdrawn", "not_accepted", "case_opened", "case_not_opened", "ended"}
)
_SUMS = ("recovered", "fine", "confiscated")
_STATUS_ROLES = ("as_of", "accepted_at", "ended_at", "handler", "kept", *(f"{name}_yuan" for name in _SUMS))


@dataclass(frozen=True, slots=True)
class StatusMapping:
    """Columns that say what became of a letter there. authority: platform (its word is followed) or partner (it is only compared).
    columns: role -> their columns. values: column -> value -> (state, outcome)."""

    authority: str
    columns: Mapping[str, tuple[str, ...]]
    values: Mapping[str, Mapping[str, tuple[str, str | None]]]

    @property
    def all_columns(self) -> frozenset[str]:
        return frozenset(self.values) | {c for cs in self.columns.values() for c in cs}


@dataclass(frozen=True, slots=True)
class Status:
    """What one row says. state: None where nothing of it is known, or its columns contradict each other. as_of: the row's own time.
    Sums in fen. unknown: (column, value) that the mapping does not know. columns: as they are."""

    authority: str
    state: str | None
    outcome: str | None
    as_of: datetime | None
    accepted_at: datetime | None
    ended_at: datetime | None
    sums: Mapping[str, int | None]
    handler: str | None
    unknown: tuple[tuple[str, str], ...]
    columns: Mapping[str, str]


@dataclass(frozen=True)
class ColumnMapping:
    """fields: ours -> their columns, joined where several hold something (text) or the first that does (else)."""

    name: str
    requires: tuple[str, ...]
    fields: Mapping[str, tuple[str, ...]]
    values: Mapping[str, Mapping[str, str | None]] = field(default_factory=dict)
    constants: Mapping[str, str] = field(default_factory=dict)
    status: StatusMapping | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """number: of the row in the file, the header being 1. body None: rejected for reasons. rest: columns no field took. status: None where
    the row says nothing of what became of it."""

    number: int
    body: Complaint | None
    reasons: tuple[str, ...]
    rest: dict[str, str]
    status: Status | None = None


def load_mapping(raw: Mapping[str, Any]) -> ColumnMapping:
    unknown = set(raw["fields"]) - _FIELDS
    if unknown:
        raise Invalid.field("fields", f"unknown: {', '.join(sorted(unknown))}")
    fields = {k: tuple([v] if isinstance(v, str) else v) for k, v in raw["fields"].items()}
    return ColumnMapping(
        raw["name"],
        tuple(raw.get("requires", ())),
        fields,
        raw.get("values", {}),
        raw.get("constants", {}),
        _status_mapping(raw.get("status")),
    )


def _status_mapping(raw: Mapping[str, Any] | None) -> StatusMapping | None:
    if raw is None:
        return None
    if raw.get("authority") not in ("platform", "partner"):
        raise Invalid.field("status.authority", "must be platform or partner")
    values: dict[str, dict[str, tuple[str, str | None]]] = {}
    for column, meanings in raw.get("values", {}).items():
        for value, meaning in meanings.items():
            if meaning.get("state") not in STATES:
                raise Invalid.field(f"status.values.{column}.{value}", f"must be one of {', '.join(sorted(STATES))}")
            values.setdefault(column, {})[value] = (meaning["state"], meaning.get("outcome"))
    columns = {role: tuple([c] if isinstance(c := raw[role], str) else c) for role in _STATUS_ROLES if role in raw}
    return StatusMapping(raw["authority"], columns, values)


def shipped_mappings() -> list[ColumnMapping]:
    folder = files("app") / "data" / "mappings"
    return [
        load_mapping(json.loads(f.read_text("utf-8")))
        for f in sorted(folder.iterdir(), key=lambda f: f.name)
        if f.name.endswith(".json")
    ]


def choose(headers: list[str], mappings: list[ColumnMapping]) -> ColumnMapping:
    """The mapping that recognises the most headers. Raises Invalid with the headers seen."""
    fitting = [m for m in mappings if m.requires and set(m.requires) <= set(headers)]
    if not fitting:
        raise Invalid(
            "no mapping fits the columns "
            + ", ".join(headers[:30])
            + "; give one with --mapping FILE or --columns ours=theirs,...",
            errors=[{"field": "columns", "message": "not recognised"}],
        )
    return max(fitting, key=lambda m: sum(c in headers for cs in m.fields.values() for c in cs))


def rows(table: Iterator[list[Any]], mapping: ColumnMapping, headers: list[str], *, received_on: date | None) -> Iterator[Row]:
    """Every row that holds anything, in file order: a complaint, or the reasons why not."""
    for number, cells in enumerate(table, 2):
        values = {h: _text(v) for h, v in zip(headers, cells, strict=False) if h and _text(v)}
        if values:
            yield _row(number, values, mapping, received_on)


def _row(number: int, values: dict[str, str], mapping: ColumnMapping, received_on: date | None) -> Row:
    reasons: list[str] = []
    taken: set[str] = set()
    body: dict[str, Any] = dict(mapping.constants)
    parts: dict[str, dict[str, Any]] = {}
    for name, columns in mapping.fields.items():
        present = [c for c in columns if c in values]
        if not present:
            continue
        taken.update(present if name == "text" else present[:1])
        value = _joined([values[c] for c in present]) if name == "text" else values[present[0]]
        if name in mapping.values:
            translated = mapping.values[name].get(value, value if name == "channel" else None)
            if translated is None:
                taken.discard(present[0])
                continue
            value = translated
        if set(value) <= {"*"}:  # exports mask addresses as *****
            continue
        if "." in name:
            group, _, key = name.partition(".")
            parts.setdefault(group, {})[key] = value
        elif name in ("received_at", "event_date"):
            moment = parse_time(value)
            if moment is None:
                reasons.append(f"{present[0]}: {value!r} is not a time")
            else:
                body[name] = moment.isoformat() if name == "received_at" else moment.date().isoformat()
        elif name in ("amount_yuan", "amount_fen"):
            amount = _amount(value, 100 if name == "amount_yuan" else 1)
            if amount is not None:
                body["amount_fen"] = amount
            else:
                taken.discard(present[0])
        else:
            body[name] = value
    if "received_at" not in body and received_on is not None:
        body["received_at"] = datetime.combine(received_on, datetime.min.time(), SHANGHAI).isoformat()
    if "received_at" not in body and not reasons:
        reasons.append("no time of receipt; give --received-on for the whole file")
    for group, found in parts.items():
        body[group] = [found] if group == "respondents" else found
    if "external_id" not in body and body.get("text"):
        # A table without numbers: the row's own content names it, so importing it twice is still once.
        body["external_id"] = hashlib.sha256(json.dumps(values, ensure_ascii=False, sort_keys=True).encode()).hexdigest()[:24]
    if reasons:
        return Row(number, None, tuple(reasons), {})
    try:
        complaint = Complaint.model_validate(body)
    except ValidationError as error:
        found_errors = error.errors(include_url=False, include_input=False, include_context=False)
        reasons = [f"{'.'.join(str(p) for p in e['loc'])}: {e['msg'].removeprefix('Value error, ')}" for e in found_errors]
        return Row(number, None, tuple(reasons), {})
    status = read_status(values, mapping.status) if mapping.status else None
    return Row(number, complaint, (), {c: v for c, v in values.items() if c not in taken}, status)


def read_status(values: Mapping[str, str], mapping: StatusMapping) -> Status | None:
    """None where no status column holds anything. Of several columns the furthest counts: 已受理 and 已办结 is ended; two ends that
    differ (不予受理 and 达成调解协议) are told as unknown."""
    columns = {c: values[c] for c in sorted(mapping.all_columns) if c in values}
    said = [(c, v) for c in mapping.values if (v := columns.get(c))]
    if not columns:
        return None
    unknown = [(c, v) for c, v in said if v not in mapping.values[c]]
    known = [mapping.values[c][v] for c, v in said if v in mapping.values[c]]
    ends = {state for state, _ in known if state not in ("waiting", "accepted", "case_opened", "ended")}
    state = None
    if len(ends) > 1:
        unknown += [(c, v) for c, v in said if mapping.values[c].get(v, ("",))[0] in ends]
    else:
        state = next(iter(ends), None) or next(
            (s for s in ("ended", "case_opened", "accepted", "waiting") if s in {k for k, _ in known}), None
        )

    def first(role: str) -> str | None:
        return next((columns[c] for c in mapping.columns.get(role, ()) if c in columns), None)

    def moment(role: str) -> datetime | None:
        found = parse_time(written) if (written := first(role)) else None
        return found if found is not None and found <= datetime.now(SHANGHAI) else None

    return Status(
        mapping.authority, state, next((o for s, o in known if o and state in (s, "ended")), None), moment("as_of"), moment("accepted_at"),
        moment("ended_at"), {name: _amount(v, 100) if (v := first(f"{name}_yuan")) else None for name in _SUMS},
        "，".join(columns[c] for c in mapping.columns.get("handler", ()) if c in columns) or None, tuple(unknown), columns,
    )  # fmt: skip


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, datetime):
        return value.isoformat(sep=" ", timespec="seconds")
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value).strip()


def _joined(texts: list[str]) -> str:
    """Title and body as one text; a body that begins with its title is not said twice."""
    kept = [re.sub(r"\s*\n\s*", "\n", t).strip() for t in texts]
    return "。".join(t for i, t in enumerate(kept) if t and not any(o.startswith(t) for o in kept[i + 1 :]))


def parse_time(value: str) -> datetime | None:
    """In Asia/Shanghai where no zone is said."""
    return sheets.parse_time(value, SHANGHAI)


def _amount(value: str, factor: int) -> int | None:
    try:
        fen = round(float(value.replace(",", "").removesuffix("元")) * factor)
    except (ValueError, OverflowError):
        return None
    return fen if fen >= 0 else None
