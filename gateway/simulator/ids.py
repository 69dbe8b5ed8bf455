"""Names for new things, in the alphabets Replicate uses."""

import random
import string

CROCKFORD = "0123456789abcdefghjkmnpqrstvwxyz"
BASE32 = string.ascii_lowercase + "234567"


class Ids:
    """A source of ids; the same seed gives the same ids."""

    def __init__(self, seed: int | None = None) -> None:
        self._random = random.Random(seed)

    def prediction(self) -> str:
        """Return 26 characters of Crockford's alphabet, as predictions and trainings have had since April 2024."""
        return "".join(self._random.choices(CROCKFORD, k=26))

    def stream(self) -> str:
        """Return the unguessable part of a stream's URL."""
        return self._base32(4) + "-" + self._base32(50)

    def folder(self) -> str:
        """Return the unguessable part of an output's URL."""
        return "".join(self._random.choices(string.ascii_letters + string.digits, k=40))

    def hex(self, digits: int = 64) -> str:
        """Return lower-case hexadecimal digits: 64 for a version."""
        return f"{self._random.getrandbits(digits * 4):0{digits}x}"

    def seed(self) -> int:
        """Return what a model takes for a seed where none was given."""
        return self._random.randrange(2**31)

    def _base32(self, length: int) -> str:
        return "".join(self._random.choices(BASE32, k=length))
