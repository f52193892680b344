"""Everything the service refuses, each a fact with its HTTP status.

TriageError
├── Invalid            422  a value that can't be taken, with the field's name
├── NotFound           404
├── Conflict           409
│   ├── DifferentContent    same external id, other content
│   └── LeaseLost           the lease ended or is another's
├── Unauthorised       401
├── Forbidden          403
└── Unavailable        503
"""

from collections.abc import Sequence


class TriageError(Exception):
    status = 500
    title = "Internal error"

    def __init__(self, detail: str = "", *, errors: Sequence[dict[str, str]] = ()) -> None:
        super().__init__(detail or self.title)
        self.detail = detail or self.title
        self.errors = list(errors)


class Invalid(TriageError):
    """A value that can't be taken. errors: [{field, message}]."""

    status = 422
    title = "Invalid value"

    @classmethod
    def field(cls, field: str, message: str) -> "Invalid":
        return cls(f"{field}: {message}", errors=[{"field": field, "message": message}])


class NotFound(TriageError):
    status = 404
    title = "Not found"


class Conflict(TriageError):
    status = 409
    title = "Conflict"


class DifferentContent(Conflict):
    title = "Same external id, other content"


class LeaseLost(Conflict):
    title = "The lease is lost"


class Unauthorised(TriageError):
    status = 401
    title = "Token missing, unknown, expired or revoked"


class Forbidden(TriageError):
    status = 403
    title = "Not allowed"


class Unavailable(TriageError):
    status = 503
    title = "Not available"
