"""Paint the images in `styles/`: four scenes, each in a technique of its own.

    python examples/paint_styles.py

needs numpy and Pillow only and rewrites the whole folder. Every image has a fixed seed, so the
same versions of the two libraries paint the same pixels. Images are painted at `SCALE` times
their final size and shrunk, which is what smooths the edges. Lengths below are in painted pixels
unless said otherwise; colours are RGB in [0, 255] and fields are arrays of (height, width).
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

Field = NDArray[np.floating[Any]]  # (height, width), or (height, width, 3) for an image
Rng = np.random.Generator

FOLDER = Path(__file__).resolve().parent / "styles"
SCALE = 2
JPEG_QUALITY = 90


# --- Tools shared by the four techniques ------------------------------------------------------


def colours(*codes: str) -> Field:
    """Return hexadecimal codes such as "1d3f72" as an array of (colours, 3)."""
    return np.array([list(bytes.fromhex(code)) for code in codes], dtype=np.float32)


def ramp(position: Field, palette: Field) -> Field:
    """Blend along `palette` at `position` in [0, 1]; the result has one more axis, of size 3."""
    stops = np.linspace(0.0, 1.0, len(palette))
    channels = [np.interp(position, stops, palette[:, c]) for c in range(3)]
    return np.stack(channels, axis=-1).astype(np.float32)


def grid(size: tuple[int, int]) -> tuple[Field, Field]:
    """Return the x and y coordinates of every pixel of a (height, width) canvas."""
    y, x = np.mgrid[0 : size[0], 0 : size[1]].astype(np.float32)
    return x, y


def clouds(rng: Rng, size: tuple[int, int], cell: float, octaves: int = 1) -> Field:
    """Return smooth noise of about unit spread whose largest lumps are `cell` pixels wide."""
    return streaks(rng, size, cell, cell, octaves)


def streaks(
    rng: Rng, size: tuple[int, int], cell_y: float, cell_x: float, octaves: int = 1
) -> Field:
    """Return smooth noise of about unit spread, with lumps of `cell_y` by `cell_x` pixels."""
    total = np.zeros(size, dtype=np.float32)
    for octave in range(octaves):
        rows = max(2, round(size[0] / cell_y * 2**octave)) + 2
        columns = max(2, round(size[1] / cell_x * 2**octave)) + 2
        coarse = Image.fromarray(rng.normal(size=(rows, columns)).astype(np.float32))
        fine = coarse.resize((size[1], size[0]), Image.Resampling.BICUBIC)
        total += np.asarray(fine) * 0.5**octave
    unit: Field = (total - total.mean()) / total.std()
    return unit


def smoothstep(low: float, high: float, value: Field) -> Field:
    """Rise from 0 to 1 while `value` goes from `low` to `high`."""
    t: Field = np.clip((value - low) / (high - low), 0.0, 1.0)
    return t * t * (3.0 - 2.0 * t)


def mix(first: Field, second: Field, share: Field) -> Field:
    """Blend two images; `share` in [0, 1], of (height, width), is the second's."""
    return first + (second - first) * share[..., None]


def raking_light(height: Field, strength: float) -> Field:
    """Return how much light from the upper left adds to each pixel of a relief, around 0."""
    slope_y, slope_x = np.gradient(height)
    light: Field = np.tanh((slope_x + slope_y) * strength)
    return light


def relief(image: Image.Image, blur: float) -> Field:
    """Return a drawn height map (mode "L") as a field in [0, 1], its edges softened."""
    return np.asarray(image.filter(ImageFilter.GaussianBlur(blur)), dtype=np.float32) / 255.0


def sample(image: Field, x: Field, y: Field) -> Field:
    """Return the image's values at points, held to the nearest pixel inside."""
    rows = np.clip(np.rint(y).astype(int), 0, image.shape[0] - 1)
    columns = np.clip(np.rint(x).astype(int), 0, image.shape[1] - 1)
    values: Field = image[rows, columns]
    return values


def paint(colour: Field) -> tuple[int, int, int]:
    """Return one colour in the form that Pillow draws with."""
    red, green, blue = np.clip(colour, 0, 255).astype(int).tolist()
    return red, green, blue


# --- Brush strokes along a flow -----------------------------------------------------------------

SKY = colours("10184a", "16307a", "1f57a8", "2f86c4", "5cb9cf", "a9dccb", "f2e9a4")
SUN = colours("fff6c4", "ffe15c", "fbb92a", "ef8a1f", "7fc6c2", "2f7fc0")
HILLS = colours("14274f", "1e4a78", "2d7a78", "4f9a58", "9dbb4a")
WHEAT = colours("7d3d12", "b9651a", "df9622", "f4c33a", "fbe38a")
CYPRESS = colours("0a1f24", "12382f", "1f5a3a", "4d7d33")


def brush_flow(rng: Rng) -> Field:
    """A night of turning stars over hills and wheat, in thick strokes that follow the forms."""
    size = (416 * SCALE, 512 * SCALE)
    scene, angle = night_scene(rng, size)
    canvas = Image.fromarray(np.clip(scene * 0.8, 0, 255).astype(np.uint8))
    height = Image.new("L", canvas.size, 0)
    # (strokes, width, steps of 5 px): the underpainting, the body, the accents
    for count, width, steps in ((1700, 38.0, 22), (2600, 24.0, 20), (2200, 14.0, 13)):
        lay_strokes(rng, scene, angle, canvas, height, count, width, steps)
    lit = np.asarray(canvas, dtype=np.float32)
    light = raking_light(relief(height, 1.3), 9.0)[..., None]
    return lit * (1.0 + 0.42 * light) + 30.0 * np.maximum(light, 0.0) ** 2


def night_scene(rng: Rng, size: tuple[int, int]) -> tuple[Field, Field]:
    """Return the colours of the scene and the direction, in radians, of the strokes on it."""
    rows, columns = size
    x, y = grid(size)
    u, v = x / columns, y / columns
    flow_x, flow_y = 1.0 + 0 * u, 0.35 * np.cos(7.0 * u + 0.6)
    tone = 0.34 + 0.5 * v + 0.13 * clouds(rng, size, 150, 2)
    # (u, v, radius, turning sense): the middle pair turn against each other like a wave
    stars = [(0.80, 0.15, 0.15, 1), (0.47, 0.26, 0.14, -1), (0.28, 0.12, 0.10, 1)]
    stars += [(0.62, 0.07, 0.06, -1), (0.95, 0.40, 0.07, 1), (0.36, 0.43, 0.06, 1)]
    glow = np.zeros(size, dtype=np.float32)
    halo = np.zeros((*size, 3), dtype=np.float32)
    for star_u, star_v, radius, sense in stars:
        du, dv = u - star_u, v - star_v
        distance = np.hypot(du, dv) / radius
        pull = 5.0 * np.exp(-(distance**2) / 1.6) * sense
        turn = 0.35 * sense  # spirals, rather than closed rings
        flow_x += pull * (-dv + turn * du) / (radius * (distance + 0.15))
        flow_y += pull * (du + turn * dv) / (radius * (distance + 0.15))
        bands = 0.12 * np.sin(13.0 * distance - 2.0 * np.arctan2(dv, du) * sense)
        share = smoothstep(1.25, 0.55, distance)
        halo = mix(halo, ramp(distance / 1.25 + bands * (distance > 0.3), SUN), share)
        glow = np.maximum(glow, share)
    waves = 0.18 * np.sin(26.0 * (v - 0.05 * np.sin(8.0 * u) + 0.03 * np.arctan2(flow_y, flow_x)))
    scene = mix(ramp(np.clip(tone + waves, 0, 1), SKY), halo, glow)

    for base, swell, palette, seed in ((0.53, 0.035, HILLS, 0.4), (0.62, 0.03, WHEAT, 2.1)):
        ridge = base + swell * np.sin(9.0 * u + seed) + 0.4 * swell * np.sin(23.0 * u + 3 * seed)
        depth = v - ridge
        inside = depth > 0
        slope = swell * 9.0 * np.cos(9.0 * u + seed)
        furrow = np.sin(70.0 * depth + 6.0 * np.sin(7.0 * u + seed))
        hue = 0.5 + 0.3 * furrow + 0.15 * clouds(rng, size, 60, 2)
        scene = np.where(inside[..., None], ramp(np.clip(hue, 0, 1), palette), scene)
        lean = slope + 0.5 * furrow + (1.1 if palette is WHEAT else 0.0) * (depth > 0.05)
        flow_x = np.where(inside, 1.0, flow_x)
        flow_y = np.where(inside, lean, flow_y)

    for centre, top, girth in ((0.105, 0.08, 0.07), (0.235, 0.36, 0.045)):
        climb = np.clip((v - top) / (rows / columns - top), 0, 1)
        wobble = 0.02 * np.sin(30.0 * v + 40.0 * centre)
        across = (u - centre - wobble * climb) / (girth * np.sqrt(climb) + 1e-3)
        inside = (np.abs(across) < 1.0 + 0.15 * np.sin(60.0 * v)) & (v > top)
        hue = 0.45 - 0.4 * across + 0.35 * np.sin(7.0 * across + 45.0 * v)
        scene = np.where(inside[..., None], ramp(np.clip(hue, 0, 1), CYPRESS), scene)
        flow_x = np.where(inside, 0.45 * np.sin(28.0 * v) + 0.5 * across, flow_x)
        flow_y = np.where(inside, -1.0, flow_y)
    return scene, np.arctan2(flow_y, flow_x).astype(np.float32)


def follow(angle: Field, starts: Field, steps: int, stride: float) -> Field:
    """Walk from (x, y) starts along the directions of `angle`: (steps, starts, 2) positions."""
    path = np.empty((steps, len(starts), 2), dtype=np.float32)
    path[0] = starts
    for step in range(1, steps):
        heading = sample(angle, path[step - 1, :, 0], path[step - 1, :, 1])
        ahead = np.stack([np.cos(heading), np.sin(heading)], axis=-1)
        path[step] = path[step - 1] + stride * ahead
    return path


def lay_strokes(
    rng: Rng,
    scene: Field,
    angle: Field,
    canvas: Image.Image,
    height: Image.Image,
    count: int,
    width: float,
    steps: int,
) -> None:
    """Paint `count` strokes on `canvas` and the thickness of their paint on `height`."""
    middle = rng.uniform((-20, -20), (canvas.width + 20, canvas.height + 20), (count, 2))
    starts = follow(angle, middle, steps // 2, -5.0)[-1]
    path = follow(angle, starts, steps, 5.0)
    along = np.gradient(path, axis=0) / 5.0
    normal = np.stack([-along[..., 1], along[..., 0]], axis=-1)

    colour = sample(scene, *path[steps // 2].T)
    colour = colour * rng.normal(1.0, 0.10, (count, 1)) + rng.normal(0.0, 11.0, (count, 3))
    other = sample(scene, *(path[steps // 2] + rng.normal(0, 45, (count, 2))).T)  # picked up
    draw, draw_height = ImageDraw.Draw(canvas), ImageDraw.Draw(height)
    bristles = max(5, round(width / 2.6))
    for stroke in range(count):
        load = rng.uniform(0.6, 1.0)
        for offset in rng.permutation(np.linspace(-0.5, 0.5, bristles)):
            # The middle bristles touch first and leave last: a rounded stroke.
            slack = int(steps * 0.35 * (2 * abs(offset)) ** 2 + rng.uniform(0, 0.16) * steps)
            first, last = slack // 2, steps - slack
            line = path[first:last, stroke] + normal[first:last, stroke] * width * offset
            if len(line) < 2:
                continue
            mixed = 0.55 if rng.random() < 0.16 else 0.08
            tint = colour[stroke] * (1 - mixed) + other[stroke] * mixed
            tint = tint * rng.normal(1.0, 0.09)
            points = [tuple(point) for point in line.tolist()]
            thick = int(rng.integers(3, 6))
            draw.line(points, fill=paint(tint), width=thick, joint="curve")
            body = load * (0.55 + 0.45 * rng.random()) + 0.12 * (2 * abs(offset)) ** 3
            draw_height.line(points, fill=int(255 * min(body, 1.0)), width=thick, joint="curve")


# --- Stained glass ------------------------------------------------------------------------------

ROSE = colours("fff3b0", "ffc928", "f58a12", "dc2a1c", "a30f3d", "6a1a86", "2a2fae", "0f62c4")
MEADOW = colours("0f7a8a", "11a58c", "3fae3a", "b9cf2c", "0e5f3f")
LEAD = colours("15130f", "4b463c")


def stained_glass(rng: Rng) -> Field:
    """A rose window that breaks up into a landscape of irregular panes."""
    size = (512 * SCALE, 448 * SCALE)
    x, y = grid(size)
    centre = np.array([0.5 * size[1], 0.40 * size[0]], dtype=np.float32)
    seeds = glass_seeds(rng, size, centre)
    bent_x = x + 7.0 * clouds(rng, size, 110)  # curved cuts rather than straight ones
    bent_y = y + 7.0 * clouds(rng, size, 110)
    cell, edge = voronoi(seeds, bent_x, bent_y)
    lead_width = 5.0 + 1.0 * clouds(rng, size, 40)

    glass = pane_colours(rng, seeds, centre, size)[cell]
    way = rng.uniform(0, 2 * np.pi, len(seeds)).astype(np.float32)[cell]
    from_seed = np.cos(way) * (bent_x - seeds[cell, 0]) + np.sin(way) * (bent_y - seeds[cell, 1])
    glass *= (1.0 + 0.010 * np.clip(from_seed, -45, 45))[..., None]
    # Streaks run along or across a pane, as the sheet happened to be cut.
    upright = streaks(rng, size, 120, 9, 3)
    level = streaks(rng, size, 9, 120, 3)
    streak = np.where(np.cos(way) > 0, upright, level)
    hammered = raking_light(clouds(rng, size, 11, 2), 1.6)
    glass *= (1.0 + 0.13 * streak + 0.16 * hammered)[..., None]
    glass += 34.0 * smoothstep(1.3, 2.6, clouds(rng, size, 13))[..., None]  # air bubbles
    glass = etch(rng, glass, cell, edge, way, x, y)
    glow = np.exp(-((np.hypot(x - centre[0], y - centre[1]) / (0.55 * size[0])) ** 2))
    glass *= (0.82 + 0.42 * glow)[..., None]
    glass *= (0.42 + 0.72 * smoothstep(0.0, 22.0, edge - lead_width))[..., None]  # patina

    came = np.clip(1.0 - (edge / np.maximum(lead_width, 2.0)) ** 2, 0.0, 1.0)
    sheen = raking_light(np.sqrt(came) * 5.0 + 0.25 * clouds(rng, size, 7), 0.8)
    metal = ramp(0.25 + 0.75 * np.maximum(sheen, 0.0), LEAD)
    return mix(glass, metal, smoothstep(1.0, -1.0, edge - lead_width))


def glass_seeds(rng: Rng, size: tuple[int, int], centre: Field) -> Field:
    """Return the centres (x, y) of the panes: rings of petals, then a scatter around them."""
    points = [centre]
    for ring, (radius, petals) in enumerate(((52, 8), (112, 12), (178, 16), (250, 20), (322, 26))):
        turns = (np.arange(petals) + 0.5 * (ring % 2)) * 2 * np.pi / petals
        spoke = np.stack([np.cos(turns), np.sin(turns)], axis=-1) * radius
        points.extend(centre + spoke + rng.normal(0, 2.0 + 1.6 * ring, (petals, 2)))
    spacing = 46.0
    for candidate in rng.uniform((-40, -40), (size[1] + 40, size[0] + 40), (6000, 2)):
        outside = np.hypot(*(candidate - centre)) > 350 or candidate[1] > 0.72 * size[0]
        gap = np.hypot(*(np.array(points) - candidate).T).min()
        if outside and gap > spacing * rng.uniform(0.65, 2.0):
            points.append(candidate)
    return np.array(points, dtype=np.float32)


def voronoi(seeds: Field, x: Field, y: Field) -> tuple[NDArray[np.intp], Field]:
    """Return each pixel's nearest seed and its distance to the border with the second nearest."""
    nearest = np.full(x.shape, np.inf, dtype=np.float32)
    second = nearest.copy()
    cell = np.zeros(x.shape, dtype=np.intp)
    rival = cell.copy()
    for index, (seed_x, seed_y) in enumerate(seeds):
        squared = (x - seed_x) ** 2 + (y - seed_y) ** 2
        closer = squared < nearest
        behind = ~closer & (squared < second)
        second = np.where(closer, nearest, np.where(behind, squared, second))
        rival = np.where(closer, cell, np.where(behind, index, rival))
        nearest = np.where(closer, squared, nearest)
        cell = np.where(closer, index, cell)
    apart = np.hypot(*np.moveaxis(seeds[cell] - seeds[rival], -1, 0))
    return cell, (second - nearest) / (2.0 * np.maximum(apart, 1.0))


def pane_colours(rng: Rng, seeds: Field, centre: Field, size: tuple[int, int]) -> Field:
    """Return a colour for each pane: a sun's rings in the sky, greens below, strays anywhere."""
    reach = np.hypot(*(seeds - centre).T) / 430.0
    sky = ramp(np.clip(reach + rng.normal(0, 0.05, len(seeds)), 0, 1).astype(np.float32), ROSE)
    ground = ramp(rng.random(len(seeds)).astype(np.float32), MEADOW)
    horizon = 0.76 * size[0] + 30.0 * np.sin(seeds[:, 0] / 120.0)
    panes = np.where((seeds[:, 1] > horizon)[:, None], ground, sky)
    stray = (rng.random(len(seeds)) < 0.14) & (reach > 0.3)
    panes[stray] = ROSE[rng.integers(0, len(ROSE), int(stray.sum()))]
    return panes * rng.uniform(0.88, 1.30, (len(seeds), 1)).astype(np.float32)


def etch(
    rng: Rng,
    glass: Field,
    cell: NDArray[np.intp],
    edge: Field,
    way: Field,
    x: Field,
    y: Field,
) -> Field:
    """Paint dark lines on some panes, as glaziers do: echoes of the outline, or hatching."""
    kind = rng.random(int(cell.max()) + 1)[cell]
    wobble = 2.0 * clouds(rng, edge.shape, 30)
    echo = np.abs(np.mod(edge + wobble, 15.0) - 7.5) < 1.5
    hatch = np.abs(np.mod(np.cos(way) * x + np.sin(way) * y + wobble, 13.0) - 6.5) < 1.4
    lines = ((kind < 0.20) & echo & (edge < 40)) | ((kind > 0.84) & hatch & (edge > 12))
    soft = relief(Image.fromarray((lines * 255).astype(np.uint8)), 0.8)
    return mix(glass, glass * 0.25, 0.85 * soft)


# --- Woodcut ------------------------------------------------------------------------------------

PAPER, INK, VERMILION, BLUE = colours("f0dfb8", "17161f", "cf4520", "3f7c8c")


def woodcut(rng: Rng) -> Field:
    """Mountains over a lake with a low sun, cut in three blocks: black, vermilion and blue."""
    size = (400 * SCALE, 512 * SCALE)
    x, y = grid(size)
    sun_x, sun_y, sun_radius = 0.66 * size[1], 0.25 * size[0], 100.0
    away = np.hypot(x - sun_x, y - sun_y)
    turn = np.arctan2(y - sun_y, x - sun_x)
    drift = clouds(rng, size, 170, 2)
    knife = 0.10 * clouds(rng, size, 9, 2)  # the hand is not steady
    swell = 0.16 * streaks(rng, size, 40, 40, 2)  # and does not press evenly

    # Sky: wind lines that follow the clouds, and rays around the sun.
    wind = y / 15.0 + 1.7 * drift
    ink = cut(wind, 0.30 + 0.20 * np.sin(drift * 2.4) + 0.25 * (1 - y / size[0]) + swell + knife)
    rays = cut(turn * 46 / (2 * np.pi), 0.15 + 0.42 * (away / 330.0) + knife)
    crown = away + 16.0 * np.cos(turn * 23)
    ink = np.where(crown < 260.0, rays, ink)
    ink = np.where(away < sun_radius + 9.0, 0.0, ink)
    disc = cut(y / 13.0 + 0.3 * drift, 0.05 + 0.5 * (y - sun_y) / sun_radius + knife)
    ink = np.where(away < sun_radius, disc, ink)
    red: Field = smoothstep(1.0, -1.0, away - sun_radius)
    blue: Field = smoothstep(-60.0, 30.0, crown - 330.0) * smoothstep(0.5, 1.2, drift)

    shore = 0.66 * size[0]
    ranges = ((0.36, 0.16, 330, 0.40), (0.53, 0.09, 210, 0.50))
    for base, rise, cell, weight in ranges:
        ridge = size[0] * (base - rise * ridge_line(rng, size[1], cell))
        fold = clouds(rng, size, 0.45 * cell, 2)
        depth = y - ridge
        lean = np.tanh(1.2 * np.gradient(fold, axis=1) * 0.45 * cell)  # -1 lit to 1 shaded
        slopes = (0.5 * x + 0.6 * depth) / 15.0 + 1.5 * fold
        contours = depth / 14.0 + 1.6 * fold
        phase = np.where(lean > 0.0, slopes, contours)
        tone = weight + 0.32 * lean - 0.06 * fold + swell + knife
        inside = (depth > 0) & (y < shore)
        ink = np.where(inside, cut(phase, tone), ink)
        ink = np.where(np.abs(depth + 9.0) < 4.5, 0.0, ink)  # a cut line sets the ridge off
        ink = np.where((np.abs(depth) < 4.0 + 10.0 * knife) & (y < shore), 1.0, ink)
        red = np.where(inside, 0.0, red)
        blue = np.where(inside, smoothstep(0.1, 0.5, lean + 0.3 * fold), blue)

    # Lake: level waves that widen towards us, broken by the sun's path.
    near = (y - shore) / (size[0] - shore)
    wave = 14.0 * np.maximum(near, 0) ** 0.75 + 0.35 * np.sin(x / 34.0 + 9 * near) + 0.5 * drift
    path = np.exp(-(((x - sun_x) / (70.0 + 120.0 * near)) ** 2))
    lake = cut(wave, 0.62 - 0.55 * path + 0.12 * np.sin(x / 23.0 + 17.0 * near) + swell + knife)
    wet = y > shore
    ink = np.where(wet, lake, ink)
    red = np.where(wet, path * smoothstep(0.35, 0.65, path + swell), red)
    blue = np.where(wet, smoothstep(0.5, 0.2, path + swell + 0.25 * drift), blue)
    ink = np.where(np.abs(y - shore) < 4.0, 1.0, ink)

    for trunk, top, reach in ((0.10, 0.12, 150.0), (0.24, 0.40, 105.0), (0.93, 0.34, 125.0)):
        ink, red, blue = pine(ink, red, blue, trunk * size[1], top * size[0], reach, knife)
    return print_blocks(rng, ink, red, blue)


def cut(phase: Field, tone: Field) -> Field:
    """Return ink (0 to 1) in lines one unit of `phase` apart, as wide as `tone` asks."""
    across = np.abs(np.mod(phase, 1.0) - 0.5) * 2.0
    return smoothstep(0.09, -0.09, across - np.clip(tone, -0.2, 1.2))


def ridge_line(rng: Rng, width: int, cell: float) -> Field:
    """Return a mountain outline of (width,), peaks about `cell` apart, from about -1 to 1."""
    total = np.zeros(width, dtype=np.float32)
    for octave in range(4):
        knots = np.arange(-1, int(width / cell * 2**octave) + 3) * cell / 2**octave
        heights = rng.uniform(-1, 1, len(knots)) * 0.48**octave
        heights[octave == 0 :: 2] += 0.5 * 0.48**octave
        total += np.interp(np.arange(width), knots, heights).astype(np.float32)
    return total


def pine(
    ink: Field, red: Field, blue: Field, trunk: float, top: float, reach: float, knife: Field
) -> tuple[Field, Field, Field]:
    """Cut a pine into the three blocks: black tiers of needles with light between them."""
    x, y = grid((ink.shape[0], ink.shape[1]))
    climb = (y - top) / (ink.shape[0] - top)
    droop = np.abs(x - trunk)
    tier = np.mod((climb - 0.22 * droop / reach) * 8.0, 1.0)
    half = reach * (climb * 0.75 + 0.05) * (0.35 + 0.65 * tier) * (1.0 + 0.12 * np.sin(y / 5.0))
    half = np.minimum(half, 0.5 * (y - top))  # a pointed tip
    inside = (droop < half + 40.0 * knife) & (climb > 0)
    needles = cut(droop / 11.0 + y / 22.0, 1.0 - 0.75 * (1.0 - tier) ** 2 + knife)
    needles = np.where(droop < 5.0, 1.0, needles)
    halo = (droop < half + 9.0 + 40.0 * knife) & (climb > -0.015)
    ink = np.where(inside, needles, np.where(halo, 0.0, ink))
    red, blue = np.where(halo, 0.0, red), np.where(halo, 0.0, blue)
    return ink, red, blue


def print_blocks(rng: Rng, ink: Field, red: Field, blue: Field) -> Field:
    """Print the three blocks on warm paper, a little out of register and unevenly inked."""
    size = (ink.shape[0], ink.shape[1])
    fibre = streaks(rng, size, 3, 26, 2) + clouds(rng, size, 5, 2)
    sheet = PAPER * (1.0 + 0.022 * fibre)[..., None]
    grain = streaks(rng, size, 4, 160, 2)  # the plank shows through the colour blocks
    speckle = clouds(rng, size, 5, 2)
    for block, colour, shift in ((blue, BLUE, (3, -3)), (red, VERMILION, (-3, 3))):
        x, y = grid(size)
        moved = sample(block, x - shift[1], y - shift[0])
        hold = np.clip(0.80 + 0.13 * grain + 0.06 * speckle, 0.25, 1.0)
        sheet = mix(sheet, colour * (sheet / 255.0) ** 0.4, moved * hold)
    hold = np.clip(0.97 - 0.30 * smoothstep(1.2, 2.6, speckle + 0.5 * grain), 0.0, 1.0)
    return mix(sheet, INK * (1.0 + 0.12 * speckle)[..., None], ink * hold)


# --- Pointillism --------------------------------------------------------------------------------

DAWN = colours("3b5fb5", "6f8fd6", "b79fd8", "f3a9a0", "ffc46b", "fff0a8")
SEA = colours("ffb45e", "d98fb0", "6f86cf", "2f62b4", "1f4596")
LEAVES = colours("123f52", "1f6b4a", "3f9a3f", "97c23c", "f0dc4e")
LAWN = colours("1b3a6b", "1f6f57", "5fa83a", "d3c93f", "f7b23f")
BARK = colours("3a1f5c", "7a2f4a", "d9743a")
SAIL = colours("8f8fe0", "fff4e0", "ffd7a0")


def pointillism(rng: Rng) -> Field:
    """A bay at sunrise seen past a tree, in dots of pure colour and their complements."""
    size = (416 * SCALE, 512 * SCALE)
    scene = bay_scene(rng, size)
    canvas = Image.new("RGB", (size[1], size[0]), paint(colours("d9c7a0")[0]))
    height = Image.new("L", canvas.size, 0)
    # (dots across the width, radius): a ground of broad dots, then finer ones over it
    for across, radius in ((46, 15.0), (66, 10.5), (76, 8.4), (76, 6.6)):
        lay_dots(rng, scene, canvas, height, across, radius)
    light = raking_light(relief(height, 1.4), 6.0)[..., None]
    return np.asarray(canvas, dtype=np.float32) * (1.0 + 0.26 * light)


def bay_scene(rng: Rng, size: tuple[int, int]) -> Field:
    """Return the colours of the bay."""
    x, y = grid(size)
    u, v = x / size[1], y / size[1]
    lumps = clouds(rng, size, 120, 3)
    sun = np.hypot(u - 0.66, v - 0.33)
    warm = np.exp(-((sun / 0.22) ** 2))
    sky = ramp(np.clip(0.15 + 1.15 * v + 0.35 * warm + 0.10 * lumps, 0, 1), DAWN)
    sky = mix(sky, 0 * sky + colours("fff3a0")[0], smoothstep(0.075, 0.06, sun))
    near = np.clip((v - 0.42) / 0.24, 0, 1)
    glint = np.exp(-(((u - 0.66) / (0.05 + 0.12 * near)) ** 2))
    ripple = 0.16 * np.sin(90.0 * near**0.7 + 5.0 * lumps)
    sea = ramp(np.clip(0.25 + 0.7 * near - 0.55 * glint + ripple, 0, 1), SEA)
    scene = np.where((v > 0.42)[..., None], sea, sky)
    cape = 0.42 - 0.055 * np.maximum(0, np.sin(4.2 * u + 2.6)) - 0.012 * np.sin(31.0 * u)
    land = ((v > cape) & (v < 0.425))[..., None]
    scene = np.where(land, ramp(0.4 + 0.2 * lumps, DAWN[:4]), scene)

    bank = 0.63 + 0.05 * np.sin(5.0 * u + 1.0) - 0.10 * smoothstep(0.45, 0.0, u)
    shade = 0.58 + 0.26 * lumps - 0.9 * (v - 0.7) - 0.60 * np.exp(-(((u - 0.30) / 0.2) ** 2))
    scene = np.where((v > bank)[..., None], ramp(np.clip(shade, 0, 1), LAWN), scene)
    sail = (v > 0.36) & (v < 0.465) & (np.abs(u - 0.87) < 0.45 * (v - 0.36))
    scene = np.where(sail[..., None], ramp(np.clip(20 * (u - 0.845), 0, 1), SAIL), scene)
    hull = (v >= 0.465) & (v < 0.487) & (np.abs(u - 0.87) < 0.062 - 1.2 * (v - 0.465))
    scene = np.where(hull[..., None], BARK[0], scene)

    bole = np.abs(u - 0.17 - 0.05 * np.sin(6.0 * v)) < 0.020 + 0.05 * smoothstep(0.5, 0.8, v)
    bark = ramp(np.clip(0.5 + 12.0 * (u - 0.17), 0, 1), BARK)
    scene = np.where((bole & (v > 0.2) & (v < 0.715))[..., None], bark, scene)
    # Clumps of leaves, the lower ones first; each is lit on the side of the sun.
    for _, leaf_v, leaf_u in sorted(
        (-at[1], at[1], at[0]) for at in rng.normal((0.15, 0.12), (0.13, 0.10), (26, 2)).tolist()
    ):
        from_u, from_v = (u - leaf_u) / 0.085, (v - leaf_v) / 0.06
        inside = np.hypot(from_u, from_v) + 0.18 * lumps < 1.0
        hue = np.clip(0.45 + 0.40 * from_u - 0.25 * from_v + 0.1 * lumps, 0, 1)
        scene = np.where(inside[..., None], ramp(hue, LEAVES), scene)
    return scene


def lay_dots(
    rng: Rng,
    scene: Field,
    canvas: Image.Image,
    height: Image.Image,
    across: int,
    radius: float,
) -> None:
    """Dab one dot in every cell of a shaken grid, in random order."""
    pitch = canvas.width / across
    x, y = grid((round(canvas.height / pitch) + 2, across + 2))
    centres = np.stack([x.ravel(), y.ravel()], axis=-1) * pitch - 0.5 * pitch
    centres = rng.permutation(centres + rng.uniform(-0.5, 0.5, centres.shape) * pitch)
    colour = sample(scene, *centres.T)
    grey = colour.mean(axis=-1, keepdims=True)
    colour = grey + 1.25 * (colour - grey) + rng.normal(0, 20.0, colour.shape)
    complement = np.clip(2.0 * grey - colour + rng.normal(0, 12.0, colour.shape), 0, 255)
    against = rng.random((len(centres), 1)) < 0.15
    colour = np.where(against, complement, colour) * rng.normal(1.0, 0.08, (len(centres), 1))
    draw, draw_height = ImageDraw.Draw(canvas), ImageDraw.Draw(height)
    for (centre_x, centre_y), tint in zip(centres, colour, strict=True):
        wide, tall = radius * rng.uniform(0.8, 1.2, 2)
        box = (centre_x - wide, centre_y - tall, centre_x + wide, centre_y + tall)
        draw.ellipse(box, fill=paint(tint))
        draw_height.ellipse(box, fill=int(rng.integers(60, 256)))


# --- The studio ---------------------------------------------------------------------------------

IMAGES: Sequence[tuple[str, Callable[[Rng], Field], int]] = (
    ("brush_flow.jpg", brush_flow, 11),
    ("stained_glass.jpg", stained_glass, 23),
    ("woodcut.jpg", woodcut, 37),
    ("pointillism.jpg", pointillism, 53),
)


def main() -> None:
    """Paint every image and write it, shrunk to its final size, to `styles/`."""
    FOLDER.mkdir(exist_ok=True)
    for name, technique, seed in IMAGES:
        pixels = np.clip(np.rint(technique(np.random.default_rng(seed))), 0, 255)
        image = Image.fromarray(pixels.astype(np.uint8))
        small = image.resize(
            (image.width // SCALE, image.height // SCALE), Image.Resampling.LANCZOS
        )
        small.save(FOLDER / name, quality=JPEG_QUALITY, optimize=True)


if __name__ == "__main__":
    main()
