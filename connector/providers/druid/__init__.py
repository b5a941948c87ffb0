"""DruID (Dru-ID, by Genetsis), a platform for customers' identities with entry points, typologies and assertions.

`provider` makes its calls, `events` reads its webhooks, `user` knows the shape of its users.
"""
