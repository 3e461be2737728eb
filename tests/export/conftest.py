"""What the export tests share."""

from tests.torch_fixtures import one_thread, published

__all__ = ["one_thread", "published"]
