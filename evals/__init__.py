"""Question sets and the scores that say which voice to trust for what."""
