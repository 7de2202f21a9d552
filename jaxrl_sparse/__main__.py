"""`python -m jaxrl_sparse`: the command line."""

import sys

from jaxrl_sparse.runner.cli import main

sys.exit(main())
