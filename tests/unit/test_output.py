"""How tables are printed on terminals that are narrower than they are."""

from __future__ import annotations

import io

from rich.console import Console

from imagenet_builder.cli.output import plain_table

WORKER, ADDRESS = "A2QWERTYUIOPAS", "https://commons.example/wiki/File:A_very_long_name_of_a_picture.jpg"


def drawn(width: int, *rows: tuple[str, ...]) -> list[str]:
    table = plain_table("worker", "pages#", "approved#", "of which late#", "why")
    for row in rows:
        table.add_row(*row)
    written = io.StringIO()
    Console(file=written, width=width, soft_wrap=True).print(table)
    return written.getvalue().splitlines()


def test_no_word_is_cut_off_however_narrow_the_terminal_is() -> None:
    row = (WORKER, "1219", "100000", "7", f"see {ADDRESS}")
    for width in (20, 60, 80):
        text = "\n".join(drawn(width, row))
        assert "…" not in text
        for word in (WORKER, ADDRESS, "1219", "100000", "approved"):
            assert word in text, (width, word)


def test_sentences_are_wrapped_to_the_terminal_where_their_words_fit() -> None:
    sentence = "answers were handed in faster than pictures can be looked at, again and again"
    lines = drawn(80, (WORKER, "9", "8", "7", sentence))
    assert max(map(len, lines)) <= 80
    assert len(lines) > len(drawn(200, (WORKER, "9", "8", "7", sentence)))
