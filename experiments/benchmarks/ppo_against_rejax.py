"""PPO on CartPole-v1 against rejax 0.1.3, by CPU seconds, in one run.

rejax lives in an environment of its own, see `against_rejax`:

    python -m experiments.benchmarks.ppo_against_rejax --rejax-python rejax-environment/bin/python

Both sides: two towers of 64 and 64 (tanh), Adam with 3e-4, 4 epochs, gamma .99, lambda .95, clip .2. Settings: 4
environments x 128 steps in 4 minibatches, and 2048 x 16 in 8, each with a permutation of all steps, as rejax does, and
ours of the second with a permutation of the environments as well; and 16 seeds of the first in one `vmap`. Both sides
compile first, then they take turns with the same seeds; CPU time is that of all threads around one whole run, the best
of the rounds. The return is the mean of greedy episodes with the last network.

What differs beside speed: rejax ends returns at the time limit, ours bootstraps; it clips each entry of a gradient,
ours the norm.
"""

from importlib.metadata import version

from experiments.benchmarks import turns

ENVIRONMENT, EVALUATION_EPISODES, EPISODE_STEPS, NUM_SEEDS = "CartPole-v1", 128, 500, 16
# (environments, steps, minibatches, environment steps of a run, shuffling, seeds in one batch)
SETTINGS = {
    "4 x 128": (4, 128, 4, 4 * 128 * 400, "steps", 1),
    "2048 x 16": (2048, 16, 8, 2048 * 16 * 16, "steps", 1),
    "2048 x 16, rows": (2048, 16, 8, 2048 * 16 * 16, "rows", 1),
    "4 x 128, 16 seeds": (4, 128, 4, 4 * 128 * 100, "steps", NUM_SEEDS),
}
LEARNING_RATE, EPOCHS, DISCOUNT, TRACE_DECAY, CLIP, ENTROPY, VALUES, GRADIENT = 3e-4, 4, 0.99, 0.95, 0.2, 0.01, 0.5, 0.5


def our_task(num_environments, num_steps, num_minibatches, total_steps, shuffle):
    """A setting by this library: `run(key) -> state` and `returns(state, key) -> mean return`."""
    from jaxrl_sparse import train
    from jaxrl_sparse.environments import make
    from jaxrl_sparse.learners import OnPolicyConfig, PPOConfig, ppo

    environment = make(f"gymnax/{ENVIRONMENT}")
    learner = OnPolicyConfig(
        num_environments=num_environments,
        num_steps=num_steps,
        discount=DISCOUNT,
        trace_decay=TRACE_DECAY,
        learning_rate=LEARNING_RATE,
        max_gradient_norm=GRADIENT,
        num_evaluation_episodes=EVALUATION_EPISODES,
        max_evaluation_steps=EPISODE_STEPS,
    )
    config = PPOConfig(
        learner=learner,
        num_epochs=EPOCHS,
        num_minibatches=num_minibatches,
        clip=CLIP,
        value_clip=CLIP,
        value_coefficient=VALUES,
        entropy_coefficient=ENTROPY,
        shuffle=shuffle,
    )
    algorithm = ppo(config, environment, environment.default_params)
    num_updates = total_steps // (num_environments * num_steps)

    def run(key):
        return train(algorithm, algorithm.init(key), num_updates)[0]

    return run, lambda state, key: algorithm.evaluate(state, key)["return"]


def rejax_task(num_environments, num_steps, num_minibatches, total_steps, shuffle):
    """A setting by rejax, which knows a permutation of steps alone."""
    from rejax import PPO
    from rejax.evaluate import evaluate

    del shuffle
    algorithm = PPO.create(
        env=ENVIRONMENT,
        agent_kwargs={"activation": "tanh"},
        num_envs=num_environments,
        num_steps=num_steps,
        num_epochs=EPOCHS,
        num_minibatches=num_minibatches,
        learning_rate=LEARNING_RATE,
        max_grad_norm=GRADIENT,
        gamma=DISCOUNT,
        gae_lambda=TRACE_DECAY,
        clip_eps=CLIP,
        vf_coef=VALUES,
        ent_coef=ENTROPY,
        total_timesteps=total_steps,
        eval_freq=total_steps,
        skip_initial_evaluation=True,
    )
    algorithm = algorithm.replace(eval_callback=lambda algorithm, state, key: ())

    def returns(state, key):
        def act(observation, key):
            distribution = algorithm.actor.apply(state.actor_ts.params, observation[None], method="_action_dist")
            return distribution.mode()[0]

        _, returns = evaluate(act, key, algorithm.env, algorithm.env_params, EVALUATION_EPISODES, EPISODE_STEPS)
        return returns.mean()

    return lambda key: algorithm.train(key)[0], returns


def side_of(name):
    """Compiles one side's tasks."""
    import jax

    make_task = our_task if name == turns.OURS else rejax_task
    tasks, compile_seconds = {}, {}
    for task, (*setting, num_seeds) in SETTINGS.items():
        run, returns = make_task(*setting)
        keys = jax.random.split(jax.random.key(0), num_seeds)
        run = jax.vmap(run) if num_seeds > 1 else lambda keys, run=run: run(keys[0])
        returns = jax.vmap(returns) if num_seeds > 1 else lambda state, keys, returns=returns: returns(state, keys[0])
        compiling = turns.timed(lambda run=run, keys=keys: jax.jit(run).lower(keys).compile())
        compile_seconds[task] = compiling.cpu_seconds
        tasks[task] = compiling.result, jax.jit(returns), num_seeds

    def measure(task, seed):
        run, returns, num_seeds = tasks[task]
        keys, evaluation_keys = jax.block_until_ready(jax.random.split(jax.random.key(seed), (2, num_seeds)))
        call = turns.timed(run, keys)
        figures = {"cpu_seconds": call.cpu_seconds, "wall_seconds": call.wall_seconds}
        return figures | {"return": float(jax.numpy.mean(returns(call.result, evaluation_keys)))}

    packages = ("jax", "gymnax", "flax", "optax", "jaxrl_sparse" if name == turns.OURS else "rejax")
    header = {package: version(package) for package in packages}
    header |= {"device": str(jax.devices()[0]), "compile_cpu_seconds": compile_seconds}
    return turns.Side(header, measure)


def report(measured):
    """Speeds, ratios, and whether they are what they should be."""
    figures, lines = {}, []
    for task, by_side in measured.items():
        *_, total_steps, _, num_seeds = SETTINGS[task]
        figures[task] = {
            side: {
                "steps_per_cpu_second": total_steps * num_seeds / min(m["cpu_seconds"] for m in rounds),
                "steps_per_second": total_steps * num_seeds / min(m["wall_seconds"] for m in rounds),
                "mean_return": sum(m["return"] for m in rounds) / len(rounds),
            }
            for side, rounds in by_side.items()
        }
        for side, values in figures[task].items():
            lines.append(f"{task}, {side:5s} " + ", ".join(f"{word} {value:.5g}" for word, value in values.items()))

    def speed(task, side=turns.OURS):
        return figures[task][side]["steps_per_cpu_second"]

    ratios = {task: speed(task) / speed(task, "rejax") for task in SETTINGS}
    ratios["16 seeds / 1"] = speed("4 x 128, 16 seeds") / speed("4 x 128")
    lines += [f"ours / rejax, {task}: {ratio:.3g}" for task, ratio in ratios.items()]
    claims = [
        ("4 x 128: at least 1.4 times rejax's steps per CPU second", ratios["4 x 128"] >= 1.4),
        ("2048 x 16: at least 1.2 times, all steps permuted", ratios["2048 x 16"] >= 1.2),
        ("2048 x 16: at least 1.2 times, rows permuted", ratios["2048 x 16, rows"] >= 1.2),
        ("16 seeds in one batch are no slower per step than one", ratios["16 seeds / 1"] >= 1),
    ]
    print("\n".join(lines + turns.verdicts(claims)))
    return {"settings": SETTINGS, "figures": figures, "ratios": ratios, "claims": dict(claims)}


if __name__ == "__main__":
    turns.compare(__spec__.name, "rejax", tuple(SETTINGS), side_of, report)
