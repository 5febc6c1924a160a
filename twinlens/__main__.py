"""``python -m twinlens``: the command."""

from twinlens.entry import main

if __name__ == "__main__":
    main()
