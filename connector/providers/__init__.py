"""Identity providers: what the vendor says, what we make of it, and nothing else.

`base` is the protocol; one module (or folder) for each kind of provider, and a line in `registry`. Shared between them are
checking signatures (`signature`) and making REST calls (`http`). Nothing here knows the CRM, the database, or another provider.
"""
