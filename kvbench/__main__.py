"""``python -m kvbench`` is the ``kvbench`` command."""

from kvbench.cli import main

if __name__ == "__main__":
    main()
