"""`repligate completion`: what a shell reads to complete our commands."""

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from click.shell_completion import ShellComplete

SHELLS = ("bash", "zsh", "fish")


@click.command()
@click.argument("shell", type=click.Choice(SHELLS))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print the script that completes commands in a shell. In bash: `eval "$(repligate completion bash)"`."""
    from click.shell_completion import BashComplete, FishComplete, ZshComplete

    kinds: dict[str, type[ShellComplete]] = {"bash": BashComplete, "zsh": ZshComplete, "fish": FishComplete}
    # click's `source` asks bash for its version, which a script that is only printed need not know.
    kind, main = kinds[shell], context.find_root().command
    script = kind(main, {}, "repligate", "_REPLIGATE_COMPLETE")
    click.echo(kind.source_template % script.source_vars())
