"""Whose template counts: a stored one of the narrowest jurisdiction and the latest validity takes the shipped one's place."""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import lru_cache

from app import audit
from app.calendar import local_day
from app.codes import shipped
from app.database import Connection
from app.drawing import FORMS, check, get_form, shipped_source
from app.errors import Invalid, NotFound
from app.identity import new_id


@dataclass(frozen=True, slots=True)
class Template:
    """jurisdiction: '' for the shipped ones, which every bureau's own stands before. by: who put it there."""

    form: int
    jurisdiction: str
    content: str
    valid_from: date
    by: str
    hash: str
    created_at: datetime | None = None


def content_hash(content: str) -> str:
    return hashlib.sha256(content.encode()).hexdigest()[:16]


@lru_cache(maxsize=1)
def shipped_templates() -> tuple[Template, ...]:
    as_of = date.fromisoformat(shipped("documents/forms")["as_of"])
    found = ((number, shipped_source(str(number))) for number in FORMS)
    return tuple(Template(number, "", content, as_of, "shipped", content_hash(content)) for number, content in found)


class Templates:
    """All there are, to choose from."""

    def __init__(self, stored: Sequence[Template] = ()) -> None:
        self.all = (*shipped_templates(), *stored)

    def find(self, form: int, district: str, on: date) -> Template:
        """The narrowest jurisdiction's that is valid on the day, of those the latest."""
        valid = [t for t in self.all if t.form == form and t.valid_from <= on and district.startswith(t.jurisdiction)]
        # Nothing shipped is valid before the order itself: a document of those days is drawn with it all the same.
        return max(
            valid or [t for t in self.all if t.form == form and not t.jurisdiction],
            key=lambda t: (len(t.jurisdiction), t.valid_from, t.created_at or datetime.min.replace(tzinfo=UTC)),
        )

    def by_hash(self, digest: str) -> Template:
        found = next((t for t in self.all if t.hash == digest), None)
        if found is None:
            raise NotFound(f"no template {digest}")
        return found


async def load(connection: Connection) -> Templates:
    rows = await connection.fetch("SELECT * FROM document_template ORDER BY created_at, id")
    return Templates([
        Template(r["form"], r["jurisdiction"], r["content"], r["valid_from"], r["published_by"], r["hash"], r["created_at"]) for r in rows
    ])  # fmt: skip


async def publish(
    connection: Connection, form: int, content: str, *, jurisdiction: str, valid_from: date, by: str, now: datetime | None = None
) -> Template:
    """Puts a bureau's own template in force for its jurisdiction from a day on that is not past. The same again changes nothing.

    Raises Invalid, each error with the line it stands on.
    """
    if not re.fullmatch(r"\d{2,6}", jurisdiction):
        raise Invalid.field("jurisdiction", "must be a region code or its beginning, e.g. 4201")
    if valid_from < local_day(now or datetime.now(UTC)):
        raise Invalid.field("valid_from", "must not lie in the past")
    content = content.replace("\r\n", "\n")
    check(get_form(form), content)
    made = Template(form, jurisdiction, content, valid_from, by, content_hash(content))
    template_id = new_id()
    done = await connection.execute(
        "INSERT INTO document_template (id, form, jurisdiction, content, valid_from, published_by, hash) VALUES ($1, $2, $3, $4, $5, $6, $7) "
        "ON CONFLICT (form, jurisdiction, valid_from, hash) DO NOTHING",
        template_id, form, jurisdiction, content, valid_from, by, made.hash,
    )  # fmt: skip
    if not done.endswith(" 0"):
        await audit.record(connection, by, "publish", "document_template", [template_id], purpose=f"form {form}")
    return made
