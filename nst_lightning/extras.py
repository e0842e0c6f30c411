"""The packages that only some of the work needs, which an extra of the installation brings."""

from importlib.util import find_spec

from nst_lightning.errors import UserError


def need_extra(extra: str, what: str, *packages: str) -> None:
    """Sees that the packages for something are installed.

    Args:
        extra: the name of what brings them, as in pip install 'nst-lightning[mesh]'.
        what: is told to need them, in the plural.
        packages: by the names that are imported.

    Raises:
        UserError: one of them is not.
    """
    missing = [package for package in packages if find_spec(package) is None]
    if missing:
        raise UserError(
            f"{what} need {' and '.join(missing)}, not installed here: "
            f"pip install 'nst-lightning[{extra}]' brings what is missing."
        )
