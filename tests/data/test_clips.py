"""Clip transforms against what is written out by hand, frame by frame, and masks against painted pictures."""

import numpy as np
import pytest
import torch

from reidlab.data import ClipTransform, ColourJitter, RandomErasing, check_masks, normalize
from reidlab.errors import ConfigError, DataError
from reidlab.seeding import rng

COUNT, FRAMES, HEIGHT, WIDTH = 24, 3, 12, 8


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def clips():
    values = rng(0, "clips").integers(0, 256, (COUNT, FRAMES, HEIGHT, WIDTH, 3), dtype=np.uint8)
    return torch.from_numpy(values)


@pytest.fixture
def painted():
    """Clips that are white inside a box of their own in each frame and black elsewhere, and the boxes."""
    random = rng(1, "boxes")
    clips = np.zeros((COUNT, FRAMES, HEIGHT, WIDTH, 3), np.uint8)
    masks = np.empty((COUNT, FRAMES, 4), np.int64)
    for index in np.ndindex(COUNT, FRAMES):
        y0, x0 = random.integers(HEIGHT), random.integers(WIDTH)
        y1, x1 = random.integers(y0 + 1, HEIGHT + 1), random.integers(x0 + 1, WIDTH + 1)
        masks[index] = y0, y1, x0, x1
        clips[index][y0:y1, x0:x1] = 255
    return torch.from_numpy(clips), torch.from_numpy(masks)


def plain(clips):
    """Each frame normalised on its own."""
    return torch.stack([normalize(clip) for clip in clips])


def box_of(frame):
    """The box of a frame's bright pixels, None where there are none."""
    bright = (frame > 0).all(0)
    rows, columns = bright.any(1).nonzero(), bright.any(0).nonzero()
    if not len(rows):
        return None
    return [int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1]


def test_everything_off_is_normalisation_frame_by_frame(clips):
    out, masks = ClipTransform(flip=0.0)(clips, None, generator())
    assert masks is None
    assert out.shape == (COUNT, FRAMES, 3, HEIGHT, WIDTH)
    assert out.dtype == torch.float32
    torch.testing.assert_close(out, plain(clips), rtol=0, atol=0)


@pytest.mark.parametrize("options", [{}, {"pad": 2}, {"erase": 0.5}, {"jitter": ColourJitter()}])
def test_frames_are_in_channels_last_memory_without_a_copy(clips, options):
    out, _ = ClipTransform(**options)(clips, None, generator())
    frames = out.flatten(0, 1)
    assert frames.data_ptr() == out.data_ptr()
    assert frames.is_contiguous(memory_format=torch.channels_last)


def test_a_clip_is_mirrored_whole_or_not_at_all(clips):
    out, _ = ClipTransform(flip=0.5)(clips, None, generator())
    mirrored = 0
    for clip, after in zip(plain(clips), out, strict=True):
        turned = torch.equal(after, clip.flip(3))
        assert turned or torch.equal(after, clip)
        mirrored += turned
    assert 5 < mirrored < 19
    assert torch.equal(ClipTransform(flip=1.0)(clips, None, generator())[0], plain(clips).flip(4))


def test_the_frames_of_a_clip_are_shifted_alike(clips):
    pad, shifts = 2, set()
    out, _ = ClipTransform(flip=0.0, pad=pad)(clips, None, generator())
    for clip, after in zip(clips.numpy(), out, strict=True):
        padded = np.pad(clip, ((0, 0), (pad, pad), (pad, pad), (0, 0)))
        windows = [
            (top, left)
            for top in range(2 * pad + 1)
            for left in range(2 * pad + 1)
            if torch.equal(
                normalize(torch.from_numpy(padded[:, top : top + HEIGHT, left : left + WIDTH].copy())), after
            )
        ]
        assert len(windows) == 1
        shifts.add(windows[0])
    assert len(shifts) > 8


def test_colours_change_in_one_way_throughout_a_clip():
    clips = torch.randint(30, 120, (COUNT, FRAMES, HEIGHT, WIDTH, 3), generator=generator(3)).byte()
    jitter = ColourJitter(brightness=0.3, contrast=0, saturation=0)
    options = {"mean": (0.0, 0.0, 0.0), "std": (1.0, 1.0, 1.0)}
    out, _ = ClipTransform(flip=0.0, jitter=jitter, **options)(clips, None, generator())
    factors = out / (clips.permute(0, 1, 4, 2, 3).float() / 255)
    assert (factors.std(dim=(1, 2, 3, 4)) < 1e-5).all()
    assert factors.mean(dim=(1, 2, 3, 4)).std() > 0.1
    # With all of jitter on, equal frames stay equal, and equal colours in different frames too.
    clips[:, 1] = clips[:, 0]
    clips[:, 2] = clips[:, 0].flip(1)
    jitter = ColourJitter(0.3, 0.3, 0.3, 0.1)
    out, _ = ClipTransform(flip=0.0, jitter=jitter)(clips, None, generator())
    torch.testing.assert_close(out[:, 1], out[:, 0])
    torch.testing.assert_close(out[:, 2], out[:, 0].flip(2))


def test_contrast_is_about_the_mean_of_the_clip():
    clips = torch.zeros(1, 2, 4, 4, 3, dtype=torch.uint8)
    clips[:, 0], clips[:, 1] = 51, 153  # 0.2 and 0.6, mean 0.4
    jitter = ColourJitter(brightness=0, contrast=0.5, saturation=0)
    transform = ClipTransform(flip=0.0, jitter=jitter, mean=(0.0,) * 3, std=(1.0,) * 3)
    out, _ = transform(clips, None, generator())
    assert float(out.mean()) == pytest.approx(0.4, abs=1e-5)
    assert float(out[0, 1].mean() - out[0, 0].mean()) != pytest.approx(0.4, abs=1e-2)
    assert float(out[0, 0].std()) == pytest.approx(0, abs=1e-6)


def test_frames_are_erased_one_by_one():
    clips = torch.full((60, 4, 32, 16, 3), 255, dtype=torch.uint8)
    out, _ = ClipTransform(flip=0.0, erase=RandomErasing(0.5, area=(0.1, 0.2)))(clips, None, generator())
    holes = (out == 0).all(2)
    share = holes.flatten(2).float().mean(2)
    erased = share > 0
    assert 0.4 < erased.float().mean() < 0.6
    assert ((share == 0) | ((share > 0.08) & (share < 0.22))).all()
    # Some clips have frames of both kinds, and two erased frames of a clip differ.
    assert (erased.any(1) & ~erased.all(1)).sum() > 30
    both = holes[erased[:, 0] & erased[:, 1]]
    assert sum(torch.equal(clip[0], clip[1]) for clip in both) <= 1


def test_masks_stay_where_nothing_moves(painted):
    clips, masks = painted
    out, after = ClipTransform(flip=0.0, jitter=ColourJitter(), erase=0.5)(clips, masks, generator())
    assert torch.equal(after, masks)
    assert out.shape == (COUNT, FRAMES, 3, HEIGHT, WIDTH)


@pytest.mark.parametrize("options", [{"flip": 0.5}, {"flip": 0.0, "pad": 3}, {"flip": 0.5, "pad": 3}])
def test_masks_follow_the_picture(painted, options):
    clips, masks = painted
    out, after = ClipTransform(**options)(clips, masks, generator())
    assert after.dtype == torch.int64
    assert not torch.equal(after, masks)
    gone = 0
    for index in np.ndindex(COUNT, FRAMES):
        found, box = box_of(out[index]), after[index].tolist()
        if found is None:  # pushed out: a line at the edge stays
            gone += 1
            assert box[1] - box[0] == 1 or box[3] - box[2] == 1
        else:
            assert found == box
    assert gone < 0.2 * COUNT * FRAMES
    check_masks(after.flatten(0, 1).numpy(), (HEIGHT, WIDTH), np.zeros(COUNT * FRAMES))


def test_masks_change_nothing_about_the_pictures(painted):
    clips, masks = painted
    transform = ClipTransform(0.5, 2, 0.5, ColourJitter())
    assert torch.equal(transform(clips, masks, generator())[0], transform(clips, None, generator())[0])


def test_the_generator_decides_and_the_input_stays(painted):
    clips, masks = painted
    kept, boxes = clips.clone(), masks.clone()
    transform = ClipTransform(0.5, 2, 0.5, ColourJitter(hue=0.1))
    one, same, other = (transform(clips, masks, generator(seed)) for seed in (1, 1, 2))
    assert torch.equal(one[0], same[0])
    assert torch.equal(one[1], same[1])
    assert not torch.equal(one[0], other[0])
    assert torch.equal(clips, kept)
    assert torch.equal(masks, boxes)


def test_clips_and_masks_of_another_shape_are_refused(clips):
    transform = ClipTransform()
    for bad in (clips.float(), clips[0], clips.permute(0, 1, 4, 2, 3)):
        with pytest.raises(ConfigError, match="clips: torch"):
            transform(bad, None, generator())
    for shape in [(COUNT, 4), (COUNT, FRAMES, 3), (COUNT, FRAMES + 1, 4)]:
        with pytest.raises(ConfigError, match="masks"):
            transform(clips, torch.zeros(shape, dtype=torch.int64), generator())
    with pytest.raises(ConfigError, match="masks"):
        transform(clips, torch.zeros(COUNT, FRAMES, 4), generator())


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (lambda: ClipTransform(flip=1.2), "Flip.p"),
        (lambda: ClipTransform(pad=-1), "PadCrop.pad"),
        (lambda: ClipTransform(erase=2.0), "RandomErasing.p"),
    ],
)
def test_bad_parameters_are_named(make, name):
    with pytest.raises(ConfigError, match=name):
        make()


def test_masks_of_a_table_come_back_as_whole_numbers():
    masks = np.array([[0, 12, 0, 8], [3, 4, 7, 8]], dtype=np.uint8)
    found = check_masks(masks, (12, 8), np.array([5, 5]))
    assert found.dtype == np.int64
    assert np.array_equal(found, masks)


@pytest.mark.parametrize(
    "masks", [np.zeros((3, 4)), np.zeros((2, 4), int), np.zeros((3, 2), int), np.zeros((3, 12, 8), bool)]
)
def test_masks_that_are_no_boxes_are_refused(masks):
    with pytest.raises(ConfigError, match=r"masks: .*expected integers \(3, 4\)"):
        check_masks(masks, (12, 8), np.array([5, 5, 6]))


@pytest.mark.parametrize("box", [(0, 13, 0, 8), (0, 12, 0, 9), (-1, 12, 0, 8), (0, 12, 8, 8), (6, 5, 0, 8)])
def test_a_box_outside_the_picture_is_named_with_its_tracklet(box):
    masks = np.array([[0, 12, 0, 8], [0, 12, 0, 8], box])
    with pytest.raises(DataError, match=r"row 2, of tracklet 6: box .* = \(.*not inside the picture of 12 x 8 pixels"):
        check_masks(masks, (12, 8), np.array([5, 5, 6]))
