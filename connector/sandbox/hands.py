"""What either sandbox serves under /sandbox beside its own records: faults, calls, the webhook."""

from collections.abc import Callable
from dataclasses import asdict

from starlette.routing import Route

from connector.sandbox.courier import Courier
from connector.sandbox.faults import CommonFaults
from connector.sandbox.gate import Calls
from connector.sandbox.wire import Asked, BadRequest, Refuse, Told, Work, endpoint


def common_routes(faults: Callable[[], CommonFaults], calls: Calls, courier: Courier, refuse: Refuse) -> list[Route]:
    """Routes for people with curl."""

    def change(asked: Asked) -> Told:
        try:
            faults().change(asked.body)
        except ValueError as error:
            raise BadRequest(str(error)) from error
        return Told(faults().told())

    def clear(asked: Asked) -> Told:
        faults().clear()
        return Told(faults().told())

    def counted(asked: Asked) -> Told:
        prefix, writes = asked.query.get("prefix", ""), asked.flag("writes_only")
        listed = [{**asdict(one), "write": one.write} for one in calls]
        return Told({"count": calls.count(prefix, writes), "calls": [one for one in listed if one["path"].startswith(prefix)]})

    def forget(asked: Asked) -> Told:
        calls.clear()
        return Told(status=204)

    def webhook(asked: Asked) -> Told:
        told = {"url": courier.url, "pending": courier.pending(), "delivered": courier.delivered}
        return Told({**told, "refused": courier.refused, "given_up": courier.given_up})

    def aim(asked: Asked) -> Told:
        url = asked.body.get("url")
        if url is not None and not (isinstance(url, str) and url.startswith(("http://", "https://"))):
            raise BadRequest("url must be an http address, or null to keep webhooks here")
        courier.url = url
        return webhook(asked)

    lines: list[tuple[str, str, Work]] = [
        ("GET", "/faults", lambda asked: Told(faults().told())),
        ("PUT", "/faults", change),
        ("DELETE", "/faults", clear),
        ("GET", "/calls", counted),
        ("DELETE", "/calls", forget),
        ("GET", "/webhook", webhook),
        ("PUT", "/webhook", aim),
    ]
    return [Route("/sandbox" + path, endpoint(work, refuse), methods=[method]) for method, path, work in lines]
