import json
import subprocess
import sys

PROBE = """
import json, sys, time
import jax
before = time.process_time()
import jaxrl_sparse
seconds = time.process_time() - before
from jax._src import xla_bridge
print(json.dumps({"seconds": seconds, "modules": sorted(sys.modules), "backends": len(xla_bridge._backends)}))
"""
HEAVY = (
    "matplotlib",
    "tensorflow_probability",
    "mujoco",
    "gymnax",
    "brax",
    "distrax",
    "orbax",
    "tensorboardX",
    "wandb",
    "rich",
    "tyro",
)


def test_import_is_cheap_and_touches_no_device():
    probe = json.loads(subprocess.run([sys.executable, "-c", PROBE], capture_output=True, check=True, text=True).stdout)
    loaded = {name.split(".")[0] for name in probe["modules"]}
    assert not loaded.intersection(HEAVY)
    assert probe["backends"] == 0
    # CPU seconds beyond jax's own import; measured .1 to .2.
    assert probe["seconds"] < 1.0
