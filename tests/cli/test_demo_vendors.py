"""`demo --providers`: which vendors there are, and when a demo with them went well."""

import pytest
import typer

from connector.cli import demo_vendors
from connector.cli.traffic import Step


def test_vendors_are_named_once_each():
    assert demo_vendors.named("") == []
    assert demo_vendors.named(" shopify, memberstack,shopify") == ["shopify", "memberstack"]
    with pytest.raises(typer.BadParameter, match="okta"):
        demo_vendors.named("shopify,okta")


class Quiet:
    """A vendor where somebody acts on both sides; `heard` says what of it the other side shows."""

    kind = "memberstack"

    def __init__(self, heard):
        self.heard = heard

    def steps(self):
        for side in ("user", "crm"):
            yield Step(side, "Ada", "acts", lambda: None, lambda side=side: side in self.heard)


@pytest.mark.parametrize(("heard", "both"), [({"user", "crm"}, True), ({"user"}, False), ({"crm"}, False), (set(), False)])
def test_one_way_is_not_enough(monkeypatch, heard, both):
    monkeypatch.setitem(demo_vendors._MAKERS, "memberstack", lambda portal: Quiet(heard))
    vendors = demo_vendors.Vendors(["memberstack"], None)
    for step in vendors.steps(iter(())):
        step.do()
        step.arrived()
    assert vendors.both_ways() is both
