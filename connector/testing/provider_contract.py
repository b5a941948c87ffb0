"""The promises of `connector.providers.base.Provider`, as tests. Subclass, fill in what is yours, and pytest runs them all.

    class TestAcme(ProviderContract):
        secrets = ("webhook secret", "api key")
        proof = ("acme-signature",)
        events = {"user.created": CREATED, "user.updated": UPDATED, "user.deleted": DELETED}

        def make(self, url): ...                                   # the provider, its API at `url`
        def deliver(self, body, event, at, wrong, number): ...     # the vendor's request with this body, signed
        def vendor(self): ...                                      # plays the vendor's API, with one user in it

What does not apply is left at its default: a provider without webhooks has no `events`, one that is only listened to has no
`vendor`; all of that is in `connector.testing.hooks`. docs/providers/write-a-provider.md has a whole example.
"""

from connector.testing.rest_promises import RestPromises
from connector.testing.trouble_promises import TroublePromises
from connector.testing.webhook_promises import WebhookPromises


class ProviderContract(WebhookPromises, RestPromises, TroublePromises):
    """All promises. See the module."""
