"""Engines: OpenAI-compatible LLM servers, asked over HTTP; vLLM's are started and watched here."""
