"""What Celery is told of our tasks, and what it may hear of a mistake."""

import logging

import pytest
from celery.exceptions import SoftTimeLimitExceeded
from sqlalchemy.exc import IntegrityError

from connector import tasks
from connector.errors import Locked, Unavailable

HOUR = 3600


@pytest.fixture(scope="module")
def limits():
    """Task -> seconds that it may run, and until it is killed, as the worker reads them from the bound task."""
    tasks.app.finalize()
    return {name: (task.soft_time_limit, task.time_limit) for name, task in tasks.app.tasks.items()}


@pytest.mark.parametrize("name", ["full_reconcile", "recent", "poll"])
def test_tasks_that_take_as_long_as_a_base_is_large_are_not_killed(limits, name):
    soft, hard = limits[f"connector.{name}"]
    assert HOUR * 12 < soft < hard


@pytest.mark.parametrize("name", ["subscriptions", "tidy"])
def test_a_task_of_some_minutes_ends_before_its_message_is_given_to_another_worker(limits, name):
    soft, hard = limits[f"connector.{name}"]
    assert 600 < soft < hard < tasks._transport("redis://host")["visibility_timeout"]


class TestMistakes:
    def test_what_a_mistake_says_reaches_no_log(self, caplog):
        def broken():
            raise IntegrityError("insert", {}, ValueError("Key (user_id)=(ada@example.com) already exists."))

        caplog.set_level(logging.INFO)
        with pytest.raises(RuntimeError) as caught:
            tasks._quietly("sweep", broken)
        assert str(caught.value).startswith("unexpected IntegrityError at ")
        assert "ada@" not in str(caught.value)
        assert (caught.value.__cause__, caught.value.__context__) == (None, None)

    def test_the_place_is_where_our_code_was(self, monkeypatch):
        monkeypatch.setattr("connector.tasks.sweep.activities.wake", lambda work: [].index(work))
        with pytest.raises(RuntimeError, match=r"unexpected ValueError at .*/connector/sync/sweep\.py:\d+$"):
            tasks._quietly("sweep", lambda: tasks.sweep.sweep(None))

    def test_a_time_limit_stays_one(self):
        def over():
            raise SoftTimeLimitExceeded

        with pytest.raises(SoftTimeLimitExceeded):
            tasks._quietly("work_off", over)

    @pytest.mark.parametrize("error", [Locked("somebody else"), Unavailable("down")])
    def test_what_may_work_later_fails_nothing(self, error):
        def later():
            raise error

        assert tasks._quietly("work_off", later) == 0
