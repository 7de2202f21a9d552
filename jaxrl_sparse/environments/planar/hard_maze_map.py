"""The HardMaze's bitmap, from seven thick segments."""

from functools import cache

import numpy as np

PIXELS = 200
BORDER_PIXELS = 3
# Thick segments (x0, y0, x1, y1, half of the thickness) in pixels. They were fitted to the published bitmap, from which
# they differ in 61 of its 5,216 wall pixels.
SEGMENTS = (
    (-0.35, 44.22, 62.39, 48.94, 3.07),
    (58.60, 48.00, 129.67, 26.70, 2.77),
    (57.67, 47.32, 58.21, 152.35, 2.64),
    (55.98, 100.31, 153.81, 154.99, 2.29),
    (86.23, 85.63, 201.68, 145.93, 2.26),
    (0.91, 71.09, 34.28, 114.21, 2.65),
    (107.12, 157.69, 71.48, 198.92, 2.45),
)


@cache
def walls() -> np.ndarray:
    """The bitmap, bool `[200, 200]`: a border of 3 pixels and seven thick segments.

    A pixel belongs to a segment of length L where its centre is at -1/2 <= s <= L + 1/2 along the segment, and within
    half of the thickness across.
    """
    row, column = np.mgrid[:PIXELS, :PIXELS]
    wall = (np.minimum(row, column) < BORDER_PIXELS) | (np.maximum(row, column) >= PIXELS - BORDER_PIXELS)
    for x0, y0, x1, y1, half_thickness in SEGMENTS:
        length = np.hypot(x1 - x0, y1 - y0)
        direction_x, direction_y = (x1 - x0) / length, (y1 - y0) / length
        along = (column - x0) * direction_x + (row - y0) * direction_y
        across = (row - y0) * direction_x - (column - x0) * direction_y
        wall |= (along >= -0.5) & (along <= length + 0.5) & (np.abs(across) <= half_thickness)
    wall.flags.writeable = False
    return wall
