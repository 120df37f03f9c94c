"""A teacher model writes the samples: questions about a page, answers with the page in front of it.

plan -> flows (questions, answers, other shapes) -> window (so many calls at once, each kept in the cache) -> client.
What it writes goes through the same gates as everything else, and before a judge: the teacher itself, asked again.
"""
