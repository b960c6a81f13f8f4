"""The table of rules is whole, its tests exist, and it is what is published."""

from tests.conformance.rules import PAGE, REQUIRED, SECTIONS, Rule, exists, page, sections

RULES: list[Rule] = [rule for _, rules in sections() for rule in rules]
IDS = [rule.id for rule in RULES]


def test_every_requirement_has_a_row() -> None:
    """Each numbered one of link, websmpp and REST accounts that concerns SMPP, and each ruling."""
    assert [id for id in REQUIRED if id not in IDS] == []


def test_every_section_of_smpp_has_rows() -> None:
    """Numbered through, S1.1, S1.2, ..., so that none is lost unnoticed."""
    for section in SECTIONS:
        numbers = [int(id.split(".")[1]) for id in IDS if id.startswith(f"S{section}.")]
        assert numbers == list(range(1, len(numbers) + 1))
        assert numbers


def test_no_rule_has_two_rows() -> None:
    """Two rows could say two things."""
    assert sorted(set(IDS)) == sorted(IDS)


def test_every_rule_says_something_and_has_tests_that_exist() -> None:
    """Names are looked up in the sources of the tests."""
    assert [rule.id for rule in RULES if not rule.says or not rule.tests] == []
    missing = [(rule.id, test) for rule in RULES for test in rule.tests if not exists(test)]
    assert missing == []


def test_a_test_that_is_not_there_is_noticed() -> None:
    """Neither a name that is in no file, nor a file that is not there, nor a helper."""
    path = "tests/conformance/test_rules.py"
    assert exists(f"{path}::test_no_rule_has_two_rows")
    assert not exists(f"{path}::test_of_another_name")
    assert not exists("tests/conformance/test_nothing.py::test_no_rule_has_two_rows")
    assert not exists("tests/conformance/rules.py::sections")


def test_the_published_page_is_the_table() -> None:
    """``python -m tests.conformance.rules`` writes it."""
    assert PAGE.read_text("utf-8") == page()
