"""Every statement of the checklist is proven by a test that carries its id, or listed with the reason."""

import re
from pathlib import Path

from tests.conformance.checklist import NOT_MET, STATEMENTS

HERE = Path(__file__).parent
SID = re.compile(r"""mark\.sid\(([^)]*)\)""")


def ids_of_tests() -> set[str]:
    found: set[str] = set()
    for file in HERE.glob("test_*.py"):
        for args in SID.findall(file.read_text()):
            found |= set(re.findall(r"[WHIOPLS]\d\d", args))
    return found


def test_the_checklist_has_all_106_statements():
    counts = {letter: sum(sid[0] == letter for sid in STATEMENTS) for letter in "WHIOPLS"}
    assert counts == {"W": 16, "H": 14, "I": 18, "O": 22, "P": 11, "L": 18, "S": 7}


def test_every_statement_has_a_test_or_a_reason():
    missing = set(STATEMENTS) - ids_of_tests() - set(NOT_MET)
    assert not missing, f"no test carries {sorted(missing)}"


def test_no_test_carries_an_id_that_does_not_exist():
    assert ids_of_tests() <= set(STATEMENTS)
