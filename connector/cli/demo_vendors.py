"""`demo --providers`: vendors of the sandbox beside the demo's own identity provider, and what their customers do."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any

import typer

from connector.cli.traffic import Step

Done = Callable[[], bool]
KNOWN = ("memberstack", "shopify")
PEOPLE = (("Grace", "Hopper"), ("Emmy", "Noether"), ("Sofia", "Kovalevskaya"), ("Hedy", "Lamarr"))


def named(text: str) -> list[str]:
    """The kinds in `--providers a,b`. Raises BadParameter."""
    names = list(dict.fromkeys(one.strip() for one in text.split(",") if one.strip()))
    if unknown := [one for one in names if one not in KNOWN]:
        raise typer.BadParameter(f"--providers: there are {', '.join(KNOWN)}; not {', '.join(unknown)}")
    return names


class Vendors:
    """The vendors of one demo, each at an address of its own, and what arrived so far."""

    def __init__(self, kinds: Sequence[str], portal: Any) -> None:
        self._vendors = [_MAKERS[kind](portal) for kind in kinds]
        self._arrived = {(one.kind, side): 0 for one in self._vendors for side in ("user", "crm")}

    def providers(self, files: Path) -> dict[str, dict[str, Any]]:
        """Their part of the configuration. files: where the mappings are."""
        return {
            one.kind: {"kind": one.kind, "mapping": str(files / f"{one.kind}.yaml"), **one.settings()} for one in self._vendors
        }

    def aim(self, url: str) -> Iterator[str]:
        """Have them tell the connector at this address; what they are and where, in lines for people."""
        for one in self._vendors:
            one.side.webhook_url = f"{url}/webhooks/identity/{one.kind}"
            yield f"  {one.kind + ' sandbox':<20} {one.server.url}"

    def steps(self, others: Iterator[Step]) -> Iterator[Step]:
        """What happens at each of them and elsewhere, in turn."""
        told = [self._counted(one) for one in self._vendors]
        for turn in zip_longest(others, *told):
            yield from (step for step in turn if step is not None)

    def both_ways(self) -> bool:
        """Whether from each of them a change arrived, and one went back."""
        return all(self._arrived.values())

    def stop(self) -> None:
        """Take them down."""
        for one in self._vendors:
            one.server.stop()

    def _counted(self, vendor: "_Vendor") -> Iterator[Step]:
        for step in vendor.steps():
            yield Step(step.side, f"{step.who} ({vendor.kind})", step.what, step.do, self._noting(vendor.kind, step))

    def _noting(self, kind: str, step: Step) -> Done:
        def arrived() -> bool:
            found = step.arrived()
            self._arrived[kind, step.side] += found
            return found

        return arrived


class _Vendor(ABC):
    """One vendor. What differs is how its customers register, edit, consent and take up something."""

    kind = ""
    typology = ("", "", "")
    """What they take up: at the vendor, the contact's property, and its option."""

    def __init__(self, side: Any, portal: Any) -> None:
        from connector.sandbox.server import serve

        self.side = side
        self.server = serve(side.app)
        self._portal = portal

    @abstractmethod
    def settings(self) -> Mapping[str, Any]:
        """Its entry under `providers`."""

    @abstractmethod
    def register(self, first: str, last: str, email: str) -> str:
        """Somebody becomes a customer there. Returns the id."""

    @abstractmethod
    def rename(self, user_id: str, first: str) -> None:
        """The customer changes the first name."""

    @abstractmethod
    def subscribe(self, user_id: str) -> None:
        """The customer agrees to the newsletter."""

    @abstractmethod
    def take_up(self, user_id: str) -> None:
        """The customer takes up the `typology`."""

    @abstractmethod
    def last_name(self, user_id: str) -> str | None:
        """What the vendor has as somebody's last name."""

    def steps(self) -> Iterator[Step]:
        """One life after the other; both directions show with the first two steps."""
        for first, last in PEOPLE:
            yield from self._life(first, last)

    def _life(self, first: str, last: str) -> Iterator[Step]:
        who, email, ids = f"{first} {last}", f"{first}.{last}@{self.kind}.example.com".lower(), [""]
        _, name, option = self.typology

        def contact() -> dict[str, Any]:
            return self._portal.contact(email) or {}

        def told(name: str) -> str:
            return (contact().get("properties") or {}).get(name) or ""

        def register() -> None:
            ids[0] = self.register(first, last, email)

        yield Step("user", who, "registers", register, lambda: told("lastname") == last)
        yield Step(
            "crm", who, "marries; sales hears first", lambda: self._portal.edit(contact()["id"], {"lastname": "Moss"}),
            lambda: self.last_name(ids[0]) == "Moss",
        )  # fmt: skip
        yield Step(
            "user", who, "is called Bee from now on", lambda: self.rename(ids[0], "Bee"), lambda: told("firstname") == "Bee"
        )
        yield Step(
            "user", who, "subscribes to the newsletter", lambda: self.subscribe(ids[0]),
            lambda: self._portal.subscription(email, "Newsletter") == "SUBSCRIBED",
        )  # fmt: skip
        yield Step("user", who, f"becomes {option}", lambda: self.take_up(ids[0]), lambda: option in told(name))
        yield Step("user", who, "closes the account", lambda: self.side.remove(ids[0]), lambda: not contact())


class _Memberstack(_Vendor):
    kind = "memberstack"
    typology = ("pln_gold", "member_plans", "Gold")

    def __init__(self, portal: Any) -> None:
        from connector.sandbox.vendors.memberstack import Memberstack

        super().__init__(Memberstack(), portal)

    def settings(self) -> Mapping[str, Any]:
        consents = {"newsletter": {"field": "newsletter", "at": "newsletter-at", "source": "newsletter-from"}}
        return {"api_url": self.server.url, "api_key": self.side.key, "webhook_secret": self.side.secret, "consents": consents}

    def register(self, first: str, last: str, email: str) -> str:
        return str(self.side.register({"email": email, "customFields": {"first-name": first, "last-name": last}}))

    def rename(self, user_id: str, first: str) -> None:
        self.side.edit(user_id, {"customFields": {"first-name": first}})

    def subscribe(self, user_id: str) -> None:
        at = self.side.member(user_id)["createdAt"]
        self.side.edit(user_id, {"customFields": {"newsletter": True, "newsletter-at": at, "newsletter-from": "private area"}})

    def take_up(self, user_id: str) -> None:
        self.side.add_plan(user_id, self.typology[0])

    def last_name(self, user_id: str) -> str | None:
        return ((self.side.member(user_id) or {}).get("customFields") or {}).get("last-name")


class _Shopify(_Vendor):
    kind = "shopify"
    typology = ("vip", "shop_tags", "VIP")

    def __init__(self, portal: Any) -> None:
        from connector.sandbox.vendors.shopify import Shopify

        super().__init__(Shopify(), portal)

    def settings(self) -> Mapping[str, Any]:
        from connector.sandbox.vendors import shopify

        url = self.server.url + shopify.PATH.format(version=shopify.VERSION)
        return {"api_url": url, "api_key": self.side.token, "webhook_secret": self.side.secret, "shop": shopify.SHOP}

    def register(self, first: str, last: str, email: str) -> str:
        return str(self.side.register({"email": email, "firstName": first, "lastName": last}))

    def rename(self, user_id: str, first: str) -> None:
        self.side.edit(user_id, {"firstName": first})

    def subscribe(self, user_id: str) -> None:
        self.side.consent(user_id, "SUBSCRIBED")

    def take_up(self, user_id: str) -> None:
        self.side.tag(user_id, self.typology[0])

    def last_name(self, user_id: str) -> str | None:
        return (self.side.customer(user_id) or {}).get("lastName")


_MAKERS: dict[str, Callable[[Any], _Vendor]] = {"memberstack": _Memberstack, "shopify": _Shopify}
