"""One network that wins, loses or draws at Pong as it is asked to: `python -m experiments.stock_augmentation.pong`.

D-eta-N on PongScore, a match to five points whose return is the difference of the scores, with f = -|x| and the first
stock c_0 = -x for every requested score x from -5 to 5. For a GPU: convolutions over images that are drawn from eight
bytes a state when a batch is sampled. The claims are the tendency that section 8 of Avila Pires et al. (JMLR 2025)
reports on Atari's Pong, on a game of this library: what is achieved rises with what is asked for, and follows it
between the extremes. Writes `experiments/results/stock_augmentation_pong.json` and a picture.
"""

import argparse
import dataclasses
import time

import jax
import jax.numpy as jnp
import numpy as np
from scipy import stats

from experiments import record, searches
from jaxrl_sparse import train
from jaxrl_sparse.distributional import StockAgentConfig, d_eta_n, greedy_outcomes, target
from jaxrl_sparse.environments.pong_score import PongScore
from jaxrl_sparse.learners import QLearningConfig
from jaxrl_sparse.runner import return_plots

NAME, COMMAND = "stock_augmentation_pong", "python -m experiments.stock_augmentation.pong"
REQUESTED = np.arange(-5.0, 6.0)
# The largest discounted difference of the scores of a match, but for rounding.
RETURN_SCALE = 5.0
LEARNER = QLearningConfig(
    num_environments=256,
    num_gradient_steps=4,
    batch_size=512,
    replay_capacity=1_000_000,
    learning_starts=20_000,
    discount=0.997,
    learning_rate=3e-4,
    learning_rate_end=3e-5,
    epsilon_end=0.05,
    target_period=1,
    target_step_size=0.01,
    average_ties=True,
    num_evaluation_episodes=64,
)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--environment-steps", type=int, default=10_000_000)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    options = parser.parse_args()
    learner = dataclasses.replace(
        LEARNER, learning_rate_steps=options.environment_steps, epsilon_steps=options.environment_steps // 4
    )
    config = StockAgentConfig(learner=learner, num_atoms=64, kappa=0.1, return_scale=RETURN_SCALE)
    environment, objective = PongScore(observes_compact=True), target(0.0)
    agent = d_eta_n(config, environment, objective)
    num_updates = options.environment_steps // learner.num_environments

    @jax.jit
    def run(key):
        init_key, evaluation_key = jax.random.split(key)
        state, metrics = train(agent, agent.init(init_key), num_updates)
        stocks = -jnp.asarray(REQUESTED, jnp.float32)
        outcomes = greedy_outcomes(config, environment, objective, state, evaluation_key, stocks)
        return outcomes - stocks[:, None], metrics["episode_return"][-1]

    achieved, seconds = [], []
    for seed in options.seeds:
        started = time.perf_counter()
        returns, last = jax.block_until_ready(run(jax.random.key(seed)))
        seconds.append(time.perf_counter() - started)
        achieved.append(np.asarray(returns))
        means = np.round(achieved[-1].mean(axis=1), 2).tolist()
        print(f"seed {seed}: {seconds[-1]:.0f} s, exploring {last:.2f}, achieved {means}", flush=True)

    means = np.stack([returns.mean(axis=1) for returns in achieved])
    rises = [float(stats.spearmanr(REQUESTED, row).statistic) for row in means]
    between = np.abs(REQUESTED) <= 3
    misses = np.abs(means - REQUESTED)[:, between].mean(axis=1)
    claims = [
        {
            "claim": "what is achieved rises with what is asked for: rank correlation at least .95, every seed",
            "measured": searches.shown(np.asarray(rises)),
            "holds": min(rises) >= 0.95,
        },
        {
            "claim": "from -3 to 3 the mean score is met within 1 on average, every seed",
            "measured": searches.shown(misses),
            "holds": misses.max() <= 1,
        },
    ]
    figures = {
        "requested": REQUESTED.tolist(),
        "achieved": means.tolist(),
        "seconds": seconds,
        "options": vars(options),
    }
    record.save_drawing(return_plots.requested_returns(REQUESTED, achieved[0], "PongScore, seed 0"), NAME)
    record.conclude(NAME, COMMAND, f"PongScore, seeds {options.seeds}", claims, figures)


if __name__ == "__main__":
    main()
