"""Who uses the page: the menu in its header, signing out, and what happens when a sign-in ends while it is open."""
