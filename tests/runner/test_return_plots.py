import numpy as np

from jaxrl_sparse.runner.return_plots import requested_returns, return_law, stock_policy

ATOMS = np.arange(5.0)


def test_a_law_is_drawn_where_it_has_mass():
    axes = return_law(ATOMS, np.array([0.5, 0, 0, 0.5, 0]), "law", {"mean": 1.5}).axes[0]
    (dots,) = [line for line in axes.lines if line.get_marker() == "o"]
    np.testing.assert_array_equal(dots.get_xdata(), [0, 3])
    np.testing.assert_array_equal(dots.get_ydata(), [0.5, 0.5])
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["mean 1.5"]


def test_sampled_returns_are_a_histogram_of_all_mass():
    axes = return_law(np.array([1.0, 1, 2, 5]), np.full(4, 0.25), "law", sampled=True).axes[0]
    assert sum(patch.get_height() for patch in axes.patches) == 1


def test_a_policy_is_drawn_where_it_changes():
    actions = np.zeros((3, 100), int)
    actions[1, 50:] = 1
    figure = stock_policy(actions, np.arange(100.0), ["a", "b", "c"], ["left", "right"], "policy")
    (image,) = figure.axes[0].images
    shown = np.asarray(image.get_array())
    # Three stocks on either side of the change between 49 and 50.
    np.testing.assert_array_equal(shown, actions[:, 47:53])
    assert tuple(image.get_extent()) == (46.5, 52.5, 2.5, -0.5)
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ["a", "b", "c"]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["left", "right"]
    # One that never changes is drawn whole.
    (image,) = stock_policy(np.zeros((3, 9), int), np.arange(9.0), "abc", ["stay"], "policy").axes[0].images
    assert image.get_array().shape == (3, 9)


def test_achieved_returns_stand_over_those_that_were_asked_for():
    requested, achieved = np.array([-1.0, 2.0]), np.array([[-1.0, -1, 1], [2, 3, 1]])
    asked, dots, means = requested_returns(requested, achieved, "returns").axes[0].lines
    np.testing.assert_array_equal(asked.get_xydata(), [[-1, -1], [2, 2]])
    np.testing.assert_array_equal(dots.get_xydata()[:, 0], [-1, -1, -1, 2, 2, 2])
    np.testing.assert_allclose(means.get_ydata(), [-1 / 3, 2])
