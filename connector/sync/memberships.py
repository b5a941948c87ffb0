"""Memberships that marketing gave or took on the contact: the user gets or loses them at the provider, one call each."""

from typing import Any

from connector.engine.readings import typologies
from connector.engine.typologies import name_of, worth
from connector.errors import ConnectorError, Forbidden, Paused, Permanent, Rejected
from connector.mapping.model import TYPOLOGIES
from connector.sync import users
from connector.sync.case import Case, still_ours
from connector.sync.work import Work

KIND = "user.membership"
"""The kind of effect these are."""


def write(work: Work, batch: list[Case]) -> None:
    """Give and take what was decided, with the version last read, so that nobody's edit is overwritten unseen."""
    writing = [case for case in batch if case.open and not case.again and case.decided.memberships]
    users.tell(work, writing, _write, KIND)


def _write(work: Work, case: Case) -> ConnectorError | None:
    done = True
    for key, held in case.decided.memberships.items():
        told = [_described(case, key, held)]
        case.intend(KIND, membership=key, changes=told)
        if not still_ours(work, [case]):
            return case.error
        try:
            done &= _set(case, key, held, told)
        except (Rejected, Forbidden) as error:  # 403: this role, say, is not ours to give
            _refuse(case, key, held, str(error), told)
            done = False
        except ConnectorError as error:
            if isinstance(error, Paused | Permanent):
                case.heard(KIND, key)
            return error
        case.heard(KIND, key)
    if done:
        case.on_user.add(TYPOLOGIES)
    return None


def _set(case: Case, key: str, held: bool, told: list[dict[str, Any]]) -> bool:
    """Whether the provider did it: a 2xx that changed nothing is a failure."""
    user = case.seen.user
    answer = case.provider.set_membership(case.link.user_id or "", key, held, user.etag if user else None)
    case.answered_user(answer, case.mapping.fields, membership=key)
    if (key in typologies(answer)) is not held:
        _refuse(case, key, held, "the provider accepted the write but holds another value", told)
        return False
    case.note(KIND, told, answer="written")
    return True


def _refuse(case: Case, key: str, held: bool, why: str, told: list[dict[str, Any]]) -> None:
    """Park this membership; what else there is to agree on is settled at the next look."""
    case.refused[f"user.{name_of(key)}"] = (why, worth(held))
    case.note("refused", told, answer=why)
    case.again = True


def _described(case: Case, key: str, held: bool) -> dict[str, Any]:
    """The history's words for one membership."""
    one = next(one for one in case.decided.decisions if one.field.user == TYPOLOGIES)
    before, after = (None, key) if held else (key, None)
    return {
        "field": TYPOLOGIES, "property": one.field.contact, "side": "user", "from": before, "to": after, "base": one.sides.base,
        "user": one.sides.user.value, "contact": one.sides.contact.value, "rule": one.rule, "line": one.field.line,
    }  # fmt: skip
