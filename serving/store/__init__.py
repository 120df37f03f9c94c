"""What the gateway keeps: conversations, answers with their sources, votes, feedback and access keys.

SQLite (WAL) by default, PostgreSQL by URL; several gateways may share either.
"""
