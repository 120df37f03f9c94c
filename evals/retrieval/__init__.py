"""How well the search finds the pages that answer. `docduet eval run --retrieval SET`.

bench.py  a corpus, indexed, every question through every system      systems.py  ours and plain BM25
peer.py  LlamaIndex's stock pipeline      metrics.py  hit@k, MRR, nDCG      show.py  tables      chart.py  a picture
"""
