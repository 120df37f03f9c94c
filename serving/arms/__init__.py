"""Arms turn a conversation into a stream of answer events. They know nothing of HTTP."""
