"""CRM drivers: everything that knows one CRM's API, and nothing that knows an identity provider, the mapping or the database.

`base` is what the rest of the connector may ask of a CRM. A driver answers in that vocabulary only: contacts, outcomes and
our own errors, never its CRM's bodies or messages.
"""
