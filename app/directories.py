"""Who can take a complaint besides the bureau: the roster of ODR enterprises, by validity."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from app.database import Connection


@dataclass(frozen=True, slots=True)
class OdrStatus:
    """live: None when the merchant's code is unknown or no roster is loaded, so nobody can say."""

    live: bool | None
    reply_rate: float | None = None


async def odr_status(connection: Connection, usccs: Sequence[str], on: date) -> OdrStatus:
    if not usccs:
        return OdrStatus(None)
    row = await connection.fetchrow(
        "SELECT (SELECT count(*) FROM (SELECT 1 FROM odr_enterprise LIMIT 1) AS any_row) AS loaded, "
        "(SELECT max(coalesce(reply_rate, 1)) FROM odr_enterprise WHERE uscc = ANY($1) AND valid_from <= $2 "
        " AND (valid_to IS NULL OR valid_to >= $2)) AS reply_rate",
        list(usccs), on,
    )  # fmt: skip
    if not row["loaded"]:
        return OdrStatus(None)
    return OdrStatus(row["reply_rate"] is not None, row["reply_rate"])
