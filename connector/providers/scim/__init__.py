"""SCIM 2.0: any server of RFC 7643 and RFC 7644, in whatever dialect. Nothing of one vendor's belongs here."""

from connector.providers.scim.provider import from_settings

__all__ = ["from_settings"]
