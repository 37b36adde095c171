"""Map tiles and the programming interface, mounted under `/api` beside the pages.

    settings, refusals, limits, work     what a request may bring, how often, how long; refusals in a sentence
    conditional, caches                  what clients and the server may keep
    shelf, context                       open atlases, and what all addresses share
    tiles, legends                       XYZ tiles straight from the predictions, and what their colours mean
    answers, endpoints                   models of the OpenAPI document, and the addresses by subject

Nothing here is imported before the first request to `/api`, and nothing here knows the pages.
"""

from sdm_core.api.application import create_api
from sdm_core.api.settings import ApiSettings

__all__ = ["ApiSettings", "create_api"]
