"""The conversations beside the chat: listed, searched, opened, renamed, deleted, exported."""
