"""What a portal and an identity provider have in common: API calls that are counted, webhooks that go out."""

from connector.sandbox.courier import Courier, Event
from connector.sandbox.gate import Calls


class Side:
    """One side. calls: API calls so far, each with method, path template and status."""

    def __init__(self, courier: Courier) -> None:
        self.courier = courier
        self.calls = Calls()

    def count(self, prefix: str = "", writes_only: bool = False) -> int:
        """API calls whose path template starts with `prefix`; writes_only: those meant to change something."""
        return self.calls.count(prefix, writes_only)

    @property
    def webhook_url(self) -> str | None:
        """Where webhooks go; None keeps them here. May be set at any time."""
        return self.courier.url

    @webhook_url.setter
    def webhook_url(self, url: str | None) -> None:
        self.courier.url = url

    @property
    def events(self) -> list[Event]:
        """The newest 10,000 events, whether or not anybody was told."""
        return list(self.courier.events)

    def webhooks_pending(self) -> int:
        """Events not delivered yet, and not given up."""
        return self.courier.pending()

    def flush_webhooks(self, timeout: float = 10.0) -> bool:
        """Wait until nothing is pending. False when the time (seconds) is up first."""
        return self.courier.flush(timeout)

    def repeat_last_delivery(self) -> None:
        """Send the newest event once more, as senders do that missed an answer."""
        self.courier.repeat_last()
