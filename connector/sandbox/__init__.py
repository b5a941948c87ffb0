"""A HubSpot portal and an identity provider over real HTTP, in memory: for the demo, for trying a mapping, for tests.

Here belongs what the two sides outside do, unkindness included, and hands to use them as a person would.
What the connector does with it does not: nothing here imports the rest of it.
Each side is an object (`portal.Portal`, `identity.IdentityProvider`) with an `app`; `server.serve` puts it on a port.
"""
