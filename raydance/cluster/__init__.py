"""Everything that runs on Ray; the only package that imports it."""

from raydance.cluster import session as session  # first: it sets what Ray reads when imported
