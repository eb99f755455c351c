from __future__ import annotations

from dataclasses import replace

import pytest

from snlab.core import names
from snlab.core.errors import UserError
from snlab.metrics.protocols import PROTOCOLS


def test_the_paper_s_protocol_counts_what_the_paper_counted() -> None:
    protocol = PROTOCOLS["miyato2018"]
    assert (protocol.n_real, protocol.n_fake) == (10_000, 5_000)
    assert protocol.n_inception == 10 * 5_000
    assert protocol.inception_splits == 10
    assert protocol.n_generated == 50_000


def test_n_generated_counts_the_inception_score_only_where_it_is_wanted() -> None:
    protocol = PROTOCOLS["miyato2018"]
    assert replace(protocol, metrics=(names.FID,)).n_generated == 5_000
    assert replace(PROTOCOLS["embedded"], n_fake=300).n_generated == 300


@pytest.mark.parametrize(
    ("name", "n_real", "n_fake", "message"),
    [
        ("50k", 1_437, 50_000, "protocol '50k' wants 50000 real training images, not 1437"),
        ("miyato2018", 10_000, 5_000, "protocol 'miyato2018' wants 50000 generated images, not 5000"),
        ("embedded", 3, 2_000, "protocol 'embedded' wants 4 to 2000 real training images, not 3"),
        ("embedded", 2_001, 2_000, "protocol 'embedded' wants 4 to 2000 real training images, not 2001"),
    ],
)
def test_other_counts_are_refused_in_one_line(name: str, n_real: int, n_fake: int, message: str) -> None:
    with pytest.raises(UserError) as caught:
        PROTOCOLS[name].check(n_real, n_fake)
    assert str(caught.value) == message


def test_the_embedded_protocol_takes_what_a_small_data_set_has() -> None:
    PROTOCOLS["embedded"].check(1_437, 2_000)
