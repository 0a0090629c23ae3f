"""How much hypothesis tries: the whole tier is to take half a minute."""

from hypothesis import HealthCheck, settings

settings.register_profile(
    "regfs", deadline=None, max_examples=200, suppress_health_check=[HealthCheck.too_slow], print_blob=True
)
settings.load_profile("regfs")
