"""A migrated store on SQLite and on PostgreSQL."""

import pytest

from connector.store import Store


@pytest.fixture
def store(migrated_url):
    opened = Store(migrated_url)
    yield opened
    opened.close()
