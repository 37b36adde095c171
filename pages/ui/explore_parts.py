"""Names that other pages look for here; they live in `species_text` and `layers`."""

from pages.ui.species_text import flag_origin, species_flags

#: Layers that are predictions, and so are greyed where the model has no experience.
PREDICTIONS = ("species", "richness", "shannon", "simpson")

__all__ = ["PREDICTIONS", "flag_origin", "species_flags"]
