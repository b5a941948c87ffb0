"""What both sides are known to say of a consent, and why one of them does not have what stands."""

from connector.engine.consent import NOTHING, REVOKED, UNKNOWN, Standing, Voice, decoded
from connector.engine.readings import user_consent
from connector.mapping.model import CONSENT, Consent
from connector.model import ConsentState, Link
from connector.store import Tx
from connector.sync.beyond import unwritable
from connector.sync.subscriptions import paused
from connector.sync.work import Work


def user_says(link: Link, consent: Consent) -> ConsentState:
    """What the user says, as last seen; what it said before, where it does not tell any more."""
    told = link.user is not None and link.user.consents is not None
    state = user_consent(consent.consent, link.user).state if link.user and told else UNKNOWN
    return state if state is not UNKNOWN else _standing(link, consent).heard.get(Voice.USER, NOTHING).state


def contact_says(link: Link, consent: Consent) -> ConsentState:
    """What the contact's subscription is known to be, as last heard or as we wrote it; without one, what the property says."""
    standing = _standing(link, consent)
    heard = standing.heard
    if consent.subscription is None:
        return heard.get(Voice.PROPERTY, NOTHING).state
    if heard.get(Voice.OPTOUT_ALL, NOTHING).state is REVOKED or heard.get(Voice.OPTOUT) == standing.now:
        return REVOKED
    return heard.get(Voice.SUBSCRIPTION, heard.get(Voice.OPTOUT, NOTHING)).state


def side(link: Link, consent: Consent, state: ConsentState) -> str:
    """Who says so: "both", "user", "contact" or "neither"."""
    user, contact = user_says(link, consent) is state, contact_says(link, consent) is state
    return "both" if user and contact else "user" if user else "contact" if contact else "neither"


def owed(work: Work, tx: Tx, link: Link, consent: Consent) -> list[str]:
    """Where that which stands is not written, and why. A side that has it, or is not to have it, is left out."""
    stands, user = _standing(link, consent).now.state, user_says(link, consent)
    lacking = []
    if consent.subscription and stands is not UNKNOWN and contact_says(link, consent) is not stands:
        lacking.append(("the contact's subscription", _not_to_contact(tx, link, consent, stands)))
    told = link.user is not None and link.user.consents is not None
    if told and stands is not user and (stands is REVOKED or (user is REVOKED and stands is not UNKNOWN)):
        lacking.append(("the user", _not_to_user(work, tx, link, consent)))
    if consent.property and (copy := _parked(tx, link, consent.property, whole=False)):
        lacking.append((consent.property, copy))
    return [f"not written to {where}: {why}" if why else f"not written to {where} yet" for where, why in lacking]


def _not_to_contact(tx: Tx, link: Link, consent: Consent, stands: ConsentState) -> str:
    if stands is not REVOKED and not consent.direction.writes_contact:
        return f"direction: {consent.direction.value}"
    why = paused(tx).get(link.provider)
    return _parked(tx, link, CONSENT + consent.consent) or (f"paused: {why}" if why else "")


def _not_to_user(work: Work, tx: Tx, link: Link, consent: Consent) -> str:
    provider, mapping = work.providers[link.provider], work.mappings[link.provider]
    if not consent.direction.writes_user:
        return f"direction: {consent.direction.value}"
    if not provider.capabilities.consent or CONSENT + consent.consent in unwritable(provider, mapping):
        return f"{link.provider} does not take it"
    return _parked(tx, link, f"user.{CONSENT}{consent.consent}")


def _parked(tx: Tx, link: Link, what: str, whole: bool = True) -> str:
    """Why that is parked, or, with `whole`, the link as a whole."""
    wanted = (what, "link") if whole else (what,)
    found = [row.reason for row in tx.parked.of_links([link.id]).get(link.id, []) if row.what in wanted]
    return f"parked: {'; '.join(found)}" if found else ""


def _standing(link: Link, consent: Consent) -> Standing:
    return decoded(link.consents.get(consent.consent))
