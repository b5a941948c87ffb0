"""Users from a file: all of it can be read, or nobody is taken in."""

import pytest

from connector.errors import Locked, Rejected
from connector.model import LinkState
from connector.providers.base import Capabilities
from connector.sync import reconcile
from connector.sync.importing import MOST_FINDINGS, PER_TRANSACTION, Import, opened

from .world import MAPPING, USER, World

NO_EMAIL = "row 1: no column email; members cannot be read, so the file has to tell it"
NO_FIELD = "row 1: firstname is no user field; did you mean first_name?; own fields are custom.NAME"


@pytest.fixture
def world(tmp_path):
    """A provider that is only listened to."""
    return World(tmp_path, idp={"capabilities": Capabilities()})


@pytest.fixture
def readable(tmp_path):
    """A provider that can be read, and not listed."""
    return World(tmp_path, idp={"capabilities": Capabilities(read=True)})


@pytest.fixture
def take(tmp_path):
    """Take a file in: its text, or its bytes. Returns what was counted."""

    def take(world, told):
        path = tmp_path / "users.csv"
        path.write_bytes(told if isinstance(told, bytes) else told.encode())
        with opened(path) as text:
            one = Import(world.work, "members", text, path.name)
            one.check()
            reconcile.reconcile(world.work, world.doze, ["members"], lambda *told: None, backfill=True, load=one.load)
        return dict(one.count)

    return take


def findings(take, world, told):
    with pytest.raises(Rejected) as caught:
        take(world, told)
    assert world.crm.contacts == {}
    with world.store.read() as tx:
        assert tx.links.page("members", 0, 10) == []
    return str(caught.value).splitlines()


class TestTakenIn:
    def test_who_cannot_be_read_is_as_the_file_tells(self, world, take):
        counted = take(world, "id,email,first_name,custom.tier\nu-1,ada@example.com,Ada,gold\nu-2,bo@example.com,,\n")
        assert counted == {"rows": 2, "new": 2, "known": 0, "erased": 0}
        contact = world.crm.contacts[world.contact_of("u-1")]
        assert (contact["email"], contact["firstname"], contact["tier"]) == ("ada@example.com", "Ada", "gold")
        assert world.link("u-2").state is LinkState.ACTIVE
        assert "first_name" not in world.link("u-2").user.values

    def test_who_can_be_read_is(self, readable, take):
        user_id = readable.idp.register(USER)
        readable.idp.events.clear()
        take(readable, f"id,first_name\n{user_id},Somebody else\n")
        assert readable.crm.contacts[readable.contact_of(user_id)]["firstname"] == "Ada"

    def test_who_is_gone_makes_no_contact(self, readable, take):
        take(readable, "id\nu-7\n")
        assert readable.crm.contacts == {}

    def test_a_contact_that_is_there_is_linked(self, world, take):
        world.crm.contacts["77"] = {"email": "ada@example.com"}
        take(world, "id,email\nu-1,ada@example.com\n")
        assert world.contact_of("u-1") == "77"
        assert world.crm.creations == []

    def test_it_can_be_repeated(self, world, take):
        told = "id,email\nu-1,ada@example.com\n"
        take(world, told)
        assert take(world, told) == {"rows": 1, "new": 0, "known": 1, "erased": 0}

    def test_who_was_erased_stays_erased(self, world, take):
        with world.store.write() as tx:
            tx.tombstones.bury("members", "u-1")
        assert take(world, "id,email\nu-1,ada@example.com\n")["erased"] == 1
        assert world.link("u-1") is None
        assert world.crm.contacts == {}

    @pytest.mark.parametrize("state", [LinkState.UNLINKED, LinkState.DELETED])
    def test_nobody_comes_back(self, world, take, state):
        take(world, "id,email\nu-1,ada@example.com\n")
        link = world.link("u-1")
        with world.store.write() as tx:
            tx.links.notice(link.id, {"state": state}, None)
        take(world, "id,email\nu-1,ada@example.com\n")
        assert world.link("u-1").state is state

    def test_many_transactions(self, world, take):
        rows = "".join(f"u-{number},{number}@example.com\n" for number in range(PER_TRANSACTION * 2 + 1))
        assert take(world, f"id,email\n{rows}")["new"] == PER_TRANSACTION * 2 + 1
        assert len(world.crm.contacts) == PER_TRANSACTION * 2 + 1

    @pytest.mark.parametrize(
        "told",
        [
            pytest.param("\ufeffid;email\r\nu-1;ada@example.com\r\n", id="as Excel saves it"),
            pytest.param("id\temail\nu-1\tada@example.com\n", id="tabs"),
            pytest.param(' id , email \n"u-1"," ada@example.com "', id="quotes, spaces, no end of line"),
        ],
    )
    def test_the_ways_people_save_it(self, world, take, told):
        take(world, told)
        assert world.contact_of("u-1")

    def test_no_other_reconcile_meanwhile(self, world, take):
        with world.store.write() as tx:
            tx.runs.lock(reconcile.LOCK, "other", reconcile.LASTING)
        with pytest.raises(Locked):
            take(world, "id,email\nu-1,ada@example.com\n")
        assert world.link("u-1") is None


class TestRefused:
    @pytest.mark.parametrize(
        ("told", "found"),
        [
            ("", ["row 1: no column id; the columns are none", NO_EMAIL]),
            ("id,email\n", ["no users"]),
            ("email\nada@example.com\n", ["row 1: no column id; the columns are email"]),
            ("id\nu-1\n", [NO_EMAIL]),
            ("id,email,firstname\nu-1,a@example.com,A\n", [NO_FIELD]),
            ("id,email,\nu-1,a@example.com,A\n", ["row 1: a column without a name"]),
            ("id,email,custom.\nu-1,a@example.com,A\n", ["row 1: a column without a name"]),
            ("id,email,email\nu-1,a@example.com,b@example.com\n", ["row 1: the column email 2 times"]),
            ("id,email\nu-1,a@example.com\n,b@example.com\n", ["row 3: id is empty, too long, or has characters no id has"]),
            ("id,email\nu-1,a@example.com\nu-2\n", ["row 3: 1 cells, and 2 columns"]),
            ("id,email\nu-1,a@example.com\nu-2,b@example.com\nu-1,c@example.com\n", ["row 4: the id of row 2 again"]),
            ("id,email\nu-1,\n", ["row 2: no email"]),
            ("id,email\nu-1,a@example.com\nu-2,not-an-email\n", ["row 3: email is no email address"]),
            ("id,email\nu-1,a@b\nu-2,a b@example.com\nu-3,@example.com\nu-4,a@example..com\n",
             [f"row {row}: email is no email address" for row in (2, 3, 4, 5)]),
            ("id,email,email_verified\nu-1,a@example.com,perhaps\n", ["row 2: email_verified is not true or false"]),
            ("id,email,updated_at\nu-1,a@example.com,yesterday\n", ["row 2: updated_at is not a time (ISO 8601)"]),
            (b"id,email\nu-1,\xff@example.com\n", ["row 1: here or somewhat later, it is not UTF-8"]),
            ('id,email\nu-1,"a@example.com\n', ["row 2: cannot be read: unexpected end of data"]),
            ("id,email\nu-1,a\0@example.com\n", ["row 2: email has characters that cannot be stored"]),
        ],
    )  # fmt: skip
    def test_nobody_is_taken_in(self, world, take, told, found):
        assert findings(take, world, told) == [f"users.csv: {one}" for one in found]

    def test_what_the_mapping_cannot_take(self, tmp_path, take):
        rule = "  - {user: birth_date, contact: date_of_birth, type: date}\n"
        world = World(tmp_path, mapping=MAPPING + rule, idp={"capabilities": Capabilities()})
        told = findings(take, world, "id,email,birth_date\nu-1,a@example.com,31/12/1990\n")
        assert told == ["users.csv: row 2: birth_date: the user's value is not a date (YYYY-MM-DD)"]

    def test_all_rows_are_told_up_to_a_limit(self, world, take):
        told = findings(take, world, "id,email\n" + ",canary@example.com\n" * 500)
        assert len(told) == MOST_FINDINGS + 1
        assert told[-1] == "users.csv: and more"
        assert "canary" not in str(told)

    def test_where_nobody_is_wanted(self, tmp_path, take):
        world = World(tmp_path, mapping=MAPPING + "lifecycle: {user_created: ignore}\n", idp={"capabilities": Capabilities()})
        with pytest.raises(Rejected, match=r"lifecycle\.user_created is ignore"):
            take(world, "id,email\nu-1,a@example.com\n")
