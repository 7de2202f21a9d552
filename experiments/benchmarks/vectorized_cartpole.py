"""Steps per CPU second of the vectorised layer against gymnax's own auto-resetting `step` under vmap, on CartPole-v1.

    python -m experiments.benchmarks.vectorized_cartpole [--environments 4096] [--steps 256] [--repeats 7]

Both run the same number of steps in one scan, with random actions drawn inside it: one draw for the batch on either
side, so that only the layer differs, and once more on gymnax's side with a key for every environment, as its examples
do. The contestants take turns in one process; the figure of each is its least CPU time.
"""

import argparse
from importlib.metadata import version

import gymnax
import jax
import jax.numpy as jnp

from experiments import record
from jaxrl_sparse.environments import make, vectorize
from jaxrl_sparse.environments.vectorized import RESET_MODES

COMMAND = "python -m experiments.benchmarks.vectorized_cartpole"
TARGET = 1.5


def vectorized_run(reset_mode, num_environments, num_steps):
    environment = make("gymnax/CartPole-v1")
    params = environment.default_params
    batch = vectorize(environment, num_environments, reset_mode)

    def step(carry, _):
        key, states = carry
        key, action_key, step_key = jax.random.split(key, 3)
        actions = jax.random.randint(action_key, (num_environments,), 0, 2)
        observations, states, rewards, terminated, truncated, _ = batch.step(step_key, states, actions, params)
        return (key, states), (jnp.sum(observations), jnp.sum(rewards), jnp.sum(terminated | truncated))

    def run(key):
        reset_key, key = jax.random.split(key)
        _, states = batch.reset(reset_key, params)
        return jax.lax.scan(step, (key, states), length=num_steps)[1]

    return jax.jit(run)


def gymnax_run(key_per_action, num_environments, num_steps):
    environment, params = gymnax.make("CartPole-v1")

    def step(carry, _):
        key, states = carry
        key, action_key, step_key = jax.random.split(key, 3)
        if key_per_action:
            action_keys = jax.random.split(action_key, num_environments)
            actions = jax.vmap(lambda k: jax.random.randint(k, (), 0, 2))(action_keys)
        else:
            actions = jax.random.randint(action_key, (num_environments,), 0, 2)
        observations, states, rewards, terminated, truncated, _ = jax.vmap(environment.step, in_axes=(0, 0, 0, None))(
            jax.random.split(step_key, num_environments), states, actions, params
        )
        return (key, states), (jnp.sum(observations), jnp.sum(rewards), jnp.sum(terminated | truncated))

    def run(key):
        reset_key, key = jax.random.split(key)
        reset_keys = jax.random.split(reset_key, num_environments)
        _, states = jax.vmap(environment.reset, in_axes=(0, None))(reset_keys, params)
        return jax.lax.scan(step, (key, states), length=num_steps)[1]

    return jax.jit(run)


def measure(runs, repeats):
    """The least CPU seconds of each run, the runs taking turns, and the episodes that ended in it."""
    key = jax.random.key(0)
    episodes = {name: int(jnp.sum(run(key)[2])) for name, run in runs.items()}
    seconds = dict.fromkeys(runs, float("inf"))
    for _ in range(repeats):
        for name, run in runs.items():
            seconds[name] = min(seconds[name], record.cpu_seconds(run, key)[0])
    return seconds, episodes


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--environments", type=int, default=4096)
    parser.add_argument("--steps", type=int, default=256)
    parser.add_argument("--repeats", type=int, default=7)
    arguments = parser.parse_args()
    size = (arguments.environments, arguments.steps)
    runs = {
        "gymnax, one draw of actions": gymnax_run(False, *size),
        "gymnax, a key for every action": gymnax_run(True, *size),
        **{f"vectorize, {mode}": vectorized_run(mode, *size) for mode in RESET_MODES},
    }
    seconds, episodes = measure(runs, arguments.repeats)
    peer = f"gymnax {version('gymnax')}"
    print(f"CartPole-v1, {size[0]} environments x {size[1]} steps, best of {arguments.repeats}; {peer}")
    reference = seconds["gymnax, one draw of actions"]
    rows = {}
    for name, spent in seconds.items():
        rate, ratio = size[0] * size[1] / spent, reference / spent
        rows[name] = {"steps_per_cpu_second": rate, "ratio": ratio, "episodes_ended": episodes[name]}
        print(f"{name:32s} {rate / 1e6:6.2f} M steps/CPU s   {ratio:5.2f} x   {episodes[name]} episodes ended")
    holds = rows["vectorize, conditional"]["ratio"] >= TARGET
    print(f"at least {TARGET} times gymnax's own step: {'holds' if holds else 'DOES NOT HOLD'}")
    figures = {"environments": size[0], "steps": size[1], "peer": peer, "holds": holds, "runs": rows}
    record.write("vectorized_cartpole", COMMAND, figures)


if __name__ == "__main__":
    main()
