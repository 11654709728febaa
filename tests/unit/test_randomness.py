import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fewstep.randomness import batch_rows, normal, uniform


def test_every_pass_shows_every_sample_once():
    n, batch = 103, 10
    rows = torch.cat([batch_rows(n, batch, i, seed=5) for i in range(31)])
    for epoch in range(3):
        assert rows[epoch * n : (epoch + 1) * n].sort().values.tolist() == list(range(n))
    assert not torch.equal(rows[:n], rows[n : 2 * n])
    assert torch.equal(batch_rows(n, batch, 17, 5), rows[170:180])
    assert len(batch_rows(3, 10, 4, 0)) == 10  # a batch larger than the set


@pytest.mark.parametrize("draw", [normal, uniform])
@given(size=st.integers(1, 70), cuts=st.lists(st.integers(0, 70), max_size=4))
@settings(deadline=None, max_examples=30)
def test_shares_of_a_batch_are_the_batch(draw, size, cuts):
    """However the rows are shared out, each has the same numbers."""
    ends = sorted({0, size, *(c for c in cuts if c < size)})
    parts = [draw(3, 7, "noise", range(a, b), 2, 3) for a, b in zip(ends[:-1], ends[1:])]
    assert torch.equal(torch.cat(parts), draw(3, 7, "noise", range(size), 2, 3))


def test_a_share_is_drawn_without_the_rest_of_the_batch(monkeypatch):
    """Rows 100 to 103 lie in block 6: one block of 16 is made, whatever the batch."""
    made, empty = [], torch.empty
    monkeypatch.setattr(torch, "empty", lambda *n, **kw: made.append(n) or empty(*n, **kw))
    normal(0, 0, "noise", range(100, 104), 2)
    assert made == [(16, 2)]


def test_draws_are_uniform_normal_and_repeatable():
    rows = range(100)
    u = torch.cat([uniform(0, i, "u", rows) for i in range(200)])
    noise = torch.cat([normal(0, i, "noise", rows, 1, 8, 8) for i in range(200)])
    assert u.dtype == noise.dtype == torch.float32 and noise.shape == (20_000, 1, 8, 8)
    assert (u.double() * 2**24 % 2 == 1).all()  # odd multiples of 2⁻²⁴: never 0, never 1
    assert torch.isfinite(torch.special.ndtri(torch.tensor([2.0**-24, 1 - 2.0**-24]))).all()
    levels = torch.linspace(0, 1, 21)[1:]
    assert ((u[:, None] <= levels).float().mean(0) - levels).abs().max() < 0.01
    assert abs(noise.mean()) < 3e-3 and abs(noise.std() - 1) < 3e-3
    for lag in (1, 16, 100):  # rows, blocks and batches do not repeat
        assert abs((noise[:-lag] * noise[lag:]).mean()) < 3e-3
    assert torch.equal(normal(0, 3, "noise", rows, 1, 8, 8), noise[300:400])


def test_every_part_of_the_key_counts():
    x = normal(0, 1, "a", range(16))
    others = [normal(1, 1, "a", range(16)), normal(0, 2, "a", range(16))]
    others += [normal(0, 1, "b", range(16)), normal(0, 1, "a", range(16, 32))]
    assert all((x - other).abs().min() > 0 for other in others)
    u = torch.special.ndtri(uniform(0, 1, "a", range(4000)))  # the same name, another kind
    assert abs((u * normal(0, 1, "a", range(4000))).mean()) < 0.08  # 5 standard errors
