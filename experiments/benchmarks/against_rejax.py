"""DQN on CartPole-v1 against rejax 0.1.3, by CPU seconds, in one run.

rejax lives in an environment of its own, because it needs a gymnax older than 1.0, where a step returned one `done`:

    python -m venv rejax-environment
    rejax-environment/bin/pip install "rejax==0.1.3" "gymnax==0.0.9" "jax==0.10.1"
    python -m experiments.benchmarks.against_rejax --rejax-python rejax-environment/bin/python

Two settings, each by both sides: rejax's own for this task (the file `configs/gymnax/cartpole.yaml` of its repository;
10 environment steps and 5 gradient steps an iteration) and purejaxrl's (10 environment steps and 1 gradient step).
Both sides compile first; then they take turns, with the same seeds. CPU time is that of all threads of a process around
one whole run from its start, the best of the rounds. Nothing is evaluated while time is taken (rejax's callback does
nothing); the return is the mean of greedy episodes with the last network, and its mean and worst over the rounds are
told. Ours runs once more without a clock and is looked at 20 times under way: the best of these returns is what it
reached. Writes `experiments/results/against_rejax.json`.

What differs beside speed: rejax ends returns at the time limit, ours does not; it samples batches without replacement,
ours with; until it learns it acts uniformly, ours by the epsilon of the schedule; at its own setting it has a dueling
end (one row more in the last layer) and clips each entry of a gradient to +- 10, where ours has a plain end and clips
the gradient's norm.
"""

from importlib.metadata import version

from experiments.benchmarks import turns

ENVIRONMENT, EVALUATION_EPISODES, EPISODE_STEPS = "CartPole-v1", 128, 500
NUM_LOOKS = 20
# `target_period` counts environment steps. Of the target network, `target_step_size` is how far it moves.
SETTINGS = {
    "rejax": {
        "total_steps": 100_000,
        "num_environments": 10,
        "num_gradient_steps": 5,
        "batch_size": 100,
        "replay_capacity": 50_000,
        "learning_starts": 5_000,
        "learning_rate": 1e-3,
        "max_gradient": 10.0,
        "epsilon_steps": 50_000,
        "target_period": 10,
        "target_step_size": 0.02,
        "double_q": True,
        "hidden_sizes": (64, 64),
        "activation": "silu",
        "dueling": True,
    },
    "purejaxrl": {
        "total_steps": 500_000,
        "num_environments": 10,
        "num_gradient_steps": 1,
        "batch_size": 128,
        "replay_capacity": 10_000,
        "learning_starts": 10_000,
        "learning_rate": 2.5e-4,
        "max_gradient": None,
        "epsilon_steps": 250_000,
        "target_period": 500,
        "target_step_size": 1.0,
        "double_q": False,
        "hidden_sizes": (120, 84),
        "activation": "relu",
        "dueling": False,
    },
}
DISCOUNT, EPSILON_START, EPSILON_END = 0.99, 1.0, 0.05


def our_task(setting):
    """A setting by this library: `run(key) -> state`, `returns(state, key) -> mean return`, `reached(key) -> best`."""
    import jax

    from jaxrl_sparse import train
    from jaxrl_sparse.environments import make
    from jaxrl_sparse.learners.q_learning import QLearningConfig, q_learning
    from jaxrl_sparse.learners.value_heads import expected_value
    from jaxrl_sparse.networks.feedforward import feedforward

    environment = make(f"gymnax/{ENVIRONMENT}")
    steps_per_update = setting["num_environments"]
    config = QLearningConfig(
        num_environments=setting["num_environments"],
        num_gradient_steps=setting["num_gradient_steps"],
        batch_size=setting["batch_size"],
        replay_capacity=setting["replay_capacity"],
        learning_starts=setting["learning_starts"],
        discount=DISCOUNT,
        learning_rate=setting["learning_rate"],
        max_gradient_norm=setting["max_gradient"],
        epsilon_start=EPSILON_START,
        epsilon_end=EPSILON_END,
        epsilon_steps=setting["epsilon_steps"],
        target_period=setting["target_period"] // steps_per_update,
        target_step_size=setting["target_step_size"],
        double_q=setting["double_q"],
        num_evaluation_episodes=EVALUATION_EPISODES,
        max_evaluation_steps=EPISODE_STEPS,
    )
    # `dqn` composes the same of rectifiers; rejax's setting has another activation.
    torso = feedforward(setting["hidden_sizes"], activation=setting["activation"])
    algorithm = q_learning(config, environment, environment.default_params, torso, expected_value())
    num_updates = setting["total_steps"] // steps_per_update

    def run(key):
        return train(algorithm, algorithm.init(key), num_updates)[0]

    def returns(state, key):
        return algorithm.evaluate(state, key)["return"]

    def reached(key, evaluation_key):
        per_look = num_updates // NUM_LOOKS

        def look(state, step):
            state, _ = train(algorithm, state, per_look, step)
            return state, returns(state, evaluation_key)

        return jax.lax.scan(look, algorithm.init(key), per_look * jax.numpy.arange(NUM_LOOKS))[1].max()

    return run, returns, reached


def rejax_task(setting):
    """A setting by rejax: `run` and `returns` as above, and None, since nobody looks at it under way."""
    import jax
    from rejax import DQN
    from rejax.evaluate import evaluate

    algorithm = DQN.create(
        env=ENVIRONMENT,
        agent="DuelingQNetwork" if setting["dueling"] else "QNetwork",
        agent_kwargs={"activation": setting["activation"]},
        num_envs=setting["num_environments"],
        num_epochs=setting["num_gradient_steps"],
        batch_size=setting["batch_size"],
        buffer_size=setting["replay_capacity"],
        fill_buffer=setting["learning_starts"],
        learning_rate=setting["learning_rate"],
        max_grad_norm=jax.numpy.inf if setting["max_gradient"] is None else setting["max_gradient"],
        gamma=DISCOUNT,
        eps_start=EPSILON_START,
        eps_end=EPSILON_END,
        exploration_fraction=setting["epsilon_steps"] / setting["total_steps"],
        target_update_freq=setting["target_period"],
        polyak=1.0 - setting["target_step_size"],
        ddqn=setting["double_q"],
        total_timesteps=setting["total_steps"],
        eval_freq=setting["total_steps"],
        skip_initial_evaluation=True,
    )
    # Its factory fixes the widths.
    agent = algorithm.agent.clone(hidden_layer_sizes=setting["hidden_sizes"])
    algorithm = algorithm.replace(agent=agent, eval_callback=lambda algorithm, state, key: ())

    def returns(state, key):
        # `make_act` explores in 1 of 200 steps.
        def act(observation, key):
            q_values = agent.apply(state.q_ts.params, observation[None])
            return jax.numpy.argmax(q_values[0])

        _, returns = evaluate(act, key, algorithm.env, algorithm.env_params, EVALUATION_EPISODES, EPISODE_STEPS)
        return returns.mean()

    return lambda key: algorithm.train(key)[0], returns, None


def side_of(name):
    """Compiles one side's tasks."""
    import jax

    make_task = our_task if name == turns.OURS else rejax_task
    tasks, compile_seconds = {}, {}
    for task, setting in SETTINGS.items():
        run, returns, reached = make_task(setting)
        compiling = turns.timed(lambda run=run: jax.jit(run).lower(jax.random.key(0)).compile())
        compile_seconds[task] = compiling.cpu_seconds
        tasks[task] = compiling.result, jax.jit(returns), reached and jax.jit(reached)

    def measure(task, seed):
        run, returns, reached = tasks[task]
        key, evaluation_key = jax.block_until_ready(jax.random.split(jax.random.key(seed)))
        call = turns.timed(run, key)
        figures = {"cpu_seconds": call.cpu_seconds, "wall_seconds": call.wall_seconds}
        figures["return"] = float(returns(call.result, evaluation_key))
        if reached is not None:
            figures["reached"] = float(reached(key, evaluation_key))
        return figures

    packages = ("jax", "gymnax", "flax", "optax", "jaxrl_sparse" if name == turns.OURS else "rejax")
    versions = {package: version(package) for package in packages}
    header = {**versions, "device": str(jax.devices()[0]), "compile_cpu_seconds": compile_seconds}
    return turns.Side(header, measure)


def figures_of(setting, measurements):
    """Speeds, of the best round, and returns, over the rounds."""
    returns = [measurement["return"] for measurement in measurements]
    figures = {
        "steps_per_cpu_second": setting["total_steps"] / min(m["cpu_seconds"] for m in measurements),
        "steps_per_second": setting["total_steps"] / min(m["wall_seconds"] for m in measurements),
        "mean_return": sum(returns) / len(returns),
        "worst_return": min(returns),
    }
    if "reached" in measurements[0]:
        figures["worst_reached"] = min(measurement["reached"] for measurement in measurements)
    return figures


def report(measured):
    """Ratios and whether they are what they should be."""
    figures, ratios, lines = {}, {}, []
    for name, by_side in measured.items():
        figures[name] = {side: figures_of(SETTINGS[name], measurements) for side, measurements in by_side.items()}
        ours, rejax = figures[name]["ours"], figures[name]["rejax"]
        ratios[name] = {
            "cpu": ours["steps_per_cpu_second"] / rejax["steps_per_cpu_second"],
            "wall": ours["steps_per_second"] / rejax["steps_per_second"],
            "return": ours["mean_return"] / rejax["mean_return"],
        }
        for side, values in figures[name].items():
            lines.append(f"{name}'s setting, {side:5s} " + ", ".join(f"{k} {v:.5g}" for k, v in values.items()))
        ratio_words = ", ".join(f"{word} {ratio:.4g}" for word, ratio in ratios[name].items())
        lines.append(f"{name}'s setting, ours / rejax: {ratio_words}")
    claims = [
        ("at rejax's setting: at least twice the environment steps per CPU second", ratios["rejax"]["cpu"] >= 2),
        ("with no less than 95 % of its return", ratios["rejax"]["return"] >= 0.95),
        *(
            (f"at {name}'s setting: a return of 500 is reached with every seed", values["ours"]["worst_reached"] == 500)
            for name, values in figures.items()
        ),
    ]
    print("\n".join(lines + turns.verdicts(claims)))
    return {"settings": SETTINGS, "figures": figures, "ratios": ratios, "claims": dict(claims)}


if __name__ == "__main__":
    turns.compare(__spec__.name, "rejax", tuple(SETTINGS), side_of, report)
