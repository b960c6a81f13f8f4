"""Networks and price lists in a provisioning file: their faults, and what may not go."""

import pytest

from smsgw.provisioning import Account, Provisioning, ProvisioningError, parse
from smsgw.provisioning.routing import Network, Price, PriceList
from smsgw.store import provision

O2 = '[[network]]\nname = "o2"\nmcc = "234"\nmnc = "10"\nprefixes = ["4477"]\n'
GOLD = '[[price_list]]\nname = "gold"\n'
STORED = Provisioning(
    accounts={"acme": Account("acme", price_list="gold")},
    networks={"o2": Network("o2", "234", "10", ["4477"])},
    price_lists={"gold": PriceList("gold", [Price("0.01", mcc="234", mnc="10")])},
)


def faults(text: str, known: Provisioning | None = None) -> list[str]:
    with pytest.raises(ProvisioningError) as caught:
        parse(text, "p.toml", known)
    return caught.value.lines


def price(text: str) -> str:
    return f'{GOLD}[[price_list.price]]\nprice = "0.01"\n{text}\n'


def test_a_price_list_is_read() -> None:
    """With prices of prefixes, of networks, and of all networks of a country."""
    text = (
        O2
        + price('prefix = "44"\nremarks = "landlines too"')
        + '[[price_list.price]]\nprice = "0.02"\nmcc = "234"\n'
        + '[[price_list.price]]\nprice = "0.03"\nmcc = "234"\nmnc = "10"\n'
        + '[[account]]\nname = "a"\nprice_list = "gold"\n'
    )
    found = parse(text, "p.toml")
    assert found.price_lists["gold"].price == [
        Price("0.01", "44", remarks="landlines too"),
        Price("0.02", mcc="234"),
        Price("0.03", mcc="234", mnc="10"),
    ]
    assert found.accounts["a"].price_list == "gold"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (price(""), ":3: price_list.price: prefix is missing; a price is either"),
        (price('prefix = "44"\nmcc = "234"'), ":3: price_list.price: both prefix and mcc"),
        (price('prefix = "44"\nmnc = "10"'), ":6: price_list.price.mnc: given without mcc"),
        (price('mcc = "234"'), ':5: price_list.price.mcc: no network of mcc "234"; add'),
        (price('mcc = "234"\nmnc = "10"'), "no network 234-10; add [[network]], of it is none"),
        (O2 + price('mcc = "234"\nmnc = "11"'), "no network 234-11; add [[network]], known of it"),
        (
            price('prefix = "44"\n[[price_list.price]]\nprice = "1"\nprefix = "44"'),
            ':8: price_list.price.prefix: the price of prefix "44" is taken at p.toml:5',
        ),
        (
            O2 + price('mcc = "234"\n[[price_list.price]]\nprice = "1"\nmcc = "234"'),
            'the price of mcc "234" is taken',
        ),
        (
            O2
            + price('mcc = "234"\nmnc = "10"')
            + '[[price_list.price]]\nprice = "1"\nmcc = "234"\nmnc = "10"',
            "the price of network 234-10 is taken",
        ),
        (
            O2 + O2.replace('"o2"', '"copy"').replace("4477", "4478"),
            ":9: network.mnc: the network 234-10 is taken at p.toml:4; it must be unique",
        ),
        (
            O2 + O2.replace('"o2"', '"other"').replace('"10"', '"11"'),
            ':10: network.prefixes: the prefix "4477" is taken at p.toml:5',
        ),
        ('[[account]]\nname = "a"\nprice_list = "gold"', ':3: account.price_list: no price list "'),
        (GOLD + '[[account]]\nname = "a"\nprice_list = "glod"', "known are gold"),
    ],
)
def test_what_is_wrong_is_told_with_its_line(text: str, said: str) -> None:
    """And with what would be right."""
    [line] = faults(text)
    assert said in line


def test_a_file_may_name_what_the_store_has() -> None:
    """Networks, price lists; and a network may not be there under another name."""
    known = STORED
    assert parse(price('mcc = "234"').replace("gold", "new"), "p.toml", known)
    assert parse('[[account]]\nname = "a"\nprice_list = "gold"', "p.toml", known)
    [code, prefix] = faults(O2.replace('"o2"', '"copy"'), known)
    assert 'taken at network "o2" in the store' in code
    assert 'taken at network "o2" in the store' in prefix
    assert parse(O2, "p.toml", known).networks == known.networks


def test_values_of_other_types_are_no_references() -> None:
    """They are faults of their own."""
    text = (
        '[[network]]\nname = "n"\nmcc = 1\nmnc = 2\nprefixes = "44"\n'
        + price("mcc = 1\nmnc = []")
        + '[[account]]\nname = "a"\nprice_list = 7\n'
    )
    assert all("no network" not in line and "no price list" not in line for line in faults(text))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        # Without the price list that the account has.
        ('[[account]]\nname = "acme"\nprice_list = "gold"\n' + O2, "no price list"),
        # Without the network of a price.
        (price('mcc = "234"\nmnc = "10"'), "no network 234-10"),
    ],
)
def test_what_is_in_use_is_not_pruned(text: str, said: str) -> None:
    """What stays may not name what goes."""
    with pytest.raises(ProvisioningError) as caught:
        provision.prepare(STORED, text, "p.toml", prune=True)
    assert said in "\n".join(caught.value.lines)


def test_a_network_in_use_does_not_change_its_code() -> None:
    """A price list of the store has a price for it."""
    with pytest.raises(ProvisioningError) as caught:
        provision.prepare(STORED, O2.replace('"10"', '"11"'), "p.toml")
    assert "price_list gold uses it" in "\n".join(caught.value.lines)
