"""MAP-Elites and nearest neighbours against QDax 0.5.0, by CPU seconds, in one run.

QDax lives in an environment of its own, so that this project does not depend on it:

    python -m venv qdax-environment
    qdax-environment/bin/pip install "qdax==0.5.0" "jax==0.10.1"
    python -m experiments.benchmarks.against_qdax --qdax-python qdax-environment/bin/python

Two tasks: MAP-Elites on the 8-joint arm (batch 4,096, 100 x 100 cells, iso+line variation with .01 and .1, 20
generations from 4,096 uniform genomes), and the mean distance of 4,096 queries to the 15 nearest of 10,000 references
in the plane. Both sides compile first; then they take turns, with the same seeds. CPU time is that of all threads of a
process, the best of the rounds; coverage and QD score are means over the rounds. Writes
`experiments/results/against_qdax.json`.
"""

from experiments.benchmarks import turns

BATCH_SIZE, GRID_SHAPE, GENERATIONS, NUM_JOINTS = 4096, (100, 100), 20, 8
ISO_SIGMA, LINE_SIGMA = 0.01, 0.1
NUM_QUERIES, NUM_REFERENCES, NUM_NEIGHBORS = 4096, 10_000, 15


def our_tasks():
    """Both tasks by this library, each `(arguments of a seed, compiled call, figures of its result)`."""
    import jax

    from jaxrl_sparse import train
    from jaxrl_sparse.base import strong_types
    from jaxrl_sparse.quality_diversity import MapElitesConfig, arm_problem, map_elites, novelty_scores

    config = MapElitesConfig(
        population_size=BATCH_SIZE,
        batch_size=BATCH_SIZE,
        grid_shape=GRID_SHAPE,
        variation="iso_line",
        replace_on_tie=False,
        mutation_sigma=ISO_SIGMA,
        line_sigma=LINE_SIGMA,
        qd_score_offset=1.0,
    )
    algorithm = map_elites(config, arm_problem(NUM_JOINTS))
    init = jax.jit(lambda key: strong_types(algorithm.init(key)))
    search = jax.jit(lambda state: train(algorithm, state, GENERATIONS)[1])
    scores = jax.jit(lambda q, r, mask: novelty_scores(q, r, mask, NUM_NEIGHBORS, exclude_nearest=False))

    def found(metrics):
        return {"coverage": float(metrics["archive_coverage"][-1]), "qd_score": float(metrics["qd_score"][-1])}

    def points(seed):
        queries, references = random_points(seed)
        return queries, references, jax.numpy.ones(NUM_REFERENCES, bool)

    return {
        "map_elites": (lambda seed: (init(jax.random.key(seed)),), search, found),
        "novelty": (points, scores, lambda novelties: {"mean_novelty": float(novelties.mean())}),
    }


def qdax_tasks():
    """Both tasks by QDax."""
    from functools import partial

    import jax
    import jax.numpy as jnp
    from qdax.core.containers.archive import knn
    from qdax.core.containers.mapelites_repertoire import compute_euclidean_centroids
    from qdax.core.emitters.mutation_operators import isoline_variation
    from qdax.core.emitters.standard_emitters import MixingEmitter
    from qdax.core.map_elites import MAPElites
    from qdax.tasks.arm import arm_scoring_function
    from qdax.utils.metrics import default_qd_metrics

    variation = partial(isoline_variation, iso_sigma=ISO_SIGMA, line_sigma=LINE_SIGMA, minval=0.0, maxval=1.0)
    emitter = MixingEmitter(None, variation, variation_percentage=1.0, batch_size=BATCH_SIZE)
    algorithm = MAPElites(arm_scoring_function, emitter, partial(default_qd_metrics, qd_offset=1.0))
    centroids = compute_euclidean_centroids(GRID_SHAPE, minval=0.0, maxval=1.0)

    def start(seed):
        genomes_key, init_key, key = jax.random.split(jax.random.key(seed), 3)
        genomes = jax.random.uniform(genomes_key, (BATCH_SIZE, NUM_JOINTS))
        repertoire, emitter_state, _ = algorithm.init(genomes, centroids, init_key)
        return ((repertoire, emitter_state, key),)

    search = jax.jit(lambda carry: jax.lax.scan(algorithm.scan_update, carry, length=GENERATIONS)[1])
    scores = jax.jit(lambda queries, references: jnp.mean(knn(references, queries, NUM_NEIGHBORS)[0], axis=1))

    def found(metrics):
        return {"coverage": float(metrics["coverage"][-1]) / 100.0, "qd_score": float(metrics["qd_score"][-1])}

    return {
        "map_elites": (start, search, found),
        "novelty": (random_points, scores, lambda novelties: {"mean_novelty": float(novelties.mean())}),
    }


def random_points(seed):
    import jax

    queries_key, references_key = jax.random.split(jax.random.key(seed))
    return (
        jax.random.uniform(queries_key, (NUM_QUERIES, 2)),
        jax.random.uniform(references_key, (NUM_REFERENCES, 2)),
    )


def side_of(name):
    """Compiles one side's tasks."""
    import jax

    tasks = our_tasks() if name == turns.OURS else qdax_tasks()
    for prepare, call, _ in tasks.values():
        jax.block_until_ready(call(*prepare(0)))

    def measure(task, seed):
        prepare, call, found = tasks[task]
        call = turns.timed(call, *jax.block_until_ready(prepare(seed)))
        return {"cpu_seconds": call.cpu_seconds, "wall_seconds": call.wall_seconds, **found(call.result)}

    return turns.Side({"jax": jax.__version__, "device": str(jax.devices()[0])}, measure)


def mean(measurements, name):
    return sum(measurement[name] for measurement in measurements) / len(measurements)


def best(measurements, name):
    return min(measurement[name] for measurement in measurements)


def report(measured):
    """Ratios and whether they are what they should be."""
    map_elites, novelty = measured["map_elites"], measured["novelty"]
    evaluations = BATCH_SIZE * GENERATIONS
    lines, figures = [], {}
    for side, measurements in map_elites.items():
        figures[side] = {
            "evaluations_per_cpu_second": evaluations / best(measurements, "cpu_seconds"),
            "evaluations_per_second": evaluations / best(measurements, "wall_seconds"),
            "coverage": mean(measurements, "coverage"),
            "qd_score": mean(measurements, "qd_score"),
            "novelty_cpu_seconds": best(novelty[side], "cpu_seconds"),
            "mean_novelty": mean(novelty[side], "mean_novelty"),
        }
        lines.append(f"{side:5s} " + ", ".join(f"{name} {value:.5g}" for name, value in figures[side].items()))
    ours, qdax = figures["ours"], figures["qdax"]
    ratios = {
        "map_elites_cpu": ours["evaluations_per_cpu_second"] / qdax["evaluations_per_cpu_second"],
        "map_elites_wall": ours["evaluations_per_second"] / qdax["evaluations_per_second"],
        "coverage": ours["coverage"] / qdax["coverage"],
        "qd_score": ours["qd_score"] / qdax["qd_score"],
        "novelty_cpu": qdax["novelty_cpu_seconds"] / ours["novelty_cpu_seconds"],
        "mean_novelty": ours["mean_novelty"] / qdax["mean_novelty"],
    }
    claims = [
        ("MAP-Elites: at least 10 times the evaluations per CPU second", ratios["map_elites_cpu"] >= 10),
        ("at equal coverage within 1 %", abs(ratios["coverage"] - 1) <= 0.01),
        ("novelty: at least 10 times as fast, by CPU seconds", ratios["novelty_cpu"] >= 10),
        ("at equal distances within .1 %", abs(ratios["mean_novelty"] - 1) <= 1e-3),
    ]
    lines += [f"ours / QDax: {name} {value:.4g}" for name, value in ratios.items()]
    print("\n".join(lines + turns.verdicts(claims)))
    return {"figures": figures, "ratios": ratios, "claims": dict(claims)}


if __name__ == "__main__":
    turns.compare(__spec__.name, "qdax", ("map_elites", "novelty"), side_of, report)
