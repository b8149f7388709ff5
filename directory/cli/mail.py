"""`pushpki mail`: what mails look like, where they stand, whether they leave."""

import typer

app = typer.Typer(no_args_is_help=True)
