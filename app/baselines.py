"""What a merchant is used to: whether an incident holds more people than its merchant's own rate would bring."""

import uuid
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from app.database import Connection

HISTORY_DAYS = 365
_LOOKED_AT = 2_000  # of a merchant's latest complaints before the incident: enough for a rate, and bounded
_LEAST_DAYS = 30.0
# A merchant's days are not alike: its counts are spread wider than Poisson's.
_SHAPE = 2.0

_BEFORE = """
SELECT i.merchant_id, i.first_at, greatest(i.last_at, i.first_at) AS last_at, i.people_complaints, b.people, b.since
FROM incident i LEFT JOIN LATERAL (
  SELECT count(DISTINCT coalesce(cm.complainant_id, m.letter_id)) AS people, min(m.received_at) AS since FROM (
    SELECT id, letter_id, received_at FROM matter
    WHERE merchant_id = i.merchant_id AND lane = 'complaint' AND copy_of IS NULL AND received_at < i.first_at AND received_at >= i.first_at - $2::interval
    ORDER BY received_at DESC LIMIT $3
  ) AS m
  LEFT JOIN party p ON p.matter_id = m.id AND p.role IN ('filer', 'principal')
  LEFT JOIN complainant_membership cm ON cm.record_id = p.record_id AND cm.valid_to IS NULL
) AS b ON true WHERE i.id = $1
"""


def probability(thresholds: Mapping[str, float]) -> float:
    """The chance below which a number is no chance any more, as the policy says."""
    return thresholds.get("cluster.excess_probability", 0.01)


async def exceeds(
    connection: Connection, incident_id: uuid.UUID, people: int, *, probability: float
) -> tuple[bool, dict[str, Any]]:
    """(whether so many people are more than chance at the merchant's own rate, the figures behind it). An incident without a merchant,
    or of one nobody complained about before, always is. probability: of so many or more at the usual rate, below which it is more."""
    from ml.bursts import tail

    row = await connection.fetchrow(_BEFORE, incident_id, timedelta(days=HISTORY_DAYS), _LOOKED_AT)
    if row is None or row["merchant_id"] is None or not row["people"]:
        return True, {"people": people, "expected": 0.0}
    days = max(_days(row["since"], row["first_at"]), _LEAST_DAYS)
    rate = row["people"] / days
    expected = rate * max(_days(row["first_at"], row["last_at"]), 1.0)
    chance = float(tail(people, expected, _SHAPE))
    return chance < probability, {
        "people": people,
        "expected": round(expected, 2),
        "per_day": round(rate, 4),
        "chance": round(chance, 6),
    }


def _days(start: datetime, end: datetime) -> float:
    return (end - start).total_seconds() / 86400
