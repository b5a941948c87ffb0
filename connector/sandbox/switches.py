"""What kind of portal it is: what its tier has, and how strict it is."""

from typing import Any


class Switches:
    """Given to a portal by name, and changed on it at any time.

    v4_subscriptions: False answers every v4 subscription call 403. batch_subscriptions: False only those for many addresses.
    data_privacy: subscribing needs a legal basis and its explanation.
    refuses_resubscription: v4, too, leaves alone who unsubscribed in person. refuses_resubscription_of: the same for these
        addresses only, in lower case.
    optout_webhooks: changes of hs_email_optout and hs_email_optout_<id> are told to who subscribed to them.
    custom_objects, custom_events: False answers 403, as on a tier without them.
    """

    v4_subscriptions: bool = True
    batch_subscriptions: bool = True
    data_privacy: bool = True
    refuses_resubscription: bool = False
    refuses_resubscription_of: frozenset[str] = frozenset()
    optout_webhooks: bool = False
    custom_objects: bool = True
    custom_events: bool = True

    def switch(self, **values: Any) -> None:
        """Set some and leave the others. Raises ValueError for one that does not exist or a value of another kind."""
        known = {name: type(value) for name, value in vars(Switches).items() if isinstance(value, bool | frozenset)}
        for name, value in values.items():
            if name not in known:
                raise ValueError(f"no such switch: {name}; there are {', '.join(sorted(known))}")
            if not isinstance(value, bool if known[name] is bool else list | set | tuple | frozenset):
                raise ValueError(f"{name}: not a {known[name].__name__}: {value!r}")
        for name, value in values.items():
            setattr(self, name, known[name](value))

    def switched(self) -> dict[str, Any]:
        """All of them, fit for JSON."""
        names = [name for name, value in vars(Switches).items() if isinstance(value, bool | frozenset)]
        found = {name: getattr(self, name) for name in names}
        return {name: value if isinstance(value, bool) else sorted(value) for name, value in found.items()}
