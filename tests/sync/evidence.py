"""Whether what we did about consents follows from what people said. Knows the fakes and what they showed us, no decision of ours.

The rule: a place is turned to "granted" by us only when the person gave that consent, and every opt-out of the person we could
know of is earlier, by the times told, than a grant that names its source. An opt-out without a time stays.
"""

from collections import defaultdict

from connector.engine.consent import decoded

PURPOSES = {"1001": "newsletter", "1002": "product", "newsletter_consent": "newsletter"}
ID = "members_user_id"


class Evidence:
    """Listens to both fakes of a world."""

    def __init__(self, world):
        self.world = world
        self.said = defaultdict(list)
        self.at_address = {}
        self.vague = set()
        self.void = {}
        self.told = set()
        self.settled = set()
        self.inherited = set()
        self.ever = defaultdict(set)
        self.unlinked = set()
        self.taking = []
        self.versions = {}
        self.leased_at = world.clock()
        self.closed_at = None
        self.granted = 0
        for side in (world.crm, world.idp):
            side.hears, side.shows = self.hear, self.show
        world.passed = self.passed

    # who says something

    def hear(self, word):
        """Take down what somebody says; judge what we say."""
        if word.by == "us":
            self._judge(word)
        elif word.place == "idp":
            self._at_provider(word)
        elif word.place == "status":
            self._on_preference_page(word)
        elif word.place == "property":
            users = self._users_of_contact(word.whose)
            self.unlinked |= set() if users else {word.whose}
            for user in users:
                self._note(user, "newsletter", word, vague=True)
        if word.place == "status":
            self.at_address[word.whose, PURPOSES[word.about]] = word

    def _note(self, user, purpose, word, vague=False):
        if word not in self.said[user, purpose]:
            self.said[user, purpose].append(word)
        if vague:
            self.vague.add((user, purpose))

    def _at_provider(self, word):
        late = word.at is None or word.at != word.spoken
        weak = late or word.source is None or word.state not in ("granted", "revoked")
        if weak:
            self.vague.add((word.whose, word.about))
        self._note(word.whose, word.about, word)

    def _on_preference_page(self, word):
        users, contacts = self.holders(word.whose)
        purpose = PURPOSES[word.about]
        mine = (users or contacts) if word.state == "revoked" else users | contacts
        far = {user for user in mine if word.state == "revoked" and not self._in_reach(user, word.whose)}
        self.vague |= {(user, purpose) for user in far}
        self.vague |= {(user, purpose) for user in self.ever[word.whose] - mine}
        mine -= far
        if word.state == "granted":  # somebody whom we know only with an earlier address
            early = {user for user in self.ever[word.whose] if word.whose in self._agreed(user)[1] or not self._agreed(user)[1]}
            self.vague |= {(user, purpose) for user in early - mine}
            mine |= early
        for user in mine:
            self._note(user, purpose, word, vague=users != contacts or word.before == word.state)

    def holders(self, address):
        """Users with this address at the provider, and users whose contact has it."""
        users = {one.id for one in self.world.idp.users.values() if one.values.get("email") == address}
        contacts = [one for one in self.world.crm.contacts.values() if address and one.get("email") == address]
        return users, {one[ID] for one in contacts if one.get(ID)}

    def _in_reach(self, user, address):
        """Whether an address is one that we have any reason to ask about: the contact's, or the one we last agreed on."""
        link, known = self._agreed(user)
        if not known:
            return True
        contact = self.world.crm.contacts.get(self.world.crm._now(link.contact_id), {})
        return address in known | {contact.get("email")}

    def _agreed(self, user):
        """A user's link, and the addresses whose consents we settled."""
        with self.world.store.read() as tx:
            link = tx.links.by_users("members", [user]).get(user)
        settled = link.consents.values() if link and link.contact_id else ()
        return link, {one["address"] for one in settled if one.get("address")}

    def _users_of_contact(self, contact_id):
        found = self.world.crm.contacts.get(contact_id, {}).get(ID)
        return [found] if found else []

    def moves_in(self, user, address):
        """Somebody has an address from now on. A grant that stands there counts for whom we meet with this address first."""
        self.ever[address].add(user)
        agreed = self._agreed(user)[1]
        new = not agreed
        for purpose in ("newsletter", "product"):  # nobody can know of an address that was left before we ever saw it
            said = self.said[user, purpose]
            kept = [one for one in said if one.place != "status" or one.whose in {address, *agreed} or one.state == "granted"]
            self.vague |= {(user, purpose)} if any(one.place == "status" for one in said) else set()
            self.said[user, purpose] = kept
        for purpose in ("newsletter", "product"):
            word = self.at_address.get((address, purpose))
            if word is not None and word.state == "granted" and new and self._is_of_now(word, address):
                self._note(user, purpose, word, vague=True)
                self.inherited.add(word)
            elif word is not None:
                self.vague.add((user, purpose))

    # what we know

    def show(self, what, told):
        """We read something."""
        if what == "delivery":
            self.taking.append(told)
        elif what == "user":
            self._shown_user(told)
        elif what == "contact":
            self._shown_property(told, None)

    def passed(self, where):
        """What was taken in is known once a worker has something on lease."""
        if where != "leased":
            return
        self.leased_at = self.world.clock()
        for change in self.taking:
            if change.user is not None:
                self._shown_user(change.user)
            elif change.property:
                self._shown_property(change.record_id, change.occurred_at)
        self.taking = []

    def died(self):
        """What the worker had just taken in is forgotten."""
        self.taking = []

    def _shown_user(self, user):
        if user.updated_at < self.versions.get(user.id, user.updated_at):
            return
        self.versions[user.id] = user.updated_at
        for entry in user.consents or ():
            words = [one for one in self.said[user.id, entry["purpose"]] if one.place == "idp" and one.spoken <= user.updated_at]
            if words and words[-1].state == entry["state"]:
                self.told.add(words[-1])

    def _shown_property(self, contact_id, at):
        for user in self._users_of_contact(contact_id):
            words = [one for one in self.said[user, "newsletter"] if one.place == "property" and at in (None, one.spoken)]
            self.told |= set(words[-1:])

    # what we may do

    def _is_of_now(self, word, address):
        """Whether a word was said since an address was last left, by a move or an erasure."""
        return address not in self.void or word.spoken > self.void[address]

    def opted_out_there(self, address, purpose):
        """What the person, or whoever had the address before, said there last, if that was to opt out."""
        word = self.at_address.get((address, purpose))
        return [word] if word and word.by == "person" and word.state == "revoked" else []

    def _judge(self, word):
        if word.state == "revoked" and word.place == "status":  # a grant on its way is not later than this
            user, purpose = self._user_of(word), PURPOSES[word.about]
            late = [one for one in self.said[user, purpose] if one.state == "granted" and one.place == "idp"]
            self.vague |= {(user, purpose)} if any(one not in self.told for one in late) else set()
        if word.state != "granted" or word.before == "granted":
            return
        self.granted += 1
        user, purpose = self._user_of(word), PURPOSES.get(word.about, word.about)
        outs = [one for one in self.said[user, purpose] if self._known_out(one)]
        there = self.opted_out_there(word.whose, purpose) if word.place == "status" else []
        outs += [one for one in there if self._known_out(one)]
        try:
            self.may_grant(user, purpose, outs, f"we granted {purpose} at {word.place} {word.whose} for {user}")
        except AssertionError as error:  # the sync would take it for an outage
            self.world.crm.wrong.append(str(error))

    def _known_out(self, word):
        if word.state != "revoked":
            return False
        if word.place != "status":
            return word in self.settled or (word in self.told and word is self._latest(word))
        return word.spoken < self.leased_at and (self.world.crm.denied is None or word.about == "1002")

    def may_grant(self, user, purpose, outs, what):
        """Raises unless a grant of the person beats every one of these opt-outs."""
        grants = [one for one in self.said[user, purpose] if self._is_grant(one)]
        assert grants, f"{what}, who never gave it: {self.said[user, purpose]}"
        good = [one for one in grants if all(self._beats(one, out) for out in outs)]
        assert good, f"{what}, who opted out: {self.said[user, purpose]}"

    def _latest(self, word):
        """What the place of a word says last."""
        found = [one for words in self.said.values() if word in words for one in words if one.place == word.place]
        return found[-1]

    def remember(self, links):
        """What was settled stays known, whatever the place says later."""
        for one in links:
            for purpose, stored in one.consents.items():
                heard = decoded(stored).heard
                for place, voice in (("idp", "user"), ("property", "property")):
                    said = heard.get(voice)
                    words = [word for word in self.said[one.user_id, purpose] if word.place == place]
                    same = said and words and words[-1].state == said.state == "revoked"
                    if same and (place == "property" or words[-1].at == said.at):
                        self.settled.add(words[-1])

    def _is_grant(self, word):
        if word.place == "property":
            return self.closed_at is not None and self.closed_at >= word.spoken
        return word.state == "granted"

    def _beats(self, grant, out):
        if grant.at and grant.source and out.at and grant.at > out.at:
            return True
        return grant.place == out.place == "idp" and out not in self.told and out.spoken < grant.spoken

    def _user_of(self, word):
        if word.place == "idp":
            return word.whose
        if word.place == "property":
            return next(iter(self._users_of_contact(word.whose)), None)
        with self.world.store.read() as tx:
            return tx.links.get(word.link).user_id
