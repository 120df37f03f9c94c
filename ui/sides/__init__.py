"""Two answers side by side: what only one of them says, and which one is better."""
