"""Known mistakes, put in on purpose, make the tests of what they break fail. `mutants` shows the same of the machine."""

import pytest

from . import mutants, test_addresses, test_consents, test_crashes, test_disorder
from .consenting import CONSENTS
from .world import World

CAUGHT_BY = [
    (
        mutants.skip_fencing,
        test_crashes.test_a_frozen_worker_does_not_write_over_what_happened_since_even_where_the_provider_knows_no_versions,
    ),
    (mutants.skip_fencing, test_crashes.test_a_zombies_record_leaves_what_its_successor_agreed),
    (mutants.skip_dedupe, test_disorder.test_a_delivery_that_comes_a_hundred_times_is_one_piece_of_work),
    (mutants.compare_as_written, test_disorder.test_a_difference_in_spelling_is_no_change),
    (mutants.take_unknown_for_blank, test_disorder.test_a_field_the_provider_does_not_tell_for_a_while_is_not_cleared),
    (mutants.forget_what_rang_meanwhile, test_disorder.test_a_hint_that_arrives_while_a_worker_has_the_link_is_worked_on_next),
    (mutants.agree_on_what_was_refused, test_disorder.test_a_write_that_is_refused_is_not_agreed),
    (mutants.write_users_unseen, test_disorder.test_an_edit_between_reading_and_writing_a_user_is_not_overwritten),
    (
        mutants.forget_what_was_about_to_be_written,
        test_crashes.test_the_loser_of_a_conflict_is_on_record_even_when_the_worker_dies,
    ),
]


@pytest.mark.parametrize(("mutant", "test"), CAUGHT_BY, ids=lambda one: one.__name__)
def test_a_mutant_is_caught(mutant, test, linked, monkeypatch):
    mutant(monkeypatch)
    with pytest.raises(AssertionError):
        test(linked)


OF_CONSENTS = [
    (mutants.take_our_writes_for_evidence, test_consents.test_the_time_of_our_own_write_beats_no_opt_out),
    (mutants.let_unknown_overwrite, test_consents.test_a_new_subscription_in_the_crm_reaches_the_provider),
    (mutants.lift_the_opt_out_of_everything, test_consents.test_an_opt_out_of_everything_is_never_lifted_by_us),
    (mutants.skip_tombstones, test_addresses.test_an_address_somebody_moved_away_from_grants_nothing_to_the_next),
    (mutants.take_a_late_grant, test_consents.test_an_older_grant_that_comes_late_lifts_nothing),
    (mutants.forget_the_old_address, test_addresses.test_an_opt_out_at_an_address_that_was_just_left_counts),
]


@pytest.mark.parametrize(("mutant", "test"), OF_CONSENTS, ids=lambda one: one.__name__)
def test_a_mutant_of_consents_is_caught(mutant, test, tmp_path, monkeypatch):
    mutant(monkeypatch)
    world = World(tmp_path, mapping=CONSENTS)
    with pytest.raises(AssertionError):
        test(world)
        assert not world.crm.wrong
