"""``python -m edgesim`` is the ``edgesim`` command."""

import sys

from edgesim.shadow import shadow_text, shadowing_file

if __name__ == "__main__":
    hidden_by = shadowing_file()
    if hidden_by is not None:
        print(f"error: {shadow_text(hidden_by)}", file=sys.stderr)
        sys.exit(2)
    from edgesim.cli import main

    main()
