"""Keycloak: one realm, through its admin API and the webhooks of the keycloak-events extension. Nothing of other vendors here."""

from connector.providers.keycloak.provider import from_settings

__all__ = ["from_settings"]
