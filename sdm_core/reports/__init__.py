"""A region's report: HTML, PDF, CSV, JSON, GeoJSON, GeoParquet, rasters and a manifest of checksums."""
