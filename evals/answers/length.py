"""The driblet index: how long answers are beside the references. Short multi-turn data teach a model to answer in
driblets, whole pages teach it to ramble.

    length ratio = exp(mean of log(characters of the answer / characters of the reference)) over answered questions

Of one answer it is the length ratio behind BLEU's brevity penalty (Papineni et al., ACL 2002; sacrebleu's ``sys_len /
ref_len`` with its tokenizer "char"). BLEU adds up the lengths of a corpus, so that long answers decide; here each
question counts once, and by the geometric mean, the one for ratios (Fleming and Wallace, "How not to lie with
statistics", CACM 29, 1986): half and double as long weigh alike. Characters without markers and white space; an answer
that failed is none. Beside it, `short`: the share of answers under half the reference.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from evals.report.results import Share
from evals.report.stats import mean_interval


def length_ratio(lengths: Sequence[tuple[int, int]], seed: int = 0) -> Share:
    """``lengths``: (answer, reference) in characters. The interval is the bootstrap's, over questions."""
    import numpy as np

    from evals.report.stats import by_user

    logs = [math.log(max(1, answer) / reference) for answer, reference in lengths if reference]
    if not logs:
        return Share(None, 0.0, math.inf, 0)
    found = by_user(np.array(logs), np.arange(len(logs)), seed) if np.ptp(logs) > 1e-12 else None
    low, high = (found.low, found.high) if found else (min(logs), max(logs))
    return Share(math.exp(math.fsum(logs) / len(logs)), math.exp(low), math.exp(high), len(logs))


def short(lengths: Sequence[tuple[int, int]], seed: int = 0) -> Share:
    """The share of answers that have less than half of the reference's characters."""
    return mean_interval([float(answer < reference / 2) for answer, reference in lengths if reference], seed)
