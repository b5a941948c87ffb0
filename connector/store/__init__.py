"""The database: tables, migrations and queries, the same on SQLite and PostgreSQL.

`Store` opens transactions; inside one, `tx.links`, `tx.inbox` ... are the queries. What comes out are the nouns of `model`
and plain values: no session, no row object leaves this package. What should happen to a link is decided elsewhere.
"""

from connector.store.store import Store, Tx

__all__ = ["Store", "Tx"]
