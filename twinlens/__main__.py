"""``python -m twinlens``: the command."""

from twinlens.cli import main

if __name__ == "__main__":
    main(prog_name="twinlens")
