"""`hecli` and `python -m hecli`."""

import sys


def main() -> None:
    """Run the command line and exit."""
    try:
        # Imported here so that an interrupt while it loads ends like any other.
        from hecli.cli.main import run  # noqa: PLC0415

        status = run(sys.argv[1:])
    except KeyboardInterrupt:
        sys.stderr.write("error: interrupted\n")
        status = 1
    sys.exit(status)


if __name__ == "__main__":
    main()
