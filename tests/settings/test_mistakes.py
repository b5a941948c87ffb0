"""What is refused of a configuration: at its place, and without showing a secret."""

from pathlib import Path

import pytest

from connector.settings import AVAILABLE

from .configs import KEY, MINIMAL, findings, loaded

BAD = {
    "unknown key": ("§databse_url: x\n" + MINIMAL, "databse_url: unknown key; did you mean database_url?"),
    "hash key": ("hash_key: §fifteen letters\n" + MINIMAL, "hash_key: too short for a key: 16 characters at least"),
    "hash key, very short": ("hash_key: §abc\n" + MINIMAL, "hash_key: too short for a key: 16 characters at least"),
    "address left open": (
        MINIMAL + "    §api_url:\n",
        "providers.members.api_url: nothing behind it: give it here or as CONNECTOR_PROVIDERS__MEMBERS__API_URL, or leave",
    ),
    "optional secret left open": (
        MINIMAL.replace("generic", "scim").replace(f"webhook_secret: {KEY}", "§webhook_secret:")
        + "    api_url: https://id.test\n    api_key: key-test-0001\n",
        "providers.members.webhook_secret: nothing behind it: give it here or as CONNECTOR_PROVIDERS__MEMBERS__WEBHOOK_SECRET",
    ),
    "section left open": (
        MINIMAL + "§schedule:\n",
        "schedule: nothing behind it: give it here or as CONNECTOR_SCHEDULE, or leave",
    ),
    "no crm": ("§plan_max_age: 5\n", "crm: missing: give it here or as CONNECTOR_CRM"),
    "portal id": (MINIMAL.replace("12345678", "§0"), "crm.portal_id: expected more than 0, found '0'"),
    "secret left open": (
        MINIMAL.replace("access_token: pat-test-0001", "§access_token:"),
        "crm.access_token: missing: give it here or as ",
    ),
    "secret empty": (MINIMAL.replace("pat-test-0001", "§''"), "crm.access_token: a secret is missing"),
    "placeholder": (MINIMAL.replace("pat-test-0001", "§changeme"), "crm.access_token: this is a placeholder"),
    "dots": (MINIMAL.replace("pat-test-0001", "§..."), "crm.access_token: this is a placeholder"),
    "two lines": (MINIMAL.replace("pat-test-0001", '§"pat-test\\n0001"'), "crm.access_token: a secret with a line break"),
    "too short to sign": (
        MINIMAL.replace(KEY, "§whsec_c2hvcnQ="),
        "providers.members.webhook_secret.0: too short to sign webhooks: 16",
    ),
    "not base64": (
        MINIMAL.replace(KEY, "§plain words of a secret"),
        "providers.members.webhook_secret.0: expected whsec_ and base64, as ",
    ),
    "not hex": (
        MINIMAL + "    signature: {key: hex}\n",
        "providers.members.webhook_secret.0: expected hex, as signature.key says",
    ),
    "public address": ("public_url: §sync.example\n" + MINIMAL, "public_url: expected an address such as https://example.com"),
    "public address with a route": (
        "public_url: §https://sync.example/x/webhooks/hubspot\n" + MINIMAL,
        "public_url: write it without /webhooks/hubspot, which is added to it: https://sync.example/x",
    ),
    "public address with a provider's route": (
        "public_url: §https://sync.example/webhooks/identity/members/\n" + MINIMAL,
        "public_url: write it without /webhooks/identity/members, which is added to it: https://sync.example",
    ),
    "database": ("database_url: §mysql://u:hush@h/db\n" + MINIMAL, "database_url: expected sqlite:///FILE or postgresql://"),
    "database file": ("database_url: §sqlite://c.db\n" + MINIMAL, "database_url: expected sqlite:///FILE or postgresql://"),
    "number of the broker's database": ("broker_url: §redis://h/abc\n" + MINIMAL, "broker_url: expected memory://, redis://HOST"),
    "broker": ("broker_url: §kafka://u:hush@h\n" + MINIMAL, "broker_url: expected memory://, redis://"),
    "crm kind": (MINIMAL + "crm2: {}\n", "crm2: unknown key; did you mean crm?"),
    "crm": (MINIMAL.replace("crm:\n", "crm:\n  kind: §salesforce\n"), "crm.kind: expected hubspot, found 'salesforce'"),
    "api version": (
        MINIMAL.replace("crm:\n", "crm:\n  api_version: §latest\n"),
        "crm.api_version: expected a version such as v3",
    ),
    "provider name": (
        MINIMAL.replace("members:", "§Our Members:"),
        "providers.Our Members: a provider's name is a letter, then lower-ca",
    ),
    "unknown kind": (
        MINIMAL.replace("generic", "§generc"),
        "providers.members.kind: expected one of generic, druid, memberstack, ",
    ),
    "no mapping file": (MINIMAL.replace("members.yaml", "§none.yaml"), "providers.members.mapping: no such file: "),
    "unknown key of a kind": (
        MINIMAL + "    §shap: x\n",
        "providers.members.shap: unknown key; allowed: kind, mapping, webhook_sec",
    ),
    "key of another kind": (
        MINIMAL + "    §shop: x\n",
        "providers.members.shop: not a key of kind generic; allowed: kind, mapping, ",
    ),
    "no api key": (
        MINIMAL.replace("    kind", "    §kind") + "    api_url: https://id.example\n",
        "providers.members.api_key: missing: gi",
    ),
    "signed": (
        MINIMAL + "    signature: {signed: §id.body}\n",
        "providers.members.signature.signed: expected one of body, timestamp.b",
    ),
    "header": (
        MINIMAL + "    signature: {header: §'X Sig:'}\n",
        "providers.members.signature.header: expected the name of an HTTP head",
    ),
    "no user and password": (
        MINIMAL + "    webhook_auth: basic\n",
        "providers.members.webhook_secret.0: expected user:password, as web",
    ),
    "negative seconds": (MINIMAL + "schedule: {sweep: §-1}\n", "schedule.sweep: expected 0 or more, found '-1'"),
    "seconds with a unit": (MINIMAL + "schedule: {sweep: §10s}\n", "schedule.sweep: expected a number, found '10s'"),
    "no end of seconds": (MINIMAL + "schedule: {sweep: §inf}\n", "schedule.sweep: expected a number, found 'inf'"),
    "seconds beyond a life": (
        MINIMAL + "grace: {contact_deletion: §99999999999999999}\n",
        "grace.contact_deletion: expected 315360000 or less, found '99999999999999999'",
    ),
    "seconds beyond all": (
        MINIMAL + "schedule: {reconcile: §999999999999999999999999}\n",
        "schedule.reconcile: expected 315360000 or less, found '9999",
    ),
    "days beyond a life": (MINIMAL + "retention: {history: §99999999}\n", "retention.history: expected 36500 or less, found '99"),
    "percent": (MINIMAL + "brakes: {deletes_percent: §101}\n", "brakes.deletes_percent: expected 100 or less, found '101'"),
    "no attempts": (MINIMAL + "retries: {attempts: §0}\n", "retries.attempts: expected 1 or more, found '0'"),
    "longest wait": (
        MINIMAL + "retries: {first: 60, longest: §5}\n",
        "retries.longest: expected 60 (retries.first) or more, found 5",
    ),
    "switch": (
        MINIMAL.replace("crm:\n", "crm:\n  accept_v1_signature: §maybe\n"),
        "crm.accept_v1_signature: expected true or false, f",
    ),
    "part of a day": (MINIMAL + "retention: {history: §0.5}\n", "retention.history: expected a whole number, found '0.5'"),
    "a text for a section": (MINIMAL + "retention: §hush-hush\n", "retention: expected a mapping (key: value), found text"),
}


@pytest.mark.parametrize(("text", "message"), BAD.values(), ids=BAD.keys())
def test_a_mistake_is_told_at_its_place(tmp_path: Path, text: str, message: str) -> None:
    """§ stands before the place that the finding must name."""
    before, mark, after = text.partition("§")
    line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
    (finding,) = findings(tmp_path, before + after)
    place = f"{line}:{column}" if mark else finding.split(": ")[0]
    assert finding.startswith(f"{place}: {message}")


WRONG_ADDRESSES = {
    "broker, / in the password": "broker_url: §'redis://user:hush/pw@h/0'",
    "broker, # in the password": "broker_url: §'amqp://user:hush#pw@h//'",
    "broker, ? in the password": "broker_url: §'redis://user:hush?pw@h/0'",
    "broker, [ in the password": "broker_url: §'redis://user:hush[pw@h/0'",
    "broker, ; in the password": "broker_url: §'redis://user:hush;pw@h/0'",
    "broker, / behind digits": "broker_url: §'redis://user:12/hush@h/0'",
    "broker, port no number": "broker_url: §'redis://user:hush@h:port/0'",
    "broker, port out of range": "broker_url: §'redis://user:hush@h:99999/0'",
    "database, @ in the password": "database_url: §'postgresql://u:hush@pw@h/db'",
    "database, @ and ? in the password": "database_url: §'postgresql://u:hush@pw?pw@h/db'",
    "database, port no number": "database_url: §'postgresql://u:hush@h:port/db'",
    "database, port out of range": "database_url: §'postgresql://u:hush@h:99999/db'",
}


@pytest.mark.parametrize(
    "url",
    ["sqlite:///", "sqlite://", "sqlite", "sqlite:///:memory:", "sqlite:///%3Amemory%3A", "sqlite:///file:c.db",
     "sqlite:///%00.db", "sqlite+aiosqlite:///c.db", "postgresql+asyncpg://u:hush@h/db", "postgresql+my-driver://u:hush@h/db"],
)  # fmt: skip
def test_a_database_is_a_file_or_a_server(tmp_path: Path, url: str) -> None:
    """In memory, what is accepted would be lost with the process."""
    (finding,) = findings(tmp_path, f"database_url: '{url}'\n{MINIMAL}")
    assert finding == "1:15: database_url: expected sqlite:///FILE or postgresql://USER:PASSWORD@HOST/NAME"


@pytest.mark.parametrize("options", ["mode=ro", "timeout=5", "", "password=hush"])
def test_a_database_file_takes_no_options(tmp_path: Path, options: str) -> None:
    (finding,) = findings(tmp_path, f"database_url: sqlite:///c.db?{options}\n{MINIMAL}")
    assert finding == "1:15: database_url: expected sqlite:///FILE without a ? and options behind it"


@pytest.mark.parametrize("host", ["a..b", ".", ".example.com", "a" * 64 + ".test"])
def test_a_host_that_cannot_be_is_refused(tmp_path: Path, host: str) -> None:
    config = MINIMAL.replace("crm:\n", f"crm:\n  base_url: https://{host}\n")
    config += f"    api_url: http://{host}:1/x\n    api_key: key-test-0001\n"
    told = findings(tmp_path, f"public_url: https://{host}/\n{config}")
    assert [one.split(" ")[1] for one in told] == ["public_url:", "crm.base_url:", "providers.members.api_url:"]
    assert all("expected an address such as https://example.com, " in one for one in told)


@pytest.mark.parametrize("text", WRONG_ADDRESSES.values(), ids=WRONG_ADDRESSES.keys())
def test_an_address_that_would_be_misread_is_refused_without_showing_it(tmp_path: Path, text: str) -> None:
    before, _, after = text.partition("§")
    (finding,) = findings(tmp_path, f"{before}{after}\n{MINIMAL}")
    assert finding.startswith(f"1:{len(before) + 1}: {before.strip()} expected a port up to 65535, and special characters ")
    assert finding.endswith("percent-encoded (@ is %40, / %2F, # %23, ? %3F, [ %5B, ; %3B)")


@pytest.mark.parametrize(
    "url",
    [
        "redis://user:a%2Fb%40c@h:6379/0?ssl_cert_reqs=required",
        "redis://:a@b:c@h",
        "amqp://u:p@h:5672/vhost;amqp://u:p@[::1]:5672/vhost",
    ],
)
def test_broker_addresses(tmp_path: Path, url: str) -> None:
    assert loaded(tmp_path, f'broker_url: "{url}"\n{MINIMAL}').broker_url == url


AUTH0 = MINIMAL[: MINIMAL.index("    kind")] + (
    "    {kind: auth0, mapping: members.yaml, domain: acme.auth0.com, client_id: us, client_secret: 'the-secret', "
    "webhook_secret: 'the-static-value'}\n"
)
UNSENDABLE = {
    "access token": (MINIMAL.replace("pat-test-0001", "§'pat-test-00…'"), "crm.access_token"),
    "api key": (MINIMAL + "    api_key: §'key-test-00…'\n", "providers.members.api_key"),
    "client secret": (AUTH0.replace("'the-secret'", "§'the-secrét'"), "providers.members.client_secret"),
    "static header": (AUTH0.replace("'the-static-value'", "§'the-static-val…'"), "providers.members.webhook_secret.0"),
}


@pytest.mark.parametrize(("text", "setting"), UNSENDABLE.values(), ids=UNSENDABLE.keys())
def test_a_secret_that_no_header_can_carry_is_refused(tmp_path: Path, text: str, setting: str) -> None:
    before, _, after = text.partition("§")
    line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
    (finding,) = findings(tmp_path, before + after)
    assert finding == (
        f"{line}:{column}: {setting}: a secret with a character that cannot be sent "
        "(é, or the … of a shortened copy, say): copy it again"
    )


def test_a_secret_that_only_signs_may_have_any_character(tmp_path: Path) -> None:
    text = MINIMAL.replace("hush-hush", "'hüsh-hüsh'").replace(KEY, "'ein Schlüssel für alle…'")
    secret = loaded(tmp_path, text + "    signature: {key: utf8}\n").crm.webhook_secret[0]
    assert secret.get_secret_value() == "hüsh-hüsh"


def test_an_error_never_shows_a_secret(tmp_path: Path) -> None:
    text = (
        MINIMAL.replace("pat-test-0001", "[hush, hush]").replace("hush-hush", "{hush: hush}").replace(KEY, "hush hush hush hush!")
    )
    told = findings(tmp_path, "database_url: mysql://u:hush@h\nbroker_url: [hush]\n" + text)
    assert len(told) >= 4
    assert not [finding for finding in told if "hush" in finding.split(": ", 2)[2]]


def test_a_kind_that_is_nearly_right(tmp_path: Path) -> None:
    (finding,) = findings(tmp_path, MINIMAL.replace("generic", "member_stack"))
    assert f"one of {', '.join(AVAILABLE)}, found 'member_stack'; did you mean memberstack? Or its package" in finding


def test_a_kind_of_a_package_that_is_not_installed(tmp_path: Path) -> None:
    (finding,) = findings(tmp_path, MINIMAL.replace("generic", "acme"))
    assert "found 'acme'" in finding
    assert finding.endswith("r its package is not installed here (docs/providers/write-a-provider.md)")
