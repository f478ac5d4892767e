"""Everything2Motion: text or music in, motion out, in one framework."""
