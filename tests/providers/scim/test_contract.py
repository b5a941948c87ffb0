"""The SCIM provider keeps the promises of every provider, in front of servers of several dialects."""

import pytest

from connector.providers.scim.provider import Scim
from connector.providers.scim.user import PLAIN, USUAL, Words
from connector.providersettings import ConsentField
from connector.testing import ProviderContract
from tests.providers.scim.server import ENTERPRISE, KEY, ScimServer

EXTENSION = "urn:example:params:scim:schemas:extension:members:2.0:User"
NEWSLETTER = ConsentField(field=f"{EXTENSION}:newsletter", at=f"{EXTENSION}:newsletterAt", source=f"{EXTENSION}:newsletterFrom")
WORDS = Words({**PLAIN, **USUAL, "birth_date": f"{EXTENSION}:birthDate"}, {"newsletter": NEWSLETTER})


class TestScim(ProviderContract):
    secrets = (KEY,)
    edit = {"first_name": "Augusta", "phone": "+34600000001", "custom.title": "Countess", "custom.department": "Engines",
            "birth_date": "1815-12-10"}  # fmt: skip
    cleared = ("last_name", "phone", "custom.department", "birth_date", "country")
    quirks = ()
    membership = 'the "press"'

    def make(self, url):
        return Scim("members", url, KEY, WORDS)

    def vendor(self):
        server = ScimServer(*self.quirks)
        name, address = {"givenName": "Ada", "familyName": "Lovelace"}, {"country": "ES", "locality": "Madrid"}
        phones = [{"value": "+34600000000", "type": "mobile"}]
        server.add("u-1", self.email, name=name, phoneNumbers=phones, addresses=[address], **{ENTERPRISE: {"division": "Tea"}})
        server.groups = {"g-1": ("Gold", {"u-1", "u-2"}), "g-2": ('the "press"', {"u-2"}), "g-3": ('The "Press"', set())}
        return server


class TestPlainWords(TestScim):
    quirks = ("no patch", "no filter", "no count", "no total", "no target")


class TestOldServer(TestScim):
    quirks = ("patch missing", "filter ignored", "start ignored", "204", "400")


class TestOddServer(TestScim):
    quirks = ("204", "no ge", "no email filter", "total of the page", "no display")
    membership = "g-2"


class TestServerWhoseFiltersFindNobody(TestScim):
    """It finds nobody by email, and says so by finding nobody, so nobody is found; creating tells who is there."""

    quirks = ("filter finds nobody",)

    def test_find(self, api):
        assert api.find(self.email) == []


class TestLowerCase(TestScim):
    """Writing is not tried: a server that answers in lower case takes both."""

    quirks = ("lower case",)

    @pytest.mark.skip(reason="the server of these tests minds the case")
    def test_update(self, api):
        pass

    test_consent = test_create = test_update
