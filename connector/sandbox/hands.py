"""What either sandbox serves under /sandbox beside its own records: faults, calls, the webhook."""

from collections.abc import Callable
from dataclasses import asdict

from starlette.routing import Route

from connector.sandbox.faults import CommonFaults
from connector.sandbox.side import Side
from connector.sandbox.wire import Asked, BadRequest, Refuse, Told, Work, endpoint


class Hands:
    """For people with curl. Every method takes a request and gives its answer, or raises BadRequest."""

    def __init__(self, side: Side, faults: Callable[[], CommonFaults]) -> None:
        self._side = side
        self._faults = faults

    def faults(self, asked: Asked) -> Told:
        """What goes wrong now."""
        return Told(self._faults().told())

    def change_faults(self, asked: Asked) -> Told:
        """Set some faults and leave the others."""
        try:
            self._faults().change(asked.body)
        except ValueError as error:
            raise BadRequest(str(error)) from error
        return self.faults(asked)

    def clear_faults(self, asked: Asked) -> Told:
        """Nothing goes wrong any more."""
        self._faults().clear()
        return self.faults(asked)

    def calls(self, asked: Asked) -> Told:
        """API calls so far. `prefix` of the path and `writes_only` choose which are counted."""
        prefix, writes_only = asked.query.get("prefix", ""), asked.flag("writes_only")
        listed = [{**asdict(one), "write": one.write} for one in self._side.calls if one.path.startswith(prefix)]
        return Told({"count": self._side.count(prefix, writes_only), "calls": listed})

    def forget_calls(self, asked: Asked) -> Told:
        """Start counting anew."""
        self._side.calls.clear()
        return Told(status=204)

    def webhook(self, asked: Asked) -> Told:
        """Where webhooks go, and what became of them."""
        courier = self._side.courier
        counts = {"delivered": courier.delivered, "refused": courier.refused, "given_up": courier.given_up}
        return Told({"url": courier.url, "pending": courier.pending(), **counts})

    def aim_webhook(self, asked: Asked) -> Told:
        """Send webhooks there from now on."""
        url = asked.body.get("url")
        if url is not None and not (isinstance(url, str) and url.startswith(("http://", "https://"))):
            raise BadRequest("url must be an http address, or null to keep webhooks here")
        self._side.webhook_url = url
        return self.webhook(asked)


def common_routes(side: Side, faults: Callable[[], CommonFaults], refuse: Refuse) -> list[Route]:
    """The routes of `Hands`."""
    hands = Hands(side, faults)
    lines: list[tuple[str, str, Work]] = [
        ("GET", "/faults", hands.faults),
        ("PUT", "/faults", hands.change_faults),
        ("DELETE", "/faults", hands.clear_faults),
        ("GET", "/calls", hands.calls),
        ("DELETE", "/calls", hands.forget_calls),
        ("GET", "/webhook", hands.webhook),
        ("PUT", "/webhook", hands.aim_webhook),
    ]
    return [Route("/sandbox" + path, endpoint(work, refuse), methods=[method]) for method, path, work in lines]
