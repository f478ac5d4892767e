"""KIT-ML in the form of HumanML3D: 21 joints, 251 features, 12.5 frames per second."""

from __future__ import annotations

from raydance.data.layouts.humanml3d import layout_of
from raydance.motion.formats import kit

KIT = layout_of("KIT-ML", kit.NUM_JOINTS, kit.NUM_FEATURES)
