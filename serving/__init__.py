"""Engines (vLLM) and the gateway: arms, citations, the OpenAI-compatible API."""
