"""How commands print: figures to stdout as plain tables; progress to stderr, bars on a terminal only."""

from __future__ import annotations

from rich import box
from rich.console import Console, ConsoleOptions, RenderResult
from rich.measure import Measurement
from rich.table import Table

# Off a terminal nothing is cut to eighty columns: logs and pipes want whole lines.
WIDE = 200
# Wider than any table can be.
ENDLESS = 100_000


class WholeTable(Table):
    """A table that cuts off no word: wider than the terminal where its words do not fit, for the terminal to wrap."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Draw it. Names such as worker ids are there to be copied; rich would leave their first letters."""
        endless = options.update_width(ENDLESS)
        for column in self.columns:
            texts = [column.header, *column.cells]
            column.min_width = max(Measurement.get(console, endless, text).minimum for text in texts)
        least = Measurement.get(console, endless, self).minimum
        yield from super().__rich_console__(console, options.update_width(max(options.max_width, least)))


def figures() -> Console:
    """A console on stdout that never cuts off a terminal's width where there is no terminal.

    What is printed is shown as it is: names of settings such as [project] look like rich's own marks.
    """
    console = Console(highlight=False, markup=False, soft_wrap=True)
    if console.is_terminal:
        return console
    return Console(highlight=False, markup=False, soft_wrap=True, width=WIDE)


def plain_table(*columns: str, title: str | None = None) -> Table:
    """A table with a rule under its head; a column whose name ends in `#` is right-aligned (and loses the `#`)."""
    table = WholeTable(
        title=title,
        title_justify="left",
        title_style="bold",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        collapse_padding=True,
    )
    for column in columns:
        table.add_column(column.removesuffix("#"), justify="right" if column.endswith("#") else "left")
    return table
