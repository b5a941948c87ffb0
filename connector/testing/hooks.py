"""What the author of a provider fills in for the contract, and what its tests share."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from connector.errors import BadSignature, ConnectorError
from connector.model import Delivery
from connector.providers.base import Provider
from connector.testing.vendor import Reply, Request, Vendor

NOW = datetime(2026, 1, 1, tzinfo=UTC)


class Hooks:
    """What a subclass fills in. Each test makes its own provider, and its own vendor."""

    secrets: Sequence[str] = ()
    """All secrets the provider is configured with. None of them may show."""
    personal: Sequence[str] = ("ada.canary@example.com",)
    """What the vendor's user has that is personal. None of it may show in an error."""
    user_id = "u-1"
    """The user of the events, and the one user of the vendor."""
    email = "ada.canary@example.com"
    """This user's address at the vendor."""
    events: Mapping[str, bytes] = {}
    """Kind of event -> body of a delivery with one such event."""
    unknown: tuple[str, bytes] | None = None
    """Name and body of an event that the provider does not know."""
    proof: Sequence[str] = ()
    """Headers without which a delivery is nobody's."""
    signs_body = True
    """Whether the proof covers the body. Not so where the vendor sends the secret itself."""
    tolerance: timedelta | None = None
    """How old a delivery may be, where the vendor signs a time."""
    new: Mapping[str, Any] = {"email": "grace.canary@example.com", "first_name": "Grace"}
    """A user to create."""
    edit: Mapping[str, Any] = {"first_name": "Augusta"}
    """What is changed at the vendor's user."""
    cleared: Sequence[str] = ()
    """Fields that can be blanked."""
    purpose = "newsletter"
    """A consent that can be set."""
    membership = "press"
    """A membership that can be given and taken away."""

    def make(self, url: str) -> Provider:
        """The provider under test, with its API at `url`."""
        raise NotImplementedError

    def deliver(self, body: bytes, event: str, at: datetime, wrong: bool, number: int) -> Delivery:
        """The vendor's webhook request with this body.

        event: a kind of `events`, or the name in `unknown`; for vendors that tell it in a header or in the URL.
        at: when it is sent. wrong: signed with another secret. number: the vendor's number for it, where it has one.
        """
        raise NotImplementedError

    def vendor(self) -> Callable[[Request], Reply]:
        """A fresh vendor with one user, `user_id`."""
        return lambda request: Reply(404, {"error": "not found"})

    def page(self, cursor: str | None) -> Reply | None:
        """A page of a listing without users, with this cursor to the next one. None: the vendor's listings have no cursors."""
        return None

    # fixtures

    @pytest.fixture
    def world(self) -> Iterator[tuple[Provider, Vendor]]:
        """The provider and its vendor."""
        with Vendor(self.vendor()).running() as vendor:
            yield self.make(vendor.url), vendor

    @pytest.fixture
    def api(self, world: tuple[Provider, Vendor]) -> Provider:
        """The provider, with its vendor behind it."""
        return world[0]

    def _listener(self) -> Provider:
        return self.make("http://127.0.0.1:9")

    def _sent(self, kind: str = "", body: bytes | None = None, **more: Any) -> Delivery:
        if not self.events:
            pytest.skip("it has no webhooks")
        kind = kind or next(iter(self.events))
        told = {"event": kind, "at": NOW, "wrong": False, "number": 1, **more}
        return self.deliver(self.events[kind] if body is None else body, **told)

    def _silent(self, error: BaseException | None) -> None:
        """No secret and nothing personal in an error, nor in what it is chained to."""
        while error is not None:
            text = f"{error} {error!r}"
            assert not [one for one in (*self.secrets, *self.personal) if one in text], "an error tells what it must not"
            error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)

    def _error(self, call: Callable[[], Any], *errors: type[ConnectorError]) -> None:
        """A call fails in one of these ways, without telling what it must not."""
        try:
            found = call()
        except errors as error:
            self._silent(error)
        else:
            pytest.fail(f"no error, but {type(found).__name__}")

    def _refused(self, delivery: Delivery, now: datetime = NOW) -> None:
        self._error(lambda: self._listener().authenticate(delivery, now), BadSignature)
