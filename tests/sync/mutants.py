"""The machine and its oracle can see: each known mistake, put in on purpose, is caught within some hundred examples at most.

Takes minutes, so it is not among the tests that always run: python -m pytest tests/sync/mutants.py
"""

import itertools
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from connector.engine import consent, plan, readings, rulings
from connector.engine.normalise import Reading
from connector.store import inbox
from connector.store.links import Links
from connector.store.tombstones import Tombstones
from connector.sync import hearing, intake, record, standings

from .fakes import FakeIdp
from .lives import live, story
from .machine import Machine
from .test_state_machine import Reliable

BRIEF = settings(
    max_examples=400, stateful_step_count=30, deadline=None, derandomize=True, database=None, report_multiple_bugs=False,
    phases=[Phase.generate], suppress_health_check=list(HealthCheck),
)  # fmt: skip


def skip_fencing(patch):
    """A lease that somebody else has taken over is renewed and recorded all the same."""
    renew, write = Links.renew, Links.record

    def rows(links, leased):
        return {one.id: row for one in leased if (row := links.get(one.id)) is not None}

    def renewed(links, leased, *rest):
        now = rows(links, leased)
        return renew(links, [replace(one, token=now[one.id].token) for one in leased if one.id in now], *rest)

    def recorded(links, link_id, token, values):
        row = links.get(link_id)
        return row is not None and write(links, link_id, row.token, values)

    patch.setattr(Links, "current", rows)
    patch.setattr(Links, "renew", renewed)
    patch.setattr(Links, "record", recorded)


def skip_dedupe(patch):
    """Every delivery is a new one."""
    numbers = itertools.count()
    add = inbox.Inbox.add
    patch.setattr(
        inbox.Inbox,
        "add",
        lambda self, rows: add(self, [(source, replace(item, key=f"{next(numbers)}")) for source, item in rows]),
    )


def compare_as_written(patch):
    """Values are compared as the sides spell them."""
    from_user, from_contact = readings.from_user, readings.from_contact

    def raw(read):
        return lambda rule, value: read(rule, value) if rule.type != "text" else Reading(value or None)

    patch.setattr(readings, "from_user", raw(from_user))
    patch.setattr(readings, "from_contact", raw(from_contact))


def take_unknown_for_blank(patch):
    """A field the provider does not tell is taken for an empty one."""
    decide = plan._decide

    def decided(rule, link, seen, *rest):
        if seen.user is not None and rule.user not in seen.user.values:
            seen = replace(seen, user=replace(seen.user, values={**seen.user.values, rule.user: None}))
        return decide(rule, link, seen, *rest)

    patch.setattr(plan, "_decide", decided)


def forget_what_rang_meanwhile(patch):
    """Hints that come while a link is on lease are overwritten by its record."""
    current = Links.current
    patch.setattr(
        Links, "current",
        lambda links, leased: {
            one.id: replace(row, rung=one.rung) for one in leased if (row := current(links, [one]).get(one.id)) is not None
        },
    )  # fmt: skip


def bring_the_dead_back(patch):
    """A link that has ended is forgotten, so that the next word about its user begins a new one."""
    notice = intake._notice_users

    def noticed(work, tx, provider, changes):
        for known in tx.links.by_users(provider, {change.record_id for _, change in changes}).values():
            if known.state in intake.FINAL:
                tx.links.remove(known.id)
        return notice(work, tx, provider, changes)

    patch.setattr(intake, "_notice_users", noticed)


def write_users_unseen(patch):
    """Users are written without the version that was read."""
    update = FakeIdp.update
    patch.setattr(FakeIdp, "update", lambda idp, user_id, values, etag: update(idp, user_id, values, None))


def forget_what_was_about_to_be_written(patch):
    """A worker that dies leaves no word of what it was doing."""
    renew = Links.renew
    patch.setattr(Links, "renew", lambda links, leased, lasting, intents=None: renew(links, leased, lasting))


def agree_on_what_was_refused(patch):
    """A write counts as made, whatever the answer."""
    agreed = record._agreed

    def all_agreed(case):
        case.on_contact |= {one.field.user for one in case.decided.decisions}
        case.on_user |= case.on_contact
        return agreed(case)

    patch.setattr(record, "_agreed", all_agreed)


def take_our_writes_for_evidence(patch):
    """The time the CRM puts to what we wrote counts as the person's."""
    patch.setattr(standings, "without_time", lambda one: one)
    patch.setattr(standings, "_keeps", lambda voice, known, said: False)


def let_unknown_overwrite(patch):
    """A place that does not know takes away what others know."""
    ruled = rulings.lattice.rule

    def rule(one, before, voices):
        ruling = ruled(one, before, voices)
        user = voices.said.get("user")
        return replace(ruling, now=consent.NOTHING) if user is not None and user.state is consent.UNKNOWN else ruling

    patch.setattr(rulings.lattice, "rule", rule)


def lift_the_opt_out_of_everything(patch):
    """Who opted out of everything is subscribed again by a grant."""
    patch.setattr(rulings, "_held", lambda ruling, seen: None)


def skip_tombstones(patch):
    """An address says the same of whoever has it."""
    patch.setattr(Tombstones, "emails", lambda tombstones, *asked: {})


def take_a_late_grant(patch):
    """A grant that arrives counts, whenever it was given."""
    settle = consent.settle

    def settled(before, news):
        news = list(news)
        return next((one for one in news if one.state is consent.GRANTED), settle(before, news))

    patch.setattr(consent, "settle", settled)


def forget_the_old_address(patch):
    """An opt-out made at the address somebody just left is not looked for."""
    patch.setattr(hearing, "_former", lambda case: None)


CONSENT_MUTANTS = [
    take_our_writes_for_evidence, let_unknown_overwrite, lift_the_opt_out_of_everything, skip_tombstones, take_a_late_grant,
    forget_the_old_address, forget_what_was_about_to_be_written,
]  # fmt: skip
MUTANTS = [
    skip_fencing, skip_dedupe, compare_as_written, take_unknown_for_blank, forget_what_rang_meanwhile, bring_the_dead_back,
    write_users_unseen, forget_what_was_about_to_be_written, agree_on_what_was_refused,
]  # fmt: skip


@pytest.mark.timeout(900)
@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.__name__)
def test_the_machine_catches(mutant, monkeypatch):
    mutant(monkeypatch)
    machine = Reliable if mutant is forget_what_rang_meanwhile else Machine  # a sweep would make up for it
    with pytest.raises(AssertionError):
        run_state_machine_as_test(machine, settings=BRIEF)


@pytest.mark.timeout(900)
@pytest.mark.parametrize("mutant", CONSENT_MUTANTS, ids=lambda mutant: mutant.__name__)
def test_a_life_catches(mutant, monkeypatch):
    mutant(monkeypatch)
    with pytest.raises(AssertionError):
        for seed in range(2000):
            live(*story(seed))
