"""Many more steps than anybody makes."""

import lightning as L

from nst_lightning import StyleTransfer, TransferSettings
from tests.fitting import fit
from tests.unit.transfer.test_module import image


def test_thousands_of_steps_never_blow_up():
    settings = TransferSettings(
        weights="random",
        content_layers="conv_1",
        style_layers="conv_1,conv_2",
        gram="tutorial",
        style_weight=1e6,
        first_step="torch",
        steps=3000,
    )
    model = StyleTransfer.from_images(image(0, side=16), image(1, side=16), settings)
    seen = []

    class Watch(L.Callback):
        def on_train_batch_end(self, *_: object) -> None:
            seen.append(float(model.losses["total"].mean()))

    fit(model, callbacks=[Watch()])
    assert len(seen) == 3000
    assert max(seen[300:]) <= 1.05 * seen[299]
    assert seen[-1] <= seen[299]
    assert 0 <= float(model.image.min()) <= float(model.image.max()) <= 1
