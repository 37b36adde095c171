"""One module per command of `python -m sdm_core`; see `sdm_core.__main__` for what each must offer."""
