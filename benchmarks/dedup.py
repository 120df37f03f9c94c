"""How long near-duplicate removal takes, and what it finds and costs, beside datasketch used as its manual shows it.

    python benchmarks/dedup.py [--samples 100000] [--peer 5000]

Makes conversations out of a vocabulary of 20,000 words (Zipf), 60 to 200 words each, one in ten of them a copy of an
earlier one with 2 % of its words changed. The peer hashes every word triple with SHA-1 into 128 permutations, as the
manual does; it is timed on fewer samples and told per thousand.
"""

from __future__ import annotations

import argparse
import resource
import time

import numpy as np

from data.prompts import Message
from sft.duplicates import NearDuplicates, words
from sft.types import Reject, Sample


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--samples", type=int, default=100_000)
    parser.add_argument("--peer", type=int, default=5_000)
    args = parser.parse_args()
    samples, planted = made(args.samples)
    before = peak_mb()
    started = time.perf_counter()
    outcome = list(NearDuplicates().sift(samples))
    seconds = time.perf_counter() - started
    rejected = {n for n, one in enumerate(outcome) if isinstance(one, Reject)}
    found = len(rejected & planted) / len(planted)
    wrong = len(rejected - planted)
    print(f"DocDuet     {len(samples)} samples in {seconds:.1f} s ({seconds / len(samples) * 1e6:.0f} us each)")
    print(f"            {found:.1%} of {len(planted)} planted copies found, {wrong} others turned down")
    print(f"            peak {peak_mb():.0f} MB, {before:.0f} MB of it before (the samples themselves)")
    few = samples[: args.peer]
    started = time.perf_counter()
    kept = peer(few)
    seconds = time.perf_counter() - started
    print(f"datasketch  {len(few)} samples in {seconds:.1f} s ({seconds / len(few) * 1e6:.0f} us each), {kept} kept")


def made(count: int) -> tuple[list[Sample], set[int]]:
    """(samples, the places of the copies)."""
    rng = np.random.default_rng(0)
    vocabulary = np.array([f"w{n}" for n in range(20_000)])
    texts: list[np.ndarray] = []
    planted: set[int] = set()
    for n in range(count):
        if n and rng.random() < 0.1:
            text = texts[int(rng.integers(n))].copy()
            text[rng.random(len(text)) < 0.02] = "changed"
            planted.add(n)
        else:
            text = vocabulary[np.minimum(rng.zipf(1.3, int(rng.integers(60, 200))), 19_999)]
        texts.append(text)
    return [_sample(" ".join(text)) for text in texts], planted


def _sample(text: str) -> Sample:
    question, answer = text[:60], text[60:]
    messages = (Message(role="user", content=question), Message(role="assistant", content=answer))
    return Sample(messages, "single", "en", (), (), "rules", "f", "")


def peer(samples: list[Sample]) -> int:
    """datasketch as in its documentation: one MinHash, one update per shingle."""
    from datasketch import MinHash, MinHashLSH

    index = MinHashLSH(threshold=0.85, num_perm=128)
    kept = 0
    for n, sample in enumerate(samples):
        tokens = words(sample.questions[0] + " " + sample.answers[0])
        sketch = MinHash(num_perm=128)
        for triple in zip(tokens, tokens[1:], tokens[2:], strict=False):
            sketch.update(" ".join(triple).encode())
        if not index.query(sketch):
            index.insert(n, sketch)
            kept += 1
    return kept


def peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main()
