"""Keeps an identity provider's users and a CRM's contacts in agreement, both ways, unattended."""
