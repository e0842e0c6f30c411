"""Faces without UVs get a place of their own."""

import io
from pathlib import Path

import numpy as np
import pytest
import trimesh

from nst_lightning.mesh import unwrapping
from nst_lightning.mesh.bad_mesh import BadMesh
from nst_lightning.mesh.unwrapping import has_own_places, unwrap
from nst_lightning.mesh.xatlas_process import answer


def covered(uv: np.ndarray, side: int = 400) -> np.ndarray:
    """How many faces (F, 3, 2) cover each of side x side points."""
    y, x = (np.mgrid[:side, :side] + 0.5) / side
    count = np.zeros((side, side), int)
    for a, b, c in uv:
        edges = [
            (q[0] - p[0]) * (y - p[1]) - (q[1] - p[1]) * (x - p[0])
            for p, q in ((a, b), (b, c), (c, a))
        ]
        inside = np.stack(edges)
        count += (inside > 0).all(0) | (inside < 0).all(0)
    return count


def test_meshes_share_one_texture_and_no_place_in_it():
    ball, torus = trimesh.creation.icosphere(subdivisions=1), trimesh.creation.torus(20, 7, 8, 6)
    meshes = [(one.vertices + 1e5, one.faces) for one in (ball, torus)]
    unwrapped, (height, width) = unwrap(meshes, 256)
    assert max(height, width) == 256
    for one, (vertices, faces) in zip(unwrapped, meshes, strict=True):
        assert (one.source[one.faces] == faces).all()
        assert (one.source[: len(vertices)] == np.arange(len(vertices))).all()
        assert 0 <= one.uv.min() < one.uv.max() <= 1
    places = np.concatenate([one.uv[one.faces] for one in unwrapped])
    count = covered(places)
    assert count.max() == 1
    assert count.mean() > 0.3
    assert has_own_places(places, np.concatenate([v[f] for v, f in meshes]))


def test_it_does_the_same_each_time():
    ball = trimesh.creation.icosphere(subdivisions=2)
    first, second = (unwrap([(ball.vertices, ball.faces)], 128) for _ in range(2))
    assert first[1] == second[1]
    assert (first[0][0].uv == second[0][0].uv).all()
    assert (first[0][0].faces == second[0][0].faces).all()


def test_vertices_of_no_face_stay():
    points = np.array([[9.0, 9, 9], [0, 0, 0], [1, 0, 0], [0, 1, 0]])
    [one], _ = unwrap([(points, np.array([[1, 2, 3]]))], 64)
    assert one.source.tolist() == [0, 1, 2, 3]
    assert one.faces.tolist() == [[1, 2, 3]]
    assert one.uv[0].tolist() == [0, 0]


def test_large_meshes_are_unwrapped_in_pieces(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(unwrapping, "_MOST_FACES", 100)
    ball = trimesh.creation.icosphere(subdivisions=2)
    [one], _ = unwrap([(ball.vertices, ball.faces)], 256)
    assert (one.source[one.faces] == ball.faces).all()
    assert (one.source[: len(ball.vertices)] == np.arange(len(ball.vertices))).all()
    assert covered(one.uv[one.faces]).max() == 1


def test_a_ball_that_xatlas_crashes_on_is_unwrapped():
    ball = trimesh.creation.icosphere(subdivisions=6)
    [one], _ = unwrap([(ball.vertices, ball.faces)], 256)
    assert (one.source[one.faces] == ball.faces).all()


def test_a_crash_of_xatlas_ends_in_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    script = tmp_path / "crash.py"
    script.write_text("import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)\n")
    monkeypatch.setattr(unwrapping, "_PROCESS", script)
    with pytest.raises(BadMesh, match="xatlas cannot unwrap"):
        unwrap([(np.eye(3), np.array([[0, 1, 2]]))], 64)


def test_without_xatlas_a_sentence_says_what_to_install(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(unwrapping, "find_spec", lambda name: None)
    with pytest.raises(BadMesh, match=r"pip install 'nst-lightning\[mesh\]'"):
        unwrap([(np.eye(3), np.array([[0, 1, 2]]))], 64)


def test_places_that_are_no_numbers_are_refused(monkeypatch: pytest.MonkeyPatch):
    def broken(question: bytes) -> bytes:
        found = dict(np.load(io.BytesIO(answer(question))))
        found["uv 0"][1] = np.nan
        data = io.BytesIO()
        np.savez(data, **found)
        return data.getvalue()

    monkeypatch.setattr(unwrapping, "_in_child", broken)
    with pytest.raises(BadMesh, match="too thin"):
        unwrap([(np.eye(3), np.array([[0, 1, 2]]))], 64)


@pytest.mark.parametrize(
    ("uv", "expected"),
    [
        ([[0, 0], [1, 0], [0, 1]], True),
        ([[0, 0], [1.5, 0], [0, 1]], False),
        ([[0, 0], [np.nan, 0], [0, 1]], False),
        ([[0.5, 0.5], [0.5, 0.5], [0.5, 0.5]], False),
    ],
)
def test_what_counts_as_a_place_of_its_own(uv: list[list[float]], expected: bool):
    corners = np.eye(3)[None]
    assert has_own_places(np.array([uv]), corners) is expected


def test_places_that_sum_to_more_than_the_texture_overlap():
    half = np.array([[0.0, 0], [1, 0], [0, 1]])
    assert has_own_places(np.stack([half, 1 - half]), np.stack([np.eye(3)] * 2))
    assert not has_own_places(np.stack([half] * 3), np.stack([np.eye(3)] * 3))
    assert not has_own_places(None, np.eye(3)[None])
