from types import SimpleNamespace

import numpy as np
import pytest
from matplotlib.backend_bases import MouseEvent
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex
from matplotlib.patches import Circle, Rectangle

from jaxrl_sparse.environments.planar.base import RewardArea
from jaxrl_sparse.runner import plots

SIZE = 8


def world(y_axis_down):
    """A world of 40 x 40 from (-10, 100), descriptors in the unit square; the pixel around (-2.5, 107.5) is red."""
    scene = np.ones((SIZE, SIZE, 3), np.float32)
    scene[1 if y_axis_down else SIZE - 2, 1] = (1.0, 0.0, 0.0)
    areas = (
        RewardArea((0.0, 130.0), radius=4.0),
        RewardArea((20.0, 110.0), size=(6.0, 2.0)),
        RewardArea((5.0, 120.0), 1.0),
    )
    return SimpleNamespace(
        world_bounds=((-10.0, 100.0), (30.0, 140.0)),
        descriptor_bounds=((0.0, 0.0), (1.0, 1.0)),
        image_y_axis_down=y_axis_down,
        reward_areas=areas,
        world_position=lambda descriptors: descriptors * 40.0 + np.array([-10.0, 100.0]),
        scene=lambda size: scene,
    )


DISCOVERIES = SimpleNamespace(
    ground_truth=np.array([[0.1875, 0.1875], [0.25, 0.75], [0.3, 0.8], [0.75, 0.25], [0.9, 0.9]], np.float32),
    rewards=np.array([0.0, 0.25, 0.5, 2.0, 0.0], np.float32),
    areas=np.array([-1, 0, 0, 1, -1]),
    mask=np.array([True, True, True, True, False]),
    # Four by four cells, the second coordinate fastest: one visit, in cell (1, 2).
    visits=np.eye(1, 16, 6, dtype=int)[0],
)


@pytest.fixture(params=[False, True], ids=["y up", "y down"])
def drawn(request):
    environment = world(request.param)
    row = {"coverage": 0.125, "evaluations": 30_000}
    figure = plots.discovery_map(environment, DISCOVERIES, "search on maze", row)
    FigureCanvasAgg(figure).draw()
    return environment, figure.axes[0]


def test_points_lie_on_the_pixels_of_the_scene_where_they_are_in_the_world(drawn):
    _, axes = drawn
    (image,) = axes.get_images()

    def color_at(world_position):
        x, y = axes.transData.transform(world_position)
        return tuple(image.get_cursor_data(MouseEvent("", axes.figure.canvas, x, y)))

    unrewarded = axes.collections[1].get_offsets()
    np.testing.assert_allclose(unrewarded, [[-2.5, 107.5]])
    assert color_at(unrewarded[0]) == (1.0, 0.0, 0.0)
    for other in ((-2.5, 112.6), (2.6, 107.5), (-2.5, 132.5), (22.5, 107.5)):
        assert color_at(other) == (1.0, 1.0, 1.0)


def test_visited_cells_are_tinted_where_they_are_in_the_world(drawn):
    _, axes = drawn
    tinted = axes.collections[0]
    visited = ~np.ma.getmaskarray(tinted.get_array().reshape(4, 4))
    # Cell (1, 2) of the descriptor: x from -10 + 10, y from 100 + 20.
    corners = np.asarray(tinted.get_coordinates())[:-1, :-1][visited]
    np.testing.assert_allclose(corners, [[0.0, 120.0]])


def test_the_image_points_where_the_world_does(drawn):
    environment, axes = drawn
    low, high = (axes.transData.transform((0.0, y))[1] for y in (101.0, 139.0))
    assert (low > high) == environment.image_y_axis_down


def test_rewarded_behaviours_have_the_colour_of_their_area(drawn):
    _, axes = drawn
    _, _, first, second, third = axes.collections
    np.testing.assert_allclose(first.get_offsets(), [[0.0, 130.0], [2.0, 132.0]], atol=1e-5)
    np.testing.assert_allclose(second.get_offsets(), [[20.0, 110.0]])
    assert len(third.get_offsets()) == 0
    colors = [to_hex(points.get_facecolor()[0]) for points in (first, second)]
    assert colors == list(plots.AREA_COLORS[:2])
    outlines = axes.patches
    assert [to_hex(outline.get_edgecolor()) for outline in outlines] == list(plots.AREA_COLORS[:3])


def test_areas_are_outlined_in_world_units_and_tell_the_best_reward(drawn):
    _, axes = drawn
    disc, rectangle, _ = axes.patches
    assert isinstance(disc, Circle) and disc.center == (0.0, 130.0) and disc.radius == 4.0
    assert isinstance(rectangle, Rectangle) and rectangle.get_bbox().extents.tolist() == [17.0, 109.0, 23.0, 111.0]
    assert [text.get_text() for text in axes.texts] == ["area 0: best 0.5", "area 1: best 2", "area 2: not found"]


def test_the_title_tells_coverage_and_evaluations(drawn):
    _, axes = drawn
    assert axes.get_title(loc="left") == (
        "search on maze\ncoverage 12.5%, 4 kept behaviours, 3 rewarded, 30,000 evaluations"
    )


def test_curves_are_the_metrics_against_the_budget():
    rows = [
        {
            "step": 0,
            "evaluations": 300,
            "coverage": 0.1,
            "area": 3,
            "rejected": 0,
            "loss": None,
            "lost": None,
            "values": [1.0],
        },
        {
            "step": 1,
            "evaluations": 400,
            "coverage": 0.2,
            "area": 4,
            "rejected": 0,
            "loss": 3.0,
            "lost": None,
            "values": [1.0],
        },
    ]
    rows.append({**rows[1], "step": 2, "evaluations": 500, "loss": 2.0})
    figure = plots.metric_curves(rows, "evaluations", "search on maze", headline="coverage")
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["coverage", "area", "loss"]
    coverage, _, loss = (axes.lines[0].get_xydata() for axes in figure.axes)
    np.testing.assert_array_equal(coverage, [[300, 0.1], [400, 0.2], [500, 0.2]])
    np.testing.assert_array_equal(loss, [[300, np.nan], [400, 3.0], [500, 2.0]])
    assert figure.get_supxlabel() == "unchanged: rejected = 0"


def test_labels_stay_inside_the_world_on_the_side_of_its_middle():
    environment = world(False)
    low_left, top_right = RewardArea((-10.0, 100.0), radius=2.0), RewardArea((29.0, 139.0), size=(2.0, 2.0))
    assert plots.label_position(low_left, environment) == pytest.approx((-6.8, 103.2))
    assert plots.label_position(top_right, environment) == pytest.approx((26.8, 136.8))


@pytest.mark.parametrize(("value", "words"), [(0.0, "0"), (999.0, "999"), (7500.0, "7.5k"), (-2e6, "-2M"), (1e9, "1G")])
def test_short_number(value, words):
    assert plots.short_number(value) == words


def test_no_rows_make_an_empty_figure_and_not_an_error(tmp_path):
    path = plots.save(plots.metric_curves([], "evaluations", "search on maze"), tmp_path / "metrics.png")
    assert path.read_bytes().startswith(b"\x89PNG")


def test_searches_are_compared_at_equal_numbers_of_evaluations():
    """One seed spends twice as much in an update as the other; both climb by 1 for every 100 evaluations."""
    evaluations = np.array([[100, 200, 300], [200, 400, 600]])
    searches = {
        "climbs": (
            evaluations,
            {"coverage": evaluations / 100.0, "best": np.array([[0.0, 0.0, 0.0], [1.0, 1.0, 1.0]])},
        ),
        "stays": (evaluations[:1], {"coverage": np.zeros((1, 3)), "best": np.ones((1, 3))}),
    }
    coverage, best = plots.comparison(searches, "a title").axes
    climbing, staying = coverage.get_lines()
    x, y = climbing.get_data()
    # From where all have begun to where the first ends.
    np.testing.assert_allclose([x[0], x[-1]], [200.0, 300.0])
    np.testing.assert_allclose(y, x / 100.0)
    np.testing.assert_allclose(staying.get_data()[0][[0, -1]], [100.0, 300.0])
    np.testing.assert_array_equal(staying.get_data()[1], 0.0)
    band = best.collections[0].get_paths()[0].vertices[:, 1]
    assert (band.min(), band.max()) == (0.0, 1.0) and best.get_lines()[0].get_data()[1].max() == 0.5
    assert [text.get_text() for text in coverage.get_legend().get_texts()] == ["climbs", "stays"]
