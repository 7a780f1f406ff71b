"""How commands print: figures to stdout as plain tables; progress to stderr, bars on a terminal only."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

# Off a terminal nothing is cut to eighty columns: logs and pipes want whole lines.
WIDE = 200


def figures() -> Console:
    """A console on stdout that never cuts off a terminal's width where there is no terminal.

    What is printed is shown as it is: names of settings such as [project] look like rich's own marks.
    """
    from rich.console import Console

    console = Console(highlight=False, markup=False, soft_wrap=True)
    if console.is_terminal:
        return console
    return Console(highlight=False, markup=False, soft_wrap=True, width=WIDE)


def plain_table(*columns: str, title: str | None = None) -> Table:
    """A table with a rule under its head; a column whose name ends in `#` is right-aligned (and loses the `#`)."""
    from rich import box
    from rich.table import Table

    table = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        table.add_column(column.removesuffix("#"), justify="right" if column.endswith("#") else "left")
    return table
