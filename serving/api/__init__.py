"""HTTP: the routes, what clients may send, and the shapes that answers leave in."""
