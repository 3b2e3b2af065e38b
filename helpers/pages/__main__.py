"""Command line: `python -m helpers.pages FOLDER` writes the series as web pages that compute."""

import argparse
import os
import sys


def main(arguments=None):
    """The command line. An error is one line."""
    parser = argparse.ArgumentParser(prog="python -m helpers.pages", description=__doc__)
    parser.add_argument("folder", help="where to write the pages; it is made if there is none")
    repository = os.environ.get("GITHUB_REPOSITORY", "")
    told = "OWNER/REPOSITORY of the public copy, which the index links to"
    parser.add_argument("--repository", default=repository, help=told)
    chosen = parser.parse_args(arguments)
    os.environ["TQDM_DISABLE"] = "1"
    try:
        from .builder import write
    except ModuleNotFoundError as error:
        sys.exit(f"the pages need {error.name}: install it with pip install -r requirements.txt")
    try:
        paths = write(chosen.folder, chosen.repository)
    except OSError as error:
        sys.exit(f"the pages cannot be written: {error}")
    print(*paths, sep="\n")


if __name__ == "__main__":
    main()
