"""Known mistakes, put in on purpose, make the tests of what they break fail. `mutants` shows the same of the machine."""

import pytest

from . import mutants, test_crashes, test_disorder

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
