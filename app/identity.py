"""Who calls: opaque tokens, stored as hashes, bound to a subject, roles, jurisdictions, sources and skills."""

import hashlib
import secrets
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import uuid_utils.compat as uuid_utils

from app.database import Connection, Database
from app.errors import Forbidden, Invalid, Unauthorised

ROLES = ("portal", "intake", "mediator", "supervisor", "analyst", "policy", "auditor", "admin")
# A partner's token says no more than whose it is; it is made where partners are registered.
PARTNER = "partner"
# The skill that clears a mediator for reports.
CLUE = "clue"
_PREFIX = "triage_"
_CACHE_SECONDS = 5.0


def new_id() -> uuid.UUID:
    """Time-ordered (version 7), so that primary keys arrive in index order."""
    return uuid_utils.uuid7()


def drawn(id_: uuid.UUID, share: float) -> bool:
    """The random part of a time-ordered id draws: nobody can choose who is looked at."""
    return (id_.int & 0xFFFF) < share * 0x10000


@dataclass(frozen=True, slots=True)
class Principal:
    """jurisdictions: region code prefixes ('42' is the province, '4201' a city); sources: whose letters a portal sees;
    partner_id: of a partner, whose hand-overs alone it sees."""

    subject: str
    natural_person: bool
    roles: frozenset[str]
    jurisdictions: tuple[str, ...]
    sources: tuple[str, ...]
    skills: tuple[str, ...]
    partner_id: uuid.UUID | None = None

    def require(self, *roles: str) -> None:
        if not self.roles & {*roles, "admin"}:
            raise Forbidden(f"needs one of the roles {', '.join(roles)}")

    def require_person(self, what: str = "do this") -> None:
        """what: in the words of the refusal."""
        if not self.natural_person:
            raise Forbidden(f"a person must {what}; a machine's token can't")

    def has(self, *roles: str) -> bool:
        return bool(self.roles & set(roles))

    @property
    def lanes(self) -> tuple[str, ...]:
        """That a report exists is only for those who work on reports (Art. 37): of the mediators those who have the skill `clue`."""
        cleared = self.has("analyst", "supervisor", "intake", "auditor", "admin") or (
            self.has("mediator") and CLUE in self.skills
        )
        return ("complaint", "report", "other") if cleared else ("complaint", "other")

    def covers(self, district: str) -> bool:
        """district: a matter's; where no place was found, the whole jurisdiction's code, for its own people to sort."""
        return any(district.startswith(j) for j in self.jurisdictions)


class Identity:
    """Looks tokens up, remembering each for a few seconds: a revoked token works at most that much longer."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._known: dict[bytes, tuple[float, Principal]] = {}

    async def authenticate(self, token: str) -> Principal:
        digest = hashlib.sha256(token.encode("utf-8", "replace")).digest()
        known = self._known.get(digest)
        now = time.monotonic()
        if known and known[0] > now:
            return known[1]
        async with self._database.connection() as connection:
            row = await connection.fetchrow(
                "SELECT * FROM api_token WHERE token_sha256 = $1 AND revoked_at IS NULL AND expires_at > clock_timestamp()",
                digest,
            )
        if row is None:
            self._known.pop(digest, None)
            raise Unauthorised
        principal = Principal(
            row["subject"], row["natural_person"], frozenset(row["roles"]),
            tuple(row["jurisdictions"]), tuple(row["sources"]), tuple(row["skills"]), row["partner_id"],
        )  # fmt: skip
        if len(self._known) > 10_000:
            self._known.clear()
        self._known[digest] = (now + _CACHE_SECONDS, principal)
        return principal


async def issue(
    connection: Connection, subject: str, roles: Sequence[str], *, natural_person: bool, jurisdictions: Sequence[str],
    sources: Sequence[str] = (), skills: Sequence[str] = (), days: int = 365,
) -> str:  # fmt: skip
    """A new token, shown once. A portal's token is bound to at least one source."""
    unknown = set(roles) - set(ROLES)
    if unknown or not roles:
        raise Invalid.field("roles", f"unknown: {', '.join(sorted(unknown)) or 'none given'}; known: {', '.join(ROLES)}")
    if "portal" in roles and not sources:
        raise Invalid.field("sources", "a portal token needs a source")
    return await _issue(connection, subject, roles, natural_person, jurisdictions, sources, skills, None, days)


async def find_person(connection: Connection, subject: str) -> Principal | None:
    """A natural person as his tokens that work now make him; None where there is none."""
    rows = await connection.fetch(
        "SELECT roles, jurisdictions, sources, skills FROM api_token WHERE subject = $1 AND natural_person AND partner_id IS NULL "
        "AND revoked_at IS NULL AND expires_at > clock_timestamp()",
        subject,
    )
    if not rows:
        return None

    def all_of(name: str) -> tuple[str, ...]:
        return tuple(sorted({value for row in rows for value in row[name]}))

    return Principal(subject, True, frozenset(all_of("roles")), all_of("jurisdictions"), all_of("sources"), all_of("skills"))


async def is_known(connection: Connection, subject: str) -> bool:
    """Whether a natural person of that name has or ever had a token."""
    return bool(
        await connection.fetchval(
            "SELECT EXISTS (SELECT FROM api_token WHERE subject = $1 AND natural_person AND partner_id IS NULL)", subject
        )
    )


async def issue_to_partner(connection: Connection, partner_id: uuid.UUID, *, days: int = 365) -> str:
    """A partner's new token, shown once; those it had stop within seconds."""
    subject = f"{PARTNER}:{partner_id}"
    await revoke(connection, subject)
    return await _issue(connection, subject, [PARTNER], False, (), (), (), partner_id, days)


async def _issue(
    connection: Connection, subject: str, roles: Sequence[str], natural_person: bool, jurisdictions: Sequence[str],
    sources: Sequence[str], skills: Sequence[str], partner_id: uuid.UUID | None, days: int,
) -> str:  # fmt: skip
    token = _PREFIX + secrets.token_urlsafe(32)
    await connection.execute(
        "INSERT INTO api_token (id, token_sha256, subject, natural_person, roles, jurisdictions, sources, skills, partner_id, expires_at) "
        "VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
        new_id(), hashlib.sha256(token.encode()).digest(), subject, natural_person, list(roles),
        list(jurisdictions), list(sources), list(skills), partner_id, datetime.now(UTC) + timedelta(days=days),
    )  # fmt: skip
    return token


async def revoke(connection: Connection, subject: str) -> int:
    rows = await connection.fetch(
        "UPDATE api_token SET revoked_at = clock_timestamp() WHERE subject = $1 AND revoked_at IS NULL RETURNING id", subject
    )
    return len(rows)
