"""What a broker refused is known by its own error, however kafka-python wraps it."""

from __future__ import annotations

import pytest
from kafka.errors import InvalidProducerEpochError, KafkaError, KafkaTimeoutError, ProducerFencedError

from monitor.kafka.sending import unwrapped


@pytest.mark.parametrize("error", [ProducerFencedError(), InvalidProducerEpochError()])
@pytest.mark.parametrize(
    "wrap",
    [
        lambda error: error,
        lambda error: KafkaError("in an error state: %s" % (error,)),  # noqa: UP031  as the library does
        lambda error: KafkaError("a previous request has failed with errors.", error),
        lambda error: KafkaError("a previous request has failed.", KafkaError(f"in an error state: {error}")),
    ],
    ids=["bare", "named", "borne", "both"],
)
def test_the_brokers_error_is_found(error, wrap):
    assert type(unwrapped(wrap(error))) is type(error)


@pytest.mark.parametrize("error", [KafkaError("it broke off"), KafkaTimeoutError("[Error 90] is no matter of ours")])
def test_an_error_of_the_library_stays_what_it_is(error):
    assert unwrapped(error) is error
