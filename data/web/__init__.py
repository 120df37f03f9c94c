"""A web site as a source: guarded requests, robots.txt, sitemaps, links, and the crawl itself."""
