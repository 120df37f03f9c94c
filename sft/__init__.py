"""Pages in, a fine-tuned checkpoint out."""
