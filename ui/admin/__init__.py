"""The panel of administrators: sources, indexes, engines, gaps in the docs, a page's chunks, a test of the search."""
