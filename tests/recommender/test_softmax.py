"""The sampled softmax against the full one."""

import numpy as np
import pytest
import torch

from twinlens.recommender.softmax import Background, measure_loss

VIDEOS, DIM, DRAWN, TIMES = 50, 8, 4000, 400


@pytest.fixture(scope="module")
def toy():
    rng = np.random.default_rng(0)
    frequencies = rng.zipf(1.5, VIDEOS).clip(1, 20).astype(float)
    people = torch.from_numpy(rng.normal(size=(4, DIM)).astype(np.float32))
    videos = torch.from_numpy(rng.normal(size=(VIDEOS, DIM)).astype(np.float32) * 0.5)
    return frequencies, people, videos, np.array([3, 11, 11, 40])


def full_gradient(people, videos, labels):
    videos = videos.clone().requires_grad_()
    torch.nn.functional.cross_entropy(people @ videos.T, torch.from_numpy(labels)).backward()
    return videos.grad


def mean_sampled_gradient(toy, *, corrected):
    frequencies, people, videos, labels = toy
    background, rng = Background(frequencies), np.random.default_rng(1)
    expected = np.log(background.probabilities * DRAWN).astype(np.float32)
    total = torch.zeros_like(videos)
    for _ in range(TIMES):
        drawn, log_expected = background.draw(DRAWN, rng)
        weights = videos.clone().requires_grad_()
        loss = measure_loss(
            (people * weights[labels]).sum(dim=1),
            people @ weights[drawn].T,
            torch.from_numpy(log_expected if corrected else log_expected - expected[drawn]),
            torch.from_numpy(labels[:, None] == drawn),
        )
        loss.mean().backward()
        total += weights.grad
    return total / TIMES


def test_the_mean_gradient_is_that_of_the_full_softmax(toy):
    full = full_gradient(*toy[1:])
    sampled = mean_sampled_gradient(toy, corrected=True)
    assert torch.linalg.norm(sampled - full) <= 0.01 * torch.linalg.norm(full)


def test_without_the_correction_it_is_not(toy):
    full = full_gradient(*toy[1:])
    sampled = mean_sampled_gradient(toy, corrected=False)
    assert torch.linalg.norm(sampled - full) > 0.1 * torch.linalg.norm(full)


def test_a_label_among_the_negatives_does_not_count():
    loss = measure_loss(
        torch.tensor([1.0]), torch.tensor([[5.0]]), torch.zeros(1), torch.tensor([[True]])
    )
    assert loss.item() == pytest.approx(0.0)


def test_a_video_that_nobody_watched_is_never_drawn():
    drawn, _ = Background(np.array([0.0, 2.0, 1.0])).draw(1000, np.random.default_rng(0))
    assert drawn.tolist() == [1, 2]
