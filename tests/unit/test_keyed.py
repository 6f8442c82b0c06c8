"""The pseudonym's HMAC is the standard one."""

import hmac

from hypothesis import given
from hypothesis import strategies as st

from monitor.core.keyed import keyed_digest


@given(st.binary(max_size=200), st.binary(max_size=300))
def test_it_is_the_hmac_of_the_standard_library(key: bytes, message: bytes) -> None:
    assert keyed_digest(key)(message) == hmac.digest(key, message, "sha256")
