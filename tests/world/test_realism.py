"""The embedded world is no toy: a people detector made for photographs finds the people in its frames."""

import cv2
import numpy as np

from reidlab.seeding import rng
from reidlab.world import Scene
from reidlab.world.scenarios import scenario

MIN_HEIGHT_PX = 80
UNOCCLUDED = 0.95
SCALE = 2.0  # people of 80 px are at the lower end of what the detector was made for
# The detector's window keeps a margin round the person: it was trained on people of 96 px in windows of 64 x 128.
MARGIN_X, MARGIN_Y = 0.18, 0.11
AROUND_PX = 48  # detected in is what lies so near to people: the rest of a frame takes most of the time


def detect(frame: np.ndarray) -> np.ndarray:
    """Return boxes (n, 4) of OpenCV's HOG people detector (Dalal and Triggs, CVPR 2005) in pixels of the frame."""
    hog = cv2.HOGDescriptor()
    hog.setSVMDetector(cv2.HOGDescriptor_getDefaultPeopleDetector())
    large = cv2.resize(frame[:, :, ::-1], None, fx=SCALE, fy=SCALE, interpolation=cv2.INTER_CUBIC)
    windows, _ = hog.detectMultiScale(large, winStride=(8, 8), padding=(16, 16), scale=1.1)
    x, y, w, h = np.asarray(windows, dtype=float).reshape(-1, 4).T / SCALE
    return np.stack([x + MARGIN_X * w, y + MARGIN_Y * h, (1 - 2 * MARGIN_X) * w, (1 - 2 * MARGIN_Y) * h], axis=1)


def overlaps(box: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Return intersection over union of one box with others, all x, y, w, h."""
    low = np.maximum(box[:2], others[:, :2])
    high = np.minimum(box[:2] + box[2:], others[:, :2] + others[:, 2:])
    shared = np.prod(np.clip(high - low, 0, None), axis=1)
    return shared / (box[2] * box[3] + others[:, 2] * others[:, 3] - shared)


def recall(frames: int) -> tuple[int, int]:
    """Return how many people the detector found, and how many there were, in frames of one scene."""
    scene = Scene(scenario("standard", seed=11, train_people=2, test_people=40))
    session = scene.sessions["test"]
    found = total = 0
    for camera in scene.cameras:
        moments = rng(0, "frames", camera.camid).integers(session.first, session.last, 400)
        busy = [int(f) for f in moments if scene.visits_at(camera.camid, int(f))][: frames // len(scene.cameras)]
        for frame in busy:
            boxes = scene.boxes(camera.camid, frame)
            clear = boxes[(boxes.h >= MIN_HEIGHT_PX) & (boxes.visibility >= UNOCCLUDED)]
            if clear.empty:
                continue
            people = clear[["x", "y", "w", "h"]].to_numpy()
            x, y = np.maximum(people[:, :2].min(axis=0) - AROUND_PX, 0).astype(int)
            right, bottom = ((people[:, :2] + people[:, 2:]).max(axis=0) + AROUND_PX).astype(int)
            detections = detect(scene.frame(camera.camid, frame)[y:bottom, x:right])
            detections[:, :2] += (x, y)
            for box in people:
                total += 1
                found += bool(len(detections)) and overlaps(box, detections).max() > 0.4
    return found, total


def test_a_photographic_people_detector_finds_at_least_half_of_the_people():
    found, total = recall(frames=40)
    assert total >= 30
    assert found >= total / 2, f"found {found} of {total}"
