"""Detectors of people in whole frames: average precision at IoU .5, and milliseconds a pass, on the sample of MOT17.

Run: REIDLAB_DATA=FOLDER python tests/benchmarks/bench_detectors.py [--threads N]

FOLDER holds ``mot17_mini/train/SEQUENCE/{img1,gt}``. A pass is one picture through a detector: the frame at its size
through HOG, 300 x 300 pixels through SSDLite. Seconds are the process's own.
"""

import argparse
import time

import cv2
import numpy as np
import torch

from reidlab import paths
from reidlab.data import read_picture
from reidlab.video.detectors import HOG
from reidlab.video.ssdlite import SSDLite
from reidlab.world.recording import iou


def average_precision(found, true):
    """Area under precision over recall, and the recall of all boxes; a true box counts once."""
    ranked = sorted(((n, box) for n, boxes in enumerate(found) for box in boxes), key=lambda one: -one[1][4])
    left, hits = [list(boxes) for boxes in true], []
    for n, box in ranked:
        overlaps = [iou(box[:4], other) for other in left[n]]
        hits.append(bool(overlaps) and max(overlaps) >= 0.5)
        if hits[-1]:
            left[n].pop(int(np.argmax(overlaps)))
    hits = np.array(hits)
    precision = np.cumsum(hits) / np.arange(1, len(hits) + 1)
    count = sum(map(len, true))
    return np.maximum.accumulate(precision[::-1])[::-1][hits].sum() / count, hits.sum() / count


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    cv2.setNumThreads(options.threads)

    [root] = [folder / "mot17_mini" / "train" for folder in paths.data_roots() if (folder / "mot17_mini").is_dir()]
    true = {}
    for sequence in sorted(root.iterdir()):
        for row in np.loadtxt(sequence / "gt" / "gt.txt", delimiter=","):
            if row[6] == row[7] == 1:
                true.setdefault(sequence / "img1" / f"{int(row[0]):06d}.jpg", []).append(row[2:6])
    pictures = [read_picture(str(path)) for path in true]
    height = pictures[0].shape[0]
    frames = SSDLite(None, margin=0, least=0.01)
    tiles = SSDLite(None, margin=0, least=0.01, tile=540)
    hog = HOG(height, padding=0, body=(0.5, 0.75))
    print(f"{len(pictures)} frames of {pictures[0].shape[1]} x {height}, {sum(map(len, true.values()))} people")
    frames(pictures[:1])
    for name, detector, passes in (
        ("SSDLite, frame", frames, 1),
        ("SSDLite, tiles", tiles, 16),
        ("HOG, frame", hog, 1),
    ):
        began = time.process_time()
        found = detector(pictures)
        seconds = time.process_time() - began
        precision, recall = average_precision(found, list(true.values()))
        print(
            f"{name:16s} AP {precision:.3f}, recall {recall:.2f}, {1e3 * seconds / len(pictures):6.0f} ms a frame, "
            f"{1e3 * seconds / len(pictures) / passes:6.1f} ms a pass"
        )


if __name__ == "__main__":
    main()
