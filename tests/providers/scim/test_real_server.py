"""A real SCIM server, scim2-server, in a process of its own: the provider alone, and as `connector up` asks and writes it."""

import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import requests

from connector.errors import Exists, Missing, Paused, Rejected, Stale
from connector.providers.scim.provider import Scim
from connector.providers.scim.user import PATCH_SCHEMA
from tests.e2e.stack import free_port, wait_for
from tests.providers.story import running

TOKEN = "real-scim-token"
CORE = "urn:ietf:params:scim:schemas:core:2.0:User"
ROOT = Path(__file__).parents[3]


class Server:
    """The process, and its users as another client sees them."""

    def __init__(self):
        port = free_port()
        self.url = f"http://127.0.0.1:{port}/v2"
        command = [sys.executable, "-m", "scim2_server.testserver.cli", "--port", str(port), "--bearer-token", TOKEN]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        assert self.process.stdout.readline().startswith("Serving SCIM")

    def call(self, method, path="", body=None, kind="Users"):
        headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/scim+json"}
        reply = requests.request(method, f"{self.url}/{kind}{path}", json=body, headers=headers, timeout=5)
        reply.raise_for_status()
        return reply.json() if reply.content else None

    def add(self, email, first, last, **more):
        emails = [{"value": email, "primary": True}, {"value": f"home.{email}", "type": "home"}]
        name = {"givenName": first, "familyName": last}
        return self.call("POST", "", {"schemas": [CORE], "userName": email, "name": name, "emails": emails, **more})["id"]

    def set(self, user_id, path, value):
        operation = {"op": "replace", "path": path, "value": value}
        self.call("PATCH", f"/{user_id}", {"schemas": [PATCH_SCHEMA], "Operations": [operation]})

    def stop(self):
        self.process.terminate()
        self.process.wait(10)
        self.process.stdout.close()


@pytest.fixture(scope="module")
def server():
    one = Server()
    yield one
    one.stop()


class TestAlone:
    @pytest.fixture
    def api(self, server):
        return Scim("members", server.url, TOKEN)

    def test_a_life(self, server, api):
        before = datetime.now(UTC) - timedelta(seconds=1)
        values = {"email": "grace@example.com", "first_name": "Grace", "last_name": "Hopper", "phone": "+1 202 555 0100",
                  "country": "US", "locale": "en-US", "custom.title": "Admiral", "custom.department": "Navy"}  # fmt: skip
        user = api.create(values, "key")
        assert {name: user.values[name] for name in values} == values
        with pytest.raises(Exists) as caught:
            api.create({"email": "GRACE@example.com"}, "key")
        assert caught.value.record_id == user.id
        assert [one.id for one in api.find("grace@example.com")] == [user.id]
        assert user.id in [one.id for page in api.changed_since(before) for one in page]
        assert user.id not in [one.id for page in api.changed_since(user.updated_at + timedelta(seconds=1)) for one in page]
        change = {"email": "admiral@example.com", "last_name": None, "phone": None, "country": "NO", "custom.department": "COBOL"}
        told = api.update(user.id, change, user.etag)
        assert {**user.values, **change, "custom.userName": "admiral@example.com"}.items() - told.values.items() <= {
            ("updated_at", user.values["updated_at"])
        }
        assert told.etag != user.etag
        with pytest.raises(Stale):
            api.update(user.id, {"first_name": "G"}, user.etag)
        with pytest.raises(Rejected):
            api.update(user.id, {"custom.profileUrl": ["no", "text"]}, None)
        api.delete(user.id)
        api.delete(user.id)
        with pytest.raises(Missing):
            api.fetch(user.id)

    def test_pages(self, server, api):
        made = {server.add(f"p{number}@example.com", "P", str(number)) for number in range(205)}
        assert made <= {user.id for page in api.pages() for user in page}
        for user_id in made:
            server.call("DELETE", f"/{user_id}")

    def test_members_come_and_go(self, server, api):
        """It tells no groups of users, so a gift is carried out and not said to be done."""
        ada, grace = (server.add(f"{name}@example.net", "A", "B") for name in ("ada", "grace"))
        group = {"schemas": [CORE.replace("User", "Group")], "displayName": "Press", "members": [{"value": grace}]}
        made = f"/{server.call('POST', '', group, 'Groups')['id']}"

        def members():
            return [one["value"] for one in server.call("GET", made, kind="Groups")["members"]]

        for _ in range(2):
            with pytest.raises(Rejected, match="Press was given, but the server does not show it"):
                api.set_membership(ada, "Press", True, None)
            assert members() == [grace, ada]
        for _ in range(2):
            api.set_membership(ada, "Press", False, None)
            assert members() == [grace]
        with pytest.raises(Rejected, match="no group called press"):
            api.set_membership(ada, "press", True, None)
        for user_id in (ada, grace):
            server.call("DELETE", f"/{user_id}")

    def test_another_token_is_refused(self, server):
        with pytest.raises(Paused):
            Scim("members", server.url, "another-token").fetch("1")


def test_users_reach_the_portal_and_edits_come_back(server, tmp_path):
    """In one story, because each start costs seconds."""
    provider = f"    kind: scim\n    api_url: {server.url}\n    api_key: {TOKEN}\n"
    mapping = (ROOT / "mappings" / "scim.yaml").read_text(encoding="utf-8")
    with running(tmp_path, provider, mapping, poll=1) as story:
        server.add("stays@example.com", "Sofia", "Stays")
        ada = server.add("ada@example.com", "Ada", "Lovelace", title="Countess")
        wait_for(lambda: story.contact("ada@example.com").get("lastname") == "Lovelace", 15)
        server.set(ada, "name.familyName", "King")
        wait_for(lambda: story.contact("ada@example.com").get("lastname") == "King", 15)
        story.edit("ada@example.com", {"firstname": "Augusta"})
        wait_for(lambda: server.call("GET", f"/{ada}")["name"]["givenName"] == "Augusta", 15)
        user = server.call("GET", f"/{ada}")
        assert (user["title"], user["name"]["familyName"], user["userName"]) == ("Countess", "King", "ada@example.com")
        assert [one["value"] for one in user["emails"]] == ["ada@example.com", "home.ada@example.com"]
        server.set(ada, "active", False)
        grace = server.add("grace@example.com", "Grace", "Hopper")
        wait_for(lambda: story.contact("grace@example.com"), 15)
        server.call("DELETE", f"/{grace}")
        done = story.run("reconcile", "--full")
        assert done.returncode == 0, done.stderr
        assert story.contact("stays@example.com")["lastname"] == "Stays"
        assert not story.contact("ada@example.com")
        assert not story.contact("grace@example.com")
