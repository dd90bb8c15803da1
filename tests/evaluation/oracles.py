"""Textbook versions of the evaluation, written as plain loops over sorted lists; slow and easy to check by eye."""

import numpy as np


def ranking_scores(distances, query, gallery, *, camera_rule="same person", distractors=True, ap_rule="step"):
    """Score each query by walking down its fully sorted gallery; None for a query without a match."""
    results = []
    for q in range(len(query.pids)):
        order = sorted(range(len(gallery.pids)), key=lambda j: (distances[q, j], j))
        hits = []
        for j in order:
            same_person = gallery.pids[j] == query.pids[q]
            same_camera = gallery.camids[j] == query.camids[q]
            if gallery.pids[j] == -1 or (gallery.pids[j] == 0 and not distractors):
                continue
            if camera_rule == "same person" and same_person and same_camera:
                continue
            if camera_rule == "any person" and same_camera:
                continue
            hits.append(bool(same_person))
        if not any(hits):
            results.append(None)
            continue
        ap, found = 0.0, 0
        for rank, hit in enumerate(hits, start=1):
            if hit:
                before = found / (rank - 1) if rank > 1 else 1.0
                found += 1
                precision = found / rank
                ap += precision if ap_rule == "step" else (precision + before) / 2
        last = max(rank for rank, hit in enumerate(hits, start=1) if hit)
        first = min(rank for rank, hit in enumerate(hits, start=1) if hit)
        results.append({"ap": ap / found, "inp": found / last, "first_rank": first, "num_positives": found})
    return results


def summary(results, max_rank=50):
    """Average the valid queries' scores."""
    valid = [r for r in results if r is not None]
    return {
        "mAP": float(np.mean([r["ap"] for r in valid])),
        "mINP": float(np.mean([r["inp"] for r in valid])),
        "cmc": np.array([np.mean([r["first_rank"] <= k for r in valid]) for k in range(1, max_rank + 1)]),
    }


def k_reciprocal(query, gallery, k1, k2, weight):
    """Zhong et al. (2017), Eqs. 3 to 12, with dense matrices and Python sets."""
    features = np.concatenate([query, gallery]).astype(np.float64)
    count, queries = len(features), len(query)
    squared = ((features[:, None] - features[None]) ** 2).sum(axis=-1)
    scaled = squared / squared.max(axis=1, keepdims=True)
    order = np.argsort(squared, axis=1, kind="stable")

    def mutual(i, k):
        return {j for j in order[i, : k + 1] if i in order[j, : k + 1]}

    encoding = np.zeros((count, count))
    for i in range(count):
        robust = set(own := mutual(i, k1))
        for j in own:
            theirs = mutual(j, round(k1 / 2))
            if len(theirs & own) > 2 / 3 * len(theirs):
                robust |= theirs
        members = sorted(robust)
        encoding[i, members] = np.exp(-scaled[i, members])
        encoding[i] /= encoding[i].sum()
    encoding = np.stack([encoding[order[i, :k2]].mean(axis=0) for i in range(count)])
    out = np.empty((queries, count - queries))
    for i in range(queries):
        for g in range(queries, count):
            shared = np.minimum(encoding[i], encoding[g]).sum()
            union = np.maximum(encoding[i], encoding[g]).sum()
            out[i, g - queries] = (1 - weight) * (1 - shared / union) + weight * scaled[i, g]
    return out
