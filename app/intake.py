"""Receive once: one INSERT of the letter, idempotent by (source, external_id), committed before the answer."""

import hashlib
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Any, Literal, Self

import orjson
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, StrictBool, StrictInt, StringConstraints

from app.calendar import SHANGHAI, local_day
from app.database import Connection
from app.errors import DifferentContent
from app.identity import new_id
from app.privacy import Vault

MAX_TEXT = 50_000
MAX_AMOUNT_FEN = 10**13
EARLIEST = date(2000, 1, 1)
_CLOCK_SKEW = timedelta(minutes=10)


def _clean(value: str) -> str:
    if "\x00" in value:
        raise ValueError("must not hold NUL characters")
    try:
        value.encode()
    except UnicodeEncodeError:  # half a character, which no database takes
        raise ValueError("must be Unicode text") from None
    return value


def _blank_is_absent(value: object) -> object:
    return None if isinstance(value, str) and not value.strip() else value


def _zoned(value: datetime) -> datetime:
    """Input without a zone is Asia/Shanghai."""
    try:
        moment = (value if value.tzinfo else value.replace(tzinfo=SHANGHAI)).astimezone(UTC)
    except OverflowError:
        raise ValueError("is not a time this service can hold") from None
    if moment > datetime.now(UTC) + _CLOCK_SKEW:
        raise ValueError("must not lie in the future")
    if moment.astimezone(SHANGHAI).date() < EARLIEST:
        raise ValueError("must not lie before 2000-01-01")
    return moment


def _past_day(value: date) -> date:
    if value > local_day(datetime.now(UTC) + _CLOCK_SKEW):
        raise ValueError("must not lie in the future")
    if value < EARLIEST:
        raise ValueError("must not lie before 2000-01-01")
    return value


def _only_text(value: object) -> object:
    if value is not None and not isinstance(value, str | date):
        raise ValueError("must be text")
    return value


Clean = Annotated[str, StringConstraints(strict=True), AfterValidator(_clean)]
# Absent, or text of at most 60, 200 or 400 characters; blank is absent.
Word = Annotated[Annotated[Clean, Field(max_length=60)] | None, BeforeValidator(_blank_is_absent)]
Line = Annotated[Annotated[Clean, Field(max_length=200)] | None, BeforeValidator(_blank_is_absent)]
Place = Annotated[Annotated[Clean, Field(max_length=400)] | None, BeforeValidator(_blank_is_absent)]
Moment = Annotated[datetime | None, BeforeValidator(_blank_is_absent), BeforeValidator(_only_text)]
Instant = Annotated[datetime, BeforeValidator(_only_text), AfterValidator(_zoned)]
Day = Annotated[
    date | None,
    BeforeValidator(_blank_is_absent),
    BeforeValidator(_only_text),
    AfterValidator(lambda v: v if v is None else _past_day(v)),
]
Required = Annotated[str, StringConstraints(strict=True, strip_whitespace=True, min_length=1), AfterValidator(_clean)]


class _Shape(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Complainant(_Shape):
    name: Line = None
    phone: Word = None
    id_no: Word = None
    wechat: Line = None
    email: Line = None
    province: Word = None
    city: Word = None
    district: Word = None
    address: Place = None
    account: Line = Field(None, description="The portal's own id of the user")
    device: Line = Field(None, description="Used only where the deployment's impact assessment allows it")
    openid: Line = Field(None, description="As device")


class Agent(_Shape):
    name: Line = None
    phone: Word = None
    id_no: Word = None


class Respondent(_Shape):
    name: Line = None
    uscc: Word = Field(None, description="Unified social credit code")
    phone: Word = None
    address: Place = None
    platform: Line = None


class Consents(_Shape):
    publish: StrictBool | None = None
    delegate: StrictBool | None = None


class Categories(_Shape):
    """As the sending system filed it, in its own words: a hint, never the truth."""

    goods: Line = Field(None, description="e.g. 商品（产品）->家用电器->空调")
    problem: Line = Field(None, description="e.g. 投诉问题->质量->不合格")


class Attachment(_Shape):
    name: Annotated[str, StringConstraints(strict=True, min_length=1, max_length=255), AfterValidator(_clean)]
    size: Annotated[StrictInt, Field(ge=0, le=10**12)]
    sha256: Annotated[str, StringConstraints(strict=True, pattern="^[0-9a-fA-F]{64}$")]
    media_type: Annotated[str, StringConstraints(strict=True, max_length=100), AfterValidator(_clean)]


class Complaint(_Shape):
    """What a portal posts. Only external_id and text are required; what else is absent is answered in missing[]."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "external_id": "P-2026-000123",
                    "text": "11月20日在江城味火锅（光谷店）就餐，锅底里吃出蟑螂，店家拒绝退款。要求退款368元并赔偿。",
                    "channel": "app",
                    "event_date": "2026-11-20",
                    "product": "火锅",
                    "amount_fen": 36800,
                    "complainant": {"name": "张小明", "phone": "13812345678", "city": "武汉市", "district": "洪山区"},
                    "respondents": [{"name": "江城味火锅（光谷店）", "address": "武汉市洪山区珞喻路1号"}],
                    "consents": {"delegate": True},
                }
            ]
        },
    )

    external_id: Annotated[Required, StringConstraints(max_length=200)]
    text: Annotated[Required, StringConstraints(max_length=MAX_TEXT)]
    channel: Annotated[
        Annotated[Clean, Field(max_length=40, pattern=r"^[\w.+()-]+$")] | None, BeforeValidator(_blank_is_absent)
    ] = None
    received_at: Annotated[Moment, AfterValidator(lambda v: v if v is None else _zoned(v))] = None
    event_date: Annotated[
        date | None,
        BeforeValidator(_blank_is_absent),
        BeforeValidator(_only_text),
        AfterValidator(lambda v: v if v is None else _past_day(v)),
    ] = None
    product: Line = None
    amount_fen: Annotated[StrictInt, Field(ge=0, le=MAX_AMOUNT_FEN)] | None = None
    order_no: Line = None
    lot_no: Line = None
    chose_odr: StrictBool | None = None
    declared_kind: Literal["complaint", "report", "enquiry"] | None = Field(
        None, description="How the sending system registered it; the text decides between this and 'both'"
    )
    complainant: Complainant = Field(default_factory=Complainant)
    agent: Agent = Field(default_factory=Agent)
    respondents: Annotated[list[Respondent], Field(max_length=20)] = Field(default_factory=list)
    consents: Consents = Field(default_factory=Consents)
    categories: Categories = Field(default_factory=Categories)
    attachments: Annotated[list[Attachment], Field(max_length=50)] = Field(default_factory=list)

    def personal_values(self) -> list[str | None]:
        """Of the form, for masking where the text says them again."""
        people = (self.complainant.__dict__, self.agent.__dict__)
        return [p.get(k) for p in people for k in ("name", "phone", "id_no", "wechat", "email", "account", "address")]

    def content(self) -> dict[str, Any]:
        """Without what is absent: two ways to say nothing are the same letter."""
        dumped: dict[str, Any] = self.model_dump(mode="json", exclude_none=True, exclude_defaults=True)
        return {k: v for k, v in dumped.items() if v not in ({}, [])}


@dataclass(frozen=True, slots=True)
class Letter:
    """A letter with its body decrypted, as triage needs it. at: the event's time for history, else received_at."""

    id: uuid.UUID
    source: str
    channel: str
    received_at: datetime
    event_at: datetime
    history: bool
    body: Complaint

    @classmethod
    def make(cls, source: str, body: Complaint, *, now: datetime, history: bool) -> Self:
        received = body.received_at or now
        event = received
        if body.event_date and history:
            event = min(received, datetime.combine(body.event_date, datetime.min.time(), SHANGHAI).astimezone(UTC))
        return cls(new_id(), source, body.channel or "other", received, received if not history else event, history, body)


@dataclass(frozen=True, slots=True)
class Receipt:
    """created: False for the same body sent again."""

    letter_id: uuid.UUID
    created: bool
    state: str


def body_hash(content: dict[str, Any]) -> bytes:
    return hashlib.sha256(orjson.dumps(content, option=orjson.OPT_SORT_KEYS)).digest()


_INSERT = """
INSERT INTO letter (id, source, external_id, body_sha256, body_cipher, key_id, channel, received_at, event_at, imported_at,
                    history, state, next_attempt_at)
SELECT i, s, e, h, c, $6, ch, r, ev, im, hi, 'received', clock_timestamp() + make_interval(secs => $12)
FROM unnest($1::uuid[], $2::text[], $3::text[], $4::bytea[], $5::bytea[], $7::text[], $8::timestamptz[], $9::timestamptz[],
            $10::timestamptz[], $11::boolean[]) AS t(i, s, e, h, c, ch, r, ev, im, hi)
ON CONFLICT (source, external_id) DO NOTHING
RETURNING id
"""


async def receive(
    connection: Connection, vault: Vault, letters: Sequence[Letter], *, imported: bool = False, triage_after_seconds: float = 0
) -> list[Receipt | DifferentContent]:
    """One statement for all, in the order given. A letter known already gives its receipt again; one with other
    content under a known external id gives DifferentContent and changes nothing. triage_after_seconds: when a worker
    may take what the caller did not triage itself."""
    contents = [letter.body.content() for letter in letters]
    hashes = [body_hash(c) for c in contents]
    now = datetime.now(UTC)
    inserted = await connection.fetch(
        _INSERT,
        [x.id for x in letters], [x.source for x in letters], [x.body.external_id for x in letters], hashes,
        [vault.encrypt(c, str(x.id)) for c, x in zip(contents, letters, strict=True)], vault.key_id,
        [x.channel for x in letters], [x.received_at for x in letters], [x.event_at for x in letters],
        [now if imported else None] * len(letters), [x.history for x in letters], triage_after_seconds,
    )  # fmt: skip
    created = {r["id"] for r in inserted}
    attachments = [(x.id, a) for x in letters if x.id in created for a in x.body.attachments]
    if attachments:
        await connection.executemany(
            "INSERT INTO attachment (id, letter_id, name_cipher, key_id, size, sha256, media_type) VALUES ($1, $2, $3, $4, $5, $6, $7)",
            [
                (new_id(), letter_id, vault.encrypt(a.name, str(letter_id)), vault.key_id, a.size, a.sha256.lower(), a.media_type)
                for letter_id, a in attachments
            ],
        )
    answers: list[Receipt | DifferentContent] = []
    for letter, content, digest in zip(letters, contents, hashes, strict=True):
        if letter.id in created:
            answers.append(Receipt(letter.id, True, "received"))
            continue
        known = await connection.fetchrow(
            "SELECT id, body_sha256, body_cipher, state FROM letter WHERE source = $1 AND external_id = $2",
            letter.source, letter.body.external_id,
        )  # fmt: skip
        if known["body_sha256"] == digest:
            answers.append(Receipt(known["id"], False, known["state"]))
        else:
            stored = vault.decrypt_document(known["body_cipher"], str(known["id"]))
            changed = sorted(k for k in content.keys() | stored.keys() if content.get(k) != stored.get(k))
            answers.append(
                DifferentContent(
                    f"external_id {letter.body.external_id!r} was received with other content; send a supplement instead",
                    errors=[{"field": k, "message": "differs from the letter received before"} for k in changed],
                )
            )
    return answers


_LETTER = "SELECT id, source, channel, received_at, event_at, history, body_cipher FROM letter WHERE id = $1"


async def open_letter(connection: Connection, vault: Vault, letter_id: uuid.UUID) -> Letter:
    """Decrypts: only triage, the people who work on the case and the subject's own portal may call this."""
    row = await connection.fetchrow(_LETTER, letter_id)
    body = Complaint.model_construct(**_revive(vault.decrypt_document(row["body_cipher"], str(letter_id))))
    return Letter(row["id"], row["source"], row["channel"], row["received_at"], row["event_at"], row["history"], body)


def _revive(content: dict[str, Any]) -> dict[str, Any]:
    """Stored content was validated when it came; checking dates against today again would refuse old letters."""
    revived = dict(content)
    revived["complainant"] = Complainant.model_construct(**content.get("complainant", {}))
    revived["agent"] = Agent.model_construct(**content.get("agent", {}))
    revived["consents"] = Consents.model_construct(**content.get("consents", {}))
    revived["respondents"] = [Respondent.model_construct(**r) for r in content.get("respondents", [])]
    revived["attachments"] = [Attachment.model_construct(**a) for a in content.get("attachments", [])]
    if "event_date" in content:
        revived["event_date"] = date.fromisoformat(content["event_date"])
    if "received_at" in content:
        revived["received_at"] = datetime.fromisoformat(content["received_at"])
    return revived


_CLAIM = """
UPDATE letter SET attempts = attempts + 1,
       next_attempt_at = clock_timestamp() + make_interval(secs => least(5 * power(3, least(attempts, 8)), 3600))
WHERE id IN (SELECT id FROM letter WHERE state = 'received' AND next_attempt_at <= clock_timestamp()
             ORDER BY event_at, id LIMIT $1 FOR UPDATE SKIP LOCKED)
RETURNING id, attempts, event_at
"""


async def claim_untriaged(connection: Connection, limit: int) -> list[tuple[uuid.UUID, int]]:
    """(letter, attempts so far), oldest event first. The next attempt is set before the work begins, so a killed
    worker's letters come back by themselves."""
    rows = await connection.fetch(_CLAIM, limit)
    return [(r["id"], r["attempts"]) for r in sorted(rows, key=lambda r: (r["event_at"], r["id"]))]


async def take(connection: Connection, letter_id: uuid.UUID, state: str = "triaged", *, error: str | None = None) -> bool:
    """Marks a waiting letter and holds it for this transaction; False when it is triaged already. The mark is undone
    with everything else if the transaction fails."""
    status: str = await connection.execute(
        "UPDATE letter SET state = $2, next_attempt_at = NULL, last_error = $3 WHERE id = $1 AND state = 'received'",
        letter_id, state, error,
    )  # fmt: skip
    return status == "UPDATE 1"


async def note_failure(connection: Connection, letter_id: uuid.UUID, error: str, *, retry_now: bool = False) -> None:
    """error: the exception's class only; its text may hold personal data. retry_now: the next worker may take it."""
    await connection.execute(
        "UPDATE letter SET last_error = $2, next_attempt_at = CASE WHEN $3 THEN clock_timestamp() ELSE next_attempt_at END "
        "WHERE id = $1 AND state = 'received'",
        letter_id, error, retry_now,
    )  # fmt: skip


async def supplement(
    connection: Connection, vault: Vault, letter_id: uuid.UUID, kind: str, body: dict[str, Any], actor: str
) -> uuid.UUID:
    supplement_id = new_id()
    await connection.execute(
        "INSERT INTO supplement (id, letter_id, kind, body_cipher, key_id, actor) VALUES ($1, $2, $3, $4, $5, $6)",
        supplement_id, letter_id, kind, vault.encrypt(body, str(supplement_id)), vault.key_id, actor,
    )  # fmt: skip
    return supplement_id
