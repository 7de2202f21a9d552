"""Laws with weighted atoms by numpy and scipy, which projections are tested against."""

import numpy as np
from scipy import stats

# z from -2 to 3.
ATOMS = np.linspace(-2, 3, 11).astype(np.float32)
SPACING = 0.5
NUM_LOCATIONS = 7


def random_law(seed, low=ATOMS[0], high=ATOMS[-1]):
    """Locations in no order, some of them on atoms."""
    rng = np.random.default_rng(seed)
    locations = rng.uniform(low, high, NUM_LOCATIONS)
    locations[:2] = rng.choice(ATOMS, 2)
    return locations.astype(np.float32), rng.dirichlet(np.ones(NUM_LOCATIONS)).astype(np.float32)


def excess(points, locations, probs):
    """`E max(z - G, 0)` for every point z."""
    return np.maximum(points[:, None] - locations.astype(np.float64), 0) @ probs.astype(np.float64)


def distance(first, second):
    """w_1 of two laws `(locations, probs)`, by scipy."""
    return stats.wasserstein_distance(first[0], second[0], first[1], second[1])
