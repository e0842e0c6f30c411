"""L-BFGS with a memory per image, so that a batch runs exactly as its images would alone."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, cast

import torch
from torch import Tensor

from nst_lightning.band import Band
from nst_lightning.cuda_graph import Recorded, can_record

CURVATURE = 1e-10
"""A pair enters the memory when yᵀs exceeds this times ‖y‖‖s‖. torch.optim.LBFGS uses the same
constant without the norms, which ties it to the scale of the loss."""


class BatchedLBFGS(torch.optim.Optimizer):
    """Limited-memory BFGS on B independent problems, one evaluation a step, without line search.

    Minimises B objectives, one per slice `image[b]`, whose gradients stand in `image.grad`. Every
    image has its own curvature memory, step scaling, curvature check and stopping; nothing is
    summed across images. With `first_step=None` and no bounds, B = 1 takes the steps of
    `torch.optim.LBFGS(lr=lr, max_iter=1)`.

    The direction comes from the compact form of the inverse Hessian (Byrd, Nocedal & Schnabel
    1994, theorem 2.2), which equals the two-loop recursion: the memory is read twice per step, by
    two batched products, and what is left are m×m matrices per image. It is gone through in chunks
    of values, so that a step takes little memory beside it. No step waits for the device,
    unless the memory lies elsewhere.

    Args:
        params: exactly one parameter, of shape (B, …).
        lr: factor on the step.
        memory: correction pairs kept per image.
        first_step: root-mean-square displacement of the first step, which goes along −g, in the
            parameter's units; None scales it by 1/‖g‖₁ as torch does. That is so small a step that
            in low precision the next difference of gradients is nothing but rounding.
        units: how many of the units that torch's step is to be measured in make one of the
            parameter's: 255 takes the steps that torch takes on pixels in 0 … 255 from an image in
            [0, 1]. Every step but those without a memory is the same in any units.
        longest_step: root-mean-square displacement that no step exceeds, in the parameter's units;
            None lets them be as long as they come, as torch does. Without a line search, a step
            from a memory of one or two pairs can throw the image far off.
        bounds: (lowest, highest) value of the parameter, or None. Each step is projected, and the
            displacement that really happened enters the memory.
        tolerance_grad: an image stands still while max|g| is at most this (torch: 1e-7).
        tolerance_change: an image stands still while −gᵀd is less than this (torch: 1e-9).
        record: make the steps after the first as one CUDA graph, where the parameter is on CUDA.
        curvature: of each image, (B,): what the first step is of −g, over the number of its
            values, as `inverse_curvature` says of the same image at another size; never a longer
            step than without it.
        history: where the memory lies: on the `device` of the parameter or on the `host`, from
            where it is brought in chunks, twice a step.
        history_dtype: what the memory is kept in; by default the parameter's type.
        band: what this process holds of images that several optimise together.

    Raises:
        ValueError: for anything but one parameter.
    """

    # GradScaler then leaves unscaling to `step`, which looks at each image alone: one image whose
    # float16 gradient overflowed must not cost the others their step.
    _step_supports_amp_scaling = True

    record = False
    curvature: Tensor | None = None
    history_device: torch.device | None = None
    history_dtype: torch.dtype | None = None
    band: Band | None = None
    recorded: Recorded[None] | None = None
    recorded_for: tuple[Any, ...] = ()
    """Where the parameter and its memory lay when the steps were recorded, and the options."""

    def __init__(
        self,
        params: Any,
        lr: float = 1.0,
        memory: int = 10,
        first_step: float | None = 0.02,
        units: float = 1.0,
        longest_step: float | None = None,
        bounds: tuple[float, float] | None = None,
        tolerance_grad: float = 0.0,
        tolerance_change: float = 0.0,
        *,
        record: bool = False,
        curvature: Tensor | None = None,
        history: Literal["device", "host"] = "device",
        history_dtype: torch.dtype | None = None,
        band: Band | None = None,
    ) -> None:
        defaults = {
            "lr": lr,
            "memory": memory,
            "first_step": first_step,
            "units": units,
            "longest_step": longest_step,
            "bounds": bounds,
            "tolerance_grad": tolerance_grad,
            "tolerance_change": tolerance_change,
        }
        super().__init__(params, defaults)
        if len(self.param_groups) != 1 or len(self.param_groups[0]["params"]) != 1:
            raise ValueError("BatchedLBFGS takes exactly one parameter, of shape (B, ...)")
        self.curvature = curvature
        self.history_device = torch.device("cpu") if history == "host" else None
        self.history_dtype = history_dtype
        self.band = band
        self.record = record and history == "device" and band is None

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """Makes one step for every image, from the gradients in `.grad`.

        Args:
            closure: called first where given, with gradients enabled; Lightning passes one.
        """
        if closure is not None:
            with torch.enable_grad():
                closure()
        image = cast(Tensor, self.param_groups[0]["params"][0])
        if image.grad is None:
            return
        # Lightning's training_step runs under autocast, which must not touch these products.
        with torch.autocast(image.device.type, enabled=False):
            g = self._unscaled(image.grad).reshape(len(image), -1)
            if image not in self.state:
                self.state[image].update(self._empty_state(g))
                self._step(g, at_start=True)
            elif self.record and can_record(image):
                self._recorded_step(image)(g)
            else:
                self._step(g)

    def _empty_state(self, g: Tensor) -> dict[str, Tensor]:
        device, dtype = self.history_device or g.device, self.history_dtype or g.dtype
        return empty_state(g, self.param_groups[0]["memory"], device, dtype)

    def state_dict(self) -> dict[str, Any]:
        """Returns the state; without the memory where that is larger than `LARGEST_SAVED`.

        It then begins anew, with the pair of the last step.
        """
        whole = super().state_dict()
        for index, state in whole["state"].items():
            if state["basis"].nbytes > LARGEST_SAVED:
                small = {name: state[name] for name in ("gamma", "displacement", "gradient")}
                none = torch.zeros_like(state["pairs"])
                whole["state"][index] = {**small, "pairs": none}
        return whole

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restores the state; torch would turn the count of pairs into a float on the way, and
        bring the memory to the parameter."""
        super().load_state_dict(state_dict)
        self.recorded = None
        for group in self.param_groups:
            group.setdefault("units", 1.0)  # states of 0.3.0 have none
        for state in self.state.values():
            own = self._empty_state(state["gradient"])
            for name in ("basis", "products"):
                state[name] = state[name].to(own[name]) if name in state else own[name]
            state["pairs"] = state["pairs"].long()

    def inverse_curvature(self) -> Tensor:
        """Returns what a step along −g is of g by the newest pair of each image, for each of its
        values, (B,); infinite where none is remembered.

        The losses are means over positions, so that the gradient of one position, and with it the
        curvature yᵀy/yᵀs, is the smaller the more there are.
        """
        (image,) = self.param_groups[0]["params"]
        state, count = self.state[image], count_of_all(image[0].numel(), self.band)
        return torch.where(state["pairs"] > 0, state["gamma"], torch.inf) / count

    def _recorded_step(self, image: Tensor) -> Recorded[None]:
        """Returns the recorded step, a new one where what was recorded no longer holds."""
        options = [value for name, value in self.param_groups[0].items() if name != "params"]
        now = (image.data_ptr(), self.state[image]["basis"].data_ptr(), *options)
        if self.recorded is None or self.recorded_for != now:
            self.recorded, self.recorded_for = Recorded(self._step), now
        return self.recorded

    def _unscaled(self, gradient: Tensor) -> Tensor:
        scale = getattr(self, "grad_scale", None)  # set by GradScaler for the time of a step
        return gradient if scale is None else gradient / scale

    def _step(self, g: Tensor, at_start: bool = False) -> None:
        """Makes one step from the gradients g, (B, n), in place."""
        group = self.param_groups[0]
        image = group["params"][0]
        x, state = image.detach().reshape(g.shape), self.state[image]
        lengths = Lengths.of(state, g, self.band)
        by_g = remember(state, g, lengths, self.band)
        weights = coefficients(state, by_g)
        d = state["displacement"]  # which is remembered by now
        slope, square = torch.zeros_like(lengths.gg), torch.zeros_like(lengths.gg)
        for chunk in chunks(g):
            part = direction(state, g, weights, chunk)
            slope += dot(g[:, chunk], part)
            square += dot(part, part)
            d[:, chunk] = part
        slope, square = total(torch.stack((slope, square)), self.band).unbind()

        without_memory = lengths.without_memory(group["first_step"], group["units"], at_start)
        if at_start and self.curvature is not None:
            known = self.curvature.to(without_memory) * lengths.count
            without_memory = torch.minimum(without_memory, known)
        factor = group["lr"] * torch.where(state["pairs"] == 0, without_memory, 1.0)
        if group["longest_step"] is not None:
            rms = factor.abs() * (square / lengths.count).sqrt()
            factor = factor * (group["longest_step"] / rms).clamp(max=1.0)
        # torch.optim.LBFGS stops here too; a non-finite gradient fails both comparisons.
        runs = (lengths.largest > group["tolerance_grad"]) & (slope <= -group["tolerance_change"])
        for chunk in chunks(g):
            here = x[:, chunk]
            step = torch.where(runs[:, None], factor[:, None] * d[:, chunk], 0.0)
            moved = here + step
            if group["bounds"] is not None:
                within = moved.clamp(*group["bounds"])
                # Where nothing was cut off the step itself is remembered: moved − x would be it
                # only to the rounding of x, which swallows a step as small as torch's first.
                step = torch.where(within == moved, step, within - here)
                moved = within
            d[:, chunk] = step
            state["gradient"][:, chunk] = g[:, chunk]
            here.copy_(moved)


CHUNK = 1 << 22
"""Values of each image that are gone through at a time."""

CHUNK_ON_CPU = 1 << 16
"""Likewise on the CPU, whose libraries add the products of a chunk up one after the other: float32
sums of 4 million were off by up to 2e-4, chunk by chunk by 1e-5 at most."""

LARGEST_SAVED = 2 << 30
"""Bytes of memory that a saved state holds at most."""


def chunks(x: Tensor) -> Iterator[slice]:
    """Yields the parts of the second dimension of (B, n) that are gone through at a time."""
    size = CHUNK_ON_CPU if x.device.type == "cpu" else CHUNK
    for first in range(0, x.shape[1], size):
        yield slice(first, first + size)


def empty_state(
    x: Tensor, memory: int, device: torch.device, dtype: torch.dtype
) -> dict[str, Tensor]:
    """Makes the state before the first step; each tensor's first dimension are the images.

    `basis` holds the displacements S in rows 0 … m−1 and the changes of gradient Y in rows
    m … 2m−1, as a ring per image whose next slot is `pairs` mod m. `products` holds basis·Yᵀ.

    Args:
        x: (B, n), of the type and on the device of the parameter.
        memory: m.
        device: where `basis` lies.
        dtype: the type of `basis`.
    """
    batch, n = x.shape
    pinned = x.device.type == "cuda" and device.type == "cpu"  # which copies faster
    basis = torch.zeros(batch, 2 * memory, n, device=device, dtype=dtype, pin_memory=pinned)
    return {
        "basis": basis,
        "products": x.new_zeros(batch, 2 * memory, memory),
        "pairs": torch.zeros(batch, dtype=torch.long, device=x.device),
        "gamma": x.new_ones(batch),
        "displacement": torch.zeros_like(x),
        "gradient": torch.zeros_like(x),
    }


def dot(a: Tensor, b: Tensor) -> Tensor:
    """Computes the dot product of each row of (B, n) with that of another (B, n): (B,)."""
    return sum_products(a[:, None, :], b[:, :, None])[:, 0, 0]


def sum_products(a: Tensor, b: Tensor) -> Tensor:
    """Multiplies (B, k, n) by (B, n, l), where n is large.

    On CUDA image by image: cuBLAS shares the long sums of a single product out among the
    multiprocessors, and those of a batch not (16 images of 512 px, memory 10, on an H100: 27 ms of
    a step that takes 57).
    """
    if a.device.type != "cuda":
        return torch.bmm(a, b)
    return torch.stack([x @ y for x, y in zip(a, b, strict=True)])


@dataclass(frozen=True)
class Lengths:
    """Products of the last displacement s, the change of the gradient y and the gradient g, (B,)
    each."""

    sy: Tensor
    yy: Tensor
    ss: Tensor
    gg: Tensor
    absolute: Tensor
    """The sum of the gradient's absolute values."""
    largest: Tensor
    """The largest of them."""
    count: int
    """How many values an image has."""

    @classmethod
    def of(cls, state: dict[str, Tensor], g: Tensor, band: Band | None) -> "Lengths":
        """Computes them from the state and the gradient (B, n), of all bands together."""
        sums = torch.zeros(5, len(g), dtype=g.dtype, device=g.device)
        largest = torch.zeros(len(g), dtype=g.dtype, device=g.device)
        for chunk in chunks(g):
            now, s = g[:, chunk], state["displacement"][:, chunk]
            y, sizes = now - state["gradient"][:, chunk], now.abs()
            pairs = ((s, y), (y, y), (s, s), (now, now))
            sums += torch.stack([*(dot(a, b) for a, b in pairs), sizes.sum(dim=1)])
            largest = torch.maximum(largest, sizes.amax(dim=1))
        sy, yy, ss, gg, absolute = total(sums, band).unbind()
        if band:
            largest = band.largest(largest)
        count = count_of_all(g.shape[1], band)
        return cls(sy, yy, ss, gg, absolute, largest, count)

    def without_memory(self, rms: float | None, units: float, at_start: bool) -> Tensor:
        """Returns the length of a step along −g before any pair is remembered: (B,).

        As given, or torch's: min(1, 1/‖g‖₁) for its very first, 1 for those that follow while none
        is remembered. In units of which `units` make one, g is 1/units of itself and a step units
        times.
        """
        if rms is not None:
            return rms / (self.gg / self.count).sqrt()
        if not at_start:
            return torch.full_like(self.gg, units**-2)
        return (units / self.absolute).clamp(max=1.0) / units**2


def total(x: Tensor, band: Band | None) -> Tensor:
    """Returns the sum over all bands of an image."""
    return x if band is None else band.sum(x)


def count_of_all(own: int, band: Band | None) -> int:
    """Returns how many values all bands of an image have, of which each row has as many."""
    return own if band is None else own // band.at(0).shape[0] * band.whole[0]


def remember(state: dict[str, Tensor], g: Tensor, lengths: Lengths, band: Band | None) -> Tensor:
    """Puts the last displacement and the change of the gradient into the memory of each image.

    Skips images whose curvature yᵀs is not clearly positive.

    Returns:
        basis·g, (B, 2m), which comes out of the same reading of the memory.
    """
    basis, products = state["basis"], state["products"]
    memory = products.shape[2]
    accepted = lengths.sy > CURVATURE * (lengths.yy * lengths.ss).sqrt()
    slot = state["pairs"] % memory

    by = torch.zeros(len(g), 2 * memory, 3, dtype=g.dtype, device=g.device)
    for chunk in chunks(g):
        here = basis[:, :, chunk]
        s, y = state["displacement"][:, chunk], g[:, chunk] - state["gradient"][:, chunk]
        put(here, 1, slot, s, accepted)
        put(here, 1, slot + memory, y, accepted)
        by += sum_products(here.to(g), torch.stack((s, y, g[:, chunk]), dim=2))
    by_s, by_y, by_g = total(by, band).unbind(dim=2)
    put(products, 2, slot, by_y, accepted)
    put(products, 1, slot, by_s[:, memory:], accepted)
    put(products, 1, slot + memory, by_y[:, memory:], accepted)
    state["gamma"].copy_(torch.where(accepted, lengths.sy / lengths.yy, state["gamma"]))
    state["pairs"] += accepted
    return by_g


def put(tensor: Tensor, dim: int, index: Tensor, values: Tensor, accepted: Tensor) -> None:
    """Sets tensor[b].select(dim−1, index[b]) = values[b] for each image b that is `accepted`,
    wherever the tensor lies."""
    index, accepted = index.to(tensor.device), accepted.to(tensor.device)
    shape = list(tensor.shape)
    shape[dim] = 1
    where = index[:, None, None].expand(shape)
    values = values.to(tensor).unsqueeze(dim)
    new = torch.where(accepted[:, None, None], values, tensor.gather(dim, where))
    tensor.scatter_(dim, where, new)


def coefficients(state: dict[str, Tensor], by_g: Tensor) -> Tensor:
    """Computes what each row of the memory counts in H·g, (B, 2m), from basis·g (B, 2m).

    With S, Y in the order of time, R the upper triangle of SᵀY, D its diagonal, γ = yᵀs/yᵀy of the
    newest pair, p = R⁻¹Sᵀg and q = R⁻ᵀ((D + γYᵀY)p − γYᵀg):  H·g = γg + S·q − γY·p.
    """
    memory = state["products"].shape[2]
    # The m×m systems cost nothing and deserve double precision, where the device has it.
    exact = torch.float32 if by_g.device.type == "mps" else torch.float64
    slots = torch.arange(memory, device=by_g.device)
    pairs = state["pairs"][:, None]
    oldest = torch.where(pairs > memory, pairs % memory, 0)
    order = (oldest + slots) % memory  # (B, m): the slots from the oldest pair to the newest
    empty = (slots >= pairs).to(exact)

    def in_time(matrix: Tensor) -> Tensor:
        rows = matrix.to(exact).gather(1, order[:, :, None].expand_as(matrix))
        return rows.gather(2, order[:, None, :].expand_as(matrix))

    sy, yy = in_time(state["products"][:, :memory]), in_time(state["products"][:, memory:])
    sg = by_g[:, :memory].to(exact).gather(1, order)[:, :, None]
    yg = by_g[:, memory:].to(exact).gather(1, order)[:, :, None]
    gamma = state["gamma"].to(exact)[:, None, None]

    # Empty slots hold zeros; a one on the diagonal leaves them out of the solution.
    r = sy.triu() + torch.diag_embed(empty)
    p = torch.linalg.solve_triangular(r, sg, upper=True)
    right = sy.diagonal(dim1=1, dim2=2)[:, :, None] * p + gamma * (yy @ p - yg)
    q = torch.linalg.solve_triangular(r.mT, right, upper=False)

    in_order = torch.cat((q, -gamma * p), dim=1)[:, :, 0]
    by_slot = torch.empty_like(in_order)
    by_slot.scatter_(1, torch.cat((order, order + memory), dim=1), in_order)
    return by_slot.to(by_g)


def direction(state: dict[str, Tensor], g: Tensor, weights: Tensor, chunk: slice) -> Tensor:
    """Computes a chunk of −H·g, from the gradient g (B, n) and `coefficients`."""
    now = g[:, chunk]
    combined = torch.bmm(weights[:, None, :], state["basis"][:, :, chunk].to(g))[:, 0]
    return -(combined + state["gamma"][:, None] * now)
