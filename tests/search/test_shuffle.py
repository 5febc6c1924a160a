"""The shuffle by seed: every id in one block, every seed another order, no place preferred."""

from __future__ import annotations

import random
from collections import Counter
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from twinlens.search.shuffle import Shuffle
from twinlens.stores.base import point_id

seeds = st.integers(0, 2**53 - 1)


@given(seed=seeds, total=st.integers(0, 3000))
def test_the_blocks_cover_every_id_once(seed: int, total: int) -> None:
    shuffle = Shuffle(seed, total)
    spans = sorted(span for number in range(shuffle.blocks) for span in shuffle.find_spans(number))
    assert spans[0][0] == 0
    assert spans[-1][1] == 2**128
    assert all(before[1] == after[0] for before, after in pairwise(spans))


@given(seed=seeds, total=st.integers(9, 10**9))
def test_a_block_holds_four_to_eight_videos_on_average(seed: int, total: int) -> None:
    assert 4 < total / Shuffle(seed, total).blocks <= 8


@given(seed=seeds, total=st.integers(100, 10**6))
def test_another_seed_is_another_order(seed: int, total: int) -> None:
    one, other = Shuffle(seed, total), Shuffle(seed ^ 1, total)
    assert [list(one.find_spans(n)) for n in range(5)] != [
        list(other.find_spans(n)) for n in range(5)
    ]
    point = point_id("video")
    assert one.make_key(point) != other.make_key(point)
    assert one.make_key(point) == Shuffle(seed, total + 1).make_key(point)


def test_every_block_comes_first_equally_often() -> None:
    total = 64 * 8
    blocks = Shuffle(0, total).blocks
    drawn = random.Random(3)
    seen = [Counter[int]() for _ in range(3)]
    for _ in range(blocks * 200):
        shuffle = Shuffle(drawn.randrange(2**53), total)
        # Where the cut lies is taken away, so that blocks of all seeds can be told apart.
        width = 2**128 // blocks
        starts = [next(iter(shuffle.find_spans(place)))[0] for place in range(3)]
        cut = starts[0] % width
        for place, start in enumerate(starts):
            seen[place][(start - cut) // width] += 1
    for counts in seen:
        # Binomial(64 * 200, 1 / 64): 200 each, give or take 14; five times that, for 192 of them.
        assert len(counts) == blocks
        assert all(abs(count - 200) < 70 for count in counts.values()), counts


def test_neighbours_in_one_order_are_rarely_neighbours_in_another() -> None:
    total = 1024 * 8
    for seed in range(10):
        pairs = []
        for shuffle in (Shuffle(seed, total), Shuffle(seed + 1000, total)):
            width = 2**128 // shuffle.blocks
            starts = [next(iter(shuffle.find_spans(n)))[0] // width for n in range(shuffle.blocks)]
            pairs.append({frozenset(pair) for pair in pairwise(starts)})
        assert len(pairs[0]) > 1000
        assert len(pairs[0] & pairs[1]) < 20
        beside = [pair for pair in pairs[0] if max(pair) - min(pair) == 1]
        assert len(beside) < 50
