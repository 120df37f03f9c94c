"""How the tables came to be what they are, one file a change. Run by ``Store.open``.

A new one, where the tables have changed: see "Changing the tables" in CONTRIBUTING.md.
"""
