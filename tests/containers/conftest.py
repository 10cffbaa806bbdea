"""The image, built once: several tests look at it or run it."""

from pathlib import Path

import pytest
from containers import image as images
from containers.image import Image
from optional_parts import need


@pytest.fixture(scope="session")
def image(scratch: Path) -> Image:
    """What the Dockerfile builds, below a folder that every user may enter."""
    need("packages", "image")
    return images.build(scratch / "image")
