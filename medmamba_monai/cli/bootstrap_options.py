"""Options of the bootstrap, which more than one command takes."""

from typing import Annotated

import typer

Resamples = Annotated[int, typer.Option(help="Resamples of the bootstrap behind each interval.")]
Seed = Annotated[int, typer.Option(help="Seed of the bootstrap.")]
