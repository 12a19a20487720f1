"""`tenure completion`: the script that makes a shell complete our commands."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

SHELLS = ("bash", "zsh", "fish")
VARIABLE = "_TENURE_COMPLETE"


# The backspace tells click to leave the lines as they are.
EPILOG = """\b
bash:  echo 'eval "$(tenure completion bash)"' >> ~/.bashrc
zsh:   echo 'eval "$(tenure completion zsh)"' >> ~/.zshrc
fish:  tenure completion fish > ~/.config/fish/completions/tenure.fish
"""


@click.command(epilog=EPILOG)
@click.argument("shell", type=click.Choice(SHELLS))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print the script that makes a shell complete the commands and options of tenure."""
    made = get_completion_class(shell)
    assert made is not None, "a shell that click does not know"
    script = made(context.find_root().command, {}, "tenure", VARIABLE)
    # Not `source()`, which asks the bash of this machine for its version first.
    click.echo(script.source_template % script.source_vars())
