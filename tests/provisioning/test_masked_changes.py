"""Changes of targets are told without what may be secret in their URLs."""

from smsgw.provisioning import Account, Number, Provisioning, diff


def told(before: list[str], after: list[str]) -> list[str]:
    def of(targets: list[str]) -> Provisioning:
        return Provisioning({"a": Account("a", number=[Number("447700900000", targets)])})

    changes = diff(of(before), of(after), verify=lambda *_: False)
    return [line for change in changes for line in change.lines]


def test_a_url_is_shown_without_login_and_query() -> None:
    """In what is asked before it is applied, and in the audit."""
    [line] = told(["smpp"], ["https://u:p@a.example/in?key=1&"])
    assert line.endswith('targets: ["smpp"] -> ["https://a.example/in"]')


def test_a_change_of_what_is_not_shown_is_told_all_the_same() -> None:
    """That it changed."""
    [line] = told(["https://a.example/in?key=1&"], ["https://a.example/in?key=2&"])
    assert line.endswith("targets (changed)")
