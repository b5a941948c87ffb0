"""Taking in users from a file: for providers that cannot be listed. The file is checked as a whole before anybody is taken in.

A file is CSV in UTF-8, separated by commas, semicolons or tabs. Its first row names the columns: `id`, and user fields. An empty
cell tells nothing. Messages name rows as a spreadsheet counts them, and never what is in a cell.
"""

import csv
import io
import re
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import IO, Any

from connector.engine.normalise import Unreadable, moment
from connector.engine.readings import user_reading
from connector.errors import Rejected
from connector.mapping.model import Mapping
from connector.model import USER_FIELDS, LinkState, User
from connector.store.rows import fits
from connector.store.tables import storable
from connector.sync import listing, reconcile
from connector.sync.work import Work
from connector.yamlwords import did_you_mean

PER_TRANSACTION = 500
MOST_FINDINGS = 50
"""Findings told of one file; a file with the wrong columns has as many as rows."""
ADDRESS = re.compile(r"[^@\s]+@[^@\s.]+(\.[^@\s.]+)+")
WORDS = {"true": True, "false": False, "yes": True, "no": False, "1": True, "0": False}


class Import:
    """One file for one provider. `count` has rows, new, known, erased."""

    def __init__(self, work: Work, provider: str, file: IO[str], name: str) -> None:
        self.count = Counter(dict.fromkeys(("rows", "new", "known", "erased"), 0))
        self._work = work
        self._provider = provider
        self._mapping = work.mappings[provider]
        self._reads = work.providers[provider].capabilities.read
        self._file = file
        self._name = name

    def check(self) -> None:
        """Go through the whole file. Raises Rejected with a line for each finding."""
        if self._mapping.lifecycle.user_created == "ignore":
            raise Rejected(f"{self._provider}: lifecycle.user_created is ignore, so nobody is taken in")
        findings = list(islice(self._findings(), MOST_FINDINGS + 1))
        if len(findings) > MOST_FINDINGS:
            findings[-1] = "and more"
        if findings:
            raise Rejected("\n".join(f"{self._name}: {finding}" for finding in findings))

    def load(self, work: Work, provider: str, run: int, first: int) -> int:
        """Make the links, as `reconcile` asks a backfill to. Returns how many are new."""
        users = (user for _, user in self._rows() if isinstance(user, User))
        while some := list(islice(users, PER_TRANSACTION)):
            with work.store.write() as tx:
                reconcile.keep_lock(work, tx, run)
                known = tx.links.by_users(provider, [user.id for user in some])
                new = listing.strangers(tx, provider, some, known)
                tx.links.meet([self._link(user, run) for user in new])
            self.count.update(rows=len(some), new=len(new), known=len(known), erased=len(some) - len(known) - len(new))
        return self.count["new"]

    def unknown(self) -> list[str]:
        """Ids in the file of users whom the provider says it does not know. Some of them may only be unknown to it yet."""
        found: list[str] = []
        users = (user for _, user in self._rows() if isinstance(user, User))
        while self._reads and (some := list(islice(users, PER_TRANSACTION))):
            with self._work.store.read() as tx:
                known = tx.links.by_users(self._provider, [user.id for user in some])
            asked = [one for one in known.values() if one.state is LinkState.PENDING and one.attempts and not one.failed_since]
            found += sorted(str(one.user_id) for one in asked if one.user is None)
        return found

    def _link(self, user: User, run: int) -> dict[str, Any]:
        """Who can be read is; the file tells only of those who cannot."""
        seen = None if self._reads else user
        return {"provider": self._provider, "user_id": user.id, "user": seen, "refetch": self._reads, "run": run}

    def _findings(self) -> Iterator[str]:
        rows: dict[str, int] = {}
        number = 0
        for number, user in self._rows():
            if isinstance(user, str):
                yield f"row {number}: {user}"
            elif user.id in rows:
                yield f"row {number}: the id of row {rows[user.id]} again"
            else:
                rows[user.id] = number
        if not number:
            yield "no users"

    def _rows(self) -> Iterator[tuple[int, User | str]]:
        """The users of the file, from its beginning, with their rows; of a row that cannot be read, what is wrong."""
        number = 0
        try:
            cells = csv.reader(self._file, delimiter=self._delimiter(), strict=True)
            columns = [name.strip() for name in next(cells, [])]
            number = 1
            refused = list(self._refused(columns))
            yield from ((1, finding) for finding in refused)
            for number, row in enumerate(() if refused else cells, start=2):
                yield number, self._user(columns, row)
        except csv.Error as error:
            yield number + 1, f"cannot be read: {error}"
        except UnicodeDecodeError:
            yield number + 1, "here or somewhat later, it is not UTF-8"

    def _delimiter(self) -> str:
        """What separates the columns; leaves the file at its beginning."""
        self._file.seek(0)
        head = self._file.readline()
        self._file.seek(0)
        return max(",;\t", key=head.count)

    def _refused(self, columns: Sequence[str]) -> Iterator[str]:
        """What is wrong with the names of the columns."""
        if "id" not in columns:
            yield f"no column id; the columns are {', '.join(columns) or 'none'}"
        if not self._reads and "email" not in columns:
            yield f"no column email; {self._provider} cannot be read, so the file has to tell it"
        for name, count in Counter(columns).items():
            if count > 1:
                yield f"the column {name or 'without a name'} {count} times"
            if name not in USER_FIELDS and not name.removeprefix("custom."):
                yield "a column without a name"
            elif name not in USER_FIELDS and not name.startswith("custom."):
                yield f"{name} is no user field{did_you_mean(name, USER_FIELDS)}; own fields are custom.NAME"

    def _user(self, columns: Sequence[str], row: Sequence[str]) -> User | str:
        if len(row) != len(columns):
            return f"{len(row)} cells, and {len(columns)} columns"
        told = {name: cell.strip() for name, cell in zip(columns, row, strict=True) if cell.strip()}
        user_id = told.pop("id", "")
        if not fits("user", user_id):
            return "id is empty, too long, or has characters no id has"
        if odd := [name for name, cell in told.items() if storable(cell) != cell]:
            return f"{odd[0]} has characters that cannot be stored"
        if not self._reads and "email" not in told:
            return "no email"
        if not ADDRESS.fullmatch(told.get("email", "a@b.c")):
            return "email is no email address"
        verified = told.get("email_verified", "true").casefold()
        if verified not in WORDS:
            return "email_verified is not true or false"
        values: dict[str, Any] = {**told} | ({"email_verified": WORDS[verified]} if "email_verified" in told else {})
        try:
            user = User(user_id, values, moment(told["updated_at"]) if "updated_at" in told else None)
        except Unreadable as error:
            return f"updated_at {error}"
        return next(_unreadable(self._mapping, user), user)


def _unreadable(mapping: Mapping, user: User) -> Iterator[str]:
    """Fields that the mapping cannot take."""
    for rule in mapping.fields:
        try:
            user_reading(rule, user)
        except Unreadable as error:
            yield f"{rule.user}: {error}"


@contextmanager
def opened(path: Path) -> Iterator[IO[str]]:
    """A copy of a file, so that it is the same when it is read again."""
    with path.open("rb") as source, tempfile.TemporaryFile() as copy:
        shutil.copyfileobj(source, copy)
        with io.TextIOWrapper(copy, encoding="utf-8-sig", newline="") as text:
            yield text
