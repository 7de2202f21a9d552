import pytest

from jaxrl_sparse.environments.options import parameter_names, require_options


def test_parameter_names_leave_out_the_variadic_ones():
    def factory(size, *shapes, depth=2, **others):
        return size, shapes, depth, others

    assert parameter_names(factory) == ("size", "depth")


def test_unknown_options_are_named_with_those_that_are_known():
    require_options({"size": 1}, ["size", "depth"])
    with pytest.raises(ValueError, match=r"^option: got 'sise', takes one of size, depth$"):
        require_options({"size": 1, "sise": 1}, ["size", "depth"])
    with pytest.raises(ValueError, match=r"^option: got 'a', takes no option at all$"):
        require_options({"a": 1}, ())
