"""A node that receives studies from a PACS, answers each that is complete, and sends the answer back.

All of its state is folders on disk, see `StateFolder`: it may be killed at any moment and goes on where it was.
"""

from medmamba_monai.hospital.listener.service import Listener
from medmamba_monai.hospital.listener.settings import GIB, MIB, ListenerSettings, Peer, Tls

__all__ = ["GIB", "MIB", "Listener", "ListenerSettings", "Peer", "Tls"]
