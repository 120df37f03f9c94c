"""Who may ask, and how much: keys, sign-in, roles, rates, the queue in front of the answers."""
