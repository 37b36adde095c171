"""A region's report: HTML, PDF, CSV, JSON, GeoJSON, GeoParquet, rasters and a manifest of checksums.

content, wording, card, species   what the report says, from the region's indicators and the model card
cartography, figures, drawings    maps and charts at 300 dpi
render                            one template, two editions: one HTML file, and A4 by WeasyPrint
odmap                             the ODMAP table as a file
files, folder                     data files; a folder that is written whole or not at all
build                             `build_report`
side_by_side                      several regions: which can be compared, and the table of their numbers
comparison                        `build_comparison`: several regions, a report each and that table
"""

from sdm_core.reports.build import DEFAULT_FORMATS, FORMAT_FILES, FORMATS, build_report, report_stem
from sdm_core.reports.comparison import COMPARISON_FILES, build_comparison
from sdm_core.reports.folder import MANIFEST_NAME, read_manifest, verify_manifest, zip_folder
from sdm_core.reports.side_by_side import (
    MAX_REGIONS,
    Column,
    Comparison,
    RegionNumbers,
    check_number,
    compare,
    read_numbers,
    sort_out,
)

__all__ = [
    "COMPARISON_FILES",
    "DEFAULT_FORMATS",
    "FORMATS",
    "FORMAT_FILES",
    "MANIFEST_NAME",
    "MAX_REGIONS",
    "Column",
    "Comparison",
    "RegionNumbers",
    "build_comparison",
    "build_report",
    "check_number",
    "compare",
    "read_manifest",
    "read_numbers",
    "report_stem",
    "sort_out",
    "verify_manifest",
    "zip_folder",
]
