"""Every error the connector raises on purpose. The branch says what happens next.

Messages name the side, the record id and the property, never a person's data.

ConnectorError
├── Transient            the same call may work later
│   ├── Unavailable          timeout, connection refused, 5xx: retried with backoff
│   └── Paused               the side asks everybody to wait (429, 423, 477) or refuses our credentials (401, 403):
│       │                    work waits `retry_in` seconds and no attempt is used up
│       └── Denied           the token's scopes or the account's tier do not allow this one part; the rest goes on
└── Permanent            the same call will fail again: parked, a person looks
    ├── BadSignature         a webhook that is unsigned, forged or stale: answered 401, never stored
    ├── BadDelivery          signed, but not in the documented shape: quarantined
    ├── TooManyItems         signed, but more items than one delivery may carry: answered 413
    ├── Missing              the record is gone on that side
    ├── Stale                the record changed since it was read (HTTP 412): read it again
    ├── Exists               a record with this unique value is already there; `record_id` names it when the side said so
    ├── Rejected             the remote side refused the request or a value
    ├── ConfigError          configuration or mapping we cannot work with: exit 3
    ├── Braked               stopped by a safety brake before the first effect: exit 5
    ├── Locked               another instance holds the lock: exit 6
    └── Fenced               another worker, or another link, sees to this by now: nothing is written or recorded
"""

from collections.abc import Mapping, Sequence


class ConnectorError(Exception):
    """Base of everything raised on purpose."""


class Transient(ConnectorError):
    """The same call may work later. `retry_in` is seconds, 0 when the side did not say."""

    def __init__(self, message: str, retry_in: float = 0) -> None:
        super().__init__(message)
        self.retry_in = retry_in


class Unavailable(Transient):
    """Timeout, connection refused, 5xx."""


class Paused(Transient):
    """The whole side waits: rate limit, lock, migration, or credentials it does not accept."""


class Late(Paused):
    """Nothing was written: by the time it could be, what it was decided on may have changed. Read again and decide anew."""


class Forbidden(Paused):
    """A provider lets us in, but not do this (403). Mostly that is so of every call; where it may be about this one, it is taken
    for a refusal.
    """


class Denied(Paused):
    """One part of the CRM is closed to us until somebody grants a scope or changes the tier. The message names the way out."""


class Permanent(ConnectorError):
    """The same call will fail again."""


class BadSignature(Permanent):
    """A webhook that is unsigned, forged, stale or from the future. `code` is for the answer: no detail for a forger."""

    def __init__(self, message: str, code: str = "signature") -> None:
        super().__init__(message)
        self.code = code


class BadDelivery(Permanent):
    """A correctly signed delivery or item that is not in the documented shape."""


class TooManyItems(BadDelivery):
    """A correctly signed delivery with more items than one may carry."""


class Missing(Permanent):
    """The record is gone on that side."""


class Stale(Permanent):
    """The record changed since it was read; read it again and decide anew."""


class Exists(Permanent):
    """A record with this unique value is already there."""

    def __init__(self, message: str, record_id: str | None = None) -> None:
        super().__init__(message)
        self.record_id = record_id


class Rejected(Permanent):
    """The remote side refused the request.

    refused: property or field -> why, for those the side named; empty when it named none.
    """

    def __init__(self, message: str, refused: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.refused = dict(refused or {})


class ConfigError(Permanent):
    """Configuration or mapping we cannot work with. Each finding is one line that says where, what, and the way out."""

    def __init__(self, findings: Sequence[str] | str) -> None:
        self.findings = [findings] if isinstance(findings, str) else list(findings)
        super().__init__("\n".join(self.findings))


class Braked(Permanent):
    """Stopped by a safety brake before the first effect."""


class Locked(Permanent):
    """Another instance holds the lock."""


class Fenced(Permanent):
    """Another worker, or another link, sees to this by now."""
