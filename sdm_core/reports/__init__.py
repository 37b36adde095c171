"""A region's report: HTML, PDF, CSV, JSON, GeoJSON, GeoParquet, rasters and a manifest of checksums.

facts                             what a report is made of
content                           what it says, section by section (cover, area, species, concern, …)
wording, text, card               sentences, numbers as readers see them, what the model card says
cartography, figures, charts      how maps and charts are drawn at 300 dpi; which there are: drawings
render                            one template, two editions: one HTML file, and A4 by WeasyPrint
data, files, odmap                files of numbers: tables, cells, rasters, the ODMAP table
folder                            a folder that is written whole or not at all
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
