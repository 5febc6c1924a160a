"""``python -m twinlens.benchmarks.load``."""

from twinlens.benchmarks.load.cli import main

main()
