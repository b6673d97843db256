"""Interrupts that come where Python cannot raise them."""

from __future__ import annotations

import _thread
import sys
import threading

__all__ = ["keep_interrupts"]

_AGAIN_S = 0.05


def keep_interrupts() -> None:
    """Has an interrupt that Python drops, as within an import's locks or a finalizer, come again a moment later."""
    usual = sys.unraisablehook

    def hook(dropped: sys.UnraisableHookArgs) -> None:
        if dropped.exc_type is not KeyboardInterrupt:
            usual(dropped)
            return
        again = threading.Timer(_AGAIN_S, _thread.interrupt_main)
        again.daemon = True
        again.start()

    sys.unraisablehook = hook
