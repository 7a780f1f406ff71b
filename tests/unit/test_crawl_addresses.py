"""The address guard: what may be asked, and what may not."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hits.addresses import is_public
from imagenet_builder.crawl.addresses import AddressGuard, ForbiddenAddress


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "127.8.9.10",
        "0.0.0.0",
        "10.0.0.5",
        "172.16.3.4",
        "192.168.1.1",
        "100.64.0.1",
        "169.254.169.254",
        "224.0.0.1",
        "240.0.0.1",
        "255.255.255.255",
        "192.0.2.1",
        "198.18.0.1",
        "::",
        "::1",
        "fe80::1",
        "fe80::1%eth0",
        "fc00::1",
        "fd00:ec2::254",
        "fec0::1",
        "ff02::1",
        "::ffff:127.0.0.1",
        "::ffff:169.254.169.254",
        "64:ff9b::7f00:1",
        "64:ff9b:1::a00:1",
        "2002:7f00:1::",
        "2002:a9fe:a9fe::",
        "2001:db8::1",
        "nonsense",
    ],
)
def test_addresses_that_are_not_everyones_are_not_public(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize(
    "address", ["93.184.216.34", "208.80.154.224", "2620:0:861:ed1a::1", "::ffff:8.8.8.8", "64:ff9b::808:808"]
)
def test_public_addresses_are_public(address: str) -> None:
    assert is_public(address)


@given(st.ip_addresses(v=4))
def test_an_ipv4_address_is_judged_alike_however_ipv6_wraps_it(address: ipaddress.IPv4Address) -> None:
    judged = is_public(str(address))
    assert is_public(f"::ffff:{address}") == judged
    assert (
        is_public(str(ipaddress.IPv6Address(int(ipaddress.IPv6Address("64:ff9b::")) + int(address))))
        == judged
    )


async def test_a_name_that_leads_to_this_machine_is_refused() -> None:
    with pytest.raises(ForbiddenAddress, match=r"localhost is at .*, which is not a public address"):
        await AddressGuard().resolve("localhost", 80)


@pytest.mark.parametrize("host", ["127.1", "0x7f.1", "2130706433", "0177.0.0.1"])
async def test_loopback_in_the_old_spellings_of_numbers_is_refused(host: str) -> None:
    with pytest.raises(ForbiddenAddress):
        await AddressGuard().resolve(host, 80)


async def test_only_the_very_host_and_port_that_are_allowed_pass() -> None:
    guard = AddressGuard(["127.0.0.1:8700", "localhost:8701", "[::1]:8702"])
    guard.check_literal("127.0.0.1", 8700)
    guard.check_literal("::1", 8702)
    assert await guard.resolve("localhost", 8701)
    with pytest.raises(ForbiddenAddress):
        guard.check_literal("127.0.0.1", 8701)
    with pytest.raises(ForbiddenAddress):
        guard.check_literal("::1", 8700)
    with pytest.raises(ForbiddenAddress):
        await guard.resolve("localhost", 8700)


def test_a_name_is_left_to_the_resolver() -> None:
    AddressGuard().check_literal("pictures.example", 80)


async def test_names_are_looked_up_side_by_side(monkeypatch: pytest.MonkeyPatch) -> None:
    together = threading.Barrier(40)

    def look_up(*_: object, **__: object) -> list[tuple[object, ...]]:
        together.wait(60)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("93.184.216.34", 80))]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    guard = AddressGuard()
    found = await asyncio.gather(*(guard.resolve(f"host{number}.example", 80) for number in range(40)))
    guard.close()
    assert [results[0][4][0] for results in found] == ["93.184.216.34"] * 40


async def test_a_name_with_a_private_address_among_its_addresses_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def look_up(*_: object, **__: object) -> list[tuple[object, ...]]:
        return [
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 80))
            for address in ("93.184.216.34", "10.0.0.5")
        ]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    with pytest.raises(ForbiddenAddress, match=r"10\.0\.0\.5"):
        await AddressGuard().resolve("pictures.example", 80)


async def test_a_name_that_turns_to_a_private_address_is_refused_from_then_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    answers = iter(["93.184.216.34", "169.254.169.254"])

    def look_up(*_: object, **__: object) -> list[tuple[object, ...]]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (next(answers), 80))]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    guard = AddressGuard()
    first = await guard.resolve("rebinding.example", 80)
    # The connection goes to these numbers, and not to the name once more.
    assert [address[0] for *_, address in first] == ["93.184.216.34"]
    with pytest.raises(ForbiddenAddress, match=r"169\.254\.169\.254"):
        await guard.resolve("rebinding.example", 80)
