import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrl_sparse.learners.quantile_regression import quantile_levels, quantile_regression_loss


def by_pairs(quantiles, targets, taus, kappa):
    """The definition, one pair at a time."""
    losses = np.zeros(len(quantiles))
    for b, (row, samples) in enumerate(zip(quantiles, targets, strict=True)):
        for q, tau in zip(row, taus[b], strict=True):
            for y in samples:
                d = abs(y - q)
                huber = d if kappa == 0 else (d * d / 2 if d <= kappa else kappa * (d - kappa / 2))
                losses[b] += abs(tau - (y < q)) * huber / len(samples)
    return losses


def example(rows, n, m):
    keys = jax.random.split(jax.random.key(0), 3)
    return (
        jax.random.normal(keys[0], (rows, n)),
        2 * jax.random.normal(keys[1], (rows, m)),
        jax.random.uniform(keys[2], (rows, n)),
    )


@pytest.mark.parametrize("kappa", [0.0, 0.3, 1.0])
def test_the_loss_is_the_sum_over_pairs_whether_kappa_is_traced_or_not(kappa):
    quantiles, targets, taus = example(3, 4, 5)
    expected = by_pairs(*(np.asarray(x, np.float64) for x in (quantiles, targets, taus)), kappa)
    ours = quantile_regression_loss(quantiles, targets, taus, kappa)
    np.testing.assert_allclose(ours, expected, rtol=1e-5)
    traced = jax.jit(quantile_regression_loss)(quantiles, targets, taus, kappa)
    np.testing.assert_allclose(traced, expected, rtol=1e-5)


@pytest.mark.parametrize("kappa", [0.0, 1.0])
def test_the_gradient_is_that_of_the_definition_and_targets_get_none(kappa):
    quantiles, targets, taus = example(4, 6, 5)
    weights = jnp.arange(1.0, 5.0)

    def definition(quantiles):
        d = targets[:, None] - quantiles[..., None]
        size = jnp.abs(d)
        huber = size if kappa == 0 else jnp.where(size <= kappa, d**2 / 2, kappa * (size - kappa / 2))
        return weights @ jnp.sum(jnp.mean(jnp.abs(taus[..., None] - (d < 0)) * huber, -1), -1)

    ours = jax.grad(lambda q, y: weights @ quantile_regression_loss(q, y, taus, kappa), (0, 1))(quantiles, targets)
    np.testing.assert_allclose(ours[0], jax.grad(definition)(quantiles), atol=1e-5)
    assert not ours[1].any()


def test_chunks_of_rows_change_nothing_not_even_a_ragged_last_one():
    # 300 x 300 pairs a row: 14 rows a chunk, two full chunks and one of two rows.
    quantiles, targets, taus = example(30, 300, 300)
    loss = jax.jit(lambda q, y, t: jax.value_and_grad(lambda q: quantile_regression_loss(q, y, t, 1.0).sum())(q))
    total, gradients = loss(quantiles, targets, taus)
    rows = [loss(quantiles[i : i + 1], targets[i : i + 1], taus[i : i + 1]) for i in range(30)]
    np.testing.assert_allclose(total, sum(float(value) for value, _ in rows), rtol=1e-5)
    np.testing.assert_allclose(gradients, np.concatenate([g for _, g in rows]), atol=1e-6)


def test_one_quantile_at_a_half_without_rounding_is_the_median():
    targets = jnp.array([[0.0, 1.0, 2.0, 10.0, 100.0]])
    candidates = jnp.arange(0.0, 101.0)
    losses = jax.vmap(lambda q: quantile_regression_loss(q[None, None], targets, jnp.array([0.5]))[0])(candidates)
    assert candidates[jnp.argmin(losses)] == 2.0


def test_levels_are_midpoints():
    np.testing.assert_allclose(quantile_levels(4), [0.125, 0.375, 0.625, 0.875])


def test_refuses_a_negative_kappa():
    with pytest.raises(ValueError, match=r"kappa: got -1\.0"):
        quantile_regression_loss(jnp.zeros((1, 1)), jnp.zeros((1, 1)), jnp.array([0.5]), -1.0)
