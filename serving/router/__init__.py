"""The model `auto`: which voice answers a question, and why. Rules, then a small model, then both or a refusal."""
