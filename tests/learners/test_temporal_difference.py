import jax
import jax.numpy as jnp
import numpy as np

from jaxrl_sparse.learners.replay import Transitions
from jaxrl_sparse.learners.temporal_difference import QNetworkParams, action_scores, temporal_difference_loss
from jaxrl_sparse.learners.value_heads import expected_value, quantile
from jaxrl_sparse.networks.feedforward import Network

# The features of a state are its row of a table, and the head's weights are the identity.
TORSO = Network(lambda key, inputs: jnp.zeros((3, 2)), lambda table, states: table[states])
BATCH = Transitions(
    jnp.array([0, 1]), jnp.array([1, 0]), jnp.array([9.0, 9.0]), jnp.array([False, True]), jnp.array([2, 2])
)
ONLINE, TARGET = jnp.array([[1.0, 2.0], [3.0, 4.0], [6.0, 5.0]]), jnp.array([[0.0, 0.0], [0.0, 0.0], [7.0, 8.0]])


def tables(table):
    return QNetworkParams(table, {"layers_0": {"kernel": jnp.eye(2), "bias": jnp.zeros(2)}})


def loss_of(online, **options):
    arguments = (tables(TARGET), jax.random.key(0), BATCH, jnp.array([1.0, 2.0]), 0.5)
    return temporal_difference_loss(tables(online), *arguments, torso=TORSO, head=expected_value(), **options)


def test_the_loss_is_the_squared_error_by_hand():
    # Target 1 + .5 * 8 against 2, and 2 alone, for it terminated, against 3.
    loss, metrics = loss_of(ONLINE)
    np.testing.assert_allclose(loss, (3.0**2 + 1.0**2) / 4)
    np.testing.assert_allclose(metrics["value"], 2.5)
    # The online network prefers action 0, which the target network gives 7.
    np.testing.assert_allclose(loss_of(ONLINE, double_q=True)[0], (2.5**2 + 1.0**2) / 4)
    gradient = jax.grad(lambda table: loss_of(table, double_q=True)[0])(ONLINE)
    np.testing.assert_allclose(gradient, [[0, -1.25], [0.5, 0], [0, 0]])


def test_ties_are_averaged_where_asked():
    head = quantile(1, 0.0)
    head = head._replace(score=lambda atoms, probabilities, states: jnp.zeros(atoms.shape[:2]))

    def loss(average_ties):
        arguments = (tables(TARGET), jax.random.key(0), BATCH, jnp.array([1.0, 2.0]), 0.5)
        return temporal_difference_loss(tables(ONLINE), *arguments, torso=TORSO, head=head, average_ties=average_ties)[
            0
        ]

    # Half the distances: to 1 + .5 * 7 of the first action, to 1 + .5 * 7.5 of both.
    np.testing.assert_allclose([loss(False), loss(True)], [(2.5 + 1) / 4, (2.75 + 1) / 4])


def test_scores_of_actions_are_the_heads():
    scores = action_scores(tables(ONLINE), jax.random.key(0), jnp.array([2, 0]), TORSO, expected_value())
    np.testing.assert_allclose(scores, [[6.0, 5.0], [1.0, 2.0]])
