"""Asking a chat model (a teacher, a judge) at any OpenAI-compatible address: many calls at once, every reply kept."""
