"""Product docs in, clean pages out: shared types, errors, prompts, the page store and the bundled handbook."""
