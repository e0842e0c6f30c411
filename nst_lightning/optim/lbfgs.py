"""L-BFGS with a memory per image, so that a batch runs exactly as its images would alone."""

from typing import Any, cast

import torch
from torch import Tensor

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
    two batched products, and what is left are m×m matrices per image. No step waits for the device.

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

    Raises:
        ValueError: for anything but one parameter.
    """

    # GradScaler then leaves unscaling to `step`, which looks at each image alone: one image whose
    # float16 gradient overflowed must not cost the others their step.
    _step_supports_amp_scaling = True

    record = False
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
        self.record = record

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
                self.state[image].update(empty_state(g, self.param_groups[0]["memory"]))
                self._step(g, at_start=True)
            elif self.record and can_record(image):
                self._recorded_step(image)(g)
            else:
                self._step(g)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restores the state; torch would turn the count of pairs into a float on the way."""
        super().load_state_dict(state_dict)
        self.recorded = None
        for group in self.param_groups:
            group.setdefault("units", 1.0)  # states of 0.3.0 have none
        for state in self.state.values():
            state["pairs"] = state["pairs"].long()

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
        products_with_g = remember(state, g)
        d = -inverse_hessian_product(state, g, products_with_g)
        step = group["lr"] * d
        without_memory = without_memory_length(g, group["first_step"], group["units"], at_start)
        step = torch.where(state["pairs"] == 0, without_memory, 1.0)[:, None] * step

        if group["longest_step"] is not None:
            rms = step.square().mean(dim=1).sqrt()
            step = (group["longest_step"] / rms).clamp(max=1.0)[:, None] * step

        # torch.optim.LBFGS stops here too; a non-finite gradient fails both comparisons.
        runs = (g.abs().amax(dim=1) > group["tolerance_grad"]) & (
            dot(g, d) <= -group["tolerance_change"]
        )
        step = torch.where(runs[:, None], step, 0.0)
        moved = x + step
        if group["bounds"] is not None:
            within = moved.clamp(*group["bounds"])
            # Where nothing was cut off the step itself is remembered: moved − x would be it only to
            # the rounding of x, which swallows a step as small as torch's first.
            step = torch.where(within == moved, step, within - x)
            moved = within
        state["displacement"].copy_(step)
        state["gradient"].copy_(g)
        image.copy_(moved.reshape(image.shape))


def empty_state(x: Tensor, memory: int) -> dict[str, Tensor]:
    """Makes the state before the first step; each tensor's first dimension are the images.

    `basis` holds the displacements S in rows 0 … m−1 and the changes of gradient Y in rows
    m … 2m−1, as a ring per image whose next slot is `pairs` mod m. `products` holds basis·Yᵀ.
    """
    batch, n = x.shape
    return {
        "basis": x.new_zeros(batch, 2 * memory, n),
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


def without_memory_length(g: Tensor, rms: float | None, units: float, at_start: bool) -> Tensor:
    """Returns the length of a step along −g (B, n) before any pair is remembered: (B,).

    As given, or torch's: min(1, 1/‖g‖₁) for its very first, 1 for those that follow while none is
    remembered. In units of which `units` make one, g is 1/units of itself and a step units times.
    """
    if rms is not None:
        return rms / g.square().mean(dim=1).sqrt()
    if not at_start:
        return torch.full_like(g[:, 0], units**-2)
    return (units / g.abs().sum(dim=1)).clamp(max=1.0) / units**2


def remember(state: dict[str, Tensor], g: Tensor) -> Tensor:
    """Puts the last displacement and the change of the gradient into the memory of each image.

    Skips images whose curvature yᵀs is not clearly positive.

    Returns:
        basis·g, (B, 2m), which comes out of the same reading of the memory.
    """
    basis, products = state["basis"], state["products"]
    memory = products.shape[2]
    s, y = state["displacement"], g - state["gradient"]
    curvature, yy = dot(y, s), dot(y, y)
    accepted = curvature > CURVATURE * (yy * dot(s, s)).sqrt()
    slot = state["pairs"] % memory

    put(basis, 1, slot, s, accepted)
    put(basis, 1, slot + memory, y, accepted)
    by_s, by_y, by_g = sum_products(basis, torch.stack((s, y, g), dim=2)).unbind(dim=2)
    put(products, 2, slot, by_y, accepted)
    put(products, 1, slot, by_s[:, memory:], accepted)
    put(products, 1, slot + memory, by_y[:, memory:], accepted)
    state["gamma"].copy_(torch.where(accepted, curvature / yy, state["gamma"]))
    state["pairs"] += accepted
    return by_g


def put(tensor: Tensor, dim: int, index: Tensor, values: Tensor, accepted: Tensor) -> None:
    """Sets tensor[b].select(dim−1, index[b]) = values[b] for each image b that is `accepted`."""
    shape = list(tensor.shape)
    shape[dim] = 1
    where = index[:, None, None].expand(shape)
    new = torch.where(accepted[:, None, None], values.unsqueeze(dim), tensor.gather(dim, where))
    tensor.scatter_(dim, where, new)


def inverse_hessian_product(state: dict[str, Tensor], g: Tensor, by_g: Tensor) -> Tensor:
    """Computes H·g, (B, n), from the memory, the gradient g (B, n) and basis·g (B, 2m).

    With S, Y in the order of time, R the upper triangle of SᵀY, D its diagonal, γ = yᵀs/yᵀy of the
    newest pair, p = R⁻¹Sᵀg and q = R⁻ᵀ((D + γYᵀY)p − γYᵀg):  H·g = γg + S·q − γY·p.
    """
    memory = state["products"].shape[2]
    # The m×m systems cost nothing and deserve double precision, where the device has it.
    exact = torch.float32 if g.device.type == "mps" else torch.float64
    slots = torch.arange(memory, device=g.device)
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

    coefficients = torch.cat((q, -gamma * p), dim=1)[:, :, 0]
    by_slot = torch.empty_like(coefficients)
    by_slot.scatter_(1, torch.cat((order, order + memory), dim=1), coefficients)
    combined = torch.bmm(by_slot.to(g.dtype)[:, None, :], state["basis"])[:, 0]
    return combined + state["gamma"][:, None] * g
