"""`nst-batch`: thin commands over the library. Imports no torch until a command needs it."""

import os
import sys


def main() -> None:
    """Run the command line; what the user can mend comes as one sentence, without a traceback."""
    from nst_lightning.batch.stop import Interrupted
    from nst_lightning.errors import UserError

    from .app import app

    try:
        app()
    except UserError as error:
        print(f"nst-batch: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    except Interrupted as error:
        # The interpreter's own shutdown could still be stopped half-way by a second signal.
        sys.stdout.flush()
        sys.exit(error.exit_code)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
