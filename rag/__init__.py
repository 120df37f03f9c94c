"""Pages in, ranked passages out: chunks, index generations, the hybrid retriever."""
