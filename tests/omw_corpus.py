"""A small corpus in the layout and format of NLTK's package omw-1.4."""

from __future__ import annotations

import shutil
from pathlib import Path

FILES = {
    "mcr/wn-data-spa.tab": (
        "# Multilingual Central Repository\tspa\thttp://adimen.si.ehu.es/web/MCR/\tCC BY 3.0\n"
        "02084071-n\tspa:lemma\tperro\n"
        "02084071-n\tspa:lemma\tcan_doméstico\n"
        "02084071-n\tspa:def\t0\tanimal de compañía\n"
        "02001858-v\tspa:lemma\tperrear\n"
        "04507155-n\tspa:lemma\tparaguas\n"
    ),
    "cow/wn-data-cmn.tab": "# Chinese Open Wordnet\tcmn\thttp://x\twordnet\n04507155-n\tcmn:lemma\t雨+伞\n",
    # The first edition of the package names no language in its lines.
    "nld/wn-data-nld.tab": "# Open Dutch WordNet\tnld\thttp://x\tCC BY SA 4.0\n02084071-n\tlemma\thond\r\n",
    "iwn/wn-data-ita.tab": "# ItalWordNet\tita\thttp://x\tODC-BY\n02084071-n\tita:lemma\tcane\n",
    "msw/wn-data-ita.tab": "# MultiWordNet\tita\thttp://x\tCC BY 3.0\n04507155-n\tita:lemma\tombrello\n",
    "fra/wn-data-fra.tab": "# WOLF\tfra\thttp://x\tCeCILL-C\n02084071-n\tfra:lemma\tchien\n",
    "mcr/citation.bib": "not a list of words",
}


def nltk_data(folder: Path, *, archive: bool = False, name: str = "omw-1.4") -> Path:
    """A data folder of NLTK's with this package."""
    package = folder / "corpora" / name
    for path, text in FILES.items():
        (package / path).parent.mkdir(parents=True, exist_ok=True)
        (package / path).write_bytes(text.encode())
    if archive:
        shutil.make_archive(str(package), "zip", package.parent, name)
        shutil.move(package, folder / "unpacked")
    return folder
