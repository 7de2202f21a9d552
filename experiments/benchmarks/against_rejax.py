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
told. Writes `experiments/results/against_rejax.json`.

What differs beside speed: rejax ends returns at the time limit, ours does not; it samples batches without replacement,
ours with; until it learns it acts uniformly, ours by the epsilon of the schedule; at its own setting it has a dueling
end (one row more in the last layer) and clips each entry of a gradient to +- 10, where ours has a plain end and clips
the gradient's norm.
"""

import argparse
import json
import subprocess
import sys
import time
from importlib.metadata import version

ENVIRONMENT, EVALUATION_EPISODES, EPISODE_STEPS = "CartPole-v1", 128, 500
COMMAND = "python -m experiments.benchmarks.against_rejax --rejax-python rejax-environment/bin/python"
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
    """A setting by this library: `run(key) -> state` and `returns(state, key) -> mean return`."""
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

    return run, lambda state, key: algorithm.evaluate(state, key)["return"]


def rejax_task(setting):
    """A setting by rejax."""
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

    return lambda key: algorithm.train(key)[0], returns


def work(side):
    """Compiles one side's tasks, then measures what it is asked for, a line in and a line out."""
    import jax

    make_task = our_task if side == "ours" else rejax_task
    tasks, compile_seconds = {}, {}
    for name, setting in SETTINGS.items():
        run, returns = make_task(setting)
        start = time.process_time()
        run = jax.jit(run).lower(jax.random.key(0)).compile()
        compile_seconds[name] = time.process_time() - start
        tasks[name] = run, jax.jit(returns)
    packages = ("jax", "gymnax", "flax", "optax", "jaxrl_sparse" if side == "ours" else "rejax")
    header = {package: version(package) for package in packages}
    header |= {"device": str(jax.devices()[0]), "compile_cpu_seconds": compile_seconds}
    print(json.dumps(header), flush=True)
    for line in sys.stdin:
        name, seed = json.loads(line)
        run, returns = tasks[name]
        key, evaluation_key = jax.block_until_ready(jax.random.split(jax.random.key(seed)))
        wall, cpu = time.perf_counter(), time.process_time()
        state = jax.block_until_ready(run(key))
        cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
        measurement = {"cpu_seconds": cpu, "wall_seconds": wall, "return": float(returns(state, evaluation_key))}
        print(json.dumps(measurement), flush=True)


def measure(processes, rounds):
    """Lets the sides take turns: measurements by setting and side."""
    measured = {name: {side: [] for side in processes} for name in SETTINGS}
    for seed in range(1, rounds + 1):
        for name, by_side in measured.items():
            for side, process in processes.items():
                print(json.dumps([name, seed]), file=process.stdin, flush=True)
                by_side[side].append(json.loads(process.stdout.readline()))
    return measured


def figures_of(setting, measurements):
    """Speeds, of the best round, and returns, over the rounds."""
    returns = [measurement["return"] for measurement in measurements]
    return {
        "steps_per_cpu_second": setting["total_steps"] / min(m["cpu_seconds"] for m in measurements),
        "steps_per_second": setting["total_steps"] / min(m["wall_seconds"] for m in measurements),
        "mean_return": sum(returns) / len(returns),
        "worst_return": min(returns),
    }


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
        ("at purejaxrl's setting: at least twice rejax's steps per CPU second", ratios["purejaxrl"]["cpu"] >= 2),
        ("with a mean return of at least 475", figures["purejaxrl"]["ours"]["mean_return"] >= 475),
    ]
    lines += [f"{'holds' if holds else 'DOES NOT HOLD'}: {claim}" for claim, holds in claims]
    print("\n".join(lines))
    return {"figures": figures, "ratios": ratios, "claims": dict(claims)}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rejax-python", help="the interpreter of an environment that has rejax 0.1.3")
    parser.add_argument("--rounds", type=int, default=5, help="rounds, each with another seed")
    parser.add_argument("--worker", choices=("ours", "rejax"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        work(options.worker)
        return
    # Not at the top: the workers run this file as a script, and one of them has rejax and not this project.
    from experiments import record

    if options.rejax_python is None:
        parser.error("--rejax-python: the interpreter of an environment that has rejax 0.1.3 is needed")
    processes = {
        side: subprocess.Popen(
            [python, __file__, "--worker", side], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for side, python in (("ours", sys.executable), ("rejax", options.rejax_python))
    }
    versions = {side: json.loads(process.stdout.readline()) for side, process in processes.items()}
    measured = measure(processes, options.rounds)
    for process in processes.values():
        process.stdin.close()
        process.wait()
    print(f"{versions}; {options.rounds} rounds")
    figures = {"versions": versions, "settings": SETTINGS, **report(measured), "measured": measured}
    record.write("against_rejax", COMMAND, figures)


if __name__ == "__main__":
    main()
