"""`check`, offline: what a mapping itself asks and its provider cannot do is refused; what only a default asks is a warning."""

from pathlib import Path

import pytest

from connector.cli.app import run
from connector.settingwords import KINDS as ALL

SCIM = "api_url: https://id.test/scim/v2, api_key: canary-key-0001"
MEMBERSTACK = "webhook_secret: whsec_eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4, api_key: canary-key-0001"
KINDS = {
    "memberspace": "webhook_secret: whsec_eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4",
    "scim": SCIM,
    "memberstack": f"{MEMBERSTACK}, consents: {{newsletter: news}}",
    "shopify": "webhook_secret: canary-secret-1, shop: acme.myshopify.com, api_key: canary-key-0001",
    "outseta": f"webhook_secret: {'0f' * 32}, api_url: https://acme.outseta.com, api_key: canary:key-0001",
    "druid": "webhook_secret: canary-secret-1, api_url: https://graph.id.test, auth_url: https://auth.id.test, client_id: c, "
    "client_secret: canary-01, entry_point: main",
    "auth0": "domain: acme.test, client_id: c, client_secret: canary-01",
    "keycloak": "api_url: https://id.test, realm: a, client_id: c, client_secret: canary-01",
}
CONFIG = """
crm: {{portal_id: 12345678, access_token: portal-token, webhook_secret: client-secret}}
providers:
  members: {{kind: {kind}, mapping: members.yaml, {keys}}}
"""


@pytest.fixture
def check(tmp_path, capsys, monkeypatch):
    """check(kind, lines): a mapping of an address and these lines -> exit code, what is printed, what is complained of."""
    monkeypatch.chdir(tmp_path)

    def check(kind, *lines, email=", direction: to_contact"):
        email = f"  - {{user: email, contact: email{email}}}"
        (tmp_path / "members.yaml").write_text("\n".join(["version: 1", "fields:", email, *lines, ""]))
        (tmp_path / "config.yaml").write_text(CONFIG.format(kind=kind, keys=KINDS[kind]))
        (tmp_path / "config.yaml").chmod(0o600)
        code = run(["check"])
        return code, *capsys.readouterr()

    return check


def field(kind, name):
    return kind, f"  - {{user: {name}, contact: company, type: {'date' if name == 'birth_date' else 'text'}DIRECTION}}"


def consent(kind, name):
    return kind, f"consents:\n  - {{consent: {name}, subscription: NewsDIRECTION}}"


BEYOND = [
    pytest.param(*field("shopify", "country"), "country", "Shopify keeps it itself", id="shopify country"),
    pytest.param(*field("shopify", "custom.tags"), "custom.tags", "Shopify keeps it itself", id="shopify tags"),
    pytest.param(*field("outseta", "birth_date"), "birth_date", "Outseta has no such field", id="outseta birth_date"),
    pytest.param(*field("druid", "custom.pulse_id"), "custom.pulse_id", "DruID keeps this itself", id="druid pulse_id"),
    pytest.param(*field("memberstack", "country"), "country", "(fields.country)", id="memberstack country"),
    pytest.param(*field("keycloak", "email_verified"), None, None, id="keycloak can"),
    pytest.param(*field("auth0", "country"), "country", "(fields.country)", id="auth0 country"),
    pytest.param(*field("scim", "birth_date"), "birth_date", "(fields.birth_date)", id="scim birth_date"),
    pytest.param(*consent("scim", "newsletter"), "consent newsletter", "takes no consents (consents?)", id="scim consent"),
    pytest.param(*consent("memberstack", "other"), "consent other", "(consents.other)", id="memberstack other"),
    pytest.param(*consent("memberstack", "newsletter"), None, None, id="memberstack can"),
    pytest.param(*consent("outseta", "email"), "consent email", "by the person alone", id="outseta email"),
    pytest.param(*consent("shopify", "newsletter"), "consent newsletter", "email_marketing", id="shopify newsletter"),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "line", "name", "why"), BEYOND)
@pytest.mark.parametrize("direction", ["both", "to_user"])
def test_what_is_asked_in_so_many_words_is_refused(check, kind, line, name, why, direction):
    code, _, complaint = check(kind, line.replace("DIRECTION", f", direction: {direction}"))
    if name is None:
        assert (code, complaint) == (0, "")
        return
    (told,) = complaint.strip().splitlines()
    number = 5 if line.startswith("consents") else 4
    column = line.splitlines()[-1].index("DIRECTION") + len(", direction: ") + 1
    assert code == 3
    assert f"members.yaml:{number}:{column}: {name}: direction: {direction}, but members" in told
    assert why in told
    assert "direction: to_contact" in told


@pytest.mark.parametrize(("kind", "line", "name", "why"), BEYOND)
def test_what_only_a_default_asks_is_a_warning(check, kind, line, name, why):
    code, told, complaint = check(kind, line.replace("DIRECTION", ""))
    warnings = [one for one in told.splitlines() if one.startswith("warning: members.yaml")]
    assert (code, complaint) == (0, "")
    if name is None:
        assert not warnings
        return
    (warning,) = warnings
    assert f": {name}: direction both, but members" in warning
    assert why in warning
    assert "write to_contact" in warning


@pytest.mark.parametrize(("kind", "line", "name", "why"), BEYOND)
def test_one_way_is_fine(check, kind, line, name, why):
    code, told, complaint = check(kind, line.replace("DIRECTION", ", direction: to_contact"))
    assert (code, complaint) == (0, "")
    assert "members.yaml" not in told


def test_a_provider_that_only_tells_is_followed_whatever_says_both(check):
    lines = ["  - {user: first_name, contact: firstname, direction: both}", "consents:"]
    lines += ["  - {consent: newsletter, subscription: News, direction: both}"]
    code, told, complaint = check("memberspace", *lines)
    warnings = [one for one in told.splitlines() if one.startswith("warning: members.yaml")]
    assert (code, complaint, len(warnings)) == (0, "", 2)
    assert all("(api_url?): edits in HubSpot stay there" in one for one in warnings)
    code, _, complaint = check("memberspace", lines[0].replace("both", "to_user"))
    assert (code, "direction: to_user, but members takes no updates (api_url?)" in complaint) == (3, True)


@pytest.mark.parametrize(
    ("kind", "asked", "hint"),
    [
        ("memberspace", "contact_created: create_user", "create users (api_url?)"),
        ("auth0", "contact_created: create_user", "create users (connection?)"),
        ("druid", "contact_deleted: delete_user", "delete users (allow_delete?)"),
    ],
)
def test_the_setting_that_is_missing_is_named(check, kind, asked, hint):
    code, _, complaint = check(kind, f"lifecycle: {{{asked}}}", email="")
    column = len("lifecycle: {contact_created: ") + 1
    assert (code, f"members.yaml:4:{column}: lifecycle.{asked}, but members cannot {hint}" in complaint) == (3, True)


def test_every_kind_that_can_write_is_tried():
    assert set(ALL) - set(KINDS) == {"generic", "trustisto"}


GIVING = "typologies: {contact: member_types, direction: both, values: {press: Press}}"


@pytest.mark.parametrize(
    ("kind", "code", "told"),
    [
        pytest.param("outseta", 3, "members.yaml:4:48: typologies: direction: both, but members takes no memberships", id="none"),
        pytest.param("memberspace", 0, "warning: members.yaml:4:48: typologies: direction both, but members", id="only tells"),
        pytest.param("memberstack", 0, "", id="some"),
    ],
)
def test_memberships_a_provider_cannot_give(check, kind, code, told):
    found, said, complaint = check(kind, GIVING)
    assert found == code
    assert told in said + complaint
    assert bool(told) == ("memberships" in said + complaint)


RESERVED = [
    ("  - {user: custom.x, contact: NAME}", "4:31: fields.1.contact", "leave it out"),
    ("  - {user: custom.x, contact: NAME, direction: to_user}", "4:31: fields.1.contact", "leave it out"),
    ("typologies: {contact: NAME, values: {a: A}}", "4:23: typologies.contact", "name another property"),
    ("consents: [{consent: n, subscription: News, property: NAME}]", "4:55: consents.0.property", "name another property"),
    ("consents: [{consent: n, subscription: News}]\ncommunicable: {contact: NAME, any_of: [n]}",
     "5:25: communicable.contact", "name another property"),
]  # fmt: skip


@pytest.mark.parametrize(("lines", "place", "way_out"), RESERVED)
def test_the_property_of_the_users_ids_is_written_by_the_connector_alone(check, lines, place, way_out):
    code, _, complaint = check("memberspace", lines.replace("NAME", "members_user_id"))
    assert code == 3
    what = "members_user_id carries the user's id, the connector writes it itself"
    assert complaint.startswith(f"members.yaml:{place}: {what}; {way_out}\n")


@pytest.mark.parametrize(("lines", "place", "way_out"), RESERVED)
def test_so_is_that_of_another_provider_which_may_be_read(check, monkeypatch, lines, place, way_out):
    for key, value in {"KIND": "memberspace", "MAPPING": "shop.yaml", "WEBHOOK_SECRET": "whsec_" + "eHh4" * 8}.items():
        monkeypatch.setenv(f"CONNECTOR_PROVIDERS__SHOP__{key}", value)
    Path("shop.yaml").write_text("version: 1\nfields: [{user: email, contact: email, direction: to_contact}]\n")
    code, _, complaint = check("auth0", lines.replace("NAME", "shop_user_id"))
    what = "shop_user_id carries the ids of another provider's users, the connector writes it itself"
    if "to_user" in lines:
        assert "shop_user_id" not in complaint
    else:
        assert code == 3
        assert f"members.yaml:{place}: {what}; name another property\n" in complaint
