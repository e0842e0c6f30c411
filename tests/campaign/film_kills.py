"""kill -9 at random moments of films in the making, again and again; see `kills`."""

from functools import partial

from .harness import main
from .kills import attempt as kill

attempt = partial(kill, formats=["film"])

if __name__ == "__main__":
    main(attempt, __doc__ or "")
