"""Everything Florascope refuses, under one parent.

A page or the command line catches `FlorascopeError`, shows its message and stops. Each message is one
sentence that names the thing, the value found, what was expected and the way out.
"""

from __future__ import annotations


class FlorascopeError(Exception):
    """Parent of every error a user can act on; the message is shown to them as it is."""


class OccurrenceError(FlorascopeError):
    """An occurrence file cannot be read as one."""


class StatusListError(FlorascopeError):
    """A status list is not in the format, or contradicts itself."""


class CovariateError(FlorascopeError):
    """A covariate stack is missing, mismatched or unreadable."""


class MissingCRSError(FlorascopeError):
    """A raster or vector file does not say which coordinate system it is in."""


class RegionError(FlorascopeError):
    """A region cannot be read as a polygon on the Earth."""


class UnsafeArchiveError(RegionError):
    """An uploaded archive tries to leave its folder or to unpack to far more than it weighs."""


class NoDataInRegionError(FlorascopeError):
    """A region holds no predicted cell: it lies outside the atlas or in the sea."""


class UnknownSpeciesError(FlorascopeError):
    """A species name is not in the atlas."""


class UnknownAtlasError(FlorascopeError):
    """No atlas has this name, and no folder lies at this path."""


class CorruptStoreError(FlorascopeError):
    """A stored prediction does not have the checksum it was written with."""


class StoreMismatchError(FlorascopeError):
    """Predictions of another version lie where some are to be written."""


class PackError(FlorascopeError):
    """A pack of patches and cubes cannot be written, or is not what it says it is."""


class CacheNotWritableError(FlorascopeError):
    """The cache folder cannot be written."""


class CheckpointMismatchError(FlorascopeError):
    """A checkpoint was written by another version, or for other species or covariates."""


class NotWritableError(FlorascopeError):
    """A result cannot be written where it was asked for."""


class ConfigurationError(FlorascopeError):
    """A configuration file or an option holds a key or value that is not known."""


class TrainingError(FlorascopeError):
    """Training cannot start or go on with this data."""


class ApplicabilityError(FlorascopeError):
    """The area of applicability of a model cannot be worked out or read."""


class RuleError(FlorascopeError):
    """An assemblage rule or a diversity index was asked for something it does not define."""


class ReportError(FlorascopeError):
    """A report, or one of its formats, cannot be written."""


class ExportError(FlorascopeError):
    """A file for other programs cannot be written as asked."""
