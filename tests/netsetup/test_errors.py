import inspect
import pickle
import string

import pytest

from netsetup import errors
from netsetup.errors import NetsetupError

CLASSES = [value for value in vars(errors).values() if inspect.isclass(value) and issubclass(value, NetsetupError)]


@pytest.mark.parametrize("kind", CLASSES)
def test_every_error_is_a_sentence_of_its_fields_and_survives_pickling(kind: type[NetsetupError]) -> None:
    names = [name for _, name, _, _ in string.Formatter().parse(kind.template) if name]
    error = kind(**{name: f"<{name}>" for name in names})
    assert all(f"<{name}>" in str(error) for name in names)
    copy = pickle.loads(pickle.dumps(error))  # noqa: S301
    assert type(copy) is kind
    assert (str(copy), copy.fields) == (str(error), error.fields)
