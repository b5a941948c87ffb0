"""Auth0: one tenant, through its Management API and its event streams. Nothing of other vendors belongs here."""

from connector.providers.auth0.provider import from_settings

__all__ = ["from_settings"]
