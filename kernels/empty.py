"""What stands for nothing in results: both branches of a kernel write the same."""

NO_POSITION = -1
"""Position of a maximum over nothing but NaN."""

EMPTY_ID = -1
"""Id of an empty slot of a top-k."""
EMPTY_KEY = -(2**63)
"""The key of an empty slot and of what is never taken (NaN, -inf); below every other key."""
