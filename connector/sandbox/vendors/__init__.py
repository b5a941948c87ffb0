"""Vendors' identity systems in memory, over real HTTP: the calls our adapters make, real signatures on what is delivered.

Here belongs what a vendor's documentation says it does, as far as an adapter meets it, and hands to use it as a person would.
The rules of the sandbox hold here, too: nothing imports the rest of the connector.
"""
