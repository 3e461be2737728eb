"""What the parity tests share with those of the export: one published model."""

from tests.torch_fixtures import one_thread, published, published_fused

__all__ = ["one_thread", "published", "published_fused"]
