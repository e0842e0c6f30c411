"""`nst-batch`: thin commands over the library. Imports no torch until a command needs it."""

import io
import os
import sys
import warnings


def main() -> None:
    """Run the command line; what the user can mend comes as one sentence, without a traceback."""
    from nst_lightning.errors import UserError
    from nst_lightning.run.slurm import place
    from nst_lightning.stop import Interrupted, ignore_warnings, remember_warnings

    from .app import app
    from .wording import in_a_line

    warnings.formatwarning = lambda message, *_, **__: f"{message}\n"
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # as stderr: for names that are not UTF-8
    # Before anything imports Lightning, which would take Slurm into its own hands.
    if place().job:
        remember_warnings()
    try:
        app()
    except UserError as error:
        print(f"nst-batch: {in_a_line(str(error))}", file=sys.stderr)
        sys.exit(error.exit_code)
    except Interrupted as error:
        # The interpreter's own shutdown could still be stopped half-way by a second signal.
        sys.stdout.flush()
        sys.exit(error.exit_code)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except OSError as error:
        if error.filename is None:
            raise
        said = f"{error.filename}: cannot be used ({error.strerror}); mend that, or name another."
        print(f"nst-batch: {in_a_line(said)}", file=sys.stderr)
        sys.exit(2)
    finally:
        if place().job:
            ignore_warnings()
