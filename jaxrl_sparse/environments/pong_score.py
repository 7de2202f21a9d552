"""PongScore: a match of Pong on a small grid, where the score of the match is the return."""

from typing import Any

import jax
import jax.numpy as jnp
from flax import struct
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray, UInt8

from jaxrl_sparse.environments import spaces
from jaxrl_sparse.environments.base import Environment, EnvironmentParams, EnvironmentState

HEIGHT, WIDTH = 30, 40
HALF_PADDLE = 2
MAX_BALL_ROWS = 3
POINTS_TO_WIN = 5
MAX_STEPS = 1000
DISCOUNT = 0.997
# Rows of a serve: far enough from the walls for the cell that the ball came from.
SERVE_ROWS = (5, HEIGHT - 5)


@struct.dataclass
class PongState(EnvironmentState):
    """A match; rows from the top, columns from the left, all int32.

    Attributes:
      paddles: `[2]`, rows of the centres of the agent's and the opponent's paddle.
      ball: `[2]`, (row, column).
      last_ball: `[2]`, where the ball was a step ago.
      velocity: `[2]`, (rows, columns) per step, rows from -3 to 3, columns -1 or 1.
      score: `[2]`, points of the agent and of the opponent.
    """

    paddles: Int[Array, "2"]
    ball: Int[Array, "2"]
    last_ball: Int[Array, "2"]
    velocity: Int[Array, "2"]
    score: Int[Array, "2"]


class PongScore(Environment[PongState, EnvironmentParams]):
    """Pong on 30 rows and 40 columns: 1 for a point of the agent's, -1 for one of the opponent's, first to 5.

    The agent's paddle is in column 0, the opponent's in column 39; both are five cells long and move by at most one
    cell a step, within the field. Actions are stay, up and down. The opponent follows the row of the ball while the
    ball comes towards it and rests otherwise: steep balls outrun it. Then the ball moves by its velocity: it bounces
    off the upper and the lower wall, and off a paddle that it meets in the paddle's column; there its rows per step
    change by its offset from the paddle's centre, within [-3, 3], so that both players steer. A ball that passes
    a paddle is a point. After a point both paddles are centred and the ball is served from the middle, in a random row,
    to a random side, by -1, 0 or 1 rows per step. The episode terminates when a player has five points, and 1,000
    steps truncate it. Who plays like the opponent draws, who foresees where the ball comes and always meets it with the
    edge of the paddle wins 5 : 0.

    The observation is an image `[30, 40, 3]` of zeros and ones: plane 0 has both paddles, plane 1 the ball, plane 2 the
    ball of the step before and, in the outer columns where no ball ever is, both scores as bars from the top. It is
    `render(compact(state))`, and `compact` is eight bytes: a replay stores these, and its network renders them. Only in
    the step of a bounce off a wall is the speed not to be seen.

    Geometry and speeds are those of gymnax's Pong-misc, a single rally without score; the rules of the bounce, the
    serve and the opponent are this environment's own.

    Args:
      observes_compact: whether the observation is `compact(state)` instead of the image.
    """

    compact_size = 8

    def __init__(self, observes_compact: bool = False):
        self.observes_compact = observes_compact

    @property
    def default_params(self) -> EnvironmentParams:
        """A time limit of 1,000 steps."""
        return EnvironmentParams(max_steps_in_episode=MAX_STEPS)

    @property
    def discount(self) -> float:
        """gamma, per step; over the 1,000 steps of the longest match it is 0.05."""
        return DISCOUNT

    def reset_env(self, key: PRNGKeyArray, params: EnvironmentParams) -> tuple[Array, PongState]:
        """A match at 0 : 0 before the first serve's first step."""
        state = _serve(key, jnp.zeros((), jnp.int32), jnp.zeros(2, jnp.int32))
        return self._observe(state), state

    def step_env(
        self, key: PRNGKeyArray, state: PongState, action: Int[Array, ""], params: EnvironmentParams
    ) -> tuple[Array, PongState, Float[Array, ""], Bool[Array, ""], dict[str, Any]]:
        """Both paddles move, then the ball; the key serves after a point."""
        own_move = (action == 2).astype(jnp.int32) - (action == 1).astype(jnp.int32)
        is_coming = state.velocity[1] > 0
        opponent_move = jnp.where(is_coming, jnp.sign(state.ball[0] - state.paddles[1]), 0)
        paddles = state.paddles + jnp.stack([own_move, opponent_move])
        paddles = jnp.clip(paddles, HALF_PADDLE, HEIGHT - 1 - HALF_PADDLE)

        row, column = state.ball + state.velocity
        rows, columns = state.velocity
        is_beyond = (row < 0) | (row > HEIGHT - 1)
        row = jnp.where(row < 0, -row, jnp.where(row > HEIGHT - 1, 2 * (HEIGHT - 1) - row, row))
        rows = jnp.where(is_beyond, -rows, rows)

        is_at = jnp.stack([column == 0, column == WIDTH - 1])
        offsets = row - paddles
        is_met = is_at & (jnp.abs(offsets) <= HALF_PADDLE)
        bounces = jnp.any(is_met)
        rows = jnp.clip(rows + jnp.sum(jnp.where(is_met, offsets, 0)), -MAX_BALL_ROWS, MAX_BALL_ROWS)
        # The face of a paddle is half a cell before it: half a step there, half a step back.
        column = jnp.where(bounces, state.ball[1], column)
        columns = jnp.where(bounces, -columns, columns)

        # Who missed, gives the point to the other.
        points = (is_at & ~is_met)[::-1].astype(jnp.int32)
        score = state.score + points
        going_on = PongState(
            time=state.time + 1,
            paddles=paddles,
            ball=jnp.stack([row, column]),
            last_ball=state.ball,
            velocity=jnp.stack([rows, columns]),
            score=score,
        )
        is_point = jnp.any(points > 0)
        served = _serve(key, state.time + 1, score)
        state = jax.tree.map(lambda anew, old: jnp.where(is_point, anew, old), served, going_on)
        reward = (points[0] - points[1]).astype(jnp.float32)
        return self._observe(state), state, reward, jnp.any(score >= POINTS_TO_WIN), {}

    def observation_space(self, params: EnvironmentParams) -> Any:
        """Images, or vectors of bytes."""
        if self.observes_compact:
            return spaces.native(spaces.Box(0, WIDTH - 1, (self.compact_size,), jnp.uint8))
        return spaces.native(spaces.Box(0.0, 1.0, (HEIGHT, WIDTH, 3)))

    def action_space(self, params: EnvironmentParams) -> Any:
        """Stay, up, down."""
        return spaces.native(spaces.Discrete(3))

    def compact(self, state: PongState) -> UInt8[Array, "8"]:
        """What the image shows: both paddles' rows, the ball's row and column, those of a step ago, both scores."""
        return jnp.concatenate([state.paddles, state.ball, state.last_ball, state.score]).astype(jnp.uint8)

    def render(self, compact: UInt8[Array, "8"]) -> Float[Array, "30 40 3"]:
        """The observation of `compact`, zeros and ones; without a scatter, so that batches of it are cheap."""
        agent, opponent, row, column, last_row, last_column, own_score, other_score = compact.astype(jnp.int32)
        rows, columns = jnp.arange(HEIGHT)[:, None], jnp.arange(WIDTH)
        left, right = columns == 0, columns == WIDTH - 1
        paddles = (left & (jnp.abs(rows - agent) <= HALF_PADDLE)) | (right & (jnp.abs(rows - opponent) <= HALF_PADDLE))
        ball = (rows == row) & (columns == column)
        last_ball = (rows == last_row) & (columns == last_column)
        scores = (left & (rows < own_score)) | (right & (rows < other_score))
        return jnp.stack([paddles, ball, last_ball | scores], axis=-1).astype(jnp.float32)

    def _observe(self, state: PongState) -> Array:
        compact = self.compact(state)
        return compact if self.observes_compact else self.render(compact)


def _serve(key: PRNGKeyArray, time: Int[Array, ""], score: Int[Array, "2"]) -> PongState:
    """Paddles in the middle, and a ball that has come from the cell before by its velocity."""
    low, high = jnp.array([SERVE_ROWS[0], -1, 0]), jnp.array([SERVE_ROWS[1], 2, 2])
    row, rows, side = jax.random.randint(key, (3,), low, high, dtype=jnp.int32)
    # Of the two middle columns the one that is as far from the left paddle as the other is from the right one.
    ball = jnp.stack([row, WIDTH // 2 - 1 + side])
    velocity = jnp.stack([rows, 2 * side - 1])
    paddles = jnp.full(2, HEIGHT // 2, jnp.int32)
    return PongState(time=time, paddles=paddles, ball=ball, last_ball=ball - velocity, velocity=velocity, score=score)
