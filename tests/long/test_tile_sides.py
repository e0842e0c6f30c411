"""Large tiles and small ones on one image, with the network's real weights."""

import pytest

from nst_lightning import StyleTransfer, TransferSettings, load_image
from nst_lightning.imaging.resize import resize
from nst_lightning.transfer.module import build_network


def test_tiles_of_256_and_1024_give_the_same_loss():
    settings = TransferSettings()
    network = build_network(settings)
    content = resize(load_image("examples/contents/chelsea.jpg"), 1100, 1301)
    style = load_image("examples/styles/brush_flow.jpg")
    # Neither at the content nor at the style: a loss of nothing would say nothing.
    image = content.flip(-1).contiguous()

    def terms(tile: int) -> dict[str, float]:
        model = StyleTransfer.from_images(
            content, style, settings, network=network, tile=tile, init=image
        )
        return {name: value.item() for name, value in model.evaluate(image).items()}

    small, large = terms(256), terms(1024)
    assert min(large["content"], large["style"]) > 0
    assert small == pytest.approx(large, rel=1e-5)
