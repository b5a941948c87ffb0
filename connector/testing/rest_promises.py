"""What every provider promises of what it can do: each capability that is True is tried, each that is False raises Rejected."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from connector.errors import ConnectorError, Exists, Missing, Rejected
from connector.model import ConsentState, Statement, User
from connector.providers.base import Provider, unwritable, unwritable_consent, unwritable_membership
from connector.testing.hooks import NOW, Hooks
from connector.testing.vendor import Vendor

NOBODY = "nobody-has-this-id"
SAMPLES = {
    "email_verified": True, "first_name": "Augusta", "last_name": "King", "phone": "+34600000001", "locale": "es",
    "country": "ES", "birth_date": "1815-12-10",
}  # fmt: skip
"""A value for each field of the vocabulary that can be anybody's."""


class RestPromises(Hooks):
    """Its capabilities, one by one."""

    def _able(self, able: bool, call: Callable[[], Any]) -> bool:
        """Whether a call can be tried; when not, that it is rejected."""
        if not able:
            self._error(call, Rejected)
        return able

    def test_read(self, api: Provider) -> None:
        if self._able(api.capabilities.read, lambda: api.fetch(self.user_id)):
            user = api.fetch(self.user_id)
            assert (user.id, user.values.get("email")) == (self.user_id, self.email)
            assert user.updated_at is None or user.updated_at.tzinfo is not None

    def test_an_unknown_id_is_missing(self, api: Provider) -> None:
        if api.capabilities.read:
            for user_id in (NOBODY, "a/b", "../x", "?x=1", "#x", ".", "..", ""):
                with pytest.raises(Missing):
                    api.fetch(user_id)

    def test_find(self, api: Provider) -> None:
        if self._able(api.capabilities.find, lambda: api.find(self.email)):
            assert [user.id for user in api.find(self.email)] == [self.user_id]
            assert [user.id for user in api.find(self.email.upper())] in ([self.user_id], [])
            assert api.find("nobody.at.all@example.com") == []

    def test_find_believes_no_filter(self, world: tuple[Provider, Vendor]) -> None:
        """Where the vendor ignores what was asked for and lists everybody, nobody is taken for somebody else."""
        api, vendor = world
        answers = vendor.answers
        vendor.answers = lambda request: answers(replace(request, query={}))
        if api.capabilities.find:
            try:
                assert api.find("nobody.at.all@example.com") == []
            except ConnectorError as error:
                self._silent(error)

    def test_list(self, api: Provider) -> None:
        if self._able(api.capabilities.list, lambda: list(api.pages())):
            assert [user.id for page in api.pages() for user in page] == [self.user_id]

    def test_list_changed(self, api: Provider) -> None:
        long_ago = NOW - timedelta(days=3650)
        if self._able(api.capabilities.list_changed, lambda: list(api.changed_since(NOW))):
            assert [user.id for page in api.changed_since(long_ago) for user in page] == [self.user_id]

    def test_create(self, api: Provider) -> None:
        if not self._able(api.capabilities.create, lambda: api.create(self.new, "key-1")):
            return
        made = api.create(self.new, "key-1")
        assert made.id not in ("", self.user_id)
        assert made.values.get("email") == self.new["email"]
        assert self._made_or_known(api, self.new, "key-1") in (None, made.id), "a repeat made a second user"
        with pytest.raises(Exists):
            api.create({**self.new, "email": self.email}, "key-2")
        assert self._made_or_known(api, {**self.new, "email": self.email}, "key-2") in (None, self.user_id)

    def _made_or_known(self, api: Provider, values: Mapping[str, Any], key: str) -> str | None:
        """The id of the user a creation makes, or names as being there already."""
        try:
            return api.create(values, key).id
        except Exists as error:
            return error.record_id

    def test_update(self, api: Provider) -> None:
        """It sets the named fields and no others, and tells the user as it is then."""
        if not self._able(api.capabilities.update, lambda: api.update(self.user_id, self.edit, None)):
            return
        before = api.fetch(self.user_id)
        changes = [dict(self.edit), *({name: None} for name in self.cleared)]
        for change in changes:
            told = api.update(self.user_id, change, None)
            assert {name: told.values.get(name) for name in change} == change
            before = self._unchanged_but(change, before, told)
            assert api.fetch(self.user_id).values == told.values
        with pytest.raises(Missing):
            api.update(NOBODY, self.edit, None)

    def _unchanged_but(self, change: Mapping[str, Any], before: User, after: User) -> User:
        moving = {*change, "updated_at", "last_login_at"}
        kept = {name: value for name, value in before.values.items() if name not in moving}
        assert kept == {name: after.values.get(name) for name in kept}, "an update changed more than it was to"
        return after

    def test_what_can_never_be_written_is_said(self, world: tuple[Provider, Vendor]) -> None:
        """What `unwritable` names is refused by that name before anything is sent; nothing else is."""
        api, vendor = world
        if not api.capabilities.update:
            pytest.skip("it takes no updates")
        told = [name for name in (*self.new, *self.edit, *self.cleared) if unwritable(api, name)]
        assert not told, f"a field that is written here is said to be unwritable: {told}"
        for name, value in SAMPLES.items():
            vendor.calls.clear()
            said, refused = unwritable(api, name), self._refused_fields(api, {name: value})
            assert (said is not None) == (name in refused), f"{name}: unwritable says {said}, update refuses {refused}"
            sent = [one.method for one in vendor.calls if one.method in ("PATCH", "PUT", "DELETE")]
            assert not (said and sent), f"{name}: it is written in spite of: {said}"

    def _refused_fields(self, api: Provider, change: Mapping[str, Any]) -> Mapping[str, str]:
        try:
            api.update(self.user_id, change, None)
        except Rejected as error:
            return error.refused
        return {}

    def test_a_consent_that_can_be_set_is_not_said_to_be_unwritable(self, api: Provider) -> None:
        if api.capabilities.consent:
            assert unwritable_consent(api, self.purpose) is None

    def test_consent(self, api: Provider) -> None:
        told = Statement(ConsentState.GRANTED, NOW, "registration form")
        if not self._able(api.capabilities.consent, lambda: api.set_consent(self.user_id, self.purpose, told, None)):
            return
        for state in (ConsentState.GRANTED, ConsentState.REVOKED):
            user = api.set_consent(self.user_id, self.purpose, replace(told, state=state), None)
            assert self._stands(user) == state
            if api.capabilities.read:
                assert self._stands(api.fetch(self.user_id)) == state

    def _stands(self, user: User) -> object:
        mine = [
            one for one in user.consents or () if one.get("purpose") == self.purpose and one.get("channel") in (None, "email")
        ]
        return mine[-1].get("state") if mine else None

    def test_a_membership_that_can_be_given_is_not_said_to_be_unwritable(self, api: Provider) -> None:
        if api.capabilities.membership:
            assert unwritable_membership(api, self.membership) is None

    def test_membership(self, api: Provider) -> None:
        """It is given and taken away, and with it no other one; a repeat does no harm."""
        if not self._able(api.capabilities.membership, lambda: api.set_membership(self.user_id, self.membership, True, None)):
            return
        others = self._memberships(api.fetch(self.user_id)) - {self.membership}
        for held in (True, True, False, False):
            user = api.set_membership(self.user_id, self.membership, held, None)
            assert self._memberships(user) == others | ({self.membership} if held else set())
            assert self._memberships(api.fetch(self.user_id)) == self._memberships(user)
        for change in (True, False):
            with pytest.raises(Missing):
                api.set_membership(NOBODY, self.membership, change, None)

    def _memberships(self, user: User) -> set[str]:
        return {str(one["key"]) for one in user.memberships or () if one.get("active", True)}

    def test_delete(self, api: Provider) -> None:
        if self._able(api.capabilities.delete, lambda: api.delete(self.user_id)):
            api.delete(self.user_id)
            self._gone(api)
            api.delete(self.user_id)

    def test_erase(self, api: Provider) -> None:
        if self._able(api.capabilities.erase, lambda: api.erase(self.user_id)):
            api.erase(self.user_id)
            self._gone(api)
            api.erase(self.user_id)

    def _gone(self, api: Provider) -> None:
        if api.capabilities.read:
            with pytest.raises(Missing):
                api.fetch(self.user_id)
