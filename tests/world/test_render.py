"""Pictures: geometry against masks drawn here, determinism, and what may be seen from where."""

from dataclasses import replace

import cv2
import numpy as np
import pytest

from reidlab.errors import ConfigError
from reidlab.seeding import rng
from reidlab.world import Actor, Camera, Dress, Nuisances, Occluder, Person, Renderer, make_cameras, make_people, render
from reidlab.world.background import Background

PLAIN = Nuisances(background=0.0)
CAMERA = Camera(1, height_m=3.4, pitch_rad=0.24, focal_px=640.0, near_m=6.0, far_m=18.0, seed=3)


def silhouette(renderer: Renderer, actors: list[Actor], alone: list[Actor]) -> np.ndarray:
    """Return which frame pixels change when the bodies of ``alone`` are repainted, by drawing twice.

    Shadows do not depend on clothes, so recolouring everything a person wears and is changes the body only.
    """

    def repaint(a: Actor, value: int) -> Actor:
        c = (value, value, value)
        dyed = replace(
            a.person, skin=c, hair_colour=c, hat_colour=c, upper_colour=c, second_colour=c, inner_colour=c,
            lower_colour=c, shoes=c, bag_colour=c, scarf=None if a.person.scarf is None else c, pattern="plain",
        )  # fmt: skip
        return replace(a, person=dyed)

    ids = {id(a) for a in alone}
    frames = [renderer.frame([repaint(a, v) if id(a) in ids else a for a in actors]).astype(int) for v in (15, 235)]
    return np.abs(frames[0] - frames[1]).max(axis=2) > 8


@pytest.mark.parametrize("heading", np.linspace(-np.pi, np.pi, 7)[:-1])
def test_box_is_tight_around_drawn_pixels(heading):
    renderer = Renderer(CAMERA, PLAIN)
    for i, person in enumerate(make_people(3, Dress.blend(0.3), 1)):
        actor = Actor(person, 0.5 * i, 8.0 + 2 * i, heading, 1.0 + i)
        mask = silhouette(renderer, [actor], [actor])
        ys, xs = np.nonzero(mask)
        x, y, w, h = renderer.boxes([actor])[0]
        drawn = np.array([xs.min(), ys.min(), xs.max() + 1, ys.max() + 1])
        np.testing.assert_allclose(drawn, [x, y, x + w, y + h], atol=2.0)


def test_visibility_agrees_with_counted_pixels():
    camera = Camera(
        1, height_m=3.4, pitch_rad=0.24, focal_px=640.0, near_m=6.0, far_m=18.0, seed=3,
        occluders=(Occluder("wall", 0.6, 9.0, 1.2, 0.3, 1.0), Occluder("bin", -1.8, 8.0, 0.6, 0.6, 1.1)),
    )  # fmt: skip
    renderer = Renderer(camera, Nuisances(background=0.0, occlusion=1.0))
    empty = Renderer(camera, PLAIN)
    people = make_people(6, Dress.summer(), 5)
    spots = [(0.5, 10.5), (-2.0, 9.6), (-0.3, 8.0), (-0.5, 9.4), (2.9, 10.0), (-4.6, 9.0)]
    actors = [Actor(p, x, z, 0.7 * i, 0.9 * i) for i, (p, (x, z)) in enumerate(zip(people, spots))]
    visible = renderer.visibility(actors)
    boxes = renderer.boxes(actors)
    for i, actor in enumerate(actors):
        x, _, w, _ = boxes[i]
        seen = silhouette(renderer, actors, [actor]).sum()
        if x < 0 or x + w > camera.width:
            assert visible[i] < 1.0
            continue
        whole = silhouette(empty, [actor], [actor]).sum()
        assert visible[i] == pytest.approx(seen / whole, abs=0.06)
    assert visible[2] == pytest.approx(1.0)
    assert visible[0] < 0.8
    assert visible[1] < 0.8


def test_visibility_falls_to_zero_outside_the_frame():
    renderer = Renderer(CAMERA, PLAIN)
    person = make_people(1, Dress.summer(), 0)[0]
    assert renderer.visibility([Actor(person, -9.0, 9.0)])[0] == 0.0
    assert renderer.visibility([Actor(person, 0.0, 9.0)])[0] == 1.0
    assert len(renderer.visibility([])) == 0
    assert renderer.boxes([]).shape == (0, 4)


def test_same_scene_same_pixels():
    people = make_people(3, Dress.winter(), 2)
    cameras = make_cameras(1, 4)
    actors = [Actor(p, 0.4 * i, 9.0 + i, i, i) for i, p in enumerate(people)]
    pictures = []
    for _ in range(2):
        renderer = Renderer(cameras[0], Nuisances.full())
        box = renderer.boxes(actors)[0]
        pictures.append((renderer.crop(actors, box, rng=rng(1, "a")), renderer.frame(actors, rng(1, "b"), shot=3)))
    np.testing.assert_array_equal(pictures[0][0], pictures[1][0])
    np.testing.assert_array_equal(pictures[0][1], pictures[1][1])
    # A renderer has no memory of what it drew before.
    again = renderer.crop(actors, box, rng=rng(1, "a"))
    np.testing.assert_array_equal(again, pictures[0][0])


def test_other_seeds_other_pixels():
    one, two = (make_people(1, Dress.summer(), s)[0] for s in (0, 1))
    renderer, other = (Renderer(make_cameras(1, s)[0], Nuisances.typical()) for s in (0, 1))
    box = (280.0, 100.0, 60.0, 130.0)
    base = renderer.crop([Actor(one, 0.0, 10.0)], box)
    assert (base != renderer.crop([Actor(two, 0.0, 10.0)], box)).any()
    assert (base != other.crop([Actor(one, 0.0, 10.0)], box)).any()
    assert (base != renderer.crop([Actor(one, 0.0, 10.0)], box, shot=1)).any()


def test_crop_shows_the_frame():
    """A crop at the sensor's own size equals the frame's pixels, up to how edges are averaged."""
    camera = make_cameras(1, 0)[0]
    renderer = Renderer(camera, Nuisances(colour_shift=1.0, occlusion=1.0))
    people = make_people(3, Dress.summer(), 0)
    actors = [Actor(p, 0.7 * i - 0.7, 9.5 + i, 0.5 * i, i) for i, p in enumerate(people)]
    frame = renderer.frame(actors)
    crop = renderer.crop(actors, (260.0, 60.0, 120.0, 240.0), size=(240, 120))
    difference = np.abs(frame[60:300, 260:380].astype(int) - crop)
    assert difference.mean() < 1.5
    assert np.quantile(difference, 0.99) < 30


def test_a_distant_person_is_soft():
    renderer = Renderer(CAMERA, PLAIN)
    person = make_people(1, Dress.summer(), 3)[0]

    def detail(z: float) -> float:
        actor = Actor(person, 0.0, z, 0.3, 1.0)
        return cv2.Laplacian(renderer.crop([actor], renderer.boxes([actor])[0])[..., 1], cv2.CV_32F).std()

    assert detail(17.5) < 0.75 * detail(8.0)


def bag_pixels(kind: str, heading: float) -> int:
    """Count bright magenta pixels, a colour that only the bag has."""
    person = Person(1, bag=kind, bag_colour=(230, 20, 230), bag_side=1, shoulder=1.1, build=1.1, seed=1 << 7)
    renderer = Renderer(CAMERA, PLAIN)
    actor = Actor(person, 0.0, 8.0, heading, 0.3, stride=0.0)
    image = renderer.crop([actor], renderer.boxes([actor])[0], size=(256, 128)).astype(int)
    return int(((image[..., 0] > image[..., 1] + 60) & (image[..., 2] > image[..., 1] + 60)).sum())


def test_backpack_is_seen_from_behind_and_only_its_straps_from_the_front():
    assert bag_pixels("backpack", np.pi) > 2 * bag_pixels("backpack", 0.0)


def test_shoulder_bag_is_seen_on_its_own_side():
    # The person's left: walking to the left of the picture turns it to the camera.
    assert bag_pixels("shoulder", -np.pi / 2) > 2 * bag_pixels("shoulder", np.pi / 2)


def test_heading_turns_the_face():
    skin = (224, 40, 40)
    person = Person(1, skin=skin, hair="long", sleeve=1.0, arms="swing")
    renderer = Renderer(CAMERA, PLAIN)

    def red(heading: float) -> int:
        actor = Actor(person, 0.0, 8.0, heading, 0.0, 0.0)
        x, y, w, h = renderer.boxes([actor])[0]
        image = renderer.crop([actor], (x, y, w, 0.16 * h), size=(64, 64)).astype(int)
        return int((image[..., 0] > image[..., 1] + 60).sum())

    assert red(0.0) > 200
    assert red(np.pi) < 0.1 * red(0.0)


def test_walking_direction_agrees_with_heading():
    """At +pi/2 a person looks to the right of the picture: the toes are right of the heels."""
    person = Person(1, shoes=(240, 20, 20))
    renderer = Renderer(CAMERA, PLAIN)
    toes = []
    for heading in (np.pi / 2, -np.pi / 2):
        actor = Actor(person, 0.0, 8.0, heading, 0.0, 0.0)
        image = renderer.frame([actor]).astype(int)
        _, xs = np.nonzero(image[..., 0] > image[..., 1] + 60)
        foot = CAMERA.project(np.array([0.0, 0.0, 8.0]))[0][0]
        toes.append(xs.mean() - foot)
    assert toes[0] > 2
    assert toes[1] < -2


def test_nuisances_do_what_they_say():
    camera = make_cameras(1, 3)[0]
    person = make_people(1, Dress.summer(), 3)[0]
    actor = Actor(person, 0.0, 9.0, 0.4, 1.0)

    def crop(nuisances: Nuisances) -> np.ndarray:
        renderer = Renderer(camera, nuisances)
        return renderer.crop([actor], renderer.boxes([actor])[0], rng=rng(0)).astype(float)

    clean = crop(Nuisances())
    for name in ("colour_shift", "light_change", "blur", "noise", "jpeg"):
        assert np.abs(crop(Nuisances(**{name: 1.0})) - clean).mean() > 0.3, name
    for name in ("crossing", "box_jitter", "drift", "label_noise"):
        np.testing.assert_array_equal(crop(Nuisances(**{name: 0.5})), clean)
    noise = crop(Nuisances(noise=1.0)) - clean
    assert 0.4 * camera.look.noise < noise.std() < 1.3 * camera.look.noise
    assert cv2.Laplacian(crop(Nuisances(blur=1.0)), cv2.CV_64F).std() < cv2.Laplacian(clean, cv2.CV_64F).std()


def test_ground_area_holds_people_inside_the_frame(monkeypatch):
    blank = Background(np.zeros((CAMERA.height, CAMERA.width, 3), np.uint8), ())
    monkeypatch.setattr(render, "background_of", lambda *_: blank)  # boxes do not depend on it
    for camera in make_cameras(6, 2):
        renderer = Renderer(camera, PLAIN)
        polygon = camera.ground_area()
        person = make_people(1, Dress.summer(), 0)[0]
        centre = polygon.mean(axis=0)
        corners = centre + 0.97 * (polygon - centre)
        boxes = renderer.boxes([Actor(person, x, z) for x, z in corners])
        assert (boxes[:, 0] > -8).all()
        assert (boxes[:, 0] + boxes[:, 2] < camera.width + 8).all()
        assert (boxes[:, 1] + boxes[:, 3] < camera.height + 2).all()


def test_opencv_finds_the_people():
    """The stock pedestrian detector, trained on photographs, takes most of them for people."""
    hog = cv2.HOGDescriptor()
    hog.setSVMDetector(cv2.HOGDescriptor_getDefaultPeopleDetector())
    random = rng(0, "hog")
    people = make_people(24, Dress.blend(0.3), 9)
    found = total = 0
    for camera in make_cameras(4, 0):
        renderer = Renderer(camera, Nuisances.typical())
        actors = [
            Actor(
                people[(4 * camera.camid + i) % 24],
                x,
                camera.near_m + depth,
                random.uniform(-3, 3),
                random.uniform(0, 6),
            )
            for i, (x, depth) in enumerate([(-1.7, 1.2), (0.1, 3.0), (1.6, 0.8)])
        ]
        image = cv2.resize(renderer.frame(actors, random), None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC)
        hits, _ = hog.detectMultiScale(image[..., ::-1].copy(), winStride=(8, 8), padding=(16, 16), scale=1.06)
        # The detector's window has a margin around the person.
        hits = np.array([(x + 0.18 * w, y + 0.11 * h, 0.64 * w, 0.78 * h) for x, y, w, h in hits]).reshape(-1, 4) / 2
        for box, seen in zip(renderer.boxes(actors), renderer.visibility(actors)):
            if seen > 0.95 and box[3] >= 80:
                total += 1
                found += any(_iou(box, hit) > 0.4 for hit in hits)
    assert total >= 6
    assert found >= 0.5 * total


def _iou(a: np.ndarray, b: np.ndarray) -> float:
    w = min(a[0] + a[2], b[0] + b[2]) - max(a[0], b[0])
    h = min(a[1] + a[3], b[1] + b[3]) - max(a[1], b[1])
    both = max(w, 0) * max(h, 0)
    return both / (a[2] * a[3] + b[2] * b[3] - both)


@pytest.mark.parametrize("box", [(0, 0, 0, 10), (0, 0, 10, -1), (float("nan"), 0, 10, 10)])
def test_bad_windows_are_refused(box):
    with pytest.raises(ConfigError, match="box"):
        Renderer(CAMERA, PLAIN).crop([], box)


def test_bad_size_is_refused():
    with pytest.raises(ConfigError, match="size"):
        Renderer(CAMERA, PLAIN).crop([], (0, 0, 10, 20), size=(4, 4))


def test_windows_over_the_edge_are_drawn():
    renderer = Renderer(CAMERA, Nuisances.full())
    person = make_people(1, Dress.summer(), 0)[0]
    for box in ((-60, -40, 100, 200), (600, 300, 90, 200), (-300, -300, 50, 100)):
        assert renderer.crop([Actor(person, -3.0, 8.0)], box).shape == (128, 64, 3)
