"""How hard Hypothesis tries: the same modest examples in every ordinary run, many new ones under `make torture`."""

import os

from hypothesis import HealthCheck, settings

settings.register_profile(
    "default",
    derandomize=True,  # a red run can be repeated by anyone, and a green one does not turn red by luck
    max_examples=60,
    deadline=None,  # a slow machine is no finding
    print_blob=True,
)
settings.register_profile(
    "torture",
    max_examples=3000,
    deadline=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))
