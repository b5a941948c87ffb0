"""DruID (Dru-ID, by Genetsis), a platform for customers' identities with entry points, typologies and assertions.

`provider` makes its calls, `edits` those that write, `events` reads its webhooks, `user` knows the shape of its users.
"""
