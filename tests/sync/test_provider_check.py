"""`check --live --provider`: whether a provider lets us in, over real HTTP, and what it can do."""

import pytest

from connector.errors import Missing, Paused, Unavailable
from connector.providers.base import Capabilities
from connector.providers.generic import Generic
from connector.providers.signature import STANDARD
from connector.sync.provider_check import prove
from connector.testing import Reply, Vendor

from ..providers.profile import API_KEY, SECRET, Profile


@pytest.fixture
def vendor():
    with Vendor(Profile()).running() as one:
        yield one


def provider(url=None, key=API_KEY):
    return Generic("members", [SECRET], STANDARD, url, key)


def test_who_lets_us_in(vendor):
    proof = prove(provider(vendor.url))
    assert (proof.asked, proof.wrong) == ("looked for an address that nobody has", None)
    assert proof.can["read"]
    assert proof.can["membership"]
    assert [(call.method, call.path) for call in vendor.calls] == [("GET", "/users")]


def test_a_wrong_key(vendor):
    proof = prove(provider(vendor.url, "another-key-0001"))
    assert proof.wrong == (
        "members: find by email: 401: it does not let us in; check the credentials, and what they may do"
    )  # fmt: skip


def test_a_wrong_address(vendor):
    proof = prove(provider(f"{vendor.url}/elsewhere"))
    assert proof.wrong.startswith("members: find by email: 404: is api_url right?: it does not take the question")


def test_too_many_calls_prove_nothing(vendor):
    vendor.fault = Reply(429)
    with pytest.raises(Paused):
        prove(provider(vendor.url))


def test_nobody_there():
    with pytest.raises(Unavailable):
        prove(provider("http://127.0.0.1:9"))


def test_who_is_only_listened_to_is_not_asked():
    proof = prove(provider())
    assert (proof.asked, proof.wrong, proof.capabilities) == (None, None, Capabilities())


@pytest.mark.parametrize(("url", "key", "refused"), [(True, "another-key-0001", "401"), (True, API_KEY, ""), (False, None, "")])
def test_credentials_that_are_refused_are_told_apart(vendor, url, key, refused):
    assert prove(provider(vendor.url if url else None, key)).refused == refused


class Reader:
    """A provider that can be read, or listed, and no more."""

    def __init__(self, **can):
        self.capabilities = Capabilities(**can)

    def fetch(self, user_id):
        raise Missing("nobody")

    def pages(self):
        yield []


@pytest.mark.parametrize(
    ("can", "asked"),
    [({"read": True, "list": True}, "read a user that does not exist"), ({"list": True}, "read the first page of users")],
)
def test_who_cannot_be_searched(can, asked):
    proof = prove(Reader(**can))
    assert (proof.asked, proof.wrong) == (asked, None)
